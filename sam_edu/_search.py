"""AutoAttack's Square, number for number, without what each of its queries works out anew.

The Square attack (Andriushchenko, Croce, Flammarion, Hein, ECCV 2020, arXiv 1912.00049) asks for the
logits 5000 times. In the library a query passes over all pixels a dozen times beside the model; here it
touches those of its square, and all random numbers are drawn at once.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from pyautoattack.square import SquareAttack
from torch import Tensor

from sam_edu.attacks import margin_loss


class Square(SquareAttack):
    """The inner loop for l-infinity; everything else comes from the attack that stands behind this class."""

    def attack_single_run(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Queries used and the best points found, for images (n, channels, height, width) in [0, 1]."""
        if self.norm != "Linf" or self.targeted or self.loss != "margin":
            return super().attack_single_run(x, y)
        with torch.no_grad():
            return self._search(x, y)

    def _search(self: Any, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        n, channels, _, width = x.shape
        at = (x + self.eps * self.random_choice([n, channels, 1, width])).clamp_(0, 1)
        margin, queries, found = -margin_loss(self.predict(at), y), x.new_ones(n), at.clone()
        if (margin < 0).all():
            return queries, found
        low, high = (x - self.eps).clamp_(0, 1), (x + self.eps).clamp_(0, 1)
        standing, asked = torch.arange(n, device=x.device), 0
        for window, step in self._squares(x):
            stands = margin > 0
            if not stands.all():
                fell = ~stands
                found[standing[fell]], queries[standing[fell]] = at[fell], asked + 1.0
                at, low, high, y, margin, standing = (t[stands] for t in (at, low, high, y, margin, standing))
            if len(standing) == 0:
                break
            square = at[window]
            before = square.clone()
            square.copy_((before + step).clamp_(low[window], high[window]))
            new = -margin_loss(self.predict(at), y)
            better = new < margin
            square.copy_(torch.where(better.view(-1, 1, 1, 1), square, before))
            chosen = better.float()
            margin = (
                chosen * new + (1 - chosen) * margin
            )  # as a sum: an infinite margin becomes NaN, as there
            asked += 1
        found[standing], queries[standing] = at, asked + 1.0
        return queries, found

    def _squares(self: Any, x: Tensor) -> Any:
        """The square of each query, and by how much it moves each channel."""
        channels, height, width = x.shape[1:]
        shares = [self.p_selection(i) for i in range(self.n_queries)]
        wanted = [round(math.sqrt(p * (channels * height * width) / channels)) for p in shares]
        sides = [min(max(side, 1), height, width) for side in wanted]
        drawn = torch.rand(self.n_queries, 2 + channels).to(x.device)
        room = drawn.new_tensor([height, width]) - drawn.new_tensor(sides)[:, None]
        corners = (room * drawn[:, :2]).long().tolist()
        steps = 2.0 * self.eps * torch.sign(2 * drawn[:, 2:] - 1)
        for side, (top, left), step in zip(sides, corners, steps[..., None, None], strict=True):
            yield (..., slice(top, top + side), slice(left, left + side)), step
