"""How robust is a model? The minimum over a ladder of attacks, with its uncertainty and its doubts.

The protocol follows Carlini et al. (2019, arXiv 1902.06705) and Croce et al. (RobustBench, 2021, arXiv
2010.09670): the verdict is per sample and worst case, a sample that is wrong when clean counts as not
robust, and a robust accuracy is never reported without the attacks that it survived.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sam_edu import _check, _ladder, _sanity
from sam_edu._guards import attack_mode, check_inputs


@dataclass(frozen=True)
class RungResult:
    """Accuracy after one rung: of all samples, those that this and every earlier rung left standing."""

    label: str
    accuracy: float
    attacked: int
    seconds: float


@dataclass(frozen=True)
class AtRadius:
    """Everything about one radius ``eps``; ``robust`` has the verdict of each sample."""

    eps: float
    accuracy: float
    interval: tuple[float, float]
    per_class: list[float]
    rungs: list[RungResult]
    robust: list[bool] = field(repr=False)


@dataclass(frozen=True)
class EvaluationRecord:
    """Result of :func:`evaluate`.

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

    def entry(self, eps: float) -> AtRadius:
        """Everything that was measured at this radius.

        Raises
        ------
        KeyError
            If it was not evaluated; the message lists the radii that were.
        """
        for entry in self.at:
            if abs(entry.eps - eps) < 1e-12:
                return entry
        measured = ", ".join(f"{entry.eps:.4g}" for entry in self.at)
        raise KeyError(f"eps = {eps:.4g} was not evaluated; measured: {measured}")

    def robust_accuracy(self, eps: float) -> float:
        """The minimum over the ladder at this radius."""
        return self.entry(eps).accuracy

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, ready for JSON; the verdicts as a string of hex digits."""
        plain = asdict(self)
        for entry in plain["at"]:
            entry["robust"] = _packed(entry["robust"])
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
                        "robust": _unpacked(entry["robust"])})
            for entry in plain["at"]
        ]  # fmt: skip
        interval = tuple(plain["clean_interval"])
        clean = {"clean": _unpacked(plain["clean"])} if "clean" in plain else {}
        return cls(**{**plain, "at": entries, "clean_interval": interval, **clean})

    def table(self) -> str:
        """The ladder as text: one line per radius and rung."""
        low, high = self.clean_interval
        lines = [f"n = {self.n}, {self.norm}, ladder {self.ladder!r}",
                 f"clean accuracy {self.clean_accuracy:6.1%}  [{low:.1%}, {high:.1%}]"]  # fmt: skip
        for entry in self.at:
            low, high = entry.interval
            lines.append(f"eps {entry.eps:.4g}: {entry.accuracy:6.1%}  [{low:.1%}, {high:.1%}]")
            lines += [f"    after {r.label:<28} {r.accuracy:6.1%}" for r in entry.rungs]
        return "\n".join([*lines, *(f"flag: {flag}" for flag in self.flags)])


def evaluate(model: nn.Module, x: Tensor, y: Tensor, eps: float | Sequence[float],
             norm: str = "linf", ladder: str = "quick", batch_size: int = 512,
             seed: int = 0) -> EvaluationRecord:  # fmt: skip
    """Attack a classifier with a ladder of attacks and report the worst case.

    Each rung attacks only the samples that are still standing, and a larger radius only those that no
    smaller one has broken (an adversarial example stays one in a larger ball).

    Parameters
    ----------
    model : torch.nn.Module
        Pixels in [0, 1] -> logits. Evaluated in eval mode; modes and gradients are left as found.
    x, y : Tensor
        Images (n, channels, height, width) in [0, 1], labels (n,). Use a stated, fixed test subset.
    eps : float or sequence of float
        Radii > 0 in pixel units.
    norm : {"linf", "l2"}
    ladder : {"quick", "standard"}
        "quick" ends with APGD-CE-20 and APGD-T-20; "standard" adds the official AutoAttack at 100
        steps (minutes for a small net and hundreds of images).

    Raises
    ------
    ValueError
        If an input is out of range, the model is not deterministic, or an attack left its ball.

    Examples
    --------
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    >>> record = evaluate(model, torch.rand(6, 1, 2, 2), torch.tensor([0, 1, 2, 0, 1, 2]), eps=0.1)
    >>> record.robust_accuracy(0.1) <= record.clean_accuracy
    True
    """
    radii = sorted(float(e) for e in ([eps] if isinstance(eps, int | float) else eps))
    for value in radii:
        _check.number("eps", value, low=0, open_low=True, hint="clean accuracy comes by itself")
    _check.choice("norm", norm, ("linf", "l2"))
    _check.choice("ladder", ladder, _ladder.LADDERS)
    check_inputs(x, y)
    if len(x) == 0:
        raise ValueError("there is no sample to evaluate: x is empty")
    started, n = time.perf_counter(), len(x)
    with attack_mode(model):
        logits = _sanity.checked_logits(model, x, y, batch_size)
        clean = logits.argmax(1) == y
        classes = logits.shape[1]
        rungs = _ladder.build(ladder, norm, classes, seed)
        standing, entries = clean.clone(), []
        for radius in radii:
            results = [_climb(rung, model, x, y, radius, norm, batch_size, standing)
                       for rung in rungs]  # fmt: skip
            hits = int(standing.sum())
            by_class = _per_class(standing, y, classes)
            entries.append(AtRadius(radius, hits / n, wilson(hits, n), by_class, results,
                                    standing.tolist()))  # fmt: skip
        flags = _sanity.flags(model, x, y, logits, radii[-1] if radii else 0.0, norm, seed)
    hits = int(clean.sum())
    return EvaluationRecord(n, norm, ladder, hits / n, wilson(hits, n),
                            _per_class(clean, y, classes), entries, flags,
                            time.perf_counter() - started, clean.tolist())  # fmt: skip


def _climb(rung: _ladder.Rung, model: nn.Module, x: Tensor, y: Tensor, eps: float, norm: str,
           batch_size: int, standing: Tensor) -> RungResult:  # fmt: skip
    """Attack the samples still standing and strike out (in place) those that fall."""
    started, left = time.perf_counter(), standing.nonzero().squeeze(1)
    for chosen in left.split(batch_size):
        if len(chosen) == 0:
            continue
        attacked = rung.attack(model, x[chosen], y[chosen], eps).detach()
        _sanity.check_in_ball(rung.label, x[chosen], attacked, eps, norm)
        with torch.no_grad():
            standing[chosen] = model(attacked).argmax(1) == y[chosen]
    accuracy = float(standing.double().mean())
    return RungResult(rung.label, accuracy, len(left), time.perf_counter() - started)


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


def _packed(verdicts: Sequence[bool]) -> str:
    """One bit per sample as hex digits; a leading 1 keeps leading zeros."""
    bits = "".join("1" if verdict else "0" for verdict in verdicts)
    return f"{int('1' + bits, 2):x}"


def _unpacked(digits: str) -> list[bool]:
    return [bit == "1" for bit in f"{int(digits, 16):b}"[1:]]


def _per_class(hit: Tensor, y: Tensor, classes: int) -> list[float]:
    """Share of hits in each class; NaN where the class has no sample."""
    return [float(hit[y == c].double().mean()) for c in range(classes)]
