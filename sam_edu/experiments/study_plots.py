"""Figures of a study: what the chapters draw of the rows that they measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sam_edu import plots
from sam_edu._text import pixels
from sam_edu.experiments.study import Row, Study
from sam_edu.experiments.summary import Spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARK: dict[str, dict[str, Any]] = {"control": {"marker": "x"}}  # a dot would be overlooked


def apart(ax: Axes, places: Mapping[str, tuple[float, float]]) -> None:
    """Write each label beside its point, where two are close one above the other."""
    ax.figure.draw_without_rendering()  # type: ignore[union-attr]
    points = {n: ax.transData.transform(xy)[1] * 72 / ax.figure.dpi for n, xy in places.items()}
    names = sorted(places, key=lambda n: points[n])
    heights = [points[name] for name in names]
    for _ in range(200):  # neighbours that are too close push each other away
        for i in range(len(heights) - 1):
            push = max(0.0, 13 - (heights[i + 1] - heights[i])) / 2
            heights[i], heights[i + 1] = heights[i] - push, heights[i + 1] + push
    for name, height in zip(names, heights, strict=True):
        plots.end_label(ax, *places[name], name, dy=height - points[name])


def frontier(
    study: Study,
    eps: float,
    caption: str,
    title: str = "",
    names: Mapping[str, float] | None = None,
    xlim: tuple[float, float] | None = None,
    **size: Any,
) -> plots.Shown:
    """Accuracy without attack against accuracy under attack, one point per row.

    Rows of one method at several radii are joined by a line; controls are crosses.

    Parameters
    ----------
    names : mapping, optional
        Labels of the rows to name, with the points by which each name is moved up; default: all.
    """
    shown = pixels(eps)
    fig, ax = plots.figure(title, "clean accuracy", f"accuracy at ε = {shown}", **{"height": 4.0} | size)
    clean, robust = ({row.label: row.at(e).mean for row in study} for e in (0, eps))
    for kind in dict.fromkeys(row.kind for row in study):
        rows = [row for row in study if row.kind == kind]
        joined = kind != "control" and len(rows) > 1 and not any(row.varies for row in rows)
        look: dict[str, Any] = {} if joined else {"linestyle": "none"} | MARK.get(kind, {})
        plots.line(ax, [clean[row.label] for row in rows], [robust[row.label] for row in rows], kind, **look)
    if xlim is None:
        ax.margins(x=0.3, y=0.15)
    else:
        ax.set_xlim(*xlim)
    if names is None:
        apart(ax, {row.label: (clean[row.label], robust[row.label]) for row in study})
    else:
        for name, up in names.items():
            plots.end_label(ax, clean[name], robust[name], name, dy=up)
    for axis in "xy":
        plots.percent_axis(ax, axis)
    said = list(names or clean)
    words = "; ".join(f"{n}: {clean[n]:.1%} clean, {robust[n]:.1%} attacked" for n in said)
    table: dict[str, Any] = {"method": list(clean), "clean": list(clean.values())}
    table[shown] = list(robust.values())
    alt = f"Clean against robust accuracy ({shown}). {words}."
    return plots.show(fig, alt, caption, table, made_from=study)


def gains(
    found: Mapping[str, Mapping[str, Spread]],
    studies: Iterable[Study],
    title: str,
    caption: str,
    seeds: bool = False,
    columns: Mapping[str, Sequence[Any]] | None = None,
    **size: Any,
) -> plots.Shown:
    """What families of rows gain over SGD in several experiments, one line per experiment.

    Parameters
    ----------
    found : mapping from experiments to what :meth:`~sam_edu.experiments.study.Study.gains` says
    studies : where that was read
    seeds : whether the table says how many there are
    columns : mapping, optional
        Further columns of the table.
    """
    places, kinds = list(found), list(next(iter(found.values())))
    fig, ax = plots.figure(title, "points above SGD under attack", **size)
    for kind, dy in zip(kinds, np.linspace(0.15, -0.15, len(kinds)), strict=True):
        look = plots.STYLES[kind] | {"linestyle": "none"} | MARK.get(kind, {})
        for height, place in enumerate(reversed(places)):
            gain = found[place][kind]
            ax.errorbar(100 * gain.mean, height + dy, xerr=100 * gain.sd, **look)
        plots.end_label(ax, 100 * found[places[0]][kind].mean, len(places) - 1 + dy, kind)
    ax.set_yticks(range(len(places)), places[::-1])
    ax.axvline(0, color=plots.INK, linewidth=0.8)
    said = "; ".join(
        f"{place}: " + ", ".join(f"{kind} {100 * gain.mean:+.1f}" for kind, gain in all_.items())
        for place, all_ in found.items()
    )
    table: dict[str, Any] = {"experiment": places}
    if seeds:
        table["seeds"] = [all_[kinds[0]].n for all_ in found.values()]
    table |= {kind: [all_[kind].percent(signed=True) for all_ in found.values()] for kind in kinds}
    alt = f"Points above SGD under attack: {said}."
    return plots.show(fig, alt, caption, table | dict(columns or {}), made_from=list(studies))


def per_class(
    rows: Iterable[Row],
    classes: Iterable[str],
    name: str,
    title: str,
    caption: str,
    faint: Iterable[Row] = (),
) -> plots.Shown:
    """Clean accuracy of each class, one line per row; the rows are named at the class ``name``."""
    rows, faint, classes = list(rows), list(faint), list(classes)
    fig, ax = plots.figure(title, "class", "clean accuracy", width=7.2)
    for row in rows:
        look: dict[str, Any] = {"alpha": 0.55} if row in faint else {}
        plots.line(ax, range(len(classes)), row.per_class(), row.kind, **look)
    ax.set_xticks(range(len(classes)), classes, rotation=35, ha="right")
    ax.set_ylim(0, 1)
    plots.percent_axis(ax)
    at = classes.index(name)
    apart(ax, {row.label: (at, row.per_class()[at]) for row in rows})
    words = ", ".join(f"{row.label} {row.per_class()[classes.index(name)]:.0%}" for row in rows)
    table = {"class": classes} | {row.label: list(row.per_class()) for row in rows}
    return plots.show(fig, f"Clean accuracy by class. Class {name}: {words}.", caption, table, made_from=rows)


def scatter(
    study: Study,
    panels: Mapping[str, Callable[[Row], float]],
    height: Callable[[Row], float],
    ylabel: str,
    names: Mapping[str, str],
    title: str,
    caption: str,
    up: Mapping[str, float] | None = None,
    logarithmic: bool = False,
    **size: Any,
) -> plots.Shown:
    """One mark per row in each panel, at a measured quantity and a height.

    Parameters
    ----------
    panels : mapping from the label of the axis to the quantity of a row
    height, ylabel : the quantity of a row upwards, a share, and what it is
    names : mapping from the labels of the rows to name to what is written there
    up : mapping, optional
        Points by which a name is moved up.
    """
    fig, axes = plots.figure(title, "", ylabel, columns=len(panels), **size)
    ys = {row.label: height(row) for row in study}
    table: dict[str, Any] = {"method": list(ys)}
    said = []
    for ax, (label, quantity) in zip([axes] if len(panels) == 1 else axes, panels.items(), strict=True):
        xs = {row.label: float(quantity(row)) for row in study}
        for row in study:
            ax.plot(xs[row.label], ys[row.label], **row.style.still | {"linestyle": "none"})
        for name, text in names.items():
            plots.end_label(ax, xs[name], ys[name], text, dy=(up or {}).get(name, 0))
        ax.set_xlabel(label)
        ax.margins(x=0.3 if logarithmic else 0.12, y=0.1)
        plots.percent_axis(ax)
        if logarithmic:
            ax.set_xscale("log")
        else:
            plots.percent_axis(ax, "x")
        table[label] = list(xs.values())
        form = ".1f" if logarithmic else ".0%"
        said.append(f"{label}: " + "; ".join(f"{name} {xs[name]:{form}}" for name in names))
    heights = "; ".join(f"{name} {ys[name]:.0%}" for name in names)
    alt = (
        f"Each way of training, {ylabel} against {', '.join(panels)}. {'. '.join(said)}. {ylabel}: {heights}."
    )
    return plots.show(fig, alt, caption, table | {ylabel: list(ys.values())}, made_from=study)
