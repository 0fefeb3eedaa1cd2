"""The SAM family (chapter 3): the set in which each member looks for a worse point, and what it finds."""

from __future__ import annotations

from math import cos, hypot, radians, sin, sqrt
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from sam_edu.methods import BETA, drawn
from sam_edu.styles import COLOUR
from sam_edu.widgets.base import Choice, Explorer, Number, bundle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEMBERS = tuple(method.name for method in drawn())
ETA_ASAM, ETA_FISHER = 0.01, 4.0
MEAN = 0.5  # first component of the mean gradient that Friendly SAM takes away; the second is 0


def axes(member: str, rho: float, turn: float, w2: float) -> tuple[float, float]:
    """Half axes of the set along w1 and w2, for w = (1, w2) and a gradient of length 1 at ``turn`` degrees.

    Each weight stands for a tensor of its own: ESAM is shown for a draw that selects the first, SparseSAM
    with half of the weights kept.
    """
    g = cos(radians(turn)), sin(radians(turn))
    if member == "ASAM":
        return rho * (1 + ETA_ASAM), rho * (abs(w2) + ETA_ASAM)
    if member == "FisherSAM":
        return rho / sqrt(1 + ETA_FISHER * g[0] ** 2), rho / sqrt(1 + ETA_FISHER * g[1] ** 2)
    if member == "SparseSAM":
        return (rho, 0.0) if abs(g[0]) >= abs(g[1]) else (0.0, rho)
    if member == "ESAM":
        return rho / BETA, 0.0
    return (rho, rho * abs(w2)) if member == "AWP" else (rho, rho)


def step(member: str, rho: float, turn: float, w2: float) -> tuple[float, float]:
    """The perturbation e that the member finds in its set."""
    g, (a, b) = (cos(radians(turn)), sin(radians(turn))), axes(member, rho, turn, w2)
    if member == "SparseSAM":
        return a * g[0], b * g[1]
    if member == "ESAM":
        return a * _sign(g[0]), 0.0
    if member == "AWP":
        return a * _sign(g[0]), b * _sign(g[1])
    if member == "FriendlySAM":
        g = g[0] - MEAN, g[1]
    length = hypot(a * g[0], b * g[1])  # the point of an ellipse furthest along g
    return (a * a * g[0] / length, b * b * g[1] / length) if length > 0 else (0.0, 0.0)


def _sign(x: float) -> int:
    return (x > 0) - (x < 0)


class FamilyExplorer(Explorer):
    """Perturbation set and perturbation of each member of the family, for two weights.

    Parameters
    ----------
    member : str
        The name of a method in :func:`sam_edu.methods.drawn`.
    rho : float
        Radius (AWP: the relative size gamma), 0.05 to 0.6.
    turn : float
        Angle of the gradient, 0 to 90 degrees.
    w2 : float
        The second weight, 0 to 1.5; the first is 1.
    """

    _esm = bundle("family.js")
    _shown: ClassVar[tuple[str, ...]] = ("member", "rho", "turn", "w2")

    member = Choice("ASAM", MEMBERS)
    members: Any = traitlets.List().tag(sync=True)
    rho = Number(0.5, 0.05, 0.6)
    turn = Number(50, 0, 90)
    w2 = Number(0.4, 0, 1.5)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(members=[[method.name, method.looks_in] for method in drawn()], **kwargs)

    def draw_still(self, figure: Figure) -> None:
        from matplotlib.patches import Ellipse, Rectangle

        where, bars = figure.subplots(1, 2)
        state = self.rho, self.turn, self.w2
        a, b = axes(self.member, *state)
        shape = Rectangle((-a, -b), 2 * a, 2 * b) if self.member == "AWP" else Ellipse((0, 0), 2 * a, 2 * b)
        shape.set(facecolor=COLOUR["SAM"], alpha=0.25)
        where.add_patch(shape)
        where.add_patch(Ellipse((0, 0), 2 * self.rho, 2 * self.rho, fill=False, ls="--", color=COLOUR["SGD"]))
        g = cos(radians(self.turn)), sin(radians(self.turn))
        for tip, colour in ((g, COLOUR["SGD"]), (step(self.member, *state), COLOUR["SAM"])):
            where.annotate("", tip, (0, 0), arrowprops={"arrowstyle": "->", "color": colour, "lw": 2})
        where.set(
            xlim=(-1.05, 1.05),
            ylim=(-1.05, 1.05),
            aspect="equal",
            title=self.member,
            xlabel="$e_1$",
            ylabel="$e_2$",
        )
        rise = [g[0] * e[0] + g[1] * e[1] for e in (step(member, *state) for member in MEMBERS)]
        colours = [COLOUR["SAM"] if member == self.member else COLOUR["SGD"] for member in MEMBERS]
        bars.barh(MEMBERS[::-1], rise[::-1], color=colours[::-1])
        bars.set(xlabel="first-order rise of the loss")
        for panel in (where, bars):
            panel.spines[["top", "right"]].set_visible(False)
