"""A case that assumes the sign of every unit: the network is affine there, and a linear program decides.

The solver is not believed: its multipliers enter a bound that holds for any, its point is tried out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

from sam_edu.certify.network import Network
from sam_edu.certify.region import Region

EMPTY = 1e-7  # by so much the assumptions must contradict each other to be called impossible


@dataclass(frozen=True)
class Piece:
    """The lowest difference of logits on one linear piece: value, place, and the multiplier of each unit."""

    value: float
    point: Tensor
    multipliers: Tensor


def lowest_in(network: Network, row: Tensor, region: Region, on: Tensor) -> Piece | None:
    """The minimum of ``row @ logits`` where exactly the units ``on`` (units,) are on, as the solver has it.

    No proof: it says where to look. ``region`` is of one image, l-infinity; None where no point of it is in
    this piece.
    """
    (G, g), (c, d) = _affine(network, row, on, on.double() * 2 - 1)
    low, high = region.low[0], region.high[0]
    binds = G.clamp(min=0) @ low + G.clamp(max=0) @ high + g < 0  # the others hold in the whole box
    box = np.stack([low.numpy(), high.numpy()], 1)
    best = linprog(c.numpy(), -G[binds].numpy(), g[binds].numpy(), bounds=box, method="highs")
    if best.status != 0:
        return None
    multipliers = torch.zeros_like(g)
    multipliers[binds] = torch.as_tensor(-best.ineqlin.marginals)
    return Piece(best.fun + d, torch.as_tensor(best.x).clamp(low, high), multipliers)


def settle(
    network: Network, row: Tensor, region: Region, on: Tensor, signs: Tensor
) -> tuple[float, Tensor | None]:
    r"""A lower bound of ``row @ logits`` in one case over the region of one image, and where it is low.

    With G x + g the units (times their sign) that were assumed, and c x + d the difference of logits,

    .. math:: \min_{Gx + g \ge 0} (cx + d) \;\ge\; \min_x \big(cx + d - \beta^\top(Gx + g)\big)
              \quad\text{for all } \beta\ge0 .

    Parameters
    ----------
    region : Region
        Of one image, l-infinity.
    on : Tensor
        (units,) bool: which units are on.
    signs : Tensor
        (units,) 1 or -1 where the sign was assumed, 0 where it is known.
    """
    (G, g), (c, d) = _affine(network, row, on, signs)
    box = np.stack([region.low[0].numpy(), region.high[0].numpy()], 1)
    if len(g) == 0:
        return float(region.lowest(c[None, None])) + d, region.corner(c[None])[0]
    best = linprog(c.numpy(), -G.numpy(), g.numpy(), bounds=box, method="highs")
    if best.status == 0:
        beta = torch.as_tensor(-best.ineqlin.marginals).clamp(min=0)
        bound = float(region.lowest((c - beta @ G)[None, None])) + d - float(beta @ g)
        return bound, torch.as_tensor(best.x).clamp(region.low[0], region.high[0])
    # nobody lives here? then some combination of the assumptions is negative throughout
    cost = np.append(np.zeros(len(c)), 1.0)
    by_how_much = linprog(
        cost,
        np.hstack([-G.numpy(), -np.ones((len(g), 1))]),
        g.numpy(),
        bounds=np.vstack([box, [[0.0, np.inf]]]),
        method="highs",
    )
    if by_how_much.status == 0:
        beta = torch.as_tensor(-by_how_much.ineqlin.marginals).clamp(min=0)
        if float(region.lowest((-beta @ G)[None, None])) - float(beta @ g) > EMPTY:
            return float("inf"), None
    return -float("inf"), None


def _affine(network: Network, row: Tensor, on: Tensor, signs: Tensor):  # type: ignore[no-untyped-def]
    """(G, g) of the assumed units and (c, d) of the row, as functions of the input."""
    inputs = network.layers[0].weight.shape[1]
    weight, bias = torch.eye(inputs, dtype=torch.double), torch.zeros(inputs, dtype=torch.double)
    assumed, offsets, done = [], [], 0
    for layer in network.layers[:-1]:
        weight, bias = layer.weight @ weight, layer.weight @ bias + layer.bias
        here = slice(done, done + len(bias))
        sign, done = signs[here].double(), done + len(bias)
        assumed.append((sign[:, None] * weight)[sign != 0])
        offsets.append((sign * bias)[sign != 0])
        weight, bias = weight * on[here, None], bias * on[here]
    last = network.layers[-1]
    c, d = row @ last.weight @ weight, row @ (last.weight @ bias + last.bias)
    return (torch.cat(assumed), torch.cat(offsets)), (c, float(d))
