"""Where one stops on the ladder of attacks decides who looks robust: measured by chapter 11."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from sam_edu import styles
from sam_edu.widgets.base import Explorer, Number, Whole, WidgetValueError, bundle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sam_edu.evaluation import EvaluationRecord


class LadderExplorer(Explorer):
    """Accuracy of several networks after each rung of a ladder of attacks, with Wilson intervals.

    The intervals are computed live for the number of images that the reader chooses, at the measured
    shares; the still and the sentence say which n was measured.

    Parameters
    ----------
    rows : list of dict
        One row per network: ``name``; ``kind`` (a name in :data:`sam_edu.styles.STYLES`; any other is
        drawn as a control); ``clean``, the accuracy without attack; ``after``, one list per radius with
        the accuracies after each rung, which must not rise along a list.
    rungs : sequence of str
        Labels of the attacks, in the order in which they ran.
    eps_grid : sequence of float
        Radii, increasing.
    measured_n : int
        Number of images behind the accuracies.
    model, rung, eps, n
        What to begin with: index of the network, index of the last rung climbed, a radius of the grid,
        number of images for the intervals (50 to 10,000).

    Raises
    ------
    WidgetValueError
        If shapes disagree, an accuracy is outside [0, 1] or rises on the ladder.
    """

    _esm = bundle("ladder.js")
    _shown: ClassVar[tuple[str, ...]] = ("model", "rung", "eps", "n")

    rows: Any = traitlets.List().tag(sync=True)
    rungs: Any = traitlets.List(traitlets.Unicode()).tag(sync=True)
    eps_grid: Any = traitlets.List(traitlets.Float()).tag(sync=True)
    measured_n = Whole(100, 1, 10_000_000)
    model = Whole(0, 0, 1000)
    rung = Whole(0, 0, 1000)
    eps = Number(0, 0, 100)
    n = Whole(100, 1, 10_000_000)

    def __init__(
        self,
        rows: Sequence[Mapping[str, Any]],
        rungs: Sequence[str],
        eps_grid: Sequence[float],
        measured_n: int,
        **kwargs: Any,
    ) -> None:
        labels, grid = [str(label) for label in rungs], [float(e) for e in eps_grid]
        if not rows or not labels or not grid or grid != sorted(set(grid)):
            raise WidgetValueError(
                f"LadderExplorer: needs rows, rungs and an increasing eps_grid, got {len(rows)} rows, "
                f"{len(labels)} rungs, eps_grid {grid}"
            )
        plain = [_plain(row, i, len(labels), len(grid)) for i, row in enumerate(rows)]
        start = {"eps": grid[len(grid) // 2], "n": measured_n} | kwargs
        for name, many in (("model", len(plain)), ("rung", len(labels))):
            if name in start and not 0 <= start[name] < many:
                raise WidgetValueError(
                    f"LadderExplorer: {name} must be from 0 to {many - 1}, got {start[name]!r}"
                )
        super().__init__(rows=plain, rungs=labels, eps_grid=grid, measured_n=measured_n, **start)

    @classmethod
    def from_records(
        cls, records: Mapping[str, EvaluationRecord], kinds: Mapping[str, str] | None = None, **kwargs: Any
    ) -> LadderExplorer:
        """Make the figure from evaluations that share ladder, radii and images.

        Parameters
        ----------
        records : mapping from the network's name to its EvaluationRecord
        kinds : mapping from names to styles, optional
            For names that are not themselves a style.

        Raises
        ------
        WidgetValueError
            If the records differ in rungs, radii or number of images.
        """
        shapes = {
            name: (record.n, tuple((at.eps, *(rung.label for rung in at.rungs)) for at in record.attacked))
            for name, record in records.items()
        }
        if len(set(shapes.values())) != 1 or not next(iter(shapes.values()))[1]:
            raise WidgetValueError(
                "LadderExplorer: the records must share images, radii and rungs, and have at least one "
                f"radius; got n = {sorted({shape[0] for shape in shapes.values()})}"
            )
        some = next(iter(records.values()))
        rows = [
            {"name": name, "kind": (kinds or {}).get(name, name), "clean": record.clean_accuracy,
             "after": [[rung.accuracy for rung in entry.rungs] for entry in record.attacked]}
            for name, record in records.items()
        ]  # fmt: skip
        rungs = [rung.label for rung in some.attacked[0].rungs]
        return cls(rows, rungs, [entry.eps for entry in some.attacked], some.n, **kwargs)

    def draw_still(self, figure: Figure) -> None:
        axes = figure.subplots()
        k = min(range(len(self.eps_grid)), key=lambda i: abs(self.eps_grid[i] - self.eps))
        names = ["no attack", *(_short(rung) for rung in self.rungs)]
        for i, row in enumerate(self.rows):
            axes.plot(
                names,
                [row["clean"], *row["after"][k]],
                marker=".",
                color=styles.look(row["kind"]).colour,
                linestyle="-" if i == self.model else ":",
                label=row["name"],
            )
        axes.axvline(self.rung + 1, color="black", lw=0.8, ls=":")
        axes.set(ylim=(0, 1.02), ylabel="accuracy", title=f"after each rung, ε = {self.eps_grid[k]:g}")
        axes.tick_params(axis="x", labelrotation=30, labelsize=7)
        axes.legend(fontsize=7, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)


def _short(label: str) -> str:
    return label.replace("AutoAttack ", "AA: ").partition(" (")[0]


def _plain(row: Mapping[str, Any], i: int, rungs: int, radii: int) -> dict[str, Any]:
    """The row with plain floats (it travels as JSON), checked."""
    missing = [key for key in ("name", "kind", "clean", "after") if key not in row]
    if missing:
        raise WidgetValueError(f"rows[{i}] needs {missing[0]!r}; it has {', '.join(row)}")
    after = [[float(value) for value in ladder] for ladder in row["after"]]
    if len(after) != radii or any(len(ladder) != rungs for ladder in after):
        raise WidgetValueError(
            f"rows[{i}]: after must hold {radii} lists of {rungs} accuracies, "
            f"got lengths {[len(ladder) for ladder in after]}"
        )
    clean = float(row["clean"])
    for ladder in after:
        descent = [clean, *ladder]
        if not all(0 <= value <= 1 for value in descent) or descent != sorted(descent, reverse=True):
            raise WidgetValueError(
                f"rows[{i}]: accuracies must lie in [0, 1] and not rise from rung to rung, got {descent}"
            )
    kind = str(row["kind"])
    return {"name": str(row["name"]), "kind": kind, "style": styles.look(kind).live, "clean": clean,
            "after": after}  # fmt: skip
