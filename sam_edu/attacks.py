"""What perturbs the inputs: FGSM and PGD, with eps always in the units of the input.

An attack sees the model as a function of pixels in [0, 1]; normalisation lives inside the model
(``models.Normalized``), so eps = 8/255 means eight grey levels for every model. Attacks differentiate
with respect to the input only, and leave modes, gradients and torch's global random state as found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from sam_edu import _check
from sam_edu._ascent import ascend
from sam_edu._balls import Ball
from sam_edu._guards import Clip, Model, check_inputs, eval_mode


def margin_loss(logits: Tensor, y: Tensor) -> Tensor:
    """Largest wrong logit minus the right one, per sample: positive exactly where y is not predicted.

    Unlike the cross-entropy its gradient does not vanish on saturated logits (Carlini, Wagner 2017).

    Examples
    --------
    >>> margin_loss(torch.tensor([[2.0, 0.5], [0.0, 1.0]]), torch.tensor([0, 0])).tolist()
    [-1.5, 1.0]
    """
    right = logits.gather(1, y[:, None]).squeeze(1)
    return logits.scatter(1, y[:, None], -torch.inf).amax(1) - right


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "ce": lambda logits, y: cross_entropy(logits, y, reduction="none"),
    "margin": margin_loss,
}


def fgsm(model: Model, x: Tensor, y: Tensor, eps: float, clip: Clip = (0.0, 1.0), loss: str = "ce") -> Tensor:
    r"""Fast gradient sign method (Goodfellow, Shlens, Szegedy, ICLR 2015, arXiv 1412.6572).

    .. math:: x' = \mathrm{clip}\big(x + \epsilon\,\mathrm{sign}\,\nabla_x \ell(f(x), y)\big)

    Parameters and errors as in :func:`pgd`.

    Examples
    --------
    >>> w = torch.tensor([[1.0, -2.0], [-1.0, 2.0]])
    >>> x, y = torch.tensor([[0.5, 0.5]]), torch.tensor([1])
    >>> fgsm(lambda x: x @ w.T, x, y, eps=0.1)
    tensor([[0.6000, 0.4000]])
    """
    return pgd(model, x, y, eps, steps=1, step_size=eps, random_start=False, clip=clip, loss=loss)


def pgd(
    model: Model,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: str = "linf",
    steps: int = 10,
    step_size: float | None = None,
    restarts: int = 1,
    random_start: bool = True,
    clip: Clip = (0.0, 1.0),
    loss: str = "ce",
    stop_when_fooled: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Projected gradient descent (Madry et al., ICLR 2018, arXiv 1706.06083).

    .. math:: x^{t+1} = \Pi\big(x^t + \alpha\,u(\nabla_x\ell(f(x^t), y))\big),\qquad
              u(g) = \mathrm{sign}\,g \;(\ell_\infty),\quad g/\|g\|_2 \;(\ell_2)

    where the projection goes onto the eps-ball around x and then onto the box ``clip``. For a model whose
    slope is 0 at the very ends of the box alone (it begins with a ReLU, and pixels are black), gradients are
    taken a few roundings inside.

    Parameters
    ----------
    model : callable
        Maps inputs (n, ...) to logits (n, classes). A Module is attacked in eval mode.
    x, y : Tensor
        Inputs (n, ...) inside ``clip``; labels (n,), whole numbers from 0 to classes - 1.
    eps : float
        Radius, >= 0, in the units of x; eps = 0 returns x bit for bit.
    norm : {"linf", "l2"}
        Per sample, over all dimensions but the first.
    steps, restarts : int
        Steps per restart. With several restarts each sample keeps the end point of highest loss.
    step_size : float, optional
        Default eps/4, so that it scales with eps.
    random_start : bool
        Start uniformly in the ball (l2: uniform direction, radius eps * U**(1/dim)).
    clip : (low, high) or None
        The box of valid inputs; None for unbounded features.
    loss : {"ce", "margin"}
    stop_when_fooled : bool
        For evaluation: a sample that is misclassified at any iterate is kept as it is and costs no
        further gradient.
    generator : torch.Generator, optional
        Source of the random starts, on x's device. By default a generator of this module: torch's
        global one is never drawn from.

    Raises
    ------
    ValueError
        If eps, steps or another number is out of range; if x is outside ``clip``, is not finite, or does
        not fit y; if the model returns anything but logits (n, classes) that fit the labels, or its logits
        do not depend on x in a way that can be differentiated.
    TypeError
        If x or y is no tensor, or the model returns a tuple, a dict or another object.

    Warns
    -----
    RuntimeWarning
        If the first or the last gradient is NaN or infinite somewhere. The result is finite all the same:
        where the gradient is NaN the input stays put, so the attack is weaker than it looks.

    Examples
    --------
    >>> x, y = torch.full((1, 3), 0.5), torch.tensor([0])
    >>> model = torch.nn.Linear(3, 2)
    >>> moved = pgd(model, x, y, eps=8 / 255)
    >>> bool((moved - x).abs().max() <= 8 / 255)
    True
    >>> torch.equal(pgd(model, x, y, eps=0), x)
    True
    """
    steps = _check.integer("steps", steps, low=1)
    restarts = _check.integer("restarts", restarts, low=1)
    eps = _check.number(
        "eps", eps, low=0, high=float("inf"), open_high=True, hint="it is the radius of the attack"
    )
    size = eps / 4 if step_size is None else _check.number("step_size", step_size, low=0)
    loss_of = LOSSES[_check.choice("loss", loss, LOSSES)]
    _check.choice("norm", norm, ("linf", "l2"))
    y = check_inputs(x, y, clip, ", or pass clip=None for plain features")
    if eps == 0 or len(x) == 0:
        return x.detach().clone()

    generator = generator or _own_generator(x.device)
    with eval_mode(model):
        whole = Ball(norm, x.detach(), eps, clip)
        if restarts == 1:
            start = whole.random_point(generator) if random_start else whole.centre
            return ascend(model, whole, start, y, steps, size, loss_of, stop_when_fooled)[0]
        best, best_loss = x.detach().clone(), x.new_full((len(x),), -torch.inf)
        left = torch.arange(len(x), device=x.device)  # samples that still have to be fooled
        for _ in range(restarts):
            # A start for every sample: where one starts does not depend on which others have fallen.
            start = whole.random_point(generator) if random_start else whole.centre
            standing = (whole, start, y) if len(left) == len(x) else (whole[left], start[left], y[left])
            found, fooled = ascend(model, *standing, steps, size, loss_of, stop_when_fooled)
            with torch.no_grad():
                end_loss = loss_of(model(found.clone()), y[left])  # a copy: models may work in place
            better = fooled | (end_loss > best_loss[left])
            best[left[better]] = found[better]
            best_loss[left[better]] = end_loss[better].to(best_loss.dtype)
            left = left[~fooled]
            if len(left) == 0:
                break
    return best


