"""The places where a module may keep state: buffers, parameters, its attributes and those of its class."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from sam_edu.objectives import contents
from sam_edu.objectives.reach import OF_EVERY_MODULE, _names, _variables

MISSING = object()
#: torch's own layers keep their state in buffers; attributes of its wrappers say where in a step they are
_WITHOUT_ATTRIBUTES = "torch."
_OF_MODULES = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_CODE = (FunctionType, BuiltinFunctionType, MethodType, type)
_DESCRIPTORS = (property, classmethod, staticmethod, functools.cached_property)


@dataclass(frozen=True, eq=False, slots=True)
class Slot:
    """One named place: a buffer, a parameter (of interest while frozen), an attribute, one of the class."""

    space: Any  # the dictionary of the module or of its class
    name: str
    kind: str
    home: str = ""  # the package of the module

    def look(self) -> Any:
        try:
            thing = self.space[self.name]
        except KeyError:
            return MISSING
        # an uninitialised tensor of a lazy module has no state yet; shards come and go
        return MISSING if is_lazy(thing) or (self.trains(thing) and contents.odd(thing)) else thing

    def trains(self, thing: Any) -> bool:
        """What is being trained is no state but for which tensor it is."""
        return self.kind == "parameter" and isinstance(thing, Tensor) and thing.requires_grad

    def put(self, thing: Any) -> None:
        if self.look() is thing:
            return
        if thing is not MISSING:
            self.space[self.name] = thing
        elif self.kind == "attribute":
            self.space.pop(self.name, None)


def spaces_of(module: nn.Module) -> Iterator[tuple[Any, str, str]]:
    """The dictionaries that a module keeps things in by their names, what they are, the module's package."""
    home = type(module).__module__.partition(".")[0]
    for kind in ("buffer", "parameter", "module"):
        yield getattr(module, f"_{kind}s"), kind, home
    if _keeps_attributes(module):
        yield vars(module), "attribute", home


def _keeps_attributes(module: nn.Module) -> bool:
    """Whether it is the user's, or has a hook of the user's, which may note things on it."""
    if not type(module).__module__.startswith(_WITHOUT_ATTRIBUTES):
        return True
    hooks = [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
    return any(not (getattr(h, "__module__", None) or "").startswith(_WITHOUT_ATTRIBUTES) for h in hooks)


def grows(module: nn.Module, space: Any, kind: str) -> bool:
    """Whether a forward pass may register more in there: in torch's own layers, only what hooks do."""
    if not isinstance(space, dict):  # of scripted modules
        return False
    if kind == "buffer" or _keeps_attributes(module):
        return True
    return kind == "module" and isinstance(module, _OF_MODULES)


def slot_in(space: Any, name: str, kind: str, home: str) -> Slot | None:
    """The place of that name, if it may hold state."""
    code = kind == "attribute" and (name in OF_EVERY_MODULE or isinstance(space[name], _CODE))
    return None if code else Slot(space, name, kind, home)


def slots_of(module: nn.Module) -> Iterator[Slot]:
    """All of them; of a class only what is no code."""
    for space, kind, home in spaces_of(module):
        if kind != "module":  # looked at by themselves
            found = [slot_in(space, name, kind, home) for name in space.keys()]  # not always a dict
            yield from [slot for slot in found if slot is not None]
    if not type(module).__module__.startswith(_WITHOUT_ATTRIBUTES):
        home = type(module).__module__.partition(".")[0]
        for base in type(module).__mro__[:-1]:
            if not base.__module__.startswith(_WITHOUT_ATTRIBUTES):
                for name, value in vars(base).items():
                    if not name.startswith("__") and not isinstance(value, (*_CODE, *_DESCRIPTORS)):
                        yield Slot(_of_class(base), name, "class", home)


def slots_of_calls(closure: Any) -> Iterator[Slot]:
    """Of a closure with ``torch.func.functional_call``: the tensors in dictionaries that it refers to.

    They stand in for buffers there. Those that are trained are no state.
    """
    variables = list(_variables(closure)) if isinstance(closure, FunctionType) else []
    if variables and "functional_call" in _names(closure.__code__):
        for space in variables:
            if isinstance(space, dict):
                yield from [
                    Slot(space, name, "parameter") for name, t in space.items() if isinstance(t, Tensor)
                ]


class Names:
    """The names of what modules hold, at one moment: a pass may register more of it under new ones."""

    def __init__(self, spaces: list[Any]) -> None:
        self.spaces, self.then = spaces, list(map(tuple, spaces))

    def new(self) -> list[tuple[int, str]]:
        """Those that have come since: the number of the space, and the name in there."""
        now = list(map(tuple, self.spaces))
        if now == self.then:
            return []
        pairs = enumerate(zip(self.then, now, strict=False))  # spaces may have come, too
        return [(at, name) for at, (old, new) in pairs for name in new if name not in old]

    def put(self) -> None:
        """Take those away; what is trained stays, since it is to get its gradient."""
        for at, name in self.new():
            if not _trained(self.spaces[at][name]):
                del self.spaces[at][name]


def _trained(thing: Any) -> bool:
    if isinstance(thing, nn.Module):
        return any(p.requires_grad for p in thing.parameters())
    return isinstance(thing, nn.Parameter) and thing.requires_grad


class _ClassSpace:
    """The attributes of a class, to read and to set: meters and counters that all its modules share."""

    def __init__(self, kind: type) -> None:
        self.kind = kind

    def __getitem__(self, name: str) -> Any:
        return vars(self.kind)[name]

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self.kind, name, value)


_of_class = functools.lru_cache(maxsize=1000)(_ClassSpace)
