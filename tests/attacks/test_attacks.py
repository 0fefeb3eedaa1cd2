"""FGSM and PGD: closed forms, other people's attacks, the ball and the box, and no side effects."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from sam_edu import attacks
from sam_edu.attacks import FGSM, PGD, fgsm, pgd

NORMS = ("linf", "l2")


def image_net(dtype=torch.float32, seed=0, scale=3.0):
    """A small net on 1x5x5 images with BatchNorm and dropout; decided enough that attacks matter."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(36, 4)
        ).to(dtype)
    with torch.no_grad():
        net[-1].weight *= scale
    return net.eval()


def images(n=12, seed=1, dtype=torch.float32, ends=True):
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(n, 1, 5, 5, generator=g, dtype=dtype)
    if ends:  # real images have exactly black and exactly white pixels
        x = ((x - 0.5) * 2 + 0.5).clamp(0, 1)
    return x, torch.randint(4, (n,), generator=g)


def distance(x, attacked, norm):
    delta = (attacked.double() - x.double()).flatten(1)
    return delta.abs().amax(1) if norm == "linf" else delta.norm(dim=1)


def losses(model, x, y):
    with torch.no_grad():
        return cross_entropy(model(x), y, reduction="none")


# --- the ball and the box -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("random_start", [True, False])
def test_eps_zero_changes_no_bit(norm, random_start, dtype):
    model, (x, y) = image_net(dtype), images(dtype=dtype)
    x[0, 0, 0, 0], x[0, 0, 0, 1] = -0.0, 1.0
    logits = model(x)
    found = [fgsm(model, x, y, 0.0), FGSM(0)(model, x, y)]
    for settings_ in ({}, {"restarts": 3}, {"stop_when_fooled": True}, {"loss": "margin"}):
        found.append(pgd(model, x, y, 0.0, norm, random_start=random_start, **settings_))
    for attacked in found:
        assert attacked.numpy().tobytes() == x.numpy().tobytes() and attacked is not x
        assert model(attacked).detach().numpy().tobytes() == logits.detach().numpy().tobytes()


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    eps=st.one_of(st.floats(1e-8, 2), st.sampled_from([1 / 255, 8 / 255, 0.1, 0.3, 0.7, 1.0])),
    norm=st.sampled_from(NORMS),
    steps=st.integers(1, 4),
    restarts=st.integers(1, 2),
    step_size=st.one_of(st.none(), st.floats(0, 5)),
    random_start=st.booleans(),
    stop=st.booleans(),
    loss=st.sampled_from(["ce", "margin"]),
    double=st.booleans(),
)
def test_always_in_the_ball_and_in_the_box(
    seed, eps, norm, steps, restarts, step_size, random_start, stop, loss, double
):
    dtype = torch.float64 if double else torch.float32
    model, (x, y) = image_net(dtype, seed), images(4, seed, dtype)
    generator = torch.Generator().manual_seed(seed)
    attacked = pgd(
        model,
        x,
        y,
        eps,
        norm,
        steps,
        step_size,
        restarts,
        random_start,
        loss=loss,
        stop_when_fooled=stop,
        generator=generator,
    )
    assert attacked.shape == x.shape and attacked.dtype == x.dtype and not attacked.requires_grad
    assert attacked.min() >= 0 and attacked.max() <= 1
    # l-infinity: never further than eps, not even by a rounding; l2: up to rounding of the norm
    assert (distance(x, attacked, norm) <= eps * (1 if norm == "linf" else 1 + 1e-6)).all()


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.floats(1e-6, 100), st.sampled_from(NORMS), st.booleans())
def test_the_ball_without_a_box(seed, eps, norm, double):
    dtype = torch.float64 if double else torch.float32
    g = torch.Generator().manual_seed(seed)
    model = nn.Linear(7, 3).to(dtype)
    x, y = 5 * torch.randn(6, 7, generator=g, dtype=dtype), torch.randint(3, (6,), generator=g)
    attacked = pgd(model, x, y, eps, norm, clip=None, generator=g)
    rounding = 0.0 if norm == "linf" else float((x.abs().amax() + eps) * torch.finfo(dtype).eps * 4)
    assert (distance(x, attacked, norm) <= eps * (1 + (norm == "l2") * 1e-6) + rounding).all()


