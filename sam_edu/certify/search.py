"""Complete search: cases of one ReLU at a time, each bounded, until all are proved or an example is found.

Branch and bound (Bunel, Turkaslan, Torr, Kohli, Kumar, NeurIPS 2018, arXiv 1711.00455) with the bounds of
:mod:`sam_edu.certify.slopes`. Where a unit is assumed to be on or off its lines are the ReLU itself, so the
bound of a case is better than that of the whole; a case that assumes all of them is a linear program.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sam_edu.certify.cases import Cases, choose, gaps
from sam_edu.certify.leaves import settle
from sam_edu.certify.network import Network
from sam_edu.certify.region import Region
from sam_edu.certify.relaxation import Bounds
from sam_edu.certify.slopes import ascend, evaluated

_BATCH = 256  # cases bounded together
_STEPS = 5  # of gradient ascent for each


@dataclass
class Search:
    """Are ``rows @ logits > enough`` everywhere? One answer for each of n images.

    Parameters
    ----------
    rows : Tensor
        (n, m, classes): differences of logits; a row of zeros is left out.
    bounds : list of pairs of Tensor
        Of the hidden layers, (n, width).
    enough : Tensor
        What a bound must exceed, (n, m).
    fooled : callable
        ``fooled(images, points)``: which points (k, d) are examples against their image (k,).

    Attributes
    ----------
    examples : dict
        Image -> example that was found.
    closed : Tensor
        (n,) bool: nothing more is looked for: an example is known, or an end stays open. A caller may set it.
    used : Tensor
        (n,): cases that were bounded.
    """

    network: Network
    rows: Tensor
    bounds: Bounds
    region: Region
    enough: Tensor
    fooled: Callable[[Tensor, Tensor], Tensor]
    examples: dict[int, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n, units = len(self.rows), sum(self.network.hidden)
        self._rough, self._rough_region = self.network.float(), self.region.float()
        self._rough_rows = self.rows.float()
        self._rough_bounds = [(low.float(), high.float()) for low, high in self.bounds]
        image, row = self.rows.abs().sum(-1).nonzero(as_tuple=True)
        slope = torch.cat([(high > -low).float() for low, high in self.bounds], 1)[image]
        none = torch.zeros(len(image), units, dtype=torch.int8)
        self._fresh = Cases(image, row, none, torch.cat([slope, torch.zeros_like(slope)], 1), image)
        self._waiting = self._fresh[:0]
        self.closed = torch.zeros(n, dtype=torch.bool)
        self.used = torch.zeros(n, dtype=torch.long)
        self._spent = 0.0  # seconds

    def run(self, budget: int, seconds: float = float("inf")) -> Tensor:
        """Search with so many cases for each image, or for so many seconds in all.

        A second call goes on where the first has stopped; what that has used counts.

        Returns
        -------
        Tensor
            (n,) bool: proved. What is neither proved nor among the examples is undecided.
        """
        n, started = len(self.rows), time.monotonic() - self._spent
        while True:  # what is interrupted is asked again: a case leaves one list when it is in the other
            fresh, waiting = self._fresh, self._waiting
            for some in torch.arange(len(fresh)).split(_BATCH):
                waiting = waiting + self._bounded(fresh[some])
            self._waiting, self._fresh = waiting, fresh[:0]
            self.used += torch.bincount(fresh.image, minlength=n)
            self._waiting = self._waiting[~self.closed[self._waiting.image]]
            goes_on = (self.used < budget)[self._waiting.image]
            self._spent = time.monotonic() - started
            if self._spent > seconds or not goes_on.any():
                return (torch.bincount(self._waiting.image, minlength=n) == 0) & ~self.closed
            here, paused = self._waiting[goes_on], self._waiting[~goes_on]
            latest = here.latest(_BATCH // 2)
            now = here[latest]
            self._settle(now[now.split < 0])
            self._fresh, self._waiting = now[now.split >= 0].halves(), paused + here[~latest]

    def left(self) -> Tensor:
        """Which share of each image's cases is open, (n,); a case that k splits have led to counts 2^-k."""
        weight = 0.5 ** (self._waiting.signs != 0).sum(1)
        whole = (self.rows != 0).any(-1).sum(1).clamp_min(1)
        return torch.zeros(len(whole)).index_add(0, self._waiting.image, weight) / whole

    def _found(self, image: int, point: Tensor) -> None:
        self.examples.setdefault(image, point)
        self.closed[image] = True

    def _bounded(self, cases: Cases) -> Cases:
        """Bound these cases and look for examples; returns those that stay open, with their next split.

        Lines are looked for in float32; what counts is what they give in float64.
        """
        region, sizes = self.region[cases.image], self.network.hidden
        rows = self.rows[cases.image, cases.row][:, None]
        signs = [s[:, None].float() for s in cases.signs.split(sizes, 1)]
        bounds = _of_cases(self.bounds, cases)
        start = [value[:, None] for value in cases.free.split(sizes * 2, 1)]
        enough = self.enough[cases.image, cases.row][:, None]
        rough = [(low.float(), high.float()) for low, high in bounds]
        _, free = ascend(
            self._rough, rows.float(), rough, region.float(), _STEPS, signs, start, enough.float()
        )
        with torch.no_grad():
            exact = [value.double() for value in free]
            best, slopes = evaluated(self.network, rows, bounds, region, exact, [s.double() for s in signs])
            points = region.corner(slopes[0][:, 0])
            for i in self.fooled(cases.image, points).nonzero().flatten().tolist():
                self._found(int(cases.image[i]), points[i])
            cases.free = torch.cat(free, -1)[:, 0]
            is_open = ~(best > enough)[:, 0]
            costs = gaps(bounds, [s[:, 0] for s in slopes[1:]])[is_open]
        cases = cases[is_open]
        if len(cases):
            cases.split = choose(cases, costs, self.enough[cases.image, cases.row], self._glance)
        return cases

    def _glance(self, cases: Cases) -> Tensor:
        """A bound of each case in float32 with the slopes that it has."""
        sizes = self.network.hidden
        rows, region = self._rough_rows[cases.image, cases.row][:, None], self._rough_region[cases.image]
        bounds = _of_cases(self._rough_bounds, cases)  # rounded, then cut at 0: as the other way round
        signs = [s[:, None].float() for s in cases.signs.split(sizes, 1)]
        free = [value[:, None] for value in cases.free.split(sizes * 2, 1)]
        with torch.no_grad():
            return evaluated(self._rough, rows, bounds, region, free, signs)[0][:, 0]

    def _settle(self, cases: Cases) -> None:
        """Every sign is known: a linear program, or (l2) an open end."""
        for i in range(len(cases)):
            case, image, row = cases[i : i + 1], int(cases.image[i]), int(cases.row[i])
            bound, point = -float("inf"), None
            if self.region.norm == "linf":
                on = torch.cat([low >= 0 for low, _ in _of_cases(self.bounds, case)], 1)[0]
                where = self.region[case.image], on, case.signs[0]
                bound, point = settle(self.network, self.rows[image, row], *where)
            if bound > self.enough[image, row]:
                continue
            if point is not None and bool(self.fooled(case.image, point[None])[0]):
                self._found(image, point)
            else:
                self.closed[image] = True


def _of_cases(bounds: Bounds, cases: Cases) -> Bounds:
    """The bounds of each case's image, cut at 0 where the case says on which side of it the unit is."""
    found, sizes = [], [low.shape[1] for low, _ in bounds]
    for (low, high), sign in zip(bounds, cases.signs.split(sizes, 1), strict=True):
        low, high = low.index_select(0, cases.image), high.index_select(0, cases.image)
        low = torch.where(sign > 0, low.clamp(min=0), low)
        high = torch.where(sign < 0, high.clamp(max=0), high)
        found.append((low, high))
    return found
