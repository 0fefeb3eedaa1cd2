"""What people bring to an evaluation: gradients that mislead, unusual inputs and models, odd radii.

Each case has a right value in closed form, a number on a twin with the same logits, or a clear error.
"""

from __future__ import annotations

import random
import warnings
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from sam_edu import _ladder, _sanity, _slope, attacks, data, features
from sam_edu._balls import Ball
from sam_edu._fit import Fitted, by_content, unit_peak
from sam_edu._square import square
from sam_edu.evaluation import evaluate

SLOPE, FINITE, BLACK = "not the slope", "not finite", "needs no gradient"


@cache
def trained(classes):
    """The weights of a linear model of digits."""
    digits = data.load("digits")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        last = nn.Linear(64, classes)
    keep = digits.train_y < classes
    x, y = digits.train_x[keep].flatten(1), digits.train_y[keep]
    optimizer = torch.optim.Adam(last.parameters(), lr=0.01)
    for _ in range(400):
        optimizer.zero_grad()
        nn.functional.cross_entropy(last(x), y).backward()
        optimizer.step()
    return last.state_dict()


class Linear(nn.Module):
    """A linear model of digits behind a function of each pixel."""

    def __init__(self, before=lambda v: v, classes=10):
        super().__init__()
        self.before, self.last = before, nn.utils.skip_init(nn.Linear, 64, classes)
        self.last.load_state_dict(trained(classes))

    def forward(self, x):
        return self.last(self.before(x.flatten(1)))


def worst_case(model, x, y, eps):
    """Share that no image in the ball breaks: per rival class, each pixel goes to one end of its interval.

    Exact for a linear model behind a non-decreasing function of each pixel.
    """
    flat = x.flatten(1)
    low, high = (flat - eps).clamp(0, 1), (flat + eps).clamp(0, 1)
    standing = torch.ones(len(x), dtype=torch.bool)
    with torch.no_grad():
        for rival in range(len(model.last.weight)):
            slope = model.last.weight[rival] - model.last.weight[y]
            attacked = torch.where(slope > 0, high, low)
            standing &= model(attacked).argmax(1) == y
    return float(standing.double().mean())


def small(digits, n=60):
    return digits.test_x[:n], digits.test_y[:n]


def flags_of(record, *names):
    return [flag for flag in record.flags if any(name in flag for name in names)]


def one_line(error, hint):
    assert hint in str(error.value) and "\n" not in str(error.value), str(error.value)


# --- gradients that are not finite, or not the slope -----------------------------------------------------

ROOT = {
    "root above a floor": lambda v: torch.where(v > 0.1, (v - 0.1) ** 0.5, torch.zeros(())),
    "root": lambda v: v.sqrt(),  # infinite slope at black pixels
    "logarithm behind a mask": lambda v: torch.where(v > 0.2, (v - 0.2).log1p() + 0 * v.log(), v),
    "norm at zero": lambda v: v * (v.view(-1, 32, 2) ** 2).sum(2).sqrt().repeat_interleave(2, 1).add(1),
}
MASKED = {
    "dead zone": lambda v: v * (v > 0.1),
    "dead zone at 0.2": lambda v: v * (v > 0.2),
    "half of it rounded": lambda v: 0.5 * v + 0.5 * (v * 8).round() / 8,
    "half of it detached": lambda v: 0.5 * v + 0.5 * v.detach(),
    "stairs with a small slope": lambda v: 0.9 * (v * 16).floor() / 16 + 0.1 * v,
    "largest half": lambda v: v * (v >= v.topk(32, 1).values[:, -1:]),
    "backwards": lambda v: 2 * v.detach() - v,
}


@pytest.mark.parametrize("norm, eps", [("linf", 0.15), ("l2", 1.0)])
@pytest.mark.parametrize("name", ROOT)
def test_gradients_that_are_not_finite_are_flagged(name, norm, eps, digits):
    x, y = small(digits, 24)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        record = evaluate(Linear(ROOT[name]), x, y, eps, norm)
    (flag,) = flags_of(record, FINITE)
    assert "of the images" in flag and "of their pixels" in flag


