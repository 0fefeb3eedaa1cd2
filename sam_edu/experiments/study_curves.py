"""Curves over a setting: accuracy against the epochs of a method, SAM's gain against its radius ρ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam_edu import plots
from sam_edu._text import pixels
from sam_edu.experiments import comparison
from sam_edu.experiments.study import Row, Study

#: How the networks of a figure are told apart: first, second, third.
LOOKS: tuple[dict[str, Any], ...] = (
    {},
    {"linestyle": "--", "markerfacecolor": "none"},
    {"linestyle": ":", "markerfacecolor": "none"},
)
#: Experiments, each with its radius of attack and its networks: ``{"digits": (0.1, {"MLP": a_study})}``.
Panels = Mapping[str, tuple[float, Mapping[str, Study]]]


def over_epochs(
    rows: Iterable[Row],
    eps: float,
    title: str,
    caption: str,
    remark: str = "",
    ylim: tuple[float, float] | None = None,
    **size: Any,
) -> plots.Shown:
    """Accuracy without attack and at ``eps`` against the number of epochs: mean over seeds, and each seed.

    Parameters
    ----------
    rows : iterable of Row
        One method with one setting, trained for different numbers of epochs with the same seeds.
    eps : float
        Radius of the attack (l-infinity).
    remark : str
        What else the description for those who do not see the figure says.

    Raises
    ------
    ValueError
        Without rows; if they are of several methods or settings, or of different seeds; if two have the same
        number of epochs.
    KeyError
        If a row was not attacked at ``eps``.

    Examples
    --------
    >>> from sam_edu.experiments import study
    >>> digits = study("digits", seeds=2)
    >>> rows = digits.rows("sgd", epochs=(8, 60))
    >>> over_epochs(rows, 0.1, "SGD grows less robust", "Digits, 2 seeds.")
    Figure: Accuracy under attack (0.1) of SGD after 8 epochs 53.8%, 60 epochs 47.5%.
    """
    rows = sorted(rows, key=lambda row: row.config.epochs)
    epochs = [row.config.epochs for row in rows]
    methods = {row.method.name for row in rows}
    if len(methods) != 1:
        found = ", ".join(sorted(methods)) or "no rows at all"
        raise ValueError(f"a curve over the epochs needs rows of one method, got {found}")
    if len(set(epochs)) < len(epochs):
        raise ValueError(f"each row needs its own number of epochs, got {epochs}: leave out other settings")
    settings = [(row.radii, {**row.varies, "epochs": 0}) for row in rows]
    if any(own != settings[0] for own in settings):
        labels = "; ".join(row.label for row in rows)
        raise ValueError(f"rows of a curve over the epochs differ in these alone, got {labels}")
    comparison.check_seeds({row.label: row.records for row in rows})
    (method,) = methods
    fig, ax = plots.figure(title, f"epochs of {method}", "accuracy", **size)
    for radius, look, label in ((0, "control", "clean"), (eps, rows[0].method.look, f"ε = {pixels(eps)}")):
        plots.spread(ax, epochs, np.transpose([row.values(radius) for row in rows]), look, label)
    ax.set_xscale("log")
    ax.set(ylim=ylim)
    _ticks(ax, epochs)
    plots.percent_axis(ax)
    attacked = [row.at(eps).mean for row in rows]
    said = ", ".join(f"{n} epochs {value:.1%}" for n, value in zip(epochs, attacked, strict=True))
    alt = f"Accuracy under attack ({pixels(eps)}) of {method} after {said}{'; ' if remark else ''}{remark}."
    table: dict[str, Any] = {
        "epochs": epochs,
        "clean": [row.at(0).mean for row in rows],
        pixels(eps): attacked,
    }
    return plots.show(fig, alt, caption, table, made_from=rows)


def gains_over_rho(panels: Panels, title: str, caption: str, **size: Any) -> plots.Shown:
    """What SAM gains over SGD under attack, in points, against its ρ: one panel per experiment.

    Each network is a line (:data:`LOOKS`): the mean over the seeds, paired, and each seed.

    Parameters
    ----------
    panels : mapping
        Name of an experiment to its radius of attack and its networks, which are studies with the rows SGD
        and SAM. All experiments have the same networks.

    Raises
    ------
    ValueError
        Without panels; if the experiments have different networks, or more than there are looks; if a study
        has no row of SAM, or the seeds of one are not those of SGD.
    KeyError
        If a study has no row SGD, or one was not attacked at the radius.

    Examples
    --------
    >>> from sam_edu.experiments import study
    >>> digits = {"MLP": study("digits", seeds=2), "CNN": study("digits-cnn", seeds=2)}
    >>> shown = gains_over_rho({"digits": (0.1, digits)}, "SAM helps both", "2 seeds.")
    >>> shown.alt.count("at ρ = 0.4")
    2
    """
    networks = _networks(panels)
    fig, axes = plots.figure(title, "ρ", "points above SGD", columns=len(panels), **{"width": 7.6} | size)
    rhos = {row.config.rho for _, tables in panels.values() for t in tables.values() for row in t.rows("sam")}
    said = []
    for ax, (place, (eps, tables)) in zip(np.atleast_1d(axes), panels.items(), strict=True):
        for name, look in zip(networks, LOOKS, strict=False):
            own, points = _gains(tables[name], eps)
            plots.spread(ax, own, points, "SAM", name, **look)
            means = (f"{gain:+.1f} at ρ = {rho:g}" for rho, gain in zip(own, points.mean(0), strict=True))
            said.append(f"{place}, {name}: " + ", ".join(means))
        ax.set_title(f"{place}, ε = {pixels(eps)}", fontsize=11)
        ax.axhline(0, color=plots.INK, linewidth=0.8)
        ax.set_xscale("log")
        _ticks(ax, sorted(rhos))
        ax.margins(x=0.2)
    alt = "Points above SGD under attack by ρ. " + "; ".join(said) + "."
    studies = [tables[name] for name in networks for _, tables in panels.values()]
    made_from = [row for table in studies for row in table.rows("sgd", "sam")]
    return plots.show(fig, alt, caption, made_from=made_from)


def _networks(panels: Panels) -> list[str]:
    """Names of the networks, in the order of the first panel."""
    names = [list(tables) for _, tables in panels.values()]
    if not names:
        raise ValueError("there is nothing to draw: panels is empty")
    if any(set(own) != set(names[0]) for own in names):
        raise ValueError(f"all panels need the same networks, got {'; '.join(map(', '.join, names))}")
    if len(names[0]) > len(LOOKS):
        raise ValueError(f"a panel tells {len(LOOKS)} networks apart, got {len(names[0])}")
    return names[0]


def _gains(table: Study, eps: float) -> tuple[list[float], NDArray]:
    """Every ρ, ascending, and the points above SGD, shape (seeds, number of ρ)."""
    sgd, sams = table.row("sgd"), sorted(table.rows("sam"), key=lambda row: row.config.rho)
    if not sams:
        raise ValueError(f"{table.name} has no row of SAM, whose gain over ρ is to be drawn")
    comparison.check_seeds({row.label: row.records for row in (sgd, *sams)}, table.name)
    points = [100 * (row.values(eps) - sgd.values(eps)) for row in sams]
    return [row.config.rho for row in sams], np.transpose(points)


def _ticks(ax: Any, at: Sequence[float]) -> None:
    """These numbers, and no others, under a logarithmic axis."""
    ax.minorticks_off()
    ax.set_xticks(at, [f"{value:g}" for value in at])
