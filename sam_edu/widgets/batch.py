"""SAM on the toy model, from one perturbation per sample to one for all: a measured grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import traitlets

from sam_edu import toy
from sam_edu.styles import COLOUR
from sam_edu.toy.stationary import lost_weight
from sam_edu.widgets.base import Choice, Explorer, Number, Whole, WidgetValueError, bundle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOSSES = ("logistic", "squared")
OPTIMA = {"logistic": toy.standard_optimum, "squared": lambda m: np.sinh(m.log_odds) / (2 * m.eta)}


class BatchExplorer(Explorer):
    """What SAM takes from the non-robust features, against batch size and radius (chapter 10).

    Parameters
    ----------
    grid : dict
        As :meth:`measure` returns it: ``batches`` (ascending; the last is the full batch), ``rhos``
        (ascending from 0), ``sets`` (labels), ``ratio`` (per set and loss) and ``lost`` (per set and loss:
        batches x radii x samples, shares).
    batch : int
        One of the measured batch sizes.
    rho : float
        Between the measured radii, straight lines are drawn and said to be.
    loss : {"logistic", "squared"}
    parameters : int
        Which of the sets.

    Raises
    ------
    WidgetValueError
        If the grid is incomplete or a value was not measured.
    """

    _esm = bundle("batch.js")
    _shown: ClassVar[tuple[str, ...]] = ("batch", "rho", "loss", "parameters")

    grid: Any = traitlets.Dict().tag(sync=True)
    batch = Whole(1, 1, 10**7)
    rho = Number(0.2, 0, 100)
    loss = Choice("logistic", LOSSES)
    parameters = Whole(0, 0, 100)

    def __init__(self, grid: dict[str, Any], **kwargs: Any) -> None:
        grid = _checked(grid)
        batch, rho = kwargs.get("batch", grid["batches"][0]), kwargs.get("rho", grid["rhos"][-2])
        if batch not in grid["batches"]:
            raise WidgetValueError(
                f"BatchExplorer: batch must be one of the measured {grid['batches']}, got {batch!r}"
            )
        if isinstance(rho, (int, float)) and rho > grid["rhos"][-1]:
            raise WidgetValueError(f"BatchExplorer: rho must be at most {grid['rhos'][-1]:g}, got {rho!r}")
        which = kwargs.get("parameters", 0)
        if isinstance(which, int) and which >= len(grid["sets"]):
            raise WidgetValueError(
                f"BatchExplorer: parameters must be less than {len(grid['sets'])}, got {which}"
            )
        super().__init__(**{"grid": grid, **kwargs, "batch": batch, "rho": rho})

    @staticmethod
    def measure(
        models: Sequence[toy.NRFModel],
        batches: Sequence[int],
        rhos: Sequence[float],
        n: int = 4096,
        seeds: Sequence[int] = (0, 1, 2, 3),
    ) -> dict[str, Any]:
        """Measure a grid: one sample of size ``n`` per model and seed; ``batches`` divide n, n is added."""
        batches, rhos = [*batches, n], [float(rho) for rho in rhos]
        lost = [
            {loss: lost_weight(m, loss, batches, rhos, n, seeds).round(4).tolist() for loss in LOSSES}
            for m in models
        ]
        sets = [f"p = {m.p:g}, η = {m.eta:g}, d = {m.d}" for m in models]
        ratio = [{loss: round(float(OPTIMA[loss](m)), 4) for loss in LOSSES} for m in models]
        return {"batches": batches, "rhos": rhos, "sets": sets, "ratio": ratio, "lost": lost}

    def reading(self) -> tuple[float, float, float]:
        """Mean, lowest and highest share lost at the present state, over the samples."""
        rows = np.asarray(self.grid["lost"][self.parameters][self.loss])[
            self.grid["batches"].index(self.batch)
        ]
        at = [np.interp(self.rho, self.grid["rhos"], v) for v in (rows.mean(1), rows.min(1), rows.max(1))]
        return float(at[0]), float(at[1]), float(at[2])

    def draw_still(self, figure: Figure) -> None:
        left, right = figure.subplots(1, 2, sharey=True)
        rows = np.asarray(self.grid["lost"][self.parameters][self.loss])
        rhos, batches = self.grid["rhos"], self.grid["batches"]
        at = np.array([[np.interp(self.rho, rhos, v) for v in row.T] for row in rows])
        place = np.arange(len(batches))
        left.plot(place, 100 * at.mean(1), "-s", color=COLOUR["SAM"], ms=3)
        left.plot(place, 100 * at, ".", color=COLOUR["SAM"], alpha=0.4, ms=4)
        left.set_xticks(place, [*map(str, batches[:-1]), "all"], fontsize=7)
        left.set(xlabel=f"batch size m, ρ = {self.rho:g}", ylabel="relative weight lost, %")
        chosen = 100 * rows[batches.index(self.batch)]
        right.plot(rhos, chosen.mean(1), "-s", color=COLOUR["SAM"], ms=3)
        right.plot(rhos, chosen, ".", color=COLOUR["SAM"], alpha=0.4, ms=4)
        right.set(xlabel=f"radius ρ, m = {self.batch}")
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)


def _checked(grid: dict[str, Any]) -> dict[str, Any]:
    missing = [key for key in ("batches", "rhos", "sets", "ratio", "lost") if key not in grid]
    if missing:
        raise WidgetValueError(f"grid needs {missing[0]!r}; BatchExplorer.measure makes a grid")
    for key in ("batches", "rhos"):
        if len(grid[key]) < 2 or list(grid[key]) != sorted(set(grid[key])):
            raise WidgetValueError(f"grid: {key} must increase and have two entries or more, got {grid[key]}")
    if grid["rhos"][0] != 0:
        raise WidgetValueError(f"grid: rhos must begin with 0, got {grid['rhos']}")
    shape = (len(grid["batches"]), len(grid["rhos"]))
    for name, losses in zip(grid["sets"], grid["lost"], strict=True):
        for loss in LOSSES:
            values = np.asarray(losses.get(loss, []), dtype=float)
            if values.ndim != 3 or values.shape[:2] != shape or not np.isfinite(values).all():
                raise WidgetValueError(
                    f"grid: lost must hold finite shares (batches, rhos, samples) = {shape} x samples for "
                    f"{name}, {loss}; got shape {values.shape}"
                )
    return grid
