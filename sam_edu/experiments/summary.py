"""Several seeds of the same settings, summed up: means, spreads and paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam_edu import _check
from sam_edu._text import pixels
from sam_edu.evaluation import EvaluationRecord
from sam_edu.experiments.config import RunConfig
from sam_edu.experiments.record import Record
from sam_edu.methods import METHODS


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation over ``n`` seeds (0 for one seed)."""

    mean: float
    sd: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float] | NDArray) -> Spread:
        """Of one number per seed; ValueError if there are none."""
        values = np.asarray(values, dtype=float)
        if not len(values):
            raise ValueError("a mean over seeds needs the run of one seed at least, got none")
        sd = float(values.std(ddof=1)) if len(values) > 1 else 0.0
        return cls(float(values.mean()), sd, len(values))

    def percent(self, signed: bool = False) -> str:
        """As per cent with one decimal: ``63.4 ± 0.7``, of one seed ``63.4``; ``signed`` for differences."""
        spread = f" ± {100 * self.sd:.1f}" if self.n > 1 else ""
        return f"{100 * self.mean:{'+' if signed else ''}.1f}{spread}"


def radii(records: Sequence[Record], norm: str = "linf") -> list[float]:
    """Attack radii that all these runs were evaluated at, ascending; radius 0 is no attack."""
    found = [tuple(entry.eps for entry in evaluation(record, norm).attacked) for record in records]
    if len(set(found)) != 1:
        raise ValueError(f"these runs were attacked at different radii: {sorted(set(found))}")
    return list(found[0])


def accuracies(records: Sequence[Record], norm: str = "linf") -> NDArray:
    """Accuracies of shape (seeds, 1 + radii): without attack first, then one column per radius.

    ValueError if a seed comes twice, or a run was not attacked in this norm.
    """
    seeds(records)
    return np.array(
        [
            [evaluation(r, norm).clean_accuracy, *(entry.accuracy for entry in evaluation(r, norm).attacked)]
            for r in records
        ]
    )


def at(records: Sequence[Record], eps: float, norm: str = "linf") -> Spread:
    """Robust accuracy at radius ``eps`` (0: clean) over the seeds; errors as :func:`column`."""
    return Spread.of(column(records, eps, norm))


def gain(records: Sequence[Record], reference: Sequence[Record], eps: float, norm: str = "linf") -> Spread:
    """Paired difference of accuracy, seed by seed, at radius ``eps`` (0: clean).

    Raises
    ------
    ValueError
        If the seeds differ: unpaired runs have a different spread. If one comes twice. If the attacks were
        of different ladders.
    """
    own, others = seeds(records), seeds(reference)
    if own != others:
        raise ValueError(
            f"a paired difference needs the same seeds in the same order, got {own} and {others}; "
            "Study.paired() keeps those that all rows have, Study.complete(2) the largest table with two or "
            "more"
        )
    same_ladder([*records, *reference], eps, norm)
    return Spread.of(column(records, eps, norm) - column(reference, eps, norm))


def common(groups: Iterable[Sequence[Record]]) -> list[int]:
    """The seeds that all of these groups have, ascending; ValueError if a group has one twice."""
    found = [set(seeds(group)) for group in groups]
    return sorted(set.intersection(*found)) if found else []


def paired(groups: Mapping[str, Sequence[Record]]) -> dict[str, list[Record]]:
    """The same groups with only the seeds that all of them have, in the same order: ready for :func:`gain`.

    For sweeps under way, whose rows have unequal numbers of records. ValueError if a group has a seed twice.
    """
    kept = common(groups.values())
    by_seed = {label: {r.config.seed: r for r in group} for label, group in groups.items()}
    return {label: [found[seed] for seed in kept] for label, found in by_seed.items()}


