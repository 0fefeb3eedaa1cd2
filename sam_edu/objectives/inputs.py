"""What a closure is given: a batch that the forward pass may change in place (normalised, erased, dropped).

The second pass must not normalise again what the first one has normalised. Values are compared in the first
two steps; later ones copy a batch only if it was seen to change, and look at torch's version counters.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sam_edu.objectives import contents
from sam_edu.objectives.reach import walk

LIMIT = 2**27  # numbers: a batch of large images, no data set
_ENDS = (Tensor, nn.Module, torch.optim.Optimizer)


class Inputs:
    """Finds out whether the closures of one objective change what they are given."""

    def __init__(self) -> None:
        self.looks, self.written = 2, False

    def before(self, closure: Any, tensors: Sequence[Tensor]) -> Given | None:
        """``tensors`` are those that the closure names; None if there is nothing to look at."""
        if not self.looks and not self.written:
            return Given(self, tensors, copying=False) if tensors else None
        self.looks = max(self.looks - 1, 0)
        return Given(self, _given(closure), copying=True)


class Given:
    """The tensors of one step."""

    def __init__(self, inputs: Inputs, tensors: Sequence[Tensor], copying: bool) -> None:
        self.inputs, self.tensors = inputs, tensors
        self.versions = list(map(contents.version, tensors))
        self.copies = [t.clone() for t in tensors] if copying else []
        self.changed: list[tuple[Tensor, Tensor, Tensor]] = []  # with what was there before, and after

    def after(self) -> None:
        """The first pass is over."""
        if self.copies:
            pairs = zip(self.tensors, self.copies, strict=True)
            self.changed = [(t, old, t.clone()) for t, old in pairs if not contents.equal(old, t)]
            self.copies = []
            self.inputs.written |= bool(self.changed)
        elif self.versions != list(map(contents.version, self.tensors)):
            self.inputs.written = True
            warnings.warn(
                "the forward pass has begun to change its batch in place, and the second pass of this step "
                "sees it changed twice (not those of later steps): let it work on a copy, x.clone()",
                RuntimeWarning,
                stacklevel=5,
            )

    def rewind(self) -> None:
        """As before the first pass."""
        _write((t, before) for t, before, _ in self.changed)

    def put(self) -> None:
        """As the first pass has left it."""
        _write((t, after) for t, _, after in self.changed)


def _write(pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
    with torch.no_grad():
        for t, values in pairs:
            t.copy_(values)


def _given(closure: Any) -> list[Tensor]:
    """The tensors that a closure reaches, the nearest first: by its variables, and those of what it calls.

    Modules and optimizers are left out: their tensors are looked after elsewhere.
    """
    found: list[Tensor] = []
    room = LIMIT
    for thing in walk(closure, set(), lambda thing: isinstance(thing, _ENDS)):
        if not isinstance(thing, Tensor) or thing.requires_grad or contents.odd(thing):
            continue
        if thing.numel() <= room:
            found.append(thing)
            room -= thing.numel()
    return found