@pytest.mark.parametrize("eps", [0.1, 0.3, 1e-3, 1 / 255, 2 / 255, 4 / 255, 8 / 255, 16 / 255])
def test_eps_as_a_float32_grey_level_is_not_exceeded(eps):
    """0.1 in float32 is a little more than 0.1: going from that pixel to 0 would leave the ball."""
    x, y = torch.full((2, 4), eps), torch.tensor([0, 1])
    attacked = pgd(lambda t: torch.stack([t.sum(1), -t.sum(1)], 1), x, y, eps, random_start=False)
    assert (distance(x, attacked, "linf") <= eps).all() and (attacked[0] < 1e-7).all()


@pytest.mark.parametrize("norm", NORMS)
def test_random_points_are_uniform_in_the_ball(norm):
    centre = torch.full((20_000, 3), 0.5, dtype=torch.float64)
    ball = attacks.Ball(norm, centre, 0.4, None)
    delta = ball.random_point(torch.Generator().manual_seed(0)) - centre
    size = distance(centre, centre + delta, norm)
    # the share of the volume within radius r of a ball of radius eps is (r/eps)^3
    for share in (0.25, 0.5, 0.75):
        inside = float((size <= 0.4 * share).double().mean())
        assert abs(inside - share**3) < 4 * math.sqrt(share**3 * (1 - share**3) / 20_000)
    assert (delta.mean(0).abs() < 4 * delta.std(0) / math.sqrt(20_000)).all()


# --- closed forms ---------------------------------------------------------------------------------------


def linear_model(seed, d=9):
    """Two classes, logits (0, w.x + b): the loss of class 1 falls with the margin w.x + b."""
    g = torch.Generator().manual_seed(seed)
    w = torch.randn(d, generator=g, dtype=torch.float64)
    model = nn.Linear(d, 2, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.stack([torch.zeros(d), w]))
        model.bias.copy_(torch.tensor([0.0, 0.3]))
    x = 2 * torch.randn(5, d, generator=g, dtype=torch.float64)
    return model, w, x, torch.randint(2, (5,), generator=g)


@settings(max_examples=12)
@given(st.integers(0, 10_000), st.floats(1e-3, 3), st.sampled_from(["ce", "margin"]))
def test_linear_models_have_a_closed_form(seed, eps, loss):
    """Worst case: x - eps s sgn(w) and x - eps s w/|w|_2, with s = +-1 the side of the label."""
    model, w, x, y = linear_model(seed)
    side = (2.0 * y.double() - 1)[:, None]
    linf, l2 = x - eps * side * w.sign(), x - eps * side * w / w.norm()
    generator = torch.Generator().manual_seed(seed)
    assert torch.allclose(fgsm(model, x, y, eps, clip=None, loss=loss), linf, rtol=0, atol=1e-12)
    for start in (True, False):
        common = {"clip": None, "loss": loss, "random_start": start, "generator": generator}
        found = pgd(model, x, y, eps, "linf", 12, **common)
        assert torch.allclose(found, linf, rtol=0, atol=1e-12)
        # from a random start l2-PGD approaches the optimum along the sphere
        found = pgd(model, x, y, eps, "l2", 1 if not start else 80, eps if not start else eps / 2, **common)
        assert torch.allclose(found, l2, rtol=0, atol=4e-6 * eps + 1e-12)
    worst = margins(model, linf, y)
    assert torch.allclose(margins(model, x, y) - worst, eps * w.abs().sum().expand(5), rtol=1e-9)
    assert torch.allclose(margins(model, x, y) - margins(model, l2, y), eps * w.norm().expand(5), rtol=1e-9)


def margins(model, x, y):
    return -attacks.margin_loss(model(x), y).detach()


