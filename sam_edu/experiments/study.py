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

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam_edu import data, plots
from sam_edu._text import pixels
from sam_edu.experiments import comparison, protocols, summary
from sam_edu.experiments.config import RunConfig
from sam_edu.experiments.records import Record, available, load_records
from sam_edu.experiments.summary import Spread
from sam_edu.experiments.uncertainty import Estimate, estimate
from sam_edu.methods import METHODS, Method
from sam_edu.styles import CONTROL, Style

Source = tuple[str, int, int]  # protocol, number of records, number of seeds


@dataclass(frozen=True, eq=False, repr=False)
class Row:
    """One way of training, with its runs.

    Attributes
    ----------
    protocol : str
    label : str
        As readers see it.
    varies : mapping
        What sets it apart from the protocol's settings, beside its method and the radii that this needs.
    config : RunConfig
        Of the first seed of the protocol; also of a row without a record.
    records : sequence of Record
        One for each seed.
    """

    protocol: str
    label: str
    varies: Mapping[str, Any]
    config: RunConfig
    records: Sequence[Record]

    def __repr__(self) -> str:
        return f"Row({self.label!r}, {len(self.records)} seeds)"

    @property
    def method(self) -> Method:
        return METHODS[self.config.method]

    @property
    def control(self) -> bool:
        """Whether it is SGD with another setting."""
        return self.method.key == "sgd" and bool(self.varies)

    @property
    def style(self) -> Style:
        """How it is drawn."""
        return CONTROL if self.control else self.method.style

    @property
    def kind(self) -> str:
        """Name of that style."""
        return "control" if self.control else self.method.look

    @property
    def seeds(self) -> list[int]:
        return [record.config.seed for record in self.records]

    @property
    def passes(self) -> float:
        """Forward-backward passes of the training with each image."""
        return summary.gradient_passes(self.config)

    def values(self, eps: float = 0, norm: str = "linf") -> NDArray:
        """Accuracy under an attack of radius ``eps`` (0: none), one number per seed."""
        return summary.column(self.records, eps, norm)

    def at(self, eps: float, norm: str = "linf") -> Spread:
        """Accuracy at radius ``eps`` (0: without attack) over the seeds."""
        return Spread.of(self.values(eps, norm))

    def proved(self, eps: float, norm: str = "linf") -> Spread:
        """Share of the images that no attack of radius ``eps`` can break: the floor below :meth:`at`.

        Raises
        ------
        ValueError
            If these runs asked for no proofs (``certify``).
        """
        entries = [summary.evaluation(record, norm).entry(eps) for record in self.records]
        if any(entry.proved is None for entry in entries):
            raise ValueError(f"{self.label}: these runs asked for no proofs; see the protocols *-certified")
        return Spread.of([entry.bracket[0] for entry in entries])

    def minus(self, other: Row, eps: float, norm: str = "linf") -> Spread:
        """Paired difference to another row, over the seeds that both have.

        Raises
        ------
        ValueError
            If they share no seed.
        """
        return summary.gain(*self._paired(other), eps, norm)

    def versus(self, other: Row, eps: float, norm: str = "linf") -> Estimate:
        """The same difference with its interval and p-value over seeds and test images."""
        return estimate(*self._paired(other), eps, norm)

    def _paired(self, other: Row) -> tuple[Sequence[Record], Sequence[Record]]:
        """The records of both for the seeds that both have."""
        common = [seed for seed in self.seeds if seed in other.seeds]
        if not common:
            raise ValueError(f"a paired difference needs the same seeds, got {self.seeds} and {other.seeds}")
        return self.of(common).records, other.of(common).records

    def of(self, seeds: Sequence[int]) -> Row:
        """The same row with these seeds only, in this order."""
        by_seed = {record.config.seed: record for record in self.records}
        return replace(self, records=[by_seed[seed] for seed in seeds])

    def mean(self, what: Callable[[Record], Any]) -> Any:
        """Mean over the seeds of anything that a record holds, a number or an array."""
        return np.mean([what(record) for record in self.records], axis=0)

    @property
    def training(self) -> Spread:
        """Accuracy in the last epoch, on the inputs trained on."""
        return Spread.of([record.train_accuracy for record in self.records])

    @property
    def eigenvalue(self) -> float:
        """Largest eigenvalue of the Hessian, mean over the seeds."""
        return float(self.mean(lambda record: record.sharpness["top_eigenvalue"]))

    @property
    def ball(self) -> float:
        """Worst loss in a ball minus the loss, mean over the seeds."""
        return float(self.mean(lambda record: record.sharpness["ball"]))

    def per_class(self, eps: float = 0) -> NDArray:
        """Accuracy of each class (l-infinity), mean over the seeds: shape (classes,)."""
        return np.asarray(self.mean(lambda r: summary.evaluation(r, "linf").clean_per_class if eps == 0
                                    else summary.evaluation(r, "linf").entry(eps).per_class))  # fmt: skip

    @property
    def sources(self) -> list[Source]:
        return [(self.protocol, len(self.records), len(self.records))]


