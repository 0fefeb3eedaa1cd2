"""Checks of what a reader types: one line that says what was wrong, what was expected, what to do."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any


def number(
    name: str,
    value: Any,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    open_low: bool = False,
    open_high: bool = False,
    hint: str = "",
) -> float:
    """Return ``value`` as a float inside the interval from ``low`` to ``high``.

    Raises
    ------
    TypeError
        If ``value`` is not a number.
    ValueError
        If it is NaN or outside the interval (an end is excluded where ``open_low``/``open_high``).
    """
    try:
        number = float(value)
    except (TypeError, ValueError, RuntimeError):  # RuntimeError: a torch tensor of several numbers
        raise TypeError(f"{name} must be a number, got {_shown(value)}{_tail(hint)}") from None
    below = number <= low if open_low else number < low
    above = number >= high if open_high else number > high
    if math.isnan(number) or below or above:
        interval = _interval(low, high, open_low, open_high)
        if number == high == math.inf:
            interval += " and finite"
        raise ValueError(f"{name} must be {interval}, got {value!r}{_tail(hint)}")
    return number


def _interval(low: float, high: float, open_low: bool, open_high: bool) -> str:
    left = "" if low == -math.inf else (f"> {low:g}" if open_low else f">= {low:g}")
    right = "" if high == math.inf else (f"< {high:g}" if open_high else f"<= {high:g}")
    if not left and not right:
        return "a number, not NaN"
    return " and ".join(part for part in (left, right) if part)


def integer(name: str, value: Any, *, low: int = 0, hint: str = "") -> int:
    """Return ``value`` as an int >= ``low``; raise TypeError or ValueError with one clear line."""
    if isinstance(value, bool) or not number(name, value, hint=hint).is_integer():
        raise TypeError(f"{name} must be a whole number, got {value!r}{_tail(hint)}")
    return int(number(name, value, low=low, hint=hint))


def listed(name: str, values: Any, hint: str = "") -> list[Any]:
    """Several values as a list; TypeError if ``values`` is a single one, or a text."""
    try:
        if not isinstance(values, str):
            return list(values)
    except TypeError:
        pass
    raise TypeError(f"{name} must be several, as in a list, got {_shown(values)}{_tail(hint)}")


def radii(values: Iterable[float]) -> list[float]:
    """Radii of an attack as a list of numbers >= 0; TypeError if it is one number, or something else."""
    hint = "write [8 / 255], or [2 / 255, 8 / 255]"
    return [number("a radius", eps, low=0, hint=hint) for eps in listed("radii", values, hint)]


def level(value: float) -> float:
    """A level of significance, from 0 to 1: 5 per cent is 0.05."""
    return number("level", value, low=0, high=1, hint="5 % is 0.05")


def seeds(given: Iterable[int], where: str = "") -> list[int]:
    """The seeds as a list; ValueError, which begins with ``where``, if one comes twice.

    The same run, counted as two seeds, would make every mean look surer than it is. TypeError if they are no
    whole numbers, or a single one.
    """
    found = [integer("a seed", seed) for seed in listed("seeds", given, "write range(3), or [0, 1, 2]")]
    if len(set(found)) < len(found):
        raise ValueError(
            f"{where and f'{where}: '}each seed is a run of its own and counts once, got {found}; leave out "
            "those that come again"
        )
    return found


def choice(name: str, value: Any, choices: Iterable[Any], hint: str = "") -> Any:
    """Return ``value`` if it is one of ``choices``; raise ValueError that lists them otherwise."""
    choices = tuple(choices)
    if value not in choices:
        known = ", ".join(map(repr, choices))
        raise ValueError(f"{name} must be one of {known}, got {value!r}{_tail(hint)}")
    return value


def _shown(value: Any) -> str:
    """The value as a reader knows it, in one short line: of an array, its kind and shape."""
    shape = getattr(value, "shape", None)
    text = repr(value) if shape is None else f"{type(value).__name__} of shape {tuple(shape)}"
    return text if len(text) <= 80 and "\n" not in text else type(value).__name__


def _tail(hint: str) -> str:
    return f"; {hint}" if hint else ""
