"""Is the gradient of a model the slope of its function? Attacks that follow gradients rest on it.

Along a straight line from a to b, a function changes by the integral of its gradient::

    f(b) - f(a) = integral of grad f(a + t (b - a)) . (b - a) dt,

also where it bends. Rounding, thresholds, winners that take all, and backward passes of their own jump or
move without a gradient that says so. The line is cut into pieces; on each, the change of f is compared with
what the gradient at its middle foretells.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sam_edu._guards import unmasked

LINES, PIECES = 2, 4
FINER = 4  # times as many pieces where the first look raises a doubt
ASTRAY, DOUBT = 0.5, 0.1  # an image counts as astray; the mean error from which gradients are doubted
LEAST = 0.05  # half a line's length per pixel: shorter ones drown in the rounding of half precision


@dataclass(frozen=True)
class Slope:
    """Per image: ``error`` in [0, 2], the share of the change that gradients do not foretell, and the
    share of pixels with a gradient that is not finite anywhere on the lines."""

    error: Tensor
    not_finite: Tensor


def measure(model: nn.Module, x: Tensor, eps: float, norm: str) -> Slope:
    r"""Compare gradients with finite differences along lines through x, as long as the ball is wide.

    The function is the margin between the class predicted at x and its runner-up there. With the changes
    :math:`\Delta_j` and what the gradients foretell, :math:`p_j`, the error is
    :math:`\sum_j(\Delta_j-p_j)^2 / \sum_j(\Delta_j^2+p_j^2)`: 0 where the gradient is the slope, 1 where it
    has nothing to do with it, 2 where it points backwards. Costs 11 forward and 8 forward-backward passes.

    Where that leaves a doubt, the lines are cut finer, and the smaller error counts: that of a function that
    bends falls with the length of a piece, that of one that jumps does not.
    """
    slope = _along_lines(model, x, eps, norm, PIECES)
    bent = slope.error > DOUBT
    if not doubtful(slope.error):
        return slope
    finer = _along_lines(model, x[bent], eps, norm, FINER * PIECES).error
    error = slope.error.clone()
    error[bent] = torch.minimum(error[bent], finer)
    return Slope(error, slope.not_finite)


def doubtful(error: Tensor) -> bool:
    """Whether gradients mislead: on average over the images, or wholly on more than a few."""
    if len(error) == 0:
        return False
    return bool(error.clamp(max=1).mean() > DOUBT or (error > ASTRAY).sum() > 0.03 * len(error))


def _along_lines(model: nn.Module, x: Tensor, eps: float, norm: str, pieces: int) -> Slope:
    with torch.no_grad():
        logits = model(x)
        top = logits.topk(2, dim=1).indices
        rounding = unmasked(logits).abs().amax(1).double() * _coarseness(logits)

    def margin(at: Tensor) -> Tensor:
        both = model(at).gather(1, top)
        return both[:, 0] - both[:, 1]

    generator = torch.Generator().manual_seed(0)
    missed = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    moved = missed.clone()
    spoiled = torch.zeros_like(x, dtype=torch.bool)
    for line in range(LINES):
        offset = _offset(x.shape, eps, norm, line % 2 == 1, generator).to(x)
        start = (x - offset).clamp(0, 1)
        piece = ((x + offset).clamp(0, 1) - start) / pieces
        with torch.no_grad():
            values = [margin(start + k * piece).double() for k in range(pieces + 1)]
        for k in range(pieces):
            leaf = (start + (k + 0.5) * piece).requires_grad_()
            (gradient,) = torch.autograd.grad(margin(leaf).sum(), leaf)
            spoiled |= ~torch.isfinite(gradient)
            change = values[k + 1] - values[k]
            foretold = (torch.nan_to_num(gradient).double() * piece.double()).flatten(1).sum(1)
            missed += ((change - foretold).abs() - rounding).clamp_min(0) ** 2
            moved += change**2 + foretold**2
    error = torch.where(missed > 0, missed / moved.clamp_min(1e-300), 0)
    return Slope(error, spoiled.flatten(1).double().mean(1))


def _coarseness(logits: Tensor) -> float:
    """Relative rounding of the logits: numbers that half precision can hold were computed in it."""
    for dtype in (torch.bfloat16, torch.float16):
        if torch.equal(logits.to(dtype).to(logits.dtype), logits):
            return torch.finfo(dtype).eps
    return 2.0**-20


def _offset(shape: torch.Size, eps: float, norm: str, sparse: bool, generator: torch.Generator) -> Tensor:
    """Random signs times a step that stays in the ball; in l2 also few pixels that move far."""
    signs = 2.0 * torch.randint(0, 2, shape, generator=generator) - 1
    if norm == "linf":
        return signs * max(eps, LEAST)
    pixels = shape[1:].numel()
    step = max(eps / pixels**0.5, LEAST)
    if sparse:
        step = max(step, min(eps, 0.25))
    moving = torch.rand(shape, generator=generator) < max(eps / step, 1) ** 2 / pixels
    return signs * step * moving
