"""The rows of a protocol, found by method and settings, never by the label, which is only shown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Self

from sam_edu.experiments import summary
from sam_edu.experiments.record import Record
from sam_edu.experiments.row import Row
from sam_edu.methods import METHODS


class Rows:
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
        return f"{type(self).__name__}({self.name!r}, {len(self)} rows, {self.runs} runs)"

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
        return [
            row
            for row in self
            if (not methods or row.config.method in methods)
            and set(row.varies) <= set(settings)
            and all(_is(getattr(row.config, name), want) for name, want in settings.items())
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
            asked = ", ".join([method, *(f"{name}={value}" for name, value in settings.items())])
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
            If there are no rows, they share no seed, or set no images aside.
        """
        rows = list(rows)
        common = [seed for seed in rows[0].seeds if all(seed in row.seeds for row in rows)] if rows else []
        if not common:
            raise ValueError(f"a choice needs rows that share a seed, got {rows}")
        return max(rows, key=lambda row: row.of(common).validated(eps).mean)

    def select(self, rows: Iterable[Row]) -> Self:
        """The same with some of the rows."""
        chosen = [row for row in rows if row in self._rows]
        return type(self)(self.name, chosen)

    def without(self, rows: Iterable[Row]) -> Self:
        """The same with the other rows."""
        left_out = list(rows)
        return type(self)(self.name, [row for row in self if row not in left_out])

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
    def runs(self) -> int:
        """Number of runs, each with a network of its own."""
        return sum(len(row.records) for row in self)

    @property
    def hours(self) -> float:
        """What all runs took, training and evaluation: wall time on the cores that each had."""
        return sum(sum(run.seconds.values()) / 3600 for row in self for run in row.records)

    def paired(self) -> Self:
        """The seeds that all rows have: for sweeps under way."""
        return self._with(summary.paired(self.groups))

    def complete(self) -> Self:
        """The largest table without holes."""
        return self._with(summary.complete(self.groups))

    def _with(self, groups: Mapping[str, Sequence[Record]]) -> Self:
        rows = (row for row in self if row.label in groups)
        return type(self)(self.name, [replace(row, records=groups[row.label]) for row in rows])


def _is(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, (list, tuple, range, set)):
        return any(_is(value, one) for one in wanted)
    if isinstance(value, float) and isinstance(wanted, (int, float)):
        return math.isclose(value, wanted, rel_tol=1e-9)
    return bool(value == wanted)
