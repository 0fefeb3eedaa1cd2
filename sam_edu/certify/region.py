"""The images that an attacker may choose from: a norm ball around each image, cut with the pixel box."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_HALVINGS = 45


@dataclass(frozen=True)
class Region:
    r"""All x with :math:`\|x - x_0\| \le \epsilon` inside the box, for each of n images.

    Attributes
    ----------
    centre, low, high : Tensor
        :math:`x_0` and the ends of the box around it, (n, d), float64.
    eps : float
    norm : {"linf", "l2"}
    """

    centre: Tensor
    low: Tensor
    high: Tensor
    eps: float
    norm: str

    @classmethod
    def around(
        cls, x: Tensor, eps: float, norm: str = "linf", clip: tuple[float, float] | None = (0.0, 1.0)
    ) -> Region:
        """The region around images x (n, ...)."""
        centre = x.detach().flatten(1).double()
        low, high = centre - eps, centre + eps
        if clip is not None:  # an image may be outside of the box by a rounding error
            low = torch.maximum(low, centre.clamp(max=clip[0]))
            high = torch.minimum(high, centre.clamp(min=clip[1]))
        return cls(centre, low, high, eps, norm)

    def __getitem__(self, chosen: Tensor) -> Region:
        return Region(self.centre[chosen], self.low[chosen], self.high[chosen], self.eps, self.norm)

    def float(self) -> Region:
        """The same rounded to float32."""
        return Region(self.centre.float(), self.low.float(), self.high.float(), self.eps, self.norm)

    def lowest(self, a: Tensor) -> Tensor:
        r""":math:`\min_x a^\top x` over the region for each row of a (n, m, d): (n, m).

        For :math:`\ell_\infty` every pixel goes to one end of its interval. For :math:`\ell_2` by duality,

        .. math:: \max_{\lambda\ge0}\;\sum_i \min_{l_i\le\delta_i\le u_i}
                  \big(a_i\delta_i + \lambda\delta_i^2\big) - \lambda\epsilon^2 ,

        which is a lower bound for *every* :math:`\lambda`; halving an interval finds the best one.
        """
        if self.norm == "linf":
            middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
            return (a @ middle[..., None] - a.abs() @ half[..., None]).squeeze(-1)
        down, up = (self.low - self.centre)[:, None], (self.high - self.centre)[:, None]
        return (a @ self.centre[..., None]).squeeze(-1) + _in_l2(a, down, up, self.eps)

    def corner(self, a: Tensor) -> Tensor:
        """A point of the region where a row (n, d) is low: the minimum for l-infinity, near it for l2."""
        if self.norm == "linf":
            return torch.where(a > 0, self.low, torch.where(a < 0, self.high, self.centre))
        step = a / a.norm(dim=1, keepdim=True).clamp_min(torch.finfo(a.dtype).tiny) * self.eps
        return (self.centre - step).clamp(self.low, self.high)


def _in_l2(a: Tensor, down: Tensor, up: Tensor, eps: float) -> Tensor:
    """The minimum of a . delta with |delta| <= eps and down <= delta <= up."""
    if eps == 0:
        return a.new_zeros(a.shape[:-1])
    least = torch.finfo(a.dtype).tiny  # any larger floor would be one under small weights
    norm = a.detach().norm(dim=-1).clamp_min(least)
    few, many = torch.zeros_like(norm), norm / (2 * eps)  # without the box the best is |a| / (2 eps)
    for _ in range(_HALVINGS):
        middle = (few + many) / 2
        delta = (-a.detach() / (2 * middle.clamp_min(least))[..., None]).clamp(down, up)
        outside = delta.square().sum(-1) > eps**2
        few, many = torch.where(outside, middle, few), torch.where(outside, many, middle)
    many = many.clamp_min(least)
    delta = (-a.detach() / (2 * many)[..., None]).clamp(down, up)
    dual = (a * delta + many[..., None] * delta.square()).sum(-1) - many * eps**2
    box = (a.clamp(min=0) * down + a.clamp(max=0) * up).sum(-1)
    return torch.maximum(dual, box)
