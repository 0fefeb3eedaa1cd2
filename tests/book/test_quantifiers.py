"""Sentences that once promised more than is proved or measured, each beside a computation of what holds."""

from __future__ import annotations

import math

import numpy as np

from book.tools import ROOT
from sam_edu import methods
from sam_edu.experiments import RunConfig
from sam_edu.experiments.summary import gradient_passes


def words(path: str) -> str:
    return " ".join((ROOT / path).read_text(encoding="utf-8").split())


def claim(start: str) -> str:
    """The row of the table of claims that begins so."""
    rows = (ROOT / "book/claims.md").read_text(encoding="utf-8").splitlines()
    (row,) = (row for row in rows if row.startswith(f"| {start}"))
    return row


def test_one_radius_per_member_says_nothing_of_strength() -> None:
    """In the figure of chapter 3 each member has one radius, so it cannot tell strength from shape."""
    assert all(len(method.needs) == 1 for method in methods.family())
    text = words("notebooks/03_sam_family.md")
    assert "one radius per member" in text and "mostly the *strength* of one effect" not in text


def test_at_a_maximum_on_the_border_inward_lowers_to_first_order() -> None:
    """Danskin in one sentence (chapter 5): no motion in the ball raises the loss; inward motions lower it."""
    rng = np.random.default_rng(0)
    w, x, eps = rng.normal(size=6), rng.normal(size=6), 0.1
    top = -eps * np.sign(w)

    def loss(delta: np.ndarray) -> float:
        return math.log1p(math.exp(-w @ (x + delta)))

    step, rates = 1e-6, []
    for _ in range(50):
        inside = rng.uniform(-eps, eps, 6)
        rates.append((loss(top + step * (inside - top)) - loss(top)) / step)
    assert max(rates) < -1e-3
    text = words("notebooks/05_adversarial_training.md")
    assert "no motion of δ within the ball *raises* the loss to first order" in text
    assert "the loss does not change to first order when" not in text


def test_claims_are_exact_only_where_they_are_proved() -> None:
    """Nothing is proved at w1* = sqrt(2d); expansions say that they are expansions."""
    row = claim("SAM: $w_1^{SAM}>w_1^*$")
    assert "exactly when" not in row and "**conditional**" in row
    assert r"if $w_1^*>\sqrt{2d}$ and false if $w_1^*<\sqrt{2d}$" in row


def test_sam_costs_less_than_at_only_from_two_steps_on() -> None:
    """Counted in gradient passes: FGSM training costs what SAM costs."""

    def price(**setting: object) -> float:
        return gradient_passes(RunConfig(**setting))  # type: ignore[arg-type]

    sam = price(method="sam", rho=0.1)
    one, two, seven = (price(method="at", eps=0.1, attack_steps=k) for k in (1, 2, 7))
    assert one == sam < two < seven
    row = claim("SAM costs less than AT")
    assert "**conditional**" in row and "$K=1$" in row and "**exact**" not in row
