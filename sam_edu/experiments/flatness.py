"""Does flatness order networks by their robustness, and does it still when confidence is held fixed?

Confident networks have small second derivatives of the cross-entropy and small gradients, so "flat" and
"robust to the attack's loss" may both only mean "confident". The partial rank correlation removes what a
third number explains from the ranks of both (M. G. Kendall, Biometrika 32, 1942, p. 277).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from sam_edu import plots
from sam_edu._text import pixels
from sam_edu.experiments import study_plots
from sam_edu.experiments.record import Record
from sam_edu.experiments.study import Row, Study

#: What a record knows of a network's flatness.
MEASURES: dict[str, Callable[[Record], float]] = {
    "top eigenvalue": lambda record: record.sharpness["top_eigenvalue"],
    "worst rise in a ball": lambda record: record.sharpness["ball"],
    "adaptive rise": lambda record: record.sharpness["adaptive"],
}
#: What is held fixed.
GIVEN: dict[str, Callable[[Record], float] | None] = {
    "nothing": None,
    "confidence": lambda record: record.confidence["train"],
    "training accuracy": lambda record: record.confidence["train_accuracy"],
}


def rank_correlation(x: ArrayLike, y: ArrayLike, given: ArrayLike | None = None) -> float:
    """Spearman's rank correlation of ``x`` and ``y``; with ``given`` the partial one.

    NaN where nothing varies; what does not vary explains nothing.

    Examples
    --------
    >>> rank_correlation([1, 2, 3, 4], [2, 3, 5, 9])
    1.0
    >>> z = [1, 2, 3, 4, 5, 6]  # both follow z; beyond it, they part
    >>> round(rank_correlation([2, 1, 4, 3, 6, 5], [1, 3, 2, 5, 4, 6], z), 2)
    -0.95
    """
    a, b = rankdata(x), rankdata(y)
    if given is not None:
        c = rankdata(given)
        a, b = _beyond(a, c), _beyond(b, c)
    if min(np.ptp(a), np.ptp(b)) < 1e-9:
        return float("nan")  # nothing varies
    return round(float(np.corrcoef(a, b)[0, 1]), 12)


def _beyond(values: NDArray, by: NDArray) -> NDArray:
    """What a straight line in ``by`` leaves."""
    by = by - by.mean()
    if not by.any():
        return values - values.mean()
    return values - values.mean() - by * (values @ by) / (by @ by)


@dataclass(frozen=True)
class Association:
    """A rank correlation over networks, with a 95 % interval from drawing whole rows anew."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"


def association(
    rows: Iterable[Row], eps: float, measure: str, given: str = "nothing", draws: int = 1000, seed: int = 0
) -> Association:
    """How far a measure of sharpness orders the networks of these rows by accuracy at ``eps``.

    Below 0: flatter is more robust. The seeds of a row are alike, so the bootstrap draws rows, not networks
    (percentiles of ``draws`` draws).

    Raises
    ------
    ValueError
        If ``measure`` or ``given`` is unknown, with fewer than five rows, or if a run has no number there:
        its training diverged.
    KeyError
        If a record is too old to have the measure, or was not attacked at ``eps``.
    """
    rows = list(rows)
    if measure not in MEASURES or given not in GIVEN:
        raise ValueError(
            f"measure must be one of {', '.join(MEASURES)} and given one of {', '.join(GIVEN)}, "
            f"got {measure!r} and {given!r}"
        )
    if len(rows) < 5:
        raise ValueError(f"an interval over rows needs five rows at least, got {len(rows)}")
    fixed = GIVEN[given]
    table: list[NDArray] = []
    for row in rows:
        try:
            found = [(MEASURES[measure](r), fixed(r) if fixed else 0.0) for r in row.records]
        except KeyError as error:
            raise KeyError(f"{row.label}: an older record, without {error}; run it anew") from None
        if not np.isfinite(found).all():
            raise ValueError(f"{row.label}: {measure} or {given} is not finite in a run; leave the row out")
        table.append(np.column_stack([found, row.values(eps)]))

    def of(chosen: Sequence[int] | NDArray) -> float:
        x, z, y = np.concatenate([table[i] for i in chosen]).T
        return rank_correlation(x, y, z if fixed else None)

    rng = np.random.default_rng(seed)
    drawn = [of(rng.integers(len(rows), size=len(rows))) for _ in range(draws)]
    some = [value for value in drawn if not np.isnan(value)] or [np.nan]  # draws in which nothing varies
    low, high = np.percentile(some, [2.5, 97.5])
    return Association(of(range(len(rows))), float(low), float(high))


