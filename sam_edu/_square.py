"""A small attack that needs no gradient: random search over squares of pixels.

After the Square attack (Andriushchenko, Croce, Flammarion, Hein, ECCV 2020, arXiv 1912.00049). It is far
weaker than attacks with gradients where these work; where it breaks what they left, they did not work.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sam_edu._balls import Ball
from sam_edu.attacks import margin_loss


def square(
    model: nn.Module, x: Tensor, y: Tensor, eps: float, norm: str, queries: int, generator: torch.Generator
) -> Tensor:
    """Images (n, channels, height, width) near x with a larger margin of a wrong class, if found.

    Starts from vertical stripes of +-eps; each query proposes one square per batch, the smaller the later,
    and each image keeps it if its margin grows. A fooled image costs no further query.
    """
    ball, found = Ball(norm, x, eps, (0.0, 1.0)), x.clone()
    signs = _signs((len(x), x.shape[1], 1, x.shape[3]), generator, x).expand_as(x)
    standing = torch.arange(len(x), device=x.device)
    with torch.no_grad():
        trial = ball.project(x + signs * _height(eps, norm, x[0].numel()))
        best = x.new_full((len(x),), -torch.inf)
        for query in range(queries):
            loss = margin_loss(model(trial), y)
            better = loss > best
            found[standing[better]], best[better] = trial[better], loss[better].to(best)
            left = best <= 0
            if not left.all():
                standing, best, y, ball = standing[left], best[left], y[left], ball[left]
            if len(standing) == 0:
                break
            trial = _propose(ball, found[standing], eps, norm, (query + 1) / queries, generator)
    return found


def _propose(
    ball: Ball, at: Tensor, eps: float, norm: str, progress: float, generator: torch.Generator
) -> Tensor:
    """The images with one square of the perturbation drawn anew: per image and channel, up or down."""
    _, channels, height, width = at.shape
    area = 0.8 * 2.0 ** -(7 * progress) * height * width
    rows = min(max(round(math.sqrt(area)), 1), height)
    columns = min(max(round(area / rows), 1), width)
    top, left = (
        int(torch.randint(0, size + 1, (1,), generator=generator, device=at.device))
        for size in (height - rows, width - columns)
    )
    window = (..., slice(top, top + rows), slice(left, left + columns))
    signs = _signs((len(at), channels, 1, 1), generator, at)
    trial = at.clone()
    trial[window] = ball.centre[window] + signs * _height(eps, norm, channels * rows * columns)
    return ball.project(trial)


def _height(eps: float, norm: str, pixels: int) -> float:
    """By how much so many pixels may move together; in l2 the projection makes room for them."""
    return eps if norm == "linf" else eps / pixels**0.5


def _signs(shape: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    return 2 * torch.randint(0, 2, shape, generator=generator, device=like.device).to(like) - 1
