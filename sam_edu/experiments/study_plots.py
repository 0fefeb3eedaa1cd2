"""Figures of a study: what the chapters draw of the rows that they measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sam_edu import _check, plots
from sam_edu._text import pixels, seeds, short
from sam_edu.experiments import summary
from sam_edu.experiments.gains import MARK, gains
from sam_edu.experiments.study import Row, Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["MARK", "apart", "by_radius", "frontier", "gains", "per_class", "scatter"]


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

    Rows of one method at several radii are joined by a line, from small to large; controls are crosses.

    Parameters
    ----------
    names : mapping, optional
        Labels of the rows to name, with the points by which each name is moved up; default: all.

    Raises
    ------
    ValueError
        If the study has no rows.
    KeyError
        If it has none of such a name; if it was not attacked at this radius.
    """
    _drawn(study)
    for name in names or ():
        study.labelled(name)
    shown = pixels(eps)
    fig, ax = plots.figure(title, "clean accuracy", f"accuracy at ε = {shown}", **{"height": 4.0} | size)
    clean, robust = ({row.label: row.at(e).mean for row in study} for e in (0, eps))
    for kind in dict.fromkeys(row.kind for row in study):
        rows = sorted((row for row in study if row.kind == kind), key=lambda row: row.radii)
        joined = kind != "control" and len(rows) > 1 and not any(row.varies for row in rows)
        look: dict[str, Any] = {} if joined else {"linestyle": "none"} | MARK.get(kind, {})
        if kind in MARK:  # a cross lies on the lines of others, and is the rival that they are compared with
            look |= {"zorder": 3, "markersize": 8, "markeredgewidth": 2.2}
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


def _drawn(rows: Iterable[Row]) -> list[Row]:
    found = list(rows)
    if not found:
        raise ValueError("there is nothing to draw: rows is empty; hand over one row or more")
    return found


def by_radius(
    rows: Iterable[Row],
    reference: Row,
    title: str,
    about: str,
    up: Mapping[str, float] | None = None,
    norm: str = "linf",
    **size: Any,
) -> plots.Shown:
    """What rows gain over a reference at every radius of the attack, without attack first; paired.

    Of several rows in one look all but the last are drawn fainter.

    Parameters
    ----------
    about : what was trained on what: the caption begins with it
    up : mapping, optional
        Points by which the name of a row (by its label) is moved up.

    Raises
    ------
    ValueError
        Without rows, or if one shares no seed, or not the radii, with the reference.
    """
    rows = _drawn(rows)
    radii = [0, *summary.radii([record for row in (reference, *rows) for record in row.records], norm)]
    shown, names, base = [pixels(eps) for eps in radii], short(row.label for row in rows), reference.label
    found = {row.label: [100 * row.minus(reference, eps, norm).mean for eps in radii] for row in rows}
    fig, ax = plots.figure(title, "attack radius ε", f"points above {base}", **size)
    last = {row.kind: row for row in rows}
    for row in rows:
        look: dict[str, Any] = {} if last[row.kind] is row else {"alpha": 0.55}
        plots.line(ax, radii, found[row.label], row.kind, **look)
        name, dy = names[row.label], (up or {}).get(row.label, 0)
        plots.end_label(ax, radii[-1], found[row.label][-1], name, dy=dy)
    ticks, free = [], -1.0
    for eps, text in zip(radii, shown, strict=True):  # two that are close would be written over each other
        ticks.append(text if eps >= free else "")
        free = eps + radii[-1] / 6 if ticks[-1] else free
    ax.set_xticks(radii, ticks)
    ax.axhline(0, color=plots.INK, linewidth=0.8)
    said = "; ".join(f"{n} " + ", ".join(f"{gain:+.1f}" for gain in values) for n, values in found.items())
    caption = f"{about}, means over {seeds(row.minus(reference, 0).n for row in rows)}, paired with {base}."
    alt = f"Points above {base} at radii {', '.join(shown)}: {said}."
    return plots.show(fig, alt, caption, {"ε": shown, **found}, made_from=[reference, *rows])


def per_class(
    rows: Iterable[Row],
    classes: Iterable[str],
    name: str,
    title: str,
    caption: str,
    faint: Iterable[Row] = (),
) -> plots.Shown:
    """Clean accuracy of each class, one line per row; the rows are named at the class ``name``.

    ValueError without rows, or if there is no such class.
    """
    rows, faint, classes = _drawn(rows), list(faint), list(classes)
    _check.choice("name", name, classes)
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

    Raises
    ------
    ValueError
        If the study has no rows.
    KeyError
        If it has none of such a name.
    """
    _drawn(study)
    for name in names:
        study.labelled(name)
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
