"""Which rows gain robustness over a reference, and which of them pay for it in clean accuracy?

Each question is a paired test over seeds and test images, corrected for the number of rows::

    fashion = study("fashion-mnist")
    found = balance.against(fashion, fashion.row("sgd"), 8 / 255)
    found.counts, balance.labels(found.free)

That a loss is *not significant* does not rule it out. An interval that ends before the loss that one minds
does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sam_edu.experiments.study import Row, Study


@dataclass(frozen=True)
class Balance:
    """What the data say that rows gain and pay against a reference.

    Attributes
    ----------
    compared : all rows
    gained : those shown to be more robust (Holm-corrected over all of them)
    unsure : those shown to be neither more nor less robust
    level : those whose clean accuracy is shown to be within the margin of the reference's
    free : those of ``gained`` that are level
    safe : those of ``gained`` that are shown to lose less than the margin of clean accuracy
    paid : those of ``gained`` that are shown to lose clean accuracy (Holm-corrected over all rows)
    """

    compared: list[Row]
    gained: list[Row]
    unsure: list[Row]
    level: list[Row]
    free: list[Row]
    safe: list[Row]
    paid: list[Row]

    @property
    def counts(self) -> dict[str, int]:
        """Attribute -> number of rows."""
        return {name: len(rows) for name, rows in vars(self).items()}


def against(study: Study, reference: Row, eps: float, margin: float = 0.01, alpha: float = 0.05) -> Balance:
    """Sort all other rows by what they gain at ``eps`` and pay in clean accuracy, see :class:`Balance`.

    Parameters
    ----------
    margin : the loss of clean accuracy that one minds (0.01 is one point)
    alpha : of the corrected tests; the intervals of clean accuracy are those of two one-sided tests at 5 %
        (:meth:`~sam_edu.experiments.uncertainty.Estimate.within`)

    Raises
    ------
    ValueError
        If the reference is not a row of the study; with one seed, unequal seeds, or no other row.
    KeyError
        If a row was not attacked at ``eps``.
    """
    study.select([reference])  # another's row would be compared with its own namesake, too
    rows = [row for row in study if row is not reference]
    attacked, clean = (dict(zip(rows, study.against(reference, e, rows), strict=True)) for e in (eps, 0))
    change = {row: row.versus(reference, 0) for row in rows}
    gained = [row for row in rows if attacked[row].p_holm < alpha and attacked[row].difference.mean > 0]
    level = [row for row in rows if change[row].within(margin)]
    return Balance(
        compared=rows,
        gained=gained,
        unsure=[row for row in rows if attacked[row].p_holm >= alpha],
        level=level,
        free=[row for row in gained if row in level],
        safe=[row for row in gained if change[row].interval(0.9)[0] > -margin],
        paid=[row for row in gained if clean[row].p_holm < alpha and clean[row].difference.mean < 0],
    )


def labels(rows: Iterable[Row], between: str = ", ") -> str:
    """The labels of rows in a line, or "none"."""
    return between.join(row.label for row in rows) or "none"
