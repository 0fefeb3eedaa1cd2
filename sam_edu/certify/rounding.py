"""What rounding can do: how far the float32 logits of a model may be from the exact ones.

A sum of n products, rounded in any order, differs from the exact one by at most
:math:`\\gamma_n\\sum_i|w_i||x_i|`, :math:`\\gamma_n = nu/(1-nu)` with u half a unit in the last place
(Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1). Numbers below :math:`2^{-126}`
have fewer digits, or are set to zero: each operation may lose as much besides (section 2.1 there). What a
layer adds is carried to the logits by the layers above, for every point of the region at once. Where float32
could overflow nothing can be proved. The bounds themselves are computed in float64: their own rounding, 5e8
times smaller per operation, is covered by a thousandth more.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sam_edu.certify.network import Network
from sam_edu.certify.relaxation import Bounds

UNIT = 2.0**-24  # half a unit in the last place of 1 in float32
TINY, LARGEST = 2.0**-126, 2.0**127  # below the one float32 has fewer digits; above twice the other, none


def slack(network: Network, bounds: Bounds, highest: Tensor, rows: Tensor) -> Tensor:
    r"""Margins above which a proof about exact numbers is one about the model as float32 computes it.

    Layer k adds an error of its own, and an entry of :math:`z_k` is off by at most :math:`e_k`:

    .. math:: \delta_k = \gamma_k\,\big(|W_k|\,(|h_{k-1}| + e_{k-1}) + |b_k|\big) + \eta_k, \qquad
              e_k = |W_k| e_{k-1} + \delta_k

    with :math:`|h_{k-1}|` the largest value that a unit takes in the region and :math:`\eta_k` what underflow
    can take. Rounding moves the output of a ReLU by d times what it moves z, d in [0, 1]: 1 where the unit is
    on by more than its error, 0 where it is off by more. So ``rows @ logits`` moves by at most

    .. math:: \textstyle\sum_k \max_D |\mathrm{row}\,W_L D_{L-1} W_{L-1} \cdots D_k|\,\delta_k ,

    whose maximum interval arithmetic bounds. A thousandth of :math:`|\mathrm{row}|\,e_L` more is for float64.

    Parameters
    ----------
    bounds : list of pairs of Tensor
        Of every hidden layer, as ``sam_edu.certify.crown`` returns them.
    highest : Tensor
        The largest \|x\| of each pixel in the region (n, d).
    rows : Tensor
        (n, m, classes): differences of logits.

    Returns
    -------
    Tensor
        One number for each row, (n, m); infinite where float32 could overflow.
    """
    value, error, own, known = highest, torch.zeros_like(highest), [], []
    overflow = torch.zeros(len(highest), dtype=torch.bool)
    for k, layer in enumerate(network.layers):
        gamma = layer.terms * UNIT / (1 - layer.terms * UNIT)
        times = (value + error).amax(1, keepdim=True).clamp_min(1)
        overflow |= ~(times[:, 0] * layer.peak < LARGEST)
        adds = gamma * ((value + error) @ layer.size.T + layer.offset) + TINY * times * layer.lost
        own.append(adds[:, None])
        error = error @ layer.weight.abs().T + adds
        if k < len(network.layers) - 1:
            low, high = bounds[k]
            on, off = low >= error, high <= -error
            known.append((on[:, None], off[:, None]))
            error, value = torch.where(off, 0.0, error), high.clamp(min=0)
    least = most = rows
    found = (rows.abs() * (own[-1] + error[:, None] / 1000)).sum(-1)
    for k in reversed(range(len(known))):
        weight = network.layers[k + 1].weight
        middle, half = (least + most) / 2 @ weight, (most - least) / 2 @ weight.abs()
        (on, off), least, most = known[k], middle - half, middle + half
        least = torch.where(off, 0.0, torch.where(on, least, least.clamp(max=0)))
        most = torch.where(off, 0.0, torch.where(on, most, most.clamp(min=0)))
        found = found + (torch.maximum(-least, most) * own[k]).sum(-1)
    return torch.where(overflow[:, None], torch.inf, found)
