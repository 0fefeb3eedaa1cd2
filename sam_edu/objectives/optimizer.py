"""For readers who come from davda54/sam: the same two steps, as a torch optimizer."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from sam_edu import _check
from sam_edu.objectives.parallel import partial_shards
from sam_edu.objectives.passes import FirstPass, WeightsStay
from sam_edu.objectives.perturb import dense, forget_cached_weights, length, move, ratio
from sam_edu.objectives.state import State


class SAMOptimizer(torch.optim.Optimizer):
    """SAM around a torch optimizer, with the interface of the ``sam.py`` of github.com/davda54/sam::

        loss_of(model(x), y).backward()
        optimizer.first_step(zero_grad=True)
        loss_of(model(x), y).backward()
        optimizer.second_step(zero_grad=True)

    or ``optimizer.step(closure)`` as torch has it, with a closure that clears the gradients, computes the
    loss, calls ``backward()`` and returns the loss: it is called at w and at w + e. So it works in trainers
    that pass a closure (Lightning, skorch). ``step()`` without a closure and without a first step would be a
    plain step, and raises. What was in ``p.grad`` before ``step(closure)`` is not used.

    Where it departs from the original: ``state_dict`` holds the base optimizer's state (momentum), the
    weights are copied back in place and all of them, schedulers see the step, groups with ``maximize`` climb
    to smaller values, and with ``step(closure)`` both passes see the same random numbers and count once.
    With ``first_step`` and ``second_step`` this is yours to get right, as are accumulation and GradScaler;
    :class:`~sam_edu.objectives.SAM` takes care of them. Parameters sharded by ``fully_shard`` are welcome.

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

    Raises
    ------
    ValueError, TypeError
        If a radius is negative, NaN or infinite, or ``base_optimizer`` is not a class of optimizers that
        step without a closure.
    RuntimeError
        In ``step()`` without ``first_step()``, in a second ``first_step()`` or one that finds no gradient,
        and where an optimizer steps inside the second backward pass.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = SAMOptimizer(model.parameters(), torch.optim.SGD, rho=0.05, lr=0.1)
    >>> len(optimizer.param_groups)
    1
    """

    def __init__(
        self,
        params: Iterable[Any],
        base_optimizer: Callable[..., torch.optim.Optimizer],
        rho: float = 0.05,
        adaptive: bool = False,
        **kwargs: Any,
    ) -> None:
        if isinstance(base_optimizer, torch.optim.Optimizer) or not callable(base_optimizer):
            raise TypeError(
                "base_optimizer must be a class, with its arguments beside it: SAMOptimizer(p, "
                f"SGD, lr=0.1); got {type(base_optimizer).__name__}"
            )
        super().__init__(params, {"rho": rho, "adaptive": adaptive, **kwargs})
        self.base_optimizer = base_optimizer(self.param_groups, **kwargs)
        closure = inspect.signature(type(self.base_optimizer).step).parameters.get("closure")
        if closure is not None and closure.default is inspect.Parameter.empty:
            raise TypeError(
                f"{type(self.base_optimizer).__name__} calls its closure as often as it likes, "
                "no place for SAM's two passes: choose another base_optimizer"
            )
        self.param_groups, self.state = self.base_optimizer.param_groups, self.base_optimizer.state
        self.defaults.update(self.base_optimizer.defaults)
        self._forget()

    def _forget(self) -> None:
        self._moved: list[tuple[Tensor, Tensor]] | None = None  # None: at w, no first step
        self._watch: WeightsStay | None = None
        self._left: dict[int, int] = {}  # gradients as the last step left them, with their versions
        self._state = State(nn.Module())  # of the modules that closures reach

    def __getattr__(self, name: str) -> Any:
        """What else the base optimizer can do, such as ``train()`` and ``eval()`` of a schedule-free one."""
        if name.startswith("_") or "base_optimizer" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.base_optimizer, name)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        settings = {**self.defaults, **param_group}
        param_group["rho"] = _check.number("rho", settings["rho"], low=0, high=float("inf"), open_high=True)
        _check.choice("adaptive", settings["adaptive"], (True, False))
        super().add_param_group(param_group)
        partial_shards(self.param_groups[-1]["params"])

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "base_optimizer": self.base_optimizer, "moved": self._moved}

    def __setstate__(self, state: dict[str, Any]) -> None:
        moved = state.pop("moved", None)
        super().__setstate__(state)
        self._forget()
        self._moved = moved

    @torch.no_grad()
    def first_step(self, zero_grad: bool = False) -> None:
        if self._moved is not None:
            self._back()
            raise RuntimeError(
                "first_step() came twice, without a second_step() in between: the weights are "
                "back where they were; compute the gradient there anew"
            )
        used = [(p, group) for group in self.param_groups for p in group["params"] if p.grad is not None]
        if not used:
            raise RuntimeError(
                "first_step() found no gradient, so there is no way up and the step would be a plain one: "
                "call backward() before it, and zero_grad() (a hook's, too) only after it"
            )
        g = dense([p.grad for p, _ in used])
        t = [p.abs() if group["adaptive"] else 1.0 for p, group in used]
        norm = length([part * scale for part, scale in zip(g, t, strict=True)])
        self._moved = [(p, p.clone()) for p, _ in used]
        for (p, group), part, scale in zip(used, g, t, strict=True):
            sign = -1 if group.get("maximize") else 1  # the worst values of what is maximised are below
            move([p], [part * scale**2], sign * ratio(group["rho"], norm))
        self._watch = WeightsStay([p for p, _ in used], only_hooked=True)
        if zero_grad:
            self.zero_grad()

    def second_step(self, zero_grad: bool = False) -> None:
        self.step()
        if zero_grad:
            self.zero_grad()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        if closure is not None:
            return self._both_steps(closure)
        if self._moved is None and self._gradient_is_not_zero():
            raise RuntimeError(
                "step() without a first step would be a plain step, not SAM: call first_step, "
                "backward() and second_step(), or step(closure)"
            )
        self._back(check=True)
        self.base_optimizer.step()
        return None

    def _both_steps(self, closure: Callable[[], Any]) -> Any:
        if self._moved is not None:
            raise RuntimeError("step(closure) makes both steps: do not call first_step() before it")
        params = [p for group in self.param_groups for p in group["params"]]
        held = [p.grad for p in params if p.grad is not None]
        foreign = [g for g in held if self._left.get(id(g)) != g._version]
        first = FirstPass(self._state, params, closure)
        self.zero_grad()
        loss = torch.enable_grad()(closure)()
        _say_if_unused(foreign, [p.grad for p in params if p.grad is not None])
        after = first.end([p for p in params if p.grad is not None])
        try:
            self.first_step(zero_grad=True)
            first.again()
            torch.enable_grad()(closure)()
        except BaseException:
            self._back()
            raise
        else:
            self._back(check=True)
        finally:
            after.put()
        self.base_optimizer.step()
        self._left = {id(p.grad): p.grad._version for p in params if p.grad is not None}
        return loss

    @torch.no_grad()
    def _back(self, check: bool = False) -> None:
        watch, self._watch = self._watch, None
        try:
            if check and watch is not None:
                watch.check()
        finally:
            for p, w in self._moved or []:
                p.copy_(w)
            self._moved = None
            forget_cached_weights()

    def _gradient_is_not_zero(self) -> bool:
        """A zero gradient has no way up; torch.distributed.checkpoint steps along one to fill the state."""
        held = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        return not held or any(bool(part.any()) for part in dense(held))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Also that of a plain optimizer, such as the base's before SAM came in: the radii then stay."""
        groups = state_dict["param_groups"]
        if len(groups) == len(self.param_groups):
            ours = [{name: group[name] for name in ("rho", "adaptive")} for group in self.param_groups]
            groups = [{**mine, **theirs} for mine, theirs in zip(ours, groups, strict=True)]
        self.base_optimizer.load_state_dict({**state_dict, "param_groups": groups})
        self.param_groups, self.state = self.base_optimizer.param_groups, self.base_optimizer.state


def _say_if_unused(held: list[Tensor], found: list[Tensor]) -> None:
    """What was in p.grad is this batch's own gradient (a first backward(), as in davda54/sam), or is lost."""
    if not held or len(held) != len(found):
        return
    pairs = zip(dense(held), dense(found), strict=True)
    inner = sum(float(torch.vdot(a.flatten(), b.flatten()).real) for a, b in pairs)
    if inner < 0.5 * float(length(dense(held))) * float(length(dense(found))):
        warnings.warn(
            "step(closure) does not use the gradients that were in p.grad (accumulated ones?); to "
            "accumulate, use the SAM objective",
            stacklevel=4,
        )
