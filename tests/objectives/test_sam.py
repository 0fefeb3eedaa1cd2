"""SAM against references, and the promises of every objective: nothing but p.grad changes."""

from __future__ import annotations

import copy
import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy, dropout

from sam_edu.objectives import ERM, SAM, WeightPerturbation, perturbed
from tests.objectives.nets import Quadratic, batch, grads, loss_closure, net, same, symmetric, weights

# --- references -----------------------------------------------------------------------------------------


def hand_written_sam(model, x, y, rho):
    """The two passes with nothing but backward(), in the order of the paper."""
    model.zero_grad()
    loss = cross_entropy(model(x), y)
    loss.backward()
    norm = torch.sqrt(sum((p.grad**2).sum() for p in model.parameters()))
    old = weights(model)
    with torch.no_grad():
        for p in model.parameters():
            p += rho * p.grad / norm
    model.zero_grad()
    cross_entropy(model(x), y).backward()
    with torch.no_grad():
        for p, w in zip(model.parameters(), old, strict=True):
            p.copy_(w)
    return loss.detach()


@pytest.mark.parametrize("rho", [0.01, 0.3, 5.0])
def test_sam_is_the_hand_written_one(rho):
    model, (x, y) = net(norm=False), batch()
    reference = copy.deepcopy(model)
    expected = hand_written_sam(reference, x, y, rho)
    loss = SAM(model, rho).backward(loss_closure(model, x, y))
    assert loss == expected and not loss.requires_grad
    for p, q in zip(model.parameters(), reference.parameters(), strict=True):
        assert torch.equal(p, q)
        assert torch.allclose(p.grad, q.grad, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("their_norm, tolerance", [("as it is, float32", 1e-7), ("in float64", 1e-9)])
def test_sam_is_pytorch_optimizers_over_20_steps(their_norm, tolerance, monkeypatch):
    """That package rounds the norm of the gradient to float32; with this undone it agrees to 1e-9."""
    optimizers = pytest.importorskip("pytorch_optimizer")
    if their_norm == "in float64":
        monkeypatch.setattr(
            "pytorch_optimizer.optimizer.sam.get_global_gradient_norm",
            lambda groups, **_: sum((p.grad**2).sum() for g in groups for p in g["params"]).reshape(1),
        )
    ours, settings_ = net(norm=False), {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-3}
    theirs = copy.deepcopy(ours)
    plain, objective = torch.optim.SGD(ours.parameters(), **settings_), SAM(ours, 0.2)
    wrapped = optimizers.SAM(theirs.parameters(), torch.optim.SGD, rho=0.2, **settings_)
    for step in range(20):
        x, y = batch(seed=step)
        plain.zero_grad()
        objective.backward(loss_closure(ours, x, y))
        plain.step()
        wrapped.zero_grad()
        cross_entropy(theirs(x), y).backward()
        wrapped.first_step(zero_grad=True)
        cross_entropy(theirs(x), y).backward()
        wrapped.second_step(zero_grad=True)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert (p - q).norm() <= tolerance * q.norm()


@settings(max_examples=50)
@given(st.integers(1, 6), st.integers(0, 10_000), st.floats(1e-3, 10))
def test_quadratic(n, seed, rho):
    """g_SAM = H (w + rho H w / |H w|), also for an indefinite H."""
    h = symmetric(n, seed)
    w = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed + 1))
    model = Quadratic(h, w)
    SAM(model, rho).backward(model)
    g = h @ w
    expected = h @ (w + rho * g / g.norm())
    assert torch.allclose(model.w.grad, expected, rtol=1e-10, atol=1e-10 * (1 + rho) * h.norm())
    assert torch.equal(model.w, w)