_generators: dict[torch.device, torch.Generator] = {}


def _own_generator(device: torch.device) -> torch.Generator:
    if device not in _generators:
        _generators[device] = torch.Generator(device).manual_seed(0)
    return _generators[device]


@dataclass(frozen=True)
class FGSM:
    """:func:`fgsm` with its settings, called as ``attack(model, x, y)``.

    Examples
    --------
    >>> attack = FGSM(eps=8 / 255)
    >>> moved = attack(torch.nn.Linear(3, 2), torch.full((1, 3), 0.5), torch.tensor([0]))
    >>> moved.shape
    torch.Size([1, 3])
    """

    eps: float
    clip: Clip = (0.0, 1.0)
    loss: str = "ce"

    def __post_init__(self) -> None:
        _check.number("eps", self.eps, low=0)

    def __call__(self, model: Model, x: Tensor, y: Tensor) -> Tensor:
        return fgsm(model, x, y, self.eps, self.clip, self.loss)


@dataclass(frozen=True)
class PGD:
    """:func:`pgd` with its settings, called as ``attack(model, x, y)``.

    Examples
    --------
    >>> attack = PGD(eps=8 / 255, steps=3)
    >>> moved = attack(torch.nn.Linear(3, 2), torch.full((1, 3), 0.5), torch.tensor([0]))
    >>> moved.shape
    torch.Size([1, 3])
    """

    eps: float
    norm: str = "linf"
    steps: int = 10
    step_size: float | None = None
    restarts: int = 1
    random_start: bool = True
    clip: Clip = (0.0, 1.0)
    loss: str = "ce"
    stop_when_fooled: bool = False
    generator: torch.Generator | None = None

    def __post_init__(self) -> None:
        _check.number("eps", self.eps, low=0)

    def __call__(self, model: Model, x: Tensor, y: Tensor) -> Tensor:
        return pgd(model, x, y, **vars(self))

    def drawing_from(self, generator: torch.Generator) -> PGD:
        """The same attack with its random starts drawn from ``generator``."""
        return replace(self, generator=generator)
