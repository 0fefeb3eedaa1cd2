"""Inequalities of the book, as formulas: Tsipras's bound, the PAC-Bayes bound, how far a margin can fall."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sam_edu import _check
from sam_edu.toy.model import NRFModel

_DUAL = {"l1": np.inf, "l2": 2, "linf": 1}


def tsipras_bound(model: NRFModel, natural_error: ArrayLike) -> NDArray:
    r"""Theorem 5 (Tsipras et al., 2019, arXiv 1805.12152): what a small natural error costs.

    Every classifier, linear or not, with natural error :math:`\delta` has a robust accuracy of at most

    .. math:: \min\Big(1, \frac{p}{1-p}\,\delta\Big)

    against an l-infinity attack on the non-robust features with :math:`\epsilon\ge2\eta`. For smaller
    attacks nothing is claimed. Where the fraction exceeds 1 the bound says nothing, hence the minimum.

    Parameters
    ----------
    natural_error : array_like
        Share of clean samples misclassified, in [0, 1]; broadcast.

    Raises
    ------
    ValueError
        If an error is outside [0, 1].

    Examples
    --------
    >>> from sam_edu.toy import NRFModel
    >>> m = NRFModel(p=0.95, eta=0.1, d=100)
    >>> tsipras_bound(m, [0.01, 0.04, 0.1]).round(4).tolist()
    [0.19, 0.76, 1.0]
    """
    error = np.asarray(natural_error, dtype=float)
    if not ((error >= 0) & (error <= 1)).all():
        raise ValueError("natural_error must lie in [0, 1]: it is the share of clean samples misclassified")
    return np.minimum(1.0, model.p / (1 - model.p) * error)


def pac_bayes_bound(
    empirical_loss: ArrayLike, w_norm: ArrayLike, rho: ArrayLike, k: int, n: int, delta: float
) -> NDArray:
    r"""Right side of Theorem 23, the PAC-Bayes bound behind SAM (after Foret et al., 2021, arXiv 2010.01412).

    .. math:: \max_{\|e\|\le\rho} L_S(w+e) + \sqrt{\frac{k\ln\!\big(1+\frac{\|w\|^2}{\rho^2}
              (1+\sqrt{\ln n/k})^2\big) + 1 + 2\ln\frac n\delta + 4\ln(6n+3k)}{n-1}}

    With probability 1-delta over the sample it bounds the expected loss, for all w at once at which
    Gaussian noise of standard deviation :math:`\rho/(\sqrt k+\sqrt{\ln n})` does not lower the expected
    loss. Values above 1 say nothing (the loss lies in [0, 1]); at realistic sizes they do. It bounds the
    clean loss and says nothing of attacks.

    Parameters
    ----------
    empirical_loss : array_like
        :math:`\max_{\|e\|\le\rho} L_S(w+e)`, in [0, 1].
    w_norm, rho : array_like
        l2 norm of the weights (>= 0) and radius (> 0); broadcast.
    k, n : int
        Numbers of weights (>= 1) and of samples (>= 2).
    delta : float
        Probability that the bound fails, 0 < delta < 1.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range.

    Examples
    --------
    >>> bound = pac_bayes_bound(0.1, w_norm=10, rho=0.05, k=1_000_000, n=50_000, delta=0.05)
    >>> bool(bound > 1)  # says nothing
    True
    """
    k, n = _check.integer("k", k, low=1), _check.integer("n", n, low=2)
    delta = _check.number("delta", delta, low=0, high=1, open_low=True, open_high=True)
    loss, norm, rho = (np.asarray(value, dtype=float) for value in (empirical_loss, w_norm, rho))
    if not ((loss >= 0) & (loss <= 1)).all():
        raise ValueError("empirical_loss must lie in [0, 1]: the bound is for losses in that range")
    if not (norm >= 0).all():
        raise ValueError("w_norm must be >= 0 and not NaN")
    if not (rho > 0).all():
        raise ValueError("rho must be > 0: at rho = 0 the bound is infinite")
    complexity = k * np.log1p((norm / rho * (1 + np.sqrt(np.log(n) / k))) ** 2)
    rest = 1 + 2 * np.log(n / delta) + 4 * np.log(6 * n + 3 * k)
    return loss + np.sqrt((complexity + rest) / (n - 1))


def margin_shift(fixed: ArrayLike, radius: ArrayLike, norm: str = "l2") -> NDArray:
    r"""Theorem 12: by how much the margin y w.x falls when one factor moves in a ball and the other is fixed.

    .. math:: \max_{\|\delta\|_q\le\epsilon}\ell(y\,w\cdot(x+\delta)) = \ell(m-\epsilon\|w\|_{q'}), \qquad
              \max_{\|e\|_2\le\rho}\ell(y(w+e)\cdot x) = \ell(m-\rho\|x\|_2)

    for every non-increasing loss, 1/q + 1/q' = 1. The shift is ``radius`` times the dual norm of what
    stays fixed: ``margin_shift(w, eps, "linf")`` = eps*||w||_1 for an attack on the input (it depends on
    the model, not on the sample), ``margin_shift(x, rho)`` = rho*||x||_2 for a perturbation of the weights
    (it depends on the sample, not on the model).

    Parameters
    ----------
    fixed : array_like, shape (..., n)
        The weights where the input moves, the input where the weights move.
    radius : array_like
        Radius >= 0; broadcast against ``fixed``'s leading axes.
    norm : {"l2", "linf", "l1"}
        Norm of the ball in which the other factor moves.

    Raises
    ------
    ValueError
        If the radius is negative or NaN, ``norm`` is unknown or ``fixed`` is a single number.

    Examples
    --------
    >>> w, x = [3.0, -4.0], [0.6, 0.8]
    >>> round(float(margin_shift(w, 0.1, "linf")), 6), round(float(margin_shift(x, 0.1)), 6)
    (0.7, 0.1)
    """
    _check.choice("norm", norm, _DUAL)
    fixed, radius = np.asarray(fixed, dtype=float), np.asarray(radius, dtype=float)
    if fixed.ndim == 0:
        raise ValueError(
            "fixed must be a vector: the weights (input attacked) or the input (weights perturbed)"
        )
    if not (radius >= 0).all():
        raise ValueError("radius must be >= 0 and not NaN")
    largest = np.abs(fixed).max(-1, initial=0.0)  # in units of it no square over- or underflows
    unit = np.where(largest > 0, largest, 1.0)
    return radius * unit * np.linalg.norm(fixed / unit[..., None], ord=_DUAL[norm], axis=-1)


def first_layer_perturbation(weight: ArrayLike, delta: ArrayLike, x: ArrayLike) -> NDArray:
    r"""Theorem 13: the change of a dense first layer that does to one input what an attack on it does.

    .. math:: \Delta = \frac{W\delta x^\top}{\|x\|^2}, \qquad (W+\Delta)x = W(x+\delta), \qquad
              \|\Delta\|_F = \frac{\|W\delta\|}{\|x\|} \le \|W\|_{op}\frac{\|\delta\|}{\|x\|}

    So for each sample on its own, perturbing the first layer within
    :math:`\rho\ge\epsilon\|W\|_{op}/\|x\|` does at least the harm of an l2 attack of radius epsilon. It
    says nothing of one perturbation shared by a batch, nor of convolutions.

    Parameters
    ----------
    weight : array_like, shape (m, n)
    delta, x : array_like, shape (n,)
        The attack and the input, which must not be zero.

    Raises
    ------
    ValueError
        If the shapes do not fit or x = 0.

    Examples
    --------
    >>> import numpy as np
    >>> weight = np.array([[1.0, 2.0], [0.0, 1.0]])
    >>> x, delta = np.array([1.0, 1.0]), np.array([0.1, -0.1])
    >>> change = first_layer_perturbation(weight, delta, x)
    >>> bool(np.allclose((weight + change) @ x, weight @ (x + delta)))
    True
    """
    weight, delta, x = (np.asarray(value, dtype=float) for value in (weight, delta, x))
    if weight.ndim != 2 or delta.shape != x.shape or x.shape != weight.shape[1:]:
        raise ValueError(
            f"weight must have shape (m, n), delta and x (n,), got {weight.shape}, {delta.shape}, {x.shape}"
        )
    if not x.any():
        raise ValueError("x must not be zero: no change of the weights moves the layer's output there")
    at = x / (size := np.abs(x).max())  # no square over- or underflows
    return np.outer(weight @ (delta / size), at) / (at @ at)
