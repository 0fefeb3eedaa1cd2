"""Proved, broken or undecided: one verdict for each image."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from sam_edu import _check, attacks
from sam_edu._balls import Ball
from sam_edu._guards import check_inputs, check_labels, eval_mode, hits
from sam_edu.certify.network import Network, from_model
from sam_edu.certify.region import Region
from sam_edu.certify.relaxation import CHUNK, Bounds, crown, differences, lines, lower
from sam_edu.certify.rounding import slack
from sam_edu.certify.search import Search

_BLOCK = 16  # images searched together
_ATTACKED = 512  # and attacked


@dataclass(frozen=True)
class Certificate:
    """What is known of n images at one radius.

    Attributes
    ----------
    eps, norm : the region
    proved : Tensor
        (n,) bool: no point of the region is classified wrongly.
    broken : Tensor
        (n,) bool: ``examples`` has a point that is.
    margin : Tensor
        (n,) the proved lower bound of right logit minus any other, by CROWN alone; NaN where nothing was
        asked.
    examples : dict
        Number of the image -> its adversarial example.
    cases : Tensor
        (n,) cases of the complete search.
    """

    eps: float
    norm: str
    proved: Tensor = field(repr=False)
    broken: Tensor = field(repr=False)
    margin: Tensor = field(repr=False)
    examples: dict[int, Tensor] = field(repr=False)
    cases: Tensor = field(repr=False)

    @property
    def bracket(self) -> tuple[float, float]:
        """Robust accuracy lies between these two: proved, and not broken."""
        return float(self.proved.double().mean()), 1 - float(self.broken.double().mean())

    def verdicts(self) -> list[str]:
        """``"proved"``, ``"broken"`` or ``"undecided"`` for each image."""
        pairs = zip(self.proved.tolist(), self.broken.tolist(), strict=True)
        return ["proved" if good else "broken" if bad else "undecided" for good, bad in pairs]


def certify(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: str = "linf",
    cases: int = 1000,
    seconds: float = float("inf"),
    broken: Tensor | None = None,
) -> Certificate:
    """Decide for each image whether any point of its region is classified wrongly.

    CROWN first, then an attack on what it leaves (20 steps of PGD on the margin), then a complete search.
    *Proved* is said of the model as float32 computes it, rounding included
    (:mod:`sam_edu.certify.rounding`), and of every image that :func:`sam_edu.evaluation.evaluate` would
    accept from an attack.

    Parameters
    ----------
    model : torch.nn.Module
        A ReLU network, see ``sam_edu.certify.from_model``; it is judged in eval mode.
    x, y : Tensor
        Images (n, channels, height, width) in [0, 1], labels (n,).
    eps : float
        Radius >= 0 in pixel units.
    norm : {"linf", "l2"}
    cases : int
        How many cases of the complete search an image may use; 0 leaves it out.
    seconds : float
        Time for the search of an image, on average over the 16 that are searched together. A number of cases
        gives the same verdicts everywhere, a time does not.
    broken : Tensor, optional
        (n,) bool: images that an attack has broken already; they are left alone.

    Raises
    ------
    ValueError
        If an argument is out of range, a label is none of the classes, or the model is not one that can be
        read.

    Examples
    --------
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    >>> model[1].weight.data, model[1].bias.data = torch.eye(2), torch.zeros(2)
    >>> x = torch.tensor([[[[0.9, 0.1]]], [[[0.6, 0.5]]]])
    >>> certify(model, x, torch.tensor([0, 0]), eps=0.2).verdicts()
    ['proved', 'broken']
    """
    _check.number("eps", eps, low=0)
    _check.choice("norm", norm, ("linf", "l2"))
    _check.integer("cases", cases)
    _check.number("seconds", seconds, low=0)
    y = check_inputs(x, y)
    with eval_mode(model):
        network = from_model(model, x.shape[1:])
        if len(y):
            check_labels(y, len(network.layers[-1].bias))
        asked = _Asked(model, network, x, y, float(eps), norm)
        asked.look()
        if broken is not None:
            asked.broken |= broken.cpu()
        asked.relax()
        asked.attack()
        for block in asked.undecided(_BLOCK) if cases and asked.network.hidden else []:
            asked.search(block, cases, seconds)
    return Certificate(asked.eps, norm, asked.proved, asked.broken, asked.margin, asked.examples, asked.cases)


class _Asked:
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
        self.cases = torch.zeros(n, dtype=torch.long)
        self.rows, _ = differences(y.cpu(), len(network.layers[-1].bias))

    def undecided(self, size: int) -> Iterator[Tensor]:
        """Numbers of the images without a verdict, so many at a time."""
        left = (~self.proved & ~self.broken).nonzero().flatten()
        return iter(left.split(size) if len(left) else ())

    def look(self) -> None:
        """An image that is wrong without any attack is its own example."""
        with torch.no_grad():
            wrong = (~hits(self.model(self.x), self.y)).cpu() if len(self.x) else self.broken
        self._break(wrong.nonzero().flatten(), self.x[wrong.to(self.x.device)])

    def relax(self) -> None:
        for some in self.undecided(CHUNK):
            _, bound, enough = self._bounds(some)
            self.margin[some] = bound.amin(1)
            self.proved[some] = bound.amin(1) > enough

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

    def search(self, block: Tensor, cases: int, seconds: float) -> None:
        bounds, bound, enough = self._bounds(block)
        rows = torch.where((bound > enough[:, None])[..., None], 0.0, self.rows[block])
        x, y = self.x[block.to(self.x.device)], self.y[block.to(self.x.device)]

        def fooled(images: Tensor, points: Tensor) -> Tensor:
            images = images.to(x.device)
            ball = Ball(self.norm, x[images], self.eps, (0.0, 1.0))
            points = ball.project(points.to(x).view(-1, *x.shape[1:]))
            return (~hits(self.model(points), y[images])).cpu()

        task = Search(self.network, rows, bounds[:-1], self.region[block], enough, fooled)
        self.proved[block] = task.run(cases, time.monotonic() + seconds * len(block))
        self.cases[block] = task.used
        for i, point in task.examples.items():
            ball = Ball(self.norm, x[i : i + 1], self.eps, (0.0, 1.0))
            self._break(block[i : i + 1], ball.project(point.to(x).view(1, *x.shape[1:])))

    def _bounds(self, some: Tensor) -> tuple[Bounds, Tensor, Tensor]:
        region = self.region[some]
        with torch.no_grad():
            bounds = crown(self.network, region)
            bound, _ = lower(self.network, self.rows[some], [lines(*pair) for pair in bounds[:-1]], region)
            highest = torch.maximum(region.low.abs(), region.high.abs())
            return bounds, bound, slack(self.network, bounds, highest)

    def _break(self, images: Tensor, points: Tensor) -> None:
        self.broken[images] = True
        self.examples |= {i: point for i, point in zip(images.tolist(), points, strict=True)}