@pytest.mark.parametrize("name", MASKED)
def test_gradients_that_are_not_the_slope_are_flagged(name, digits):
    x, y = small(digits, 30)
    model = Linear(MASKED[name])
    for norm, eps in (("linf", 0.12), ("l2", 1.0)):
        record = evaluate(model, x, y, eps, norm)
        (flag,) = flags_of(record, SLOPE)
        assert "% of the images" in flag and " 0% of the images" not in flag, record.flags


def test_the_exact_value_is_below_what_gradients_find_and_the_search_comes_nearer(digits):
    x, y = small(digits, 80)
    model = Linear(MASKED["dead zone at 0.2"])
    record = evaluate(model, x, y, 0.21)
    exact, rungs = worst_case(model, x, y, 0.21), record.at[0].rungs
    assert exact <= record.at[0].accuracy < rungs[-2].accuracy
    assert flags_of(record, BLACK) and flags_of(record, SLOPE)
    plain = Linear()
    record = evaluate(plain, x, y, [0.03, 0.1])
    assert [entry.accuracy for entry in record.at] == [worst_case(plain, x, y, e) for e in (0.03, 0.1)]
    assert record.flags == []


def test_k_winners_take_all_is_flagged(digits):
    class Winners(nn.Module):
        def forward(self, v):
            return v * (v >= v.topk(25, 1).values[:, -1:])

    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 256), Winners(), nn.Linear(256, 256), Winners(), nn.Linear(256, 10)
    )
    x, y = digits.test_x[:24], net(digits.test_x[:24]).argmax(1)
    assert flags_of(evaluate(net, x, y, 0.05), SLOPE)


def test_trained_winners_are_flagged_and_a_smoothed_gradient_finds_no_more_than_the_flag_says(digits):
    """Two hidden layers of 512, one unit in ten wins: gradients led the ladder 11 points astray, unsaid."""

    class Winners(nn.Module):
        def forward(self, v):
            return v * (v >= v.topk(51, 1).values[:, -1:])

    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 512), Winners(), nn.Linear(512, 512), Winners(), nn.Linear(512, 10)
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(80):
        chosen = torch.randint(len(digits.train_x), (128,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(digits.train_x[chosen]), digits.train_y[chosen]).backward()
        optimizer.step()
    x, y = small(digits, 30)
    record = evaluate(net, x, y, 0.1)
    left = torch.tensor(record.at[0].robust)
    ball = Ball("linf", x, 0.1, (0.0, 1.0))
    at, noise = x.clone(), torch.Generator().manual_seed(0)
    for _ in range(20):  # the gradient of the mean over nearby images
        near = (at + 0.04 * torch.randn(16, *at.shape, generator=noise)).flatten(0, 1).requires_grad_()
        margins = attacks.margin_loss(net(near), y.repeat(16)).clamp(-20, 5)
        (gradient,) = torch.autograd.grad(margins.sum(), near)
        at = ball.step(at, gradient.view(16, *at.shape).mean(0), 0.012)
        left &= net(at).argmax(1) == y
    assert flags_of(record, SLOPE)
    assert record.at[0].accuracy - float(left.double().mean()) <= 0.1


@pytest.mark.parametrize("before", [
    nn.functional.relu, lambda v: v.clamp(0, 1), lambda v: v.clamp_(0, 1), nn.functional.hardtanh,
    lambda v: nn.functional.relu6(6 * v) / 6, lambda v: v * (v > 0) * (v < 1) + (v >= 1),
    lambda v: torch.where(v <= 0, 0.0, v), lambda v: 1 - nn.functional.relu(1 - v),
])  # fmt: skip
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_slope_at_the_border_of_the_range_is_the_one_inwards(before, dtype, digits):
    """They change no image, but at black or white pixels their own slope is 0: attacks left those alone."""
    x, y = small(digits)
    right = worst_case(Linear(), x, y, 0.05)
    record = evaluate(Linear(before).to(dtype), x.to(dtype), y, 0.05)
    assert record.robust_accuracy(0.05) == right and record.flags == []
    fitted = Fitted(Linear(), x, guarded=False)
    assert _sanity.inwards(fitted, fitted.images(x[:16])) == 0 == fitted.inner  # others are attacked as ever


def test_images_that_rounding_left_outside_and_seeds_of_any_kind(digits):
    x, y = small(digits, 20)
    found = [
        evaluate(Linear(), x * (1 + 3e-7), y, 0.05, seed=seed).at[0].robust for seed in (3, np.int32(3), 3.0)
    ]
    assert found[0] == found[1] == found[2]
    with pytest.raises(TypeError, match="seed must be a"):
        evaluate(Linear(), x, y, 0.05, seed=None)


def test_a_mask_on_some_images_is_found_in_any_order(digits):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(digits.train_x), digits.train_y).backward()
        optimizer.step()

    def masked(v):
        late = (net(v).argmax(1) >= 4)[:, None, None, None]
        return net(torch.where(late, (v * 8).round() / 8, v))

    x, y = digits.test_x[:120], digits.test_y[:120]
    by_class = y.argsort(stable=True)
    one, other = evaluate(masked, x, y, 0.1), evaluate(masked, x[by_class], y[by_class], 0.1)
    assert one.flags == other.flags and flags_of(one, SLOPE) and flags_of(one, "exactly 0")


