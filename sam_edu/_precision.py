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
    setting = _settings().get(("cuda" if device.type == "cuda" else "cpu", kind))
    if setting is not None:
        return setting.fp32_precision in ("tf32", "bf16")
    if device.type == "cuda" and kind == "conv":
        return torch.backends.cudnn.allow_tf32
    return torch.get_float32_matmul_precision() != "highest"


def _settings() -> dict[tuple[str, str], Any]:
    """Torch's settings, by device and product; none before torch 2.9."""
    backends: Any = torch.backends
    found = {
        ("cuda", "conv"): getattr(backends.cudnn, "conv", None),
        ("cuda", "matmul"): getattr(backends.cuda, "matmul", None),
        ("cpu", "conv"): getattr(backends.mkldnn, "conv", None),
        ("cpu", "matmul"): getattr(backends.mkldnn, "matmul", None),
    }
    return {place: one for place, one in found.items() if getattr(one, "fp32_precision", None) is not None}


@contextmanager
def whole_float32() -> Iterator[None]:
    """Within it no product is shortened; what was set before is set again after it."""
    settings, cudnn = list(_settings().values()), torch.backends.cudnn
    before = [setting.fp32_precision for setting in settings]
    if not settings:
        convolutions, products = cudnn.allow_tf32, torch.get_float32_matmul_precision()
    try:
        for setting in settings:
            setting.fp32_precision = "ieee"
        if not settings:
            cudnn.allow_tf32 = False
            torch.set_float32_matmul_precision("highest")
        yield
    finally:
        for setting, old in zip(settings, before, strict=True):
            setting.fp32_precision = old
        if not settings:
            cudnn.allow_tf32 = convolutions
            torch.set_float32_matmul_precision(products)
