"""What every member of the family promises: only p.grad changes, and a run can be stopped anywhere."""

from __future__ import annotations

import copy
import math
import pickle
import warnings

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, dropout

from sam_edu.objectives import (
    ASAM,
    AWP,
    ERM,
    ESAM,
    SAM,
    BatchLoss,
    EntropySGD,
    FisherSAM,
    LookSAM,
    SparseSAM,
    WeightPerturbation,
)
from tests.every_method import content_with_a_closure, makers
from tests.objectives.nets import batch, grads, net, same, weights

SMALL = {
    "awp": {"gamma": 0.05},
    "looksam": {"k": 3},
    "sparse-sam": {"every": 2, "samples": 4},
    "entropy-sgd": {"gamma": 0.5, "steps": 4, "noise": 0.01},
}
MAKE = makers(0.3, SMALL) | {
    "m-SAM": lambda m: SAM(m, 0.3, m=8),
    "SSAM-D": lambda m: SparseSAM(m, 0.3, mask="dynamic", every=2, steps=20),
}
PERTURBING = [name for name in MAKE if name != "SGD"]
every_method = pytest.mark.parametrize("name", MAKE)
every_perturbation = pytest.mark.parametrize("name", PERTURBING)


class Recorded(BatchLoss):
    """Counts its calls and raises in the one that it is told."""

    def __init__(self, *args, fail_at=None):
        super().__init__(*args)
        self.calls, self.fail_at = 0, fail_at

    def _forward(self, part):
        self.calls += 1
        result = super()._forward(part)
        if self.calls == self.fail_at:
            raise RuntimeError("out of memory")
        return result


def take(objective, optimizer, model, numbers, clip=None):
    for s in numbers:
        optimizer.zero_grad()
        objective.backward(BatchLoss(model, *batch(seed=s)))
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()


def flags(model):
    return [(m.training, getattr(m, "track_running_stats", None)) for m in model.modules()]


@every_method
def test_only_the_gradients_change(name):
    model = net()
    model[2].eval()
    before, pointers, was = weights(model), [p.data_ptr() for p in model.parameters()], flags(model)
    objective = MAKE[name](model)
    for s in range(4):
        loss = objective.backward(BatchLoss(model, *batch(seed=s)))
        assert loss.dim() == 0 and not loss.requires_grad and loss.isfinite()
    assert same(weights(model), before) and [p.data_ptr() for p in model.parameters()] == pointers
    assert flags(model) == was and all(
        p.requires_grad and p.grad.isfinite().all() for p in model.parameters()
    )


@every_method
def test_an_exception_in_any_pass_leaves_no_trace(name):
    """Neither in the weights nor in the method's own state: the same step can be tried again."""
    counted = Recorded(net(), *batch())
    MAKE[name](counted.model).backward(counted)
    for fail_at in range(1, counted.calls + 1):
        model = net()
        objective = MAKE[name](model)
        before, was, state = weights(model), flags(model), copy.deepcopy(objective.state_dict())
        with pytest.raises(RuntimeError, match="out of memory"):
            objective.backward(Recorded(model, *batch(), fail_at=fail_at))
        assert same(weights(model), before) and flags(model) == was
        assert all(p.requires_grad for p in model.parameters())
        if name not in ("ESAM", "Entropy-SGD", "m-SAM"):  # their draws are spent; m-SAM's parts are added
            assert all(p.grad is None for p in model.parameters())
            assert _equal(objective.state_dict(), state)


def _equal(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict | list):
        keys = one if isinstance(one, dict) else range(len(one))
        return len(one) == len(other) and all(_equal(one[k], other[k]) for k in keys)
    return one == other


@every_method
def test_resume_equals_no_interruption_bit_for_bit(name, tmp_path):
    whole = net()
    take(MAKE[name](whole), torch.optim.SGD(whole.parameters(), lr=0.1, momentum=0.9), whole, range(10))
    half = net()
    objective, optimizer = MAKE[name](half), torch.optim.SGD(half.parameters(), lr=0.1, momentum=0.9)
    take(objective, optimizer, half, range(5))
    torch.save([half.state_dict(), optimizer.state_dict(), objective.state_dict()], tmp_path / "state.pt")
    take(objective, optimizer, half, range(5, 7))  # what is saved must not change under our hands
    half = net(seed=9)
    objective, optimizer = MAKE[name](half), torch.optim.SGD(half.parameters(), lr=0.1, momentum=0.9)
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    for target, state in zip((half, optimizer, objective), saved, strict=True):
        target.load_state_dict(state)
    take(objective, optimizer, half, range(5, 10))
    for a, b in zip(whole.state_dict().values(), half.state_dict().values(), strict=True):
        assert torch.equal(a, b)


