"""The measured grid of chapter 12: SAM's radius against the attack's, beside all controls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from sam_edu import styles
from sam_edu._text import pixels
from sam_edu.widgets.base import Explorer, Number, WidgetValueError, bundle, rows_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class RhoEpsGrid(Explorer):
    """Measured robust accuracy; the sliders step through measured values only.

    Parameters
    ----------
    rows : study, or list of dict
        A :class:`~sam_edu.experiments.study.Study`, or one row per trained method, with ``method`` (a name in
        :data:`sam_edu.styles.STYLES`; any other is a control), ``eps`` (attack radii, the same in every
        row), ``mean``, ``low`` and ``high`` (accuracies in [0, 1], one per radius), and optionally
        ``points`` (the seeds' values per radius), ``seeds`` (their numbers, by which differences are paired),
        ``rho``, ``train_eps``, ``label``. One row must be SGD,
        at least one SAM with a ``rho``.
    rho, eps : float
        The measured pair to begin with.

    Raises
    ------
    WidgetValueError
        If a row is incomplete, accuracies lie outside [0, 1] or the radii differ between rows.
    """

    _esm = bundle("rho_eps_grid.js")
    _shown: ClassVar[tuple[str, ...]] = ("rho", "eps")

    rows: Any = traitlets.List().tag(sync=True)
    rho = Number(0.2, 0, 100)
    eps = Number(0.1, 0, 100)

    def __init__(self, rows: Any, **kwargs: Any) -> None:
        rows, made_from = rows_of(rows)
        rows = [plain(row, i) for i, row in enumerate(rows)]
        eps = rows[0]["eps"] if rows else []
        for i, row in enumerate(rows):
            if row["eps"] != eps:
                raise WidgetValueError(f"rows[{i}]: eps must be {eps} as in rows[0]")
        radii = sorted(row["rho"] for row in rows if row["method"] == "SAM")
        if not radii or sum(row["method"] == "SGD" for row in rows) != 1:
            raise WidgetValueError("rows: exactly one row must be SGD and at least one SAM")
        start = {"rho": radii[len(radii) // 2], "eps": eps[len(eps) // 2]} | kwargs
        for name, measured in (("rho", radii), ("eps", eps)):
            if start[name] not in measured:
                raise WidgetValueError(
                    f"RhoEpsGrid: {name} must be one of the measured {measured}, got {start[name]!r}"
                )
        super().__init__(rows=rows, **start)
        self.made_from = made_from

    def draw_still(self, figure: Figure) -> None:
        axes = figure.subplots()
        for row in self.rows:
            if row["method"] == "SAM" and row["rho"] != self.rho:
                continue
            look = styles.look(row["method"]).still | {"marker": "."}
            axes.plot(row["eps"], row["mean"], **look, label=row["label"])
        axes.axvline(self.eps, color="black", lw=0.8, ls=":")
        axes.set(xlabel="attack radius ε", ylabel="robust accuracy", ylim=(0, 1))
        figure.legend(loc="outside right upper", fontsize=6, frameon=False, labelspacing=0.25)  # many rows
        axes.spines[["top", "right"]].set_visible(False)


def plain(row: dict[str, Any], i: int) -> dict[str, Any]:
    """The row with plain floats (it travels as JSON), checked."""
    missing = [key for key in ("method", "eps", "mean", "low", "high") if key not in row]
    if missing:
        raise WidgetValueError(f"rows[{i}] needs {missing[0]!r}; it has {', '.join(row)}")
    row = dict(row)
    row["eps"] = [float(value) for value in row["eps"]]
    if row["eps"] != sorted(set(row["eps"])) or not row["eps"]:
        raise WidgetValueError(f"rows[{i}]: eps must increase, got {row['eps']}")
    for key in ("mean", "low", "high"):
        row[key] = [float(value) for value in row[key]]
        if len(row[key]) != len(row["eps"]) or not all(0 <= v <= 1 for v in row[key]):
            raise WidgetValueError(
                f"rows[{i}]: {key} must hold one accuracy in [0, 1] per eps, got {row[key]}"
            )
    if row.get("points") is not None:
        row["points"] = [[float(value) for value in seeds] for seeds in row["points"]]
        if len(row["points"]) != len(row["eps"]):
            raise WidgetValueError(f"rows[{i}]: points must hold one list of seeds per eps")
    if row.get("seeds") is not None:
        row["seeds"] = [int(seed) for seed in row["seeds"]]
        if any(len(values) != len(row["seeds"]) for values in row.get("points") or [[]]):
            raise WidgetValueError(f"rows[{i}]: points must hold a value of each of the seeds {row['seeds']}")
    for key in ("rho", "train_eps"):
        if row.get(key) is not None:
            row[key] = float(row[key])
    if row["method"] == "SAM" and row.get("rho") is None:
        raise WidgetValueError(f"rows[{i}] is SAM and needs its 'rho'")
    row["label"] = str(row.get("label") or _label(row))
    row["style"] = styles.look(row["method"]).live
    return row


def _label(row: dict[str, Any]) -> str:
    radii = (("ρ", row.get("rho")), ("ε", row.get("train_eps")))
    return " ".join([str(row["method"]), *(f"{sign} = {pixels(value)}" for sign, value in radii if value)])
