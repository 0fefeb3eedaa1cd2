"""How sure is a difference? One interval for both chances: other seeds, and other test images.

Every run is judged on the same images, so the verdicts of two methods form a table, seeds by images, of
differences -1, 0, 1. Seeds and images are two crossed samples. With the mean squares of a two-way layout
without replication (seeds, images, rest) the mean of an S by N table has::

    variance = (MS_seeds + MS_images - MS_rest) / (S N),

and Satterthwaite's degrees of freedom (F. E. Satterthwaite, Biometrics Bulletin 2, 1946, p. 110).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

from sam_edu.experiments import summary
from sam_edu.experiments.record import Record

NOTHING = 1e-12  # a difference of accuracies that is a rounding error


@dataclass(frozen=True)
class Estimate:
    """A mean difference in units of accuracy (0.01 is one point), and how sure it is.

    Attributes
    ----------
    mean, error : float
        The mean and its standard error.
    df : float
        Degrees of freedom of that error.
    images : bool
        Whether the error contains the test images. Records without a verdict for each clean image say nothing
        about those: without attack the error is then that of the seeds alone.
    seeds : int
    """

    mean: float
    error: float
    df: float
    images: bool
    seeds: int

    @classmethod
    def of(cls, differences: ArrayLike) -> Estimate:
        """From a table of differences of verdicts, shape (seeds, images).

        Examples
        --------
        >>> found = Estimate.of([[0, 1, 1, 0, 1, 1], [1, 1, 0, 0, 1, 1]])
        >>> round(found.mean, 3), found.seeds
        (0.667, 2)
        """
        table = np.asarray(differences, dtype=float)
        if table.ndim != 2 or min(table.shape) < 2:
            raise ValueError(f"two seeds and two images at least are needed, got a table of {table.shape}")
        seeds, images = table.shape
        mean, by_seed, by_image = table.mean(), table.mean(1, keepdims=True), table.mean(0, keepdims=True)
        dfs = np.array([seeds - 1, images - 1, (seeds - 1) * (images - 1)], dtype=float)
        squares = (
            np.array(
                [
                    images * ((by_seed - mean) ** 2).sum(),
                    seeds * ((by_image - mean) ** 2).sum(),
                    ((table - by_seed - by_image + mean) ** 2).sum(),
                ]
            )
            / dfs
        )
        rest = squares[2]
        # a component of variance is not negative: where one comes out so, chance made it small
        total = max(squares[0], rest) + max(squares[1], rest) - rest
        spread = ((np.maximum(squares[:2], rest) ** 2) / dfs[:2]).sum() + rest**2 / dfs[2]
        df = float(total**2 / spread) if spread > 0 else float(dfs[0])
        return cls(float(mean), float(np.sqrt(total / table.size)), df, True, seeds)

    @classmethod
    def of_seeds(cls, differences: ArrayLike) -> Estimate:
        """From one difference per seed: the images are not in the error."""
        values = np.asarray(differences, dtype=float)
        if values.ndim != 1 or len(values) < 2:
            raise ValueError("a test over seeds needs at least two seeds")
        return cls(
            float(values.mean()),
            float(values.std(ddof=1) / np.sqrt(len(values))),
            len(values) - 1.0,
            False,
            len(values),
        )

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Interval that contains the difference with this probability (Student's t)."""
        half = float(stdtrit(self.df, 0.5 + level / 2)) * self.error
        return self.mean - half, self.mean + half

    @property
    def p(self) -> float:
        """Two-sided p-value of "no difference".

        Where nothing varies, neither over seeds nor over images, there is no *t*; then the exact sign test.
        """
        if self.error < NOTHING:
            return 2 * 0.5**self.seeds if abs(self.mean) > NOTHING else 1.0
        return float(2 * stdtr(self.df, -abs(self.mean) / self.error))

    def within(self, margin: float) -> bool:
        """Whether the difference is shown to be smaller than ``margin``, either way.

        Two one-sided tests at 5 %: the 90 % interval lies inside (D. J. Schuirmann, J. Pharmacokin.
        Biopharm. 15, 1987, p. 657). That a difference is *not significant* shows no such thing.
        """
        low, high = self.interval(0.9)
        return -margin < low and high < margin

    def points(self) -> str:
        """The 95 % interval in points, ``+1.4 to +2.9``; "–" where not one verdict differs."""
        nothing = self.error < NOTHING and abs(self.mean) < NOTHING
        return "–" if nothing else in_points(self.interval())


