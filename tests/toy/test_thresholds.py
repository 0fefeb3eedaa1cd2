"""The radii at which the best classifier under attack on all features jumps (Theorem 3)."""

import numpy as np
import pytest

from sam_edu import toy

# p, eta, d; jump and vanish as computed independently by scanning the robust accuracy
TABLE = [
    (0.95, 0.1, 100, 0.047792, 0.047809),
    (0.90, 0.2, 10, 0.052129, 0.052195),
    (0.75, 0.05, 400, 0.036323, 0.036346),
]
WEAK = (0.55, 0.2, 4)  # eta >= 2p-1: under a strong attack the robust feature is dropped first


@pytest.mark.parametrize(("p", "eta", "d", "jump", "vanish"), TABLE)
def test_table(p, eta, d, jump, vanish):
    t = toy.attack_thresholds(toy.NRFModel(p, eta, d))
    assert t.jump == pytest.approx(jump, abs=6e-7)
    assert t.vanish == pytest.approx(vanish, abs=6e-7)


@pytest.mark.parametrize("model", [row[:3] for row in TABLE] + [(0.6, 0.1, 100), WEAK, (0.999, 0.3, 1000)])
def test_the_optimum_changes_its_kind_at_the_jump(model):
    m = toy.NRFModel(*model)
    t = toy.attack_thresholds(m)
    assert 0 < t.jump < (t.vanish or m.eta) <= m.eta
    below = toy.adversarial_optimum(m, t.jump * (1 - 1e-7), "all")
    above = toy.adversarial_optimum(m, t.jump * (1 + 1e-7), "all")
    assert (below.regime, above.regime) == ("interior", "robust-only")
    assert below.robust_accuracy == pytest.approx(m.p, abs=1e-6)
    assert np.isfinite(below.w1)


@pytest.mark.parametrize("model", [row[:3] for row in TABLE])
def test_beyond_vanish_the_robust_accuracy_only_rises(model):
    m = toy.NRFModel(*model)
    w1 = np.linspace(0, 8 * toy.standard_optimum(m), 2000)
    at = toy.attack_thresholds(m)
    assert (np.diff(m.robust_accuracy(w1, 1.001 * at.vanish, "all")) > -1e-14).all()
    assert (np.diff(m.robust_accuracy(w1, 0.99 * at.jump, "all")) < -1e-14).any()


def test_without_a_vanishing_maximum():
    assert toy.attack_thresholds(toy.NRFModel(0.51, 0.5, 100)).vanish is None