def complete(groups: Mapping[str, Sequence[Record]], least: int = 1) -> dict[str, list[Record]]:
    """The largest table without holes: of rows with many seeds, those seeds that all of them have.

    With ``least`` seeds or more; empty if there is none. ValueError if a group has a seed twice.
    """
    had = {n: set(seeds(group)) for n, group in groups.items()}
    wide = [[n for n in groups if len(had[n]) >= count] for count in {*map(len, had.values())}]
    alike = [[n for n in groups if had[n] >= own] for own in had.values() if own]  # others may share none
    tables = [paired({n: groups[n] for n in names}) for names in (*wide, *alike)]
    tables = [table for table in tables if all(len(own) >= least for own in table.values())]
    return max(tables, key=lambda table: sum(map(len, table.values())), default={})


def gradient_passes(config: RunConfig) -> float:
    """Forward-backward passes that the training makes with each image: the price that no machine changes.

    One per step moves the weights, one more finds the weight perturbation of SAM, most of its family and AWP,
    and the training attack takes one per step of its own.
    """
    attack = config.attack_steps if config.eps > 0 else 0
    plain = config.plain_epochs  # one pass each
    return plain + (config.epochs - plain) * (METHODS[config.method].passes + attack)


def grid_rows(groups: Mapping[str, Sequence[Record]], norm: str = "linf") -> list[dict[str, Any]]:
    """Rows for :class:`sam_edu.widgets.RhoEpsGrid`: one per label, over radius 0 and the attack's radii.

    A figure takes a :class:`~sam_edu.experiments.study.Study` as well, which knows more about its rows.

    ``low`` and ``high`` are the extreme seeds.
    """
    rows = []
    for label, records in groups.items():
        values = accuracies(records, norm)
        method = METHODS[records[0].config.method]
        style = "control" if method.key == "sgd" and label != method.name else method.look
        rows.append(
            {
                "method": label if style == "control" else style,
                "label": label,
                "rho": records[0].config.rho or None,
                "train_eps": records[0].config.eps or None,
                "eps": [0.0, *radii(records, norm)],
                "mean": values.mean(0).tolist(),
                "low": values.min(0).tolist(),
                "high": values.max(0).tolist(),
                "points": values.T.tolist(),
                "seeds": seeds(records),
            }
        )
    return rows


def column(records: Sequence[Record], eps: float, norm: str = "linf") -> NDArray:
    """Accuracy at radius ``eps`` (0: clean, of which there is one for both norms), one number per run.

    Raises
    ------
    ValueError
        If a seed comes twice, or a run was not attacked in this norm.
    KeyError
        If a run was not attacked at this radius.
    """
    seeds(records)
    if eps == 0:
        return np.array([r.clean_accuracy for r in records])
    return np.array([evaluation(r, norm).robust_accuracy(eps) for r in records])


def seeds(records: Sequence[Record], where: str = "") -> list[int]:
    """The seeds of one row's records, in their order; ValueError if one comes twice.

    The message begins with ``where``, if that is given.
    """
    return _check.seeds((record.config.seed for record in records), where)


def same_ladder(records: Iterable[Record], eps: float, norm: str = "linf") -> None:
    """ValueError if these runs, which are to be compared at ``eps``, met attacks of different ladders.

    The stronger ladder breaks more images of the same network. Without attack (``eps`` = 0) none is met.
    """
    found = sorted({evaluation(record, norm).ladder for record in records}) if eps else []
    if len(found) > 1:
        raise ValueError(
            f"runs that met different ladders of attacks ({', '.join(found)}) are not compared at radius "
            f"{pixels(eps)}; take rows of one ladder (RunConfig.ladder): those of one protocol have the same"
        )


def evaluation(record: Record, norm: str) -> EvaluationRecord:
    """What is known of the run in one norm, "linf" or "l2"; a ValueError if it was not attacked in it."""
    if norm not in ("linf", "l2"):
        raise ValueError(f'norm must be "linf" or "l2", got {norm!r}')
    found = record.linf if norm == "linf" else record.l2
    if found is None:
        raise ValueError(f"run {record.config.run_id} was not attacked in {norm}")
    return found
