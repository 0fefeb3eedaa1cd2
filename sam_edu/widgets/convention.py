"""Which SAM? The robust weight of the toy model before and after, for every convention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sam_edu import toy
from sam_edu.styles import COLOUR
from sam_edu.widgets.base import Choice, Explorer, Number, Whole, bundle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Conventions whose radius is the same for each weight; the others take its length, radius * sqrt(d).
PER_WEIGHT = ("linf-worst", "gaussian")


class ConventionExplorer(Explorer):
    """What SAM maximises and where its optimum goes, under the conventions of chapter 8.

    Parameters
    ----------
    convention : str
        A key of :data:`sam_edu.toy.CONVENTION`, such as "robust-worst" or "l2-worst".
    radius : float
        Length of the perturbation in units of sqrt(d), the length of the non-robust weights, 0 to 0.5:
        rho (or sigma) is radius * sqrt(d), and radius itself where each weight has its own bound or noise.
    p : float
        Reliability of the robust feature, 0.55 to 0.99.
    d : int
        Number of non-robust features, 10 to 1000.
    eta : float
        Mean of each non-robust feature, 0.02 to 0.5; no slider moves it.
    """

    _esm = bundle("convention.js")
    _shown: ClassVar[tuple[str, ...]] = ("convention", "radius", "p", "eta", "d")

    convention = Choice("l2-worst", tuple(c.key for c in toy.CONVENTIONS))
    radius = Number(0.3, 0, 0.5)
    p = Number(0.95, 0.55, 0.99)
    eta = Number(0.1, 0.02, 0.5)
    d = Whole(100, 10, 1000)

    @property
    def rho(self) -> float:
        """The radius in the units of :func:`sam_edu.toy.sam_optimum`."""
        return self.radius * (1.0 if self.convention in PER_WEIGHT else float(np.sqrt(self.d)))

    def draw_still(self, figure: Figure) -> None:
        m, options = toy.NRFModel(self.p, self.eta, self.d), toy.CONVENTION[self.convention].options
        star, best = toy.standard_optimum(m), _optimum(m, self.rho, options)
        left, right = figure.subplots(1, 2)
        w1 = star * np.linspace(0.6, 1.5, 91)
        left.plot(w1, m.natural_accuracy(w1), color="black", lw=1.2, label="accuracy")
        seen = toy.perturbed_accuracy(m, w1, self.rho, **options)[0]
        left.plot(w1, seen, color=COLOUR["SAM"], lw=1.2, label="what SAM maximises")
        left.plot(star, m.natural_accuracy(star), "o", color=COLOUR["SGD"])
        if np.isfinite(best):
            left.plot(best, toy.perturbed_accuracy(m, best, self.rho, **options)[0], "s", color=COLOUR["SAM"])
        left.set(xlabel="robust weight $w_1$", ylabel="accuracy")
        left.legend(fontsize=8, frameon=False)
        radii = self.rho * np.linspace(0, 1, 13)
        weights = _optimum(m, radii, options)
        right.plot(radii, np.where(np.isfinite(weights), weights, np.nan), color=COLOUR["SAM"])
        right.axhline(star, color=COLOUR["SGD"], lw=1)
        right.set(xlabel="radius", ylabel="best robust weight")
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)


def _optimum(m: toy.NRFModel, rho: Any, options: dict[str, str]) -> Any:
    """NaN, which is not drawn, where the library has no answer."""
    try:
        return np.asarray(toy.sam_optimum(m, rho, **options))
    except ValueError:
        return np.full(np.shape(rho), np.nan)
