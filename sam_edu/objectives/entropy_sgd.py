"""Entropy-SGD (Chaudhari et al., ICLR 2017, arXiv 1611.01838)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sam_edu import _check
from sam_edu.objectives import parallel
from sam_edu.objectives.base import WeightPerturbation
from sam_edu.objectives.closures import BatchLoss, Closure, Scale
from sam_edu.objectives.passes import FirstPass, no_steps_in_hooks
from sam_edu.objectives.perturb import Tensors, forget_cached_weights, shifted


class EntropySGD(WeightPerturbation):
    r"""Follow the local entropy: a short noisy walk finds where the valley around w lies.

    .. math:: \min_w\; -\log\int \exp\Big(-L(w') - \frac\gamma2\|w-w'\|^2\Big)\,dw'

    The walk (Langevin dynamics), L times from w' = mu = w, each time with a new mini-batch B:

    .. math:: w' &\leftarrow w' - \eta'\big(\nabla L_B(w') - \gamma_t(w-w')\big)
                  + \sqrt{\eta'}\,\varepsilon\,N(0, I) \\
              \mu &\leftarrow (1-\alpha)\mu + \alpha w', \qquad
              \text{gradient used: } \gamma_t\,(w-\mu),\quad \gamma_t=\gamma_0(1+\gamma_1)^t

    The optimizer thus sees gradients of the size of gamma: its learning rate is that of SGD divided by
    gamma, about (the authors' code leaves the factor gamma out). Cost: L passes per step: compare it
    at equal numbers of passes. BatchNorm counts the first pass, which is at w.

    A plain closure is called L times and should draw a new mini-batch each time. A
    :class:`~sam_edu.objectives.BatchLoss` is cut into L mini-batches.

    Parameters
    ----------
    model : torch.nn.Module
    gamma, scoping : float
        gamma_0 > 0 and gamma_1 >= 0. The authors: 1e-4 (MNIST) or 0.03 (CIFAR), and 1e-3.
    steps : int
        L >= 1; the authors: 20, or 5 for small networks.
    lr, noise, average : float
        eta' > 0, epsilon >= 0 and alpha in (0, 1] of the walk. Paper: 0.1, 1e-4, 0.75.
    seed : int
        Of the generator of the noise (its state is part of ``state_dict``).
    sync : bool
        With several processes: one common walk (True), or a walk of each process on its own data, mu
        being averaged at the end (False).

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> import torch
    >>> model, x, y = torch.nn.Linear(2, 2), torch.ones(3, 2), torch.tensor([0, 1, 1])
    >>> objective = EntropySGD(model, steps=2)
    >>> loss = objective.backward(BatchLoss(model, x, y))
    >>> model.weight.grad is not None
    True
    """

    def __init__(
        self,
        model: nn.Module,
        gamma: float = 0.03,
        scoping: float = 1e-3,
        steps: int = 20,
        lr: float = 0.1,
        noise: float = 1e-4,
        average: float = 0.75,
        seed: int = 0,
        sync: bool = False,
    ) -> None:
        super().__init__(model, sync)
        inf = float("inf")
        self.gamma = _check.number("gamma", gamma, low=0, high=inf, open_low=True, open_high=True)
        self.scoping = _check.number("scoping", scoping, low=0, high=inf, open_high=True)
        self.steps = _check.integer("steps", steps, low=1)
        self.lr = _check.number("lr", lr, low=0, high=inf, open_low=True, open_high=True)
        self.noise = _check.number("noise", noise, low=0, high=inf, open_high=True)
        self.average = _check.number("average", average, low=0, high=1, open_low=True)
        self._generator = torch.Generator().manual_seed(_check.integer("seed", seed))
        self.t = 0

    def backward(self, closure: Closure, scale: Scale | None = None) -> Tensor:
        no_steps_in_hooks(self._params, "EntropySGD")
        parallel.everybody_here(self.model)
        gamma = self.gamma * (1 + self.scoping) ** self.t
        first = FirstPass(self._state, self._params, closure)
        closures = self._mini_batches(closure)
        loss, used, g = self._gradient(closures[0], scale)  # at w: the first step of the walk
        with torch.no_grad(), shifted(used, [], 0.0, first.end(used, again=False)) as walk:
            w = walk.saved
            mu = [p.clone() for p in w]
            for step in range(self.steps):
                if step:
                    first.same_inputs()
                    _, same, g = self._gradient(closures[step % len(closures)], scale)
                    if [id(p) for p in same] != [id(p) for p in used]:
                        raise RuntimeError("the closure's loss depends on other parameters than before")
                self._walk(used, w, g, gamma)
                torch._foreach_lerp_(mu, used, self.average)
            force = torch._foreach_sub(w, mu)
        self._add_to_grad(used, force, gamma if scale is None else gamma * scale(torch.ones_like(loss)))
        self.t += 1
        return loss

    def _walk(self, moving: list[Tensor], w: list[Tensor], g: Tensors, gamma: float) -> None:
        pull = torch._foreach_sub(w, moving)
        torch._foreach_add_(moving, g, alpha=-self.lr)
        torch._foreach_add_(moving, pull, alpha=self.lr * gamma)
        forget_cached_weights()
        if self.noise:
            for p in moving:
                p = torch.view_as_real(p) if p.is_complex() else p
                draw = torch.randn(p.shape, generator=self._generator, dtype=p.dtype)
                p.add_(draw.to(p.device), alpha=self.lr**0.5 * self.noise)

    def _mini_batches(self, closure: Closure) -> list[Closure]:
        if not isinstance(closure, BatchLoss):
            return [closure]
        parts = closure.parts(-(-len(closure) // self.steps))
        return [lambda part=part: closure.mean_of_part(part) for part in parts]  # type: ignore[misc]

    def _add_to_grad(self, used: list[Tensor], force: Tensors, size: float | Tensor) -> None:
        if parallel.wrapped(self.model):
            force = parallel.averaged(force, used, self.model)
        for p, part in zip(used, force, strict=True):
            p.grad = part * size if p.grad is None else p.grad + part * size

    def state_dict(self) -> dict[str, Any]:
        return {"t": self.t, "generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.t = state["t"]
        self._generator.set_state(state["generator"])
