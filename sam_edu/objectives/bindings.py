"""Names that a pass binds anew: entries of a batch's dictionary, its attributes, variables of the closure.

``batch["x"] = normalised(batch["x"])``, ``inputs.pop("labels")`` and ``nonlocal hidden`` change what the next
pass starts from, as writing into a tensor does.
"""

from __future__ import annotations

import dis
import functools
from collections.abc import Iterable
from types import CodeType, FunctionType
from typing import Any

from torch import Tensor

from sam_edu.objectives import contents, holders

ENTRIES = 1000  # at most: a batch, no data set


class Bindings:
    """What some things hold under their names, at one moment."""

    def __init__(self, things: Iterable[Any]) -> None:
        self.then = [(thing, then) for thing in things if (then := _held(thing)) is not None]

    def changed(self) -> Bindings:
        """Those that are bound otherwise now, as they are now; here the ones from before stay.

        A list that has only grown is a note, not a batch.
        """
        now = Bindings(())
        pairs = [(thing, then, _content(thing)) for thing, then in self.then]
        pairs = [(thing, then, new) for thing, then, new in pairs if not _same(then, new)]
        self.then = [(thing, then) for thing, then, _ in pairs]
        now.then = [(thing, new) for thing, _, new in pairs]
        return now

    def put(self) -> None:
        for thing, then in self.then:
            if isinstance(thing, FunctionType):
                _bind(thing, then)
            else:
                contents.fill(thing, then)


def _held(thing: Any) -> Any:
    """What it holds, if it is a closure that binds variables or directly holds tensors; None otherwise."""
    if isinstance(thing, FunctionType):
        return _variables(thing) if any(_bound(thing.__code__)) else None
    if isinstance(thing, dict | list):
        found = _content(thing) if len(thing) <= ENTRIES else []
    else:
        found = contents.attributes(thing)
    values = found.values() if isinstance(found, dict) else found
    return found if any(map(_numbers, values)) else None


def _numbers(value: Any) -> bool:
    return isinstance(value, Tensor) or type(value).__module__ == "numpy" or holders.held(value) is not None


def _content(thing: Any) -> Any:
    return _variables(thing) if isinstance(thing, FunctionType) else contents.content(thing)


def _same(then: Any, now: Any) -> bool:
    if isinstance(then, list):
        return list(map(id, now[: len(then)])) == list(map(id, then))
    return then.keys() == now.keys() and all(now[name] is then[name] for name in then)


@functools.lru_cache(maxsize=1000)
def _bound(code: CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """Variables of functions around it, and global ones, that it (or a function inside it) binds."""
    outer, everywhere = set(), set()
    for step in dis.get_instructions(code):
        if step.opname in ("STORE_DEREF", "DELETE_DEREF"):
            outer.add(step.argval)
        elif step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            everywhere.add(step.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner = _bound(constant)
            outer |= inner[0]
            everywhere |= inner[1]
    return frozenset(outer & set(code.co_freevars)), frozenset(everywhere)


def _variables(function: FunctionType) -> dict[Any, Any]:
    """Those that it binds, by their names; with the dictionary or the cell that they are in."""
    outer, everywhere = _bound(function.__code__)
    found: dict[Any, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        if name in outer:
            try:
                found[name, True] = cell.cell_contents
            except ValueError:  # not filled yet
                continue
    space = function.__globals__
    found.update({(name, False): space[name] for name in everywhere if name in space})
    return found


def _bind(function: FunctionType, then: dict[Any, Any]) -> None:
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    for name, around in _variables(function).keys() - then.keys():
        if around:
            del cells[name].cell_contents
        else:
            del function.__globals__[name]
    for (name, around), value in then.items():
        if around:
            cells[name].cell_contents = value
        else:
            function.__globals__[name] = value
