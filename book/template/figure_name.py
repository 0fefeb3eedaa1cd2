"""The worst loss within rho of a parabola (replace: what the figure shows, in one line)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sam_edu import _check
from sam_edu.widgets.base import Explorer, Number, bundle

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def worst_loss(w: ArrayLike, rho: float, curvature: float = 1.0) -> NDArray[np.float64]:
    r"""Highest loss within rho of w, for the loss :math:`\tfrac h2 w^2`.

    .. math:: \max_{|v|\le\rho}\tfrac h2(w+v)^2=\tfrac h2(|w|+\rho)^2

    Parameters
    ----------
    w : array_like
        Weights.
    rho : float
        Radius, >= 0, in units of w.
    curvature : float
        h, > 0.

    Raises
    ------
    ValueError
        If rho or curvature is outside its range.

    Notes
    -----
    Source: elementary. (Give authors, year and arXiv id where there is one.)
    """
    rho = _check.number("rho", rho, low=0)
    curvature = _check.number("curvature", curvature, low=0, open_low=True)
    return curvature / 2 * (np.abs(np.asarray(w, dtype=float)) + rho) ** 2


class FigureNameExplorer(Explorer):
    """A parabola and its worst loss within rho (chapter NN).

    Parameters
    ----------
    rho : float
        Radius, 0 to 1.
    curvature : float
        Curvature h of the parabola, 0.2 to 4.
    """

    _esm = bundle("figure_name.js")
    _shown: ClassVar[tuple[str, ...]] = ("rho", "curvature")

    rho = Number(0.4, 0, 1)
    curvature = Number(1.0, 0.2, 4)

    def draw_still(self, figure: Figure) -> None:
        """The picture where nothing moves: GitHub, e-mail."""
        axes = figure.subplots()
        w = np.linspace(-1.5, 1.5, 121)
        axes.plot(
            w, worst_loss(w, 0, self.curvature), color="black", lw=1.2, label="loss"
        )
        axes.plot(
            w,
            worst_loss(w, self.rho, self.curvature),
            "--",
            color="#0072B2",
            label="worst within ρ",
        )
        axes.set(xlabel="weight w", ylabel="loss", ylim=(0, 4))
        axes.legend(fontsize=8, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
