"""What an evaluation found: attacks, radii, verdicts and intervals, as a record that JSON keeps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sam_edu import _check
from sam_edu._text import pixels

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class RungResult:
    """Accuracy after one rung: of all samples, those that this and every earlier rung left standing."""

    label: str
    accuracy: float
    attacked: int
    seconds: float


@dataclass(frozen=True)
class AtRadius:
    """Everything about one radius ``eps``; ``robust`` has the verdict of each sample.

    ``proved`` (with ``evaluate(..., certify=True)``, else None) says of each sample whether no attack can
    break it; what is robust and not proved is unknown.
    """

    eps: float
    accuracy: float
    interval: tuple[float, float]
    per_class: list[float]
    rungs: list[RungResult]
    robust: list[bool] = field(repr=False)
    proved: list[bool] | None = field(default=None, repr=False)

    @property
    def bracket(self) -> tuple[float, float]:
        """Robust accuracy lies between the share proved (0 if nobody asked) and the share left standing."""
        proved = self.proved or []
        return sum(proved) / max(len(proved), 1), self.accuracy


@dataclass(frozen=True)
class EvaluationRecord:
    """Result of :func:`~sam_edu.evaluation.evaluate`.

    Attributes
    ----------
    n, norm, ladder : sample size, norm of the attacks, name of the ladder
    clean_accuracy, clean_interval, clean_per_class : without attack
    at : list of AtRadius
        One entry per radius, ascending.
    flags : list of str
        Doubts: signs that the attacks, not the model, are the limit. Empty is good.
    clean : list of bool or None
        The verdict of each sample without attack; older records do not have it.
    """

    n: int
    norm: str
    ladder: str
    clean_accuracy: float
    clean_interval: tuple[float, float]
    clean_per_class: list[float]
    at: list[AtRadius]
    flags: list[str]
    seconds: float
    clean: list[bool] | None = field(default=None, repr=False)

    @property
    def attacked(self) -> list[AtRadius]:
        """What was measured under attack: without an entry of radius 0, which is the clean accuracy again."""
        return [entry for entry in self.at if entry.eps > 0]

    def entry(self, eps: float) -> AtRadius:
        """Everything that was measured at this radius; 8/255 finds 8/255 in float32, too.

        Raises
        ------
        KeyError
            If it was not evaluated; the message lists the radii that were.
        """
        eps = _check.number("eps", eps)
        for entry in self.at:
            if same_radius(entry.eps, eps):
                return entry
        measured = ", ".join(_radius(entry.eps) for entry in self.at)
        raise KeyError(f"eps = {_radius(eps)} was not evaluated; measured: {measured}")

    def robust_accuracy(self, eps: float) -> float:
        """The minimum over the ladder at this radius."""
        return self.entry(eps).accuracy

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, ready for JSON; the verdicts as a string of hex digits."""
        plain = asdict(self)
        for entry in plain["at"]:
            entry["robust"] = _packed(entry["robust"])
            proved = entry.pop("proved")  # records without proofs stay as they were
            entry |= {} if proved is None else {"proved": _packed(proved)}
        if self.clean is None:
            del plain["clean"]
        else:
            plain["clean"] = _packed(self.clean)
        return plain

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> EvaluationRecord:
        """Inverse of :meth:`to_dict`."""
        entries = [
            AtRadius(**{**entry, "interval": tuple(entry["interval"]),
                        "rungs": [RungResult(**rung) for rung in entry["rungs"]],
                        "robust": _unpacked(entry["robust"]),
                        "proved": _unpacked(entry["proved"]) if "proved" in entry else None})
            for entry in plain["at"]
        ]  # fmt: skip
        interval = tuple(plain["clean_interval"])
        clean = {"clean": _unpacked(plain["clean"])} if "clean" in plain else {}
        return cls(**{**plain, "at": entries, "clean_interval": interval, **clean})

    def table(self) -> str:
        """The ladder as text: one line per radius and rung."""
        low, high = self.clean_interval
        lines = [
            f"n = {self.n}, {self.norm}, ladder {self.ladder!r}",
            f"clean accuracy {self.clean_accuracy:6.1%}  [{low:.1%}, {high:.1%}]",
        ]
        for entry in self.at:
            low, high = entry.interval
            lines.append(f"eps {entry.eps:.4g}: {entry.accuracy:6.1%}  [{low:.1%}, {high:.1%}]")
            if entry.proved is not None:
                low, high = entry.bracket
                lines.append(f"    robust accuracy is between {low:.1%} (proved) and {high:.1%} (not broken)")
            lines += [f"    after {r.label:<28} {r.accuracy:6.1%}" for r in entry.rungs]
        return "\n".join([*lines, *(f"flag: {flag}" for flag in self.flags)])


def wilson(hits: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's 95 % confidence interval of a proportion (Wilson 1927): test-sampling error only.

    Examples
    --------
    >>> [round(end, 3) for end in wilson(50, 100)]
    [0.404, 0.596]
    >>> [round(end, 3) for end in wilson(0, 100)]
    [0.0, 0.037]
    """
    centre, spread = (hits + z * z / 2) / (n + z * z), z / (n + z * z)
    half = spread * (hits * (n - hits) / n + z * z / 4) ** 0.5
    # the interval holds the estimate, also after rounding: error bars must not have negative lengths
    return min(max(0.0, centre - half), hits / n), max(min(1.0, centre + half), hits / n)


def per_class(hit: Tensor, y: Tensor, classes: int) -> list[float]:
    """Share of hits in each class; NaN where the class has no sample.

    Examples
    --------
    >>> import torch
    >>> per_class(torch.tensor([True, False, True]), torch.tensor([0, 0, 1]), 2)
    [0.5, 1.0]
    """
    return [float(hit[y == c].double().mean()) for c in range(classes)]


def same_radius(one: float, other: float) -> bool:
    """Whether two radii are equal up to the rounding of float32.

    Examples
    --------
    >>> same_radius(8 / 255, 0.0313725508749485)
    True
    """
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-12)


def _radius(eps: float) -> str:
    """As it was asked for: a decimal where that is exact, or grey levels, or long enough for near ones."""
    said = f"{eps:.6g}"
    return pixels(eps) if float(said) != eps and "/" in pixels(eps) else said


def _packed(verdicts: Sequence[bool]) -> str:
    """One bit per sample as hex digits; a leading 1 keeps leading zeros."""
    bits = "".join("1" if verdict else "0" for verdict in verdicts)
    return f"{int('1' + bits, 2):x}"


def _unpacked(digits: str) -> list[bool]:
    return [bit == "1" for bit in f"{int(digits, 16):b}"[1:]]
