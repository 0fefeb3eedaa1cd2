"""Norm balls around a batch of inputs: start, step and projection of projected gradient descent."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor


class Ball:
    """The points within ``eps`` of ``centre`` (n, ...) in l-infinity or l2, cut with the box ``clip``.

    Distances are per sample. For l-infinity the ball and the box are one interval per coordinate, worked
    out once, so that a step needs one clamp.
    """

    def __init__(self, norm: str, centre: Tensor, eps: float, clip: tuple[float, float] | None) -> None:
        self.norm, self.centre, self.eps, self.clip = norm, centre, eps, clip
        if norm == "linf":
            exact = centre if centre.device.type == "mps" else centre.double()  # mps has no float64
            self.low, self.high = _bound(centre, exact, -eps), _bound(centre, exact, eps)
            if clip is not None:
                self.low.clamp_(min=clip[0])
                self.high.clamp_(max=clip[1])

    def __getitem__(self, keep: Tensor) -> Ball:
        """The balls of the samples that ``keep`` selects."""
        part = Ball.__new__(Ball)
        part.__dict__.update(self.__dict__)
        part.centre = self.centre[keep]
        if self.norm == "linf":
            part.low, part.high = self.low[keep], self.high[keep]
        return part

    def random_point(self, generator: torch.Generator) -> Tensor:
        """Uniform in the ball, then clipped to the box."""
        shape = self.centre.shape
        like: dict[str, Any] = {"device": self.centre.device, "dtype": self.centre.dtype}
        if self.norm == "linf":
            noise = torch.rand(shape, generator=generator, **like)
            start = noise.mul_(2).sub_(1).mul_(self.eps).add_(self.centre)
            return start.clamp_(self.low, self.high)
        direction = torch.randn(shape, generator=generator, **like)
        radius = torch.rand(len(self.centre), generator=generator, **like)
        radius = self.eps * radius ** (1 / self.centre[0].numel())
        return self.project(self.centre + direction * _per_sample(radius / _norms(direction), shape))

    def step(self, x: Tensor, gradient: Tensor, size: float) -> Tensor:
        """Go ``size`` along the steepest ascent of the norm, then project."""
        if self.norm == "linf":
            return torch.add(x, gradient.sign(), alpha=size).clamp_(self.low, self.high)
        return self.project(x + size * _unit(gradient).to(x.dtype))

    def project(self, x: Tensor) -> Tensor:
        """First onto the ball, then onto the box: the centre is in the box, so clipping cannot leave it."""
        if self.norm == "linf":
            return torch.clamp(x, self.low, self.high)
        delta = x - self.centre
        shrink = (self.eps * (1 - 1e-6) / _norms(delta)).clamp(max=1)
        delta = delta * _per_sample(shrink, delta.shape)
        x = self.centre + delta
        # The sum is rounded: where that led away from the centre, take the number before it.
        x = torch.where((x - self.centre).abs() > delta.abs(), torch.nextafter(x, self.centre), x)
        return x if self.clip is None else x.clamp_(*self.clip)


def _bound(centre: Tensor, exact: Tensor, offset: float) -> Tensor:
    """centre + offset, rounded towards the centre, so that it is never further away than ``offset``."""
    bound = centre + _near(offset, centre.dtype)
    wide = (bound.to(exact.dtype) - exact).abs_() > abs(offset)
    return torch.where(wide, torch.nextafter(bound, centre), bound)


@cache
def _near(offset: float, dtype: torch.dtype) -> float:
    """The number of this type next to the offset, not beyond it: 0.1 in float32 is a little more than 0.1."""
    near = torch.tensor(offset, dtype=dtype)
    if abs(near.item()) > abs(offset):
        near = torch.nextafter(near, torch.zeros_like(near))
    return near.item()


def _unit(gradient: Tensor) -> Tensor:
    """The gradient of each sample over its l2 norm, however small or large; entries that are NaN count as 0.

    The squares are summed in float64: in float32 those of numbers below 1e-23 vanish, and a floor under the
    norm that is not relative to the smallest number would slow down models of small logits.
    """
    gradient = torch.nan_to_num(gradient)
    wide = None if gradient.device.type == "mps" else torch.float64  # mps has no float64
    norms = torch.linalg.vector_norm(gradient.flatten(1), dim=1, dtype=wide)
    tiny = torch.finfo(torch.float32 if gradient.element_size() < 8 else torch.float64).tiny
    inverse = (1 / norms.clamp_min(tiny)).to(torch.promote_types(gradient.dtype, torch.float32))
    return gradient * _per_sample(inverse, gradient.shape)


def unit_peak(gradient: Tensor) -> Tensor:
    """The gradient of each sample times a power of two, so that its largest entry is near 1 (0 stays 0)."""
    tiny = torch.finfo(gradient.dtype).tiny
    peak = gradient.flatten(1).abs().amax(1).clamp(tiny, 1 / tiny)
    return gradient * _per_sample(torch.exp2(-peak.log2().floor()), gradient.shape)


def _norms(t: Tensor) -> Tensor:
    """l2 norm of each sample, kept away from 0 by the smallest number of its kind."""
    norms = torch.linalg.vector_norm(t.flatten(1), dim=1)
    return norms.clamp_min(torch.finfo(norms.dtype).tiny)


def _per_sample(values: Tensor, shape: torch.Size) -> Tensor:
    return values.view(-1, *[1] * (len(shape) - 1))
