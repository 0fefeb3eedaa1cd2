"""What a matplotlib figure shows, as numbers: the data behind every figure's table and saved file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROWS = 60  # of a table; longer curves are thinned
IMAGE_CELLS = 1200  # of a table of pictures
_names: WeakKeyDictionary[Any, str] = WeakKeyDictionary()  # artist -> name, for plots.line


def call(artist: Any, name: str) -> None:
    """Remember what a drawn curve is called; its label would also enter a legend."""
    _names[artist] = name


def plotted(fig: Figure) -> list[dict[str, Any]]:
    """Everything that was plotted, panel by panel, ready for JSON.

    Each panel has its ``title``, ``x`` and ``y`` (labels of the axes) and ``series``: a ``name``, numbers
    ``x`` and ``y``, for curves a ``look`` (colour, line, marker, width) and whether one of the points is
    ``labelled``; a picture has ``values`` instead, row by row. Numbers are rounded to six digits, what is
    no number is None.
    """
    panels = []
    for ax in fig.axes:
        labels = {tuple(map(float, note.xy)): note.get_text() for note in _notes(ax)}
        series = [*_curves(ax, labels), *_others(ax)]
        title = ax.get_title() or ax.get_title(loc="left")
        for image in ax.images:
            series.append({"name": title, "values": [_numbers(row) for row in np.asarray(image.get_array())]})
        if series:
            panel = {"title": title, "x": ax.get_xlabel(), "y": ax.get_ylabel(), "ticks": _ticks(ax)}
            panels.append(panel | {"series": series})
    return panels


def _notes(ax: Axes) -> Iterable[Any]:
    from matplotlib.text import Annotation

    return (text for text in ax.texts if isinstance(text, Annotation) and text.xycoords == "data")


def _curves(ax: Axes, labels: Mapping[tuple[float, ...], str]) -> Iterable[dict[str, Any]]:
    for number, line in enumerate(ax.lines, 1):
        if not all(line.get_transform().contains_branch_seperately(ax.transData)):
            continue  # a rule across the whole panel is no data
        x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
        found = next((labels[p] for p in zip(x.tolist(), y.tolist(), strict=True) if labels.get(p)), "")
        name = _names.get(line) or found or _label(line, f"series {number}")
        hollow = line.get_fillstyle() == "none" or line.get_markerfacecolor() == "none"
        faint = (line.get_alpha() or 1) < 0.5
        look = f"{line.get_color()} {line.get_linestyle()} {line.get_marker()} {line.get_linewidth():g}"
        look += " hollow" * hollow + " faint" * faint
        yield {"name": name, "x": _numbers(x), "y": _numbers(y), "look": look, "labelled": bool(found)}


def _others(ax: Axes) -> Iterable[dict[str, Any]]:
    """Points of scatter plots, edges of bands, bars, steps."""
    from matplotlib.collections import PathCollection, PolyCollection
    from matplotlib.container import BarContainer
    from matplotlib.patches import StepPatch

    for drawn in ax.collections:
        if isinstance(drawn, PathCollection):
            points, name = np.asarray(drawn.get_offsets(), float), _label(drawn, "points")
        elif isinstance(drawn, PolyCollection):
            points = np.concatenate([path.vertices for path in drawn.get_paths()])
            name = _label(drawn, "band")
        else:
            continue
        yield {"name": name, "x": _numbers(points[:, 0]), "y": _numbers(points[:, 1])}
    for bars in (group for group in ax.containers if isinstance(group, BarContainer)):
        boxes = [(p.get_x() + p.get_width() / 2, p.get_y() + p.get_height()) for p in bars.patches]
        if bars.orientation == "horizontal":
            boxes = [(p.get_x() + p.get_width(), p.get_y() + p.get_height() / 2) for p in bars.patches]
        x, y = zip(*boxes, strict=True)
        yield {"name": _label(bars, "bars"), "x": _numbers(x), "y": _numbers(y)}
    for patch in (p for p in ax.patches if isinstance(p, StepPatch)):
        values, edges, _ = patch.get_data()
        yield {"name": _label(patch, "steps"), "x": _numbers(edges[:-1]), "y": _numbers(values)}


def _ticks(ax: Axes) -> dict[str, str]:
    """Names of positions on the horizontal axis, where they are words: classes, fractions."""
    from matplotlib.ticker import FixedLocator

    if not isinstance(ax.xaxis.get_major_locator(), FixedLocator):
        return {}
    at = [float(v) for v in ax.get_xticks()]
    texts = ax.xaxis.get_major_formatter().format_ticks(at)
    return {f"{v:.6g}": text for v, text in zip(at, texts, strict=True) if text and not _is_number(text)}


def _is_number(text: str) -> bool:
    try:
        float(text.replace("\N{MINUS SIGN}", "-"))
    except ValueError:
        return False
    return True


def _label(artist: Any, otherwise: str) -> str:
    label = str(artist.get_label() or "")
    return label if label and not label.startswith("_") else otherwise


def _numbers(values: Iterable[Any]) -> list[float | None]:
    return [float(f"{v:.6g}") if math.isfinite(v) else None for v in map(float, values)]


def covers(table: Mapping[str, Sequence[Any]], panels: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a table holds plotted numbers: in one column at least, as they are or in per cent.

    The table of a histogram, say, may give means and spreads instead, which no axis shows.
    """
    rows = [
        row
        for panel in panels
        for s in panel["series"]
        for row in (s.get("x", []), s.get("y", []), *s.get("values", []))
    ]
    plotted = np.array([v for row in rows for v in row if v is not None], dtype=float)
    for column in table.values():
        try:
            numbers = np.array([float(v) for v in column])
        except (TypeError, ValueError):
            continue  # words
        if plotted.size and numbers.size:
            gaps = [np.abs(plotted - scale * numbers[:, None]).min(axis=1) for scale in (1.0, 0.01)]
            if np.mean(np.minimum(*gaps) <= 1e-4 * np.abs(numbers) + 1e-12) >= 0.6:
                return True
    return False


