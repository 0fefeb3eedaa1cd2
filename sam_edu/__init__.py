"""sam_edu: the library behind the book *Flat and Robust*.

One question runs through it: can flatness in weight space (SAM, radius ``rho``) buy robustness in
input space (adversarial attacks, radius ``eps``)?

Submodules load when they are first used, so that ``import sam_edu`` costs next to nothing:

``toy``         the linear model of robust and non-robust features, solved in closed form
``objectives``  what perturbs the weights: ERM, SAM
``attacks``     what perturbs the inputs: FGSM, PGD
``training``    the one training loop
``evaluation``  a ladder of attacks, and the honest minimum over it
``features``    how much a model relies on non-robust features of images
``sharpness``   the worst loss in a ball, the top Hessian eigenvalue
``data``, ``models``, ``experiments``, ``plots``, ``widgets``
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

__all__ = [
    "attacks",
    "data",
    "evaluation",
    "experiments",
    "features",
    "models",
    "objectives",
    "plots",
    "sharpness",
    "toy",
    "training",
    "widgets",
]


def __getattr__(name: str) -> Any:
    if name in __all__ or name == "book":
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module 'sam_edu' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
