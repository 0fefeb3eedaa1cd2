"""Between proof and attack (chapter 11): what is proved, what is broken, why proofs give up at large eps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import traitlets

from sam_edu import styles
from sam_edu.widgets.base import Explorer, Number, WidgetValueError, bundle

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def around(low: float, high: float, slope: float) -> dict[str, float]:
    r"""The two lines around a ReLU on [low, high], :math:`\alpha z \le \mathrm{relu}(z) \le sz + t`.

    Returns
    -------
    dict
        ``below`` (:math:`\alpha`, or the ReLU's own slope where the sign is known), ``above`` (s), ``lift``
        (t), and ``area``, what lies between the lines.

    Examples
    --------
    >>> around(-1.0, 3.0, slope=1.0)
    {'below': 1.0, 'above': 0.75, 'lift': 0.75, 'area': 2.0}
    """
    if low >= 0 or high <= 0:
        known = float(low >= 0)
        return {"below": known, "above": known, "lift": 0.0, "area": 0.0}
    above = high / (high - low)
    ends = (-slope * low, high - slope * high)  # distance between the lines at low and at high
    return {"below": slope, "above": above, "lift": -above * low, "area": (high - low) * sum(ends) / 2}


class BracketExplorer(Explorer):
    """One ReLU between two lines, and the brackets [proved, left standing] of several networks.

    Parameters
    ----------
    rows : list of dict
        One row per network: ``name``; ``kind`` (a name in :data:`sam_edu.styles.STYLES`); ``rho`` for SAM, of
        which there may be several; ``proved`` and ``standing``, the two ends at each radius.
    eps_grid : sequence of float
        Radii, increasing.
    unit : pair of float
        A unit of the first layer: its value for the image, and how far it can move for eps = 1.
    eps, rho, slope
        What to begin with: radius of the attack, SAM's radius, slope of the lower line (0 to 1).

    Raises
    ------
    WidgetValueError
        If the ends of a bracket are in the wrong order or outside [0, 1], or shapes disagree.
    """

    _esm = bundle("bracket.js")
    _shown: ClassVar[tuple[str, ...]] = ("eps", "rho", "slope")

    rows: Any = traitlets.List().tag(sync=True)
    eps_grid: Any = traitlets.List(traitlets.Float()).tag(sync=True)
    unit: Any = traitlets.List(traitlets.Float()).tag(sync=True)
    eps = Number(0.06, 0, 100)
    rho = Number(0.2, 0, 100)
    slope = Number(0.0, 0, 1)

    def __init__(
        self,
        rows: Sequence[Mapping[str, Any]],
        eps_grid: Sequence[float],
        unit: Sequence[float],
        **kwargs: Any,
    ) -> None:
        grid = [float(e) for e in eps_grid]
        if not rows or not grid or grid != sorted(set(grid)):
            raise WidgetValueError(f"BracketExplorer: needs rows and an increasing eps_grid, got {grid}")
        plain = [_plain(row, i, len(grid)) for i, row in enumerate(rows)]
        radii = [row["rho"] for row in plain if row["rho"]]
        if not radii or len(unit) != 2 or not float(unit[1]) > 0:
            raise WidgetValueError("BracketExplorer: needs a row with rho, and unit = (value, reach > 0)")
        start = {"eps": grid[len(grid) // 2], "rho": radii[0]} | kwargs
        for name, values in (("eps", grid), ("rho", radii)):
            if start[name] not in values:
                raise WidgetValueError(
                    f"BracketExplorer: {name} must be one of {values}, got {start[name]!r}"
                )
        super().__init__(rows=plain, eps_grid=grid, unit=[float(u) for u in unit], **start)

    def shown(self) -> list[tuple[str, float, float]]:
        """Name, proved and left standing of each network in the picture."""
        k = self.eps_grid.index(self.eps)
        return [
            (row["name"], row["proved"][k], row["standing"][k])
            for row in self.rows
            if not row["rho"] or row["rho"] == self.rho
        ]

    def draw_still(self, figure: Figure) -> None:
        relu, bars = figure.subplots(1, 2)
        value, reach = self.unit
        low, high = value - reach * self.eps, value + reach * self.eps
        both, z = around(low, high, self.slope), np.linspace(low, high, 50)
        relu.plot(z, np.maximum(z, 0), color="black")
        relu.fill_between(z, both["below"] * z, both["above"] * z + both["lift"], alpha=0.2)
        relu.set(xlabel="input of the unit", title=f"one ReLU, ε = {self.eps:g}")
        rows = [row for row in self.rows if not row["rho"] or row["rho"] == self.rho]
        for i, (row, (name, proved, standing)) in enumerate(zip(rows, self.shown(), strict=True)):
            colour = styles.look(row["kind"]).colour
            bars.barh(-i, proved, color=colour, height=0.5)
            bars.barh(-i, standing - proved, left=proved, color=colour, alpha=0.25, height=0.5)
            bars.text(0.01, -i + 0.32, f"{name}: {proved:.0%} to {standing:.0%}", fontsize=8)
        bars.set(xlim=(0, 1), yticks=[], xlabel="share of the images")
        for axes in (relu, bars):
            axes.spines[["top", "right"]].set_visible(False)


def _plain(row: Mapping[str, Any], i: int, radii: int) -> dict[str, Any]:
    """The row with plain floats (it travels as JSON), checked."""
    missing = [key for key in ("name", "kind", "proved", "standing") if key not in row]
    if missing:
        raise WidgetValueError(f"rows[{i}] needs {missing[0]!r}; it has {', '.join(row)}")
    proved, standing = ([float(v) for v in row[key]] for key in ("proved", "standing"))
    if len(proved) != radii or len(standing) != radii:
        raise WidgetValueError(f"rows[{i}]: proved and standing need {radii} numbers each")
    if not all(0 <= low <= high <= 1 for low, high in zip(proved, standing, strict=True)):
        raise WidgetValueError(f"rows[{i}]: needs 0 <= proved <= standing <= 1, got {proved} and {standing}")
    kind = str(row["kind"])
    return {"name": str(row["name"]), "kind": kind, "style": styles.look(kind).live,
            "rho": float(row.get("rho") or 0), "proved": proved, "standing": standing}  # fmt: skip
