"""Every combination of a method's radius and the attack's, against SGD: where is there no gain?

The tests of all experiments are one family, whose p-values are corrected together::

    experiments = {"digits": (study("digits"), 0.1), "CIFAR-10": (study("cifar10-small"), 2 / 255)}
    grid = combinations.against_sgd(experiments)
    grid.counts                     # how many are shown to be more robust, less robust, or neither
    grid.table()                    # those at which the method is not above SGD on average
"""

from __future__ import annotations

from dataclasses import dataclass

from sam_edu import _check, plots
from sam_edu._text import p_value, pixels
from sam_edu.experiments import comparison
from sam_edu.experiments.elsewhere import Experiments, judged
from sam_edu.experiments.row import Row
from sam_edu.experiments.uncertainty import Estimate
from sam_edu.methods import METHODS

VERDICTS = ("more robust", "nothing shown", "less robust")


@dataclass(frozen=True)
class Combination:
    """One row at one radius of the attack, against SGD; ``p`` is corrected over all combinations."""

    experiment: str
    row: Row
    eps: float
    difference: Estimate
    p: float

    def verdict(self, level: float = 0.05) -> str:
        """What is shown: one of ``VERDICTS``. ValueError if ``level`` is not from 0 to 1."""
        if self.p >= _check.level(level):
            return "nothing shown"
        return "more robust" if self.difference.mean > 0 else "less robust"


@dataclass(frozen=True)
class Combinations:
    """What :func:`against_sgd` finds; printed it is the counts.

    Attributes
    ----------
    method, radius : str
        As readers see it; what sets its rows apart, such as ρ.
    found : tuple of Combination
    """

    method: str
    found: tuple[Combination, ...]
    radius: str = "ρ"

    def __len__(self) -> int:
        return len(self.found)

    @property
    def counts(self) -> dict[str, int]:
        """Verdict -> number of combinations."""
        verdicts = [one.verdict() for one in self.found]
        return {verdict: verdicts.count(verdict) for verdict in VERDICTS}

    def __str__(self) -> str:
        return ", ".join(f"{verdict}: {count}" for verdict, count in self.counts.items())

    def not_above(self) -> list[Combination]:
        """Those at which the method is level with SGD or below on average."""
        return [one for one in self.found if one.difference.mean <= 0]

    def table(self) -> plots.Shown:
        """The combinations of :meth:`not_above`, with intervals and p-values; a line that says "none"."""
        lines = [
            (one.experiment, one.row.label, pixels(one.eps), one.difference.points(), p_value(one.p))
            for one in self.not_above()
        ]
        heads = ("experiment", self.method, "ε", "points above SGD", "p")
        return plots.show_table(
            dict(zip(heads, zip(*(lines or [("none", "–", "–", "–", "–")]), strict=True), strict=True)),
            f"Every such combination of {self.radius} and ε at which {self.method} is not above SGD on "
            "average: 95 % interval over seeds and test images; p: two-sided, Holm-corrected "
            "over all combinations of all experiments.",
        )


def against_sgd(experiments: Experiments, method: str = "sam") -> Combinations:
    """Each row of a method at each radius that its study was attacked at, against SGD; paired.

    Parameters
    ----------
    experiments : mapping from names to (study, radius, ...)
        As :func:`~sam_edu.experiments.elsewhere.compare` takes them; here every radius of a study counts.
    method : str
        A key of :data:`sam_edu.methods.METHODS`; rows with further settings, such as a warm start, are left
        out.

    Raises
    ------
    ValueError
        If there is no such method, it is SGD, it has no row, or one that shares fewer than two seeds with
        SGD. If a radius is missing, or two experiments are the same runs.
    TypeError
        If an experiment is not a study and then numbers.
    KeyError
        If a study has no row SGD.
    """
    if method == "sgd":
        raise ValueError("SGD is what each method is compared with; name another: method='sam'")
    cells: list[tuple[str, Row, float, Estimate]] = []
    for name, study, radii in judged(experiments, every=True):
        sgd = study.row("sgd")
        cells += [(name, row, eps, row.versus(sgd, eps)) for row in study.rows(method) for eps in radii]
    if not cells:
        raise ValueError(f"none of {', '.join(experiments) or 'no experiments'} has a row of {method}")
    ps = comparison.holm([difference.p for *_, difference in cells])
    found = (Combination(*cell, p) for cell, p in zip(cells, ps, strict=True))
    needs = METHODS[method].needs
    return Combinations(METHODS[method].name, tuple(found), "ρ" if needs == ("rho",) else "a row's settings")
