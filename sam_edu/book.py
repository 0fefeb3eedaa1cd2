"""What the book's notebooks need besides the library: numbers for the prose, and exercises.

Works the same in the built book, in JupyterLab and in Colab (where MyST-NB is absent and ``glue``
has nobody to hand its numbers to).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sam_edu import exercises


def glue(name: str, value: Any) -> None:
    """Hand ``value`` to the prose, which shows it with a role such as ``{glue:text}`name:.1f```.

    Raises
    ------
    ValueError
        If the value is NaN or infinite: prose must not quote it.
    """
    value = value.item() if hasattr(value, "item") else value  # NumPy and torch scalars print their type
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"glue({name!r}) got {value}; the text would print it as a result")
    try:
        from myst_nb import glue as myst_glue
    except ImportError:
        return
    myst_glue(name, value, display=False)


@dataclass(frozen=True, eq=False)
class Verdict:
    """Whether an answer is right: a bool for code, and nothing below a cell, where the message has said it.

    Examples
    --------
    >>> bool(Verdict(True)), Verdict(False) == False
    (True, True)
    """

    right: bool

    def __bool__(self) -> bool:
        return self.right

    def __eq__(self, other: object) -> bool:
        return self.right == bool(other) if isinstance(other, (bool, Verdict)) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.right)

    def __repr__(self) -> str:
        return str(self.right)

    def _ipython_display_(self) -> None:
        """Notebooks ask this before they show a value."""


def check(exercise: str, answer: Any) -> Verdict:
    """Check the answer to an exercise, print what is right or wrong about it, return the verdict.

    Parameters
    ----------
    exercise : str
        Its number in the book, such as "6.2".
    answer : number, str or callable
        As the exercise asks; ``...`` is the empty answer that every exercise starts with.

    Examples
    --------
    >>> check("6.1", ...)
    Exercise 6.1: replace the ... by your answer, then run the cell again.
    False
    """
    verdict, message = exercises.get(exercise).judge(answer)
    print(f"Exercise {exercise}: {message}")
    return Verdict(verdict)