class Study:
    """Rows of one protocol; iterate over it for all of them.

    Parameters
    ----------
    name : str
        The protocol.
    rows : sequence of Row
    """

    def __init__(self, name: str, rows: Iterable[Row]) -> None:
        self.name, self._rows = name, tuple(rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"Study({self.name!r}, {len(self)} rows, {sum(len(row.records) for row in self)} runs)"

    def rows(self, *methods: str, **settings: Any) -> list[Row]:
        """Rows of these methods (default: of all), and with these settings.

        A setting may be a sequence of values to choose from. Rows that differ from the protocol in a further
        setting are left out: ``rows("at")`` is AT at every radius, ``rows("at", epochs=10)`` the short one.

        Raises
        ------
        ValueError
            If there is no such method.
        """
        for method in methods:
            if method not in METHODS:
                raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
        return [row for row in self
                if (not methods or row.config.method in methods) and set(row.varies) <= set(settings)
                and all(_is(getattr(row.config, name), want) for name, want in settings.items())]  # fmt: skip

    def row(self, method: str, **settings: Any) -> Row:
        """The one row of a method with these settings.

        Raises
        ------
        KeyError
            If there is none, or more than one.
        """
        found = self.rows(method, **settings)
        if len(found) != 1:
            asked = ", ".join([method, *(f"{name}={value}" for name, value in settings.items())])
            there = "; ".join(row.label for row in found or self if row.config.method == method) or "none"
            raise KeyError(f"{len(found) or 'no'} rows of {self.name} are {asked}; "
                           f"rows of this method: {there}")  # fmt: skip
        return found[0]

    def labelled(self, label: str) -> Row:
        """The row that readers see under this label (for prose, which names rows as readers see them).

        Raises
        ------
        KeyError
            If there is none.
        """
        for row in self:
            if row.label == label:
                return row
        known = "; ".join(row.label for row in self)
        raise KeyError(f"no row of {self.name} is called {label!r}; it has {known}")

    @property
    def controls(self) -> list[Row]:
        """SGD with other settings."""
        return [row for row in self if row.control]

    def select(self, rows: Iterable[Row]) -> Study:
        """A study of some of the rows."""
        chosen = [row for row in rows if row in self._rows]
        return Study(self.name, chosen)

    def without(self, rows: Iterable[Row]) -> Study:
        """A study of the other rows."""
        left_out = list(rows)
        return Study(self.name, [row for row in self if row not in left_out])

    @cached_property
    def groups(self) -> dict[str, Sequence[Record]]:
        """Label -> records, as :mod:`sam_edu.experiments.summary` and ``comparison`` take them."""
        return {row.label: row.records for row in self}

    @property
    def seeds(self) -> int:
        """Seeds of the row that has fewest."""
        return min((len(row.records) for row in self), default=0)

    @property
    def images(self) -> int:
        """Number of test images."""
        return summary.evaluation(self._rows[0].records[0], "linf").n

    @property
    def sources(self) -> list[Source]:
        """Protocol, number of records and of seeds: what a figure of it was made from."""
        return [(self.name, sum(len(row.records) for row in self), max(len(row.records) for row in self))]

    def paired(self) -> Study:
        """The seeds that all rows have: for sweeps under way."""
        return self._with(summary.paired(self.groups))

    def complete(self) -> Study:
        """The largest table without holes."""
        return self._with(summary.complete(self.groups))

    def _with(self, groups: Mapping[str, Sequence[Record]]) -> Study:
        rows = (row for row in self if row.label in groups)
        return Study(self.name, [replace(row, records=groups[row.label]) for row in rows])

    def cost(self, row: Row) -> float:
        """Gradient passes of a row, in units of SGD's."""
        return row.passes / self.row("sgd").passes

    def radii(self, norm: str = "linf") -> list[float]:
        """Radii that all runs were attacked at."""
        return summary.radii(self._rows[0].records, norm)

    # ---- what is shown ----------------------------------------------------------------------

    def table(self, caption: str, radii: Iterable[float] | None = None, l2: Iterable[float] = (),
              seeds: bool = False, training: bool = False) -> plots.Shown:  # fmt: skip
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
        for eps in self.radii() if radii is None else radii:
            columns[f"ε = {pixels(eps)}"] = [row.at(eps).percent() for row in self]
        for eps in l2:
            columns[f"ℓ2, {pixels(eps)}"] = [row.at(eps, "l2").percent() for row in self]
        return plots.show_table(columns, caption)

    def against(self, reference: Row, eps: float, rows: Iterable[Row] | None = None,
                norm: str = "linf") -> list[comparison.Comparison]:  # fmt: skip
        """Paired tests of rows (default: all others) against one, corrected together."""
        labels = None if rows is None else [row.label for row in rows]
        return comparison.compare(self.groups, reference.label, eps, norm, labels)

    def differences(self, reference: Row, eps: float, rows: Iterable[Row] | None = None,
                    about: str = "") -> plots.Shown:  # fmt: skip
        """What :meth:`against` finds, under attack and without, as a table."""
        labels = None if rows is None else [row.label for row in rows]
        columns = comparison.columns(self.groups, reference.label, eps, labels=labels)
        caption = (
            f"{about}: difference from {reference.label} in points at {pixels(eps)} and without attack; "
            f"seeds: {self.seeds}; {self.images} test images. Intervals and p are over both, seeds and "
            f"images; p: two-sided, paired, Holm-corrected over {len(columns['method'])} comparisons."
        )
        if any(cell.endswith("*") for cell in columns["p, clean"]):
            caption += " *: over the seeds alone, since these records keep no verdicts of clean images."
        return plots.show_table(columns, caption)

    def choose(self, rows: Iterable[Row], eps: float) -> tuple[Row, Row]:
        """The best row at ``eps`` on even test images, and on odd ones."""
        even, odd = comparison.choose({row.label: row.records for row in rows}, eps)
        return self.labelled(even.label), self.labelled(odd.label)

    def held_out(self, rows: Iterable[Row], by: float, eps: float) -> NDArray:
        """Accuracy at ``eps`` of the row chosen at ``by``, on the images that took no part; one per seed."""
        return comparison.held_out({row.label: row.records for row in rows}, by, eps)

    def held_out_verdicts(self, rows: Iterable[Row], by: float, eps: float) -> NDArray:
        """The verdicts behind :meth:`held_out`, shape (seeds, images); odd images first."""
        return comparison.held_out_verdicts({row.label: row.records for row in rows}, by, eps)

    def choices(self, families: Mapping[str, Iterable[Row]], by: float, eps: float,
                caption: str) -> plots.Shown:  # fmt: skip
        """What each half of the images chooses of each family, and how it does on the other, as a table."""
        groups = {name: {row.label: row.records for row in rows} for name, rows in families.items()}
        return plots.show_table(comparison.choices(groups, by, eps), caption)

    def figure_rows(self) -> list[dict[str, Any]]:
        """Rows for the live figures: accuracies over radius 0 and the attack's, price and look."""
        radii = self.radii()
        found = []
        for row in self:
            values = summary.accuracies(row.records)
            found.append({
                "method": row.kind if row.kind != "control" else row.label,
                "kind": row.kind, "label": row.label, "name": row.label, "variant": bool(row.varies),
                "rho": row.config.rho or None, "train_eps": row.config.eps or None, "cost": self.cost(row),
                "eps": [0.0, *radii], "mean": values.mean(0).tolist(), "low": values.min(0).tolist(),
                "high": values.max(0).tolist(), "points": values.T.tolist(),
            })  # fmt: skip
        return found

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return data.class_names(self._rows[0].config.dataset)


def study(name: str, seeds: int | None = None, *folders: str | Path | None, partial: bool = False) -> Study:
    """The study of a protocol.

    Parameters
    ----------
    name : str
        A protocol of the book (:mod:`sam_edu.experiments.protocols`).
    seeds : int, optional
        How many; default: as many as the book has.
    folders : path or None
        Where to look for records; None, and the default: those shipped with the book.
    partial : bool
        Take the records that are there; rows without one are left out.

    Raises
    ------
    FileNotFoundError
        If a record is missing, and not ``partial``.
    ValueError
        If there is no such protocol, or a record is damaged.

    Examples
    --------
    >>> digits = study("digits", seeds=3)
    >>> digits
    Study('digits', 20 rows, 60 runs)
    >>> digits.row("sam", rho=0.4).minus(digits.row("sgd"), 0.1).percent(signed=True)
    '+20.2 ± 0.7'
    """
    groups = protocols.configs(name, range(protocols.SEEDS.get(name, 3) if seeds is None else seeds))
    if partial or folders:
        records = available(groups, *(folders or (None,)))
    else:
        records = load_records(groups)
    settings = protocols.PROTOCOLS[name][1]
    return Study(name, [Row(name, label, _variation(settings[label]), groups[label][0], found)
                        for label, found in records.items()])  # fmt: skip


def _variation(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a row sets beside its method and the radii that this needs."""
    needs = METHODS[settings.get("method", "sgd")].needs
    return {name: value for name, value in settings.items() if name != "method" and name not in needs}


def _is(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, (list, tuple, range, set)):
        return any(_is(value, one) for one in wanted)
    if isinstance(value, float) and isinstance(wanted, (int, float)):
        return math.isclose(value, wanted, rel_tol=1e-9)
    return bool(value == wanted)
