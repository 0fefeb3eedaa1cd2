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
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sam_edu.objectives import contents
from sam_edu.objectives.inputs import Given, Inputs
from sam_edu.objectives.kept import LARGE, NOTHING, SMALL, Kept
from sam_edu.objectives.randomness import Generators
from sam_edu.objectives.reach import draws_batches, hidden, names_of, reached, signature
from sam_edu.objectives.slots import MISSING, Names, Slot, grows, slot_in, slots_of, slots_of_calls, spaces_of
from sam_edu.objectives.trained import After as WeightsAfter
from sam_edu.objectives.trained import Before as WeightsBefore
from sam_edu.objectives.trained import Trained


@dataclass(slots=True)
class Before:
    """What there is before the first pass."""

    kept: Kept
    names: Names | None  # None: the first pass has made none
    weights: WeightsBefore
    given: Given | None

    def put(self) -> None:
        if self.given is not None:
            self.given.rewind()
        if self.kept is not NOTHING:
            self.kept.put()
        if self.names is not None:
            self.names.put()
        if self.weights.then:
            self.weights.again()


@dataclass(slots=True)
class After:
    """What the first pass has left: the state after the step."""

    kept: Kept
    names: Names
    weights: WeightsAfter | None
    given: Given | None = None

    def put(self) -> None:
        if self.given is not None:
            self.given.put()
        if self.kept is not NOTHING:
            self.kept.put()
        self.names.put()
        if self.weights is not None:
            self.weights.put()


