"""Three kinds of exercise: a number, a function, a choice. Each judges an answer in one sentence."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

EMPTY = "replace the ... by your answer, then run the cell again."
EMPTY_FUNCTION = "your function returns nothing yet; write its body, then run the cell again."


class Exercise:
    """Judges an answer: verdict and a message that helps."""

    def judge(self, answer: Any) -> tuple[bool, str]:
        if answer is ... or answer is None:
            return False, EMPTY
        return self._judge(answer)

    def _judge(self, answer: Any) -> tuple[bool, str]:
        raise NotImplementedError

    def solution(self) -> Any:
        """An answer that passes."""
        raise NotImplementedError


@dataclass(frozen=True)
class Number(Exercise):
    """The answer is a number that agrees with the expected one when both are rounded as the exercise asks.

    Right is what lies within half a unit of the last of ``digits`` significant digits of the expected
    value, or within ``absolute`` of it, where the answer is a step of a slider. ``mistakes`` maps a hint to
    the value that a typical slip gives.
    """

    expected: Callable[[], float]
    right: str
    digits: int = 3
    absolute: float = 0.0
    mistakes: Mapping[str, Callable[[], float]] = field(default_factory=dict)

    def _judge(self, answer: Any) -> tuple[bool, str]:
        try:
            value = float(answer)
        except (TypeError, ValueError, RuntimeError):  # RuntimeError: a tensor of several numbers
            return False, f"a number is wanted, got {_named(answer)}."
        if isinstance(answer, str) and not math.isfinite(value):
            return False, f"a number is wanted, got {_named(answer)}."
        if self._close(value, self.expected()):
            return True, f"correct. {self.right}"
        for hint, slip in self.mistakes.items():
            if self._close(value, slip()):
                return False, f"not yet. {hint}"
        if math.isnan(value):
            return False, "not yet: nan is not a number."
        side = "too large" if value > self.expected() else "too small"
        near = abs(value - self.expected()) < 0.02 * abs(self.expected())
        more = f"; it is close: give {self.digits} digits" if near and not self.absolute else ""
        return False, f"not yet: {value:.6g} is {side}{more}."

    def _close(self, value: float, target: float) -> bool:
        return abs(value - float(target)) < self.tolerance(float(target)) * (1 - 1e-9)

    def tolerance(self, target: float) -> float:
        """Half a unit of the last digit that is asked for."""
        place = math.floor(math.log10(abs(target))) if target else 0
        return max(0.5 * 10.0 ** (place + 1 - self.digits), self.absolute)

    def to_dict(self) -> dict[str, Any]:
        """What a page needs to judge the answer by the same rules."""
        slips = [
            {"value": float(slip()), "within": self.tolerance(float(slip())), "hint": hint}
            for hint, slip in self.mistakes.items()
        ]
        value = float(self.expected())
        return {"kind": "number", "value": value, "within": self.tolerance(value), "right": self.right,
                "digits": self.digits, "steps": bool(self.absolute), "mistakes": slips}  # fmt: skip

    def solution(self) -> float:
        return float(self.expected())


@dataclass(frozen=True)
class Function(Exercise):
    """The answer is a function that agrees with ``reference`` on every tuple of ``inputs``.

    Where ``exact(*arguments)`` is true it must agree bit for bit. ``also(value, *arguments)`` says whether
    another value than the reference's is right, too, where several are.
    """

    reference: Callable[..., Any]
    inputs: Callable[[], Sequence[tuple[Any, ...]]]
    right: str
    exact: Callable[..., bool] = lambda *_: False
    also: Callable[..., bool] = lambda *_: False

    def _judge(self, answer: Any) -> tuple[bool, str]:
        if not callable(answer):
            return False, f"a function is wanted, got {type(answer).__name__}."
        for arguments in self.inputs():
            shown = ", ".join(_short(a) for a in arguments)
            expected = np.asarray(self.reference(*arguments), dtype=float)
            try:
                returned = answer(*arguments)
                if returned is None or returned is ...:
                    return False, EMPTY_FUNCTION
                got = np.asarray(returned, dtype=float)
            except Exception as error:  # whatever the reader's function raises is the message
                return False, f"your function raised {type(error).__name__} for ({shown}): {error}"
            if got.shape != expected.shape:
                return False, f"for ({shown}) the shape is {got.shape}, expected {expected.shape}."
            exact = self.exact(*arguments)
            wrong = got != expected if exact else ~np.isclose(got, expected, rtol=1e-6, atol=1e-9)
            if wrong.any() and not self.also(got, *arguments):
                return False, f"not yet: for ({shown}) it gives {_difference(got, expected, wrong)}."
        return True, f"correct. {self.right}"

    def solution(self) -> Callable[..., Any]:
        return self.reference


@dataclass(frozen=True)
class Choice(Exercise):
    """The answer is one of the keys of ``feedback``; ``expected`` is the right one."""

    expected: str
    feedback: Mapping[str, str]

    def _judge(self, answer: Any) -> tuple[bool, str]:
        known = {_plain(key): key for key in self.feedback}
        chosen = known.get(_plain(answer)) if isinstance(answer, str) else None
        if chosen is None:
            options = ", ".join(map(repr, self.feedback))
            return False, f"choose one of {options}, got {_named(answer)}."
        verdict = chosen == self.expected
        return verdict, f"{'correct' if verdict else 'not yet'}. {self.feedback[chosen]}"

    def to_dict(self) -> dict[str, Any]:
        """What a page needs to judge the answer by the same rules."""
        return {"kind": "choice", "expected": self.expected, "feedback": dict(self.feedback)}

    def solution(self) -> str:
        return self.expected


def _plain(text: str) -> str:
    """Capitals, outer blanks and the kind of hyphen do not matter in a choice."""
    return " ".join(text.casefold().replace("\u2011", "-").replace("\u2013", "-").split())


def _difference(got: np.ndarray, expected: np.ndarray, wrong: np.ndarray) -> str:
    """The value, or the first entry that differs, beside the right one."""
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    mine, right = (float(array[at]) for array in (got, expected))
    digits = next((n for n in (4, 8, 17) if f"{mine:.{n}g}" != f"{right:.{n}g}"), 17)
    place = "" if not at else f" at entry {at[0] if len(at) == 1 else at}"
    return f"{mine:.{digits}g}{place}, not {right:.{digits}g}"


def _named(value: Any) -> str:
    """A wrong answer as its author knows it, in one line."""
    text = repr(value)
    return text if len(text) <= 60 and "\n" not in text else type(value).__name__


def _short(value: Any) -> str:
    if isinstance(value, str):
        return repr(value)
    array = np.asarray(value.detach().numpy() if hasattr(value, "detach") else value)
    if array.dtype == object:
        return type(value).__name__
    return f"{array.item():.4g}" if array.size == 1 else f"array of shape {array.shape}"
