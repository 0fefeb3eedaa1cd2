"""A sharp and a wide minimum: which one is flat depends on the radius and on the ruler."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sam_edu.styles import COLOUR
from sam_edu.toy import wells
from sam_edu.widgets.base import Explorer, Number, bundle

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class FlatnessExplorer(Explorer):
    """The worst loss within rho on :mod:`sam_edu.toy.wells` (chapter 1).

    Parameters
    ----------
    rho : float
        Radius of the ball, 0 to 1.2.
    alpha : float
        Stretch of the axis on the side of the sharp minimum A, 0.5 to 5.
    floor : float
        Loss at the bottom of the wide minimum B, 0 to 0.6; at the bottom of A it is 0.
    """

    _esm = bundle("flatness.js")
    _shown: ClassVar[tuple[str, ...]] = ("rho", "alpha", "floor")

    rho = Number(0.2, 0, 1.2)
    alpha = Number(1.0, 0.5, 5)
    floor = Number(0.2, 0, 0.6)

    def draw_still(self, figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        v = np.linspace(-3.2, 2.7, 400)
        left.plot(v, wells.loss(v, self.alpha, self.floor), color="black", lw=1)
        left.plot(v, wells.worst_loss(v, self.rho, self.alpha, self.floor), color=COLOUR["SAM"])
        at = wells.flattest(self.rho, self.alpha, self.floor)
        left.plot(at, wells.worst_loss(at, self.rho, self.alpha, self.floor), "s", color=COLOUR["SAM"])
        left.plot(-wells.A_WIDTH * self.alpha, 0, "o", color=COLOUR["SGD"])
        left.axvspan(at - self.rho, at + self.rho, color=COLOUR["SAM"], alpha=0.12, lw=0)
        left.set(xlabel="weight", ylabel=f"loss, and worst within ρ = {self.rho:g}", ylim=(-0.05, 1.1))
        rho = np.linspace(0, 1.2, 121)
        a, b = wells.prices(rho, self.alpha, self.floor)
        right.plot(rho, a, color=COLOUR["SGD"], label="minimum A")
        right.plot(rho, b, color=COLOUR["SAM"], label="minimum B")
        right.axvline(self.rho, color="black", lw=0.8, ls=":")
        right.set(xlabel="radius ρ", ylabel="worst loss within ρ", ylim=(-0.05, 1.1))
        right.legend(fontsize=8, frameon=False)
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)
