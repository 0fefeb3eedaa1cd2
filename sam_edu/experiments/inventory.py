"""How much of a plan has been run, how its trainings went and how fast they were."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sam_edu import _check, plots
from sam_edu.experiments import protocols, summary
from sam_edu.experiments.study import Study, study
from sam_edu.experiments.study_plots import apart


class Inventory:
    """The runs that some protocols plan, beside those of which there is a record.

    Parameters
    ----------
    names : str or iterable of str
        Protocols with the same rows (:mod:`sam_edu.experiments.protocols`).
    seeds : int, optional
        How many are planned of each row; default: as the book plans them.
    folders : path or None
        Where to look for records; default: those shipped with the book.

    Attributes
    ----------
    planned, made : int
        Number of runs.

    Raises
    ------
    ValueError
        If the protocols differ in their rows, there is no such protocol, none is named, one is named twice,
        or no seed planned.
    TypeError
        If ``seeds`` is no whole number.
    FileNotFoundError, NotADirectoryError
        If a folder is not there, or is a file.

    Examples
    --------
    >>> plan = Inventory(["digits"], seeds=5)
    >>> plan.made, plan.planned
    (100, 100)
    """

    def __init__(
        self, names: str | Iterable[str], seeds: int | None = None, *folders: str | Path | None
    ) -> None:
        names = [names] if isinstance(names, str) else list(names)
        if not names or len(set(names)) < len(names):
            raise ValueError(f"an inventory needs a protocol at least, and each once, got {names}")
        self.plans = {name: protocols.plan(name, seeds) for name in names}
        self.rows = list(self.plans[names[0]])
        for name, groups in self.plans.items():
            if list(groups) != self.rows:
                raise ValueError(f"one table needs the same rows, and {name} has others than {names[0]}")
        self.studies = {name: study(name, seeds, *folders, partial=True) for name in names}
        self.planned = sum(len(group) for groups in self.plans.values() for group in groups.values())
        self.made = sum(table.runs for table in self.studies.values())

    def table(self, titles: Sequence[str], caption: str, radii: Iterable[float] = ()) -> plots.Shown:
        """One line per row: its price in gradient passes, and under each protocol's title what was measured.

        A result reads: clean; then at each of ``radii`` (l-infinity); then how many seeds there are. Where
        the protocols differ in a price, it has one number for each.

        Raises
        ------
        ValueError
            If there is not one title, and another, for each protocol.
        KeyError
            If runs were not attacked at one of the radii.
        """
        if len(titles) != len(self.plans) or len({"method", "price", *titles}) != 2 + len(titles):
            raise ValueError(f"each of {', '.join(self.plans)} needs its own title, got {list(titles)}")
        radii = (0, *_check.radii(radii))
        prices = [[self._price(name, label) for name in self.plans] for label in self.rows]
        columns = {"method": self.rows, "price": ["; ".join(dict.fromkeys(own)) for own in prices]}
        for title, name in zip(titles, self.plans, strict=True):
            columns[title] = [self._result(name, label, radii) for label in self.rows]
        return plots.show_table(columns, caption)

    def _price(self, name: str, label: str) -> str:
        return f"{summary.gradient_passes(self.plans[name][label][0]):,.0f}"

    def _result(self, name: str, label: str, radii: Sequence[float]) -> str:
        records = self.studies[name].groups.get(label)
        if not records:
            return "not run"
        values = "; ".join(summary.at(records, eps).percent() for eps in radii)
        return f"{values} ({len(records)} of {len(self.plans[name][label])} seeds)"


def training_curves(found: Study, caption: str) -> plots.Shown:
    """Accuracy in training over the epochs, one line per row: the first seed of each.

    Raises
    ------
    ValueError
        If there are no rows, or a record has no curves.
    """
    if not len(found) or not all(row.records[0].curves for row in found):
        raise ValueError(f"{found!r}: curves need rows, each with a record that has kept its epochs")
    fig, ax = plots.figure("Training accuracy", "epoch", "accuracy on the inputs trained on")
    ends = {}
    for row in found:
        curve = [epoch["accuracy"] for epoch in row.records[0].curves]
        plots.line(ax, range(1, len(curve) + 1), curve, row.kind, marker="")
        ends[row.label] = (len(curve), curve[-1])
    plots.percent_axis(ax)
    ax.margins(x=0.12)
    apart(ax, ends)
    said = "; ".join(f"{label}: {value:.1%}" for label, (_, value) in ends.items())
    table: dict[str, list[Any]] = {"method": list(ends), "last epoch": [value for _, value in ends.values()]}
    alt = f"Training accuracy per epoch; at the end {said}."
    return plots.show(fig, alt, caption, table, made_from=found)


def speeds(found: Study) -> plots.Shown:
    """Images and gradient passes a second of each row's first seed, with the hardware; –: not kept.

    ValueError without rows.
    """
    if not len(found):
        raise ValueError(f"{found!r}: there are no runs whose speed is known")
    speed = [row.records[0].images_per_second for row in found]
    passes = [row.passes / row.config.epochs for row in found]
    columns = {
        "method": [row.label for row in found],
        "passes per image and epoch": [f"{p:.3g}" for p in passes],
        "images a second": [f"{s:,.0f}" if s else "–" for s in speed],
        "passes a second": [f"{s * p:,.0f}" if s else "–" for s, p in zip(speed, passes, strict=True)],
    }
    hardware = dict.fromkeys(row.records[0].origin.get("hardware", "unknown hardware") for row in found)
    return plots.show_table(columns, f"Training speed on {' or '.join(hardware)}.")
