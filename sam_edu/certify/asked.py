"""The images of one certificate and what is known of them so far, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from sam_edu import attacks
from sam_edu._balls import Ball
from sam_edu._guards import hits
from sam_edu.certify.descent import descend
from sam_edu.certify.network import Network
from sam_edu.certify.region import Region
from sam_edu.certify.relaxation import CHUNK, Bounds, crown, differences, lines, lower
from sam_edu.certify.rounding import slack
from sam_edu.certify.search import Search

_BLOCK = 16  # images searched together
_ATTACKED = 512  # and attacked


class Asked:
    """The images and what is known of them so far."""

    def __init__(
        self, model: nn.Module, network: Network, x: Tensor, y: Tensor, eps: float, norm: str
    ) -> None:
        self.model, self.network, self.x, self.y, self.eps, self.norm = model, network, x, y, eps, norm
        n = len(x)
        # as far as evaluate lets the rounding of an attack go, see _sanity.check_in_ball
        allowed = 2**-23 * (1 if norm == "linf" else x[0].numel() ** 0.5) if n and eps else 0.0
        self.region = Region.around(x.cpu(), eps * (1 + 1e-6) + allowed, norm)
        self.proved, self.broken = torch.zeros(n, dtype=torch.bool), torch.zeros(n, dtype=torch.bool)
        self.margin = torch.full((n,), torch.nan, dtype=torch.double)
        self.examples: dict[int, Tensor] = {}
        self.nearest: dict[int, Tensor] = {}  # where the attack has ended
        # of images that CROWN leaves open: ends of the hidden units, bound and enough of each row
        self._relaxed: dict[int, tuple[Tensor, ...]] = {}
        self.cases = torch.zeros(n, dtype=torch.long)
        self.searches: list[tuple[Tensor, Search]] = []
        self.rows, _ = differences(y.cpu(), len(network.layers[-1].bias))

    def undecided(self, size: int) -> Iterator[Tensor]:
        """Numbers of the images without a verdict, so many at a time."""
        left = (~self.proved & ~self.broken).nonzero().flatten()
        return iter(left.split(size) if len(left) else ())

    def look(self) -> None:
        """An image that is wrong without any attack is its own example."""
        for some in self.undecided(_ATTACKED):
            x, y = self.x[some.to(self.x.device)], self.y[some.to(self.x.device)]
            with torch.no_grad():
                wrong = (~hits(self.model(x), y)).cpu()
            self._break(some[wrong], x[wrong.to(x.device)])

    def relax(self) -> None:
        for some in self.undecided(CHUNK):
            bounds, bound, enough = self._bounds(some)
            self.margin[some] = bound.amin(1)
            self.proved[some] = (bound > enough).all(1)
            left = (~self.proved[some]).nonzero().flatten()
            known = [t[left] for pair in bounds[:-1] for t in pair] + [bound[left], enough[left]]
            self._relaxed |= dict(zip(some[left].tolist(), zip(*known, strict=True), strict=True))

    def attack(self) -> None:
        for left in self.undecided(_ATTACKED):
            x, y = self.x[left.to(self.x.device)], self.y[left.to(self.x.device)]
            draw = torch.Generator(x.device).manual_seed(0)
            moved = attacks.pgd(
                self.model,
                x,
                y,
                self.eps,
                self.norm,
                steps=20,
                loss="margin",
                stop_when_fooled=True,
                generator=draw,
            )
            with torch.no_grad():
                fell = (~hits(self.model(moved), y)).cpu()
            self._break(left[fell], moved[fell.to(moved.device)])
            self.nearest |= dict(zip(left.tolist(), moved.cpu().flatten(1).double(), strict=True))

    def descend(self) -> None:
        """From where the attack has ended, on the class that is nearest there."""
        for some in self.undecided(1) if self.region.norm == "linf" else ():
            start, region = self.nearest[int(some)], self.region[some]
            start = start.clamp(region.low[0], region.high[0])
            rows = self.rows[some][0]
            row = rows[(rows @ self.network(start[None])[0]).argmin()]
            point = descend(self.network, row, region, start, self._falls(some))
            if point is not None:
                self._break_at(some, point)

    def search(self, cases: int, seconds: float) -> None:
        """So many cases for each image; a second call goes on with what the first has left."""
        if not self.searches:
            self.searches = [(block, self._begun(block)) for block in self.undecided(_BLOCK)]
        for block, task in self.searches:
            task.closed |= self.broken[block]
            self.proved[block] = task.run(cases, seconds * len(block))
            self.cases[block] = task.used
            for i in task.examples:
                if not self.broken[block[i]]:
                    self._break_at(block[i : i + 1], task.examples[i])

    def give_up(self, share: float) -> None:
        """Leave images of whose cases more than this share is open."""
        for _, task in self.searches:
            task.closed |= task.left() > share

    def _begun(self, block: Tensor) -> Search:
        known = (self._relaxed[i] for i in block.tolist())
        *ends, bound, enough = (torch.stack(of_each) for of_each in zip(*known, strict=True))
        bounds = list(zip(ends[::2], ends[1::2], strict=True))
        rows = torch.where((bound > enough)[..., None], 0.0, self.rows[block])
        return Search(self.network, rows, bounds, self.region[block], enough, self._fooled(block))

    def _fooled(self, block: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        """Which points (k, d) are examples against these images of the block (k,)."""

        def fooled(images: Tensor, points: Tensor) -> Tensor:
            y = self.y[block[images].to(self.y.device)]
            return (~hits(self.model(self._inside(block[images], points)), y)).cpu()

        return fooled

    def _falls(self, image: Tensor) -> Callable[[Tensor], bool]:
        """Whether a point (d,) is an example against one image (1,)."""
        fooled, first = self._fooled(image), torch.zeros(1, dtype=torch.long)
        return lambda point: bool(fooled(first, point[None])[0])

    def _break_at(self, image: Tensor, point: Tensor) -> None:
        """Keep an example (d,) against one image (1,)."""
        self._break(image, self._inside(image, point[None]))

    def _inside(self, images: Tensor, points: Tensor) -> Tensor:
        """Points (k, d) as images in the balls around these images (k,)."""
        x = self.x[images.to(self.x.device)]
        return Ball(self.norm, x, self.eps, (0.0, 1.0)).project(points.to(x).view(x.shape))

    def _bounds(self, some: Tensor) -> tuple[Bounds, Tensor, Tensor]:
        region = self.region[some]
        with torch.no_grad():
            bounds = crown(self.network, region)
            bound, _ = lower(self.network, self.rows[some], [lines(*pair) for pair in bounds[:-1]], region)
            highest = torch.maximum(region.low.abs(), region.high.abs())
            return bounds, bound, slack(self.network, bounds, highest, self.rows[some])

    def _break(self, images: Tensor, points: Tensor) -> None:
        self.broken[images] = True
        self.examples |= {i: point for i, point in zip(images.tolist(), points, strict=True)}
