"""How sharp is a minimum? The worst loss in a ball of weights, the mean loss in noise, the top eigenvalue.

These numbers change when a ReLU network is rescaled without changing what it computes (Dinh et al.,
ICML 2017, arXiv 1703.04933); with ``adaptive=True`` weights are measured in units of their own size
(Kwon et al., ICML 2021, arXiv 2102.11600) and they do not. Neither kind predicts generalisation well in
modern settings (Andriushchenko et al., ICML 2023, arXiv 2302.07011): report, do not explain by it alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sam_edu import _check
from sam_edu._curvature import power_iteration, twice_differentiable, warn_unless_symmetric
from sam_edu._guards import eval_mode
from sam_edu._loss import Loss, differentiable, finite, loss_and_gradient, outputs, warn_if_unmoved
from sam_edu.objectives import perturbed
from sam_edu.objectives.sam import global_norm


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


def worst_loss_in_ball(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    rho: float,
    steps: int = 20,
    loss: Loss = cross_entropy,
    adaptive: bool = False,
) -> BallLoss:
    r"""Search :math:`\max_{\|e\|_2\le\rho} L(w+e)` by projected gradient ascent.

    With ``adaptive`` the ball is :math:`\|e/|w|\,\|_2\le\rho` (entry by entry): relative changes count,
    and weights that are 0 stay.

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
    adaptive : bool

    Raises
    ------
    ValueError
        If rho is negative or NaN, or the loss is not finite.

    Warns
    -----
    RuntimeWarning
        If the model is the same at the moved weights, to the last bit: it uses a copy of them.

    Examples
    --------
    >>> model, x, y = nn.Linear(3, 2), torch.ones(4, 3), torch.tensor([0, 0, 1, 1])
    >>> found = worst_loss_in_ball(model, x, y, rho=0.1)
    >>> found.worst > found.loss
    True
    """
    rho = _check.number("rho", rho, low=0, high=float("inf"), open_high=True)
    steps = _check.integer("steps", steps, low=1)
    params = list(model.parameters())
    units = _units(params, adaptive)  # the search walks in u = e / units, where the ball is round
    with eval_mode(model):
        at_w, gradient = loss_and_gradient(model, x, y, loss, params)
        if not any(g.any() for g in gradient):
            gradient = _noise(params)
        gradient = list(torch._foreach_mul(gradient, units))
        values, u = [at_w], torch._foreach_mul(gradient, rho / global_norm(gradient))
        for _ in range(steps if rho > 0 else 0):
            with perturbed(model, torch._foreach_mul(u, units)):
                value, gradient = loss_and_gradient(model, x, y, loss, params)
            values.append(value)
            gradient = list(torch._foreach_mul(gradient, units))
            u = torch._foreach_add(u, torch._foreach_mul(gradient, rho / 4 / global_norm(gradient)))
            u = torch._foreach_mul(u, (rho / global_norm(u)).clamp(max=1))
    if rho > 0 and max(values) != 0:  # a loss of exactly 0 is rounded: it may stay, and be flat
        warn_if_unmoved(min(values), max(values))  # the loss has a slope, so it is no step function
    return BallLoss(at_w, max(values))


def average_loss(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    sigma: float,
    draws: int = 20,
    loss: Loss = cross_entropy,
    seed: int = 0,
) -> float:
    r"""Mean of :math:`L(w+\sigma z)` over ``draws`` Gaussian z: the flatness of a typical direction.

    Eval mode; frozen weights stay, and the others come back bit for bit. A length
    :math:`\|\sigma z\|\approx\sigma\sqrt k` belongs to k weights.

    Raises
    ------
    ValueError
        If sigma is negative or NaN.

    Warns
    -----
    RuntimeWarning
        If the model is the same at the moved weights, to the last bit: it uses a copy of them.

    Examples
    --------
    >>> model, x, y = nn.Linear(3, 2), torch.ones(4, 3), torch.tensor([0, 0, 1, 1])
    >>> found = average_loss(model, x, y, sigma=0.0)
    >>> bool(abs(found - torch.nn.functional.cross_entropy(model(x), y)) < 1e-6)
    True
    """
    sigma = _check.number("sigma", sigma, low=0, high=float("inf"), open_high=True)
    draws = _check.integer("draws", draws, low=1)
    params = list(model.parameters())
    generator = torch.Generator().manual_seed(seed)
    total, seen = 0.0, list[Tensor]()
    with eval_mode(model), torch.no_grad():
        for _ in range(draws):
            with perturbed(model, [sigma * z for z in _noise(params, generator)]):
                found = outputs(model, x)
                total += float(loss(found, y).detach())
                if len(seen) < 2 and isinstance(found, Tensor):
                    seen.append(found.clone())  # it may be a weight itself, which moves back
    if sigma > 0 and len(seen) == 2:  # outputs: the loss may be a count of errors, which has steps
        warn_if_unmoved(*seen)
    return total / draws


def top_eigenvalue(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    loss: Loss = cross_entropy,
    max_iterations: int = 200,
    tol: float = 1e-4,
    seed: int = 0,
    adaptive: bool = False,
) -> float:
    r"""Largest eigenvalue :math:`\lambda_{\max}` of the Hessian of the loss, by power iteration.

    Hessian-vector products come from double backpropagation, in eval mode, over the trainable weights.
    Power iteration finds the eigenvalue of largest *magnitude*; where that is negative, or where two of
    opposite sign are equally large, a second run on the shifted matrix finds the largest one. (For ReLU
    networks the Hessian exists almost everywhere.)

    Parameters
    ----------
    tol : float
        Relative change of the eigenvalue at which to stop.
    adaptive : bool
        Take :math:`DHD` with :math:`D=\mathrm{diag}|w|`, the Hessian in relative changes of the weights.

    Raises
    ------
    ValueError
        If the loss is not finite or cannot be differentiated, or a weight is complex.
    RuntimeError
        If it has not settled after ``max_iterations``: raise the limit or ``tol``. If a part of the model
        has no second derivative in torch; attention is computed by torch's plain formula, which has one.

    Warns
    -----
    RuntimeWarning
        If a part of the model hides its second derivative, so that the eigenvalue is a wrong one.

    Examples
    --------
    >>> model, x, y = nn.Linear(1, 1, bias=False), torch.tensor([[1.0], [2.0]]), torch.zeros(2, 1)
    >>> round(top_eigenvalue(model, x, y, loss=torch.nn.functional.mse_loss), 4)  # 2 * mean of x^2
    5.0
    """
    params = [p for p in model.parameters() if p.requires_grad]
    if any(p.is_complex() for p in params):
        raise ValueError("the model has complex weights: store them as real ones (torch.view_as_real)")
    with eval_mode(model), twice_differentiable(model):
        value = differentiable(loss(outputs(model, x), y))
        finite(float(value.detach()))
        gradient = torch.autograd.grad(value, params, create_graph=True, materialize_grads=True)
        if not any(g.requires_grad for g in gradient):
            return 0.0  # linear in the weights
        flat = torch.cat([g.flatten() for g in gradient])
        units = torch.cat([u.flatten() for u in _units(params, adaptive)])

        def hessian_times(v: Tensor) -> Tensor:
            along = units * v
            product = torch.autograd.grad(flat, params, along, retain_graph=True, materialize_grads=True)
            return units * torch.cat([h.flatten() for h in product])

        warn_unless_symmetric(hessian_times, flat.detach())
        top, size = power_iteration(hessian_times, flat.detach(), max_iterations, tol, seed)
        if top >= (1 - 10 * tol) * size:  # Hv has the length of the eigenvalue: v is an eigenvector
            return top
        shifted, _ = power_iteration(
            lambda v: hessian_times(v) + size * v, flat.detach(), max_iterations, tol, seed
        )
        return shifted - size


def _noise(params: list[nn.Parameter], generator: torch.Generator | None = None) -> list[Tensor]:
    """Gaussian numbers, by default always the same; frozen weights have no part in it."""
    generator = generator or torch.Generator().manual_seed(0)
    return [torch.randn(p.shape, generator=generator).to(p) * p.requires_grad for p in params]


def _units(params: list[nn.Parameter], adaptive: bool) -> list[Tensor]:
    """What one unit of each weight is: 1, or the weight's own size."""
    return [p.detach().abs() if adaptive else torch.ones_like(p) for p in params]
