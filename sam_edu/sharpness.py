"""How sharp is a minimum? The worst loss in a ball of weights, and the top Hessian eigenvalue.

Neither number is invariant under rescaling of the weights (Dinh et al., ICML 2017, arXiv 1703.04933),
and neither predicts generalisation well in modern settings (Andriushchenko et al., ICML 2023, arXiv
2302.07011): report them, do not explain with them alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sam_edu import _check
from sam_edu.attacks import attack_mode
from sam_edu.objectives import perturbed
from sam_edu.objectives.sam import global_norm

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class BallLoss:
    """Result of :func:`worst_loss_in_ball`.

    Attributes
    ----------
    loss : float
        At the weights themselves.
    worst : float
        Highest loss found in the ball; a lower bound of the true maximum.
    sharpness : float
        worst - loss, >= 0.
    """

    loss: float
    worst: float

    @property
    def sharpness(self) -> float:
        return self.worst - self.loss


def worst_loss_in_ball(model: nn.Module, x: Tensor, y: Tensor, rho: float, steps: int = 20,
                       loss: Loss = cross_entropy) -> BallLoss:  # fmt: skip
    r"""Search :math:`\max_{\|e\|_2\le\rho} L(w+e)` by projected gradient ascent.

    The first step is SAM's (the full radius along the gradient); each later step moves by rho/4 along
    the normalised gradient and projects onto the ball. The best point seen counts. Where the gradient
    at w vanishes, a fixed random direction stands in for it. Eval mode, so that BatchNorm is a fixed
    function; frozen weights stay, and the others come back bit for bit.

    Parameters
    ----------
    model : torch.nn.Module
    x, y : Tensor
        One fixed batch: inputs and labels (or whatever ``loss`` compares outputs with).
    rho : float
        Radius over all weights together, >= 0.
    steps : int
    loss : callable
        ``loss(model(x), y)``, a scalar.

    Raises
    ------
    ValueError
        If rho is negative or NaN, or the loss is not finite.
    """
    rho = _check.number("rho", rho, low=0, high=float("inf"), open_high=True)
    steps = _check.integer("steps", steps, low=1)
    params = list(model.parameters())
    with attack_mode(model):
        at_w, gradient = _loss_and_gradient(model, x, y, loss, params)
        if not any(g.any() for g in gradient):
            gradient = _noise(params)
        worst, e = at_w, [g * (rho / global_norm(gradient)) for g in gradient]
        for _ in range(steps if rho > 0 else 0):
            with perturbed(model, e):
                value, gradient = _loss_and_gradient(model, x, y, loss, params)
            worst = max(worst, value)
            size = rho / 4 / global_norm(gradient)
            e = [step + size * g for step, g in zip(e, gradient, strict=True)]
            shrink = (rho / global_norm(e)).clamp(max=1)
            e = [step * shrink for step in e]
    return BallLoss(at_w, worst)


def top_eigenvalue(model: nn.Module, x: Tensor, y: Tensor, loss: Loss = cross_entropy,
                   max_iterations: int = 200, tol: float = 1e-4, seed: int = 0) -> float:  # fmt: skip
    r"""Largest eigenvalue :math:`\lambda_{\max}` of the Hessian of the loss, by power iteration.

    Hessian-vector products come from double backpropagation, in eval mode, over the trainable weights.
    Power iteration finds the eigenvalue of largest *magnitude*; where that is negative, or where two of
    opposite sign are equally large, a second run on the shifted matrix finds the largest one. (For ReLU
    networks the Hessian exists almost everywhere.)

    Parameters
    ----------
    tol : float
        Relative change of the eigenvalue at which to stop.

    Raises
    ------
    ValueError
        If the loss is not finite.
    RuntimeError
        If it has not settled after ``max_iterations``: raise the limit or ``tol``.
    """
    params = [p for p in model.parameters() if p.requires_grad]
    with attack_mode(model):
        value = loss(model(x), y)
        _check_finite(float(value.detach()))
        gradient = torch.autograd.grad(value, params, create_graph=True, materialize_grads=True)
        flat = torch.cat([g.flatten() for g in gradient])

        def hessian_times(v: Tensor) -> Tensor:
            product = torch.autograd.grad(flat, params, v, retain_graph=True, materialize_grads=True)
            return torch.cat([h.flatten() for h in product])

        top, size = _power_iteration(hessian_times, flat.detach(), max_iterations, tol, seed)
        if top >= (1 - 10 * tol) * size:  # Hv has the length of the eigenvalue: v is an eigenvector
            return top
        shifted, _ = _power_iteration(lambda v: hessian_times(v) + size * v, flat.detach(),
                                      max_iterations, tol, seed)  # fmt: skip
        return shifted - size


def _power_iteration(times: Callable[[Tensor], Tensor], like: Tensor, max_iterations: int,
                     tol: float, seed: int) -> tuple[float, float]:  # fmt: skip
    """v.Av and |Av| once v.Av has settled; they differ where v is not an eigenvector."""
    generator = torch.Generator().manual_seed(seed)
    v = torch.randn(len(like), generator=generator).to(like)
    v, before = v / v.norm(), torch.inf
    for _ in range(max_iterations):
        product = times(v)
        value, norm = float(v @ product), product.norm()
        if abs(value - before) <= tol * max(abs(value), 1e-12) or norm == 0:
            return value, float(norm)
        before = value
        v = product / norm
    raise RuntimeError(
        f"the top eigenvalue has not settled to {tol:g} in {max_iterations} iterations; "
        "raise max_iterations or tol"
    )


def _noise(params: list[nn.Parameter]) -> list[Tensor]:
    """Always the same random direction; frozen weights have no part in it."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(p.shape, generator=generator).to(p) * p.requires_grad for p in params]


def _loss_and_gradient(model: nn.Module, x: Tensor, y: Tensor, loss: Loss,
                       params: list[nn.Parameter]) -> tuple[float, list[Tensor]]:  # fmt: skip
    value = loss(model(x), y)
    trainable = [p for p in params if p.requires_grad]
    found = iter(torch.autograd.grad(value, trainable, materialize_grads=True))
    gradient = [next(found) if p.requires_grad else torch.zeros_like(p) for p in params]
    return _check_finite(float(value.detach())), gradient


def _check_finite(value: float) -> float:
    if not abs(value) < float("inf"):
        raise ValueError(f"the loss is {value}: look at the data and the weights first")
    return value
