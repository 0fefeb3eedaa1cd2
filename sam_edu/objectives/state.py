"""What a forward pass changes besides the loss: running averages, queues, counters, hidden states.

A step of SAM runs the model twice and is one step. Its second pass starts from the state that the first one
started from (it is to be the same function, at other weights), and afterwards the state is that of the
first pass, at w. This holds for whatever module keeps the state, and however it does so. Nothing is copied
that does not move: the first step finds out, by comparing after either pass (weights that are equal at first
may hide an average over them in the first one); later ones look at torch's version counters.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from sam_edu.objectives import contents
from sam_edu.objectives.kept import LARGE, NOTHING, SMALL, Kept
from sam_edu.objectives.reach import draws_batches, hidden, reached, signature
from sam_edu.objectives.slots import MISSING, Slot, slots_of, slots_of_calls


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
            self._new += list(slots_of_calls(closure))
            self._reached = here
        return [*self._drawn, *self.generators] if self._drawn or self.generators else []

    def before(self, weights: Iterable[Tensor] = ()) -> Kept:
        """The state that the first pass starts from: what moves, and what has not been looked at yet.

        ``weights`` are the tensors that move between the passes.
        """
        slots = self._moving + self._new
        if not (slots or self._owners):
            return NOTHING
        return Kept(slots, contents.memories(weights), LARGE, streams=True)

    def after(self, before: Kept) -> Kept:
        """The state that the first pass has left; what is seen to move is kept from now on."""
        learning = bool(self._owners or self._new)
        if learning:
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
        if not (learning or self._moving):
            return NOTHING
        kept = Kept(self._moving, before.weights)
        if learning:
            kept.first = lambda: self._look_again(before)
        return kept

    def _learn(self, before: Kept) -> None:
        moved = before.changed()
        moved |= {slot for slot in self._new if before.few(slot)}  # they may begin to move later
        self._still += [_seen(slot) for slot in self._new if slot not in moved]
        known = {(id(slot.space), slot.name) for slot in before.found}
        kinds = ("attribute", "buffer")
        before.made = [
            s
            for owner in self._owners
            for s in slots_of(owner)
            if s.kind in kinds and (id(s.space), s.name) not in known
        ]
        fresh = [slot for slot in self._new if slot in moved] + before.made
        owners, self._new, self._owners = self._owners, [], []
        self._moving += fresh
        modules, generators = reached([slot.look() for slot in fresh if slot.kind == "attribute"])
        self.generators += [g for g in generators if all(g is not known for known in self.generators)]
        self.add([*modules, *[child for owner in owners for child in owner.children()]])  # made on the way

    def _look_again(self, before: Kept) -> None:
        """After the last pass of a step that has learned: what moved in that pass alone?"""
        late = before.changed() & {slot for slot, *_ in self._still}
        if late:
            before.put()
            self._moving += late
        self._still = [_seen(slot) for slot, *_ in self._still if slot not in late]


def _small_buffer(slot: Slot) -> bool:
    thing = slot.look() if slot.kind == "buffer" else MISSING
    return isinstance(thing, Tensor) and not contents.odd(thing) and thing.numel() <= SMALL


def _seen(slot: Slot) -> tuple[Slot, Any, int]:
    thing = slot.look()
    return slot, thing, contents.version(thing) if isinstance(thing, Tensor) else -1
