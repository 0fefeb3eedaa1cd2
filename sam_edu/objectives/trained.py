"""Trained weights that a forward pass writes all the same: slow copies, projections, renormed embeddings.

What is trained is no state, and moves between the passes. But a slow copy may have parameters that still
require grad, and some layers write what is trained: then both passes start from the values before the step
(with e on top, where there is a gradient), and afterwards they are those of the first pass, at w. Torch's
version counters tell at every step; values are compared in the first two steps alone, since a write through
``.data`` is not counted, and a copy that is equal at first stays so in the first pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from sam_edu.objectives import contents

VERSION = attrgetter("_version")  # lists by map and attrgetter: without a Python frame of their own
Value = tuple[Tensor, Tensor, Tensor]  # the parameter, its memory (``p.data = ...`` gives it another), a copy


class Trained:
    """The parameters of all modules at hand; finds out which of them are written while they are trained."""

    def __init__(self) -> None:
        self.known: list[Tensor] = []
        self.ids: set[int] = set()
        self.spaces: list[dict[str, Any]] = []  # where modules that may exchange them keep them
        self.new: list[Tensor] = []  # not compared yet,
        self.compared: list[Tensor] = []  # once
        self.written: dict[Tensor, None] = {}

    def add(self, params: Iterable[Tensor]) -> None:
        found = [p for p in params if not contents.odd(p)]
        self.known += found
        self.new += found
        self.ids |= set(map(id, found))

    def now(self, moving: Iterable[Tensor]) -> After:
        """All but those that are ``moving``, as they are."""
        moved = set(moving)
        return After(self, {p: _value(p) for p in self.known if p.requires_grad and p not in moved}, {})

    def knows(self, thing: Any) -> bool:
        return id(thing) in self.ids

    def identities(self) -> list[int]:
        return list(map(id, chain.from_iterable(map(dict.values, self.spaces))))


class Before:
    """What they are before the first pass: version numbers, and copies of those that may be written."""

    def __init__(self, trained: Trained) -> None:
        self.trained, self.versions = trained, list(map(VERSION, trained.known))
        self.identities = trained.identities() if trained.spaces else None
        self.stirred: set[int] | None = None  # by their ids; None: not one is written or exchanged
        self.then: dict[Tensor, Value] = {}
        if trained.new or trained.compared or trained.written:
            looked = (*trained.new, *trained.compared, *trained.written)
            self.then = {p: _value(p) for p in looked if p.requires_grad}
        self.there: dict[Tensor, Value] | None = None

    def after(self, moving: Iterable[Tensor] = ()) -> After | None:
        """What the first pass has left, to be put back at the end; forgets the copies that are not needed.

        ``moving`` are put back by others: no copy of those is kept that the pass has not written.
        """
        trained = self.trained
        now = list(map(VERSION, trained.known))
        quiet = now == self.versions and (not self.identities or trained.identities() == self.identities)
        if quiet and not self.then:
            return None
        different = [p for p, old, new in zip(trained.known, self.versions, now, strict=False) if old != new]
        self.stirred = None if quiet else set(map(id, different))
        written = [p for p in different if p.requires_grad]
        written += [p for p, value in self.then.items() if _other(value)]
        trained.written.update(dict.fromkeys(written))
        trained.new, trained.compared = [], trained.new
        moved = set(moving)
        left = {p: value for p, value in self.then.items() if p not in moved and p not in trained.written}
        self.then = {p: value for p, value in self.then.items() if p in trained.written}
        return After(trained, {p: _value(p) for p in trained.written if p.requires_grad}, left)

    def rewind(self) -> None:
        """The values from before the first pass, for the second (before e is added)."""
        for value in self.then.values():
            _put(value)

    def again(self) -> None:
        """The second pass starts here; where there is a third one, it starts from the same values."""
        if not self.then:
            return
        if self.there is None:
            self.there = {p: _value(p) for p in self.then}
        else:
            for value in self.there.values():
                _put(value)


class After:
    """What the first pass has left."""

    def __init__(self, trained: Trained, written: dict[Tensor, Value], unmoved: dict[Tensor, Value]) -> None:
        self.trained, self.written, self.unmoved = trained, written, unmoved

    def put(self) -> None:
        """Everything as it was; a copy that has moved in the second pass alone is noticed as well."""
        late = [p for p, value in self.unmoved.items() if _other(value)]
        self.trained.written.update(dict.fromkeys(late))
        for value in (*self.written.values(), *[self.unmoved[p] for p in late]):
            _put(value)


def _value(p: Tensor) -> Value:
    memory = p.detach()
    return p, memory, memory.clone()


def _other(value: Value) -> bool:
    p, memory, copy = value
    return p.data_ptr() != memory.data_ptr() or not contents.equal(copy, memory)


def _put(value: Value) -> None:
    p, memory, copy = value
    with torch.no_grad():
        if p.data_ptr() != memory.data_ptr():
            p.data = memory
        memory.copy_(copy)
