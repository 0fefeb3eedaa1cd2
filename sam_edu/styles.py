"""One palette: how each way of training, and each kind of feature, looks in every figure of the book.

Okabe-Ito colours; line and marker tell the methods apart without colour, too. The still figures take
``Style.still`` (matplotlib), the live ones ``Style.live`` (classes of their style sheet, which begins with
:func:`css`). A figure never chooses a colour for a method: it asks the row that it draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_SHAPES = {"o": "circle", "s": "square", "^": "triangle", "D": "diamond", "p": "pentagon", ".": "circle"}
_DASHES = {"-": "", ":": "se-dots", "--": "se-dash", "-.": "se-dashdot"}


@dataclass(frozen=True)
class Style:
    """Colour, line and marker.

    Attributes
    ----------
    css : str
        Its name in style sheets: ``se-<css>``. Two styles may share one and differ in line or marker.
    colour, dark : str
        On a light and on a dark page.
    ink, dark_ink : str
        The same for letters, which must be darker (or lighter) to be read.
    line, marker : str
        As matplotlib writes them.
    hollow : bool
        Whether the marker is open.
    width : float or None
        Of the line, where it is not that of all.
    """

    css: str
    colour: str
    line: str = "-"
    marker: str = "o"
    dark: str = ""
    ink: str = ""
    dark_ink: str = ""
    hollow: bool = False
    width: float | None = None

    @property
    def still(self) -> dict[str, Any]:
        """Keywords of matplotlib's ``plot``."""
        look: dict[str, Any] = {"color": self.colour, "linestyle": self.line, "marker": self.marker}
        if self.hollow:
            look["markerfacecolor"] = "none"
        if self.width is not None:
            look["linewidth"] = self.width
        return look

    @property
    def live(self) -> dict[str, Any]:
        """What a row carries to JavaScript: classes for colour and dash, the marker, control or not."""
        thin = self.css == "control"
        return {"css": f"se-{self.css}", "shape": _SHAPES.get(self.marker, "circle"), "control": thin,
                "dash": "se-thin" if thin else _DASHES[self.line]}  # fmt: skip


INK = "#010203"  # stands for "the colour of the text"; becomes currentColor in the SVG
_SAM = ("#0072B2", "#3D9FD6", "#00659E", "#6BB8E6")  # light, dark, and both for letters
_AT = ("#D55E00", "#F0803C", "#B04C00", "#FF9F5F")


def _of(css: str, colours: tuple[str, str, str, str], line: str, marker: str, hollow: bool = False) -> Style:
    colour, dark, ink, dark_ink = colours
    return Style(css, colour, line, marker, dark, ink, dark_ink, hollow)


STYLES: dict[str, Style] = {
    "SGD": _of("std", ("#767676", "#A0A0A0", "#6B6B6B", "#B4B4B4"), "-", "o"),
    "SAM": _of("sam", _SAM, "-", "s"),
    "ASAM": _of("sam", _SAM, ":", "s", hollow=True),
    "AT": _of("at", _AT, "--", "^"),
    "SAM+AT": Style("both", "#CC79A7", "-.", "D"),
    "AWP": Style("awp", "#009E73", ":", "p"),
    "control": Style("control", "#A9A9A9", "-", ".", "#8A8A8A", "#6B6B6B", "#A8A8A8", width=1.0),
    "theory": Style("theory", INK, "-", "", width=1.0),
    "robust feature": _of("sam", _SAM, "-", "s"),
    "non-robust features": Style("nonrobust", "#E69F00", "--", "o"),
}
CONTROL = STYLES["control"]
COLOUR = {name: style.colour for name, style in STYLES.items()}


def look(name: str) -> Style:
    """The style of a name; that of a control for a name that has none."""
    return STYLES.get(name, CONTROL)


def css() -> str:
    """The palette as custom properties of ``.sam-edu``, for light and dark pages."""
    by_name = {style.css: style for style in STYLES.values() if style.colour != INK}
    light = [f"--se-{name}: {style.colour};" for name, style in by_name.items()]
    light += [f"--se-{name}-ink: {style.ink};" for name, style in by_name.items() if style.ink]
    dark = [f"--se-{name}: {style.dark};" for name, style in by_name.items() if style.dark]
    dark += [f"--se-{name}-ink: {style.dark_ink};" for name, style in by_name.items() if style.dark_ink]
    night = ('html[data-theme="dark"]', 'html[theme="dark"]', ".jp-mod-dark", '[data-jp-theme-light="false"]',
             ".vscode-dark")  # fmt: skip
    return (
        f".sam-edu {{ {' '.join(light)} }}\n{', '.join(f'{page} .sam-edu' for page in night)} "
        f"{{ {' '.join(dark)} }}\n"
    )
