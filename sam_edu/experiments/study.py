"""A study: the runs of a protocol as a table of rows, each one way of training with its seeds.

A row is found by method and settings, never by its label, which is only shown::

    fashion = study("fashion-mnist", seeds=5)
    sgd, sam = fashion.row("sgd"), fashion.row("sam", rho=0.2)
    sam.at(8 / 255), sam.minus(sgd, 8 / 255)        # mean and spread over the seeds; the same, paired
    fashion.rows("at"), fashion.controls            # rows of one method; SGD with other settings

It says itself which records it holds, so that a figure which is handed a study, or rows of one, can say what
it was made from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam_edu import _check, plots
from sam_edu._text import pixels
from sam_edu.experiments import comparison, protocols, summary
from sam_edu.experiments.record import Record
from sam_edu.experiments.records import available
from sam_edu.experiments.row import Row, Source, by_label, variation
from sam_edu.experiments.rows import Rows
from sam_edu.measured import same_radius


class Study(Rows):
    """Rows of one protocol, compared and shown: tests, tables, what figures need.

    Rows are found and selected as :class:`~sam_edu.experiments.rows.Rows` says.
    """

    @property
    def sources(self) -> list[Source]:
        """Protocol, number of records and of seeds: what a figure of it was made from."""
        return [(self.name, self.runs, max(self._counts, default=0))]

    def cost(self, row: Row) -> float:
        """Gradient passes of a row, in units of SGD's."""
        return row.passes / self.row("sgd").passes

    def radii(self, norm: str = "linf") -> list[float]:
        """Radii that all runs were attacked at; ValueError without rows, or if one was not in this norm."""
        runs = [summary.evaluation(run, norm).attacked for row in (self._first, *self) for run in row.records]
        return [
            entry.eps
            for entry in runs[0]
            if all(any(same_radius(entry.eps, other.eps) for other in run) for run in runs)
        ]

    def table(
        self,
        caption: str,
        radii: Iterable[float] | None = None,
        l2: Iterable[float] = (),
        seeds: bool = False,
        training: bool = False,
    ) -> plots.Shown:
        """Accuracy of every row in per cent, mean and spread over the seeds.

        Parameters
        ----------
        radii, l2 : of the attacks in the two norms; default: all in l-infinity, none in l2
        seeds, training : whether to add their number, and the accuracy in training
        """
        columns: dict[str, list[Any]] = {"method": [row.label for row in self]}
        if seeds:
            columns["seeds"] = [len(row.records) for row in self]
        if training:
            columns["training"] = [row.training.percent() for row in self]
        columns["clean"] = [row.at(0).percent() for row in self]
        for eps in self.radii() if radii is None else _check.radii(radii):
            columns[f"ε = {pixels(eps)}"] = [row.at(eps).percent() for row in self]
        for eps in _check.radii(l2):
            columns[f"ℓ2, {pixels(eps)}"] = [row.at(eps, "l2").percent() for row in self]
        return plots.show_table(columns, caption)

    def against(
        self, reference: Row, eps: float, rows: Iterable[Row] | None = None, norm: str = "linf"
    ) -> list[comparison.Comparison]:
        """Paired tests of rows (default: all others) against one, corrected together.

        ValueError if a row is not the study's, with one seed, unequal seeds, or nothing to compare.
        """
        labels = self._labels(reference, rows)
        return comparison.compare(self.groups, reference.label, eps, norm, labels)

    def differences(
        self, reference: Row, eps: float, rows: Iterable[Row] | None = None, about: str = ""
    ) -> plots.Shown:
        """What :meth:`against` finds (errors as there), and without attack; of one seed the differences."""
        labels = self._labels(reference, rows)
        if not labels:
            raise ValueError(f"there is nothing to compare with {reference.label}: no other row was given")
        begin = f"{about}: difference" if about else "Difference"
        columns = comparison.columns(self.groups, reference.label, eps, labels=labels)
        caption = (
            f"{begin} from {reference.label} in points at {pixels(eps)} and without attack; "
            f"seeds: {len(reference.records)}; {self.images} test images. Intervals and p are over both, "
            f"seeds and images; p: two-sided, paired, Holm-corrected over {len(labels)} comparisons."
        )
        if any(cell.endswith("*") for cell in columns["p, clean"]):
            caption += " *: over the seeds alone, since these records keep no verdicts of clean images."
        return plots.show_table(columns, caption)

    def choose(self, rows: Iterable[Row], eps: float) -> tuple[Row, Row]:
        """The best row at ``eps`` on even test images, and on odd ones.

        ValueError without rows, if their seeds differ, or if one is not the study's.
        """
        even, odd = comparison.choose(self._records(rows), eps)
        return self.labelled(even.label), self.labelled(odd.label)

    def held_out(self, rows: Iterable[Row], by: float, eps: float) -> NDArray:
        """Accuracy at ``eps`` of the row chosen at ``by``, on the images that took no part; one per seed.

        ValueError without rows, if their seeds differ, or if one is not the study's.
        """
        return comparison.held_out(self._records(rows), by, eps)

    def held_out_verdicts(self, rows: Iterable[Row], by: float, eps: float) -> NDArray:
        """The verdicts behind :meth:`held_out` (errors as there), shape (seeds, images); odd images first."""
        return comparison.held_out_verdicts(self._records(rows), by, eps)

    @property
    def families(self) -> dict[str, list[Row]]:
        """What the book sets against each other: SAM at all radii, SGD with other settings, AT."""
        return {"SAM": self.rows("sam"), "control": self.controls, "AT": self.rows("at")}

    def gains(self, eps: float) -> dict[str, summary.Spread]:
        """What each of :attr:`families` gains over SGD at ``eps``, over the seeds.

        Its row is chosen on one half of the images and judged on the other (:meth:`held_out`). ValueError if
        a family has no row, or one with other seeds than SGD.
        """
        plain = self.row("sgd")
        for rows in self.families.values():
            comparison.check_seeds(self._records([plain, *rows]))
        sgd = comparison.verdicts(plain.records, eps).mean(1)
        return {
            name: summary.Spread.of(self.held_out(rows, eps, eps) - sgd)
            for name, rows in self.families.items()
        }

    def choices(
        self, families: Mapping[str, Iterable[Row]], by: float, eps: float, caption: str
    ) -> plots.Shown:
        """What each half of the images chooses of each family, and how it does on the other, as a table.

        Errors as :meth:`held_out`.
        """
        groups = {name: self._records(rows) for name, rows in families.items()}
        return plots.show_table(comparison.choices(groups, by, eps), caption)

    def figure_rows(self) -> list[dict[str, Any]]:
        """Rows for the live figures: accuracies over radius 0 and the attack's, price and look."""
        radii = self.radii()
        found = []
        for row in self:
            values = np.stack([row.values(eps) for eps in (0, *radii)], axis=1)
            found.append({
                "method": row.kind if row.kind != "control" else row.label,
                "kind": row.kind, "label": row.label, "name": row.label, "variant": bool(row.varies),
                "rho": row.config.rho or None, "train_eps": row.config.eps or None, "cost": self.cost(row),
                "eps": [0.0, *radii], "mean": values.mean(0).tolist(), "low": values.min(0).tolist(),
                "high": values.max(0).tolist(), "points": values.T.tolist(), "seeds": row.seeds,
            })  # fmt: skip
        return found

    def _records(self, rows: Iterable[Row]) -> dict[str, Sequence[Record]]:
        """Label -> records of rows, which have to be the study's: labels are told apart in one alone."""
        return {label: row.records for label, row in by_label(self._own(rows)).items()}

    def _labels(self, reference: Row, rows: Iterable[Row] | None) -> list[str]:
        """Of the rows to compare, or of all but the reference."""
        (own,) = self._own([reference])
        return [row.label for row in (self.without([own]) if rows is None else self._own(rows))]


