"""An attack that is exact where the network is: linear programs, from one linear piece to the next.

Around a point no unit changes its sign and the network is affine: the lowest difference of logits there, in
the region, is a linear program. Its solution often lies where a unit is 0, in the middle of the region's
sides: steps along the sign of a gradient jump over such points. From there the pieces behind these units are
tried, for as long as one of them is lower. That ends in a minimum which no neighbouring piece improves.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from sam_edu.certify.leaves import Piece, lowest_in
from sam_edu.certify.network import Network
from sam_edu.certify.region import Region

_PROGRAMS = 16  # at most, for one descent
_NEIGHBOURS = 4  # of a piece that are tried: behind the units with the largest multipliers


def descend(
    network: Network, row: Tensor, region: Region, start: Tensor, falls: Callable[[Tensor], bool]
) -> Tensor | None:
    """From ``start`` (d,) down on ``row @ logits`` to a point where ``falls`` holds; None if none is met.

    Parameters
    ----------
    row : Tensor
        (classes,): right logit minus another.
    region : Region
        Of one image, l-infinity.
    falls : callable
        Whether a point (d,) is an example.
    """
    on, left = network.pattern(start), _PROGRAMS - 1
    here = lowest_in(network, row, region, on)
    while here is not None and not falls(here.point):
        below: Piece | None = None
        for unit in here.multipliers.topk(min(_NEIGHBOURS, len(on))).indices.tolist():
            if left == 0 or here.multipliers[unit] <= 0:
                return None
            left -= 1
            on[unit] = ~on[unit]
            below = lowest_in(network, row, region, on)
            if below is not None and below.value < here.value:
                break
            on[unit], below = ~on[unit], None
        here = below
    return None if here is None else here.point
