"""Holders of other things that are neither lists nor dictionaries, and memory that is no tensor."""

from __future__ import annotations

import contextvars
import ctypes
import sys
import threading
import weakref
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

_WEAK = (weakref.WeakKeyDictionary, weakref.WeakValueDictionary, WeakIdKeyDictionary)
_RAW = (ctypes.Array, ctypes.Structure, ctypes.Union, ctypes._SimpleCData)
_UNSET = object()


def held(thing: Any) -> list[Any] | dict[Any, Any] | None:
    """A shallow copy of what it holds: a thread-local or context variable, weak dictionaries and sets, arrays
    of objects. None for all else.
    """
    if isinstance(thing, threading.local):
        return dict(vars(thing))  # this thread's
    if isinstance(thing, _WEAK):
        return dict(thing.items())
    if isinstance(thing, weakref.WeakSet):
        return list(thing)
    if isinstance(thing, contextvars.ContextVar):
        return [thing.get(_UNSET)]
    if _is_array(thing) and thing.dtype == object:
        return list(thing.flat)
    return None


def hold(thing: Any, then: Any) -> None:
    """Make it hold what ``held`` has found."""
    if isinstance(thing, threading.local):
        vars(thing).clear()
        vars(thing).update(then)
    elif isinstance(thing, contextvars.ContextVar):
        _set(thing, then[0])
    elif _is_array(thing):
        for at, value in zip(_places(thing), then, strict=True):
            thing[at] = value
    else:
        thing.clear()
        thing.update(then)


def _set(variable: contextvars.ContextVar[Any], value: Any) -> None:
    if value is not _UNSET:
        variable.set(value)
        return
    try:  # nothing makes it unset again: its default stands there
        variable.set(contextvars.Context().run(variable.get))
    except LookupError:
        return


def numbers(thing: Any) -> Tensor | None:
    """Raw memory as a tensor on it: NumPy arrays of whatever layout, ctypes, values shared by processes."""
    if type(thing).__module__ == "multiprocessing.sharedctypes":
        thing = thing.get_obj()
    if isinstance(thing, _RAW):
        return torch.frombuffer(thing, dtype=torch.uint8) if ctypes.sizeof(thing) else None
    if not _is_array(thing) or not thing.flags.writeable or thing.dtype.hasobject or not thing.size:
        return None
    forwards = thing[tuple(slice(None, None, -1 if step < 0 else 1) for step in thing.strides)]
    try:
        return torch.from_numpy(forwards)
    except (TypeError, ValueError):  # times, texts, records, the other order of bytes
        return torch.from_numpy(forwards[..., None].view("u1"))


def _is_array(thing: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(thing, numpy.ndarray)


def _places(array: Any) -> Any:
    return sys.modules["numpy"].ndindex(array.shape)
