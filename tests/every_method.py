"""Every method of the book as a maker of objectives, for tests that hold for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sam_edu.methods import Method, by_objective
from sam_edu.objectives import ERM

Maker = Callable[..., ERM]


def makers(rho: float = 0.3, settings: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Maker]:
    """Name -> ``make(model, **more)``: the family with ``rho``, others with their ``settings`` (by key)."""

    def maker(method: Method) -> Maker:
        known = ({"rho": rho} if method.family else {}) | dict((settings or {}).get(method.key, {}))
        return lambda model, **more: method.make(model, **known, **more)

    return {method.name: maker(method) for method in by_objective()}


def perturbing() -> list[str]:
    """Those that take a gradient at perturbed weights."""
    return [method.name for method in by_objective() if method.perturbs]


def without_radius() -> dict[str, Maker]:
    """Those at radius 0, where each step is plain training's; Entropy-SGD walks on nevertheless."""
    whole = {"awp": {"gamma": 0.0}, "esam": {"gamma": 1.0}, "looksam": {"k": 1}}
    return {name: makers(0.0, whole)[name] for name in perturbing() if name != "Entropy-SGD"}


def content_with_a_closure() -> list[str]:
    """Those that perturb the weights, and to which ``lambda: loss`` is enough."""
    return [method.name for method in by_objective() if method.perturbs and not method.sees_batch]
