"""AutoAttack's FAB-T, number for number, without what each of its steps works out anew.

FAB (Croce, Hein, ICML 2020, arXiv 1907.02044) steps onto the linearised decision boundary, inside the box,
and back towards the image. Its targeted form has one boundary at a time; the library still looks for the
nearest, takes gradients of the weights as well, and projects with twice as many operations as here.
"""

from __future__ import annotations

from typing import Any

import torch
from pyautoattack.fab_pt import FABAttack_PT
from torch import Tensor

FAR = 1e10  # the distance of an image without an adversarial example


class FABT(FABAttack_PT):
    """The inner loop for l-infinity; everything else comes from the attack that stands behind this class."""

    def attack_single_run(
        self, x: Tensor, y: Tensor, use_rand_start: bool = False, is_targeted: bool = False
    ) -> Tensor:
        """The closest examples found for images (n, channels, height, width), or the images themselves."""
        if self.norm != "Linf" or not is_targeted or use_rand_start:
            return super().attack_single_run(x, y, use_rand_start, is_targeted)
        logits, found = self.predict(x), x.clone()
        right = (logits.max(1)[1] == y).nonzero().squeeze(1)
        if len(right) == 0:
            return found
        y, target = y[right], logits.sort(dim=-1)[1][right, -self.target_class]
        pair, shape = torch.stack((target, y), 1), (len(right), *x.shape[1:])
        sides = logits.new_tensor([[1.0, -1.0]]).expand(len(right), 2)
        # what the logits are weighted with: 1 for the target, -1 for the label
        towards = torch.zeros_like(logits[right]).scatter_add_(1, pair, sides)
        start = x[right].flatten(1)
        both = torch.stack((start, start))  # where the search is, and where it began
        at, closest, distance = both[0], start.clone(), start.new_full((len(start),), FAR)
        for _ in range(self.n_iter):
            lead, slope = self._boundary(at.view(shape), pair, towards)
            moves = _onto(both, slope.flatten(1), lead)
            lengths = moves.abs().amax(2, keepdim=True).clamp_min_(1e-8)
            back = (lengths[0] / (lengths[0] + lengths[1])).clamp_(0.0, self.alpha_max)
            ahead, anchor = moves.mul_(self.eta).add_(both)
            at.copy_(ahead.mul_(1 - back).add_(anchor.mul_(back)).clamp_(0.0, 1.0))
            fooled = self._get_predicted_label(at.view(shape)) != y
            if fooled.any():
                change = at - start
                length = change.abs().amax(1)
                closer = fooled & ~(length >= distance)  # NaN, too, and for good: such an image is lost
                distance = torch.where(closer, length, distance)
                closest = torch.where(closer[:, None], at, closest)
                at.copy_(torch.where(fooled[:, None], change.mul_(self.beta).add_(start), at))
        succeeded = distance < FAR
        found[right[succeeded]] = closest[succeeded].view(-1, *x.shape[1:])
        return found

    def _boundary(self: Any, at: Tensor, pair: Tensor, towards: Tensor) -> tuple[Tensor, Tensor]:
        """By how much the target leads over the label, (n,), and the slope of that in the image."""
        leaf = at.detach().requires_grad_()
        with torch.enable_grad():
            logits = self.predict(leaf)
        (slope,) = torch.autograd.grad(logits, leaf, towards)
        target, label = logits.detach().gather(1, pair).unbind(1)
        return target - label, slope


def _onto(both: Tensor, w: Tensor, lead: Tensor) -> Tensor:
    """The shortest moves (2, n, pixels) in l-infinity from points in the box onto a hyperplane.

    The plane has the normals w (n, pixels), and w reaches it from the first of ``both`` by adding -lead. All
    pixels move by the same amount, each as far as the box has room: room is sorted, and halving finds the
    pixel at which the moves add up to what is missing. Where the box ends before the plane, all room is used.
    """
    products = w * both
    beyond = products.sum(-1) - (products[0].sum(-1) - lead)
    w = ((beyond >= 0).to(w).mul_(2).sub_(1).unsqueeze(-1)) * w
    missing, weight = beyond.abs().unsqueeze(-1), w.abs()
    room = (w < 0).to(w).sub_(both).abs_()
    most = (weight * room).sum(-1, keepdim=True)
    ascending, order = room.sort(dim=-1)
    stops, heavy = ascending.flip(-1), weight.gather(-1, order.flip(-1))
    moved, speed = (heavy * stops).cumsum(-1).sub_(most), heavy.cumsum(-1)
    short = moved - speed * stops < -missing  # when the pixels up to this one have stopped
    together = short[..., -1:]  # no pixel stops
    last = _last(short).masked_fill_(together, w.shape[-1] - 1)
    step = ((missing + moved.gather(-1, last)) / speed.gather(-1, last)).clamp_min_(0)
    step = step.masked_fill_(~(together | (missing < most)), torch.inf)
    size = torch.minimum(step, room)
    if together.any():
        size = torch.where(together, step, size)
    return size.mul_(w.sign().neg_())


def _last(true: Tensor) -> Tensor:
    """The last true of rows that begin with some, (..., 1), as halving finds it: rounding may leave gaps."""
    if not (true[..., 1:] > true[..., :-1]).any():
        return (true.sum(-1, keepdim=True) - 1).clamp_min_(0)
    low = true.new_zeros((*true.shape[:-1], 1), dtype=torch.long)
    high = torch.full_like(low, true.shape[-1] - 1)
    for _ in range((true.shape[-1] - 1).bit_length()):
        middle = (low + high) >> 1
        here = true.gather(-1, middle)
        low, high = torch.where(here, middle, low), torch.where(here, high, middle)
    return low
