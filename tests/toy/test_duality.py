"""Equal radii, margins and bounds: printed tables, the relations that define them, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_edu import toy

STRONG, MIDDLE, WEAK = SETS = [
    toy.NRFModel(0.95, 0.1, 100),
    toy.NRFModel(0.90, 0.2, 10),
    toy.NRFModel(0.75, 0.05, 400),
]
models = st.builds(toy.NRFModel, p=st.floats(0.55, 0.97), eta=st.floats(0.05, 0.8), d=st.integers(2, 60))

TABLE = [  # model, eps/eta, reported, leading order, exact, Gaussian, per sample by r_x, its logistic
    (STRONG, 0.01, 0.1231, 1.7408, 1.7411, 1.0050, 0.0099, 0.0236),
    (STRONG, 0.10, 0.4082, 5.7735, 5.7989, 3.3333, 0.0990, 0.2370),
    (STRONG, 0.50, 1.2247, 17.3205, 20.3752, 10.000, 0.4951, None),
    (MIDDLE, 0.01, 0.1231, 0.5505, 0.5507, 0.3178, 0.0059, 0.0523),
    (MIDDLE, 0.10, 0.4082, 1.8257, 1.8429, 1.0541, 0.0592, 0.3901),
    (MIDDLE, 0.50, 1.2247, 5.4772, 7.0271, 3.1623, 0.2962, None),
    (WEAK, 0.01, 0.1231, 3.4816, 3.4756, 2.0101, 0.0100, 0.0875),
    (WEAK, 0.10, 0.4082, 11.547, 11.341, 6.6667, 0.0998, None),
    (WEAK, 0.50, 1.2247, 34.641, 31.064, 20.000, 0.4988, None),
]


@pytest.mark.parametrize("m, share, reported, leading, exact, gaussian, sample, logistic", TABLE)
def test_table_of_equal_radii(m, share, reported, leading, exact, gaussian, sample, logistic):
    eps = share * m.eta
    assert toy.reported_equivalent_rho(m, eps) == pytest.approx(reported, abs=5.1e-5)
    assert toy.equivalent_rho_leading(m, eps) == pytest.approx(leading, abs=6e-4 if leading > 10 else 5.1e-5)
    assert toy.equivalent_rho(m, eps) == pytest.approx(exact, abs=6e-4 if exact > 10 else 5.1e-5)
    assert toy.equivalent_rho(m, eps, kind="gaussian") == pytest.approx(
        gaussian, abs=5.1e-4 if gaussian >= 10 else 5.1e-5
    )
    assert eps * m.d / toy.input_norm_rms(m) == pytest.approx(sample, abs=5.1e-5)
    found = toy.equivalent_rho(m, eps, "all", kind="per-sample", loss="logistic")
    if logistic is not None:
        assert found == pytest.approx(logistic, abs=5.1e-5)
    elif m is WEAK:
        assert found is None  # the ratio saturates two per cent above the standard one
    else:
        assert found > 0.8
    if found is not None:
        w1, w_nr = toy.logistic_optimum(m, "per-sample-sam", found)
        assert w1 / w_nr == pytest.approx(toy.adversarial_optimum(m, eps).w1, rel=1e-9)


@pytest.mark.parametrize("convention", toy.CONVENTIONS, ids=lambda c: c.key)
@settings(max_examples=12)
@given(m=models, share=st.floats(0.01, 0.9))
def test_equal_radius_gives_equal_weight(convention, m, share):
    eps = share * m.eta
    target = toy.adversarial_optimum(m, eps).w1
    rho = toy.equivalent_rho(m, eps, **convention.options)
    if rho is not None:
        assert toy.sam_optimum(m, rho, **convention.options) == pytest.approx(target, rel=1e-6)
        smaller = toy.sam_optimum(m, np.linspace(0, 0.99 * rho, 8), **convention.options)
        assert (smaller < target).all()  # it is the smallest such radius
    elif convention.kind in ("one-step", "free-scale"):
        assert toy.sam_optimum(m, 0.7, **convention.options) < target
    else:
        assert convention.perturbed == "all" and convention.kind != "uniform"
        limit = {"l2": math.sqrt(m.d), "linf": 1.0}[convention.norm]
        radii = limit * np.linspace(0.01, 0.99, 12)
        w1 = toy.sam_optimum(m, radii, **convention.options)
        assert ((w1 < target) | np.isinf(w1)).all()


@pytest.mark.parametrize("convention", toy.CONVENTIONS, ids=lambda c: c.key)
def test_leading_order_is_right_for_weak_attacks(convention):
    for m in (MIDDLE, STRONG):
        eps = 1e-4 * m.eta
        leading, exact = (
            f(m, eps, **convention.options) for f in (toy.equivalent_rho_leading, toy.equivalent_rho)
        )
        if leading is not None:
            assert leading == pytest.approx(exact, rel=0.02)


def test_radii_without_an_equal():
    m = STRONG
    assert toy.equivalent_rho(m, 0.0) == 0.0 == toy.equivalent_rho_leading(m, 0.0, "all")
    for eps in (m.eta, 2 * m.eta):
        assert toy.equivalent_rho(m, eps) is None and toy.equivalent_rho_leading(m, eps) is None
        assert toy.reported_equivalent_rho(m, eps) is None
    assert toy.equivalent_rho(m, 0.05, "all", kind="one-step", loss="logistic") is None
    assert (
        toy.equivalent_rho(m, 0.02, "all", kind="worst", loss="logistic") is None
    )  # full batch: the ratio falls
    assert toy.equivalent_rho_leading(WEAK, 0.01, "all") is None  # t* < sqrt(2)
    assert toy.equivalent_rho(m, 0.02, kind="per-sample") == m.d * 0.02
    dominant = toy.NRFModel(0.9, 0.5, 1)  # one weak feature: here full-batch SAM raises the ratio
    rho = toy.equivalent_rho(dominant, 0.005, "all", kind="worst", loss="logistic")
    w1, w_nr = toy.logistic_optimum(dominant, "full-batch-sam", rho)
    assert w1 / w_nr == pytest.approx(toy.adversarial_optimum(dominant, 0.005).w1, rel=1e-6)


# --- margins --------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=6), st.floats(0, 2), st.integers(0, 1000))
def test_margin_shift_is_the_worst_case(fixed, radius, seed):
    fixed = np.array(fixed)
    moves = np.random.default_rng(seed).normal(size=(500, len(fixed)))
    for name, order, attained in (("linf", np.inf, np.sign(fixed)), ("l2", 2, fixed), ("l1", 1, None)):
        shift = float(toy.margin_shift(fixed, radius, name))
        unit = moves / np.linalg.norm(moves, ord=order, axis=1, keepdims=True)
        assert (radius * unit @ fixed).max() <= shift + 1e-12
        size = 0.0 if attained is None else np.linalg.norm(attained, ord=order)
        if size > 1e-100:
            assert radius * attained @ fixed / size == pytest.approx(shift, abs=1e-12)
    batch = toy.margin_shift(np.stack([fixed, 2 * fixed]), radius)
    assert batch == pytest.approx(
        [float(toy.margin_shift(fixed, radius)), 2 * float(toy.margin_shift(fixed, radius))]
    )


@given(st.integers(0, 1000), st.floats(0.01, 2))
def test_first_layer_perturbation(seed, eps):
    rng = np.random.default_rng(seed)
    weight, x, delta = rng.normal(size=(4, 6)), rng.normal(size=6), rng.normal(size=6)
    delta *= eps / np.linalg.norm(delta)
    change = toy.first_layer_perturbation(weight, delta, x)
    assert (weight + change) @ x == pytest.approx(weight @ (x + delta))
    size = np.linalg.norm(change)
    assert size == pytest.approx(np.linalg.norm(weight @ delta) / np.linalg.norm(x))
    assert size <= np.linalg.norm(weight, 2) * eps / np.linalg.norm(x) + 1e-12


# --- bounds ---------------------------------------------------------------------------------------------


def test_tsipras_bound():
    assert toy.tsipras_bound(STRONG, [0.0, 0.01, 0.5]) == pytest.approx([0, 0.19, 1])
    for m in SETS:  # every linear classifier, under an attack with eps = 2 eta
        w1 = np.linspace(-40, 60, 401)
        bound = toy.tsipras_bound(m, 1 - m.natural_accuracy(w1))
        assert (m.robust_accuracy(w1, 2 * m.eta) <= bound + 1e-12).all()
    assert (
        STRONG.robust_accuracy(w1, 0.5 * 0.1) > toy.tsipras_bound(STRONG, 1 - STRONG.natural_accuracy(w1))
    ).any()


def test_pac_bayes_bound():
    by_hand = 0.1 + math.sqrt(
        (
            50 * math.log(1 + 16 * (1 + math.sqrt(math.log(1000) / 50)) ** 2)
            + 1
            + 2 * math.log(1000 / 0.05)
            + 4 * math.log(6 * 1000 + 3 * 50)
        )
        / 999
    )
    assert toy.pac_bayes_bound(0.1, 2.0, 0.5, 50, 1000, 0.05) == pytest.approx(by_hand, rel=1e-14)
    large = {"k": 11_000_000, "n": 50_000, "delta": 0.05}  # a small network on CIFAR-10: vacuous
    below, above = (float(toy.pac_bayes_bound(0.0, 1.0, rho, **large)) for rho in (14.8, 14.9))
    assert above < 1 < below
    radii = np.geomspace(0.1, 100, 20)
    falling = toy.pac_bayes_bound(0.0, 1.0, radii, **large)
    assert falling.shape == (20,) and (np.diff(falling) < 0).all()


@pytest.mark.parametrize(
    "call, hint",
    [
        (lambda: toy.equivalent_rho(STRONG, -0.1), "eps must be >= 0"),
        (lambda: toy.equivalent_rho(STRONG, math.nan), "eps"),
        (lambda: toy.equivalent_rho(STRONG, 0.1, loss="hinge"), "loss must be one of 'zero-one', 'logistic'"),
        (lambda: toy.equivalent_rho(STRONG, 0.1, loss="logistic"), 'is solved for perturbed="all"'),
        (lambda: toy.equivalent_rho(STRONG, 0.1, "all", kind="uniform"), 'perturbed="robust" only'),
        (lambda: toy.equivalent_rho_leading(STRONG, -1), "eps"),
        (lambda: toy.reported_equivalent_rho(STRONG, -1), "eps"),
        (lambda: toy.tsipras_bound(STRONG, 1.2), "natural_error must lie in [0, 1]"),
        (lambda: toy.pac_bayes_bound(0.1, 1, 0.0, 5, 10, 0.1), "rho must be > 0"),
        (lambda: toy.pac_bayes_bound(1.1, 1, 0.1, 5, 10, 0.1), "empirical_loss must lie in [0, 1]"),
        (lambda: toy.pac_bayes_bound(0.1, -1, 0.1, 5, 10, 0.1), "w_norm must be >= 0"),
        (lambda: toy.pac_bayes_bound(0.1, 1, 0.1, 5, 1, 0.1), "n must be >= 2"),
        (lambda: toy.pac_bayes_bound(0.1, 1, 0.1, 5, 10, 1.0), "delta must be > 0 and < 1"),
        (lambda: toy.margin_shift([1.0, 2.0], -1), "radius must be >= 0"),
        (lambda: toy.margin_shift([1.0, 2.0], 1, "l3"), "norm must be one of"),
        (lambda: toy.margin_shift(2.0, 1), "fixed must be a vector"),
        (lambda: toy.first_layer_perturbation(np.eye(2), [1, 0], [0, 0]), "x must not be zero"),
        (lambda: toy.first_layer_perturbation(np.eye(2), [1, 0], [1, 0, 0]), "weight must have shape (m, n)"),
    ],
)
def test_bad_input(call, hint):
    with pytest.raises(ValueError) as error:
        call()
    assert hint in str(error.value) and "\n" not in str(error.value)
