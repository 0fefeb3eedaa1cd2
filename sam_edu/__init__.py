"""sam_edu: the library behind the book *Flat and Robust*.

One question runs through it: can flatness in weight space (SAM, radius ``rho``) buy robustness in
input space (adversarial attacks, radius ``eps``)?

Submodules load when they are first used, so that ``import sam_edu`` costs next to nothing:

``toy``         the linear model of robust and non-robust features, solved in closed form
``objectives``  what perturbs the weights: ERM, SAM and its family, and an optimizer that uses them
``attacks``     what perturbs the inputs: FGSM, PGD
``training``    the one training loop (``schedules``: its learning rates)
``evaluation``  a ladder of attacks, and the honest minimum over it (``measured``: what it returns)
``certify``     proofs of robustness: what no attack can break
``features``    how much a model relies on non-robust features of images
``sharpness``   the worst loss in a ball, the top Hessian eigenvalue
``methods``     one entry per way of training, and its look in every figure (``styles``)
``traps``       mistakes that are made with SAM, each beside its right way; ``observe`` looks at a step
``experiments`` runs that are saved, resumed and compared; ``records`` of them come with the package
``data``, ``models``, ``fast_net``, ``augmentation``, ``plots``, ``widgets``, ``exercises``,
``book`` (for the chapters), ``colab`` (what Colab lacks)
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = [
    "attacks",
    "augmentation",
    "book",
    "certify",
    "colab",
    "data",
    "evaluation",
    "exercises",
    "experiments",
    "fast_net",
    "features",
    "measured",
    "methods",
    "models",
    "objectives",
    "observe",
    "plots",
    "schedules",
    "sharpness",
    "styles",
    "toy",
    "training",
    "traps",
    "widgets",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "__version__":
        return _version()
    raise AttributeError(f"module 'sam_edu' has no attribute {name!r}; it has {', '.join(__all__)}")


def _version() -> str:
    """The version in pyproject.toml, as it was installed; "not installed" for a mere folder on the path."""
    from importlib import metadata

    try:
        return metadata.version("sam-edu")
    except metadata.PackageNotFoundError:
        return "not installed"


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
