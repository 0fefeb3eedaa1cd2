"""The places where a module may keep state: buffers, parameters, its attributes and those of its class."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from sam_edu.objectives.reach import OF_EVERY_MODULE, _names, _variables

MISSING = object()
#: torch's own layers keep their state in buffers; attributes of its wrappers say where in a step they are
_WITHOUT_ATTRIBUTES = "torch."
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


def slots_of(module: nn.Module) -> Iterator[Slot]:
    """All of them; of a class only what is no code."""
    for kind in ("buffer", "parameter"):
        space = getattr(module, f"_{kind}s")
        yield from [Slot(space, name, kind) for name in space.keys()]  # not always a dict
    if not type(module).__module__.startswith(_WITHOUT_ATTRIBUTES):
        home = type(module).__module__.partition(".")[0]
        for name, value in vars(module).items():
            if name not in OF_EVERY_MODULE and not isinstance(value, _CODE):
                yield Slot(vars(module), name, "attribute", home)
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


class _ClassSpace:
    """The attributes of a class, to read and to set: meters and counters that all its modules share."""

    def __init__(self, kind: type) -> None:
        self.kind = kind

    def __getitem__(self, name: str) -> Any:
        return vars(self.kind)[name]

    def __setitem__(self, name: str, value: Any) -> None:
        setattr(self.kind, name, value)


_of_class = functools.lru_cache(maxsize=1000)(_ClassSpace)
