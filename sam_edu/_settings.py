"""Settings as plain numbers, whatever library they come from."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

from sam_edu import _check


def plain(name: str, value: Any, kind: str) -> Any:
    """``value`` as what ``kind`` says: "int", "float", "bool", "str", "... | None" or "tuple[float, ...]".

    Raises
    ------
    TypeError
        If it is something else.
    """
    if kind.endswith(" | None"):
        return None if value is None else plain(name, value, kind.removesuffix(" | None"))
    if kind == "tuple[float, ...]":
        if isinstance(value, str) or not isinstance(value, Iterable) or getattr(value, "ndim", 1) == 0:
            raise TypeError(f"{name} must be several numbers, such as (0.1,), got {value!r}")
        return tuple(_float(name, part) for part in value)
    if kind == "float":
        return _float(name, value)
    if kind == "int":
        if not _whole(name, value):
            return None
        return operator.index(value) if hasattr(value, "__index__") else int(_check.number(name, value))
    if kind == "bool":
        if value not in (True, False):
            raise TypeError(f"{name} must be True or False, got {value!r}")
        return bool(value)
    return "".join(value) if isinstance(value, str) else value  # of an enum's text the text itself


def _whole(name: str, value: Any) -> bool:
    if isinstance(value, bool | np.bool_) or not _check.number(name, value).is_integer():
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    return True


def _float(name: str, value: Any) -> float:
    number = _check.number(name, value)
    size = getattr(getattr(value, "dtype", None), "itemsize", 8)
    # a float32 0.1 is 0.10000000149...: it counts as the shortest number that prints the same, 0.1
    # (plus 0: there is one zero, not two with two ids)
    return (float(str(np.float32(number))) if size < 8 and _floating(value) else number) + 0.0


def _floating(value: Any) -> bool:
    return bool(getattr(value, "is_floating_point", lambda: np.issubdtype(value.dtype, np.floating))())
