"""The data behind the book's drawings: read from notebooks and pages, and compared."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from book.tools import ROOT  # noqa: F401
from book.tools.author import figure as tool

FIGURE = re.compile(r'<figure class="se-figure">.*?</figure>', re.DOTALL)
# How far a number may lie from the saved one, as a share of what its axis spans. Formulas and records are the
# same everywhere: every number counts. Networks trained while the page is built drift with the processor, and
# single numbers jump (training with FGSM breaks down an epoch sooner or later): the mean over all counts.
EXACT, TRAINED = 1e-3, 0.05


def trained(cell: Any) -> bool:
    """By the tag of its cell: whether its text depends on the machine."""
    return "nbval-ignore-output" in cell["metadata"].get("tags", [])


def too_far(cell: Any, saved: list[dict[str, Any]], made: list[dict[str, Any]]) -> str:
    """Empty, or by how much two figures of this cell lie apart."""
    limit, reduce = (TRAINED, np.nanmean) if trained(cell) else (EXACT, np.nanmax)
    apart = difference(saved, made, reduce)
    return "" if apart <= limit else f"{apart:.3g} of its axis apart, the limit is {limit}"


def values(panel: dict[str, Any], axis: str) -> np.ndarray:
    """All numbers along one axis of a panel; NaN for what is no number."""
    rows = [series.get(axis, []) for series in panel["series"]]
    if axis == "values":
        rows = [row for picture in rows for row in picture]
    return np.array([np.nan if v is None else v for row in rows for v in row], dtype=float)


def difference(
    saved: list[dict[str, Any]], made: list[dict[str, Any]], reduce: Callable[[np.ndarray], Any] = np.nanmax
) -> float:
    """How far two figures' data are apart on their worst axis, as a share of its span; inf if unlike.

    ``reduce`` sums up the differences along one axis: their maximum, or their mean.
    """
    if [shape(panel) for panel in saved] != [shape(panel) for panel in made]:
        return float("inf")
    worst = 0.0
    for one, other in zip(saved, made, strict=True):
        for axis in ("x", "y", "values"):
            a, b = values(one, axis), values(other, axis)
            if not a.size:
                continue
            span = np.nanmax(a) - np.nanmin(a) or max(abs(float(np.nanmax(a))), 1e-9)
            if (np.isnan(a) != np.isnan(b)).any():
                return float("inf")
            gaps = np.abs(a - b)
            worst = max(worst, 0.0 if np.isnan(gaps).all() else float(reduce(gaps)) / span)
    return worst


def shape(panel: dict[str, Any]) -> list[tuple[int, int]]:
    """How many numbers each series has (names may quote numbers, so they are not compared)."""
    return [(len(s.get("x", [])), sum(map(len, s.get("values", [])))) for s in panel["series"]]


def tables(markup: str) -> Iterator[dict[str, list[str]]]:
    """The tables under a figure: columns of texts."""
    for part in re.findall(r"<table.*?</table>", markup, re.DOTALL):
        rows = [
            [html.unescape(text) for text in re.findall(r"<t[hd]\b[^>]*>(.*?)</t[hd]>", row)]
            for row in re.findall(r"<tr\b[^>]*>(.*?)</tr>", part)
        ]
        yield {name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0])}


def strangers(markup: str) -> Iterator[str]:
    """What a figure's tables say and its drawing does not.

    A column is plotted if most of its numbers are: as they stand (four digits; two in a picture's table), as
    shares, or in per cent; along x, a number between two points of a fine curve is plotted, too. Other
    columns may say what no axis shows, counts and costs, and a row may be left out of the drawing. But some
    column of some table must be plotted.
    """
    panels = tool.data_of(markup)
    if all("values" in s for p in panels for s in p["series"]):
        return  # pictures alone: the table sums up what is seen, and no pixel has its numbers
    plotted = np.concatenate([values(p, axis) for p in panels for axis in ("x", "y", "values")])
    plotted = plotted[np.isfinite(plotted)]
    fine = [(min(s["x"]), max(s["x"])) for p in panels for s in p["series"] if len(s.get("x", [])) >= 50]
    digits = 0.06 if any("values" in s for p in panels for s in p["series"]) else 6e-4
    some = False
    for columns in tables(markup):
        hits = {name: is_plotted(cells, plotted, digits) for name, cells in columns.items()}
        shown = {name: found for name, found in hits.items() if found is not None and found.mean() >= 0.6}
        some |= bool(shown)
        left_out = np.all([~found for found in shown.values()], axis=0) if shown else None
        for number, (name, found) in enumerate(shown.items()):
            missing = [columns[name][i] for i in np.flatnonzero(~found & ~left_out)]
            if number == 0:  # the first column is the horizontal axis
                missing = [text for text in missing if not any(a <= number_of(text) <= b for a, b in fine)]
            if missing:
                yield f"{name}: {missing}"
    if not some:
        yield "no column of its tables is plotted"


def number_of(cell: str) -> float:
    """The number in a cell: "−0.5", "1,200"; of "95.9 %" the share, 0.959."""
    plain = cell.replace("−", "-").replace(",", "")
    share = plain.removesuffix("%")
    return float(plain) if share == plain else float(share) / 100


def is_plotted(cells: list[str], plotted: np.ndarray, digits: float) -> np.ndarray | None:
    """Which numbers of a column are plotted, None if it holds words."""
    try:
        numbers = np.array([number_of(cell) if cell not in ("–", "") else np.nan for cell in cells])
    except ValueError:
        return None
    hits = np.isnan(numbers)
    for scale in (1.0, 0.01):  # as it stands, or in per cent without the sign
        gaps = np.abs(plotted[None, :] - scale * numbers[:, None]).min(axis=1)
        hits |= gaps <= digits * np.abs(scale * numbers) + 1e-12
    return hits