def test_the_norm_runs_over_all_tensors():
    model, (x, y) = net(norm=False), batch()
    seen = []

    class Spy(SAM):
        def climb(self, w, g):
            v, size = super().climb(w, g)
            seen.append([size * part for part in v])
            return v, size

    Spy(model, 0.7).backward(loss_closure(model, x, y))
    assert len(seen) == 1 and len(seen[0]) == 4
    assert math.isclose(math.sqrt(sum(float((e**2).sum()) for e in seen[0])), 0.7, rel_tol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rho_zero_is_erm_bit_for_bit(dtype):
    model, (x, y) = net(dtype, drop=0.3), batch(dtype=dtype)
    other = copy.deepcopy(model)
    torch.manual_seed(3)
    one = ERM(model).backward(loss_closure(model, x, y))
    torch.manual_seed(3)
    two = SAM(other, 0.0).backward(loss_closure(other, x, y))
    assert torch.equal(one, two) and same(grads(model), grads(other))
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), other.buffers(), strict=True))


def test_erm_is_backward():
    model, (x, y) = net(), batch()
    other = copy.deepcopy(model)
    ERM(model).backward(loss_closure(model, x, y))
    cross_entropy(other(x), y).backward()
    assert same(grads(model), grads(other))


# --- degenerate models ----------------------------------------------------------------------------------


def test_zero_gradient_gives_no_climb():
    model = Quadratic(torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64))
    loss = SAM(model, 0.5).backward(model)
    assert loss == 0 and torch.equal(model.w.grad, torch.zeros_like(model.w))


@pytest.mark.parametrize("size", [1e-30, 1e-18, 1e18])
def test_tiny_and_huge_gradients_still_climb_by_rho(size):
    model = nn.Linear(4, 1, bias=False)
    climbed = []

    class Spy(SAM):
        def climb(self, w, g):
            v, size = super().climb(w, g)
            climbed.extend(size * part for part in v)
            return v, size

    Spy(model, 0.5).backward(lambda: size * model(torch.ones(1, 4)).sum())
    assert all(torch.isfinite(e).all() for e in climbed)
    if 1e-20 < size < 1e19:
        assert math.isclose(float(climbed[0].norm()), 0.5, rel_tol=1e-5)


