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
    """The answer is a number within ``rel`` (relative) or ``absolute`` of the expected one.

    ``mistakes`` maps a hint to the value that a typical slip gives.
    """

    expected: Callable[[], float]
    right: str
    rel: float = 1e-3
    absolute: float = 0.0
    mistakes: Mapping[str, Callable[[], float]] = field(default_factory=dict)

    def _judge(self, answer: Any) -> tuple[bool, str]:
        try:
            value = float(answer)
        except (TypeError, ValueError, RuntimeError):  # RuntimeError: a tensor of several numbers
            return False, f"a number is wanted, got {_named(answer)}."
        if self._close(value, self.expected()):
            return True, f"correct. {self.right}"
        for hint, slip in self.mistakes.items():
            if self._close(value, slip()):
                return False, f"not yet. {hint}"
        side = "too large" if value > self.expected() else "too small"
        return False, f"not yet: {value:.6g} is {'not a number' if math.isnan(value) else side}."

    def _close(self, value: float, target: float) -> bool:
        return math.isclose(value, float(target), rel_tol=self.rel, abs_tol=self.absolute)

    def solution(self) -> float:
        return float(self.expected())


@dataclass(frozen=True)
class Function(Exercise):
    """The answer is a function that agrees with ``reference`` on every tuple of ``inputs``."""

    reference: Callable[..., Any]
    inputs: Callable[[], Sequence[tuple[Any, ...]]]
    right: str
    rel: float = 1e-6

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
            if not np.allclose(got, expected, rtol=self.rel, atol=1e-9):
                return False, f"not yet: for ({shown}) it gives {_short(got)}, not {_short(expected)}."
        return True, f"correct. {self.right}"

    def solution(self) -> Callable[..., Any]:
        return self.reference


@dataclass(frozen=True)
class Choice(Exercise):
    """The answer is one of the keys of ``feedback``; ``expected`` is the right one."""

    expected: str
    feedback: Mapping[str, str]

    def _judge(self, answer: Any) -> tuple[bool, str]:
        if not isinstance(answer, str) or answer not in self.feedback:
            options = ", ".join(map(repr, self.feedback))
            return False, f"choose one of {options}, got {_named(answer)}."
        verdict = answer == self.expected
        return verdict, f"{'correct' if verdict else 'not yet'}. {self.feedback[answer]}"

    def solution(self) -> str:
        return self.expected


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
