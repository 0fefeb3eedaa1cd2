"""What a closure is given: a batch that the forward pass may change in place (normalised, erased, dropped).

The second pass must not normalise again what the first one has normalised. Values are compared in the first
two steps; later ones copy a batch only if it was seen to change, and look at torch's version counters.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sam_edu.objectives import contents, holders
from sam_edu.objectives.bindings import Bindings
from sam_edu.objectives.closures import BatchLoss
from sam_edu.objectives.reach import walk
from sam_edu.objectives.trained import VERSION

LIMIT = 2**27  # numbers: a batch of large images, no data set
_ENDS = (Tensor, nn.Module, torch.optim.Optimizer, BatchLoss)


class Inputs:
    """Finds out whether the closures of one objective change what they are given."""

    def __init__(self) -> None:
        self.looks, self.written = 2, False
        self.tensors: Sequence[Tensor] = ()
        self.versions: list[int] = []

    def before(self, closure: Any, tensors: Sequence[Tensor], weights: Collection[int]) -> Given | None:
        """``tensors`` are those that the closure names; ``weights`` are looked after elsewhere, by their ids.

        None once it is known that the closures change nothing: then the versions are looked at.
        """
        if self.looks or self.written:
            self.looks = max(self.looks - 1, 0)
            self.tensors, self.versions = (), []
            return Given(closure, weights)
        self.tensors, self.versions = tensors, list(map(VERSION, tensors))
        return None

    def after(self, given: Given | None) -> None:
        """The first pass is over."""
        if given is not None:
            self.written |= given.after()
        elif self.versions != list(map(VERSION, self.tensors)):
            self.written = True
            warnings.warn(
                "the forward pass has begun to change its batch in place, and the second pass of this step "
                "sees it changed twice (not those of later steps): let it work on a copy, x.clone()",
                RuntimeWarning,
                stacklevel=5,
            )


class Given:
    """The batch of one step as it is before the first pass."""

    def __init__(self, closure: Any, weights: Collection[int]) -> None:
        things = list(_reached(closure))
        self.tensors = [Values(t) for t in _tensors(things) if id(t) not in weights]
        self.names = Bindings(thing for thing in things if not isinstance(thing, _ENDS))
        self.changed: list[tuple[Values, Values]] = []  # before the first pass, and after
        self.renamed = Bindings(())

    def after(self) -> bool:
        """The first pass is over: whether it has changed something."""
        stirred = [old for old in self.tensors if old.stirred()]
        self.changed = [(old, Values(old.tensor)) for old in stirred]
        self.renamed = self.names.changed()
        self.tensors = []
        return bool(stirred or self.renamed.then)

    def rewind(self) -> None:
        """As before the first pass."""
        for before, _ in self.changed:
            before.put()
            before.put_gradient()
        self.names.put()

    def put(self) -> None:
        """As the first pass has left it."""
        for _, after in self.changed:
            after.put()
        self.renamed.put()


class Values:
    """The numbers in a tensor, and what of them is gradient, at one moment."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.version = tensor, contents.version(tensor)
        self.odd = contents.odd(tensor)
        self.copy = contents.clone(tensor, LIMIT)
        self.asks = tensor.requires_grad
        self.grad = tensor.grad if tensor.is_leaf else None
        self.gradient = None if self.grad is None else self.grad.clone()

    def stirred(self) -> bool:
        """Whether it was written since, if only with what was there (an in-place ReLU of pixels)."""
        t = self.tensor
        if contents.version(t) != self.version or (t.is_leaf and t.grad is not self.grad):
            return True
        if self.grad is not None and self.gradient is not None and not self.grad.equal(self.gradient):
            return True
        return not (self.odd or self.copy is None or contents.equal(self.copy, t.detach()))

    def put(self) -> None:
        if self.copy is not None:
            with torch.no_grad():
                self.tensor.copy_(self.copy)

    def put_gradient(self) -> None:
        """Of a leaf that a pass has made one, or filled: its gradient, and whether it asks for one."""
        if not self.tensor.is_leaf:
            return
        self.tensor.requires_grad_(self.asks)
        self.tensor.grad = self.grad
        if self.grad is not None and self.gradient is not None:
            self.grad.detach().copy_(self.gradient)


def _reached(closure: Any) -> Iterator[Any]:
    """What a closure refers to, the nearest first; of a batch's loss, what it was given."""
    for thing in walk(closure, set(), lambda thing: isinstance(thing, _ENDS)):
        if isinstance(thing, BatchLoss):
            yield from _reached((thing.model, thing.x, thing.y, thing.loss_of))
        else:
            yield thing


def _tensors(things: list[Any]) -> Iterator[Tensor]:
    """Tensors and arrays that are no weights, as far as there is room for copies."""
    room = LIMIT
    for thing in things:
        t = thing if isinstance(thing, Tensor) else holders.numbers(thing)
        if t is None or isinstance(t, nn.Parameter) or not (t.is_leaf or not t.requires_grad):
            continue
        if not t.is_inference() and t.numel() <= room:
            room -= t.numel()
            yield t
