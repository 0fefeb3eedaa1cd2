"""Open cases of a search, and which unit splits each of them next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sam_edu.certify.relaxation import Bounds

_TRIED = 16  # units whose halves are bounded before one of them is chosen
_AT_ONCE = 512  # halves bounded together


@dataclass
class Cases:
    """Open cases, one a row: which image, which difference of logits, what is assumed, and the lines so far.

    ``signs`` (n, units) has 1 for z >= 0, -1 for z <= 0, 0 for open; ``free`` the slopes and multipliers
    (n, 2 * units); ``split`` the unit to split next, -1 if none is left.
    """

    image: Tensor
    row: Tensor
    signs: Tensor
    free: Tensor
    split: Tensor

    def __getitem__(self, chosen: Tensor | slice) -> Cases:
        if isinstance(chosen, Tensor) and chosen.dtype == torch.long:  # whole rows: faster than an index
            return Cases(*(value.index_select(0, chosen) for value in vars(self).values()))
        return Cases(*(value[chosen] for value in vars(self).values()))

    def __len__(self) -> int:
        return len(self.image)

    def __add__(self, other: Cases) -> Cases:
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Cases(*(torch.cat(pair) for pair in pairs))

    def latest(self, size: int) -> Tensor:
        """About so many, (n,) bool, as many of each image, those that came last: then few have to wait."""
        image, place = self.image.unique(return_inverse=True)
        mine = torch.nn.functional.one_hot(place, len(image)).flip(0).cumsum(0).flip(0)
        return mine.gather(1, place[:, None])[:, 0] <= max(size // len(image), 1)

    def halves(self) -> Cases:
        """Each case twice: its unit on, its unit off."""
        both, here = self + self, torch.arange(len(self))
        on, off = both.signs.chunk(2)
        on[here, self.split], off[here, self.split] = 1, -1
        return both


def gaps(bounds: Bounds, slopes: list[Tensor]) -> Tensor:
    """What the lines of each open unit cost the bound, (n, units); -1 where the sign is known.

    The lift of the chord, or half the gap of the lower line, times the slope of the bound in its output
    (n, width).
    """
    costs = []
    for (low, high), a in zip(bounds, slopes, strict=True):
        is_open = (low < 0) & (high > 0)
        lift = -low * high / (high - low).clamp_min(torch.finfo(low.dtype).tiny)
        cost = torch.where(a < 0, -a * lift, a * torch.minimum(-low, high) / 2)
        costs.append(torch.where(is_open, cost, -1.0))
    return torch.cat(costs, 1)


def choose(cases: Cases, costs: Tensor, enough: Tensor, glance: Callable[[Cases], Tensor]) -> Tensor:
    """The unit to split next, (n,), -1 where none is open.

    An inexpensive score names some units, bounds choose among them (De Palma, Bunel, Desmaison et al. 2021,
    arXiv 2104.06718): the one whose halves have the largest sum of bounds, each counted up to ``enough``. On
    SGD's network for digits at 0.1 their minimum in place of the sum needs twice the cases and more.

    Parameters
    ----------
    costs : Tensor
        Of every unit, as :func:`gaps` has them, (n, units).
    enough : Tensor
        What a bound must exceed, (n,).
    glance : callable
        A bound for each of some cases (k,), cheaply: with the slopes that they have.
    """
    tried = min(_TRIED, costs.shape[1])
    cost, unit = costs.topk(tried, 1)
    many = torch.arange(len(cases)).repeat_interleave(tried)
    wide = cases[many]
    wide.split = unit.flatten()
    halves = wide.halves()
    starts = range(0, len(halves), _AT_ONCE)
    bound = torch.cat([glance(halves[at : at + _AT_ONCE]) for at in starts])
    gain = torch.minimum(bound.view(2, len(cases), tried), enough[None, :, None].to(bound)).sum(0)
    best = torch.where(cost >= 0, gain, -torch.inf).argmax(1, keepdim=True)
    return torch.where(cost[:, 0] < 0, -1, unit.gather(1, best)[:, 0])