@dataclass(frozen=True)
class Survey:
    """Associations of every measure with accuracy under attack, in several experiments.

    ``places`` has the rows of an experiment and its radius, ``found`` an association for each experiment,
    measure (:data:`MEASURES`) and quantity held fixed (:data:`GIVEN`).
    """

    places: Mapping[str, tuple[Sequence[Row], float]]
    found: Mapping[tuple[str, str, str], Association]

    @classmethod
    def of(
        cls, places: Mapping[str, tuple[Iterable[Row], float]], draws: int = 1000, seed: int = 0
    ) -> Survey:
        """Compute them; parameters and errors as :func:`association`; a ValueError, too, without places.

        Examples
        --------
        >>> from sam_edu.experiments import study
        >>> survey = Survey.of({"digits": (study("digits", seeds=2), 0.1)}, draws=100)
        >>> survey.networks("digits"), survey["digits", "adaptive rise", "nothing"].value < 0
        (40, True)
        """
        kept = {place: (list(rows), eps) for place, (rows, eps) in places.items()}
        if not kept:
            raise ValueError("there is nothing to survey: places is empty")
        found = {
            (place, measure, given): association(rows, eps, measure, given, draws, seed)
            for place, (rows, eps) in kept.items()
            for measure in MEASURES
            for given in GIVEN
        }
        return cls(kept, found)

    def __getitem__(self, which: tuple[str, str, str]) -> Association:
        return self.found[which]

    def networks(self, place: str) -> int:
        """Number of networks of an experiment."""
        return sum(len(row.records) for row in self.places[place][0])

    def table(self) -> plots.Shown:
        """One line for each experiment and measure, one column for each quantity held fixed."""
        lines = [(place, measure) for place in self.places for measure in MEASURES]
        columns = {"images": [place for place, _ in lines], "sharpness": [measure for _, measure in lines]}
        columns |= {f"given {given}": [str(self[*line, given]) for line in lines] for given in GIVEN}
        radii = ", ".join(f"{pixels(eps)} on {place}" for place, (_, eps) in self.places.items())
        over = " and ".join(
            f"{self.networks(place)} networks of {len(rows)} ways of training ({place})"
            for place, (rows, _) in self.places.items()
        )
        return plots.show_table(
            columns,
            f"Rank correlation of sharpness with accuracy under attack ({radii}; -1: the flatter, the more "
            f"robust) over {over}; 95 % interval from drawing the ways of training anew.",
        )


def scatter(
    study: Study, eps: float, names: Mapping[str, str], title: str, caption: str, **size: Any
) -> plots.Shown:
    """Accuracy at ``eps`` against the top eigenvalue and against the worst rise in a ball, one mark per row.

    Parameters
    ----------
    names : mapping
        Label of a row to name -> what is written beside it.

    Raises
    ------
    ValueError
        If the ball's radius is not the same in all records, or a number is not positive: the axes are
        logarithmic.
    KeyError
        If a row to name is not there, or one was not attacked at ``eps``.
    """
    for name in names:
        study.labelled(name)
    balls = sorted({record.sharpness["ball_rho"] for row in study for record in row.records})
    if len(balls) != 1:
        raise ValueError(f"the worst loss in a ball compares records of one radius, got {balls}")
    panels: dict[str, Callable[[Row], float]] = {
        "top eigenvalue of the Hessian": lambda row: row.eigenvalue,
        f"worst loss in a ball (ρ = {balls[0]:g}) minus loss": lambda row: row.ball,
    }
    for label, quantity in panels.items():
        if low := [row.label for row in study if not 0 < quantity(row) < np.inf]:
            raise ValueError(f"{label}: {', '.join(low)} is not above 0; leave it out with study.without")
    return study_plots.scatter(
        study,
        panels,
        lambda row: row.at(eps).mean,
        f"accuracy at ε = {pixels(eps)}",
        names,
        title,
        caption,
        logarithmic=True,
        **{"width": 7.6} | size,
    )
