"""For readers who come from davda54/sam: the same two steps, as a torch optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from sam_edu.objectives.perturb import length, move, ratio


class SAMOptimizer(torch.optim.Optimizer):
    """SAM around a torch optimizer, with the interface of the ``sam.py`` of github.com/davda54/sam::

        loss_of(model(x), y).backward()
        optimizer.first_step(zero_grad=True)
        loss_of(model(x), y).backward()
        optimizer.second_step(zero_grad=True)

    or, after a first ``backward()``, ``optimizer.step(closure)`` with a closure that does the second one.
    Where it departs from the original: ``state_dict`` holds the base optimizer's state (momentum), the
    weights are copied back in place and all of them, and schedulers see the step. What it shares with it:
    two passes at two sets of weights are yours to get right (BatchNorm, accumulation, GradScaler);
    :class:`~sam_edu.objectives.SAM` takes care of them.

    Parameters
    ----------
    params : iterable
        Parameters or parameter groups; a group may have its own ``rho`` and ``adaptive``.
    base_optimizer : type
        Such as ``torch.optim.SGD``; ``kwargs`` are its arguments.
    rho : float
        Radius, >= 0.
    adaptive : bool
        The ball of ASAM with eta = 0, for every tensor.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = SAMOptimizer(model.parameters(), torch.optim.SGD, rho=0.05, lr=0.1)
    >>> len(optimizer.param_groups)
    1
    """

    def __init__(self, params: Iterable[Any], base_optimizer: Callable[..., torch.optim.Optimizer],
                 rho: float = 0.05, adaptive: bool = False, **kwargs: Any) -> None:  # fmt: skip
        if rho < 0:
            raise ValueError(f"rho must be >= 0, got {rho}")
        super().__init__(params, {"rho": rho, "adaptive": adaptive, **kwargs})
        self.base_optimizer = base_optimizer(self.param_groups, **kwargs)
        self.param_groups, self.state = self.base_optimizer.param_groups, self.base_optimizer.state
        self.defaults.update(self.base_optimizer.defaults)
        self._moved: list[tuple[Tensor, Tensor]] = []

    @torch.no_grad()
    def first_step(self, zero_grad: bool = False) -> None:
        t = lambda p, group: p.abs() if group["adaptive"] else 1.0  # noqa: E731
        used = [(p, group) for group in self.param_groups for p in group["params"] if p.grad is not None]
        norm = length([p.grad * t(p, group) for p, group in used]) if used else 0.0
        self._moved = [(p, p.clone()) for p, _ in used]
        for p, group in used:
            move([p], [p.grad * t(p, group) ** 2], ratio(group["rho"], norm))
        if zero_grad:
            self.zero_grad()

    def second_step(self, zero_grad: bool = False) -> None:
        self.step()
        if zero_grad:
            self.zero_grad()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        try:
            loss = None
            if closure is not None:
                self.first_step(zero_grad=True)
                loss = torch.enable_grad()(closure)()
        finally:
            for p, w in self._moved:
                p.copy_(w)
            self._moved = []
        self.base_optimizer.step()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.base_optimizer.load_state_dict(state_dict)
        self.param_groups, self.state = self.base_optimizer.param_groups, self.base_optimizer.state
