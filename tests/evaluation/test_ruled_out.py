"""Classes that are ruled out by a very low number, and answers that are no numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sam_edu import data, features
from sam_edu._guards import unmasked
from sam_edu.evaluation import evaluate

LIVE = 5
LOWEST = torch.finfo(torch.float32).min
ADDED = {f"added {low:g}": torch.full((10 - LIVE,), low) for low in (-1e4, -1e5, -1e6, -1e7, -1e9)}
ADDED["each by a number of its own"] = -1e6 * torch.arange(1.0, 11 - LIVE)


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
        if isinstance(low, str):
            return z + torch.cat([torch.zeros(LIVE), ADDED[low]])
        return z.index_fill(1, torch.arange(LIVE, 10), low)

    return logits


RULED_OUT = [-1e4, -1e9, LOWEST, *ADDED]


# z - 1e6 is z to two digits, and single verdicts near the border may hang on them
@pytest.mark.parametrize("low", [-1e4, -1e9, LOWEST, "added -1e+09"])
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
    assert not any("survive" in flag for flag in found.flags)


@pytest.mark.parametrize("when", ["alone", "second call"])
def test_an_answer_that_is_no_number_is_another_answer(when, digits):
    """Of one image alone (the deviation of one number), or only now and then."""
    linear, x, y = digits
    calls = []

    def logits(v):
        calls.append(len(v))
        spoiled = len(v) == 1 if when == "alone" else len(calls) == 2
        return linear(v.flatten(1)) * (torch.nan if spoiled else 1.0)

    with pytest.raises(ValueError, match="change from call to call or with the batch"):
        evaluate(logits, x, y, 0.1)


@pytest.mark.parametrize("label", [0, 1])
def test_waves_that_lead_to_no_number_are_errors(label):
    def logits(x):
        z = torch.stack([1 - label + 0 * x[:, 0, 0, 0], label + 0 * x[:, 0, 0, 0]], 1)
        return torch.where((x.flatten(1) != 0.5).any(1)[:, None], torch.nan, z)

    x, y = torch.full((4, 1, 3, 3), 0.5), torch.full((4,), label)
    assert (features.fourier_map(logits, x, y, 0.1) == 1).all()
    assert (features.fourier_map(logits, x, y, 0.0) == 0).all()
