"""What a forward pass changes besides the loss: running averages, queues, counters, hidden states.

A step of SAM runs the model twice and is one step. Its second pass starts from the state that the first one
started from (it is to be the same function, at other weights), and afterwards the state is that of the
first pass, at w. This holds for whatever module keeps the state, and however it does so. Nothing is copied
that does not move: the first step finds out, by comparing; later ones look at torch's version counters.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from sam_edu.objectives.reach import OF_EVERY_MODULE, hidden, reached, signature

SMALL = 2**14  # buffers up to this size are kept in any case: cheaper than to find out
LARGE = 2**20  # of tensors above this size the first step looks at a sample only
MISSING = object()
#: torch's own layers keep their state in buffers; attributes of its wrappers say where in a step they are
_WITHOUT_ATTRIBUTES = "torch."
_CONTAINERS = (list, dict, deque, set)


@dataclass(frozen=True, eq=False, slots=True)
class Slot:
    """One named place of a module: a buffer, a parameter (of interest while frozen) or an attribute."""

    space: Any  # the module's own dictionary
    name: str
    kind: str

    def look(self) -> Any:
        try:
            thing = self.space[self.name]
        except KeyError:
            return MISSING
        # what is being trained is no state; an uninitialised tensor of a lazy module has none yet
        trained = self.kind == "parameter" and thing is not None and thing.requires_grad
        return MISSING if trained or is_lazy(thing) else thing

    def put(self, thing: Any) -> None:
        if self.look() is thing:
            return
        if thing is not MISSING:
            self.space[self.name] = thing
        elif self.kind == "attribute":
            del self.space[self.name]


class State:
    """The state of a model, and of other modules that run with it; finds out which parts of it move."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
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
                for slot in _slots(module):
                    (self._moving if _small_buffer(slot) else self._new).append(slot)
                others, generators = hidden(module)
                self.generators += generators
                todo += others

    def watch(self, closure: Any) -> list[Any]:
        """Add the modules that the closure reaches; returns the random generators, theirs and its own."""
        here = signature(closure)
        if here is None or here != self._reached:
            modules, self._drawn = reached(closure)
            self.add(modules)
            self._reached = here
        return [*self._drawn, *self.generators] if self._drawn or self.generators else []

    def before(self) -> Kept:
        """The state that the first pass starts from: what moves, and what has not been looked at yet."""
        slots = self._moving + self._new
        return Kept(slots, LARGE) if slots else NOTHING

    def after(self, before: Kept) -> Kept:
        """The state that the first pass has left; what is seen to move is kept from now on."""
        if self._owners:
            self._learn(before)
        still = []
        for entry in self._still:
            slot, thing, version = entry
            now = slot.look()
            if now is thing and (version < 0 or now._version == version):
                still.append(entry)
            else:
                self._moving.append(slot)
        self._still = still
        return Kept(self._moving) if self._moving else NOTHING

    def _learn(self, before: Kept) -> None:
        moved = before.changed()
        self._moving += [slot for slot in self._new if slot in moved]
        self._still += [_seen(slot) for slot in self._new if slot not in moved]
        known = {(id(slot.space), slot.name) for slot in before.found}
        for owner in self._owners:  # attributes that the pass has made
            made = [s for s in _slots(owner) if s.kind == "attribute" and (id(s.space), s.name) not in known]
            before.found.update(dict.fromkeys(made, MISSING))
            self._moving += made
        self._new, self._owners = [], []


class Kept:
    """The contents of slots at one moment, to be put back."""

    def __init__(self, slots: Iterable[Slot], limit: float = float("inf")) -> None:
        self.found = {slot: slot.look() for slot in slots}
        things = {id(thing): thing for thing in self.found.values()}
        plain = [t for t in things.values() if isinstance(t, Tensor) and not t.requires_grad]
        self.samples = {id(t): _sample(t) for t in plain if t.numel() > limit}
        self.tensors = [t for t in plain if id(t) not in self.samples] if self.samples else plain
        self.copies = [torch.empty_like(t) for t in self.tensors]
        if self.tensors:
            with torch.no_grad():
                torch._foreach_copy_(self.copies, self.tensors)
        self.contents = {id(c): (c, _content(c)) for c in things.values() if isinstance(c, _CONTAINERS)}

    def put(self) -> None:
        """Everything as it was; a tensor of which there is only a sample stays."""
        for slot, thing in self.found.items():
            slot.put(thing)
        if self.tensors:
            with torch.no_grad():
                torch._foreach_copy_(self.tensors, self.copies)
        for container, content in self.contents.values():
            container.clear()
            if isinstance(container, dict | set):
                container.update(content)
            else:
                container.extend(content)

    def changed(self) -> set[Slot]:
        """The slots whose contents are no longer these."""
        copies = {id(t): copy for t, copy in zip(self.tensors, self.copies, strict=True)}

        def same(slot: Slot, thing: Any) -> bool:
            if slot.look() is not thing:
                return False
            if id(thing) in self.samples:
                return _equal(self.samples[id(thing)], _sample(thing))
            if id(thing) in copies:
                return _equal(copies[id(thing)], thing)
            if id(thing) in self.contents:
                now, then = _content(thing), self.contents[id(thing)][1]
                return list(map(id, now)) == list(map(id, then)) and (
                    not isinstance(thing, dict) or all(now[k] is then[k] for k in now)
                )
            return True

        return {slot for slot, thing in self.found.items() if not same(slot, thing)}


NOTHING = Kept(())


def _slots(module: nn.Module) -> Iterator[Slot]:
    for kind in ("buffer", "parameter"):
        space = getattr(module, f"_{kind}s")
        yield from [Slot(space, name, kind) for name in space.keys()]  # not always a dict
    if not type(module).__module__.startswith(_WITHOUT_ATTRIBUTES):
        for name, value in vars(module).items():
            if name not in OF_EVERY_MODULE and not callable(value):
                yield Slot(vars(module), name, "attribute")


def _small_buffer(slot: Slot) -> bool:
    thing = slot.look() if slot.kind == "buffer" else MISSING
    return isinstance(thing, Tensor) and thing.numel() <= SMALL


def _seen(slot: Slot) -> tuple[Slot, Any, int]:
    thing = slot.look()
    return slot, thing, thing._version if isinstance(thing, Tensor) else -1


def _content(container: Any) -> Any:
    return dict(container) if isinstance(container, dict) else list(container)


def _sample(tensor: Tensor) -> Tensor:
    flat = tensor.detach().reshape(-1)
    return flat[:: max(1, len(flat) // 1024)].clone()


def _equal(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a, b) or bool(((a == b) | (a != a) & (b != b)).all())  # NaN is NaN here
