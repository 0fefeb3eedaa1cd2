"""The (rho, eps) plane: which radius of SAM gives the robust weight of which attack."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sam_edu import toy
from sam_edu.styles import COLOUR
from sam_edu.widgets.base import Choice, Explorer, Number, bundle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DATA = {
    "strong": toy.NRFModel(0.95, 0.1, 100),
    "few": toy.NRFModel(0.9, 0.2, 10),
    "weak": toy.NRFModel(0.75, 0.05, 400),
}
#: keys of :data:`sam_edu.toy.CONVENTION`; a uniform average of w1 gives the curve of the worst case
CONVENTIONS = ("robust-worst", "robust-gaussian", "gaussian", "per-sample", "l2-worst", "one-step")


class RhoEpsPlane(Explorer):
    """Equal robust weights in the plane of SAM's radius and the attack's radius (ch. 9).

    Parameters
    ----------
    convention : {"robust-worst", "robust-gaussian", "gaussian", "per-sample", "l2-worst", "one-step"}
        Which SAM; see :class:`sam_edu.toy.Convention`.
    data : {"strong", "few", "weak"}
        Parameters (p, eta, d) of the toy model: (0.95, 0.1, 100), (0.9, 0.2, 10), (0.75, 0.05, 400).
    rho : float
        SAM's radius, 0 to 200, in units of the non-robust weights (which are 1).
    share : float
        Radius of the attack on the non-robust features as a share of their mean, eps/eta, 0 to 1.
    """

    _esm = bundle("plane.js")
    _shown: ClassVar[tuple[str, ...]] = ("convention", "data", "rho", "share")

    convention = Choice("robust-worst", CONVENTIONS)
    data = Choice("strong", tuple(DATA))
    rho = Number(10.0, 0, 200)
    share = Number(0.5, 0, 1)

    def draw_still(self, figure: Figure) -> None:
        m, options = DATA[self.data], toy.CONVENTION[self.convention].options
        left, right = figure.subplots(1, 2)
        shares = np.geomspace(0.01, 0.95, 8)
        rhos = [toy.equivalent_rho(m, float(share * m.eta), **options) for share in shares]
        left.loglog(shares * m.eta, [np.nan if rho is None else rho for rho in rhos], color="black")
        left.axvline(max(self.share, 0.01) * m.eta, ls="--", lw=1, color=COLOUR["AT"])
        left.axhline(max(self.rho, 0.005), lw=1, color=COLOUR["SAM"])
        left.set(xlabel="attack radius ε", ylabel="SAM's radius ρ", ylim=(0.005, 200))
        eps, star = self.share * m.eta, toy.standard_optimum(m)
        u = np.linspace(0, 0.995, 120)
        weights = star * u / (1 - u)
        right.plot(u, m.natural_accuracy(weights), color="black", lw=1.2)
        right.plot(u, m.robust_accuracy(weights, eps), "--", color=COLOUR["AT"])
        marks = (
            (star, "o", COLOUR["SGD"], "standard"),
            (toy.adversarial_optimum(m, eps).w1, "^", COLOUR["AT"], "adversarial"),
            (toy.sam_optimum(m, self.rho, **options), "s", COLOUR["SAM"], "SAM"),
        )
        for w1, marker, color, label in marks:
            place = w1 / (w1 + star) if np.isfinite(w1) else 1.0
            right.plot(place, m.robust_accuracy(w1, eps), marker, color=color, label=label)
        right.set_xticks([0, 0.25, 0.5, 0.75, 1])
        right.set_xticklabels([f"{v:.3g}" for v in (0, star / 3, star, 3 * star)] + ["∞"])
        right.set(xlabel="robust weight $w_1$", ylabel="accuracy")
        right.legend(fontsize=8, frameon=False)
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)
