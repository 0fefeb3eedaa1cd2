"""Are two methods different? Paired tests over seeds, the error of a finite test set, honest choices.

Three sources of error are kept apart: other seeds (:func:`compare`), other test images
(:func:`image_error`) and the freedom to choose (:func:`choose`: on one half of the images, reported on
the other).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from sam_edu.experiments import summary
from sam_edu.experiments.records import Record

Records = Sequence[Record]
NOTHING = 1e-12  # a difference of accuracies that is a rounding error


@dataclass(frozen=True)
class Comparison:
    """A method against a reference, paired over the seeds, in units of accuracy (0.01 is one point).

    Attributes
    ----------
    difference : Spread
        Mean and sample standard deviation of the differences.
    interval : (float, float)
        95 % interval of the mean difference over seeds (Student's t).
    effect : float
        Cohen's d_z, mean over standard deviation of the differences.
    p, p_holm : float
        Two-sided paired t-test; corrected for the number of comparisons made together (Holm 1979).
    """

    label: str
    difference: summary.Spread
    interval: tuple[float, float]
    effect: float
    p: float
    p_holm: float


def compare(groups: Mapping[str, Records], reference: str, eps: float, norm: str = "linf",
            labels: Sequence[str] | None = None) -> list[Comparison]:  # fmt: skip
    """Compare several groups with one reference at radius ``eps`` (0: clean), all tests corrected together.

    Raises
    ------
    ValueError
        With fewer than two seeds, unequal seeds, or nothing to compare.
    """
    chosen = [label for label in groups if label != reference] if labels is None else list(labels)
    if not chosen:
        raise ValueError("there is nothing to compare: labels is empty")
    differences = [summary.gain(groups[label], groups[reference], eps, norm) for label in chosen]
    if min(d.n for d in differences) < 2:
        raise ValueError("a test over seeds needs at least two seeds")
    ps = [paired_p(d) for d in differences]
    return [Comparison(label, d, _interval(d), _effect(d), p, q)
            for label, d, p, q in zip(chosen, differences, ps, holm(ps), strict=True)]  # fmt: skip


def columns(groups: Mapping[str, Records], reference: str, eps: float, norm: str = "linf",
            labels: Sequence[str] | None = None) -> dict[str, list[str]]:  # fmt: skip
    """What :func:`compare` finds, in points, as the columns of a table; of one seed only the difference.

    Columns: method, difference at ``eps``, 95 % interval, effect, p (Holm), the same without attack, and the
    standard error from the test images.
    """
    chosen = [label for label in groups if label != reference] if labels is None else list(labels)
    base, unknown = groups[reference], ["–"] * len(chosen)
    attacked, clean = ([summary.gain(groups[n], base, e, norm) for n in chosen] for e in (eps, 0))
    several = len(base) > 1 and len(chosen) > 0
    tests, clean_tests = (compare(groups, reference, e, norm, chosen) if several else [] for e in (eps, 0))
    return {
        "method": chosen,
        "attacked": [_points(d.mean) for d in attacked],
        "95 % interval": [" to ".join(map(_points, c.interval)) for c in tests] or unknown,
        "effect": [f"{c.effect:.1f}" for c in tests] or unknown,
        "p": [_p(c.p_holm) for c in tests] or unknown,
        "clean": [_points(d.mean) for d in clean],
        "p, clean": [_p(c.p_holm) for c in clean_tests] or unknown,
        "images": [f"± {100 * image_error(groups[n], base, eps, norm):.1f}" for n in chosen],
    }


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _effect(d: summary.Spread) -> float:
    if d.sd < NOTHING:
        return float(np.copysign(np.inf, d.mean)) if abs(d.mean) > NOTHING else 0.0
    return d.mean / d.sd


def paired_p(d: summary.Spread) -> float:
    """Two-sided p-value of paired differences of two seeds or more: Student's t.

    Where all seeds differ by the same few images there is no *t*; then the exact sign test.
    """
    if d.sd < NOTHING:
        return 2 * 0.5**d.n if abs(d.mean) > NOTHING else 1.0
    return float(2 * stdtr(d.n - 1, -abs(d.mean) / (d.sd / np.sqrt(d.n))))


def _interval(d: summary.Spread) -> tuple[float, float]:
    half = stdtrit(d.n - 1, 0.975) * d.sd / np.sqrt(d.n)
    return float(d.mean - half), float(d.mean + half)


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's step-down correction: p-values that bound the chance of any false alarm among all tests."""
    p = np.asarray(ps, dtype=float)
    order = np.argsort(p)
    raised = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    corrected = np.empty_like(raised)
    corrected[order] = raised
    return corrected.tolist()


def image_error(records: Records, reference: Records, eps: float, norm: str = "linf") -> float:
    """Standard error of the mean difference from the finite number of test images.

    The verdicts of all seeds are averaged for each image first: seeds share their images.
    """
    difference = verdicts(records, eps, norm).mean(0) - verdicts(reference, eps, norm).mean(0)
    return float(difference.std(ddof=1) / np.sqrt(len(difference)))


def verdicts(records: Records, eps: float, norm: str = "linf") -> NDArray:
    """Which image survived the whole ladder in which run: shape (seeds, images), 0 or 1."""
    try:
        rows = [summary.evaluation(record, norm).entry(eps).robust for record in records]
    except KeyError as error:
        raise ValueError(f"these runs were not attacked in {norm} at this radius: {error.args[0]}") from None
    return np.array(rows, dtype=float)


@dataclass(frozen=True)
class Choice:
    """What was chosen on one half of the test images and how it does on the other."""

    label: str
    chosen_on: float
    reported: float


def choose(groups: Mapping[str, Records], eps: float, norm: str = "linf",
           score: Callable[[NDArray], float] = np.mean) -> tuple[Choice, Choice]:  # fmt: skip
    """Choose a group by its accuracy at ``eps`` on even images, report on odd ones; then the reverse.

    The better of many results, judged on the images it was chosen by, flatters itself.
    ``score`` maps verdicts (seeds, images) to the number that is maximised.
    """
    table = {label: verdicts(records, eps, norm) for label, records in groups.items()}

    def by(half: int) -> Choice:
        best = max(table, key=lambda label: score(table[label][:, half::2]))
        return Choice(
            best, float(table[best][:, half::2].mean()), float(table[best][:, 1 - half :: 2].mean())
        )

    return by(0), by(1)


def held_out(groups: Mapping[str, Records], by: float, eps: float, norm: str = "linf") -> NDArray:
    """Accuracy at ``eps`` of the group chosen at ``by``, on the images that took no part in the choice.

    One number per seed; each half of the images is judged by what the other half chose.
    """
    even, odd = choose(groups, by, norm)
    odd_images = verdicts(groups[even.label], eps, norm)[:, 1::2]
    even_images = verdicts(groups[odd.label], eps, norm)[:, ::2]
    return np.concatenate([odd_images, even_images], axis=1).mean(1)


def choices(families: Mapping[str, Mapping[str, Records]], by: float, eps: float) -> dict[str, list[str]]:
    """What each half of the images chooses of each family at ``by``, and how it does at ``eps`` on the other.

    The columns of a table: family, the two choices, mean and standard deviation over the seeds in per cent.
    """
    chosen = {name: choose(family, by) for name, family in families.items()}
    judged = [summary.Spread.of(held_out(family, by, eps)) for family in families.values()]
    return {
        "family": list(families),
        "chosen on even images": [even.label for even, _ in chosen.values()],
        "chosen on odd images": [odd.label for _, odd in chosen.values()],
        "on the other half": [d.percent() for d in judged],
    }
