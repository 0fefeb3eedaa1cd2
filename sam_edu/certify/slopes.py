"""The best lines: gradient ascent on the slopes, and on the multipliers of what a case assumes.

Every slope between 0 and 1 gives a valid bound, so that searching for good ones risks nothing: alpha-CROWN
(Xu, Zhang, Wang et al., ICLR 2021, arXiv 2011.13824). A case "unit i is on", :math:`z_i \\ge 0`, enters by a
multiplier: :math:`\\min f \\ge \\min\\,(f - \\beta z_i)` for each :math:`\\beta \\ge 0`: beta-CROWN (Wang,
Zhang, Xu et al., NeurIPS 2021, arXiv 2103.06624).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sam_edu.certify.network import Network
from sam_edu.certify.region import Region
from sam_edu.certify.relaxation import Bounds, Lines, lines, lower

_RATE, _DECAY = 0.2, 0.95
_FIRST, _SECOND = 0.9, 0.99


def evaluated(
    network: Network,
    rows: Tensor,
    bounds: Bounds,
    region: Region,
    free: Sequence[Tensor],
    signs: Sequence[Tensor] | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """:func:`sam_edu.certify.relaxation.lower` for given slopes and multipliers, see :func:`ascend`."""
    return _evaluated(network, rows, [lines(*pair) for pair in bounds], region, free, signs)


def _evaluated(
    network: Network,
    rows: Tensor,
    default: Sequence[Lines],
    region: Region,
    free: Sequence[Tensor],
    signs: Sequence[Tensor] | None,
) -> tuple[Tensor, list[Tensor]]:
    """With the lines that do not depend on the slopes already at hand."""
    k = len(default)
    around = [both.tilted(slope) for both, slope in zip(default, free[:k], strict=True)]
    push = None if signs is None else [s * beta for s, beta in zip(signs, free[k:], strict=True)]
    return lower(network, rows, around, region, push)


def ascend(
    network: Network,
    rows: Tensor,
    bounds: Bounds,
    region: Region,
    steps: int,
    signs: Sequence[Tensor] | None = None,
    start: Sequence[Tensor] | None = None,
    enough: Tensor | float = torch.inf,
) -> tuple[Tensor, list[Tensor]]:
    r"""Raise the lower bound of ``rows @ z`` by its slopes, and by multipliers where a case is assumed.

    The ascent is Adam's (Kingma, Ba 2015, arXiv 1412.6980), each bound by itself; the best one seen is kept:

    .. math:: m \leftarrow 0.9\,m + 0.1\,g, \quad v \leftarrow 0.99\,v + 0.01\,g^2, \quad
              \alpha \leftarrow \alpha + 0.2 \cdot 0.95^t\,\hat m / (\sqrt{\hat v} + 10^{-12})

    with both averages divided by what they lack at step t.

    Parameters
    ----------
    rows : Tensor
        (n, m, width) of the layer above ``bounds``.
    bounds : list of pairs of Tensor
        Of the hidden layers below, (n, width), already those of the case.
    signs : sequence of Tensor, optional
        The case: (n, 1, width) with 1 for z >= 0, -1 for z <= 0, 0 for an open unit.
    start : sequence of Tensor, optional
        Slopes, then multipliers (if there are signs), (n, m, width) each, to begin with.
    enough : Tensor or float
        Stop when all bounds are above this.

    Returns
    -------
    bound : Tensor
        (n, m).
    free : list of Tensor
        The slopes and multipliers behind it.
    """
    k = len(bounds)
    if start is None:
        shape = (len(bounds[0][0]), rows.shape[1], -1)
        start = [(high > -low).to(low)[:, None].expand(*shape) for low, high in bounds]
        start += [torch.zeros_like(s) for s in start] if signs is not None else []
    widths = [s.shape[-1] for s in start]
    free = torch.cat(list(start), -1)  # one tensor: most cases are so small that each operation counts
    slopes, default = sum(widths[:k]), [lines(*pair) for pair in bounds]
    best, kept = torch.full((), -torch.inf, dtype=rows.dtype), free.detach()
    first, second = torch.zeros_like(free), torch.zeros_like(free)  # Adam's averages of g and of g^2
    for step in range(steps + 1):
        free.requires_grad_()
        bound, _ = _evaluated(network, rows, default, region, free.split(widths, -1), signs)
        better, here = bound.detach() > best, free.detach()
        best = torch.where(better, bound.detach(), best)
        kept = torch.where(better[..., None], here, kept)
        if step == steps or bool((best > enough).all()):
            return best, list(kept.split(widths, -1))
        (gradient,) = torch.autograd.grad(bound.sum(), free)
        first = torch.lerp(gradient, first, _FIRST)
        second = torch.lerp(gradient.square(), second, _SECOND)
        size = _RATE * _DECAY**step / (1 - _FIRST ** (step + 1))
        root = (second / (1 - _SECOND ** (step + 1))).sqrt_().add_(1e-12)
        free = torch.addcdiv(here, first, root, value=size).clamp_(min=0)
        free[..., :slopes].clamp_(max=1)
    raise AssertionError("the loop returns")
