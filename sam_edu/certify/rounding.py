"""What rounding can do: how far the float32 logits of a model may be from the exact ones.

A sum of n products, rounded in any order, differs from the exact one by at most
:math:`\\gamma_n\\sum_i|w_i||x_i|`, :math:`\\gamma_n = nu/(1-nu)` with u half a unit in the last place
(Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1). Carried through the layers this
bounds the error of the model that is attacked, for every point of the region at once. Numbers below
:math:`2^{-126}` have fewer digits, or are set to zero: each operation may lose as much besides (section 2.1
there). Where float32 could overflow nothing can be proved. The bounds themselves
are computed in float64: their own rounding, 5e8 times smaller per operation, is covered by a thousandth more.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sam_edu.certify.network import Network
from sam_edu.certify.relaxation import Bounds

UNIT = 2.0**-24  # half a unit in the last place of 1 in float32
TINY, LARGEST = 2.0**-126, 2.0**127  # below the one float32 has fewer digits; above twice the other, none


def slack(network: Network, bounds: Bounds, highest: Tensor) -> Tensor:
    r"""A margin above which a proof about exact numbers is one about the model as float32 computes it.

    .. math:: e_k = |W_k| e_{k-1} + \gamma_k\,\big(|W_k|\,(|h_{k-1}| + e_{k-1}) + |b_k|\big) + \eta_k

    with :math:`|h_{k-1}|` the largest value that the unit takes in the region, :math:`\eta_k` what underflow
    can take, and no error from units that are off throughout. Twice the error of a logit, for the two logits
    of a difference, and a thousandth more for float64.

    Parameters
    ----------
    bounds : list of pairs of Tensor
        Of every layer, as ``sam_edu.certify.crown`` returns them.
    highest : Tensor
        The largest \|x\| of each pixel in the region (n, d).

    Returns
    -------
    Tensor
        One number for each image, (n,); infinite where float32 could overflow.
    """
    value, error = highest, torch.zeros_like(highest)
    overflow = torch.zeros(len(highest), dtype=torch.bool)
    for k, layer in enumerate(network.layers):
        gamma = layer.terms * UNIT / (1 - layer.terms * UNIT)
        times = (value + error).amax(1, keepdim=True).clamp_min(1)
        overflow |= ~(times[:, 0] * layer.peak < LARGEST)
        error = error @ layer.weight.abs().T + gamma * ((value + error) @ layer.size.T + layer.offset)
        error = error + TINY * times * layer.lost
        if k < len(network.layers) - 1:
            high = bounds[k][1]
            error = torch.where(high + error > 0, error, 0.0)
            value = high.clamp(min=0)
    return torch.where(overflow, torch.inf, 2.002 * error.amax(1))
