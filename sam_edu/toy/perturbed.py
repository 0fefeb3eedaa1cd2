"""What SAM maximises under each convention: accuracy of the worst, or the average, perturbed classifier."""

from __future__ import annotations

from numpy.typing import ArrayLike, NDArray

from sam_edu.toy.model import NRFModel


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
        Robust weight (finite) and radius >= 0; broadcast against each other.
    perturbed, norm, kind : str
        The convention, see :class:`sam_edu.toy.Convention`.

    Returns
    -------
    accuracy : ndarray
        Shape of the broadcast: accuracy of the worst perturbed classifier (worst, one-step), the average
        (uniform, gaussian), the share of samples that survive their own worst perturbation (per-sample),
        or the natural accuracy (free-scale: the supremum over the scale).
    points : ndarray, shape broadcast + (2, 2)
        The worst perturbed classifiers (robust weight, mean of the non-robust weights): first the one
        with the lower, then the one with the higher ratio. NaN for the one that is not worst; both are
        given where they tie, as at the optimum. All NaN where no single classifier is the worst (uniform,
        gaussian, per-sample, free-scale).

    Raises
    ------
    ValueError
        If rho is negative or NaN, w1 not finite, or the convention unknown.
    """
    raise NotImplementedError