def test_the_order_of_the_probe_is_of_the_content(digits):
    x, y = small(digits)
    shuffled = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    order = by_content(x, y)
    assert sorted(order.tolist()) == list(range(60)) and order.tolist() != list(range(60))
    assert torch.equal(x[order], x[shuffled][by_content(x[shuffled], y[shuffled])])


def test_the_checks_leave_global_random_state_alone(digits):
    x, y = small(digits, 20)
    torch.manual_seed(3)
    random.seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    evaluate(Linear(), x, y, 0.05)
    after = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    assert torch.equal(before[0], after[0]) and before[1:] == after[1:]


def test_the_slope_of_known_functions():
    x = 0.2 + 0.6 * torch.rand(8, 1, 2, 3, generator=torch.Generator().manual_seed(0))
    w = torch.tensor([1.0, -2.0, 3.0, 0.5, -1.0, 2.0])

    def two(f):
        return lambda v: torch.stack([f(v.flatten(1) @ w), torch.zeros(len(v))], 1)

    def error(f):
        return _slope.measure(Fitted(two(f), x, guarded=False), x, 0.1, "linf").error

    assert error(lambda t: t).max() < 1e-6 and error(lambda t: 1e6 + 50 * t).max() < 0.01
    assert error(lambda t: t**3 + t.relu()).max() < 0.05
    for wrong, expected in ((lambda t: t.detach() + 0 * t, 1.0), (lambda t: 2 * t.detach() - t, 2.0)):
        assert (error(wrong) - expected).abs().max() < 1e-3


def test_half_precision_inside_raises_no_doubt():
    """Its rounding is no jump of the function; with many classes margins are small beside it."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 100))
    x = torch.rand(40, 1, 8, 8)

    def half(v):
        with torch.autocast("cpu", torch.bfloat16):
            return net(v).float()

    def masked(v):
        return half(v * (v > 0.2))

    for eps in (0.03, 0.1):
        assert not _slope.doubtful(_slope.measure(Fitted(half, x, guarded=False), x, eps, "linf").error)
    assert _slope.doubtful(_slope.measure(Fitted(masked, x, guarded=False), x, 0.1, "linf").error)


# --- pgd and features return numbers -----------------------------------------------------------------


class Spoiled(nn.Module):
    """A root whose gradient is NaN where the sum of the pixels is below 9."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(4, 2)

    def forward(self, v):
        t = v.sum(1, keepdim=True)
        return self.last(v) + torch.where(t > 9, (t - 9).sqrt(), torch.zeros(()))


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("restarts", [1, 2])
@pytest.mark.parametrize("stop", [False, True])
def test_pgd_never_returns_nan_and_says_what_it_met(norm, restarts, stop):
    x, y = torch.full((3, 4), 0.5), torch.tensor([0, 1, 0])
    with pytest.warns(RuntimeWarning, match="NaN or infinite"):
        attacked = attacks.pgd(Spoiled(), x, y, 0.1, norm, restarts=restarts, stop_when_fooled=stop)
    assert torch.isfinite(attacked).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attacks.pgd(nn.Linear(4, 2), x, y, 0.1, norm)


