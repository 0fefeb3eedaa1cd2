"""Sparse SAM (Mi, Shen, Ren, Zhou, Sun, Ji, Tao, NeurIPS 2022, arXiv 2210.05177)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from sam_edu import _check
from sam_edu.objectives import masks
from sam_edu.objectives.base import WeightPerturbation
from sam_edu.objectives.closures import BatchLoss, Closure, Scale, needs_batch
from sam_edu.objectives.passes import FirstPass
from sam_edu.objectives.perturb import Size, Tensors, length, ratio
from sam_edu.objectives.state import State


class SparseSAM(WeightPerturbation):
    r"""SAM that perturbs only some of the weights, a mask m of zeros and ones.

    .. math:: \hat e = \rho\,\frac{g}{\|g\|_2}\odot m

    with the norm over *all* weights, so that \|e\| < rho. A share ``sparsity`` of m is 0. Two ways to m:

    * ``"fisher"`` (SSAM-F): 1 where the empirical Fisher information, the sum of squared gradients of
      single samples, is largest; measured in eval mode on the first ``samples`` of the batch (closure: a
      :class:`~sam_edu.objectives.BatchLoss`).
    * ``"dynamic"`` (SSAM-D): random at first; then the share f_t = drop / 2 (1 + cos(pi t / steps)) of
      the ones, where \|g\| is smallest, changes places with as many random zeros.

    m is renewed at step 0 and every ``every`` steps. It saves no time: multiplying by 0 costs what
    multiplying costs. Cost: two passes, and ``samples`` passes of one sample at a renewal.

    Parameters
    ----------
    model : torch.nn.Module
    rho : float
        SAM's radius, >= 0; the paper uses 0.1 and 0.2.
    sparsity : float
        Share of zeros, in [0, 1); 0 gives SAM.
    mask : {"fisher", "dynamic"}
    every : int
        Steps between renewals, >= 1; the authors renew every epoch or every five.
    samples : int
        For "fisher"; the authors use 16 for CIFAR, 128 for ImageNet.
    drop, steps : float, int
        For "dynamic": the first share to change, in [0, 1], and the length of the training.
    seed : int
        Of the generator of the dynamic mask (its state is part of ``state_dict``).
    sync : bool
        As in :class:`~sam_edu.objectives.WeightPerturbation`.

    Raises
    ------
    ValueError
        If a setting is out of range, or ``steps`` is missing for a dynamic mask.
    TypeError
        In ``backward``, if a Fisher mask is due and the closure does not know its batch.

    Examples
    --------
    >>> import torch
    >>> model, x, y = torch.nn.Linear(2, 2), torch.ones(3, 2), torch.tensor([0, 1, 1])
    >>> objective = SparseSAM(model, rho=0.1)
    >>> loss = objective.backward(BatchLoss(model, x, y))
    >>> model.weight.grad is not None
    True
    """

    def __init__(
        self,
        model: nn.Module,
        rho: float = 0.1,
        sparsity: float = 0.5,
        mask: str = "fisher",
        every: int = 100,
        samples: int = 16,
        drop: float = 0.5,
        steps: int | None = None,
        seed: int = 0,
        sync: bool = False,
    ) -> None:
        super().__init__(model, sync)
        self.rho = _check.number("rho", rho, low=0, high=float("inf"), open_high=True)
        self.sparsity = _check.number("sparsity", sparsity, low=0, high=1, open_high=True)
        self.mask = _check.choice("mask", mask, ("fisher", "dynamic"))
        self.every = _check.integer("every", every, low=1)
        self.samples = _check.integer("samples", samples, low=1)
        self.drop = _check.number("drop", drop, low=0, high=1)
        if mask == "dynamic" and steps is None:
            raise ValueError(
                "a dynamic mask needs steps, the number of training steps, to anneal its changes"
            )
        self.steps = _check.integer("steps", 1 if steps is None else steps, low=1)
        self._generator = torch.Generator().manual_seed(_check.integer("seed", seed))
        self.t = 0
        self.m: dict[Tensor, Tensor] = {}

    def climb(self, w: Tensors, g: Tensors) -> tuple[Tensors, Size]:
        if self.mask == "dynamic" and self.t % self.every == 0:
            self._renew_dynamic(w, g)
        v = [
            part * self.m[p] if p in self.m else torch.zeros_like(part) for p, part in zip(w, g, strict=True)
        ]
        return v, ratio(self.rho, length(g))

    def backward(self, closure: Closure, scale: Scale | None = None) -> Tensor:
        before = self.state_dict()
        try:
            if self.mask == "fisher" and self.t % self.every == 0:
                self._renew_fisher(needs_batch(closure, "SparseSAM with a Fisher mask"))
            loss = super().backward(closure, scale)
        except BaseException:
            self.load_state_dict(before)  # a step that failed has not happened
            raise
        self.t += 1
        return loss

    def _renew_fisher(self, batch: BatchLoss) -> None:
        trainable = [p for p in self._params if p.requires_grad]
        before = FirstPass(State(self.model), self._params, batch)  # passes that do not count
        try:
            scores = masks.fisher_information(self.model, batch, trainable, self.samples)
        finally:
            before.end()
            before.again()
        self._set(trainable, masks.largest(scores, self._ones(len(scores))))

    def _renew_dynamic(self, w: Tensors, g: Tensors) -> None:
        slopes = torch.cat([part.flatten().abs() for part in g])
        if any(p not in self.m for p in w):  # the first time
            keep = masks.random(slopes, self._ones(len(slopes)), self._generator)
        else:
            share = self.drop / 2 * (1 + math.cos(math.pi * min(1.0, self.t / self.steps)))
            now = torch.cat([self.m[p].flatten() for p in w])
            keep = masks.exchanged(now, slopes, share, self._generator)
        self._set(w, keep)

    def _ones(self, total: int) -> int:
        return round((1 - self.sparsity) * total)

    def _set(self, params: Tensors, keep: Tensor) -> None:
        pieces = keep.split([p.numel() for p in params])
        self.m = {p: piece.view_as(p) for p, piece in zip(params, pieces, strict=True)}

    def state_dict(self) -> dict[str, Any]:
        m = [self.m.get(p) for p in self._params]
        return {"t": self.t, "m": m, "generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.t = state["t"]
        self.m = {p: m.to(p.device) for p, m in zip(self._params, state["m"], strict=True) if m is not None}
        self._generator.set_state(state["generator"])
