"""What all live figures share on the Python side: one module, checked traits, a still."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import anywidget
import traitlets

from sam_edu import styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HERE = Path(__file__).parent
CSS = styles.css() + (HERE / "kit.css").read_text(encoding="utf-8")
_COMMENT = re.compile(r"^[ \t]*(?://.*)?\n", re.MULTILINE)
_INDENT = re.compile(r"^[ \t]+", re.MULTILINE)
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+\.js)";\n', re.MULTILINE)


VIEW = "application/vnd.jupyter.widget-view+json"


class WidgetValueError(traitlets.TraitError, ValueError):
    """A value that a live figure cannot show; its message says which values it can."""


def bundle(name: str) -> str:
    """Return ``name`` and the modules that it imports from this folder as one ES module.

    A widget's front end must be a single module, while on disk the shared parts (``kit.js``,
    ``math.js``) are modules of their own: each import line is replaced by the imported file, once,
    with its ``export`` words taken away. Comment lines and indentation stay in the files: every page
    carries the module of every figure on it.
    """
    parts: dict[str, str] = {}

    def visit(file: str) -> None:
        if file in parts:
            return
        source = (HERE / file).read_text(encoding="utf-8")
        for needed in _IMPORT.findall(source):
            visit(needed)
        source = _IMPORT.sub("", source)
        parts[file] = source if file == name else re.sub(r"^export ", "", source, flags=re.M)

    visit(name)
    return _INDENT.sub("", _COMMENT.sub("", "\n".join(parts.values())))


class Number(traitlets.Float):
    """A number in [low, high]; anything else is refused with one line that names the interval."""

    def __init__(self, default: float, low: float, high: float, **kwargs: Any) -> None:
        self.low, self.high = low, high
        super().__init__(default, **kwargs)
        self.tag(sync=True)

    def validate(self, obj: Any, value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not self.low <= number <= self.high:  # NaN fails as well
            raise WidgetValueError(
                f"{type(obj).__name__}: {self.name} must be a number from {self.low:g} to "
                f"{self.high:g}, got {value!r}"
            )
        return number


class Whole(traitlets.Int):
    """A whole number in [low, high]."""

    def __init__(self, default: int, low: int, high: int, **kwargs: Any) -> None:
        self.low, self.high = low, high
        super().__init__(default, **kwargs)
        self.tag(sync=True)

    def validate(self, obj: Any, value: Any) -> int:
        whole = not isinstance(value, bool) and hasattr(value, "__index__")
        if not whole and isinstance(value, float) and value.is_integer():
            value, whole = int(value), True  # browsers send 100 or 100.0 alike
        if not whole or not self.low <= int(value) <= self.high:
            raise WidgetValueError(
                f"{type(obj).__name__}: {self.name} must be a whole number from {self.low} to "
                f"{self.high}, got {value!r}"
            )
        return int(value)


class Choice(traitlets.Unicode):
    """One of a few words."""

    def __init__(self, default: str, choices: tuple[str, ...], **kwargs: Any) -> None:
        self.choices = choices
        super().__init__(default, **kwargs)
        self.tag(sync=True)

    def validate(self, obj: Any, value: Any) -> str:
        if value not in self.choices:
            known = ", ".join(map(repr, self.choices))
            raise WidgetValueError(f"{type(obj).__name__}: {self.name} must be one of {known}, got {value!r}")
        return str(value)


def rows_of(given: Any) -> tuple[list[dict[str, Any]], list[tuple[str, int, int]]]:
    """Rows as dictionaries, and the records behind them: of a study, or of rows that were given as such."""
    if hasattr(given, "figure_rows"):
        return given.figure_rows(), given.sources
    return list(given), []


class Explorer(anywidget.AnyWidget):
    """Base of the live figures.

    A subclass names its module (``_esm = bundle("x.js")``), its traits, and in ``_shown`` those
    that its ``repr`` lists; it draws its state with matplotlib in ``draw_still``, for readers
    that show no live figure (PDF, e-mail, GitHub).

    Raises
    ------
    TypeError
        If a keyword is not one of the figure's parameters.
    WidgetValueError
        If a value is outside its range (a ``ValueError``).
    """

    _css = CSS
    _shown: ClassVar[tuple[str, ...]] = ()
    #: protocol, number of records and of seeds of what it shows: the page names them under the figure
    made_from: Sequence[tuple[str, int, int]] = ()

    def __init__(self, **kwargs: Any) -> None:
        unknown = [name for name in kwargs if name not in self.trait_names()]
        if unknown:
            raise TypeError(
                f"{type(self).__name__} has no parameter {unknown[0]!r}; it has {', '.join(self._shown)}"
            )
        super().__init__(**kwargs)

    def __repr__(self) -> str:
        state = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._shown)
        return f"{type(self).__name__}({state})"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Add a still picture to the widget view."""
        shown = super()._repr_mimebundle_(**kwargs)
        if shown is None:
            return None
        data, metadata = shown if isinstance(shown, tuple) else (shown, {})
        data = dict(data)
        data["text/plain"] = repr(self)
        if self.made_from:
            data[VIEW] = {**data[VIEW], "records": [list(source) for source in self.made_from]}
        data["image/png"] = base64.b64encode(self.still()).decode("ascii")
        return data, metadata

    def still(self) -> bytes:
        """Return the figure in its present state as a PNG of about 12 KB."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.6, 2.9), dpi=100, layout="constrained")
        self.draw_still(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        from PIL import Image  # comes with matplotlib

        small = io.BytesIO()  # 48 colours suffice for lines and text, at a third of the size
        Image.open(buffer).convert("RGB").quantize(48).save(small, format="png", optimize=True)
        return small.getvalue()

    def draw_still(self, figure: Figure) -> None:
        """Draw the present state into ``figure``."""
        raise NotImplementedError
