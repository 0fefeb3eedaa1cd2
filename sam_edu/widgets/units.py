"""The trap of units: a radius typed for normalised pixels, and what it measures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import traitlets
from numpy.typing import ArrayLike

from sam_edu.styles import COLOUR
from sam_edu.widgets.base import Explorer, Number, Whole, WidgetValueError, bundle

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def changed_levels(mean: float, std: float) -> int:
    """How many of the 256 grey levels a round trip through normalised units changes, in float32.

    The trip is ``(x - mean) / std * std + mean`` for x = 0, 1/255, ..., 1: nothing in exact arithmetic.
    """
    x = np.arange(256, dtype=np.float32) / np.float32(255)
    m, s = np.float32(mean), np.float32(std)
    return int(((x - m) / s * s + m != x).sum())


class UnitsExplorer(Explorer):
    """Robust accuracy against the radius, and what a script with the wrong units reads from it.

    The script types ε for pixels that were normalised with standard deviation σ, so that no pixel moves
    by more than ε σ; it reports the accuracy at ε σ as if it were that at ε.

    Parameters
    ----------
    eps_grid : sequence of float, shape (n_eps,)
        Attack radii in pixel units, increasing from 0.
    accuracy : array_like, shape (n_models, n_eps)
        Measured robust accuracy, in [0, 1], nowhere rising with the radius.
    images : array_like, shape (n_models, n_eps, H, W)
        One image attacked with each radius, in [0, 1].
    model_names : sequence of str
    eps : float
        The radius that is typed, from 0 to the last of the grid.
    std, mean : float
        Of the normalisation: std from 0.1 to 1 (1: no scaling), mean from 0 to 1.
    model : int

    Raises
    ------
    WidgetValueError
        If shapes disagree, or a value is outside its range.
    """

    _esm = bundle("units.js")
    _shown: ClassVar[tuple[str, ...]] = ("eps", "std", "model")

    images = traitlets.Bytes().tag(sync=True)
    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    eps_grid = traitlets.List(traitlets.Float()).tag(sync=True)
    accuracy: Any = traitlets.List().tag(sync=True)
    model_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    mean = Number(0.5, 0, 1)
    eps = Number(0, 0, 1)
    std = Number(0.25, 0.1, 1)
    model = Whole(0, 0, 1000)

    def __init__(
        self,
        eps_grid: ArrayLike,
        accuracy: ArrayLike,
        images: ArrayLike,
        model_names: list[str],
        **kwargs: Any,
    ) -> None:
        grid = [float(e) for e in np.asarray(eps_grid, dtype=float)]
        if len(grid) < 2 or grid[0] != 0 or grid != sorted(set(grid)) or grid[-1] > 1:
            raise WidgetValueError(f"eps_grid must increase from 0 to at most 1, got {grid}")
        curves = np.asarray(accuracy, dtype=float)
        pixels = np.ascontiguousarray(images, dtype="<f4")
        wanted = (len(model_names), len(grid))
        if curves.shape != wanted or pixels.ndim != 4 or pixels.shape[:2] != wanted:
            raise WidgetValueError(
                f"accuracy must have shape {wanted} and images {wanted} + (H, W), "
                f"got {curves.shape} and {pixels.shape}"
            )
        for name, array in (("accuracy", curves), ("images", pixels)):
            if not ((array >= -1e-6) & (array <= 1 + 1e-6)).all():  # NaN fails as well
                raise WidgetValueError(f"{name} must lie in [0, 1] and hold no NaN")
        if (np.diff(curves, axis=1) > 0).any():
            raise WidgetValueError("accuracy must not rise with eps: an attack may always stop short")
        start = {"eps": grid[len(grid) // 3]} | kwargs
        if not (isinstance(start["eps"], int | float) and 0 <= start["eps"] <= grid[-1]):
            raise WidgetValueError(f"UnitsExplorer: eps must be from 0 to {grid[-1]:g}, got {start['eps']!r}")
        super().__init__(
            eps_grid=grid,
            accuracy=np.round(curves, 4).tolist(),
            images=pixels.tobytes(),
            shape=list(pixels.shape),
            model_names=list(model_names),
            **start,
        )

    @traitlets.validate("model")
    def _exists(self, proposal: Any) -> int:
        if self.model_names and proposal["value"] >= len(self.model_names):
            raise WidgetValueError(
                f"UnitsExplorer: model must be less than {len(self.model_names)}, got {proposal['value']!r}"
            )
        return int(proposal["value"])

    def at(self, radius: float | np.ndarray) -> np.ndarray:
        """Robust accuracy of the chosen network at a radius in pixel units (linear between the measured)."""
        return np.asarray(np.interp(radius, self.eps_grid, self.accuracy[self.model]))

    def draw_still(self, figure: Figure) -> None:
        left, right = figure.subplots(1, 2, width_ratios=[1, 1.6])
        pixels = np.frombuffer(self.images, dtype="<f4").reshape(self.shape)[self.model]
        k = int(np.abs(np.array(self.eps_grid) - self.eps * self.std).argmin())
        left.imshow(np.hstack([pixels[0], pixels[k]]), cmap="Greys", vmin=0, vmax=1)
        left.set(xticks=[], yticks=[], title="image, and what the script attacks")
        left.title.set_fontsize(8)
        grid = np.linspace(0, self.eps_grid[-1], 200)
        right.plot(grid, self.at(grid), "-", color=COLOUR["SGD"], label="in pixel units")
        right.plot(grid, self.at(grid * self.std), "--", color="black", lw=1.2, label="as the script reports")
        ends = [self.at(self.eps), self.at(self.eps * self.std)]
        right.plot([self.eps] * 2, ends, "o", color="black", mfc="white")
        right.set(xlabel="ε that is typed", ylabel="robust accuracy", ylim=(0, 1.02))
        right.legend(fontsize=8, frameon=False)
        right.spines[["top", "right"]].set_visible(False)