@every_method
def test_the_state_of_another_method_is_refused(name):
    objective = MAKE[name](net())
    with pytest.raises(ValueError, match=r"entries .*, got \['momentum'\]") as error:
        objective.load_state_dict({"momentum": 1})
    assert "\n" not in str(error.value)


@every_method
def test_copies_and_pickles_are_independent(name):
    model = net()
    objective, optimizer = MAKE[name](model), torch.optim.SGD(model.parameters(), lr=0.1)
    take(objective, optimizer, model, range(2))
    if name == "SGD":
        objective = pickle.loads(pickle.dumps(objective))
        model, optimizer = objective.model, torch.optim.SGD(objective.model.parameters(), lr=0.1)
    twin = copy.deepcopy(objective)
    take(objective, optimizer, model, range(2, 5))
    take(twin, torch.optim.SGD(twin.model.parameters(), lr=0.1), twin.model, range(2, 5))
    assert same(weights(model), weights(twin.model))


@every_method
def test_accumulation_adds_to_what_is_there(name):
    model, rubbish = net(norm=False), 100.0
    objective = MAKE[name](model)
    twin = copy.deepcopy(objective)
    for s in range(4):
        objective.model.zero_grad()
        objective.backward(BatchLoss(model, *batch(seed=s)))
        for p in twin.model.parameters():
            p.grad = torch.full_like(p, rubbish)
        twin.backward(BatchLoss(twin.model, *batch(seed=s)))
        for p, q in zip(model.parameters(), twin.model.parameters(), strict=True):
            assert torch.allclose(p.grad, q.grad - rubbish, atol=1e-11)


@every_method
def test_a_grad_scaler_gives_the_same_step(name):
    """The factor reaches p.grad and nothing else: not e, the mask, g_v, the walk or the loss."""
    model = net(norm=False)
    objective = MAKE[name](model)
    twin = copy.deepcopy(objective)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimizers = [torch.optim.SGD(o.model.parameters(), lr=0.2) for o in (objective, twin)]
    for s in range(5):
        plain, scaled = optimizers
        plain.zero_grad()
        scaled.zero_grad()
        loss = objective.backward(BatchLoss(model, *batch(seed=s)))
        their_loss = twin.backward(BatchLoss(twin.model, *batch(seed=s)), scale=scaler.scale)
        assert torch.allclose(loss, their_loss, rtol=1e-12)
        scaler.unscale_(scaled)
        norms = [nn.utils.clip_grad_norm_(o.model.parameters(), 0.5) for o in (objective, twin)]
        assert torch.allclose(*norms, rtol=1e-9)
        plain.step()
        scaler.step(scaled)
        scaler.update()
        for p, q in zip(weights(model), weights(twin.model), strict=True):
            assert torch.allclose(p, q, rtol=1e-9, atol=1e-12)


@every_method
def test_a_gradient_that_is_not_finite_is_the_scalers_to_see(name):
    """p.grad is not finite, the weights are untouched, the scaler skips, and the next step is sound."""
    model = net(norm=False)
    objective, optimizer = MAKE[name](model), torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    x, y = batch()
    for bad in (math.nan, math.inf):
        for s in range(4):
            before = weights(model)
            optimizer.zero_grad()
            broken = s % 2 == 0
            objective.backward(BatchLoss(model, x * bad if broken else x, y), scale=scaler.scale)
            finite = all(g is None or g.isfinite().all() for g in grads(model))
            scaler.step(optimizer)
            scaler.update()
            assert finite != broken and same(weights(model), before) == broken


@every_method
def test_a_gradient_of_zero_gives_a_plain_step(name):
    model, (x, y) = net(norm=False), batch()
    for p in model.parameters():
        p.data.zero_()
    x = torch.zeros_like(x)
    y = torch.arange(16) % 3
    objective = MAKE[name](model)
    for _ in range(4):
        objective.backward(BatchLoss(model, x[:15], y[:15]))
    assert all(g.isfinite().all() for g in grads(model)) and same(
        weights(model), [0 * w for w in weights(model)]
    )