def in_percent(table: Mapping[str, Sequence[Any]], fig: Figure) -> dict[str, list[Any]]:
    """The table with its shares in per cent, where the axis that shows them is in per cent."""
    shares, others = _by_axis(fig)
    said = {}
    for name, column in table.items():
        numbers = [float(v) for v in column if isinstance(v, (float, np.floating))]
        share = bool(numbers) and _stand(numbers, shares) and not _stand(numbers, others)
        said[name] = [
            f"{100 * v:.4g} %" if share and isinstance(v, (float, np.floating)) else v for v in column
        ]
    return said


def _by_axis(fig: Figure) -> tuple[np.ndarray, np.ndarray]:
    """What is plotted along axes in per cent, and along all others."""
    from matplotlib.ticker import PercentFormatter

    found: tuple[list[float], list[float]] = [], []
    for ax in fig.axes:
        for series in (*_curves(ax, {}), *_others(ax)):
            for key, axis in (("x", ax.xaxis), ("y", ax.yaxis)):
                formatter = axis.get_major_formatter()
                other = not isinstance(formatter, PercentFormatter) or formatter.xmax != 1
                found[other].extend(v for v in series[key] if v is not None)
    return np.array(found[0]), np.array(found[1])


def _stand(numbers: Sequence[float], plotted: np.ndarray) -> bool:
    """Whether all of the numbers are among those that are plotted."""
    gaps = np.abs(plotted - np.array(numbers, dtype=float)[:, None])
    return bool(plotted.size and (gaps.min(axis=1) <= 1e-4 * np.abs(numbers) + 1e-12).all())


def as_table(panels: Sequence[Mapping[str, Any]]) -> tuple[dict[str, list[Any]], str]:
    """Columns of a table of the plotted data, and a remark where points were left out."""
    if any("values" in series for panel in panels for series in panel["series"]):
        return _pictures(panels)
    first = panels[0]["series"]
    step = max(1, math.ceil(max(len(s["x"]) for p in panels for s in p["series"]) / ROWS))
    remark = "" if step == 1 else f"one of every {step} points"
    if len(panels) == 1 and all(series["x"] == first[0]["x"] for series in first):
        columns = {panels[0]["x"] or "x": _named(first[0]["x"][::step], panels[0]["ticks"])}
        for series in first:
            columns[_free(series["name"], columns)] = series["y"][::step]
        return columns, remark
    same = len({(panel["x"], panel["y"]) for panel in panels}) == 1
    heads = (panels[0]["x"] or "x", panels[0]["y"] or "y") if same else ("horizontal", "vertical")
    columns = {name: [] for name in (["panel"] if len(panels) > 1 else []) + ["series", *heads]}
    for number, panel in enumerate(panels, 1):
        for series in panel["series"]:
            x, y = _named(series["x"][::step], panel["ticks"]), series["y"][::step]
            values = [[panel["title"] or f"panel {number}"] * len(x), [series["name"]] * len(x), x, y]
            for column, part in zip(columns.values(), values[-len(columns) :], strict=True):
                column.extend(part)
    return columns, remark


def _named(values: Sequence[Any], ticks: Mapping[str, str]) -> list[Any]:
    return [ticks.get(f"{v:.6g}", v) if v is not None else v for v in values]


def _free(name: str, taken: Mapping[str, Any]) -> str:
    names = [name, *(f"{name} ({k})" for k in range(2, len(taken) + 2))]
    return next(free for free in names if free not in taken)


def _pictures(panels: Sequence[Mapping[str, Any]]) -> tuple[dict[str, list[Any]], str]:
    """One row of the table for each row of each picture."""
    shown = [
        (panel["title"] or panel["y"] or f"picture {k}", series["values"])
        for k, panel in enumerate(panels, 1)
        for series in panel["series"]
        if "values" in series
    ]
    cells = sum(len(values) * len(values[0]) for _, values in shown)
    step = max(1, math.ceil(math.sqrt(cells / IMAGE_CELLS)))
    rows = [(name, i + 1, values[i][::step]) for name, values in shown for i in range(0, len(values), step)]
    width = max(len(values) for _, _, values in rows)
    columns: dict[str, list[Any]] = {"picture": [r[0] for r in rows], "row": [r[1] for r in rows]}
    for j in range(width):
        columns[f"column {j * step + 1}"] = [_short(v[j]) if j < len(v) else "" for _, _, v in rows]
    return columns, "" if step == 1 else f"one of every {step} rows and columns"


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"
