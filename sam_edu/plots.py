"""Figures of the book: one style, colours that mean the same everywhere, alt text from the data::

    fig, ax = plots.figure("SAM shifts the whole curve", "attack radius ε", "robust accuracy")
    plots.line(ax, eps, accuracies, "SAM", label="SAM, ρ = 0.2")
    plots.show(fig, alt=f"... {accuracies[-1]:.0%} ...", table={"ε": eps, "accuracy": accuracies})

``show`` returns inline SVG whose text takes the colour of the page, so that one drawing serves light
and dark, with the alt text attached and the numbers behind it as a table to unfold. The drawing also
carries all that was plotted, as JSON in its ``<metadata>``.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from sam_edu import _markup, _plotted, styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = styles.INK
STYLES: dict[str, dict[str, Any]] = {name: style.still for name, style in styles.STYLES.items()}
_RC: dict[Any, Any] = {
    "svg.fonttype": "none", "font.size": 11, "axes.titlesize": 12, "axes.titlelocation": "left",
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.18,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK,
    "ytick.color": INK, "grid.color": INK, "lines.linewidth": 2.0, "lines.markersize": 5,
    "figure.constrained_layout.use": True, "mathtext.default": "regular", "legend.frameon": False,
}  # fmt: skip


def figure(
    title: str = "",
    xlabel: str = "",
    ylabel: str = "",
    width: float = 6.4,
    height: float = 3.6,
    columns: int = 1,
) -> tuple[Figure, Any]:
    """An empty figure in the book's style; the axes (an array of them for several columns).

    Not registered with pyplot, so that nothing is shown twice and nothing has to be closed.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_RC):
        fig = Figure(figsize=(width, height))
        axes = fig.subplots(1, columns)
        for ax in np.atleast_1d(axes):
            ax.set(xlabel=xlabel, ylabel=ylabel)
        if columns > 1 and title:
            fig.suptitle(title, x=0.01, ha="left", fontsize=12)
        elif title:
            axes.set_title(title)
    return fig, axes


def line(ax: Axes, x: ArrayLike, y: ArrayLike, method: str, label: str = "", **style: Any) -> None:
    """Draw one curve in the style of ``method`` and write ``label`` at its right end."""
    (drawn,) = ax.plot(x, y, **{**STYLES[method], **style})
    if label:
        _plotted.call(drawn, label)
        end_label(ax, np.asarray(x)[-1], np.asarray(y)[-1], label)


def end_label(ax: Axes, x: float, y: float, label: str, dy: float = 0.0) -> None:
    """Write ``label`` beside the point (x, y), ``dy`` points higher; the curve needs no legend then.

    In the colour of the text: several line colours are too light to be read as letters.
    """
    ax.annotate(
        label,
        (x, y),
        (6, dy),
        textcoords="offset points",
        va="center",
        fontsize=10,
        color=INK,
        annotation_clip=False,
    )


def spread(ax: Axes, x: ArrayLike, runs: ArrayLike, method: str, label: str = "", **style: Any) -> None:
    """Draw the mean of several runs (seeds, x) with each run as a faint point."""
    runs = np.atleast_2d(np.asarray(runs, dtype=float))
    look = {**STYLES[method], **style}
    for number, run in enumerate(runs, 1):
        (drawn,) = ax.plot(
            x, run, linestyle="none", marker=look["marker"], color=look["color"], alpha=0.3, markersize=3.5
        )
        _plotted.call(drawn, f"{label or method}, run {number}")
    line(ax, x, runs.mean(0), method, label, **style)


@dataclass(frozen=True)
class Shown:
    """A finished figure: inline SVG with alt text, caption and the numbers as a table.

    ``data`` is all that was plotted, panel by panel; the SVG carries it as JSON in its ``<metadata>``.
    """

    alt: str
    markup: str = field(repr=False)
    data: list[dict[str, Any]] = field(repr=False, default_factory=list)

    def _repr_html_(self) -> str:
        return self.markup

    def __repr__(self) -> str:  # what nbval compares and a terminal shows
        return f"Figure: {self.alt}"


