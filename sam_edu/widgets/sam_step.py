"""One step of SAM, and sixty, on a loss with a narrow and a wide valley."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sam_edu.styles import COLOUR
from sam_edu.toy import landscape
from sam_edu.widgets.base import Explorer, Number, bundle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = 60


class SAMStepExplorer(Explorer):
    """SAM beside plain gradient descent on :mod:`sam_edu.toy.landscape` (chapter 2).

    Parameters
    ----------
    rho : float
        Radius of the ascent step, 0 to 1.
    step_size : float
        Step size of both, 0.01 to 0.12.
    start1, start2 : float
        Where both start: w1 in [-1.6, 1.6], w2 in [-0.9, 0.9].
    """

    _esm = bundle("sam_step.js")
    _shown: ClassVar[tuple[str, ...]] = ("rho", "step_size", "start1", "start2")

    rho = Number(0.3, 0, 1)
    step_size = Number(0.08, 0.01, 0.12)
    start1 = Number(-1.2, -1.6, 1.6)
    start2 = Number(0.5, -0.9, 0.9)

    def trail(self, rho: float) -> np.ndarray:
        """The start and 60 steps, shape (61, 2)."""
        steps = [np.array([self.start1, self.start2])]
        for _ in range(STEPS):
            steps.append(landscape.step(steps[-1], rho, self.step_size))
        return np.array(steps)

    def draw_still(self, figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        w1, w2 = np.meshgrid(np.linspace(-1.8, 1.8, 91), np.linspace(-1.05, 1.05, 61))
        levels = [0.012, 0.03, 0.07, 0.15, 0.3, 0.6, 1.2, 2.4, 4.2]
        surface = landscape.loss(np.stack([w1, w2], -1))
        left.contour(w1, w2, surface, levels=levels, colors="#bbbbbb", linewidths=0.7)
        across = np.linspace(-1, 1, 81)
        looks = (("SGD", 0.0, COLOUR["SGD"], "o"), (f"SAM, ρ = {self.rho:g}", self.rho, COLOUR["SAM"], "s"))
        for name, rho, colour, shape in looks:
            trail = self.trail(rho)
            left.plot(*trail.T, "-", color=colour, lw=1)
            left.plot(*trail[-1], shape, color=colour, mec="white", zorder=3, label=name)
            line = np.stack([np.full_like(across, trail[-1, 0]), across], -1)
            right.plot(across, landscape.loss(line), color=colour, label=f"at the end of {name}")
        left.set(xlabel="$w_1$", ylabel="$w_2$", xlim=(-1.8, 1.8), ylim=(-1.05, 1.05))
        right.set(xlabel="$w_2$, across the valley", ylabel="loss", ylim=(0, 1.9))
        for axes in (left, right):
            axes.legend(fontsize=8, frameon=False)
            axes.spines[["top", "right"]].set_visible(False)