def test_features_refuse_gradients_that_are_not_finite():
    x = torch.full((3, 4), 0.5)
    for call in (
        lambda m: features.alignment(m, x),
        lambda m: features.relabelled(m, x, 2, 0.1),
        lambda m: features.mean_alignment(m, x, torch.eye(2, 4)),
    ):
        with pytest.raises(ValueError) as error:
            call(Spoiled())
        one_line(error, "100% of the images, at 100% of their pixels")


# --- floors and scales -------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("factor", [1e-30, 1e-14, 1e6])
def test_verdicts_do_not_depend_on_the_scale_of_the_logits(classes, factor, digits):
    model = Linear(classes=classes)
    keep = digits.test_y < classes
    x, y = digits.test_x[keep][:50], digits.test_y[keep][:50]
    plain = evaluate(model, x, y, 1.0, "l2").at[0].accuracy
    scaled = evaluate(lambda v: factor * model(v), x, y, 1.0, "l2").at[0].accuracy
    assert abs(plain - scaled) <= 1 / 50 and plain < 0.6
    saturated = evaluate(lambda v: (5 * model(v)).softmax(1).add(1e-12).log(), x, y, 1.0, "l2")
    assert saturated.at[0].accuracy <= plain + 1 / 50


@pytest.mark.parametrize("size", [1e-37, 1e-20, 1.0, 1e30])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_an_l2_step_has_its_length_whatever_the_gradient(size, dtype):
    if torch.tensor(size, dtype=dtype) in (0.0, torch.inf):
        return
    centre = torch.full((2, 50), 0.5, dtype=dtype)
    ball = attacks.Ball("l2", centre, 10.0, None)
    gradient = torch.full((2, 50), size, dtype=dtype)
    gradient[1] = 0
    moved = (ball.step(centre, gradient, 1.0) - centre).double().norm(dim=1)
    assert moved[0].item() == pytest.approx(1, rel=0.05) and moved[1] == 0
    assert unit_peak(gradient).abs().amax() <= 2


# --- what the guard accepts, every rung takes ---------------------------------------------------------


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize(
    "shape", [(20,), (2, 30), (2, 3, 5, 5), (1, 6, 20), (3, 2, 2), (1,), (2, 1, 2, 2, 3)]
)
def test_inputs_of_any_shape(shape, norm):
    torch.manual_seed(0)
    x = torch.rand(12, *shape)
    model = nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), 5))
    record = evaluate(model, x, model(x).argmax(1), 0.05, norm)
    logits, w = model(x).detach(), model[1].weight.detach()
    y, norms = logits.argmax(1), {"linf": 1, "l2": 2}[norm]
    for i, robust in enumerate(record.at[0].robust):
        gaps = [
            (logits[i, y[i]] - logits[i, j]) / (w[y[i]] - w[j]).norm(p=1 if norms == 1 else 2)
            for j in range(5)
            if j != y[i]
        ]
        assert robust or min(gaps) < 0.05 + 1e-6  # the box only helps the defender
        assert not robust or shape == (1,) or min(gaps) > 0.01


