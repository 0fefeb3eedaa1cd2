"""What a forward pass changes besides the loss: running averages, queues, counters, hidden states.

A step of SAM runs the model twice and is one step. Its second pass starts from the state that the first one
started from (it is to be the same function, at other weights), and afterwards the state is that of the
first pass, at w. This holds for whatever module keeps the state, and however it does so. Nothing is copied
that does not move: the first step finds out, by comparing; later ones look at torch's version counters.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from sam_edu.objectives import contents
from sam_edu.objectives.reach import draws_batches, hidden, reached, signature
from sam_edu.objectives.slots import MISSING, Slot, slots_of

SMALL = 2**14  # buffers up to this size are kept in any case: cheaper than to find out
FEW = 16  # and attributes that hold so few things that can change
LARGE = 2**20  # of tensors above this size the first step copies a sample only


class State:
    """The state of a model, and of other modules that run with it; finds out which parts of it move."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        # other than the CPU: modules outside the model may be elsewhere
        self.devices: set[torch.device] = set()
        self.generators: list[Any] = []  # random generators that are attributes of the modules
        self._known: dict[int, nn.Module] = {}
        self._moving: list[Slot] = []
        self._still: list[tuple[Slot, Any, int]] = []  # with what was last seen there, and its version
        self._new: list[Slot] = []
        self._owners: list[nn.Module] = []
        self._reached: tuple[Any, ...] | None = None
        self._drawn: list[Any] = []
        self.add([model])

    def __reduce__(self) -> tuple[Any, ...]:
        return State, (self.model,)  # a copy watches the copied model

    def add(self, modules: Iterable[nn.Module]) -> None:
        """Watch these as well, with all that is inside them or hidden in their attributes."""
        todo = [m for m in modules if id(m) not in self._known]
        while todo:
            for module in todo.pop().modules():
                if id(module) in self._known:
                    continue
                self._known[id(module)] = module
                self._owners.append(module)
                self.devices |= {p.device for p in module.parameters(recurse=False) if not p.is_cpu}
                for slot in slots_of(module):
                    (self._moving if _small_buffer(slot) else self._new).append(slot)
                others, generators = hidden(module)
                self.generators += generators
                todo += others

    def watch(self, closure: Any) -> list[Any]:
        """Add the modules that the closure reaches; returns the random generators, theirs and its own."""
        here = signature(closure)
        if here is None or here != self._reached:
            if draws_batches(closure):
                warnings.warn(
                    "the closure draws its batch by next(...), and a step calls it twice: both passes "
                    "would see other samples; draw the batch before the step",
                    stacklevel=5,
                )
            modules, self._drawn = reached(closure)
            self.add(modules)
            self._reached = here
        return [*self._drawn, *self.generators] if self._drawn or self.generators else []

    def before(self, weights: Iterable[Tensor] = ()) -> Kept:
        """The state that the first pass starts from: what moves, and what has not been looked at yet.

        ``weights`` are the tensors that move between the passes.
        """
        slots = self._moving + self._new
        return Kept(slots, contents.memories(weights), LARGE) if slots else NOTHING

    def after(self, before: Kept) -> Kept:
        """The state that the first pass has left; what is seen to move is kept from now on."""
        if self._owners:
            self._learn(before)
        still = []
        for entry in self._still:
            slot, thing, version = entry
            now = slot.look()
            if now is thing and (version < 0 or contents.version(now) == version):
                still.append(entry)
            else:
                self._moving.append(slot)
        self._still = still
        return Kept(self._moving, before.weights) if self._moving else NOTHING

    def _learn(self, before: Kept) -> None:
        moved = before.changed()
        moved |= {slot for slot in self._new if before.few(slot)}  # they may begin to move later
        self._moving += [slot for slot in self._new if slot in moved]
        self._still += [_seen(slot) for slot in self._new if slot not in moved]
        known = {(id(slot.space), slot.name) for slot in before.found}
        for owner in self._owners:  # attributes that the pass has made
            made = [
                s for s in slots_of(owner) if s.kind == "attribute" and (id(s.space), s.name) not in known
            ]
            before.found.update(dict.fromkeys(made, MISSING))
            self._moving += made
        self._new, self._owners = [], []


class Kept:
    """The contents of slots at one moment, to be put back.

    Tensors on the memory of ``weights`` (parameters that are views of one flat tensor) stay out: where the
    weights are is not for the state to say.
    """

    def __init__(
        self, slots: Iterable[Slot], weights: frozenset[int] = frozenset(), limit: float = float("inf")
    ) -> None:
        self.found = {slot: slot.look() for slot in slots}
        self.weights = weights
        self.inside = {
            slot: [thing] if isinstance(thing, Tensor) else contents.inside(thing, slot.home)
            for slot, thing in self.found.items()
        }
        things = {id(thing): thing for inside in self.inside.values() for thing in inside}
        plain = [t for t in things.values() if isinstance(t, Tensor) and not (t.requires_grad or t.is_meta)]
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
        for slot, thing in self.found.items():
            slot.put(thing)
        if self.tensors:
            with torch.no_grad():
                torch._foreach_copy_(self.tensors, self.copies)
        for tensor, version, copy in self.odd:
            if copy is not None and contents.version(tensor) != version:
                with torch.no_grad():
                    tensor.copy_(copy)
        for holder, content in self.holders:
            contents.fill(holder, content)

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
        if not inside or isinstance(self.found[slot], Tensor) or len(inside) > FEW:
            return False
        entries = sum(len(contents.content(t)) for t in inside if not isinstance(t, Tensor))
        return entries <= FEW**2 and sum(t.numel() for t in inside if isinstance(t, Tensor)) <= SMALL


NOTHING = Kept(())


def _small_buffer(slot: Slot) -> bool:
    thing = slot.look() if slot.kind == "buffer" else MISSING
    return isinstance(thing, Tensor) and not contents.odd(thing) and thing.numel() <= SMALL


def _seen(slot: Slot) -> tuple[Slot, Any, int]:
    thing = slot.look()
    return slot, thing, contents.version(thing) if isinstance(thing, Tensor) else -1
