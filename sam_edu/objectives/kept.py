"""What places held at one moment, to be put back: copies of what can change there."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from copy import copy as twin_of
from typing import Any

import torch
from torch import Tensor

from sam_edu.objectives import contents
from sam_edu.objectives.slots import Slot

SMALL = 2**14  # buffers up to this size are kept in any case: cheaper than to find out
FEW = 16  # and attributes that hold so few things that can change
LARGE = 2**20  # of tensors above this size the first step copies a sample only


class Kept:
    """The contents of slots at one moment, to be put back.

    Tensors on the memory of ``weights`` (parameters that are views of one flat tensor) stay out: where the
    weights are is not for the state to say.
    """

    def __init__(
        self,
        slots: Iterable[Slot],
        weights: frozenset[int] = frozenset(),
        limit: float = float("inf"),
        streams: bool = False,
        looking: bool = False,
    ) -> None:
        self.first: Callable[[], None] | None = None  # what is to happen before things are put back
        self.found = {slot: slot.look() for slot in slots}
        self.streams = {slot: _parted(slot) for slot in slots if streams and contents.stream(slot.look())}
        self.found.update({slot: slot.look() for slot in self.streams})
        self.weights = weights
        self.inside = {
            slot: [] if slot.trains(thing) else contents.inside(thing, slot.home)
            for slot, thing in self.found.items()
        }
        things = {id(thing): thing for inside in self.inside.values() for thing in inside}
        plain = [t for t in things.values() if isinstance(t, Tensor) and not t.is_meta]
        if not looking:  # activations that a module notes are new ones in each pass
            plain = [t for t in plain if not t.requires_grad or t.is_leaf or t._version]
        if plain and weights:
            plain = [t for t in plain if contents.memory(t) not in weights]
        odd = [t for t in plain if contents.odd(t)]
        if odd:
            apart = set(map(id, odd))
            plain = [t for t in plain if id(t) not in apart]
        self.odd = [(t, contents.version(t), contents.clone(t, LARGE)) for t in odd]
        self.samples = {id(t): (contents.sample(t), t._version) for t in plain if t.numel() > limit}
        self.tensors = [t for t in plain if id(t) not in self.samples] if self.samples else plain
        self.copies = [torch.empty_like(t) for t in self.tensors]
        if self.tensors:
            with torch.no_grad():
                torch._foreach_copy_(self.copies, self.tensors)
        self.holders = [(t, contents.content(t)) for t in things.values() if not isinstance(t, Tensor)]

    def put(self) -> None:
        """Everything as it was; a tensor of which there is only a sample stays."""
        if self.first is not None:
            first, self.first = self.first, None
            first()
        for slot, thing in self.found.items():
            slot.put(twin_of(self.streams[slot]) if slot in self.streams else thing)
        if self.tensors:
            with torch.no_grad():
                try:
                    torch._foreach_copy_(self.tensors, self.copies)
                except RuntimeError:
                    self._size_back()
                    torch._foreach_copy_(self.tensors, self.copies)
        for tensor, version, copy in self.odd:
            if copy is not None and contents.version(tensor) != version:
                with torch.no_grad():
                    tensor.copy_(copy)
        for holder, content in self.holders:
            contents.fill(holder, content)

    def _size_back(self) -> None:
        """Observers of quantisation find out in a pass how large their buffers must be."""
        for tensor, copy in zip(self.tensors, self.copies, strict=True):
            if tensor.shape != copy.shape:
                tensor.resize_(copy.shape)

    def changed(self) -> set[Slot]:
        """The slots whose contents are no longer these."""
        copies = {id(t): copy for t, copy in zip(self.tensors, self.copies, strict=True)}
        different = {id(t) for t, then in self.holders if not contents.same(t, then)}
        different |= {id(t) for t, version, _ in self.odd if contents.version(t) != version}

        def same(thing: Any) -> bool:
            if id(thing) in self.samples:
                then, version = self.samples[id(thing)]  # a write may miss the sample, one through .data both
                return thing._version == version and contents.equal(then, contents.sample(thing))
            if id(thing) in copies:
                return contents.equal(copies[id(thing)], thing)
            return id(thing) not in different

        return {
            slot
            for slot, thing in self.found.items()
            if slot.look() is not thing or not all(map(same, self.inside[slot]))
        }

    def few(self, slot: Slot) -> bool:
        """Whether this place holds few things that have no version counter, all of them small."""
        inside = self.inside[slot]
        if slot in self.streams:
            return True
        if not inside or isinstance(self.found[slot], Tensor) or len(inside) > FEW:
            return False
        entries = sum(len(contents.content(t)) for t in inside if not isinstance(t, Tensor))
        return entries <= FEW**2 and sum(t.numel() for t in inside if isinstance(t, Tensor)) <= SMALL


def _parted(slot: Slot) -> Any:
    """One of two iterators that give the same things from here on; the other one stands in its place."""
    slot.space[slot.name], twin = itertools.tee(slot.look())
    return twin


NOTHING = Kept(())