@pytest.fixture
def few_official_steps(monkeypatch):
    """The official attacks as they are, with 10 steps and 100 queries instead of 100 and 5000."""
    official, own = _ladder._official(), _ladder.square

    class Short(official.AutoAttack):
        def __init__(self, *arguments, **settings):
            super().__init__(*arguments, **settings)
            assert (self.apgd.n_iter, self.fab.n_iter, self.square.n_queries) == (100, 100, 5000)
            self.apgd.n_iter = self.apgd_targeted.n_iter = self.fab.n_iter = 10
            self.square.n_queries = 100

    monkeypatch.setattr(official, "AutoAttack", Short)
    monkeypatch.setattr(_ladder, "square", lambda *about: own(*about[:5], 100, *about[6:]))


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("shape", [(20,), (2, 30), (2, 3, 5, 5)])
def test_the_official_rungs_take_any_shape(shape, norm, few_official_steps):
    torch.manual_seed(0)
    x = torch.rand(4, *shape, dtype=torch.float64)
    model = nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), 5)).double()
    assert evaluate(model, x, model(x).argmax(1).int(), 0.01, norm, "standard").n == 4


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_floating_point_type(dtype, norm, digits):
    x, y = small(digits, 24)
    model = Linear()
    eps = 0.08 if norm == "linf" else 0.5
    expected = evaluate(model, x, y, eps, norm).at[0].accuracy
    record = evaluate(Linear().to(dtype), x.to(dtype), y, eps, norm)
    assert abs(record.at[0].accuracy - expected) <= 2 / 24
    assert not flags_of(record, SLOPE, FINITE, BLACK)


def test_the_official_search_without_gradients_is_heard(few_official_steps, digits):
    x, y = small(digits, 80)
    record = evaluate(Linear(MASKED["dead zone at 0.2"]), x, y, 0.21, ladder="standard")
    (flag,) = flags_of(record, BLACK)
    assert flag.startswith("AutoAttack SQUARE") and flags_of(record, SLOPE)
    rungs = record.at[0].rungs
    assert rungs[-1].accuracy < rungs[-2].accuracy - 0.005
    assert evaluate(Linear(), x[:20], y[:20], 0.05, ladder="standard").flags == []


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_channels_last_on_the_official_rungs(norm, few_official_steps):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    x = torch.rand(10, 3, 8, 8)
    y, eps = net(x).argmax(1), 0.02 if norm == "linf" else 0.2
    expected = evaluate(net, x, y, eps, norm, "standard")
    last = {"memory_format": torch.channels_last}
    found = evaluate(net.to(**last), x.to(**last), y, eps, norm, "standard")
    assert found.at[0].robust == expected.at[0].robust and found.flags == expected.flags
    assert any(found.at[0].robust) and not all(found.at[0].robust)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_channels_last_and_slices(norm):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    x = torch.rand(10, 3, 8, 8)
    y = net(x).argmax(1)
    expected = evaluate(net, x, y, 0.05, norm).at[0].robust
    last = evaluate(
        net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last), y, 0.05, norm
    )
    assert last.at[0].robust == expected
    assert evaluate(net, x[:, [2, 1, 0]].flip(1), y, 0.05, norm).at[0].robust == expected


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool])
def test_labels_of_any_whole_number_type(dtype, digits):
    model = Linear(classes=2)
    keep = digits.test_y < 2
    x, y = digits.test_x[keep][:10], digits.test_y[keep][:10]
    assert evaluate(model, x, y.to(dtype), 0.1).at[0].robust == evaluate(model, x, y, 0.1).at[0].robust
    assert torch.equal(
        attacks.pgd(model, x, y.to(dtype), 0.1, random_start=False),
        attacks.pgd(model, x, y, 0.1, random_start=False),
    )


class InPlace(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x.sub_(0.5).mul_(2))