def show(
    fig: Figure,
    alt: str,
    caption: str = "",
    table: Mapping[str, Sequence[Any]] | None = None,
    made_from: Any = None,
) -> Shown:
    """Turn a matplotlib figure into what the page shows.

    Parameters
    ----------
    alt : str
        What the figure shows, with its key numbers, formatted from the data.
    caption : str
        Text under the figure; say n and what the spread means.
    table : mapping from column title to values, optional
        The numbers to unfold under the figure; all that is plotted, where none is given. A summary, in which
        no column is plotted, is followed by what is; of pictures the summary is enough.
    made_from : study or row of one, or several of them, optional
        What was measured (:mod:`sam_edu.experiments.study`): the page names the records under the figure.

    Raises
    ------
    ValueError
        If ``alt`` is empty: a figure without it is invisible to some readers.

    Examples
    --------
    >>> fig, ax = figure("A rising line", "x", "y")
    >>> line(ax, [0, 1], [0, 1], "SAM")
    >>> show(fig, alt="A line from 0 to 1.")
    Figure: A line from 0 to 1.
    """
    if not alt.strip():
        raise ValueError("alt must say what the figure shows, with its key numbers")
    panels, remark = _plotted.plotted(fig), ""
    if not table and panels:
        table, remark = _plotted.as_table(panels)
    parts = ['<figure class="se-figure">', _markup.drawing(fig, alt, panels, _RC)]
    if caption:
        parts.append(f"<figcaption>{html.escape(caption)}</figcaption>")
    if table:
        parts.append(_markup.table(_plotted.in_percent(table, fig), remark))
        curves = [panel for panel in panels if not any("values" in series for series in panel["series"])]
        if curves and not _plotted.covers(table, panels):  # a summary: what is drawn comes after it
            drawn, remark = _plotted.as_table(panels)
            more = _markup.table(_plotted.in_percent(drawn, fig), remark).partition("</summary>")[2]
            parts[-1] = parts[-1].removesuffix("</details>") + more
    return Shown(alt, "".join([*parts, sources_comment(made_from), "</figure>"]), panels)


def sources(made_from: Any) -> list[tuple[str, int, int]]:
    """Protocol, number of records and of seeds of what a figure was made from, one entry per protocol."""
    given = [] if made_from is None else getattr(made_from, "sources", None)
    if given is None:
        given = [source for part in made_from for source in sources(part)]
    found: dict[str, tuple[int, int]] = {}
    for protocol, count, seeds in given:
        before = found.get(protocol, (0, 0))
        found[protocol] = before[0] + count, max(before[1], seeds)
    return [(protocol, count, seeds) for protocol, (count, seeds) in found.items()]


def sources_comment(made_from: Any) -> str:
    """The same as an HTML comment, which the build of the page reads."""
    known = sources(made_from)
    return f"<!-- records: {json.dumps(known)} -->" if known else ""


def show_table(columns: Mapping[str, Sequence[Any]], caption: str = "") -> Shown:
    """A table of results with its caption, each column a sequence of numbers or texts.

    Examples
    --------
    >>> show_table({"method": ["SGD", "SAM"], "accuracy": [0.9, 0.92]})
    Figure: table of 2 rows
    """
    body = _markup.table(columns).partition("</summary>")[2].removesuffix("</details>")
    head = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    rows = len(next(iter(columns.values())))
    return Shown(caption or f"table of {rows} rows", f'<figure class="se-results">{body}{head}</figure>')


def percent_axis(ax: Axes, axis: str = "y") -> None:
    """Label an axis of shares in per cent, with as many decimals as tell its ticks apart."""
    from matplotlib.ticker import PercentFormatter

    class Percent(PercentFormatter):
        def format_ticks(self, values: list[float]) -> list[str]:
            shares = np.asarray(values, dtype=float)
            exact = [n for n in range(6) if np.abs(shares - shares.round(n + 2)).max(initial=0) < 1e-9]
            self.decimals = exact[0] if exact else 6
            return super().format_ticks(values)

    getattr(ax, f"{axis}axis").set_major_formatter(Percent(1, decimals=0))
