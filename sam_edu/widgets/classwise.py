"""Who pays: the accuracy of each class under several ways of training, measured (chapter 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import traitlets

from sam_edu import styles
from sam_edu.styles import COLOUR
from sam_edu.widgets.base import Explorer, Number, Whole, WidgetValueError, bundle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sam_edu.experiments import Record
    from sam_edu.experiments.study import Study


class ClasswiseExplorer(Explorer):
    """Accuracy of each class with and without attack, beside SGD, and over the strength of training.

    Parameters
    ----------
    rows : list of dict
        One row per way of training: ``name``; ``kind`` (a name in :data:`sam_edu.styles.STYLES`; any
        other is drawn as a control); ``mean``, ``low`` and ``high``, each one list of class accuracies per
        radius (over seeds: mean and extremes). Exactly one row must be SGD. Rows of kind "SAM" and
        "AT" stand in the order of their strength.
    class_names : sequence of str
    eps_grid : sequence of float
        Radii of the attack, increasing; 0 means no attack.
    method, eps, chosen
        What to begin with: index of a row, a radius, index of a class.

    Raises
    ------
    WidgetValueError
        If shapes disagree, an accuracy is outside [0, 1] or not exactly one row is SGD.
    """

    _esm = bundle("classwise.js")
    _shown: ClassVar[tuple[str, ...]] = ("method", "eps", "chosen")

    rows: Any = traitlets.List().tag(sync=True)
    class_names: Any = traitlets.List(traitlets.Unicode()).tag(sync=True)
    eps_grid: Any = traitlets.List(traitlets.Float()).tag(sync=True)
    method = Whole(0, 0, 1000)
    eps = Number(0, 0, 100)
    chosen = Whole(0, 0, 1000)

    def __init__(
        self,
        rows: Sequence[Mapping[str, Any]],
        class_names: Sequence[str],
        eps_grid: Sequence[float],
        **kwargs: Any,
    ) -> None:
        grid, classes = [float(e) for e in eps_grid], [str(name) for name in class_names]
        if not grid or grid != sorted(set(grid)) or not classes:
            raise WidgetValueError(
                f"ClasswiseExplorer: needs class names and an increasing eps_grid, got {len(classes)} "
                f"classes, eps_grid {grid}"
            )
        plain = [_plain(row, i, len(grid), len(classes)) for i, row in enumerate(rows)]
        if sum(row["kind"] == "SGD" for row in plain) != 1:
            raise WidgetValueError("ClasswiseExplorer: exactly one row must be of kind 'SGD'")
        start = {"eps": grid[0]} | kwargs
        for name, many in (("method", len(plain)), ("chosen", len(classes))):
            if name in start and not 0 <= start[name] < many:
                raise WidgetValueError(
                    f"ClasswiseExplorer: {name} must be from 0 to {many - 1}, got {start[name]!r}"
                )
        super().__init__(rows=plain, class_names=classes, eps_grid=grid, **start)

    @classmethod
    def of_study(cls, study: Study, **kwargs: Any) -> ClasswiseExplorer:
        """Make the figure from a study whose data set has named classes.

        Raises
        ------
        WidgetValueError
            If the study has not exactly one row of plain SGD.
        """
        kinds = {row.label: row.kind for row in study}
        made = cls.from_records(study.groups, kinds, study.classes, **kwargs)
        made.made_from = study.sources
        return made

    @classmethod
    def from_records(
        cls,
        groups: Mapping[str, Sequence[Record]],
        kinds: Mapping[str, str],
        class_names: Sequence[str],
        **kwargs: Any,
    ) -> ClasswiseExplorer:
        """Make the figure from run records, one group of seeds per label, attacked in l-infinity.

        Raises
        ------
        WidgetValueError
            If a run was not attacked, or at other radii than the first one.
        """
        rows, radii = [], None
        for label, records in groups.items():
            found = [None if r.linf is None else [entry.eps for entry in r.linf.attacked] for r in records]
            radii = found[0] if radii is None else radii
            if radii is None or any(some != radii for some in found):
                raise WidgetValueError(f"ClasswiseExplorer: {label!r} was attacked at {found}, not {radii}")
            values = np.array(
                [
                    [r.linf.clean_per_class, *(entry.per_class for entry in r.linf.attacked)]
                    for r in records
                    if r.linf is not None
                ]
            )
            rows.append({"name": label, "kind": kinds[label], "mean": values.mean(0), "low": values.min(0),
                         "high": values.max(0)})  # fmt: skip
        return cls(rows, class_names, [0.0, *(radii or [])], **kwargs)

    def draw_still(self, figure: Figure) -> None:
        axes = figure.subplots()
        k = int(np.abs(np.array(self.eps_grid) - self.eps).argmin())
        base = next(row for row in self.rows if row["kind"] == "SGD")
        row = self.rows[self.method]
        axes.plot(self.class_names, base["mean"][k], "o", color=COLOUR["SGD"], mfc="none", label="SGD")
        axes.plot(
            self.class_names, row["mean"][k], "s", color=styles.look(row["kind"]).colour, label=row["name"]
        )
        axes.set(
            ylim=(0, 1.02), ylabel="accuracy", title=f"accuracy by class, attack ε = {self.eps_grid[k]:.3g}"
        )
        axes.tick_params(axis="x", labelrotation=30, labelsize=7)
        axes.legend(fontsize=7, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)


def _plain(row: Mapping[str, Any], i: int, radii: int, classes: int) -> dict[str, Any]:
    """The row with plain floats, rounded to what can be seen (it travels as JSON), checked."""
    missing = [key for key in ("name", "kind", "mean", "low", "high") if key not in row]
    if missing:
        raise WidgetValueError(f"rows[{i}] needs {missing[0]!r}; it has {', '.join(row)}")
    kind = str(row["kind"])
    plain: dict[str, Any] = {"name": str(row["name"]), "kind": kind, "style": styles.look(kind).live}
    for key in ("mean", "low", "high"):
        values = np.asarray(row[key], dtype=float)
        if values.shape != (radii, classes) or not ((values >= 0) & (values <= 1)).all():
            raise WidgetValueError(
                f"rows[{i}]: {key} must hold {radii} lists of {classes} accuracies in [0, 1], "
                f"got shape {values.shape}"
            )
        plain[key] = np.round(values, 4).tolist()
    return plain
