"""Whether torch computes products as float32 has them: on recent GPUs it may round their factors first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


def shortens(module: nn.Module) -> bool:
    """Whether torch may round the factors of this layer's products to 8 or 11 bits."""
    if not isinstance(module, nn.Linear | nn.Conv2d):
        return False
    device, kind = module.weight.device, "conv" if isinstance(module, nn.Conv2d) else "matmul"
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0):
        return False  # GPUs before Ampere have no such products
    place: Any = torch.backends.mkldnn
    if device.type == "cuda":
        place = torch.backends.cudnn if kind == "conv" else torch.backends.cuda
    setting = getattr(getattr(place, kind, None), "fp32_precision", None)
    if setting is not None:  # torch 2.9 and later
        return setting in ("tf32", "bf16")
    if device.type == "cuda" and kind == "conv":
        return torch.backends.cudnn.allow_tf32
    return torch.get_float32_matmul_precision() != "highest"


@contextmanager
def whole_float32() -> Iterator[None]:
    """Within it no product is shortened; what was set before is set again after it."""
    backends: Any = torch.backends
    places = (
        (backends.cudnn, "conv"),
        (backends.cuda, "matmul"),
        (backends.mkldnn, "conv"),
        (backends.mkldnn, "matmul"),
    )
    settings: list[Any] = [getattr(place, kind, None) for place, kind in places]
    settings = [setting for setting in settings if getattr(setting, "fp32_precision", None) is not None]
    before = [setting.fp32_precision for setting in settings]
    if not settings:  # torch before 2.9
        convolutions, products = backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    try:
        for setting in settings:
            setting.fp32_precision = "ieee"
        if not settings:
            backends.cudnn.allow_tf32 = False
            torch.set_float32_matmul_precision("highest")
        yield
    finally:
        for setting, old in zip(settings, before, strict=True):
            setting.fp32_precision = old
        if not settings:
            backends.cudnn.allow_tf32 = convolutions
            torch.set_float32_matmul_precision(products)
