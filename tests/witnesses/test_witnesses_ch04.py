"""Witness of chapter 4: the worst perturbation of a linear classifier, against search and corners."""

from __future__ import annotations

import itertools
import operator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

margins = st.tuples(st.integers(0, 10**6), st.integers(1, 8), st.floats(0, 2))


@settings(max_examples=60)
@given(margins)
def test_prop_linear_worst_case_no_corner_of_the_cube_is_worse(case):
    seed, n, eps = case
    rng = np.random.default_rng(seed)
    w, x, y = rng.normal(size=n), rng.normal(size=n), rng.choice([-1.0, 1.0])
    corners = np.array(
        list(itertools.product([-eps, eps], repeat=n))
    )  # a linear function is least at a corner
    worst = (y * ((x + corners) @ w)).min()
    assert worst == pytest.approx(y * w @ x - eps * np.abs(w).sum(), abs=1e-9)
    assert y * w @ (x - eps * y * np.sign(w)) == pytest.approx(worst, abs=1e-9)


@settings(max_examples=60)
@given(margins)
def test_prop_linear_worst_case_no_point_of_the_ball_is_worse(case):
    seed, n, eps = case
    rng = np.random.default_rng(seed)
    w, x, y = rng.normal(size=n), rng.normal(size=n), rng.choice([-1.0, 1.0])
    least = y * w @ x - eps * np.linalg.norm(w)
    steps = rng.normal(size=(500, n))
    steps *= eps / np.linalg.norm(steps, axis=1, keepdims=True)
    assert (y * ((x + steps) @ w)).min() >= least - 1e-9
    assert y * w @ (x - eps * y * w / np.linalg.norm(w)) == pytest.approx(least, abs=1e-9)


def test_prop_linear_worst_case_needs_room_in_the_pixels():
    """In the box [0, 1] a pixel at its limit cannot move on: the classifier does better than the formula."""
    w, x, eps = np.array([1.0, -2.0]), np.array([0.0, 0.9]), 0.3
    moved = np.clip(x - eps * np.sign(w), 0, 1)
    assert w @ moved > w @ x - eps * np.abs(w).sum() + 0.1


@pytest.mark.parametrize("seed", range(20))
def test_prop_linear_worst_case_in_exact_fractions(seed):
    """Weights, pixels and radii over sixty powers of ten: corners and directions, no rounding at all."""
    rng = np.random.default_rng(seed)
    n, y = int(rng.integers(1, 7)), int(rng.choice([-1, 1]))
    w, x = (
        [Fraction(float(v)) for v in rng.choice([-1, 1], n) * 10 ** rng.uniform(-30, 30, n)] for _ in "wx"
    )
    eps = Fraction(float(10 ** rng.uniform(-30, 30)))
    margin = y * sum(map(operator.mul, w, x))
    worst = min(
        y * sum(a * (b + eps * c) for a, b, c in zip(w, x, corner, strict=True))
        for corner in itertools.product([-1, 1], repeat=n)
    )
    assert worst == margin - eps * sum(map(abs, w))
    length = sum(v * v for v in w)
    for direction in [w, *(rng.normal(size=n) for _ in range(20))]:
        d = [Fraction(float(v)) if not isinstance(v, Fraction) else v for v in direction]
        fall, size = sum(map(operator.mul, w, d)), sum(v * v for v in d)
        assert fall * fall <= length * size  # eps*fall/size is how far the margin falls along d
        assert (fall * fall == length * size) or direction is not w
