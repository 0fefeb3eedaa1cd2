"""What lies inside a value: tensors, arrays, containers and plain objects that a forward pass may change."""

from __future__ import annotations

import dataclasses
import functools
import sys
import weakref
from array import array
from collections import deque
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from sam_edu.objectives import holders

LIMIT = 500  # things looked at in one value: a module's own notes, not the whole program
_ATOMS = frozenset((int, float, complex, bool, str, bytes, type(None), torch.dtype, torch.device))
_BARE = (bytearray, array)  # of numbers alone
_CONTAINERS = (list, dict, deque, set, *_BARE)


def inside(value: Any, home: str) -> list[Any]:
    """Everything in ``value`` that can change in place: tensors (arrays as such), containers, objects.

    Objects count if they are plain data or the user's own (of the package ``home``, or of no installed one):
    running meters, caches, statistics. A logger or a trainer that hangs on a module is not looked into.
    """
    if isinstance(value, Tensor):
        return [value]
    found: dict[int, Any] = {}
    queue = deque([value])
    while queue and len(found) < LIMIT:
        thing = queue.popleft()
        kind: Any = type(thing)
        if kind in _ATOMS or id(thing) in found:
            continue
        if isinstance(thing, Tensor):
            found[id(thing)] = thing
        elif isinstance(thing, tuple):
            queue.extend(thing[:LIMIT])
        elif isinstance(thing, weakref.ref):
            queue.append(thing())
        elif (numbers := holders.numbers(thing)) is not None:
            found[id(thing)] = numbers
        elif isinstance(thing, _CONTAINERS) or holders.held(thing) is not None or _own(kind, home):
            found[id(thing)] = thing
            if not isinstance(thing, _BARE):
                parts = content(thing)
                queue.extend(list(parts.values() if isinstance(parts, dict) else parts)[:LIMIT])
    return list(found.values())


def content(thing: Any) -> Any:
    """A shallow copy of what a container or an object holds."""
    if isinstance(thing, dict):
        return dict(thing)
    if isinstance(thing, _CONTAINERS):
        return list(thing)
    held = holders.held(thing)
    return attributes(thing) if held is None else held


def same(thing: Any, then: Any) -> bool:
    """Whether it still holds the very things that it held ``then``."""
    now = content(thing)
    return list(map(id, now)) == list(map(id, then)) and (
        not isinstance(now, dict) or all(now[name] is then[name] for name in now)
    )


def fill(thing: Any, then: Any) -> None:
    """Make it hold what it held ``then``."""
    if same(thing, then):
        return
    if isinstance(thing, array):
        thing[:] = array(thing.typecode, then)
        return
    if isinstance(thing, _CONTAINERS):
        thing.clear()
        (thing.update if isinstance(thing, dict | set) else thing.extend)(then)
        return
    if holders.held(thing) is not None:
        holders.hold(thing, then)
        return
    for name in attributes(thing).keys() - then.keys():
        object.__delattr__(thing, name)
    for name, value in then.items():
        object.__setattr__(thing, name, value)  # frozen dataclasses, too


def attributes(thing: Any) -> dict[str, Any]:
    """What an object holds, under its names: those in its dictionary, and in ``__slots__``."""
    found = dict(getattr(thing, "__dict__", ()))
    for kind in type(thing).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if not name.startswith("__") and hasattr(thing, name):
                found[name] = getattr(thing, name)
    return found


@functools.cache
def _own(kind: type, home: str) -> bool:
    if issubclass(kind, nn.Module | torch.optim.Optimizer | type):  # modules are watched by themselves
        return False
    package = kind.__module__.partition(".")[0]
    if dataclasses.is_dataclass(kind) or package in (home, "__main__", "collections", "types", "queue"):
        return True
    return users_own(kind.__module__)


@functools.cache
def users_own(module: str) -> bool:
    """Whether a Python module is neither of the standard library nor of an installed package."""
    path = getattr(sys.modules.get(module), "__file__", None) or "site-packages"
    return module == "__main__" or (
        module.partition(".")[0] not in sys.stdlib_module_names
        and not any(p in path for p in ("site-packages", "dist-pack"))
    )


def stream(thing: Any) -> bool:
    """Whether it is one of Python's iterators: counters, cycles, generators, which go one way only."""
    return hasattr(type(thing), "__next__") and type(thing).__module__ in ("builtins", "itertools")


def sample(tensor: Tensor) -> Tensor:
    """Copies of about a thousand entries."""
    flat = tensor.detach().reshape(-1)
    return flat[:: max(1, len(flat) // 1024)].clone()


def equal(a: Tensor, b: Tensor) -> bool:
    if torch.equal(a, b):
        return True
    return a.shape == b.shape and bool(((a == b) | (a != a) & (b != b)).all())  # NaN is NaN here


def odd(tensor: Tensor) -> bool:
    """Whether it cannot be copied, compared and written like others: sparse, expanded, quantized, foreign."""
    return (
        type(tensor) not in (Tensor, nn.Parameter)
        or tensor.layout is not torch.strided
        or tensor.is_quantized
        or tensor.is_nested
        or tensor.is_inference()
        or tensor.is_conj()
        or tensor.is_neg()
        or 0 in tensor.stride()
    )


def version(tensor: Tensor) -> int:
    """Torch's count of the writes; tensors of inference mode have none, and are not written."""
    return 0 if tensor.is_inference() else tensor._version


def clone(tensor: Tensor, limit: int) -> Tensor | None:
    """A copy, or None where there can be none: too large, or not foreseen by the kind of tensor."""
    try:
        return tensor.detach().clone() if tensor.numel() <= limit else None
    except (RuntimeError, TypeError):
        return None


def memory(tensor: Tensor) -> int:
    """Where its numbers lie; 0 for tensors that have no such place: sparse, sharded, uninitialised."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError, ValueError):
        return 0


def memories(weights: Iterable[Tensor]) -> frozenset[int]:
    """Where those lie that are trained, and so move."""
    return frozenset(memory(p) for p in weights if p.requires_grad) - {0}
