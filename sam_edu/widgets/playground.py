"""Training before one's eyes: SGD, SAM, ASAM, AT and SAM+AT, with what an attack leaves of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

import traitlets

from sam_edu import methods, styles
from sam_edu.widgets import payload
from sam_edu.widgets.base import HERE, Choice, Explorer, Number, Whole, WidgetValueError, bundle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sam_edu.widgets.payload import Arrays

METHODS = ("sgd", "sam", "asam", "at", "both")
PLANES = {
    "features": "robust and fragile feature",
    "moons": "two moons",
    "rings": "rings",
    "spirals": "spirals",
}
DIGITS = "digits"
STORED_RHO = 0.4  # of the stored runs with SAM, the one that a still picture shows


class Playground(Explorer):
    """A network that trains in the page, is attacked after every epoch, and shows what became of it.

    All computing happens in the browser, in a thread of its own (``playground_worker.js``), with formulas
    that agree with this library's in float64, step for step. Random numbers come from mulberry32, one stream
    for each purpose, so that one seed gives every method the same initial weights and the same batches.
    Training: SGD with momentum 0.9 at a constant learning rate; training attacks are PGD with 3 steps of
    eps/2 from a random start, test attacks PGD with 7 steps of eps/4 on the first 250 test images.

    Parameters
    ----------
    data : str or tuple of arrays
        "digits" (scikit-learn, 1297 to train, 500 to test), or a set in the plane: "features", "moons",
        "rings", "spirals". Or your own: (train_x, train_y, test_x, test_y), samples as (n, ...) and labels
        0, 1, ... as (n,). Two features are drawn as a plane, a square number as images.
    box : (low, high) or None
        Of your own data: the interval of valid inputs, to which attacks are confined.
    small : bool
        Fewer controls and sets in the plane only.
    method : {"sgd", "sam", "asam", "at", "both"}
        "both" is SAM+AT.
    rho : float
        Radius in weight space of SAM (0 to 3), for ASAM relative to the weights.
    eps, attack : float
        l-infinity radius of the training attack and of the test attack, 0 to 0.5, in the units of the inputs.
    decay, rate, epochs, seed
        Weight decay, learning rate, epochs (1 to 100) and seed (0 to 9).

    Attributes
    ----------
    runs : list of dict
        The runs that the reader has finished: settings, and in "points" one dictionary per epoch with the
        accuracies "clean", "robust", "train", "trainRobust", the gradient "passes" so far, the "loss" and,
        in "along", the loss along the climb at distances 0, 0.1, ..., 0.5.

    Raises
    ------
    WidgetValueError
        If a setting is out of range or the arrays do not fit each other.

    Examples
    --------
    >>> figure = Playground("moons", method="sam", rho=0.2)
    >>> figure.data, figure.rho, figure.runs
    ('moons', 0.2, [])
    """

    _esm = bundle("playground.js")
    _shown: ClassVar[tuple[str, ...]] = (
        "data", "method", "rho", "eps", "attack", "decay", "rate", "epochs", "seed",
    )  # fmt: skip

    data: Any = traitlets.Unicode("digits").tag(sync=True)
    method = Choice("sgd", METHODS)
    rho = Number(0.2, 0, 3)
    eps = Number(0.1, 0, 0.5)
    attack = Number(0.1, 0, 0.5)
    decay = Number(5e-4, 0, 0.05)
    rate = Number(0.05, 0.005, 1)
    epochs = Whole(20, 1, 100)
    seed = Whole(0, 0, 9)
    small = traitlets.Bool(False).tag(sync=True)
    runs: Any = traitlets.List().tag(sync=True)
    classes: Any = traitlets.List(traitlets.Unicode()).tag(sync=True)
    about: Any = traitlets.Dict().tag(sync=True)
    packed: Any = traitlets.Bytes().tag(sync=True)
    worker = traitlets.Unicode().tag(sync=True)
    names: Any = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        data: str | Arrays | None = None,
        *,
        box: tuple[float, float] | None = (0.0, 1.0),
        small: bool = False,
        **kwargs: Any,
    ) -> None:
        sets: dict[str, dict[str, Any]] = {
            name: {"label": label, **payload.PLANE_NET} for name, label in PLANES.items()
        }
        packed, classes = b"", ["0", "1"]
        if data is None:
            data = "features" if small else DIGITS
        if not isinstance(data, str):
            packed, own, classes = payload.packed(data, box)
            sets, data = {"own": {"label": "your data", **own}}, "own"
        elif not small:
            packed, about, classes = payload.packed(payload.digits(), (0.0, 1.0))
            sets = {DIGITS: {"label": "digits, 8×8 pixels", **about}, **sets}
        if data not in sets:
            raise WidgetValueError(
                f"Playground: data must be one of {', '.join(sets)}, or four arrays, got {data!r}"
            )
        super().__init__(
            data=data,
            small=small,
            about=sets,
            packed=packed,
            classes=classes,
            worker=bundle("playground_worker.js"),
            names={key: _method(key).name for key in METHODS},
            **kwargs,
        )

    @staticmethod
    def stored_runs() -> dict[str, dict[str, Any]]:
        """Runs that the figure has measured before: from "data-method/seed" to settings and points.

        Points are those of the attribute ``runs``, without the losses; "rise" is the rise of the loss within
        0.2. ``book/tools/author/playground_runs.py`` lets the figure make them anew.

        Examples
        --------
        >>> curve = Playground.stored_runs()["digits-sgd/0"]["points"]
        >>> len(curve), sorted(curve[0])
        (21, ['clean', 'passes', 'rise', 'robust', 'trainRobust'])
        """
        runs: dict[str, dict[str, Any]] = json.loads(
            (HERE / "playground_runs.json").read_text(encoding="utf-8")
        )
        return runs

    def _measured_before(self) -> list[dict[str, Any]]:
        """Stored runs with this figure's data, test, length and seed: SGD, SAM with its usual radius, AT."""
        asked = {name: getattr(self, name) for name in ("data", "attack", "epochs", "decay", "rate", "seed")}
        usual = {name: self.trait_defaults(name) for name in asked} | {"data": DIGITS}
        stored = [run["settings"] | {"points": run["points"]} for run in self.stored_runs().values()]
        return [
            run
            for run in stored
            if run["method"] in ("sgd", "at") or run.get("rho") == STORED_RHO
            if {name: run.get(name, usual[name]) for name in asked} == asked
        ]

    def draw_still(self, figure: Figure) -> None:
        """The curves of the runs so far; before the first one, those that it has measured before, if any."""
        axes = figure.subplots()
        runs = self.runs or self._measured_before()
        for run in runs:
            name = _method(run["method"]).name
            robust = [100 * point["robust"] for point in run["points"]]
            look = styles.look(name).still | {"marker": ""}
            axes.plot(robust, **look, label=f"{run.get('letter', '')} {name}{_radii(run)}".strip())
        if not self.runs:
            axes.set_title(f"The live figure trains on {self.about[self.data]['label']}", fontsize=9)
        if runs:
            axes.legend(frameon=False, fontsize=8)
        axes.set(xlabel="epochs", ylabel=f"right under attack (ε = {self.attack:g}), %", ylim=(0, 100))
        axes.spines[["top", "right"]].set_visible(False)


def _method(key: str) -> methods.Method:
    """The method that the figure's key means."""
    return methods.METHODS["sam+at" if key == "both" else key]


def _radii(run: dict[str, Any]) -> str:
    """The radii that the method of a run uses, as far as they are known."""
    used = _method(run["method"]).needs
    signs = {"rho": "ρ", "eps": "ε"}
    return "".join(f", {signs[name]} = {run[name]:g}" for name in used if name in run)
