"""Are two methods different? Paired tests, corrected for their number, and honest choices.

A test contains other seeds and other test images (:mod:`sam_edu.experiments.uncertainty`). A third source of
error is the freedom to choose: :func:`choose` chooses on one half of the images and reports on the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from sam_edu._text import p_value
from sam_edu.experiments import summary
from sam_edu.experiments.record import Record
from sam_edu.experiments.uncertainty import NOTHING, Estimate, estimate, in_points, verdicts

Records = Sequence[Record]


@dataclass(frozen=True)
class Comparison:
    """A method against a reference, paired over the seeds, in units of accuracy (0.01 is one point).

    Attributes
    ----------
    difference : Spread
        Mean and sample standard deviation of the differences.
    interval : (float, float)
        95 % interval of the mean difference, over seeds and test images.
    effect : float
        Cohen's d_z, mean over standard deviation of the differences.
    p, p_holm : float
        Two-sided, over seeds and test images; corrected for the number of comparisons made together (Holm
        1979).
    images : bool
        Whether interval and p contain the test images, see
        :class:`~sam_edu.experiments.uncertainty.Estimate`.
    """

    label: str
    difference: summary.Spread
    interval: tuple[float, float]
    effect: float
    p: float
    p_holm: float
    images: bool = True


def compare(
    groups: Mapping[str, Records],
    reference: str,
    eps: float,
    norm: str = "linf",
    labels: Sequence[str] | None = None,
) -> list[Comparison]:
    """Compare several groups with one reference at radius ``eps`` (0: clean), all tests corrected together.

    Raises
    ------
    ValueError
        With fewer than two seeds, unequal seeds, different ladders, or nothing to compare.
    """
    chosen = _chosen(groups, reference, labels)
    if not chosen:
        raise ValueError("there is nothing to compare: labels is empty")
    differences = [summary.gain(groups[label], groups[reference], eps, norm) for label in chosen]
    found = [estimate(groups[label], groups[reference], eps, norm) for label in chosen]
    return [
        Comparison(label, d, e.interval(), _effect(d), e.p, q, e.images)
        for label, d, e, q in zip(chosen, differences, found, holm([e.p for e in found]), strict=True)
    ]


def columns(
    groups: Mapping[str, Records],
    reference: str,
    eps: float,
    norm: str = "linf",
    labels: Sequence[str] | None = None,
) -> dict[str, list[str]]:
    """What :func:`compare` finds, in points, as the columns of a table; of one seed only the difference.

    Columns: method, difference at ``eps``, its 95 % interval and p (Holm), and the same without attack; these
    are marked with * where they are of the seeds alone.
    """
    chosen = _chosen(groups, reference, labels)
    base, unknown = groups[reference], ["–"] * len(chosen)
    attacked, clean = ([summary.gain(groups[n], base, e, norm) for n in chosen] for e in (eps, 0))
    several = len(base) > 1 and len(chosen) > 0
    tests, clean_tests = (compare(groups, reference, e, norm, chosen) if several else [] for e in (eps, 0))

    def shown(found: Sequence[Comparison], what: Callable[[Comparison], str]) -> list[str]:
        return [what(c) + ("" if c.images else "*") for c in found] or unknown

    return {
        "method": chosen,
        "attacked": [_points(d.mean) for d in attacked],
        "95 % interval": shown(tests, lambda c: in_points(c.interval)),
        "p": shown(tests, lambda c: p_value(c.p_holm)),
        "clean": [_points(d.mean) for d in clean],
        "95 % interval, clean": shown(clean_tests, lambda c: in_points(c.interval)),
        "p, clean": shown(clean_tests, lambda c: p_value(c.p_holm)),
    }


def _chosen(groups: Mapping[str, Records], reference: str, labels: Sequence[str] | None) -> list[str]:
    chosen = [label for label in groups if label != reference] if labels is None else list(labels)
    check_seeds({label: groups[label] for label in (reference, *chosen)})
    return chosen


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"


def _effect(d: summary.Spread) -> float:
    if d.sd < NOTHING:
        return float(np.copysign(np.inf, d.mean)) if abs(d.mean) > NOTHING else 0.0
    return d.mean / d.sd


def paired_p(d: summary.Spread) -> float:
    """Two-sided p-value of paired differences of two seeds or more, over the seeds alone: Student's t.

    Where all seeds differ by the same few images there is no *t*; then the exact sign test. See
    :func:`~sam_edu.experiments.uncertainty.estimate` for a test that contains the images, too.
    """
    return Estimate(d.mean, d.sd / d.n**0.5, d.n - 1.0, False, d.n).p


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

    The verdicts of all seeds are averaged for each image first: seeds share their images. ValueError if the
    attacks were of different ladders.
    """
    summary.same_ladder([*records, *reference], eps, norm)
    difference = verdicts(records, eps, norm).mean(0) - verdicts(reference, eps, norm).mean(0)
    return float(difference.std(ddof=1) / np.sqrt(len(difference)))


