"""torchattacks' APGD, number for number, without what each of its steps works out anew.

Auto-PGD (Croce, Hein, ICML 2020, arXiv 2003.01690) takes momentum steps and halves the step of an image
whose loss has stopped to rise. In the library a step of l-infinity passes over the images some thirty times
beside the model; here seven times. Random numbers, order of the sums and results are the library's.
"""

from __future__ import annotations

from typing import Any

import torch
import torchattacks
from torch import Tensor
from torch.nn.functional import cross_entropy


class _Lean:
    """The inner loop for l-infinity; everything else comes from the attack that stands behind this class.

    Uses the library's ``get_logits``, ``norm``, ``eps``, ``steps`` and ``thr_decr``.
    """

    def losses(self: Any, logits: Tensor, y: Tensor) -> Tensor:
        """What the attack raises, per image."""
        raise NotImplementedError

    def aim(self: Any, x: Tensor) -> None:
        """Choose the targets of a run, if there are any."""

    def attack_single_run(self: Any, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One run: points of the highest loss, which images still stand, the losses, the last examples."""
        if self.norm != "Linf":
            return super().attack_single_run(x, y)  # type: ignore[misc]
        low, high = (x - self.eps).clamp_(0, 1), (x + self.eps).clamp_(0, 1)
        eps = self.eps * x.new_ones(len(x), 1, 1, 1)
        noise = 2 * torch.rand(x.shape).to(x) - 1
        at = (x + eps * noise / noise.flatten(1).abs().amax(1).view(-1, 1, 1, 1)).clamp_(0, 1)
        self.aim(x)
        gradient, loss, stands = self._look(at, y)
        best, best_gradient, best_loss, example = at.clone(), gradient.clone(), loss.clone(), at.clone()
        step, before, halved, past = 2.0 * eps, at, torch.zeros_like(stands), best_loss.clone()
        history = loss.new_zeros(self.steps, len(x))
        every, since = max(int(0.22 * self.steps), 1), 0
        for i in range(self.steps):
            at, before = _moved(at, before, step, gradient, 0.75 if i else 1.0, low, high), at
            gradient, loss, right = self._look(at, y)
            if not right.all():
                example[~right] = at[~right]
                stands &= right
            history[i] = loss
            better = (loss > best_loss).nonzero().squeeze(1)
            _copy(better, (at, best), (gradient, best_gradient), (loss, best_loss))
            since += 1
            if since == every:
                rises = sum((history[j] > history[j - 1]).int() for j in range(i, i - every, -1))
                halved = (rises <= every * self.thr_decr) | (~halved & (past >= best_loss))
                past = best_loss.clone()
                if halved.any():
                    step[halved] /= 2
                    _copy(halved.nonzero().squeeze(1), (best, at), (best_gradient, gradient))
                every, since = max(every - max(int(0.03 * self.steps), 1), max(int(0.06 * self.steps), 1)), 0
        return best, stands, best_loss, example

    def _look(self: Any, at: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradient and loss at these points, and which of them are classified right."""
        leaf = at.detach().requires_grad_()
        with torch.enable_grad():
            logits = self.get_logits(leaf)
            losses = self.losses(logits, y)
        (gradient,) = torch.autograd.grad(losses, leaf, torch.ones_like(losses))
        return gradient, losses.detach(), logits.detach().max(1)[1] == y


def _moved(
    at: Tensor, before: Tensor, step: Tensor, gradient: Tensor, a: float, low: Tensor, high: Tensor
) -> Tensor:
    """A step with momentum; uses up ``gradient``. The region and the box are one interval per pixel."""
    ahead = torch.addcmul(at, step, gradient.sign_()).clamp_(low, high)
    ahead = ahead.sub_(at).mul_(a).add_(at).add_(at - before, alpha=1 - a)
    return ahead.clamp_(low, high)


def _copy(images: Tensor, *pairs: tuple[Tensor, Tensor]) -> None:
    """Copy these images from the first of each pair to the second; half the time of ``b[i] = a[i]``."""
    for source, target in pairs:
        target.index_copy_(0, images, source.index_select(0, images))


class APGD(_Lean, torchattacks.APGD):
    """On the cross-entropy."""

    def losses(self, logits: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(logits, y, reduction="none")


class APGDT(_Lean, torchattacks.APGDT):
    """Towards one class after the other, the likeliest first, on the ratio of differences of logits."""

    ranked: Tensor | None = None

    def perturb(self, x_in: Tensor, y_in: Tensor, best_loss: bool = False, cheap: bool = True) -> Any:
        self.ranked = None
        return super().perturb(x_in, y_in, best_loss, cheap)

    def aim(self, x: Tensor) -> None:
        # A run has the images of the one before, or fewer: as long as none falls, the ranks stay the same.
        if self.ranked is None or len(self.ranked) != len(x):
            with torch.no_grad():
                self.ranked = self.get_logits(x).sort(dim=1)[1]
        self.target = self.ranked[:, -self.target_class, None]

    def losses(self, logits: Tensor, y: Tensor) -> Tensor:
        top = logits.sort(dim=1)[0]
        ahead = (logits.gather(1, y[:, None]) - logits.gather(1, self.target)).squeeze(1)
        return -ahead / (top[:, -1] - 0.5 * top[:, -3] - 0.5 * top[:, -4] + 1e-12)