class Shared(nn.Module):
    """One tensor used twice, and two biases that receive the very same gradient object."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4, bias=False)
        self.b = nn.Linear(4, 4, bias=False)
        self.b.weight = self.a.weight
        self.one, self.two = nn.Parameter(torch.zeros(4)), nn.Parameter(torch.zeros(4))

    def forward(self, x):
        return self.b(torch.tanh(self.a(x))) + (self.one + self.two)


def test_shared_tensors_and_shared_gradients():
    torch.manual_seed(0)
    model = Shared().double()
    x, y = torch.randn(8, 4, dtype=torch.float64), torch.randint(4, (8,))
    before, reference = weights(model), copy.deepcopy(model)
    hand_written_sam(reference, x, y, 0.5)
    SAM(model, 0.5).backward(loss_closure(model, x, y))
    assert model.b.weight is model.a.weight and same(weights(model), before)
    for p, q in zip(model.parameters(), reference.parameters(), strict=True):
        assert torch.allclose(p.grad, q.grad, rtol=1e-12, atol=1e-14)
    assert torch.equal(model.one.grad, model.two.grad)


def test_frozen_parameters_stay_out_of_everything():
    model, (x, y) = net(norm=False), batch()
    frozen = model[0].weight.requires_grad_(False)
    before, shifts = weights(model), []

    def closure():
        shifts.append((frozen.clone(), model[3].weight.detach().clone()))
        return cross_entropy(model(x), y)

    SAM(model, 0.5).backward(closure)
    assert frozen.grad is None and not frozen.requires_grad and same(weights(model), before)
    assert torch.equal(shifts[0][0], shifts[1][0]) and not torch.equal(shifts[0][1], shifts[1][1])


@pytest.mark.parametrize("used_in", [1, 2])
def test_a_parameter_used_in_one_pass_only(used_in):
    model = nn.ModuleDict({"always": nn.Linear(3, 2), "once": nn.Linear(3, 2)}).double()
    x, before, calls = torch.ones(4, 3, dtype=torch.float64), weights(model), []

    def closure():
        calls.append(1)
        out = model["always"](x)
        if len(calls) == used_in:
            out = out + model["once"](x)
        return (out**2).mean()

    SAM(model, 0.5).backward(closure)
    assert len(calls) == 2 and same(weights(model), before)
    assert (model["once"].weight.grad is None) == (used_in == 1)


def test_a_model_in_parts_on_an_unused_parameter():
    model = nn.ModuleList([nn.Linear(3, 2), nn.Linear(3, 2)])
    SAM(model, 0.1).backward(lambda: (model[0](torch.ones(1, 3)) ** 2).sum())
    assert model[1].weight.grad is None and model[0].weight.grad is not None


# --- what stands around a step --------------------------------------------------------------------------


@pytest.mark.parametrize("make", [ERM, lambda m: SAM(m, 0.3)])
def test_accumulation_adds(make):
    model = net(norm=False)
    parts = [batch(seed=s) for s in (1, 2, 3)]
    single = []
    for x, y in parts:
        model.zero_grad()
        make(model).backward(loss_closure(model, x, y))
        single.append(grads(model))
    model.zero_grad()
    for x, y in parts:
        make(model).backward(loss_closure(model, x, y))
    for total, *terms in zip(grads(model), *single, strict=True):
        assert torch.allclose(total, sum(terms), rtol=1e-12, atol=1e-15)


def test_old_gradients_do_not_leak_into_the_climb():
    model, (x, y) = net(norm=False), batch()
    SAM(model, 0.3).backward(loss_closure(model, x, y))
    clean = grads(model)
    rubbish = [torch.full_like(p, 100.0) for p in model.parameters()]
    for p, r in zip(model.parameters(), rubbish, strict=True):
        p.grad = r.clone()
    SAM(model, 0.3).backward(loss_closure(model, x, y))
    for got, r, expected in zip(grads(model), rubbish, clean, strict=True):
        assert torch.allclose(got - r, expected, atol=1e-12)


@pytest.mark.parametrize("make", [ERM, lambda m: SAM(m, 0.3)])
def test_grad_scaler(make):
    model, (x, y) = net(norm=False), batch()
    loss = make(model).backward(loss_closure(model, x, y))
    plain = grads(model)
    model.zero_grad()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaled_loss = make(model).backward(loss_closure(model, x, y), scale=scaler.scale)
    assert torch.equal(loss, scaled_loss)  # the loss that is reported is not scaled
    assert torch.allclose(model[0].weight.grad, 1024 * plain[0], rtol=1e-12)
    scaler.unscale_(optimizer)
    for got, expected in zip(grads(model), plain, strict=True):
        assert torch.allclose(got, expected, rtol=1e-12, atol=1e-15)
    before = weights(model)
    scaler.step(optimizer)
    scaler.update()
    assert not same(weights(model), before) and scaler.get_scale() == 1024.0


def test_batchnorm_counts_each_step_once():
    model, (x, y) = net(), batch()
    reference = copy.deepcopy(model)
    for step in range(1, 4):
        SAM(model, 0.5).backward(loss_closure(model, x, y))
        reference(x)
        assert int(model[1].num_batches_tracked) == step
        assert torch.equal(model[1].running_mean, reference[1].running_mean)
        assert torch.equal(model[1].running_var, reference[1].running_var)
    assert model[1].track_running_stats and model[1].momentum == 0.1


def test_second_pass_normalises_with_the_batchs_own_statistics():
    model, (x, y) = net(), batch()
    reference = copy.deepcopy(model)
    hand_written_sam(reference, x, y, 0.5)
    SAM(model, 0.5).backward(loss_closure(model, x, y))
    for p, q in zip(model.parameters(), reference.parameters(), strict=True):
        assert torch.allclose(p.grad, q.grad, rtol=1e-10, atol=1e-13)


def test_batchnorm_frozen_in_eval_stays_frozen():
    model, (x, y) = net(), batch()
    model[1].eval()
    buffers = [b.clone() for b in model.buffers()]
    SAM(model, 0.5).backward(loss_closure(model, x, y))
    assert model.training and not model[1].training and model[1].track_running_stats
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), buffers, strict=True))


def test_batchnorm_without_running_statistics_is_left_alone():
    model, (x, y) = nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3, track_running_stats=False)), batch()
    SAM(model.double(), 0.5).backward(loss_closure(model, x, y))
    assert not model[1].track_running_stats


@pytest.mark.parametrize("failing_pass", [1, 2])
def test_an_exception_in_the_closure_leaves_no_trace(failing_pass):
    model, (x, y) = net(), batch()
    model[2].eval()
    before, pointers, calls = weights(model), [p.data_ptr() for p in model.parameters()], []

    def closure():
        calls.append(1)
        loss = cross_entropy(model(x), y)
        if len(calls) == failing_pass:
            raise RuntimeError("out of memory")
        return loss

    with pytest.raises(RuntimeError, match="out of memory"):
        SAM(model, 0.5).backward(closure)
    assert len(calls) == failing_pass and same(weights(model), before)
    assert [p.data_ptr() for p in model.parameters()] == pointers
    assert model[1].track_running_stats and model[1].training and not model[2].training
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_weights_come_back_bit_for_bit_in_place():
    model, (x, y) = net(torch.float32), batch(dtype=torch.float32)
    before, pointers = weights(model), [p.data_ptr() for p in model.parameters()]
    for _ in range(50):
        SAM(model, 3.0).backward(loss_closure(model, x, y))
    assert same(weights(model), before) and [p.data_ptr() for p in model.parameters()] == pointers


def test_dropout_masks_agree_and_the_global_state_advances_as_by_one_pass():
    model, (x, y) = net(norm=False, drop=0.5), batch()
    torch.manual_seed(7)
    masks = []

    def closure():
        masks.append(dropout(torch.ones(50), 0.5))
        return cross_entropy(model(x), y)

    SAM(model, 0.5).backward(closure)
    after = torch.get_rng_state()
    assert torch.equal(*masks)
    torch.manual_seed(7)
    ERM(model).backward(closure)
    assert torch.equal(torch.get_rng_state(), after) and torch.equal(masks[0], masks[2])


def test_works_under_no_grad_and_with_gradients_returned():
    model, (x, y) = net(norm=False), batch()
    SAM(model, 0.3).backward(loss_closure(model, x, y))
    expected = grads(model)
    model.zero_grad()
    with torch.no_grad():
        SAM(model, 0.3).backward(loss_closure(model, x, y))
        assert not torch.is_grad_enabled()
    assert same(grads(model), expected)


def test_schedulers_do_not_warn():
    model, (x, y) = net(), batch()
    optimizer, objective = torch.optim.SGD(model.parameters(), lr=0.1), SAM(model, 0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for expected in (0.05, 0.025):
            optimizer.zero_grad()
            objective.backward(loss_closure(model, x, y))
            optimizer.step()
            scheduler.step()
            assert optimizer.param_groups[0]["lr"] == expected


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_resume_is_bit_exact(kind):
    def steps(model, optimizer, numbers):
        objective = SAM(model, 0.2)
        for s in numbers:
            optimizer.zero_grad()
            objective.backward(loss_closure(model, *batch(seed=s)))
            optimizer.step()

    settings_ = {"lr": 0.05, **({"momentum": 0.9} if kind is torch.optim.SGD else {})}
    whole = net()
    steps(whole, kind(whole.parameters(), **settings_), range(6))
    half = net()
    first = kind(half.parameters(), **settings_)
    steps(half, first, range(3))
    state = copy.deepcopy((half.state_dict(), first.state_dict()))
    resumed = net(seed=99)
    second = kind(resumed.parameters(), **settings_)
    resumed.load_state_dict(state[0])
    second.load_state_dict(state[1])
    steps(resumed, second, range(3, 6))
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)


# --- perturbed ------------------------------------------------------------------------------------------


def test_perturbed_moves_and_restores_and_nests():
    model = net(torch.float32)
    before = weights(model)
    one = [torch.full_like(p, 0.1) for p in model.parameters()]
    two = [None, *[torch.full_like(p, 1e6) for p in list(model.parameters())[1:]]]
    with perturbed(model, one):
        middle = weights(model)
        assert all(torch.equal(m, b + e) for m, b, e in zip(middle, before, one, strict=True))
        with perturbed(model, two):
            assert torch.equal(model[0].weight, middle[0])
            assert not torch.equal(model[0].bias, middle[1])
            model(torch.randn(4, 6))
        assert same(weights(model), middle) and int(model[1].num_batches_tracked) == 0
        model(torch.randn(4, 6))
        assert int(model[1].num_batches_tracked) == 1
    assert same(weights(model), before) and model[1].track_running_stats
    assert int(model[1].num_batches_tracked) == 0


def test_perturbed_restores_after_an_exception_even_of_the_keyboard():
    model = net()
    before = weights(model)
    with pytest.raises(KeyboardInterrupt), perturbed(model, [torch.ones_like(p) for p in model.parameters()]):
        raise KeyboardInterrupt
    assert same(weights(model), before) and model[1].track_running_stats


def test_perturbed_on_an_integer_error_inside_the_move_restores():
    model = net()
    before = weights(model)
    bad = [torch.ones_like(p) for p in model.parameters()]
    bad[-1] = bad[-1].to(torch.complex128)
    with pytest.raises(RuntimeError), perturbed(model, bad):
        pass
    assert same(weights(model), before) and model[1].track_running_stats


def test_a_new_member_of_the_family_needs_one_function():
    class Backwards(WeightPerturbation):
        def climb(self, w, g):
            return g, -0.1

    h = symmetric(3, 0)
    model = Quadratic(h, torch.ones(3, dtype=torch.float64))
    Backwards(model).backward(model)
    w = torch.ones(3, dtype=torch.float64)
    assert torch.allclose(model.w.grad, h @ (w - 0.1 * h @ w))


# --- bad input ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rho, hint", [(-0.1, ">= 0"), (math.nan, "rho"), (math.inf, "rho"), ("x", "number")])
def test_bad_rho(rho, hint):
    with pytest.raises((ValueError, TypeError)) as error:
        SAM(net(), rho)
    assert hint in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("make", [ERM, SAM])
@pytest.mark.parametrize(
    "returned, hint",
    [
        (lambda m: m(batch()[0]), "scalar tensor, got (16, 3)"),
        (lambda m: 1.0, "got float"),
        (lambda m: None, "got NoneType"),
        (lambda m: m(batch()[0]).sum().detach(), "without .item() or .detach()"),
    ],
)
def test_closures_that_return_no_loss(make, returned, hint):
    model = net()
    with pytest.raises((ValueError, TypeError)) as error:
        make(model).backward(lambda: returned(model))
    assert hint in str(error.value) and "\n" not in str(error.value)


def test_nothing_to_train():
    model = net().requires_grad_(False)
    with pytest.raises(ValueError, match="no trainable parameter") as error:
        SAM(model).backward(lambda: torch.zeros((), requires_grad=True))
    assert "\n" not in str(error.value)


def test_perturbations_of_a_wrong_shape():
    model = net()
    with pytest.raises(ValueError, match="1 entries, the model has 6"), perturbed(model, [torch.ones(3)]):
        pass
    e = [torch.ones(2) for _ in model.parameters()]
    with pytest.raises(ValueError, match=r"shape \(2,\) for \(8, 6\)"), perturbed(model, e):
        pass