def check_seeds(groups: Mapping[str, Records], where: str = "") -> None:
    """ValueError if groups, which are to be compared or chosen from, have different seeds, or one twice.

    The message begins with ``where``, if that is given.
    """
    seeds = {label: summary.seeds(records, label) for label, records in groups.items()}
    if any(own != next(iter(seeds.values())) for own in seeds.values()):
        said = "; ".join(f"{label}: {own}" for label, own in seeds.items())
        raise ValueError(
            f"{where and f'{where}: '}these rows have different seeds, {said}; Study.paired() keeps those "
            "that all rows have, Study.complete(2) the largest table with two or more"
        )


@dataclass(frozen=True)
class Choice:
    """What was chosen on one half of the test images and how it does on the other.

    ``tied``: another group did as well there, and the first of them was taken.
    """

    label: str
    chosen_on: float
    reported: float
    tied: bool = False


def choose(
    groups: Mapping[str, Records], eps: float, norm: str = "linf", score: Callable[[NDArray], float] = np.mean
) -> tuple[Choice, Choice]:
    """Choose a group by its accuracy at ``eps`` on even images, report on odd ones; then the reverse.

    The better of many results, judged on the images it was chosen by, flatters itself.
    ``score`` maps verdicts (seeds, images) to the number that is maximised.

    Raises
    ------
    ValueError
        Without groups, or if their seeds differ: means over other seeds are no reason to choose. If their
        attacks were of different ladders.
    """
    if not groups:
        raise ValueError("there is nothing to choose from: no rows")
    check_seeds(groups)
    summary.same_ladder(chain(*groups.values()), eps, norm)
    table = {label: verdicts(records, eps, norm) for label, records in groups.items()}

    def by(half: int) -> Choice:
        scores = {label: score(found[:, half::2]) for label, found in table.items()}
        best = max(scores, key=scores.__getitem__)
        tied = sum(value == scores[best] for value in scores.values()) > 1
        chosen_on, reported = (float(table[best][:, start::2].mean()) for start in (half, 1 - half))
        return Choice(best, chosen_on, reported, tied)

    return by(0), by(1)


def held_out_verdicts(groups: Mapping[str, Records], by: float, eps: float, norm: str = "linf") -> NDArray:
    """Verdicts at ``eps`` of the group chosen at ``by``, on images that took no part in the choice.

    Shape (seeds, images), odd images first; each half is judged by what the other half chose.
    """
    even, odd = choose(groups, by, norm)
    odd_images = verdicts(groups[even.label], eps, norm)[:, 1::2]
    even_images = verdicts(groups[odd.label], eps, norm)[:, ::2]
    return np.concatenate([odd_images, even_images], axis=1)


def held_out(groups: Mapping[str, Records], by: float, eps: float, norm: str = "linf") -> NDArray:
    """Accuracy at ``eps`` of the group chosen at ``by``, on the images that took no part in the choice.

    One number per seed; each half of the images is judged by what the other half chose.
    """
    return held_out_verdicts(groups, by, eps, norm).mean(1)


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
