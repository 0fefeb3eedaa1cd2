"""Verdicts against closed forms: linear models whose worst image can be written down, in both norms."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import nn

from sam_edu.evaluation import evaluate
from tests.evaluation.test_faults import Linear, few_official_steps, small, worst_case

__all__ = ["few_official_steps"]


def linear(shape, classes, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(shape).numel(), classes))


def standing_linf(model, x, y, eps):
    """Which images no image in the cube breaks: towards each rival, every pixel goes to one end."""
    flat, w, b = x.flatten(1).double(), model[1].weight.detach().double(), model[1].bias.detach().double()
    low, high = (flat - eps).clamp(0, 1), (flat + eps).clamp(0, 1)
    z = flat @ w.T + b
    margins = z.gather(1, y[:, None]) - z
    for rival in range(len(w)):
        slope = w[rival] - w[y]
        margins[:, rival] -= ((torch.where(slope > 0, high, low) - flat) * slope).sum(1)
    margins.scatter_(1, y[:, None], torch.inf)
    return margins.amin(1)


def standing_l2(model, x, y, eps):
    """The same for a ball within the box: pixels move along the slope and stop at 0 and 1.

    The multiplier that makes the move as long as eps is found by bisection.
    """
    flat, w, b = x.flatten(1).double(), model[1].weight.detach().double(), model[1].bias.detach().double()
    z = flat @ w.T + b
    margins = z.gather(1, y[:, None]) - z
    for rival in range(len(w)):
        slope = w[rival] - w[y]
        slope = slope / slope.norm(dim=1, keepdim=True).clamp_min(1e-300)
        low, high = torch.zeros(len(x), 1).double(), torch.full((len(x), 1), 1e3).double()
        for _ in range(100):
            mean = (low + high) / 2
            move = (flat + mean * slope).clamp(0, 1) - flat
            long = move.norm(dim=1, keepdim=True) > eps
            low, high = torch.where(long, low, mean), torch.where(long, mean, high)
        move = (flat + low * slope).clamp(0, 1) - flat
        margins[:, rival] -= (move * (w[rival] - w[y])).sum(1)
    margins.scatter_(1, y[:, None], torch.inf)
    return margins.amin(1)


def agrees(robust, exact, tolerance=1e-5):
    """Sample by sample, but for those that stand or fall by rounding."""
    return all(r == (e > 0) for r, e in zip(robust, exact.tolist(), strict=True) if abs(e) > tolerance)


@pytest.mark.parametrize(
    "classes, shape, batch_size",
    [
        (2, (1, 6, 20), 512),
        (3, (1, 20, 6), 1),
        (4, (3, 5, 5), 7),
        (5, (1, 6, 20), 1),
        (1000, (1, 20, 6), 512),
    ],
)
def test_linear_models_of_any_number_of_classes(classes, shape, batch_size):
    x, model = torch.rand(8, *shape, generator=torch.Generator().manual_seed(1)), linear(shape, classes)
    y, eps = model(x).argmax(1), [0.002, 0.01]
    record = evaluate(model, x, y, eps, batch_size=batch_size)
    for entry in record.at:
        assert agrees(entry.robust, standing_linf(model, x, y, entry.eps))
    assert record.flags == [] or classes == 1000  # a wide attack may leave some of so many


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_official_rungs_on_any_number_of_classes(classes, few_official_steps):
    shape = (1, 6, 10)
    x, model = torch.rand(8, *shape, generator=torch.Generator().manual_seed(1)), linear(shape, classes)
    y = model(x).argmax(1)
    for eps in (0.01, 0.04):
        record = evaluate(model, x, y, eps, ladder="standard")
        assert agrees(record.at[0].robust, standing_linf(model, x, y, eps))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("factor", [1e-30, 1e-14, 1.0, 1e6])
def test_small_gradients_in_l2(classes, factor, digits):
    """An absolute floor under the norm of the gradient left 47 to 50 % standing where 5 % do."""
    model = Linear(classes=classes)
    twin = nn.Sequential(nn.Flatten(), model.last)
    keep = digits.test_y < classes
    x, y = digits.test_x[keep][:40], digits.test_y[keep][:40]
    exact = standing_l2(twin, x, y, 1.0)
    record = evaluate(lambda v: factor * model(v), x, y, 1.0, "l2")
    robust = torch.tensor(record.at[0].robust)
    assert not (~robust & (exact > 1e-4)).any()  # nothing is broken that cannot be
    assert (robust & (exact < 0)).sum() <= 1  # and all but one of what can be, is
    assert 0 < float((exact > 0).double().mean()) < 0.5


OUTPUTS = {
    "times 100": lambda z: 100 * z,
    "times 1e30": lambda z: 1e30 * z,
    "softmax": lambda z: z.softmax(1),
    "100 softmax": lambda z: 100 * z.softmax(1),
    "log-probabilities": lambda z: z.log_softmax(1),
    "sigmoid": lambda z: torch.sigmoid(5 * z),
    "final ReLU": lambda z: z.relu(),
    "clamped": lambda z: z.clamp(-3, 3),
    "tanh": lambda z: torch.tanh(z),
    "rounded": lambda z: (z * 4).round() / 4 + 0 * z,
    "rounded probabilities": lambda z: (z.softmax(1) * 100).round() / 100 + 0 * z,
}


class Backward(torch.autograd.Function):
    """The logits as they are; the gradient is another one."""

    @staticmethod
    def forward(ctx, z, kind):
        ctx.kind = kind
        return z.clone()

    @staticmethod
    def backward(ctx, g):
        random = torch.randn(g.shape, generator=torch.Generator().manual_seed(0))
        return {"zero": 0 * g, "random": random, "flipped": -g, "unit": torch.ones_like(g)}[ctx.kind], None


for _kind in ("zero", "random", "flipped"):
    OUTPUTS[f"{_kind} backward"] = lambda z, kind=_kind: Backward.apply(z, kind)


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_that_hide_the_gradient_are_seen_through_or_flagged(name, digits):
    x, y = small(digits, 30)
    inner, after = Linear(), OUTPUTS[name]
    record = evaluate(lambda v: after(inner(v)), x, y, 0.08)
    exact = worst_case(inner, x, y, 0.08)
    if "rounded" in name:  # it decides otherwise: the worst image is still one of its own
        assert record.flags
        return
    assert record.flags or round(30 * record.at[0].accuracy) <= round(30 * exact) + 1
    if "backward" in name:
        assert record.flags


@pytest.mark.parametrize("kind", ["weights", "autocast"])
@pytest.mark.parametrize("temperature", [1, 30])
def test_half_precision_inside_is_attacked_as_well_as_single(kind, temperature):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 10)
    )
    x = torch.rand(10, 3, 32, 32)
    half = copy.deepcopy(net).to(torch.bfloat16) if kind == "weights" else net

    def inside(v):
        if kind == "weights":
            return temperature * half(v.to(torch.bfloat16)).float()
        with torch.autocast("cpu", torch.bfloat16):
            return temperature * net(v).float()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = inside(x).argmax(1)
        record = evaluate(inside, x, y, [0.002, 0.02])
    single = evaluate(lambda v: temperature * net(v.to(net[0].weight.dtype)).float(), x, y, [0.002, 0.02])
    for one, other in zip(record.at, single.at, strict=True):
        assert abs(one.accuracy - other.accuracy) <= 1 / 10