def test_linear_model_in_the_box():
    """l-infinity with a box stays separable: every pixel goes as far as it may."""
    model, w, _, y = linear_model(3)
    x = torch.rand(5, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    side = (2.0 * y.double() - 1)[:, None]
    expected = (x - 0.3 * side * w.sign()).clamp(0, 1)
    assert torch.allclose(fgsm(model, x, y, 0.3), expected, atol=1e-12)
    assert torch.allclose(
        pgd(model, x, y, 0.3, generator=torch.Generator().manual_seed(0)), expected, atol=1e-12
    )


def test_toy_model_attacked_reaches_the_closed_form():
    """The features of the toy model are no pixels: clip=None; only the weak ones are attacked."""
    from sam_edu import toy

    m = toy.NRFModel(0.9, 0.2, 10)
    samples, labels = m.sample(4000, seed=0)
    x, y = torch.from_numpy(samples), torch.from_numpy((labels > 0).astype(np.int64))
    a = toy.standard_optimum(m)
    w = torch.tensor([a, *[1.0] * 10], dtype=torch.float64)
    robust_part = x[:, :1]

    def model(weak):
        score = torch.cat([robust_part[: len(weak)], weak], 1) @ w
        return torch.stack([-score, score], 1)

    for eps in (0.1, 0.2, 0.4):
        attacked = pgd(
            model, x[:, 1:], y, eps, steps=8, clip=None, generator=torch.Generator().manual_seed(0)
        )
        hits = float((model(attacked).argmax(1) == y).double().mean())
        exact = float(m.robust_accuracy(a, eps))
        assert abs(hits - exact) < 4 * math.sqrt(exact * (1 - exact) / 4000)


def test_margin_loss():
    logits = torch.tensor([[3.0, 1.0, 2.0], [0.0, 0.0, -1.0]])
    assert torch.equal(attacks.margin_loss(logits, torch.tensor([0, 2])), torch.tensor([-1.0, 1.0]))
    assert torch.equal(logits, torch.tensor([[3.0, 1.0, 2.0], [0.0, 0.0, -1.0]]))


# --- other people's attacks -----------------------------------------------------------------------------


def test_agrees_with_torchattacks():
    torchattacks = pytest.importorskip("torchattacks")
    model, (x, y) = image_net(), images()
    eps, size = 0.1, 0.03
    pairs = [
        (fgsm(model, x, y, eps), torchattacks.FGSM(model, eps)),
        (pgd(model, x, y, eps, "linf", 7, size, random_start=False),
         torchattacks.PGD(model, eps, size, 7, random_start=False)),
        (pgd(model, x, y, 0.5, "l2", 7, 0.1, random_start=False),
         torchattacks.PGDL2(model, 0.5, 0.1, 7, random_start=False)),
    ]  # fmt: skip
    for ours, theirs in pairs:
        assert (ours - theirs(x, y)).abs().max() < 2e-6


@pytest.mark.filterwarnings("ignore")
def test_agrees_with_foolbox():
    foolbox = pytest.importorskip("foolbox")
    model, (x, y) = image_net(), images()
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    linf = foolbox.attacks.LinfPGD(abs_stepsize=0.03, steps=7, random_start=False)
    l2 = foolbox.attacks.L2PGD(abs_stepsize=0.1, steps=7, random_start=False)
    one = foolbox.attacks.FGSM(random_start=False)
    assert (fgsm(model, x, y, 0.1) - one.run(wrapped, x, y, epsilon=0.1)).abs().max() < 2e-6
    ours = pgd(model, x, y, 0.1, "linf", 7, 0.03, random_start=False)
    assert (ours - linf.run(wrapped, x, y, epsilon=0.1)).abs().max() < 2e-6
    ours = pgd(model, x, y, 0.5, "l2", 7, 0.1, random_start=False)
    assert (ours - l2.run(wrapped, x, y, epsilon=0.5)).abs().max() < 2e-6


@pytest.mark.parametrize("norm", NORMS)
def test_agrees_with_torchattacks_from_its_random_start(norm, monkeypatch):
    """Their start, drawn from torch's global generator, becomes ours: then every iterate agrees."""
    torchattacks = pytest.importorskip("torchattacks")
    model, (x, y) = image_net(), images()
    eps, size = (0.1, 0.03) if norm == "linf" else (0.5, 0.1)
    make = torchattacks.PGD if norm == "linf" else torchattacks.PGDL2
    visited = []
    hook = model.register_forward_pre_hook(lambda _, inputs: visited.append(inputs[0].detach().clone()))
    torch.manual_seed(3)
    theirs = make(model, eps, size, 7, random_start=True)(x, y)
    hook.remove()
    start = next(v for v in visited if v.shape == x.shape)  # not the one image of its own checks
    assert (distance(x, start, norm) > 0.02 * eps).all()
    monkeypatch.setattr(attacks.Ball, "random_point", lambda *_: start)
    assert (pgd(model, x, y, eps, norm, 7, size) - theirs).abs().max() < 2e-6


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("norm", NORMS)
def test_agrees_with_foolbox_from_its_random_start(norm, monkeypatch):
    foolbox = pytest.importorskip("foolbox")
    model, (x, y) = image_net(), images()
    eps, size = (0.1, 0.03) if norm == "linf" else (0.5, 0.1)
    make = foolbox.attacks.LinfPGD if norm == "linf" else foolbox.attacks.L2PGD
    wrapped, visited = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu"), []
    hook = model.register_forward_pre_hook(lambda _, inputs: visited.append(inputs[0].detach().clone()))
    torch.manual_seed(3)
    theirs = make(abs_stepsize=size, steps=7, random_start=True).run(wrapped, x, y, epsilon=eps)
    hook.remove()
    start = visited[0]
    assert (distance(x, start, norm) > 0.02 * eps).all()
    monkeypatch.setattr(attacks.Ball, "random_point", lambda *_: start)
    assert (pgd(model, x, y, eps, norm, 7, size) - theirs).abs().max() < 2e-6


# --- what an attack leaves alone ------------------------------------------------------------------------


def snapshot(model):
    return (
        [m.training for m in model.modules()],
        [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        [p.requires_grad for p in model.parameters()],
        [t.clone() for t in model.state_dict().values()],
        torch.get_rng_state(),
    )


def unchanged(before, after):
    modes, gradients, required, tensors, rng = zip(before, after, strict=True)
    assert modes[0] == modes[1] and required[0] == required[1]
    for a, b in zip(*gradients, strict=True):
        assert a is b if a is None or b is None else torch.equal(a, b)
    assert all(torch.equal(a, b) for a, b in zip(*tensors, strict=True)) and torch.equal(*rng)


def prepared():
    """Some modules training and some not, some gradients there and some not, one weight frozen."""
    model = image_net().train()
    model[1].eval()
    model[0].weight.grad = torch.ones_like(model[0].weight)
    model[5].bias.requires_grad_(False)
    return model


CALLS = {
    "fgsm": lambda m, x, y: fgsm(m, x, y, 0.1),
    "pgd": lambda m, x, y: pgd(m, x, y, 0.1),
    "pgd l2": lambda m, x, y: pgd(m, x, y, 0.5, "l2", restarts=2, stop_when_fooled=True),
    "PGD": lambda m, x, y: PGD(0.1)(m, x, y),
}


@pytest.mark.parametrize("name", CALLS)
def test_everything_is_left_as_found(name):
    model, (x, y) = prepared(), images()
    kept = x.clone()
    torch.manual_seed(5)
    before = snapshot(model)
    CALLS[name](model, x, y)
    unchanged(before, snapshot(model))
    assert torch.equal(x, kept) and x.grad is None and not x.requires_grad


@pytest.mark.parametrize("fails_at", [1, 3])
def test_everything_is_left_as_found_after_an_exception(fails_at):
    model, (x, y), calls = prepared(), images(), []

    def fail(*_):
        calls.append(1)
        if len(calls) == fails_at:
            raise RuntimeError("no more memory")

    model[4].register_forward_hook(fail)
    before = snapshot(model)
    with pytest.raises(RuntimeError, match="no more memory"):
        pgd(model, x, y, 0.1)
    unchanged(before, snapshot(model))


def test_the_model_is_attacked_in_eval_mode():
    model, (x, y) = image_net(), images()
    expected = pgd(model, x, y, 0.1, random_start=False)
    assert torch.equal(pgd(copy.deepcopy(model).train(), x, y, 0.1, random_start=False), expected)


def test_under_no_grad_and_within_inference_mode():
    model, (x, y) = image_net(), images()
    expected = pgd(model, x, y, 0.1, random_start=False)
    with torch.no_grad():
        assert torch.equal(pgd(model, x, y, 0.1, random_start=False), expected)
        assert not torch.is_grad_enabled()
    with torch.inference_mode(), pytest.raises(RuntimeError, match="outside torch") as error:
        pgd(model, x, y, 0.1)
    assert "\n" not in str(error.value)


def test_inputs_that_require_gradients_are_left_alone():
    model, (x, y) = image_net(), images()
    x.requires_grad_()
    attacked = pgd(model, x, y, 0.1, restarts=2)
    assert x.grad is None and x.requires_grad and not attacked.requires_grad
    assert not fgsm(model, x, y, 0.0).requires_grad


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("shape", [(6, 5), (6, 2, 3), (6, 1, 5, 5), (1, 4), (0, 4)])
def test_any_number_of_dimensions(norm, shape):
    g = torch.Generator().manual_seed(0)
    x, y = torch.rand(shape, generator=g), torch.randint(3, shape[:1], generator=g)
    model = nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel() if len(x) else 4, 3))
    assert pgd(model, x, y, 0.1, norm).shape == x.shape