class State:
    """The state of a model, and of other modules that run with it; finds out which parts of it move."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        # other than the CPU: modules outside the model may be elsewhere
        self.devices: set[torch.device] = set()
        self.generators = Generators()  # of random numbers, that the modules have or name
        self._code: set[Any] = set()  # classes and functions that have been looked into
        self.trained = Trained()
        self._known: dict[int, nn.Module] = {}
        self._moving: list[Slot] = []
        self._still: list[tuple[Slot, Any, int]] = []  # with what was last seen there, and its version
        self._weights: list[tuple[Slot, Any]] = []  # still, too: torch's counts say whether to look there
        self._new: list[Slot] = []
        self._spaces: list[dict[str, Any]] = []
        self._kinds: list[tuple[str, str]] = []  # of the spaces, with the package of the module
        self._reached: tuple[Any, ...] | None = None
        self._drawn: list[Any] = []
        self._inputs = Inputs()
        self._given: Given | None = None
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
                params = list(module.parameters(recurse=False))
                self.trained.add(params)
                self.devices |= {p.device for p in params if not p.is_cpu}
                for space, kind, home in spaces_of(module):
                    if grows(module, space, kind):
                        self._spaces.append(space)
                        self._kinds.append((kind, home))
                        if kind == "parameter":
                            self.trained.spaces.append(space)
                for slot in slots_of(module):
                    (self._moving if _small_buffer(slot) else self._new).append(slot)
                others, generators = hidden(module, self._code)
                if generators:
                    self.generators.add(generators, names_of(module))
                todo += others

    def watch(self, closure: Any) -> list[Any]:
        """Add the modules that the closure reaches; returns the random generators, theirs and its own."""
        tensors: list[Tensor] = []
        here = signature(closure, tensors)
        self._given = self._inputs.before(closure, tensors, self.trained.ids)
        if here is None or here != self._reached:
            if draws_batches(closure):
                warnings.warn(
                    "the closure draws its batch by next(...), and a step calls it twice: both passes "
                    "would see other samples; draw the batch before the step",
                    stacklevel=5,
                )
            known = len(self._code)
            modules, self._drawn = reached(closure, self._code)
            if len(self._code) > known:  # what code names is found once
                self.generators.add(self._drawn)
            self.add(modules)
            self._new += list(slots_of_calls(closure))
            self._reached = here
        own = self.generators.now()
        return [*self._drawn, *own] if self._drawn or own else []

    def before(self, weights: Iterable[Tensor] = ()) -> Before:
        """What the first pass starts from: all that moves, and what has not been looked at yet.

        ``weights`` are the tensors that move between the passes.
        """
        kept = self._kept(weights) if self._moving or self._new else NOTHING
        given, self._given = self._given, None
        return Before(kept, Names(self._spaces), WeightsBefore(self.trained), given)

    def now(self, weights: Iterable[Tensor], moving: Iterable[Tensor]) -> After:
        """The state as it is, to be put back; ``moving`` are those of the weights that others put back."""
        return After(self._kept(weights), Names(self._spaces), self.trained.now(moving))

    def _kept(self, weights: Iterable[Tensor]) -> Kept:
        slots = self._moving + self._new
        if not slots:
            return NOTHING
        return Kept(slots, contents.memories(weights), LARGE, streams=True, looking=bool(self._new))

    def after(self, before: Before, moving: Iterable[Tensor] = ()) -> After:
        """What the first pass has left; what is seen to move is kept from now on.

        ``moving`` are the weights that move between the passes, and that others put back.
        """
        weights, given = before.weights.after(moving), before.given
        self._inputs.after(given)
        names, learning = before.names or Names(self._spaces), bool(self._new)
        made = names.new()
        if learning:
            self._learn(before.kept)
        if made:
            self._meet(made)
        still = []
        for entry in self._still:
            slot, thing, version = entry
            now = slot.look()
            if now is thing and (version < 0 or contents.version(now) == version):
                still.append(entry)
            else:
                self._moving.append(slot)
        self._still = still
        if before.weights.stirred is not None:
            self._look_at_weights(before.weights.stirred)
        kept = NOTHING
        if learning or self._moving:
            kept = Kept(self._moving, before.kept.weights)
            if learning:
                kept.first = lambda: self._look_again(before.kept)
        if not made:
            before.names = None
        return After(kept, Names(self._spaces) if made else names, weights, given)

    def _look_at_weights(self, written: set[int]) -> None:
        still = []
        for slot, thing in self._weights:
            now = slot.look()
            if now is thing and (slot.trains(now) or id(now) not in written):
                still.append((slot, thing))
            else:
                self._moving.append(slot)
        self._weights = still

    def _meet(self, made: Iterable[tuple[int, str]]) -> None:
        """Watch what the pass has registered under new names."""
        modules = []
        for at, name in made:
            space, (kind, home) = self._spaces[at], self._kinds[at]
            if kind == "module" and space[name] is not None:
                modules.append(space[name])
            if kind == "parameter" and space[name] is not None:
                self.trained.add([space[name]])
            slot = slot_in(space, name, kind, home)
            if slot is not None:
                self._moving.append(slot)
                if kind == "attribute":
                    modules += self._inside([slot])
        self.add(modules)

    def _inside(self, slots: Iterable[Slot]) -> list[nn.Module]:
        """The modules in attributes; random generators there are noted."""
        attributes = [slot.look() for slot in slots if slot.kind == "attribute"]
        modules, generators = reached(attributes, self._code)
        self.generators.add(generators)
        return modules

    def _learn(self, before: Kept) -> None:
        moved = before.changed()
        moved |= {slot for slot in self._new if before.few(slot)}  # they may begin to move later
        weights = {slot for slot in self._new if slot.trains(slot.look()) and before.found[slot] is MISSING}
        self.trained.add([slot.look() for slot in weights])  # lazy ones, now that they have a shape
        moved -= weights
        self._stays([slot for slot in self._new if slot not in moved])
        fresh = [slot for slot in self._new if slot in moved]
        self._new = []
        self._moving += fresh
        self.add(self._inside(fresh))

    def _look_again(self, before: Kept) -> None:
        """After the last pass of a step that has learned: what moved in that pass alone?"""
        places = [slot for slot, _, _ in self._still] + [slot for slot, _ in self._weights]
        late = before.changed() & set(places)
        if late:
            before.put()
            self._moving += late
        self._still, self._weights = [], []
        self._stays([slot for slot in places if slot not in late])

    def _stays(self, slots: Iterable[Slot]) -> None:
        for slot in slots:
            thing = slot.look()
            if slot.kind == "parameter" and self.trained.knows(thing):
                self._weights.append((slot, thing))
            else:
                version = contents.version(thing) if isinstance(thing, Tensor) else -1
                self._still.append((slot, thing, version))


def _small_buffer(slot: Slot) -> bool:
    thing = slot.look() if slot.kind == "buffer" else MISSING
    return isinstance(thing, Tensor) and not contents.odd(thing) and thing.numel() <= SMALL
