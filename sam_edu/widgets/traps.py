"""The traps of SAM: the same training with the right and the wrong setting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from sam_edu.styles import COLOUR
from sam_edu.widgets.base import Choice, Explorer, Number, WidgetValueError, bundle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEXTS = ("name", "title", "right", "wrong", "symptom")
CURVES = ("error_right", "error_wrong", "symptom_right", "symptom_wrong")


class TrapsExplorer(Explorer):
    """Test error and symptom over the epochs, for both positions of each trap's switch (chapter 2).

    Parameters
    ----------
    rows : list of dict
        One per trap: ``name`` (letters and digits), ``title``, ``right`` and ``wrong`` (what the two
        settings do), ``symptom`` (what the second panel shows), and four curves ``error_right``,
        ``error_wrong`` (test error in [0, 1]), ``symptom_right``, ``symptom_wrong``, each a list over
        seeds of lists over epochs.
    trap : str
        Name of the row to begin with; default the first.
    switch : {"wrong", "right"}
    epoch : float
        From 1 to the number of epochs; default the last.

    Raises
    ------
    WidgetValueError
        If a row is incomplete, or its curves differ in length, or a number is not finite.
    """

    _esm = bundle("traps.js")
    _shown: ClassVar[tuple[str, ...]] = ("trap", "switch", "epoch")

    rows: Any = traitlets.List().tag(sync=True)
    trap = traitlets.Unicode().tag(sync=True)
    switch = Choice("wrong", ("wrong", "right"))
    epoch = Number(1, 1, 1000)

    def __init__(self, rows: Sequence[dict[str, Any]], **kwargs: Any) -> None:
        checked = [_plain(row, i) for i, row in enumerate(rows)]
        if not checked:
            raise WidgetValueError("rows: at least one trap is needed")
        epochs = {len(run) for row in checked for name in CURVES for run in row[name]}
        if len(epochs) != 1:
            raise WidgetValueError(f"rows: all curves need the same number of epochs, got {sorted(epochs)}")
        start = {"trap": checked[0]["name"], "epoch": epochs.pop()} | kwargs
        names = [row["name"] for row in checked]
        if start["trap"] not in names:
            raise WidgetValueError(f"TrapsExplorer: trap must be one of {names}, got {start['trap']!r}")
        last = len(checked[0]["error_right"][0])
        if start["epoch"] not in range(1, last + 1):
            raise WidgetValueError(f"TrapsExplorer: epoch must be 1 to {last}, got {start['epoch']!r}")
        super().__init__(rows=checked, **start)

    def draw_still(self, figure: Figure) -> None:
        row = next(row for row in self.rows if row["name"] == self.trap)
        left, right = figure.subplots(1, 2)
        for axes, name, label in ((left, "error", "test error"), (right, "symptom", row["symptom"])):
            for way, colour, style in (("right", COLOUR["SAM"], "-"), ("wrong", COLOUR["AT"], "--")):
                runs = row[f"{name}_{way}"]
                mean = [sum(values) / len(runs) for values in zip(*runs, strict=True)]
                axes.plot(range(1, len(mean) + 1), mean, style, color=colour, label=way)
            axes.set(xlabel="epoch", ylabel=label)
            axes.spines[["top", "right"]].set_visible(False)
        left.set(yscale="log", title=row["title"])
        left.legend(fontsize=8, frameon=False)


def _plain(row: dict[str, Any], i: int) -> dict[str, Any]:
    """The row with rounded numbers, checked: what is sent to the browser."""
    missing = [name for name in (*TEXTS, *CURVES) if name not in row]
    if missing:
        raise WidgetValueError(f"rows[{i}]: {missing[0]!r} is missing")
    plain: dict[str, Any] = {name: str(row[name]) for name in TEXTS}
    if not plain["name"].isalnum():
        raise WidgetValueError(f"rows[{i}]: name must consist of letters and digits, got {row['name']!r}")
    for name in CURVES:
        try:
            runs = [[round(float(v), 4) for v in run] for run in row[name]]
        except (TypeError, ValueError):
            raise WidgetValueError(
                f"rows[{i}]: {name} must be a list over seeds of lists of numbers"
            ) from None
        if not runs or not all(math.isfinite(v) for run in runs for v in run):
            raise WidgetValueError(f"rows[{i}]: {name} needs at least one seed and finite numbers")
        if name.startswith("error") and not all(0 <= v <= 1 for run in runs for v in run):
            raise WidgetValueError(f"rows[{i}]: {name} must lie in [0, 1]")
        plain[name] = runs
    return plain
