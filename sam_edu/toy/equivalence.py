"""Duality of strengths: the radius rho of SAM that gives the robust weight of adversarial training at eps."""

from __future__ import annotations

from sam_edu.toy.model import NRFModel


def equivalent_rho(
    model: NRFModel,
    eps: float,
    perturbed: str = "robust",
    norm: str = "l2",
    kind: str = "worst",
    loss: str = "zero-one",
) -> float | None:
    r"""The smallest radius rho at which SAM has the ratio w1/w_nr of adversarial training with radius eps.

    Adversarial training attacks the non-robust features, so the target is
    :math:`w_1^{AT} = \frac{L}{2(\eta-\epsilon)}`, for the 0-1 risk and for the logistic loss alike.
    None where no radius does it: for eps >= eta (AT drops the non-robust features), for "one-step" and
    "free-scale" (SAM changes nothing), and wherever SAM's robust weight falls or saturates below the target.

    Parameters
    ----------
    eps : float
        Radius of the attack on the non-robust features, >= 0; eps = 0 gives rho = 0.
    perturbed, norm, kind : str
        The convention of SAM, see :class:`sam_edu.toy.Convention`.
    loss : {"zero-one", "logistic"}
        With "logistic": ``perturbed="all"``, ``norm="l2"`` and kind "per-sample" (true input norm), "worst"
        (exact full batch) or "one-step".

    Raises
    ------
    ValueError
        If eps is negative or NaN, or the convention unknown or not solved.
    """
    raise NotImplementedError


def equivalent_rho_leading(
    model: NRFModel, eps: float, perturbed: str = "robust", norm: str = "l2", kind: str = "worst"
) -> float | None:
    r"""The same radius for the 0-1 risk from the leading-order expansion; None where its sign is wrong.

    From :math:`1 + k\rho^n = \frac{\eta}{\eta-\epsilon}` with k and n of
    :func:`sam_edu.toy.sam_expansion`, e.g. :math:`\rho = \sqrt{3d\,\epsilon/(\eta-\epsilon)}` for the worst
    case of the robust weight, and :math:`\rho = \epsilon d/\sqrt{1+d(1+\eta^2)}` per sample (linear).
    """
    raise NotImplementedError
