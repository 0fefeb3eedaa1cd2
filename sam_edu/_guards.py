"""What must hold around an attack: the model in eval mode and given back as it was, inputs in their box."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Model = Callable[[Tensor], Tensor]
Clip = tuple[float, float] | None


@contextmanager
def attack_mode(model: Model) -> Iterator[None]:
    """Eval mode with gradients enabled; every submodule gets its own mode back, also on an error."""
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    training = [m for m in modules if m.training]
    if torch.is_inference_mode_enabled():
        raise RuntimeError("an attack needs gradients: call it outside torch.inference_mode()")
    try:
        for m in training:
            m.training = False
        with torch.enable_grad():
            yield
    finally:
        for m in training:
            m.training = True


def check_inputs(x: Tensor, y: Tensor, clip: Clip = (0.0, 1.0)) -> None:
    """Raise with one clear line unless x is a finite batch inside ``clip`` that fits y."""
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        raise TypeError(
            f"x and y must be torch tensors, got {type(x).__name__} and {type(y).__name__}; "
            "torch.as_tensor makes them from arrays and lists"
        )
    if not x.is_floating_point():
        raise ValueError(f"x must be a floating-point tensor, got {x.dtype}; divide images by 255")
    if x.dim() < 2 or y.shape != (len(x),) or y.is_floating_point():
        raise ValueError(
            f"x must have shape (n, ...) and y shape (n,) with whole-number classes, "
            f"got {tuple(x.shape)} and {tuple(y.shape)} of {y.dtype}"
        )
    if len(x) == 0:
        return
    low, high = (value.item() for value in torch.aminmax(x.detach()))
    if not (abs(low) < float("inf") and abs(high) < float("inf")):  # false for NaN as well
        raise ValueError("x contains NaN or infinity; look at the data before attacking it")
    if clip is not None and (low < clip[0] - 1e-5 or high > clip[1] + 1e-5):
        raise ValueError(
            f"x must lie in [{clip[0]:g}, {clip[1]:g}], got [{low:.3g}, {high:.3g}]; put the "
            "normalisation into the model (models.Normalized), or pass clip=None for plain features"
        )
