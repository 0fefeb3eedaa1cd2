"""Classes that are ruled out by a very low number, and answers that are no numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sam_edu import data
from sam_edu._guards import unmasked
from sam_edu.evaluation import evaluate

LIVE = 5
LOWEST = torch.finfo(torch.float32).min


@pytest.fixture(scope="module")
def digits():
    """A linear model for digits 0 to 9, and images of the first five."""
    d = data.load("digits")
    torch.manual_seed(0)
    linear = nn.Linear(64, 10)
    optimizer = torch.optim.Adam(linear.parameters(), lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(linear(d.train_x.flatten(1)), d.train_y).backward()
        optimizer.step()
    few = d.test_y[:60] < LIVE
    return linear.requires_grad_(False), d.test_x[:60][few], d.test_y[:60][few]


def model(linear, low, before=lambda v: v):
    """``low`` None: with the columns left out."""

    def logits(x):
        z = linear(before(x.flatten(1)))
        if low is None:
            return z[:, :LIVE]
        if low == "added":
            return z + torch.cat([torch.zeros(LIVE), torch.full((10 - LIVE,), -1e9)])
        return z.index_fill(1, torch.arange(LIVE, 10), low)

    return logits


RULED_OUT = [-1e4, -1e9, LOWEST, "added"]


@pytest.mark.parametrize("low", RULED_OUT)
@pytest.mark.parametrize("norm, eps", [("linf", 0.1), ("l2", 0.7)])
def test_verdicts_are_those_of_the_classes_that_count(low, norm, eps, digits):
    linear, x, y = digits
    full, part = (evaluate(model(linear, which), x, y, eps, norm=norm) for which in (low, None))
    assert full.at[0].robust == part.at[0].robust
    assert full.flags == part.flags == []


@pytest.mark.parametrize("low", RULED_OUT)
def test_randomness_is_seen_behind_the_mask(low, digits):
    linear, x, y = digits
    noisy = model(linear, low, lambda v: v + 0.2 * torch.randn_like(v))
    with pytest.raises(ValueError, match="change from call to call"):
        evaluate(noisy, x, y, 0.1)


@pytest.mark.parametrize("low", RULED_OUT)
def test_gradients_that_are_not_the_slope_are_seen_behind_the_mask(low, digits):
    linear, x, y = digits
    found = evaluate(model(linear, low, lambda v: v * (v > 0.1)), x, y, 0.12)
    assert any("not the slope" in flag for flag in found.flags)


def test_minus_infinity_is_explained(digits):
    linear, x, y = digits
    with pytest.raises(ValueError, match="ruled out by -inf"):
        evaluate(model(linear, -torch.inf), x, y, 0.1)
    with pytest.raises(ValueError, match="did training diverge"):
        evaluate(model(linear, torch.nan), x, y, 0.1)


@pytest.mark.parametrize("logits", [
    torch.randn(6, 4), torch.randn(6, 4).relu(), torch.zeros(6, 4), torch.eye(4),
    torch.ones(6, 3) * torch.arange(3),
    100 * torch.eye(4), torch.tensor([[5.0, 4.9, -40.0]]),
])  # fmt: skip
def test_ordinary_logits_stay(logits):
    assert torch.equal(unmasked(logits), logits)


@pytest.mark.parametrize("label", [0, 1])
def test_an_answer_that_is_no_number_is_broken(label):
    """The logits lead every attack to brighter images, and there they are NaN; argmax would say class 0."""

    def logits(x):
        mean = x.flatten(1).mean(1)
        z = torch.stack([5 - mean, mean * 0], 1) if label == 0 else torch.stack([mean * 0, 5 - mean], 1)
        return torch.where(mean[:, None] > 0.55, torch.nan, z)

    x, y = torch.full((4, 1, 3, 3), 0.5), torch.full((4,), label)
    found = evaluate(logits, x, y, [0.04, 0.1])
    assert found.robust_accuracy(0.04) == 1 and found.robust_accuracy(0.1) == 0
