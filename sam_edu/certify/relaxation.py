"""Bounds that hold for every point of a region: intervals, and lines around each ReLU carried backwards.

Interval arithmetic goes forwards and forgets how the units of a layer depend on each other. The backward
linear relaxation keeps them: each ReLU is caught between two lines, so that a unit is caught between two
*linear* functions of the input. This is CROWN (Zhang, Weng, Chen, Hsieh, Daniel, NeurIPS 2018, arXiv
1811.00866).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sam_edu.certify.network import Network
from sam_edu.certify.region import Region

CHUNK = 25  # images at a time: what a step touches should stay in the processor's cache
Bounds = list[tuple[Tensor, Tensor]]  # of each layer: lowest and highest value, (n, width)


@dataclass(frozen=True)
class Lines:
    r"""Two lines around each ReLU on [l, u], :math:`\alpha z \le \mathrm{relu}(z) \le s(z - l)`.

    The upper line is the chord, :math:`s = u/(u-l)`; the lower one has any slope :math:`\alpha` in [0, 1].
    Where the sign of z is known both are the ReLU itself: slope 1 or 0. Shapes (n, 1 or m, width), for m
    bounds of n images.
    """

    below: Tensor
    above: Tensor
    lift: Tensor
    is_open: Tensor

    def tilted(self, slope: Tensor) -> Lines:
        """With the lower line of another slope where the sign is open: the chord and its lift stay."""
        return Lines(torch.where(self.is_open, slope, self.above), self.above, self.lift, self.is_open)

    def backward(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """From a lower bound a . relu(z) (n, m, width) to one in z: its slopes and the constant (n, m)."""
        rising, falling = a.clamp(min=0), a.clamp(max=0)
        return rising * self.below + falling * self.above, _dot(falling, self.lift)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Sum over the last axis of a (n, m, d) times b (n, 1 or m, d); a matrix product where b has one row."""
    return (a @ b.transpose(1, 2)).squeeze(-1) if b.shape[1] == 1 else (a * b).sum(-1)


def lines(low: Tensor, high: Tensor, slope: Tensor | None = None) -> Lines:
    r"""The lines for units between ``low`` and ``high`` (n, width).

    Parameters
    ----------
    slope : Tensor, optional
        :math:`\alpha` (n, m, width) where the sign is open. Default: 1 if u > -l, else 0, which leaves the
        smaller area between the lines.

    Examples
    --------
    >>> both = lines(torch.tensor([[-1.0]]), torch.tensor([[3.0]]))
    >>> both.below.item(), both.above.item(), both.lift.item()
    (1.0, 0.75, 0.75)
    """
    low, high = low[:, None], high[:, None]
    is_open = (low < 0) & (high > 0)
    width = torch.where(is_open, high - low, 1.0)  # no floor under it: weights of 1e-32 are weights too
    chord = torch.where(is_open, high / width, (low >= 0).to(low))
    lift = torch.where(is_open, -low * chord, 0.0)
    if slope is None:
        slope = (high > -low).to(low)
    return Lines(torch.where(is_open, slope, chord), chord, lift, is_open)


def lower(
    network: Network,
    rows: Tensor,
    around: Sequence[Lines],
    region: Region,
    push: Sequence[Tensor] | None = None,
) -> tuple[Tensor, list[Tensor]]:
    r"""A lower bound of ``rows @ z`` over the region, z being the layer above the given lines.

    Starting from :math:`a = \mathrm{rows}`, one layer is :math:`a \leftarrow aW`, constant
    :math:`\mathrel{+}= ab`, and one ReLU is replaced by the line that keeps the bound low: by the upper one
    where a < 0.

    Parameters
    ----------
    rows : Tensor
        (n, m, width), or (1, m, width) for all alike, of layer ``len(around)``, counted from 0.
    around : sequence of Lines
        Of every hidden layer below.
    push : sequence of Tensor, optional
        For each of them (n, m, width): what to take off the slopes in z, see :mod:`sam_edu.certify.slopes`.

    Returns
    -------
    bound : Tensor
        (n, m).
    slopes : list of Tensor
        (n, m, width): of the bound in the input, whose minimum it is, and in the outputs of each hidden
        layer.
    """
    layer = network.layers[len(around)]
    constant, a = rows @ layer.bias, rows @ layer.weight
    slopes = [a]
    for k in reversed(range(len(around))):
        below = network.layers[k]
        a, loss = around[k].backward(a)
        if push is not None:
            a = a - push[k]
        constant = constant + loss + a @ below.bias
        a = a @ below.weight
        slopes.insert(0, a)
    return region.lowest(a) + constant, slopes


def interval(network: Network, region: Region) -> Bounds:
    r"""Interval arithmetic, layer by layer: :math:`[\,W^+l + W^-u + b,\; W^+u + W^-l + b\,]`.

    As in training with such bounds (Gowal, Dvijotham, Stanforth et al. 2018, arXiv 1810.12715).

    The first layer is linear in the input, so its interval is exact for the region itself, for both norms.
    """
    first = network.layers[0]
    rows = torch.cat([first.weight, -first.weight])[None]
    low, negated = region.lowest(rows).chunk(2, dim=1)
    found = [(low + first.bias, first.bias - negated)]
    for k in range(1, len(network.layers)):
        found.append(_through(network, k, *found[-1]))
    return found


def _through(network: Network, k: int, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """The interval of layer k from that of the layer below."""
    weight, bias = network.layers[k].weight, network.layers[k].bias
    up, down = weight.clamp(min=0).T, weight.clamp(max=0).T
    low, high = torch.relu(low), torch.relu(high)
    return low @ up + high @ down + bias, high @ up + low @ down + bias


def crown(network: Network, region: Region) -> Bounds:
    """CROWN for every unit, layer by layer: the lines of a layer need the bounds of the one below.

    A bound is the better one of CROWN's and the interval's.

    Returns
    -------
    list of pairs of Tensor
        Lowest and highest value of each unit, (n, width), for every layer; the last one has the logits.
    """
    chunks = [_crown(network, region[some]) for some in torch.arange(len(region.centre)).split(CHUNK)]
    return [
        (torch.cat([c[k][0] for c in chunks]), torch.cat([c[k][1] for c in chunks]))
        for k in range(len(network.layers))
    ]


def _crown(network: Network, region: Region) -> Bounds:
    found, around = interval(network, region)[:1], []
    for k in range(1, len(network.layers)):
        around.append(lines(*found[-1]))
        low, negated = lower(network, both_ways(network, k), around, region)[0].chunk(2, dim=1)
        coarse = _through(network, k, *found[-1])
        found.append((torch.maximum(low, coarse[0]), torch.minimum(-negated, coarse[1])))
    return found


def both_ways(network: Network, k: int) -> Tensor:
    """Rows (1, 2 * width, width): layer k's units and their negatives, whose lower bounds give both ends."""
    eye = torch.eye(len(network.layers[k].bias), dtype=torch.double)
    return torch.cat([eye, -eye])[None]


def differences(y: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Rows e_y - e_j (n, classes - 1, classes), right logit minus another, and the classes j."""
    others = torch.arange(classes).expand(len(y), -1)
    others = others[others != y[:, None]].view(len(y), classes - 1)
    eye = torch.eye(classes, dtype=torch.double)
    return eye[y][:, None] - eye[others], others
