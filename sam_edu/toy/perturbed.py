"""What SAM maximises under each convention: accuracy of the worst, or the average, perturbed classifier."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sam_edu.toy.averages import gaussian_accuracy, uniform_accuracy
from sam_edu.toy.conventions import check_convention
from sam_edu.toy.family import Family, ahead
from sam_edu.toy.model import NRFModel
from sam_edu.toy.per_sample import per_sample_accuracy
from sam_edu.toy.worst import BALLS, Candidates, ball_limit

_TIE = 1e-7  # of what they differ by, up or down: two perturbed classifiers this close are both the worst


def perturbed_accuracy(
    model: NRFModel,
    w1: ArrayLike,
    rho: ArrayLike,
    perturbed: str = "robust",
    norm: str = "l2",
    kind: str = "worst",
) -> tuple[NDArray, NDArray]:
    r"""The accuracy that a convention of SAM maximises, at weights (w1, 1, ..., 1), and who is worst.

    Parameters
    ----------
    w1, rho : array_like
        Robust weight (finite) and radius >= 0; broadcast against each other. With all weights moving in
        one ball, rho < sqrt(d) (l2) or rho < 1 (l-infinity): larger balls reverse every non-robust weight.
    perturbed, norm, kind : str
        The convention, see :class:`sam_edu.toy.Convention`.

    Returns
    -------
    accuracy : ndarray
        Shape of the broadcast: accuracy of the worst perturbed classifier (worst, one-step), the average
        (uniform, gaussian), the share of samples that survive their own worst perturbation (per-sample),
        or the natural accuracy (free-scale: the supremum over the scale).
    points : ndarray, shape broadcast + (2, 2)
        The worst perturbed classifiers (robust weight, mean of the non-robust weights): first the one that
        a larger robust weight would help, then the one that it would harm. NaN for the one that is not
        worst; both are given where they tie, as at most optima. All NaN where no single classifier is
        the worst (uniform, gaussian, per-sample, free-scale). In an l-infinity ball, and in an l2 ball
        for larger radii, the worst classifier has unequal non-robust weights; their mean is given.

    Raises
    ------
    ValueError
        If rho is out of range or NaN, w1 is not finite, or the convention is unknown.

    Examples
    --------
    >>> m = NRFModel(p=0.95, eta=0.1, d=100)
    >>> accuracy, points = perturbed_accuracy(m, 14.918376, rho=2.0)
    >>> round(float(accuracy), 4), points[0].round(2).tolist()
    (0.9589, [12.92, 1.0])
    """
    check_convention(perturbed, norm, kind)
    w1, rho = np.broadcast_arrays(*_checked(model, w1, rho, perturbed, norm, kind))
    nowhere = np.full((*w1.shape, 2, 2), np.nan)
    if kind == "uniform":
        return uniform_accuracy(model, w1, rho), nowhere
    if kind == "gaussian":
        return gaussian_accuracy(model, w1, rho, perturbed), nowhere
    if kind == "per-sample":
        return per_sample_accuracy(model, w1, rho, perturbed), nowhere
    if kind == "free-scale":
        return model.natural_accuracy(w1), nowhere
    if kind == "one-step":
        return _worst(model, _one_step(model, w1, rho, perturbed, norm))
    return _worst(model, BALLS[perturbed, norm](model, w1, rho))


def _checked(
    model: NRFModel, w1: ArrayLike, rho: ArrayLike, perturbed: str, norm: str, kind: str
) -> tuple[NDArray, NDArray]:
    w1, rho = np.asarray(w1, dtype=float), np.asarray(rho, dtype=float)
    if not np.isfinite(w1).all():
        raise ValueError("w1 must be finite: in a ball around it, sgn(x_1) has no scale")
    if not ((rho >= 0) & (rho < np.inf)).all():
        raise ValueError("rho must be >= 0, finite and not NaN: it is the radius of the perturbation")
    if kind in ("worst", "one-step", "per-sample"):
        limit = ball_limit(model, perturbed, norm)
        if (rho >= limit).any():
            size = "sqrt(d)" if norm == "l2" else "1"
            raise ValueError(
                f"rho must be < {size} = {limit:g} where all weights move: "
                "a larger ball reverses every non-robust weight"
            )
    return w1, rho


def _one_step(model: NRFModel, w1: NDArray, rho: NDArray, perturbed: str, norm: str) -> Candidates:
    """Where one ascent step along the gradient of the error leads; nowhere at w1*, where it vanishes."""
    down = -np.sign(model.log_odds / 2 - w1 * model.eta)  # the error rises to this side
    shift, mean = rho * down, np.zeros_like(w1)
    if perturbed == "all" and norm == "l2":  # the gradient is tangential: (sqrt d, -w1 along the ones)/length
        length = np.hypot(w1, np.sqrt(model.d))
        shift, mean = shift * np.sqrt(model.d) / length, -shift * w1 / (length * np.sqrt(model.d))
    elif perturbed == "all":
        mean = -shift * np.sign(w1)
    parts = np.broadcast_arrays(w1, shift, mean, np.zeros_like(w1))
    return Candidates(*(part[..., None] for part in parts))


def _worst(model: NRFModel, candidates: Family) -> tuple[NDArray, NDArray]:
    """Accuracy of the worst candidate, and the worst of either side where it is the worst of all."""
    rising, all_worst = candidates.rising(model), candidates.worst(model)
    points = np.full((*rising.shape[:-1], 2, 2), np.nan)
    for i, side in enumerate((rising > 0, rising <= 0)):
        worst = candidates.worst(model, side)
        ties = side.any(-1) & (ahead(model, worst, all_worst) <= _TIE)
        for j, value in enumerate((worst.x, worst.v)):
            points[..., i, j] = np.where(ties, value, np.nan)
    return all_worst.accuracy(model), points
