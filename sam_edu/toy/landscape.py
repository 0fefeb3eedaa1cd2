r"""A loss of two weights with one valley, narrow at one end and wide at the other (chapter 2).

.. math:: L(w) = \beta\,(w_1^2-1)^2 + \tfrac12\,a(w_1)\,w_2^2, \qquad
          a(w_1) = a_{\rm flat} + \frac{a_{\rm sharp}-a_{\rm flat}}{1+e^{\kappa w_1}}

The valley runs along :math:`w_2 = 0`. Its floor has two minima, (-1, 0) and (1, 0), both with
loss exactly 0: training loss cannot tell them apart. What differs is the curvature across the
valley, a = 11.5 at the first and 1.5 at the second. Plain gradient descent slides into the nearest
minimum and stops. SAM keeps bouncing across the valley with an amplitude of about rho, which adds
roughly :math:`\tfrac12 a(w_1)\rho^2` to the loss that it feels, and drifts to the wide end once
that outweighs the bump of height beta between the minima (the mechanism of Bartlett, Long and
Bousquet, 2023, arXiv 2210.01513). It is a picture of SAM's mechanism, not a model of a network.

All functions take NumPy arrays or torch tensors of shape (..., 2).
"""

from __future__ import annotations

from typing import Any

import numpy as np

BETA = 0.05  #: height of the bump between the two minima
A_FLAT, A_SHARP = 1.0, 12.0  #: limits of the curvature across the valley
KAPPA = 3.0  #: how quickly the valley widens
SHARP_MINIMUM, FLAT_MINIMUM = (-1.0, 0.0), (1.0, 0.0)


def curvature(w1: Any) -> Any:
    r"""Second derivative of the loss across the valley, :math:`a(w_1)`; any shape."""
    return A_FLAT + (A_SHARP - A_FLAT) * _sigmoid(-KAPPA * w1)


def loss(w: Any) -> Any:
    """Loss at ``w`` of shape (..., 2); result of shape (...). It is 0 exactly at the two minima.

    Raises
    ------
    ValueError
        If the last axis of ``w`` is not of length 2.
    """
    w1, w2 = _split(w)
    return BETA * (w1**2 - 1) ** 2 + curvature(w1) * w2**2 / 2


def gradient(w: Any) -> Any:
    """Gradient of :func:`loss`, of the same shape and kind as ``w``."""
    w1, w2 = _split(w)
    s = _sigmoid(-KAPPA * w1)
    slope = -(A_SHARP - A_FLAT) * KAPPA * s * (1 - s)
    return _stack(4 * BETA * w1 * (w1**2 - 1) + slope * w2**2 / 2, curvature(w1) * w2)


def step(w: Any, rho: float, step_size: float) -> Any:
    r"""One step from ``w``: :math:`w - \eta\,\nabla L(w + \rho\,\nabla L(w)/\|\nabla L(w)\|)`.

    ``rho = 0`` is plain gradient descent. Where the gradient vanishes there is no direction to
    ascend along, and SAM's step is the plain one.
    """
    g = gradient(w)
    norm = ((g**2).sum(-1) ** 0.5)[..., None]
    ascent = rho * g / (norm + (norm == 0))
    return w - step_size * gradient(w + ascent)


def _split(w: Any) -> tuple[Any, Any]:
    if not hasattr(w, "shape"):
        w = np.asarray(w, dtype=float)
    if w.ndim == 0 or w.shape[-1] != 2:
        raise ValueError(f"w must have shape (..., 2), got {tuple(w.shape)}")
    return w[..., 0], w[..., 1]


def _sigmoid(x: Any) -> Any:
    e = x.exp() if hasattr(x, "exp") else np.exp(x)  # torch tensors and NumPy arrays alike
    return 1 - 1 / (1 + e)


def _stack(first: Any, second: Any) -> Any:
    if hasattr(first, "new_tensor"):
        import torch

        return torch.stack([first, second], dim=-1)
    return np.stack([first, second], axis=-1)
