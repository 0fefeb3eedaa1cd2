"""Efficient SAM (Du, Yan, Feng, Zhou, Zhen, Goh, Tan, ICLR 2022, arXiv 2110.03141)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from sam_edu import _check
from sam_edu.objectives.base import WeightPerturbation
from sam_edu.objectives.closures import BatchLoss, Closure, Scale, needs_batch
from sam_edu.objectives.passes import FirstPass
from sam_edu.objectives.perturb import Size, Tensors, length, ratio


class ESAM(WeightPerturbation):
    r"""SAM with some of the weights perturbed and some of the samples in the second backward pass.

    .. math:: \hat e = \frac{\rho}{\beta}\,\frac{m\odot g}{\|m\odot g\|_2},\quad m_i\sim\mathrm{Bern}(\beta),
              \qquad \text{gradient used: } \nabla\frac{1}{|B^+|}\sum_{i\in B^+}\ell_i(w+\hat e)

    where B+ holds the share gamma of the batch with the largest increase l_i(w + e) - l_i(w). As in the
    authors' code m selects whole tensors (there lies the saving: the first backward pass skips the
    others), anew at each step, at least one. B+ is a biased sample: small gamma can learn much more
    slowly. Cost for gamma < 1: 2 + gamma forward, less than 1 + gamma backward passes, against SAM's 2 + 2.
    The closure must be a :class:`~sam_edu.objectives.BatchLoss`.

    Parameters
    ----------
    model : torch.nn.Module
    rho : float
        SAM's radius, >= 0.
    beta : float
        Probability that a tensor is perturbed, in (0, 1]. The authors use 0.6 for ResNet-18.
    gamma : float
        Share of the samples in the second backward pass, in (0, 1]; at least one sample. Theirs: 0.5.
    seed : int
        Of the generator that draws m (its state is part of ``state_dict``).
    sync : bool
        As in :class:`~sam_edu.objectives.WeightPerturbation`.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        In ``backward``, if the closure does not know its batch.

    Examples
    --------
    >>> import torch
    >>> model, x, y = torch.nn.Linear(2, 2), torch.ones(3, 2), torch.tensor([0, 1, 1])
    >>> objective = ESAM(model, rho=0.05)
    >>> loss = objective.backward(BatchLoss(model, x, y))
    >>> model.weight.grad is not None
    True
    """

    def __init__(
        self,
        model: nn.Module,
        rho: float = 0.05,
        beta: float = 0.6,
        gamma: float = 0.5,
        seed: int = 0,
        sync: bool = False,
    ) -> None:
        super().__init__(model, sync)
        self.rho = _check.number("rho", rho, low=0, high=float("inf"), open_high=True)
        self.beta = _check.number("beta", beta, low=0, high=1, open_low=True)
        self.gamma = _check.number("gamma", gamma, low=0, high=1, open_low=True)
        self._generator = torch.Generator().manual_seed(_check.integer("seed", seed))

    def climb(self, w: Tensors, g: Tensors) -> tuple[Tensors, Size]:
        """For the selected tensors alone: nothing else comes in."""
        return g, ratio(self.rho / self.beta, length(g))

    def backward(self, closure: Closure, scale: Scale | None = None) -> Tensor:
        batch = needs_batch(closure, "ESAM")
        first = FirstPass(self._state, self._params, closure)
        before: list[Tensor] = []

        def mean() -> Tensor:
            loss, each = batch.mean_and_each()
            before.append(each)
            return loss

        loss, used, g = self._gradient(mean, scale, among=self._selected())
        up = self._climbed(used, g, first)
        del g
        with up:
            first.again()
            part = self._sharpest(batch, before[0])
            first.again()
            self._descend(lambda: batch(part), scale)
        return loss

    def _selected(self) -> list[Tensor]:
        trainable = [p for p in self._params if p.requires_grad]
        drawn = torch.rand(len(trainable), generator=self._generator).tolist()
        limit = max(self.beta, min(drawn, default=0.0))
        return [p for p, u in zip(trainable, drawn, strict=True) if u <= limit]

    def _sharpest(self, batch: BatchLoss, before: Tensor) -> Tensor | None:
        count = max(1, math.ceil(self.gamma * len(batch)))
        if count == len(batch):
            return None
        with torch.no_grad():
            after = batch.each()
            part = (after - before).topk(count).indices
            # where no loss among them counts (labels that are ignored), the mean over the part would be 0 / 0
            return part if bool(after[part].any() | before[part].any()) else None

    def state_dict(self) -> dict[str, Any]:
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self._generator.set_state(state["generator"])
