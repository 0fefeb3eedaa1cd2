"""The rows of a protocol, found by method and settings, never by the label, which is only shown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import cached_property
from typing import Any, Self

from sam_edu import _check, data
from sam_edu.experiments import summary
from sam_edu.experiments.config import RunConfig
from sam_edu.experiments.record import Record
from sam_edu.experiments.row import Row, by_label
from sam_edu.methods import METHODS


class Rows:
    """Rows of one protocol; iterate over it for all of them.

    Parameters
    ----------
    name : str
        The protocol.
    rows : sequence of Row

    Raises
    ------
    ValueError
        If two rows have the same label.
    """

    def __init__(self, name: str, rows: Iterable[Row]) -> None:
        self.name, self._rows = name, tuple(by_label(rows).values())

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {len(self)} rows, {self.runs} runs)"

    def rows(self, *methods: str, **settings: Any) -> list[Row]:
        """Rows of these methods (default: of all), and with these settings.

        A setting may be several values to choose from. Rows that differ from the protocol in a further
        setting are left out: ``rows("at")`` is AT at every radius, ``rows("at", epochs=10)`` the short one.

        Raises
        ------
        ValueError
            If there is no such method or setting.
        """
        for method in methods:
            if method not in METHODS:
                raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
        known = [f.name for f in fields(RunConfig) if f.name != "seed"]  # a row has several: row.of([1])
        for name in settings:
            if name not in known:
                raise ValueError(f"a setting must be one of {', '.join(known)}, got {name!r}")
        wanted = {name: _choices(value) for name, value in settings.items()}
        return [
            row
            for row in self
            if (not methods or row.config.method in methods)
            and set(row.varies) <= set(settings)
            and all(_among(getattr(row.config, name), values) for name, values in wanted.items())
        ]

    def row(self, method: str, **settings: Any) -> Row:
        """The one row of a method with these settings.

        Raises
        ------
        KeyError
            If there is none, or more than one.
        """
        found = self.rows(method, **settings)
        if len(found) != 1:
            asked = ", ".join([method, *(f"{name}={value!r}" for name, value in settings.items())])
            there = "; ".join(row.label for row in found or self if row.config.method == method) or "none"
            raise KeyError(
                f"{len(found) or 'no'} rows of {self.name} are {asked}; rows of this method: {there}"
            )
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

    def chosen(self, rows: Iterable[Row], eps: float) -> Row:
        """The most robust of some rows at ``eps``, judged on the training images set aside for choices.

        By the mean over the seeds that all of them have, see
        :meth:`~sam_edu.experiments.row.Row.validated`; of equals the first.

        Raises
        ------
        ValueError
            If there are no rows, one is not the study's, they share no seed, or set no images aside.
        KeyError
            If they were not attacked there at this radius.
        """
        rows = self._own(rows)
        common = summary.common(row.records for row in rows)
        if not common:
            raise ValueError(f"a choice needs rows that share a seed, got {rows}")
        return max(rows, key=lambda row: row.of(common).validated(eps).mean)

    def select(self, rows: Iterable[Row]) -> Self:
        """The same with some of the rows; ValueError if one is not among them."""
        return type(self)(self.name, self._own(rows))

    def without(self, rows: Iterable[Row]) -> Self:
        """The same with the other rows; ValueError if one of these is not among them."""
        left_out = self._own(rows)
        return type(self)(self.name, [row for row in self if row not in left_out])

    def _own(self, rows: Iterable[Row]) -> list[Row]:
        """These rows, each of which has to be one of the study's: a label may be another's, too."""
        given = _check.listed("rows", rows, "write [study.row(...)], or study.rows(...)")
        for row in given:
            if row not in self._rows:
                raise ValueError(
                    f"{row!r} is not one of the rows of this study ({self.name}); find it there, with row(), "
                    "rows() or labelled(): what paired() and complete() return has rows of its own"
                )
        return given

    @property
    def _first(self) -> Row:
        if not self._rows:
            raise ValueError(f"{self.name} has no rows here: none was selected, or none has a record")
        return self._rows[0]

    @cached_property
    def groups(self) -> dict[str, Sequence[Record]]:
        """Label -> records, as :mod:`sam_edu.experiments.summary` and ``comparison`` take them."""
        return {row.label: row.records for row in self}

    @property
    def seeds(self) -> int:
        """Seeds of the row that has fewest."""
        return min(self._counts, default=0)

    @property
    def images(self) -> int:
        """Number of test images; ValueError without rows, or if they differ in it."""
        found = {n for row in (self._first, *self) for _, n in row.tested}
        if len(found) != 1:
            raise ValueError(f"the rows of {self.name} differ in their number of test images: {found}")
        return found.pop()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return data.class_names(self._first.config.dataset)

    def class_index(self, name: str) -> int:
        """Where a class stands in :meth:`~sam_edu.experiments.row.Row.per_class`; ValueError if unknown."""
        if name not in self.classes:
            raise ValueError(f"no class {name!r}; {self.name} has {', '.join(self.classes)}")
        return self.classes.index(name)

    @property
    def _counts(self) -> list[int]:
        return [len(row.records) for row in self]

    @property
    def runs(self) -> int:
        """Number of runs, each with a network of its own."""
        return sum(self._counts)

    @property
    def hours(self) -> float:
        """What all runs took, training and evaluation: wall time on the cores that each had."""
        return sum(sum(run.seconds.values()) / 3600 for row in self for run in row.records)

    def paired(self) -> Self:
        """The seeds that all rows have, for sweeps under way; ValueError if there are none."""
        if self._rows and not summary.common(self.groups.values()):
            raise ValueError(f"the rows of {self.name} share no seed; complete() leaves some rows out")
        return self._with(summary.paired(self.groups))

    def complete(self, least: int = 1) -> Self:
        """The largest table without holes that has ``least`` seeds or more; without rows if there is none."""
        return self._with(summary.complete(self.groups, least))

    def _with(self, groups: Mapping[str, Sequence[Record]]) -> Self:
        rows = (row for row in self if row.label in groups)
        return type(self)(self.name, [replace(row, records=groups[row.label]) for row in rows])


def _choices(wanted: Any) -> list[Any]:
    """The values to choose from; a number of NumPy or torch is one value."""
    several = isinstance(wanted, Iterable) and not isinstance(wanted, str) and getattr(wanted, "ndim", 1) != 0
    return list(wanted) if several else [wanted]


def _among(value: Any, choices: list[Any]) -> bool:
    return value == tuple(choices) or any(_is(value, one) for one in choices)


def _is(value: Any, wanted: Any) -> bool:
    if isinstance(value, float) and isinstance(wanted, (int, float)):
        return math.isclose(value, wanted, rel_tol=1e-9)
    return bool(value == wanted)