def test_plain_functions_can_be_attacked():
    x, y = torch.rand(3, 4), torch.tensor([0, 1, 0])
    assert pgd(lambda t: t[:, :2] * 3, x, y, 0.1).shape == x.shape


# --- randomness -----------------------------------------------------------------------------------------


def test_generators_decide():
    model, (x, y) = image_net(), images()

    def attack(seed):
        return pgd(model, x, y, 0.1, steps=1, generator=torch.Generator().manual_seed(seed))

    assert torch.equal(attack(1), attack(1)) and not torch.equal(attack(1), attack(2))
    one = PGD(0.1, steps=1).drawing_from(torch.Generator().manual_seed(1))
    assert torch.equal(one(model, x, y), attack(1))
    default = PGD(0.1, steps=1)
    assert not torch.equal(default(model, x, y), default(model, x, y))  # a new start for every batch


def test_dataclasses_equal_functions():
    model, (x, y) = image_net(), images()
    assert torch.equal(FGSM(0.1)(model, x, y), fgsm(model, x, y, 0.1))
    settings_ = {
        "eps": 0.3,
        "norm": "l2",
        "steps": 4,
        "step_size": 0.1,
        "random_start": False,
        "loss": "margin",
    }
    assert torch.equal(PGD(**settings_)(model, x, y), pgd(model, x, y, **settings_))
    with pytest.raises(AttributeError):
        PGD(0.1).eps = 0.2


