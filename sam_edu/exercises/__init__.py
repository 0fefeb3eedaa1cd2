"""The exercises that check themselves: expected answers are computed by the library, not typed.

One module per chapter (``ch06`` for chapter 6) with a dictionary ``EXERCISES`` from the exercise's
number to a :class:`Number`, :class:`Function` or :class:`Choice`.
"""

from __future__ import annotations

import importlib
import pkgutil

from sam_edu.exercises._kinds import Choice, Exercise, Function, Number

__all__ = ["Choice", "Exercise", "Function", "Number", "get", "numbers"]


def numbers() -> list[str]:
    """Numbers of all exercises, in the order of the book."""
    found: list[str] = []
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name.startswith("ch")):
        found += importlib.import_module(f"{__name__}.{module}").EXERCISES
    return found


def get(number: str) -> Exercise:
    """Look an exercise up by its number, such as "6.2".

    Raises
    ------
    KeyError
        If there is none; the message lists those of the chapter.

    Examples
    --------
    >>> get("4.4").judge(8 / 255 * 0.25)[0]
    True
    """
    chapter = str(number).partition(".")[0]
    try:
        module = importlib.import_module(f"{__name__}.ch{int(chapter):02d}")
        return module.EXERCISES[number]
    except (ModuleNotFoundError, ValueError, KeyError):
        known = ", ".join(n for n in numbers() if n.startswith(f"{chapter}.")) or "none here"
        raise KeyError(f"there is no exercise {number!r}; chapter {chapter} has {known}") from None
