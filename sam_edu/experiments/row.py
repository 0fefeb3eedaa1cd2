"""A row: one way of training, with its runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam_edu import _check
from sam_edu.experiments import summary
from sam_edu.experiments.config import RunConfig
from sam_edu.experiments.matching import Match, match
from sam_edu.experiments.record import Record
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

    Raises
    ------
    ValueError
        If two records have the same seed.
    """

    protocol: str
    label: str
    varies: Mapping[str, Any]
    config: RunConfig
    records: Sequence[Record]

    def __post_init__(self) -> None:
        summary.seeds(self.records, self.label)

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
        return summary.seeds(self.records, self.label)

    @property
    def tested(self) -> set[tuple[str, int]]:
        """Data and number of test images: one pair, unless records differ."""
        return {(r.config.dataset, e.n) for r in self.records for e in (r.linf, r.l2) if e}

    @property
    def radii(self) -> tuple[float, float, float]:
        """Those of its training: rho, eps and gamma."""
        return self.config.rho, self.config.eps, self.config.gamma

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
        KeyError
            If they were not attacked at this radius.
        """
        entries = [summary.evaluation(record, norm).entry(eps) for record in self.records]
        if any(entry.proved is None for entry in entries):
            raise ValueError(f"{self.label}: these runs asked for no proofs; see the protocols *-certified")
        return Spread.of([entry.bracket[0] for entry in entries])

    def validated(self, eps: float) -> Spread:
        """Accuracy at ``eps`` (l-infinity; 0: without attack) on training images set aside for choices.

        Raises
        ------
        ValueError
            If these runs set none aside (``validation_size``).
        KeyError
            If they were not attacked there at this radius.
        """
        held = [record.validation for record in self.records if record.validation]
        if len(held) < len(self.records):
            raise ValueError(f"{self.label}: these runs set no images aside (validation_size)")
        return Spread.of([found.robust_accuracy(eps) if eps else found.clean_accuracy for found in held])

    def minus(self, other: Row, eps: float, norm: str = "linf") -> Spread:
        """Paired difference to another row, over the seeds that both have.

        Raises
        ------
        ValueError
            If they share no seed, differ in their test images or met different ladders of attacks.
        KeyError
            If one was not attacked at this radius.
        """
        own, others = self.paired(other)
        return summary.gain(own.records, others.records, eps, norm)

    def versus(self, other: Row, eps: float, norm: str = "linf") -> Estimate:
        """The same with interval and p-value over seeds and images; ValueError of a single seed, too."""
        own, others = self.paired(other)
        if len(own.records) < 2:
            summary.same_ladder([*own.records, *others.records], eps, norm)  # the graver fault is told first
            raise ValueError(
                f"{self.label} and {other.label} ({self.protocol}) share one seed, and a test needs two at "
                "least; Study.complete(2) keeps the rows that have them"
            )
        return estimate(own.records, others.records, eps, norm)

    def matched(self, rivals: Iterable[Row], eps: float, norm: str = "linf") -> Match:
        """Against the best mixture of rivals at equal clean accuracy (sam_edu.experiments.matching).

        Errors as there; a ValueError, too, if a rival lacks one of the row's seeds, or two share a label.
        """
        theirs = {label: row.of(self.seeds).records for label, row in by_label(rivals).items()}
        return match(self.records, theirs, eps, norm)

    def paired(self, other: Row) -> tuple[Row, Row]:
        """Both rows with the seeds that both have; ValueError if there are none, or the images differ."""
        if self.tested != other.tested:
            raise ValueError(
                f"{self.label} and {other.label}: a paired difference needs the same test images, got "
                f"{self.tested} and {other.tested}"
            )
        common = summary.common([self.records, other.records])
        if not common:
            raise ValueError(
                f"{self.label} and {other.label}: a paired difference needs the same seeds, got {self.seeds} "
                f"and {other.seeds}"
            )
        return self.of(common), other.of(common)

    def of(self, seeds: Iterable[int]) -> Row:
        """The same row with these seeds only, in this order; ValueError if one was not run or comes twice."""
        by_seed, seeds = {record.config.seed: record for record in self.records}, _check.seeds(seeds)
        for seed in seeds:
            if seed not in by_seed:
                raise ValueError(f"{self.label} has no run with seed {seed}; its seeds: {self.seeds}")
        return replace(self, records=[by_seed[seed] for seed in seeds])

    def mean(self, what: Callable[[Record], Any]) -> Any:
        """Mean over the seeds of anything that a record holds, a number or an array; ValueError of none."""
        if not self.records:
            raise ValueError(f"{self.label}: a mean over seeds needs the run of one seed at least, got none")
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
        return np.asarray(
            self.mean(
                lambda r: (
                    summary.evaluation(r, "linf").clean_per_class
                    if eps == 0
                    else summary.evaluation(r, "linf").entry(eps).per_class
                )
            )
        )

    @property
    def sources(self) -> list[Source]:
        return [(self.protocol, len(self.records), len(self.records))]


def by_label(rows: Iterable[Row]) -> dict[str, Row]:
    """Label -> row, as tables and figures tell rows apart.

    ValueError if two share a label; TypeError if it is a single row, or one is no row.
    """
    found: dict[str, Row] = {}
    hint = "take them from a study: [study.row(...)], or study.rows(...)"
    for row in _check.listed("rows", rows, hint):
        if not isinstance(row, Row):
            raise TypeError(f"rows must be rows, got {row!r} among them; {hint}")
        if found.setdefault(row.label, row) is not row:
            raise ValueError(
                f"two rows are called {row.label!r} ({found[row.label].protocol}, {row.protocol}); give one "
                "of them a label of its own: dataclasses.replace(row, label=...)"
            )
    return found


def variation(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a row sets beside its method and the radii that this needs."""
    needs = METHODS[settings.get("method", "sgd")].needs
    return {name: value for name, value in settings.items() if name != "method" and name not in needs}
