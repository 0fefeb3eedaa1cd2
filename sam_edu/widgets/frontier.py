"""Price and prize (chapter 14): the most robust method that one can afford."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from sam_edu import styles
from sam_edu.widgets.base import Explorer, Number, WidgetValueError, bundle, rows_of
from sam_edu.widgets.rho_eps_grid import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SLACK = 1e-9  # a row exactly at the limit is allowed


class FrontierExplorer(Explorer):
    """Robust accuracy against clean accuracy and against compute, with a budget for both.

    Parameters
    ----------
    rows : study, or list of dict
        A :class:`~sam_edu.experiments.study.Study`, or rows as :class:`~sam_edu.widgets.RhoEpsGrid` takes
        them (``eps[0]`` must be 0, clean accuracy), with
        ``cost``: gradient passes of the whole training, 1 for SGD. Rows of one method are joined by a line,
        but for those with ``variant``: they differ in more than a radius.
    eps : float
        Radius of the attack to begin with, one of the measured ones above 0.
    budget : float
        Largest cost that is allowed, in units of SGD's.
    loss : float
        Points of clean accuracy that one is ready to give up against SGD, 0 to 10.

    Raises
    ------
    WidgetValueError
        If a row is incomplete, has no positive cost, or SGD is missing.
    """

    _esm = bundle("frontier.js")
    _shown: ClassVar[tuple[str, ...]] = ("eps", "budget", "loss")

    rows: Any = traitlets.List().tag(sync=True)
    eps = Number(8 / 255, 0, 100)
    budget = Number(2, 0, 1000)
    loss = Number(1, 0, 10)

    def __init__(self, rows: Any, **kwargs: Any) -> None:
        rows, made_from = rows_of(rows)
        rows = [plain(row, i) for i, row in enumerate(rows)]
        if sum(row["method"] == "SGD" for row in rows) != 1:
            raise WidgetValueError("FrontierExplorer: rows must have exactly one SGD")
        radii = rows[0]["eps"]
        for i, row in enumerate(rows):
            if row["eps"] != radii or radii[0] != 0 or len(radii) < 2:
                raise WidgetValueError(f"rows[{i}]: eps must be 0 and then the same radii in every row")
            if not float(row.get("cost", 0)) > 0:
                raise WidgetValueError(f"rows[{i}] needs its cost, a number above 0 (SGD has 1)")
            row["cost"] = float(row["cost"])
            row.pop("points", None)  # not shown; keeps the page light
        start = {"eps": radii[len(radii) // 2]} | kwargs
        if start["eps"] not in radii[1:]:
            raise WidgetValueError(f"FrontierExplorer: eps must be one of {radii[1:]}, got {start['eps']!r}")
        super().__init__(rows=rows, **start)
        self.made_from = made_from

    def best(self, eps: float, budget: float, loss: float) -> str | None:
        """Label of the most robust affordable row at ``eps`` (the cheaper of two equals)."""
        k = self.rows[0]["eps"].index(eps)
        sgd = next(row for row in self.rows if row["method"] == "SGD")
        allowed = [
            row
            for row in self.rows
            if row["cost"] <= budget + SLACK and row["mean"][0] >= sgd["mean"][0] - loss / 100 - SLACK
        ]
        top = max(allowed, key=lambda row: (row["mean"][k], -row["cost"]), default=None)
        return None if top is None else str(top["label"])

    def draw_still(self, figure: Figure) -> None:
        k = self.rows[0]["eps"].index(self.eps)
        chosen = self.best(self.eps, self.budget, self.loss)
        trade, price = figure.subplots(1, 2, sharey=True)
        for row in self.rows:
            look = styles.look(row["method"]).still | {"linestyle": "none"}
            for axes, x in ((trade, row["mean"][0]), (price, row["cost"])):
                axes.plot(x, row["mean"][k], **look)
                if row["label"] == chosen or row["method"] == "SGD":
                    axes.annotate(
                        row["label"], (x, row["mean"][k]), (5, 5), textcoords="offset points", fontsize=8
                    )
        trade.set(xlabel="accuracy without attack", ylabel=f"accuracy at ε = {self.eps:.3g}")
        price.set(xlabel="gradient passes, SGD = 1", xscale="log")
        for axes in (trade, price):
            axes.spines[["top", "right"]].set_visible(False)
