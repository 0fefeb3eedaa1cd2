"""The toy model under attack: which robust weight is best."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sam_edu import toy
from sam_edu.styles import COLOUR
from sam_edu.widgets.base import Choice, Explorer, Number, Whole, bundle

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class NRFExplorer(Explorer):
    """Natural and robust accuracy of the toy classifier against its robust weight (ch. 6, 7).

    Parameters
    ----------
    p : float
        Reliability of the robust feature, 0.55 to 0.995.
    eta : float
        Mean of each non-robust feature, 0.01 to 0.3.
    d : int
        Number of non-robust features, 1 to 1000.
    eps : float
        Attack radius, 0 to 0.3, in the units of the features.
    attacked : {"nonrobust", "all"}
        Whether the attacker may also move the robust feature.
    """

    _esm = bundle("nrf.js")
    _shown: ClassVar[tuple[str, ...]] = ("p", "eta", "d", "eps", "attacked")

    p = Number(0.95, 0.55, 0.995)
    eta = Number(0.1, 0.01, 0.3)
    d = Whole(100, 1, 1000)
    eps = Number(0.05, 0, 0.3)
    attacked = Choice("nonrobust", ("nonrobust", "all"))

    def draw_still(self, figure: Figure) -> None:
        m = toy.NRFModel(self.p, self.eta, self.d)
        left, right = figure.subplots(1, 2)
        star, best = toy.standard_optimum(m), toy.adversarial_optimum(m, self.eps, self.attacked)
        u = np.linspace(0, 0.995, 150)
        w = star * u / (1 - u)
        place = best.w1 / (best.w1 + star) if np.isfinite(best.w1) else 1.0
        left.plot(u, m.natural_accuracy(w), "-", color="black", lw=1.2, label="natural")
        robust = m.robust_accuracy(w, self.eps, self.attacked)
        left.plot(u, robust, "--", color=COLOUR["AT"], label=f"under attack, ε = {self.eps:g}")
        left.plot(0.5, m.robust_accuracy(star, self.eps, self.attacked), "o", color=COLOUR["SGD"])
        left.plot(place, best.robust_accuracy, "^", color=COLOUR["AT"])
        left.set_xticks([0, 0.25, 0.5, 0.75, 1])
        left.set_xticklabels([f"{v:.3g}" for v in (0, star / 3, star, 3 * star)] + ["∞"])
        left.set(xlabel="robust weight $w_1$", ylabel="accuracy")
        left.legend(fontsize=8, frameon=False)
        eps = np.linspace(0, min(2 * self.eta, 0.999), 200)
        w1 = [toy.adversarial_optimum(m, float(e), self.attacked).w1 for e in eps]
        right.semilogy(eps, np.where(np.isfinite(w1), w1, np.nan), "--", color=COLOUR["AT"])
        right.axhline(star, color=COLOUR["SGD"], lw=1)
        right.set(xlabel="attack radius ε", ylabel="best robust weight")
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)