@pytest.mark.parametrize(
    "first", ["relu", "in place", "frozen", "optimized", "traced", "exported", "function", "lambda"]
)
def test_models_of_any_make(first):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.ReLU(inplace=first == "relu"), nn.Linear(9, 4)).eval()
    x = torch.rand(10, 1, 3, 3)
    made = {
        "in place": lambda: InPlace(net),
        "frozen": lambda: torch.jit.freeze(torch.jit.script(net)),
        "optimized": lambda: torch.jit.optimize_for_inference(torch.jit.script(net)),
        "traced": lambda: torch.jit.trace(net, x[:2]),
        "exported": lambda: torch.export.export(
            net, (x,), dynamic_shapes=({0: torch.export.Dim("n", min=1, max=4096)},)
        ).module(),
        "function": lambda: net.forward,
        "lambda": lambda: lambda v: net(v),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        model = made.get(first, lambda: net)()
        twin = net if first != "in place" else lambda v: net((v - 0.5) * 2)
        y, kept = twin(x.clone()).argmax(1), x.clone()
        record, expected = evaluate(model, x, y, 0.1), evaluate(twin, x, y, 0.1)
        assert record.at[0].robust == expected.at[0].robust and record.flags == expected.flags
        attacked = attacks.pgd(model, x, y, 0.1, random_start=False, restarts=2)
        assert torch.equal(attacked, attacks.pgd(twin, x, y, 0.1, random_start=False, restarts=2))
    assert torch.equal(x, kept)  # what the model does in place, it does to a copy


class Found:
    def __init__(self, logits):
        self.logits = logits


@pytest.mark.parametrize(
    "after, hint",
    [
        (lambda z: (z, z), "type tuple of 2 entries"),
        (lambda z: {"logits": z}, "type dict of 1 entries"),
        (Found, "type Found"),
        (lambda z: z.detach().numpy(), "type ndarray"),
        (lambda z: None, "type NoneType"),
        (lambda z: z[:, :1], "from one logit z make two"),
        (lambda z: z[:, 0], "from one logit z make two"),
        (lambda z: z[:, :, None], "expected (n, classes)"),
        (lambda z: z.argmax(1, keepdim=True), "expected (n, classes)"),
        (lambda z: z[:1].expand(1, -1), "expected (n, classes)"),
        (lambda z: z.detach(), "can be differentiated"),
        (lambda z: torch.zeros_like(z).requires_grad_(), "can be differentiated"),
        (lambda z: nn.functional.one_hot(z.argmax(1), z.shape[1]).float(), "can be differentiated"),
        (lambda z: torch.from_numpy(z.detach().numpy()), "can be differentiated"),
    ],
)
def test_outputs_that_are_no_logits_are_refused_in_one_line(after, hint):
    net = nn.Sequential(nn.Flatten(), nn.Linear(9, 4))
    x, y = torch.rand(10, 1, 3, 3), torch.zeros(10, dtype=torch.long)
    for call in (
        lambda m: evaluate(m, x, y, 0.1),
        lambda m: attacks.pgd(m, x, y, 0.1),
        lambda m: attacks.fgsm(m, x, y, 0.1),
        lambda m: features.alignment(m, x),
    ):
        with pytest.raises((TypeError, ValueError)) as error:
            call(lambda v: after(net(v)))
        one_line(error, hint)


class Spikes(nn.Module):
    """A surrogate gradient in train mode, none in eval mode."""

    def forward(self, v):
        hard = (v > 0.5).float()
        return hard + v.sigmoid() - v.sigmoid().detach() if self.training else hard


@pytest.mark.parametrize(
    "before", [Spikes(), lambda v: (v * 255).to(torch.uint8).float() / 255, lambda v: v.detach()]
)
def test_models_without_a_gradient_are_refused_at_the_door(before):
    net = nn.Sequential(nn.Flatten(), nn.Linear(9, 4))
    x, calls = torch.rand(10, 1, 3, 3), []
    model = lambda v: calls.append(1) or net(before(v))  # noqa: E731
    y = model(x).argmax(1)
    with pytest.raises(ValueError) as error:
        evaluate(nn.Sequential(before, net) if isinstance(before, nn.Module) else model, x, y, 0.1)
    one_line(error, "attack a differentiable twin")
    assert len(calls) < 10  # before time is spent


def forest():
    from sklearn.ensemble import RandomForestClassifier

    x = np.random.default_rng(0).random((30, 9))
    return RandomForestClassifier(3, random_state=0).fit(x, np.arange(30) % 4)


@pytest.mark.parametrize(
    "model, hint",
    [
        (forest, "got RandomForestClassifier"),
        (lambda: nn.Linear(9, 4).state_dict(), "got OrderedDict"),
        (lambda: "resnet18", "got str"),
        (lambda: nn.Linear, "got a class"),
        (lambda: lambda x: forest().predict_proba(x.flatten(1).numpy()), "type ndarray"),
        (lambda: lambda x: torch.from_numpy(forest().predict_proba(x.detach().flatten(1))), "differentiable"),
        (lambda: lambda x: torch.from_numpy(x.numpy().reshape(-1, 9)[:, :4].copy()), "numpy inside"),
        (lambda: lambda x: torch.from_numpy(np.asarray(x).reshape(-1, 9)[:, :4].copy()), "numpy inside"),
        (lambda: lambda x: x.flatten(1)[:, :4].argmax(1), "before an argmax"),
        (lambda: lambda x: (100 * x.flatten(1)[:, :4]).int(), "no slope"),
        (lambda: lambda x: x.flatten(1)[:, :4] > 0.5, "no slope"),
        (lambda: torch.inference_mode()(lambda x: x.flatten(1)[:, :4] * 2), "can be differentiated"),
        (lambda: lambda x: torch.tensor(x.tolist()).flatten(1)[:, :4], "can be differentiated"),
        (lambda: lambda x: torch.ones(4).expand(len(x), 4), "can be differentiated"),
        (
            lambda: lambda x: checkpoint(lambda v: v.flatten(1)[:, :4] * 2, x, use_reentrant=True),
            "use_reentrant=False",
        ),
    ],
)
def test_what_cannot_be_differentiated_has_one_line_at_the_door(model, hint):
    x, y, given = torch.rand(10, 1, 3, 3), torch.zeros(10, dtype=torch.long), model()
    calls = [lambda: evaluate(given, x, y, 0.1), lambda: attacks.pgd(given, x, y, 0.1)]
    for call in calls:
        with warnings.catch_warnings(), pytest.raises((TypeError, ValueError)) as error:
            warnings.simplefilter("ignore")
            call()
        assert "\n" not in str(error.value)
    one_line(error, "numpy inside" if hint == "type ndarray" else hint)


@pytest.mark.parametrize("label", [-1, -100, 4])
def test_labels_outside_of_the_classes_are_refused(label):
    x, y = torch.rand(6, 9), torch.tensor([0, 1, 2, 3, 0, label])
    model = nn.Linear(9, 4)
    for call in (lambda: evaluate(model, x, y, 0.1), lambda: attacks.pgd(model, x, y, 0.1)):
        with pytest.raises(ValueError) as error:
            call()
        one_line(error, f"labels run from {min(label, 0)} to {max(label, 3)}")


def test_models_of_one_batch_size_are_named():
    net = nn.Sequential(nn.Flatten(), nn.Linear(9, 4))

    def fixed(v):
        return net(v.view(10, 9))

    with pytest.raises(ValueError) as error:
        evaluate(fixed, torch.rand(10, 1, 3, 3), torch.zeros(10, dtype=torch.long), 0.1)
    one_line(error, "not one image alone")


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_batch_size_holds_for_every_pass(norm, digits):
    sizes = []
    model = Linear()
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    evaluate(model, *small(digits, 40), 0.05, norm, batch_size=7.0)
    assert max(sizes) == 7


# --- radii -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("eps", [torch.tensor([8 / 255]), torch.tensor(8 / 255), np.float32(8 / 255),
                                 [8 / 255], np.array([8 / 255, 8 / 255]), [np.float32(8 / 255), 8 / 255],
                                 (torch.tensor(8 / 255),)])  # fmt: skip