def in_points(interval: tuple[float, float]) -> str:
    """An interval of accuracies in points, ``+1.4 to +2.9``."""
    return " to ".join(f"{100 * end:+.1f}" for end in interval)


def paired_interval(one: ArrayLike, other: ArrayLike, z: float = 1.959964) -> tuple[float, float]:
    """95 % interval of the difference of two accuracies on the same images, of one network each.

    Wald's interval with one image added to each kind of disagreement, which keeps its promise for few of
    them and has a width where there are none (D. G. Bonett, R. M. Price, J. Educ. Behav. Stat. 37, 2012, p.
    479). It is over the images alone; for several seeds there is :class:`Estimate`.

    Parameters
    ----------
    one, other : array_like of bool, shape (images,)
        Which images each network has right. The interval is in units of accuracy: 0.01 is one point.

    Raises
    ------
    ValueError
        If the two are not verdicts on the same images.

    Examples
    --------
    >>> paired = paired_interval([1, 1, 1, 1, 0, 1], [1, 0, 0, 1, 0, 1])
    >>> [round(end, 2) for end in paired]
    [-0.21, 0.71]
    """
    won, lost = np.asarray(one, dtype=bool), np.asarray(other, dtype=bool)
    if won.shape != lost.shape or won.ndim != 1 or not len(won):
        raise ValueError(
            f"verdicts on the same images are needed, one per image, got shapes {won.shape} and {lost.shape}"
        )
    n = len(won) + 2
    more, fewer = (1 + (won & ~lost).sum()) / n, (1 + (lost & ~won).sum()) / n
    half = z * np.sqrt((more + fewer - (more - fewer) ** 2) / n)
    return float(max(-1.0, more - fewer - half)), float(min(1.0, more - fewer + half))


def verdicts(records: Sequence[Record], eps: float, norm: str = "linf") -> NDArray:
    """Which image was right, at radius ``eps`` after the whole ladder, in which run: (seeds, images), 0 or 1.

    Raises
    ------
    ValueError
        If the runs were not attacked so, or (``eps`` = 0) keep no verdicts of clean images, as older records.
        If a seed comes twice.
    """
    summary.seeds(records)
    try:
        found = [summary.evaluation(record, norm) for record in records]
        rows = [e.clean if eps == 0 else e.entry(eps).robust for e in found]
    except KeyError as error:
        raise ValueError(f"these runs were not attacked in {norm} at this radius: {error.args[0]}") from None
    if any(row is None for row in rows):
        raise ValueError("these records do not keep the verdict of each clean image; run them anew")
    return np.array(rows, dtype=float)


def estimate(
    records: Sequence[Record], reference: Sequence[Record], eps: float, norm: str = "linf"
) -> Estimate:
    """Mean difference of accuracy of two methods with the same seeds, at radius ``eps`` (0: clean).

    Raises
    ------
    ValueError
        With fewer than two seeds, unequal ones, one that comes twice, or attacks of different ladders.
    """
    difference = summary.gain(records, reference, eps, norm)
    if difference.n < 2:
        raise ValueError("a test over seeds needs at least two seeds")
    kept = eps != 0 or all(summary.evaluation(r, norm).clean for r in (*records, *reference))
    if kept:
        return Estimate.of(verdicts(records, eps, norm) - verdicts(reference, eps, norm))
    return Estimate.of_seeds(summary.column(records, eps, norm) - summary.column(reference, eps, norm))
