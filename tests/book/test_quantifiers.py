"""Sentences that once promised more than is proved or measured, each beside a computation of what holds."""

from __future__ import annotations

import math

import numpy as np

from book.tools import ROOT
from sam_edu import methods, toy
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


def test_asam_is_not_alone_in_being_blind_to_a_rescaled_network() -> None:
    """The climb of AWP, too, ends at the same loss after a layer is rescaled (chapter 3)."""
    layers = [np.random.default_rng(k).normal(size=(4, 4)) for k in (0, 1)]
    x = np.random.default_rng(2).normal(size=4)

    def top(one: np.ndarray, two: np.ndarray, gamma: float) -> float:
        """The loss (two one x)^2 / 2 after each layer has climbed by gamma of its own length."""
        inner = one @ x
        out = two @ inner
        climbs = np.outer(two.T @ out, x), np.outer(out, inner)
        ends = [
            w + gamma * np.linalg.norm(w) * g / np.linalg.norm(g)
            for w, g in zip((one, two), climbs, strict=True)
        ]
        return float(((ends[1] @ ends[0] @ x) ** 2).sum() / 2)

    plain, scaled = top(*layers, 0.05), top(10 * layers[0], layers[1] / 10, 0.05)
    assert math.isclose(plain, scaled, rel_tol=1e-12)
    text = words("notebooks/03_sam_family.md")
    assert "ASAM alone" not in text and "look the same before and after a layer is rescaled: ASAM" in text
    assert "AWP, whose unit is the layer's length" in text


def test_the_robust_accuracy_grows_with_a_weight_of_zero_or_more_only() -> None:
    """Theorem 2 (b), 3 (b): for eps > eta the accuracy falls first, at weights that point the wrong way."""

    def slope(a: float, left: float, odds: float = 1.0) -> float:
        return math.sinh(odds / 2 - a * left)  # the sign of A'

    assert slope(-10, -0.2) < 0 < slope(0, -0.2)
    text = words("notebooks/07_standard_and_adversarial_optima.md")
    assert r"grows strictly with $a\ge0$" in text and "grows strictly with $a$," not in text
    assert "all the way from $a=0$" in text and "all the way, and" not in text


def test_what_removes_features_needs_a_convex_loss_that_falls_with_the_margin() -> None:
    """Attacked with the squared loss a feature of mean 0.12 goes at 0.115 (the witness of Theorem 6)."""
    seven = words("notebooks/07_standard_and_adversarial_optima.md")
    assert (
        "with a smooth convex loss of bounded slope that falls with the margin and independent features"
        in seven
    )
    for path in ("notebooks/09_duality.md", "book/claims.md"):
        assert "ith a smooth convex loss of bounded slope that falls with the margin" in words(path)
        assert "in expectation" in words(path).lower()
    nine = words("notebooks/09_duality.md")
    assert "of bounded slope that falls with the margin, adversarial training of all features" in nine
    ten = words("notebooks/10_theorems_to_trained_models.md")
    assert (
        r"For the expectation of a continuously differentiable loss with $\ell'<0$ and bounded slope "
        "(convex, for n-SAM)" in ten
    )


def test_only_samples_at_the_boundary_set_the_exchange_rate_of_sam_per_sample() -> None:
    """Their norm tends to sqrt(d), that of typical samples to sqrt(d (1 + eta^2)): eta = 1, a factor 1.41."""
    d, eta, odds = 10**6, 1.0, 2.0
    at_boundary = math.sqrt(1 + (odds / 2 / eta) ** 2 / d + (d - 1))
    assert abs(at_boundary / math.sqrt(d) - 1) < 1e-3
    assert math.sqrt(1 + d * (1 + eta**2)) / at_boundary > 1.41
    assert "r_x" not in words("notebooks/08_sam_solved.md")
    nine = words("notebooks/09_duality.md")
    assert r"for large $d$, $\rho\approx\varepsilon\sqrt d$" in nine and "r_x" not in nine


def test_noise_favours_the_robust_feature_on_the_accuracy() -> None:
    """On the logistic loss it need not (a witness of chapter 9): the note's sentence names its goal."""
    text = words("notebooks/09_duality.md")
    assert (
        "with the weak weights fixed to 1, on the accuracy; there so do averages over Gaussian noise" in text
    )
    assert "constant input norm and averages over noise" not in text


def test_what_a_third_reading_found_is_gone():
    """Each sentence held in the models at hand, and not as far as it went."""
    said = {
        "notebooks/07_standard_and_adversarial_optima.md": "smooth convex loss that falls",
        "notebooks/08_sam_solved.md": "At a radius that stays, the change goes",
        "notebooks/09_duality.md": "convex loss that falls with the margin",
        "notebooks/10_theorems_to_trained_models.md": "full-batch SAM lowers the robust weight",
        "book/claims.md": "convex loss that falls with the margin",
        "book/note.md": "What it asserts holds for most",
    }
    for path, sentence in said.items():
        assert sentence not in (ROOT / path).read_text("utf-8"), path


def test_full_batch_sam_lowers_the_ratio_and_raises_both_weights():
    """Both weights grow, the weak ones more (a direct minimax agrees to the third digit)."""
    m = toy.NRFModel(0.9, 0.2, 10)
    w1, weak = toy.logistic_optimum(m, "full-batch-sam", 0.3)
    star, small = toy.logistic_optimum(m, "full-batch-sam", 1e-4)
    assert w1 > star and weak > small and w1 / weak < star / small