@every_method
def test_frozen_parameters_stay_out_of_everything_and_may_thaw(name):
    model = net(norm=False)
    frozen = model[0].weight.requires_grad_(False)
    objective = MAKE[name](model)
    moved = []
    model.register_forward_pre_hook(lambda *_: moved.append(frozen.detach().clone()))
    for s in range(3):
        objective.backward(BatchLoss(model, *batch(seed=s)))
    assert frozen.grad is None and all(torch.equal(w, moved[0]) for w in moved)
    frozen.requires_grad_(True)
    for s in range(3, 9):
        objective.backward(BatchLoss(model, *batch(seed=s)))
    assert frozen.grad is not None and frozen.grad.isfinite().all()
    if name != "SGD":
        assert not all(torch.equal(w, moved[0]) for w in moved)


@every_method
def test_nothing_to_train_and_a_loss_of_something_else(name):
    if name in ("SGD", "ESAM", "m-SAM", "SparseSAM"):
        pytest.skip("ERM is backward() itself; the others are asked for a BatchLoss first")
    model = net()
    foreign = nn.Parameter(torch.ones(()))
    with pytest.raises(ValueError, match="does not depend on any parameter of the model"):
        MAKE[name](model).backward(lambda: foreign * 2)
    with pytest.raises(ValueError, match="no trainable parameter"):
        MAKE[name](model.requires_grad_(False)).backward(lambda: foreign * 2)


@pytest.mark.parametrize("name", ["ESAM", "m-SAM", "SparseSAM"])
def test_a_closure_that_does_not_know_its_batch(name):
    model, (x, y) = net(), batch()
    with pytest.raises(TypeError, match="pass BatchLoss\\(model, x, y\\) as the closure") as error:
        MAKE[name](model).backward(lambda: cross_entropy(model(x), y))
    assert "\n" not in str(error.value)


