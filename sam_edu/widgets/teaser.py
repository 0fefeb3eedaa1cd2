"""The figure of the Welcome page: what SAM's radius buys against an attack, in the toy model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sam_edu import toy
from sam_edu.styles import COLOUR
from sam_edu.widgets.base import Explorer, Number, Whole, WidgetValueError, bundle

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Teaser(Explorer):
    """Accuracy under attack of the standard, the SAM and the adversarial optimum.

    SAM here perturbs the robust weight alone, by the exact worst case (Theorem 7). Under other
    conventions it does more, nothing, or the opposite; the text beside the figure must say so.

    Parameters
    ----------
    rho : float
        SAM's radius, 0 to 25, in units of the non-robust weights (which are 1).
    eps : float
        Attack radius on the non-robust features, 0 to 2*eta.
    p, eta, d
        The toy model, fixed while the figure is shown.
    """

    _esm = bundle("teaser.js")
    _shown: ClassVar[tuple[str, ...]] = ("rho", "eps", "p", "eta", "d")

    rho = Number(10.0, 0, 25)
    eps = Number(0.1, 0, 0.6)
    p = Number(0.95, 0.55, 0.995)
    eta = Number(0.1, 0.01, 0.3)
    d = Whole(100, 1, 1000)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.eps > 2 * self.eta:
            raise WidgetValueError(f"Teaser: eps must be at most 2*eta = {2 * self.eta:g}, got {self.eps!r}")

    def draw_still(self, figure: Figure) -> None:
        m = toy.NRFModel(self.p, self.eta, self.d)
        eps = np.linspace(0, 2 * self.eta, 120)
        best = [toy.adversarial_optimum(m, float(e)).robust_accuracy for e in eps]
        axes = figure.subplots()
        axes.plot(eps, best, "--", color=COLOUR["AT"], label="adversarial training")
        sam = m.robust_accuracy(toy.sam_optimum(m, self.rho), eps)
        axes.plot(eps, sam, color=COLOUR["SAM"], label=f"SAM, ρ = {self.rho:g}")
        standard = m.robust_accuracy(toy.standard_optimum(m), eps)
        axes.plot(eps, standard, color=COLOUR["SGD"], label="standard training")
        axes.axvline(self.eps, color="black", lw=0.8, ls=":")
        axes.set(xlabel="attack radius ε", ylabel="accuracy under attack")
        axes.legend(fontsize=8, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
