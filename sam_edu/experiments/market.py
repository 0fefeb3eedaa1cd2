"""What robustness costs, in gradient passes and clean accuracy, and what a budget buys (chapter 14).

A table of prices, and the best row for a budget::

    fashion = study("fashion-mnist")
    market.prices(fashion, fashion, fashion.row("sam", rho=0.2), 8 / 255, about="Fashion-MNIST, MLP")
    print(market.buy(fashion, 8 / 255, budget=2))

Budgets are in units of SGD's passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sam_edu import plots
from sam_edu._text import pixels, seeds, short
from sam_edu.experiments import study_plots
from sam_edu.experiments.study import Row, Study
from sam_edu.experiments.summary import Spread

SLACK = 1e-9  # a row exactly at the limit is allowed, as in the live figure


def prices(study: Study, rows: Iterable[Row], reference: Row, eps: float, about: str) -> plots.Shown:
    """Passes, accuracy without and under attack, and points above a reference, as a table.

    Parameters
    ----------
    rows : of the study, in the order of the table; the reference may be one of them
    about : what was trained on what: the caption begins with it

    Raises
    ------
    ValueError
        Without rows, if one is of another protocol, or shares fewer than two seeds with the reference.
    KeyError
        If there is no row SGD, or one was not attacked at ``eps``.
    """
    rows = list(rows)
    if not rows:
        raise ValueError("a table of prices needs a row at least, got none")
    if others := [row.label for row in rows if row.protocol not in {own.protocol for own in study}]:
        raise ValueError(f"{', '.join(others)}: prices are in passes of {study.name}'s SGD, not of theirs")
    name = reference.label if reference.varies else reference.method.name
    number = seeds(len(row.records) for row in (reference, *rows))
    return plots.show_table(
        {
            "method": [row.label for row in rows],
            "passes": [f"{study.cost(row):g}" for row in rows],
            "clean": [row.at(0).percent() for row in rows],
            f"ε = {pixels(eps)}": [row.at(eps).percent() for row in rows],
            f"against {reference.label}": [
                "" if row is reference else row.versus(reference, eps).points() for row in rows
            ],
        },
        f"{about}, in per cent: mean ± standard deviation over {number}, {study.images} test images. "
        f"Passes: gradient passes, SGD = 1. Last column: points above {name} at "
        f"{pixels(eps)}, 95 % interval over seeds and test images.",
    )


def affordable(study: Study, budget: float, loss: float = 0.01) -> list[Row]:
    """Rows that cost at most ``budget`` times SGD's passes and lose at most ``loss`` of clean accuracy.

    The loss is the mean over the seeds that the row and SGD both have.

    Raises
    ------
    KeyError
        If there is no row SGD.
    ValueError
        If a row shares no seed with it.
    """
    sgd, limit = study.row("sgd"), budget + SLACK
    return [row for row in study if study.cost(row) <= limit and row.minus(sgd, 0).mean >= -loss - SLACK]


@dataclass(frozen=True)
class Purchase:
    """The most robust row of those that a budget allows; printed it is a line.

    Attributes
    ----------
    budget : float
        Gradient passes, SGD = 1.
    best : Row
        By all test images, of two equals the cheaper one. Its own number flatters it.
    even, odd : Row
        What the even test images choose, and the odd ones.
    judged : Spread
        Accuracy over the seeds, each half of the images judged by what the other half chose.
    """

    budget: float
    best: Row
    even: Row
    odd: Row
    judged: Spread

    def __str__(self) -> str:
        return (
            f"budget {self.budget:g}: {self.best.label}; one half of the images chooses {self.even.label}, "
            f"the other {self.odd.label}; judged on the half that did not choose: "
            f"{100 * self.judged.mean:.1f} %"
        )


def buy(study: Study, eps: float, budget: float, loss: float = 0.01) -> Purchase:
    """The most robust row at ``eps`` of those that :func:`affordable` allows.

    Parameters
    ----------
    eps : radius of the attack
    budget : gradient passes, SGD = 1
    loss : clean accuracy that one is ready to give up against SGD (0.01 is one point)

    Raises
    ------
    ValueError
        If nothing is affordable, or what is has different seeds.
    KeyError
        If there is no row SGD, or one was not attacked at ``eps``.
    """
    rows = affordable(study, budget, loss)
    if not rows:
        raise ValueError(
            f"nothing costs at most {budget:g} times SGD's passes and loses at most {100 * loss:g} points "
            "of clean accuracy; raise budget or loss"
        )
    chosen = study.choose(rows, eps)  # refuses rows of different seeds, whose means tell nothing apart
    best = max(rows, key=lambda row: (row.at(eps).mean, -study.cost(row)))
    return Purchase(budget, best, *chosen, Spread.of(study.held_out(rows, eps, eps)))


def class_pays(
    study: Study,
    name: str,
    eps: float,
    named: Iterable[Row],
    about: str,
    up: Mapping[str, float] | None = None,
    **size: Any,
) -> plots.Shown:
    """Clean accuracy of one class against robustness of all classes, one point per row.

    Parameters
    ----------
    named : rows whose names are written beside their points
    about : what was trained on: the caption begins with it
    up : mapping, optional
        Points by which the name of a row (by its label) is moved up.

    Raises
    ------
    ValueError
        If there is no such class, it has no test image, or a row to name is not the study's.
    KeyError
        If a row was not attacked at ``eps``.
    """
    named, at = study.select(named), study.class_index(name)
    if any(np.isnan(row.per_class()[at]) for row in study):
        raise ValueError(f"no test image is of the class {name!r}: there is no accuracy on it to draw")
    return study_plots.scatter(
        study,
        {f"accuracy at ε = {pixels(eps)} (all classes)": lambda row: row.at(eps).mean},
        lambda row: row.per_class()[at],
        f"clean accuracy on '{name}'",
        names=short(row.label for row in named),
        up=up,
        title=f"What the class '{name}' pays for robustness",
        caption=f"{about}, one point per setting, means over {seeds(len(row.records) for row in study)}.",
        **size,
    )