@every_method
def test_parameter_groups_and_schedulers(name):
    model = net()
    optimizer = torch.optim.SGD(
        [{"params": model[0].parameters(), "lr": 0.0}, {"params": list(model[1:].parameters())}], lr=0.1
    )
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    objective, before = MAKE[name](model), weights(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for s in range(3):
            take(objective, optimizer, model, [s], clip=1.0)
            scheduler.step()
    assert [g["lr"] for g in optimizer.param_groups] == [0.0, 0.0125]
    moved = [not torch.equal(a, b) for a, b in zip(before, weights(model), strict=True)]
    assert moved == [False, False, True, True, True, True]


@every_method
def test_batchnorm_counts_the_passes_at_the_weights(name):
    """Once a step; with m-sharpness once a sub-batch."""
    model, (x, y) = net(), batch()
    reference = copy.deepcopy(model)
    objective = MAKE[name](model)
    for step in range(1, 6):
        objective.backward(BatchLoss(model, x, y))
        for part in x.split(8 if name == "m-SAM" else 4 if name == "Entropy-SGD" else 16):
            reference(part)
            if name == "Entropy-SGD":
                break  # the rest of the walk is elsewhere
        assert int(model[1].num_batches_tracked) == (2 * step if name == "m-SAM" else step)
        assert torch.equal(model[1].running_mean, reference[1].running_mean)
        assert torch.equal(model[1].running_var, reference[1].running_var)


@pytest.mark.parametrize("name", [*content_with_a_closure(), "SSAM-D"])
def test_both_passes_see_the_same_random_numbers(name):
    model, (x, y) = net(norm=False), batch()
    masks = []

    def closure():
        masks.append(dropout(torch.ones(50), 0.5))
        return cross_entropy(model(x), y)

    MAKE[name](model).backward(closure)
    MAKE[name](model).backward(closure)
    assert torch.equal(masks[0], masks[1]) and torch.equal(masks[2], masks[3])
    assert not torch.equal(masks[0], masks[2])


@every_perturbation
def test_inside_autocast_the_second_pass_sees_the_moved_weights(name):
    """autocast keeps bfloat16 copies of the weights, and does not notice when the weights change."""
    model, (x, y) = net(torch.float32, norm=False), batch(dtype=torch.float32)
    outside, inside = copy.deepcopy(model), copy.deepcopy(model)

    class Cast(BatchLoss):
        def _forward(self, part):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return super()._forward(part)

    MAKE[name](outside).backward(Cast(outside, x, y))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        MAKE[name](inside).backward(BatchLoss(inside, x, y))
        MAKE[name](inside)  # and after the step: at w again
        with torch.no_grad():
            here = inside(x)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        assert torch.equal(here, model(x))
    for p, q in zip(outside.parameters(), inside.parameters(), strict=True):
        assert torch.allclose(p.grad, q.grad, rtol=0.1, atol=0.02 * float(p.grad.abs().max()))


@every_method
def test_a_model_that_is_cast_after_the_objective_was_made(name):
    """The room for the copy of the weights follows: in float32 it would round them."""
    model = net(torch.float32)
    objective = MAKE[name](model)
    objective.backward(BatchLoss(model, *batch(dtype=torch.float32)))
    model.double()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(math.pi)
    model.zero_grad()
    before = weights(model)
    objective.backward(BatchLoss(model, *batch()))
    assert same(weights(model), before) and all(g.dtype == torch.float64 for g in grads(model))


@every_method
def test_bfloat16_weights_come_back_bit_for_bit(name):
    model = net(torch.bfloat16, norm=False)
    objective, before = MAKE[name](model), weights(model)
    for s in range(4):
        objective.backward(BatchLoss(model, *batch(seed=s, dtype=torch.bfloat16)))
    assert same(weights(model), before) and all(g.isfinite().all() for g in grads(model))


def test_one_optimizer_step_of_every_kind():
    """The base optimizer is any optimizer of torch."""
    for kind in (torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad):
        for name in MAKE:
            model = net()
            before = weights(model)
            take(MAKE[name](model), kind(model.parameters(), lr=0.01), model, range(3))
            assert not same(weights(model), before)


@pytest.mark.parametrize(
    "make, hint",
    [
        (lambda m: ASAM(m, -1), "rho must be >= 0"),
        (lambda m: ASAM(m, 1, eta=math.nan), "eta must be"),
        (lambda m: AWP(m, -1e-3), "gamma must be >= 0"),
        (lambda m: FisherSAM(m, "x"), "rho must be a number"),
        (lambda m: SAM(m, 0.1, m=0), "m must be >= 1"),
        (lambda m: ESAM(m, 0.1, beta=0), "beta must be > 0 and <= 1"),
        (lambda m: ESAM(m, 0.1, gamma=1.5), "gamma must be > 0 and <= 1"),
        (lambda m: LookSAM(m, k=0), "k must be >= 1"),
        (lambda m: LookSAM(m, alpha=-1), "alpha must be >= 0"),
        (lambda m: SparseSAM(m, sparsity=1), "sparsity must be >= 0 and < 1"),
        (lambda m: SparseSAM(m, mask="magnitude"), "must be one of 'fisher', 'dynamic'"),
        (lambda m: SparseSAM(m, mask="dynamic"), "needs steps"),
        (lambda m: EntropySGD(m, gamma=0), "gamma must be > 0"),
        (lambda m: EntropySGD(m, average=2), "average must be > 0 and <= 1"),
        (lambda m: EntropySGD(m, steps=2.5), "steps must be a whole number"),
    ],
)
def test_bad_settings(make, hint):
    with pytest.raises((ValueError, TypeError)) as error:
        make(net())
    assert hint in str(error.value) and "\n" not in str(error.value)


def test_entropy_sgd_needs_the_same_parameters_all_along():
    model, calls = nn.ModuleDict({"a": nn.Linear(6, 3), "b": nn.Linear(6, 3)}).double(), []
    x, y = batch()

    def closure():
        calls.append(1)
        return cross_entropy(model["a" if len(calls) < 3 else "b"](x), y)

    before = weights(model)
    with pytest.raises(RuntimeError, match="other parameters than before"):
        EntropySGD(model, steps=4).backward(closure)
    assert same(weights(model), before)


# --- memory -----------------------------------------------------------------------------------------------


def peak_bytes(work):
    """Most memory held at once by what ``work`` allocates, by torch's own account."""
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as found:
        work()
    held, most = 0, 0
    for event in found.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most


@pytest.mark.parametrize("name, copies", [
    ("SAM", 2), ("ASAM", 3), ("AWP", 2), ("LookSAM", 4), ("ESAM", 2), ("Entropy-SGD", 4),
])  # fmt: skip
def test_memory_of_a_step(name, copies):
    """A step of SAM holds at most what one of SGD holds, and two copies of the weights."""
    model = nn.Sequential(nn.Linear(1500, 1500), nn.ReLU(), nn.Linear(1500, 10))
    x, y = torch.randn(8, 1500), torch.arange(8)
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    objective, plain = MAKE[name](model), ERM(model)
    base = peak_bytes(lambda: plain.backward(BatchLoss(model, x, y)))
    model.zero_grad()
    steps = [
        peak_bytes(lambda: (objective.backward(BatchLoss(model, x, y)), model.zero_grad())) for _ in "123"
    ]
    assert size <= base < 1.1 * size
    assert base < max(steps) <= base + (copies + 0.05) * size
    assert isinstance(objective, WeightPerturbation)