def test_radii_as_people_have_them(eps, digits):
    record = evaluate(Linear(), *small(digits, 10), eps)
    assert len(record.at) == 1
    for asked in (8 / 255, np.float32(8 / 255), torch.tensor(8 / 255)):
        assert record.entry(asked) is record.at[0]
    with pytest.raises(KeyError, match=r"eps = 0\.031373 was not evaluated; measured: 8/255"):
        record.entry(0.031373)


def test_zero_in_a_sweep_is_the_clean_accuracy(digits):
    record = evaluate(Linear(), *small(digits, 20), [0, 0.1, 0.0])
    assert [entry.eps for entry in record.at] == [0, 0.1]
    assert record.robust_accuracy(0) == record.clean_accuracy
    assert not any(rung.attacked for rung in record.at[0].rungs)
    assert evaluate(Linear(), *small(digits, 20), 0).flags == []


# --- guards ------------------------------------------------------------------------------------------


class Late(nn.Module):
    """Noise for bright images only, or with an offset that hides it."""

    def __init__(self, net, bright=0.0, offset=0.0):
        super().__init__()
        self.net, self.bright, self.offset = net, bright, offset

    def forward(self, x):
        noisy = (x.flatten(1).mean(1) >= self.bright)[:, None, None, None]
        return self.net(x + 0.2 * torch.randn_like(x) * noisy) + self.offset


