"""Two methods at equal clean accuracy: matched on one half of the test images, judged on the other.

A pair found to be equal on the images that it is judged by owes that to their chance, too. And a row of a
table is seldom just as accurate as another. So the rival is a *mixture*: a classifier that answers as one row
with probability ``1 - t`` and as another with ``t``. Its accuracy, clean and under attack, is the mean of
theirs, and the most robust mixture that is at least as accurate as the target is a point on the upper hull of
the rows (M. J. J. Scott et al., BMVC 1998, for ROC curves).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product

import numpy as np
from numpy.typing import NDArray

from sam_edu import plots
from sam_edu.experiments import summary
from sam_edu.experiments.comparison import check_seeds
from sam_edu.experiments.record import Record
from sam_edu.experiments.uncertainty import Estimate, verdicts

Records = Sequence[Record]
Mixture = dict[str, float]  # label and share, summing to 1


@dataclass(frozen=True)
class Match:
    """A target against the rival that was matched with it, on images that took no part in the matching.

    Attributes
    ----------
    even, odd : dict
        The rival that the even (odd) images give: labels and shares.
    clean, attacked : Estimate
        Target minus rival; the odd images are judged with ``even``, the even ones with ``odd``.
    """

    even: Mixture
    odd: Mixture
    clean: Estimate
    attacked: Estimate

    @property
    def rival(self) -> str:
        """The largest part of the rival that the even images give."""
        return max(self.even, key=self.even.__getitem__)


def match(target: Records, rivals: Mapping[str, Records], eps: float, norm: str = "linf") -> Match:
    """Compare ``target`` at radius ``eps`` with the best rival of its clean accuracy.

    All runs need the same seeds and the verdicts of each clean image.

    Raises
    ------
    ValueError
        Without rivals, with unequal seeds or a single one, with attacks of different ladders, or with records
        that keep no verdicts of clean images.
    """
    if not rivals:
        raise ValueError("there is nothing to match with: rivals is empty")
    seeds = summary.seeds(target)
    if len(seeds) < 2:
        raise ValueError(f"a match is judged over two seeds at least, got {seeds}")
    check_seeds({"the target": target, **rivals})
    summary.same_ladder(chain(target, *rivals.values()), eps, norm)
    own = {radius: verdicts(target, radius, norm) for radius in (0.0, eps)}
    theirs = {
        radius: {label: verdicts(records, radius, norm) for label, records in rivals.items()}
        for radius in (0.0, eps)
    }

    def by(half: int) -> Mixture:
        clean, attacked = (
            {label: float(table[:, half::2].mean()) for label, table in theirs[radius].items()}
            for radius in (0.0, eps)
        )
        return best_mixture(float(own[0.0][:, half::2].mean()), clean, attacked)

    even, odd = by(0), by(1)

    def judged(radius: float) -> Estimate:
        halves = [
            (own[radius] - _mixed(theirs[radius], mixture))[:, half::2]
            for mixture, half in ((even, 1), (odd, 0))
        ]
        return Estimate.of(np.concatenate(halves, axis=1))

    return Match(even, odd, judged(0.0), judged(eps))


def best_mixture(clean: float, rivals: Mapping[str, float], attacked: Mapping[str, float]) -> Mixture:
    """The most robust mixture of two rivals whose clean accuracy is at least ``clean``.

    Where none is as accurate, the most accurate rival alone; ValueError without rivals.

    Examples
    --------
    >>> best_mixture(0.875, {"early": 0.85, "late": 0.90}, {"early": 0.40, "late": 0.20})
    {'early': 0.5, 'late': 0.5}
    """
    if not rivals:
        raise ValueError("there is nothing to mix: rivals is empty")
    able = [label for label in rivals if rivals[label] >= clean]
    if not able:
        return {max(rivals, key=lambda label: (rivals[label], attacked[label])): 1.0}
    best = max(able, key=lambda label: attacked[label])
    found, score = {best: 1.0}, attacked[best]
    for low, high in product([label for label in rivals if label not in able], able):
        share = (clean - rivals[low]) / (rivals[high] - rivals[low])  # of the accurate one
        mixed = (1 - share) * attacked[low] + share * attacked[high]
        if mixed > score:
            found, score = {low: round(1 - share, 12), high: round(share, 12)}, mixed
    return found


def table(matches: Mapping[str, Match], about: str, target: str = "SAM") -> plots.Shown:
    """What matches found, in points, one line each.

    Parameters
    ----------
    matches : mapping
        By what readers see of the target: its data and its row.
    about : str
        Attacks and data, for the caption.
    target : str
        What the targets have in common.

    Raises
    ------
    ValueError
        Without matches.

    Examples
    --------
    >>> from sam_edu.experiments import study
    >>> digits = study("digits", seeds=2)
    >>> found = {row.label: row.matched(digits.controls, 0.1) for row in digits.rows("sam", rho=(0.1, 0.4))}
    >>> table(found, "digits, under attack with 0.1").alt.partition(";")[2]
    ' digits, under attack with 0.1. Intervals are over 2 seeds and the test images.'
    """
    if not matches:
        raise ValueError("a table of matches needs one at least, got none")
    found = list(matches.values())
    seeds = sorted({match.attacked.seeds for match in found})
    columns = {
        target: list(matches),
        "rival, mostly": [match.rival for match in found],
        "robust": [f"{100 * match.attacked.mean:+.1f}" for match in found],
        "95 % interval": [match.attacked.points() for match in found],
        "clean": [match.clean.points() for match in found],
    }
    return plots.show_table(
        columns,
        f"{target} minus its rival in points, on the images that took no part in finding the rival (named: "
        f"its largest part, by the even images); {about}. Intervals are over "
        f"{' or '.join(map(str, seeds))} seeds and the test images.",
    )


def words(mixture: Mixture) -> str:
    """``SGD, 8 epochs``, or ``0.7 SGD, 8 epochs + 0.3 SGD, 3 epochs``."""
    if len(mixture) == 1:
        return next(iter(mixture))
    return " + ".join(f"{share:.2f} × {label}" for label, share in mixture.items())


def _mixed(tables: Mapping[str, NDArray], mixture: Mixture) -> NDArray:
    """The verdicts of a mixture: how often it is right on an image."""
    return np.sum([share * tables[label] for label, share in mixture.items()], axis=0)
