"""The expected logistic loss with the margin of every sample shifted, by quadrature, with two derivatives.

Coordinates: w = (w1, e), every non-robust weight being e/sqrt(d), so that the margin is w1 s + e g with
s = y x_1 and g = sum_j y x_j / sqrt(d) ~ N(c, 1), and ||x||^2 = 1 + g^2 + k^2 where k is chi with d-1
degrees of freedom.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from sam_edu.toy.conventions import input_norm_rms
from sam_edu.toy.model import NRFModel
from sam_edu.toy.numerics import Quadratic, chi_panels, chi_rule, normal_panels

# Around a zero of the exponent the loss bends within a few units of it: panels end there.
BEND = np.array([-40.0, -8.0, 0.0, 8.0, 40.0])
# And what counts may begin there, far out in a tail, where the density falls within a tenth.
TAIL = np.array([-3.0, -1.0, -0.3, 0.3, 1.0, 3.0])
_S = np.array([1.0, -1.0])[:, None, None]  # axes: s, k, g


def expected_softplus(
    model: NRFModel,
    w: NDArray,
    rho: float = 0.0,
    input_norm: str = "true",
    eps: float = 0.0,
    fine: bool = False,
) -> Quadratic:
    r"""Value, gradient and Hessian of the expected loss with the worst margin of each sample.

    .. math:: E\ln(1+e^{r}), \qquad r = \rho\|x\| - w_1(s-\epsilon) - e(g-\epsilon\sqrt d)

    Per-sample SAM where rho > 0 (Theorem 12), adversarial training on all features where eps > 0.
    With large weights the loss is almost a hinge, so the panels of the quadrature follow the bend. ``fine``:
    panels for the norm of x, too, where Gauss's 24 nodes are too few for it.
    """
    s, k, wk = _S, *_norm_rule(model, rho, input_norm, fine)
    g, wg = normal_panels(model.c, _breaks(model, w, rho, input_norm, eps, k))
    norm = np.sqrt(1 + g**2 + k**2) if input_norm == "true" else input_norm_rms(model)
    features = np.stack(np.broadcast_arrays(s - eps, g - eps * np.sqrt(model.d)))
    r = rho * norm - w[0] * features[0] - w[1] * features[1]
    weight = np.where(s > 0, model.p, 1 - model.p) * wk * wg
    slope = expit(r)
    value = float((weight * np.logaddexp(0, r)).sum())
    gradient = -np.einsum("skg,iskg->i", weight * slope, features)
    hessian = np.einsum("skg,iskg,jskg->ij", weight * slope * expit(-r), features, features)
    return value, gradient, hessian


def _norm_rule(model: NRFModel, rho: float, input_norm: str, fine: bool) -> tuple[NDArray, NDArray]:
    df = model.d - 1 if rho > 0 and input_norm == "true" else 0
    if fine:
        k, log_weights = chi_panels(df)
        return k[:, None], np.exp(log_weights)[:, None]
    k, weights = chi_rule(df)
    return k[:, None], weights[:, None]


def _breaks(model: NRFModel, w: NDArray, rho: float, input_norm: str, eps: float, k: NDArray) -> NDArray:
    """Where r = 0, and a few of its units to either side: array of shape (2, len(k), breaks)."""
    a, e = w[0] * (_S - eps), w[1]
    if input_norm == "constant" or rho == 0:
        zero = eps * np.sqrt(model.d) + (rho * input_norm_rms(model) - a) / e
        return np.asarray(zero + np.concatenate([BEND / e, TAIL]))
    # rho^2 (1 + g^2 + k^2) = (a + e g)^2 has up to two roots; one that is not a zero of r does no harm
    lead = e**2 - rho**2
    lead = lead if abs(lead) > 1e-9 * e**2 else 1e-9 * e**2
    root = rho * np.sqrt(np.maximum(a**2 + lead * (1 + k**2), 0))
    zeros = (np.array([-1.0, 1.0]) * root - a * e) / lead
    steep = np.abs(e - rho * zeros / np.sqrt(1 + zeros**2 + k**2)) + 1e-12
    around = [zeros[..., None] + BEND / steep[..., None], zeros[..., None] + TAIL]
    return np.concatenate(around, -1).reshape(2, len(k), -1)