@pytest.mark.parametrize("offset", [0, 1e3, 1e5, -1e5])
@pytest.mark.parametrize("share", [0.0, 0.9])
def test_randomness_is_measured_against_differences_between_logits(offset, share, digits):
    model = Linear()
    x = digits.test_x[:60]
    x = x[x.flatten(1).mean(1).argsort()]  # the noisy ones come last
    bright = float(x.flatten(1).mean(1).quantile(share)) if share else 0.0
    y = model(x).argmax(1)
    with pytest.raises(ValueError) as error:
        evaluate(Late(model, bright, offset), x, y, 0.1, batch_size=20)
    one_line(error, "switch off randomness")
    assert evaluate(lambda v: model(v) + 1e6, x[:20], y[:20], 0.05).n == 20  # an offset alone is no fault


def test_sigmoid_outputs_are_flagged_and_small_logits_are_not(digits):
    model = Linear()
    x, y = small(digits, 40)
    record = evaluate(lambda v: torch.sigmoid(5 * model(v)), x, y, 0.05)
    assert flags_of(record, "look like probabilities")
    record = evaluate(lambda v: 0.2 + 0.01 * model(v), x, y, 0.05)
    assert record.flags == []


def test_no_hint_names_an_argument_that_is_not_there(digits):
    x, y = small(digits, 5)
    for call in (
        lambda: evaluate(Linear(), 2 * x - 1, y, 0.1),
        lambda: features.alignment(Linear(), 2 * x - 1),
        lambda: features.relabelled(Linear(), 2 * x - 1, 10, 0.1),
    ):
        with pytest.raises(ValueError) as error:
            call()
        assert "must lie in [0, 1]" in str(error.value) and "clip" not in str(error.value)
    with pytest.raises(ValueError, match="clip=None"):
        attacks.pgd(Linear(), 2 * x - 1, y, 0.1)


# --- the search without gradients --------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 7), (1, 1, 20), (6, 1, 1)])
def test_the_search_stays_in_the_ball_and_raises_the_margin(norm, shape):
    torch.manual_seed(0)
    x = torch.rand(30, *shape)
    model = nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), 3))
    y, eps = model(x).argmax(1), 0.1 if norm == "linf" else 0.3
    for queries in (1, 150):
        found = square(model, x, y, eps, norm, queries, torch.Generator().manual_seed(0))
        delta = (found - x).double().flatten(1)
        size = delta.abs().amax(1) if norm == "linf" else delta.norm(dim=1)
        assert (size <= eps * (1 + 1e-6)).all() and 0 <= found.min() <= found.max() <= 1
    before, after = (attacks.margin_loss(model(v), y) for v in (x, found))
    assert (after > before).double().mean() > 0.9 and after.mean() > before.mean()
