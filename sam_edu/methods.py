"""Every way of training that the book knows, one entry each.

An entry says how the method is made, what it must be given, what it costs and how it looks. Runs, protocols,
figures, benchmarks, tests and chapter 3 loop over these entries: a new member of SAM's family is its
objective and one entry here.

Examples
--------
>>> import torch
>>> METHODS["fisher-sam"].name, METHODS["fisher-sam"].needs, METHODS["fisher-sam"].passes
('FisherSAM', ('rho',), 2)
>>> METHODS["asam"].build(torch.nn.Linear(2, 1), rho=0.5).rho
0.5
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sam_edu import styles

if TYPE_CHECKING:  # figures list the methods, and are drawn where torch is not installed
    from torch import nn

    from sam_edu.objectives import ERM

BETA = 0.6  # the share of ESAM's tensors that climb


@dataclass(frozen=True)
class Method:
    """One way of training.

    Attributes
    ----------
    key : str
        As settings and the command line name it: ``RunConfig(method="fisher-sam")``.
    name : str
        As readers see it.
    objective : str
        Name of its objective in :mod:`sam_edu.objectives`.
    needs : tuple of str
        Which of the radii ``rho``, ``eps``, ``gamma`` it must be given; the others are 0. ``eps`` is that
        of the attack on the inputs; each other one goes to ``make``.
    passes : float
        Forward-backward passes per step and image, without those of an attack on the inputs.
    family : bool
        Whether it is a member of SAM's family, with a radius ``rho`` and otherwise its authors' settings.
    unit : float
        Size of its ``rho`` relative to SAM's, where both do about the same.
    sees_batch : bool
        Whether it looks at parts of the batch, and must be given a :class:`~sam_edu.objectives.BatchLoss`.
    averages : bool
        Whether the result is a mean of weights along the way.
    seeded : bool
        Whether the objective draws random numbers that follow the run's seed.
    fixed : mapping
        Further arguments of ``make`` in all runs.
    look : str
        Name of its style in :data:`sam_edu.styles.STYLES`.
    looks_in : str
        Where it looks for a worse point, completing "It looks in ..."; empty where figures do not draw that.
    """

    key: str
    name: str
    objective: str
    needs: tuple[str, ...] = ()
    passes: float = 2
    family: bool = False
    unit: float = 1
    sees_batch: bool = False
    averages: bool = False
    seeded: bool = False
    fixed: Mapping[str, Any] = field(default_factory=dict)
    look: str = "control"
    looks_in: str = ""

    @property
    def style(self) -> styles.Style:
        """Colour, line and marker in figures."""
        return styles.STYLES[self.look]

    @property
    def make(self) -> Callable[..., ERM]:
        """The constructor of its objective: ``make(model, radius, ...)``."""
        return getattr(importlib.import_module("sam_edu.objectives"), self.objective)

    @property
    def attacks(self) -> bool:
        """Whether it trains on attacked inputs."""
        return "eps" in self.needs

    @property
    def perturbs(self) -> bool:
        """Whether it takes gradients at perturbed weights."""
        return self.objective != "ERM"

    @property
    def syncs(self) -> bool:
        """Whether several processes may agree on one perturbation (``sync``)."""
        return "sync" in inspect.signature(self.make).parameters

    def build(self, model: nn.Module, sync: bool = False, seed: int = 0, **radii: float) -> ERM:
        """The objective for a model; of ``radii`` it takes the ones that it needs.

        Raises
        ------
        TypeError
            If a radius is missing, or has another name.
        """
        wanted = [name for name in self.needs if name != "eps"]
        unknown = sorted(set(radii) - {"rho", "eps", "gamma"})
        missing = [name for name in wanted if name not in radii]
        if unknown or missing:
            raise TypeError(
                f"{self.name} needs {', '.join(wanted) or 'no radius'}, got {', '.join(radii) or 'none'}"
            )
        more = dict(self.fixed)
        if sync and self.syncs:
            more["sync"] = True
        if self.seeded:
            more["seed"] = seed
        return self.make(model, **{name: radii[name] for name in wanted}, **more)


def _family(key: str, name: str, objective: str, looks_in: str, **more: Any) -> Method:
    return Method(key, name, objective, needs=("rho",), family=True, looks_in=looks_in, **more)


_ENTRIES = (
    Method("sgd", "SGD", "ERM", passes=1, look="SGD"),
    Method("swa", "SWA", "ERM", passes=1, averages=True),
    # walks over parts of the batch, each once; its gradient contains gamma
    Method("entropy-sgd", "Entropy-SGD", "EntropySGD", needs=("gamma",), passes=1, sees_batch=True,
           seeded=True, fixed={"steps": 5, "lr": 0.1}),
    _family("sam", "SAM", "SAM", "a ball, the same in all directions", look="SAM"),
    _family("asam", "ASAM", "ASAM", "an ellipse that is wide where the weight is large", unit=10,
            look="ASAM"),
    # beyond SGD's pass 1.5 forward and 0.5 backward passes; a backward pass costs about two forward ones
    _family("esam", "ESAM", "ESAM",
            f"one tensor drawn at random (here the first), and a radius of ρ/β = ρ/{BETA}", passes=1 + 5 / 6,
            sees_batch=True),
    _family("looksam", "LookSAM", "LookSAM",
            "SAM’s ball, but only at every fifth step; in between SAM’s correction is used again",
            passes=1.2),
    _family("sparse-sam", "SparseSAM", "SparseSAM",
            "the ball, cut down to half of the weights: those with the larger slope", sees_batch=True),
    _family("fisher-sam", "FisherSAM", "FisherSAM",
            "an ellipse that is short where the slope is large"),
    _family("friendly-sam", "FriendlySAM", "FriendlySAM",
            "SAM’s ball, along what this gradient has beyond the mean of the earlier ones (here (½, 0))"),
    Method("at", "AT", "ERM", needs=("eps",), passes=1, look="AT"),
    Method("sam+at", "SAM+AT", "SAM", needs=("rho", "eps"), look="SAM+AT"),
    Method("awp", "AWP", "AWP", needs=("eps", "gamma"), look="AWP",
           looks_in="a box: each layer may move by the share ρ of its own size"),
)  # fmt: skip

#: key -> method, in the order in which the book lists them
METHODS: dict[str, Method] = {method.key: method for method in _ENTRIES}


def family() -> list[Method]:
    """SAM and its family."""
    return [method for method in METHODS.values() if method.family]


def by_objective() -> list[Method]:
    """One method for each objective: the first that is made of it."""
    made_of = [method.objective for method in METHODS.values()]
    return [method for i, method in enumerate(METHODS.values()) if method.objective not in made_of[:i]]


def drawn() -> list[Method]:
    """Those whose search for a worse point can be drawn (:class:`sam_edu.widgets.FamilyExplorer`)."""
    return [method for method in METHODS.values() if method.looks_in]