def study(name: str, seeds: int | None = None, *folders: str | Path | None, partial: bool = False) -> Study:
    """The study of a protocol.

    Parameters
    ----------
    name : str
        A protocol of the book (:mod:`sam_edu.experiments.protocols`).
    seeds : int, optional
        How many of every row; default: as many of each as the book has, or plans to have.
    folders : path or None
        Where to look for records; None, and the default: those shipped with the book.
    partial : bool
        Take the records that are there; rows without one are left out. So it is with ``folders``, too.

    Raises
    ------
    FileNotFoundError
        If the book lacks a record (with neither ``partial`` nor ``folders``), or a folder is missing.
    NotADirectoryError
        If a folder is a file.
    TypeError
        If ``seeds`` is no whole number.
    ValueError
        If there is no such protocol, no seed is asked for, or a record is damaged.

    Examples
    --------
    >>> digits = study("digits", seeds=3)
    >>> digits
    Study('digits', 20 rows, 60 runs)
    >>> digits.row("sam", rho=0.4).minus(digits.row("sgd"), 0.1).percent(signed=True)
    '+20.2 ± 0.7'
    """
    groups = protocols.plan(name, seeds)
    records = available(groups, *folders)
    made, asked = (sum(map(len, found.values())) for found in (records, groups))
    if made < asked and not (partial or folders):
        each = "" if seeds is None else f", {seeds} of each row"
        raise FileNotFoundError(
            f"the book has {made} of these {asked} runs of {name}{each}; with partial=True study() takes "
            "those that are there"
        )
    settings = protocols.PROTOCOLS[name][1]
    return Study(
        name,
        [
            Row(name, label, variation(settings[label]), groups[label][0], found)
            for label, found in records.items()
        ],
    )
