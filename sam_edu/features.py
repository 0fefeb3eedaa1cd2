r"""How much does a model rely on non-robust features of images? Three measures (chapter 10).

``fourier_map``  which spatial frequencies fool it     (Yin et al. 2019, arXiv 1906.08988)
``alignment``    do its gradients look like the image  (after Etmann et al. 2019, arXiv 1905.04172)
                 ``mean_alignment``: or like the difference of two class means
``relabelled``   a training set whose labels belong to small perturbations made with the model; what a fresh
                 model learns from it, it learned from features that eps can change
                 (Ilyas et al. 2019, arXiv 1905.02175)

In the toy model reliance is one number, w_nr / w1. In images nobody hands us the features, so each measure
answers a narrower question; none is *the* reliance.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy

from sam_edu import _check
from sam_edu._balls import Ball
from sam_edu._guards import Model, at_leaf, check_inputs, check_logits, eval_mode, hits, input_gradient


def fourier_basis(height: int, width: int) -> Tensor:
    """Real waves of unit l2 norm, one per frequency: shape (height, width, height, width).

    The first two axes are the vertical and horizontal frequency, frequency 0 at [height//2, width//2].
    A frequency and its mirror image hold the same wave a quarter of a period apart; all together they are
    an orthonormal basis (Hartley's).

    Examples
    --------
    >>> waves = fourier_basis(8, 8).flatten(2).flatten(0, 1)
    >>> torch.allclose(waves @ waves.T, torch.eye(64), atol=1e-5)
    True
    """
    rows = torch.arange(_check.integer("height", height, low=1), dtype=torch.float64)
    columns = torch.arange(_check.integer("width", width, low=1), dtype=torch.float64)
    i, j = (rows - height // 2) / height, (columns - width // 2) / width
    phase = i[:, None, None, None] * rows[:, None] + j[:, None, None] * columns
    wave = torch.cos(2 * math.pi * phase) + torch.sin(2 * math.pi * phase)
    return (wave / wave.flatten(2).norm(dim=2)[..., None, None]).float()


def fourier_map(model: nn.Module, x: Tensor, y: Tensor, size: float, seed: int = 0) -> Tensor:
    r"""Error rate when one frequency of l2 norm ``size`` is added to every image: a heat map.

    .. math:: M_{ij} = P\big(f(x + r\,v\,U_{ij}) \ne y\big), \qquad r = \pm1 \text{ at random}

    The wave is the same in all channels and its total norm is ``size``; pixels are not clipped, as clipping
    would spread one frequency over many.

    Parameters
    ----------
    x, y : Tensor
        Images (n, channels, height, width) in [0, 1], labels (n,).
    size : float
        v, the l2 norm of the perturbation, >= 0.

    Returns
    -------
    Tensor
        Error rates of shape (height, width), frequency 0 at [height//2, width//2].

    Raises
    ------
    ValueError
        If x is no batch of images in [0, 1] that fits y, or size is negative.
    """
    y = check_inputs(x, y)
    _images(x)
    size = _check.number("size", size, low=0, high=math.inf, open_high=True)
    height, width = x.shape[2:]
    waves = fourier_basis(height, width).to(x) * size / math.sqrt(x.shape[1])
    sign = torch.randint(0, 2, (len(x), 1, 1, 1), generator=torch.Generator().manual_seed(seed))
    sign = (2 * sign - 1).to(x)
    errors = torch.zeros(height, width)
    with eval_mode(model), torch.no_grad():
        for i in range(height):
            for j in range(width):
                right = hits(check_logits(model(x + sign * waves[i, j]), len(x)), y)
                errors[i, j] = (~right).float().mean()
    return errors


def by_frequency(heat: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of a map over rings of equal frequency: (rings,) frequencies 0, 1, 2, ... and (rings,) means.

    A frequency is the distance from the centre, rounded, up to half the shorter side; corners are left out.

    Examples
    --------
    >>> frequencies, means = by_frequency(torch.ones(8, 8))
    >>> frequencies.tolist(), means.tolist()
    ([0, 1, 2, 3, 4], [1.0, 1.0, 1.0, 1.0, 1.0])
    """
    if heat.dim() != 2:
        raise ValueError(f"heat must have shape (height, width), got {tuple(heat.shape)}")
    height, width = heat.shape
    rows, columns = torch.arange(height) - height // 2, torch.arange(width) - width // 2
    ring = torch.hypot(rows[:, None].float(), columns[None].float()).round().long()
    radii = torch.arange(min(height, width) // 2 + 1)
    return radii, torch.stack([heat[ring == r].mean() for r in radii])


def alignment(model: Model, x: Tensor) -> Tensor:
    r"""How far the gradient of the predicted class's logit looks like the image, per sample.

    .. math:: \alpha(x) = \frac{|\langle x, \nabla_x f_k(x)\rangle|}{\|x\|\,\|\nabla_x f_k(x)\|},
              \qquad k = \arg\max_i f_i(x)

    Etmann et al. leave the division by :math:`\|x\|` out; with it, 1 means parallel and images of different
    brightness compare. A gradient of exactly 0 counts as 0.

    Returns
    -------
    Tensor
        Shape (n,), in [0, 1].

    Raises
    ------
    ValueError
        If x is no batch in [0, 1], or a gradient is NaN or infinite: then nothing can be said about it.

    Examples
    --------
    >>> linear = torch.nn.Linear(4, 2, bias=False)
    >>> alignment(linear, torch.ones(3, 4)).shape
    torch.Size([3])
    """
    _check_images(x)
    with eval_mode(model):
        x = x.detach().requires_grad_()
        logits = check_logits(at_leaf(model, x.clone()), len(x))
        gradient = _finite(input_gradient(logits.amax(1), x, torch.ones_like(logits[:, 0])))
    return cosine_similarity(x.detach().flatten(1), gradient.flatten(1), dim=1).abs()


def mean_alignment(model: Model, x: Tensor, means: Tensor) -> Tensor:
    r"""Cosine between the gradient that separates the two likeliest classes and the line between their means.

    .. math:: \cos\angle\big(\nabla_x (f_k - f_j)(x),\; \mu_k - \mu_j\big)

    with k the predicted class and j the runner-up. A model that uses each pixel by how far apart the classes
    are there has 1; one that exploits pixels where the means hardly differ has less.

    Parameters
    ----------
    x : Tensor
        Images (n, ...) in [0, 1].
    means : Tensor
        Mean image of each class, (classes, ...).

    Returns
    -------
    Tensor
        Shape (n,), in [-1, 1].
    """
    _check_images(x)
    with eval_mode(model):
        x = x.detach().requires_grad_()
        logits = check_logits(at_leaf(model, x.clone()), len(x))
        if means.shape != (logits.shape[1], *x.shape[1:]):
            raise ValueError(
                f"means must hold one image per class, shape {(logits.shape[1], *x.shape[1:])}; "
                f"got {tuple(means.shape)}"
            )
        top = logits.topk(2, dim=1)
        gap = top.values[:, 0] - top.values[:, 1]
        gradient = _finite(input_gradient(gap, x, torch.ones_like(gap)))
    line = means[top.indices[:, 0]] - means[top.indices[:, 1]]
    return cosine_similarity(line.flatten(1), gradient.flatten(1), dim=1)


def relabelled(
    model: Model, x: Tensor, classes: int, eps: float, norm: str = "l2", steps: int = 20, seed: int = 0
) -> tuple[Tensor, Tensor]:
    r"""A training set whose labels only the model's own small perturbations justify.

    Each image gets a target t drawn at random, then targeted PGD,

    .. math:: x' \approx \arg\min_{\|x'-x\|\le\epsilon} \ell(f(x'), t),

    and the label t. To a person x' still shows what x showed, and t says nothing about that. A new model
    trained on (x', t) that is right about *unperturbed test images* has learned from features which a change
    of size eps plants, and which are predictive all the same: useful, not robust, and known to ``model``.

    Parameters
    ----------
    x : Tensor
        Images in [0, 1].
    classes : int
        Number of classes that t is drawn from, uniformly, at least 2.
    eps : float
        Radius, >= 0; at 0 the labels are pure chance.
    norm : {"l2", "linf"}
    steps : int
        Steps of size 2.5*eps/steps.

    Returns
    -------
    (x', t)
        Of the shapes (n, ...) and (n,).

    Raises
    ------
    ValueError
        If a number is out of range, x is no batch in [0, 1], or a gradient is NaN or infinite.
    """
    classes = _check.integer("classes", classes, low=2)
    steps = _check.integer("steps", steps, low=1)
    eps = _check.number("eps", eps, low=0, high=math.inf, open_high=True)
    _check.choice("norm", norm, ("l2", "linf"))
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(0, classes, (len(x),), generator=generator).to(x.device)
    check_inputs(x, target)
    if eps == 0:
        return x.detach().clone(), target
    ball, moved = Ball(norm, x.detach(), eps, (0.0, 1.0)), x.detach()
    with eval_mode(model):
        for _ in range(steps):
            moved = moved.detach().requires_grad_()
            losses = cross_entropy(
                check_logits(at_leaf(model, moved.clone()), len(x)), target, reduction="none"
            )
            gradient = _finite(input_gradient(losses, moved, torch.ones_like(losses)))
            moved = ball.step(moved.detach(), -gradient, 2.5 * eps / steps)
    return moved, target


def _check_images(x: Tensor) -> None:
    check_inputs(x, torch.zeros(len(x), dtype=torch.long))


def _finite(gradient: Tensor) -> Tensor:
    bad = ~torch.isfinite(gradient).flatten(1)
    if bad.any():
        images = bad.any(1)
        raise ValueError(
            f"the model's input gradient is NaN or infinite on {float(images.double().mean()):.0%} of the "
            f"images, at {float(bad[images].double().mean()):.0%} of their pixels; find the root, logarithm "
            "or division at 0 before measuring"
        )
    return gradient


def _images(x: Tensor) -> None:
    if x.dim() != 4:
        raise ValueError(f"x must be images of shape (n, channels, height, width), got {tuple(x.shape)}")
