"""What a page gets of a figure: a drawing with ink of the page's colour, and a table to unfold."""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sam_edu import styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def drawing(fig: Figure, alt: str, panels: list[dict[str, Any]], style: Mapping[Any, Any]) -> str:
    """The figure as SVG whose ink is the page's, with its alt text and, as JSON, all that was plotted."""
    from matplotlib import rc_context

    buffer = io.StringIO()
    # the salt makes the ids inside the drawing reproducible, and distinct between figures of a page
    with rc_context({**style, "svg.hashsalt": alt}):
        fig.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r" *<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = text.replace(styles.INK, "currentColor").replace(styles.INK.upper(), "currentColor")
    text = re.sub(r"font: ([^;\"]*?)px [^;\"]*", r"font: \1px system-ui, sans-serif", text)
    text = re.sub(r"font-family: [^;\"]*", "font-family: system-ui, sans-serif", text)  # newer matplotlib
    # a hundredth of a point is enough for positions (attributes; the labels between tags stay whole)
    text = re.sub(r'="[^"]*"', lambda found: re.sub(r"(\d\.\d\d)\d+", r"\1", found[0]), text)
    text = re.sub(r"\s*\n\s*", " ", text)
    size = re.search(r'viewBox="0 0 ([\d.]+) ', text)
    width = float(size.group(1)) * 4 / 3 if size else 640
    head = (
        f'<svg role="img" aria-label="{html.escape(alt, quote=True)}" '
        f'style="width:100%;max-width:{width:.0f}px;height:auto"'
    )
    text = re.sub(r'(<svg[^>]*?) (?:width|height)="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) (?:width|height)="[^"]*"', r"\1", text, count=1)
    data = html.escape(json.dumps(panels, ensure_ascii=False, separators=(",", ":")), quote=False)
    return text.replace("<svg", head, 1).replace(">", f"><metadata>{data}</metadata>", 1)


# A cell that is a number with its spread, a range or a bound: a line must not end inside it.
_NUMBERS = re.compile(r"[<>≤≥+−±\-\d.,%/ ]*\d[<>≤≥+−±\-\d.,%/ ]*(?:to [+−\-\d.% ]+)?")

_HYPHEN = re.compile(r"(?<![\w.])-(?=\.?\d)")  # a hyphen that stands for a minus, not that of "PGD-20"


def table(columns: Mapping[str, Sequence[Any]], remark: str = "") -> str:
    """The columns as a table to unfold."""

    def cell(value: Any) -> str:
        if value is None:
            return "–"
        if isinstance(value, (float, np.floating)):
            return _HYPHEN.sub("−", f"{value:.4g}")
        said = _HYPHEN.sub("−", html.escape(str(value)))
        said = said.replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}")  # nor inside "SAM, ρ = 0.4"
        return said.replace(" ", "\N{NO-BREAK SPACE}") if _NUMBERS.fullmatch(str(value)) else said

    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{cell(value)}</td>" for value in row) + "</tr>"
        for row in zip(*columns.values(), strict=True)
    )
    what = html.escape(f"View as table ({remark})" if remark else "View as table")
    return (
        f'<details class="se-table"><summary>{what}</summary><table><thead><tr>{head}'
        f"</tr></thead><tbody>{rows}</tbody></table></details>"
    )
