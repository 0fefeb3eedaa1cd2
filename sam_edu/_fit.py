"""A model and its images in the one form that every rung can take, ours and other people's.

Foreign attacks want float32 images (n, channels, height, width) in contiguous memory, a Module with modes,
and gradients that are finite and not too small. Users bring half and double precision, channels_last,
tables and series, plain functions, frozen and exported modules. This is where the two meet.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sam_edu._balls import unit_peak
from sam_edu._border import nudged
from sam_edu._guards import check_logits


class Fitted(nn.Module):
    """``model`` as a Module of float32 images (n, channels, height, width).

    The model still gets its own shape, dtype and a copy that it may change in place. Its gradients are
    contiguous; entries that are not finite become 0 (NaN) or very large, and are counted in ``spoiled``.

    Attributes
    ----------
    inner : float
        How far from 0 and 1 gradients are taken at least. A ReLU or a clamp of the image has the slope 0 at
        the very border of its range, where black pixels and those of attacks lie; inwards it has another.
    spoiled : tuple of two floats, or None
        The worst share of images, and of their pixels, whose gradient was not finite in a backward pass.
    """

    def __init__(self, model: Callable[[Tensor], Any], x: Tensor, guarded: bool = True) -> None:
        super().__init__()
        self.guarded = guarded  # False: gradients are what the model says, for those who check them
        self._model = (model,)  # in a tuple: foreign attacks must not find it and change its mode
        self.shape, self.dtype = x.shape[1:], x.dtype
        self.place = nn.Parameter(x.new_empty(0), requires_grad=False)  # tells foreign attacks the device
        self.inner = 0.0
        self.spoiled: tuple[float, float] | None = None
        self.training = False

    def images(self, x: Tensor) -> Tensor:
        """The user's inputs as float32 images: dimensions are added in front, or joined into channels."""
        sizes = [1] * (3 - len(self.shape)) + list(self.shape)
        channels = math.prod(sizes[:-2])
        whole = x.detach().to(torch.float32).reshape(len(x), channels, *sizes[-2:]).contiguous()
        return whole.clamp(0, 1)  # what rounding has left outside

    def forward(self, images: Tensor) -> Tensor:
        # The way through one flat copy makes gradients contiguous, and inputs safe to change in place.
        flat = images.flatten(1).to(self.dtype, copy=True)
        if flat.requires_grad and self.guarded:
            flat.register_hook(self._finite)
        if flat.requires_grad and self.inner:
            flat = nudged(flat, (0.0, 1.0), self.inner)
        logits = check_logits(self._model[0](flat.view(-1, *self.shape)), len(images))
        if logits.dtype == torch.float64:  # float32 keeps differences between logits, not a common offset
            logits = logits - logits.detach().amax(1, keepdim=True)
        return logits.float()

    def _finite(self, gradient: Tensor) -> Tensor | None:
        if all(map(math.isfinite, torch.stack(torch.aminmax(gradient)).tolist())):
            return None
        bad = ~torch.isfinite(gradient).flatten(1)
        images = bad.any(1)
        shares = float(images.double().mean()), float(bad[images].double().mean())
        self.spoiled = max(self.spoiled or shares, shares)
        return torch.nan_to_num(gradient)


class Scaled(nn.Module):
    """A fitted model whose input gradients are, per image, between 1 and 2 at their largest entry.

    Foreign l2 attacks add 1e-12 to a norm before they divide by it. Positive factors per image change no
    direction, and powers of two change no digit. ``factor`` multiplies the logits, which changes no
    decision, but lets the cross-entropy see differences between them that are very small or very large.
    """

    def __init__(self, fitted: nn.Module, factor: float = 1.0) -> None:
        super().__init__()
        self.fitted, self.factor, self.training = fitted, factor, False

    def forward(self, images: Tensor) -> Tensor:
        if images.requires_grad:
            images = images.view_as(images)  # a hook on the caller's own tensor would stay there
            images.register_hook(unit_peak)
        logits: Tensor = self.fitted(images)
        return logits if self.factor == 1 else logits * self.factor


def by_content(images: Tensor, y: Tensor) -> Tensor:
    """Positions in an order that looks random and depends on images and labels, not on their places."""
    rows, labels = images.cpu().numpy(), y.cpu().numpy()
    keys = [
        hashlib.blake2b(row.tobytes() + label.tobytes(), digest_size=8).digest()
        for row, label in zip(rows, labels, strict=True)
    ]
    return torch.tensor(sorted(range(len(keys)), key=keys.__getitem__), device=y.device)
