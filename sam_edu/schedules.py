"""Learning rates over a training: in steps, as in most papers on SAM and AT, or as a triangle."""

from __future__ import annotations

import torch

MILESTONES = (0.75, 0.9)  # shares of the epochs after which the learning rate is divided by 10


def step_schedule(
    optimizer: torch.optim.Optimizer, epochs: int, milestones: tuple[float, ...]
) -> torch.optim.lr_scheduler.MultiStepLR:
    """Learning rate divided by 10 after each of these shares of the epochs.

    Shares are rounded down to whole epochs: with 0.75 and 0.9, one epoch has no milestone, two to four
    have one, before the last epoch; from five on there are both.
    """
    # for few epochs two milestones are one, and none comes before the first epoch
    at = sorted({int(share * epochs) for share in milestones} - {0})
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, at, gamma=0.1)


def triangle_schedule(
    optimizer: torch.optim.Optimizer, steps: int, peak: float = 0.2
) -> torch.optim.lr_scheduler.LambdaLR:
    """Learning rate that rises linearly for a share ``peak`` of all steps and falls linearly to 0.

    To be stepped after every batch. With t = (step + 1) / (steps + 1) it is lr * min(t / peak,
    (1 - t) / (1 - peak)): Smith & Topin (2017, arXiv 1708.07120) train like this in few epochs.

    Examples
    --------
    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    >>> schedule, rates = triangle_schedule(optimizer, steps=9), []
    >>> for _ in range(9):
    ...     rates.append(round(optimizer.param_groups[0]["lr"], 3))
    ...     optimizer.step()
    ...     schedule.step()
    >>> rates
    [0.5, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    """

    def share(step: int) -> float:
        t = (step + 1) / (steps + 1)
        return min(t / peak, (1 - t) / (1 - peak))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, share)