# --- strength -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
def test_pgd_raises_the_loss(norm):
    model, (x, y) = image_net(), images(40)
    radius = 0.1 if norm == "linf" else 0.5
    attacked = pgd(model, x, y, radius, norm, 20, generator=torch.Generator().manual_seed(0))
    assert (losses(model, attacked, y) >= losses(model, x, y)).all()
    if norm == "linf":
        assert losses(model, attacked, y).mean() >= losses(model, fgsm(model, x, y, radius), y).mean()


def test_the_step_size_scales_with_the_radius():
    model, (x, y) = image_net(torch.float64), images(dtype=torch.float64)
    one = pgd(model, x, y, 0.08, steps=3, random_start=False)
    two = pgd(model, x, y, 0.08, steps=3, step_size=0.02, random_start=False)
    assert torch.equal(one, two)


def test_restarts_keep_the_best_end_point():
    model, (x, y) = image_net(), images(40)

    def end_losses(restarts):
        g = torch.Generator().manual_seed(3)
        return losses(model, pgd(model, x, y, 0.1, steps=2, restarts=restarts, generator=g), y)

    one, five = end_losses(1), end_losses(5)
    assert (five >= one).all() and (five > one).any()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("restarts", [1, 4])
def test_stopping_early_fools_the_same_samples(norm, restarts):
    """Without a random start the verdicts agree exactly; with one, those that are comparable."""
    model, (x, y) = image_net(scale=1.5), images(200, seed=4)
    radius = 0.06 if norm == "linf" else 0.3

    def fooled(stop, start):
        g = torch.Generator().manual_seed(9)
        attacked = pgd(
            model,
            x,
            y,
            radius,
            norm,
            6,
            restarts=restarts,
            random_start=start,
            stop_when_fooled=stop,
            generator=g,
        )
        with torch.no_grad():
            return model(attacked).argmax(1) != y

    everything, early = fooled(False, False), fooled(True, False)
    assert (early | ~everything).all() and 0 < int(everything.sum()) < len(x)
    if restarts == 1:  # the same starts: a sample is fooled at the end only if it is fooled on the way
        everything, early = fooled(False, True), fooled(True, True)
        assert (early | ~everything).all()
    clean_wrong = model(x).argmax(1) != y
    assert fooled(True, False)[clean_wrong].all()


def test_stopping_early_keeps_samples_that_are_wrong_already():
    model, (x, _) = image_net(), images(30)
    y = (model(x).argmax(1) + 1) % 4  # all wrong
    assert torch.equal(pgd(model, x, y, 0.1, random_start=False, stop_when_fooled=True), x)
    calls = []
    pgd(
        lambda t: calls.append(len(t)) or model(t),
        x,
        y,
        0.1,
        random_start=False,
        stop_when_fooled=True,
        restarts=5,
    )
    assert sum(calls) <= 2 * len(x)


def test_stopping_early_attacks_only_who_is_left():
    model, (x, y) = image_net(), images(60)
    calls = []

    def counting(t):
        calls.append(len(t))
        return model(t)

    pgd(counting, x, y, 0.5, steps=10, restarts=5, stop_when_fooled=True)
    assert calls == sorted(calls, reverse=True) or min(calls) < 60
    everything = 60 * 11 * 5
    assert sum(calls) < everything / 5


def test_saturated_logits_defeat_cross_entropy_but_not_the_margin():
    model, (x, _) = image_net(scale=5.0), images(50)

    def saturated(t):
        return model(t) * 1e4

    y = model(x).argmax(1)
    g = torch.Generator().manual_seed(0)
    common = {"eps": 0.3, "random_start": False, "generator": g}
    by_ce = (model(pgd(saturated, x, y, **common)).argmax(1) != y).sum()
    by_margin = (model(pgd(saturated, x, y, loss="margin", **common)).argmax(1) != y).sum()
    assert by_margin > by_ce


# --- bad input ------------------------------------------------------------------------------------------

GOOD = images(3)


@pytest.mark.parametrize(
    "change, hint",
    [
        ({"eps": -0.1}, "eps must be >= 0"),
        ({"eps": math.nan}, "eps"),
        ({"eps": math.inf}, "it is the radius of the attack"),
        ({"eps": "8/255"}, "must be a number"),
        ({"steps": 0}, "steps must be >= 1"),
        ({"steps": 2.5}, "whole number"),
        ({"restarts": 0}, "restarts must be >= 1"),
        ({"step_size": -1}, "step_size must be >= 0"),
        ({"norm": "l1"}, "'linf', 'l2'"),
        ({"loss": "hinge"}, "'ce', 'margin'"),
        ({"x": GOOD[0] * 2 - 0.5}, "models.Normalized"),
        ({"x": GOOD[0] * 255}, "must lie in [0, 1]"),
        ({"x": GOOD[0] * math.nan}, "NaN or infinity"),
        ({"x": GOOD[0] + math.inf, "clip": None}, "NaN or infinity"),
        ({"x": (GOOD[0] * 255).to(torch.uint8)}, "divide images by 255"),
        ({"x": GOOD[0].numpy()}, "torch"),
        ({"y": GOOD[1][:2]}, "y shape (n,)"),
        ({"y": GOOD[1].float()}, "whole-number classes"),
        ({"y": GOOD[1][:, None]}, "y shape (n,)"),
        ({"y": GOOD[1].tolist()}, "torch"),
        ({"x": torch.rand(3)}, "(n, ...)"),
    ],
)
def test_bad_input(change, hint):
    arguments = {"x": GOOD[0], "y": GOOD[1], "eps": 0.1, **change}
    with pytest.raises((ValueError, TypeError)) as error:
        pgd(image_net(), **arguments)
    message = str(error.value)
    assert hint in message and "\n" not in message


def test_bad_radius_is_refused_when_the_attack_is_made():
    for make in (FGSM, PGD):
        for eps in (-1, math.nan):
            with pytest.raises(ValueError, match="eps must be"):
                make(eps)


def test_rounding_just_outside_the_box_is_forgiven():
    x, y = GOOD
    attacked = pgd(image_net(), x + torch.where(x == 1, 1e-6, 0.0), y, 0.1)
    assert attacked.min() >= 0 and attacked.max() <= 1


def test_the_box_can_be_another_one():
    model, (x, y) = image_net(), images()
    attacked = pgd(model, x * 2 - 1, y, 0.4, clip=(-1, 1))
    assert attacked.min() >= -1 and attacked.max() <= 1 and attacked.min() < -0.5
