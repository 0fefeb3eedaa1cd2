"""SAMOptimizer is SAM, by whatever calls a trainer makes, or it refuses."""

from __future__ import annotations

import copy
import math
import pickle
import warnings

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from sam_edu.objectives import SAM, SAMOptimizer
from tests.objectives.test_losses_and_gradients import Fourier, Words, data, linear, stepping

SETTINGS = {"rho": 0.5, "lr": 0.1, "momentum": 0.9}


def net(drop=0.0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(drop), nn.Linear(8, 3)
        return nn.Sequential(*layers).double()


def batches(count=5):
    g = torch.Generator().manual_seed(1)
    return [
        (torch.randn(16, 4, generator=g, dtype=torch.float64), torch.randint(3, (16,), generator=g))
        for _ in range(count)
    ]


def make(params, **more):
    return SAMOptimizer(params, torch.optim.SGD, **{**SETTINGS, **more})


def by_the_objective(drop=0.0):
    model = net(drop)
    optimizer, objective = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), SAM(model, 0.5)
    torch.manual_seed(5)
    for x, y in batches():
        optimizer.zero_grad()
        objective.backward(lambda x=x, y=y: cross_entropy(model(x), y))
        optimizer.step()
    return model


def apart(one, other):
    """The largest difference of weights and buffers."""
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs)


def closure_of(model, optimizer, x, y, backward=torch.Tensor.backward):
    def closure():
        optimizer.zero_grad()
        loss = cross_entropy(model(x), y)
        backward(loss)
        return loss

    return closure


def test_step_with_a_closure_as_torch_has_it():
    for drop in (0.0, 0.5):
        model = net(drop)
        optimizer = make(model.parameters())
        torch.manual_seed(5)
        losses = [optimizer.step(closure_of(model, optimizer, x, y)) for x, y in batches()]
        assert apart(model, by_the_objective(drop)) == 0 and int(model[1].num_batches_tracked) == 5
        assert all(loss.isfinite() for loss in losses)


def test_each_climb_follows_its_own_batch():
    model = net()
    optimizer = make(model.parameters())
    for x, y in batches():
        w, steps = model[0].weight.detach().clone(), []
        g = torch.autograd.grad(cross_entropy(model(x), y), model[0].weight)[0]

        def closure(x=x, y=y, w=w, steps=steps):
            steps.append(model[0].weight.detach() - w)
            return closure_of(model, optimizer, x, y)()

        optimizer.step(closure)
        assert steps[0].norm() == 0
        assert torch.cosine_similarity(steps[1].flatten(), g.flatten(), 0) > 1 - 1e-9


def test_the_closure_of_the_original_after_a_first_backward():
    """davda54/sam: no zero_grad in the closure, and a first backward() before the step."""
    model = net()
    model[1].eval()  # the first backward() is another pass: BatchNorm would count it
    other = copy.deepcopy(model)
    optimizer, objective = make(model.parameters()), SAM(other, 0.5)
    plain = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for x, y in batches():

            def closure(x=x, y=y):
                loss = cross_entropy(model(x), y)
                loss.backward()
                return loss

            closure()
            optimizer.step(closure)
            optimizer.zero_grad()
            plain.zero_grad()
            objective.backward(lambda x=x, y=y: cross_entropy(other(x), y))
            plain.step()
    assert apart(model, other) < 1e-12


def test_the_calls_of_lightning_skorch_and_accelerate():
    """Lightning: forward, zero_grad, backward, in that order; skorch: zero_grad first."""
    model = net()
    optimizer = make(model.parameters())
    for x, y in batches():

        def lightning(x=x, y=y):
            loss = cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            return loss.detach()

        optimizer.step(closure=lightning)
    assert apart(model, by_the_objective()) == 0
    model = net()
    optimizer = make(model.parameters())
    x, y = batches()[0]
    cross_entropy(model(x), y).backward()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(RuntimeError, match="would be a plain step, not SAM: call first_step"):
        optimizer.step()
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_accumulated_gradients_are_said_to_be_unused():
    model = net()
    optimizer = make(model.parameters())
    (x, y), (x2, _) = batches(2)
    cross_entropy(model(-x2), y.flip(0)).neg().backward()
    with pytest.warns(UserWarning, match="does not use the gradients that were in p.grad"):
        optimizer.step(closure_of(model, optimizer, x, y))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step(closure_of(model, optimizer, x, y))  # what the last step left is nobody's loss


def test_a_scheduler_and_a_failing_second_pass():
    model, calls = net(), []
    optimizer = make(model.parameters())
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    (x, y), before = batches()[0], copy.deepcopy(model)

    def fails():
        calls.append(1)
        loss = cross_entropy(model(x), y)
        if len(calls) == 2:
            raise RuntimeError("out of memory")
        loss.backward()
        return loss

    with pytest.raises(RuntimeError, match="out of memory"):
        optimizer.step(fails)
    before(x)
    assert apart(model, before) == 0
    optimizer.step(closure_of(model, optimizer, x, y))
    scheduler.step()
    assert optimizer.base_optimizer.param_groups[0]["lr"] == 0.05


@pytest.mark.parametrize("through", ["first_step", "closure"])
def test_maximising_minus_the_loss_is_minimising_it(through):
    reached = []
    for sign, maximize in ((1, False), (-1, True)):
        model = net()
        optimizer = make(model.parameters(), maximize=maximize)
        for x, y in batches():

            def closure(x=x, y=y, sign=sign, model=model, optimizer=optimizer):
                optimizer.zero_grad()
                loss = sign * cross_entropy(model(x), y)
                loss.backward()
                return loss

            if through == "closure":
                optimizer.step(closure)
            else:
                low = closure().detach() * sign
                optimizer.first_step(zero_grad=True)
                assert closure().detach() * sign > low  # the climb is to worse values
                optimizer.second_step()
        reached.append(model)
    assert apart(*reached) == 0


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_copies_and_pickles_go_on(duplicate):
    model = net()
    optimizer = make(model.parameters())
    for i, (x, y) in enumerate(batches()):
        if i == 2:
            cross_entropy(model(x), y).backward()
            optimizer.first_step(zero_grad=True)  # between the two steps, at w + e
            twin, its = duplicate((model, optimizer))
            for m, o in ((model, optimizer), (twin, its)):
                cross_entropy(m(x), y).backward()
                o.second_step(zero_grad=True)
            assert its.base_optimizer.param_groups is its.param_groups
        elif i > 2:
            for m, o in ((model, optimizer), (twin, its)):
                o.step(closure_of(m, o, x, y))
        else:
            optimizer.step(closure_of(model, optimizer, x, y))
    assert apart(model, twin) == 0 and model[0].weight is not twin[0].weight


def test_a_second_first_step_gives_the_weights_back():
    model, (x, y) = net(), batches()[0]
    optimizer, before = make(model.parameters()), [p.detach().clone() for p in model.parameters()]
    cross_entropy(model(x), y).backward()
    optimizer.first_step()
    with pytest.raises(RuntimeError, match=r"first_step\(\) came twice"):
        optimizer.first_step()
    assert all(torch.equal(p, w) for p, w in zip(model.parameters(), before, strict=True))
    optimizer.first_step()
    with pytest.raises(RuntimeError, match="makes both steps"):
        optimizer.step(closure_of(model, optimizer, x, y))


@pytest.mark.parametrize(
    "build, hint",
    [
        (lambda p: SAMOptimizer(p, torch.optim.SGD(p, lr=0.1)), "must be a class"),
        (lambda p: SAMOptimizer(p, "SGD", lr=0.1), "must be a class"),
        (lambda p: SAMOptimizer(p, torch.optim.LBFGS, lr=0.1), "LBFGS calls its closure"),
        (lambda p: SAMOptimizer(p, torch.optim.SGD, rho=math.nan, lr=0.1), "rho must be >= 0"),
        (lambda p: SAMOptimizer(p, torch.optim.SGD, rho=-1, lr=0.1), "rho must be >= 0"),
        (lambda p: SAMOptimizer(p, torch.optim.SGD, rho=math.inf, lr=0.1), "rho must be"),
        (lambda p: SAMOptimizer(p, torch.optim.SGD, rho="big", lr=0.1), "rho must be a number"),
        (lambda p: SAMOptimizer(p, torch.optim.SGD, adaptive="yes", lr=0.1), "adaptive must be one of"),
        (lambda p: SAMOptimizer([{"params": p, "rho": -1}], torch.optim.SGD, lr=0.1), "rho must be >= 0"),
        (lambda p: SAM(iter(p), torch.optim.SGD, lr=0.1), "takes the model, a torch.nn.Module"),
        (lambda p: SAM(p), "takes the model"),
    ],
)
def test_arguments_are_checked(build, hint):
    with pytest.raises((ValueError, TypeError)) as error:
        build(list(net().parameters()))
    assert hint in str(error.value) and "\n" not in str(error.value)


def test_a_group_that_is_added_is_checked_and_climbs():
    model, (x, y) = net(), batches()[0]
    optimizer = make(model[0].parameters())
    with pytest.raises(ValueError, match="rho must be"):
        optimizer.add_param_group({"params": list(model[4].parameters()), "rho": math.nan})
    optimizer.add_param_group({"params": list(model[4].parameters()), "rho": 0.0})
    was = model[4].weight.detach().clone()
    cross_entropy(model(x), y).backward()
    optimizer.first_step()
    assert torch.equal(model[4].weight, was)


def test_the_state_of_a_plain_optimizer_and_back():
    """A training that was begun without SAM, or goes on without."""
    model, (x, y) = net(), batches()[0]
    plain = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    cross_entropy(model(x), y).backward()
    plain.step()
    optimizer = SAMOptimizer(model.parameters(), torch.optim.SGD, rho=0.7, lr=0.1, momentum=0.5)
    optimizer.load_state_dict(plain.state_dict())
    (group,) = optimizer.param_groups
    assert (group["rho"], group["adaptive"], group["lr"], group["momentum"]) == (0.7, False, 0.3, 0.9)
    was = model[0].weight.detach().clone()
    cross_entropy(model(x), y).backward()
    optimizer.first_step(zero_grad=True)
    assert not torch.equal(model[0].weight, was)
    cross_entropy(model(x), y).backward()
    optimizer.second_step(zero_grad=True)
    plain.load_state_dict(optimizer.state_dict())
    kept = plain.state[model[0].weight]["momentum_buffer"]
    assert torch.equal(kept, optimizer.state[model[0].weight]["momentum_buffer"])


def test_checkpoints_of_torch_distributed():
    """They fill the state of a new optimizer by a step along a gradient of zero."""
    from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

    (x, y), models = batches()[0], [net(), net()]
    first, second = [
        SAMOptimizer(m.parameters(), torch.optim.SGD, rho=r, lr=0.1, momentum=0.9)
        for m, r in zip(models, (0.3, 0.5), strict=True)
    ]
    cross_entropy(models[0](x), y).backward()
    first.first_step(zero_grad=True)
    cross_entropy(models[0](x), y).backward()
    first.second_step(zero_grad=True)
    weights, states = get_state_dict(models[0], first)
    set_state_dict(models[1], second, model_state_dict=weights, optim_state_dict=states)
    for p, q in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(p, q)
        assert p not in first.state or torch.equal(
            first.state[p]["momentum_buffer"], second.state[q]["momentum_buffer"]
        )
    assert second.param_groups[0]["rho"] == 0.3


@pytest.mark.parametrize("base, settings", [
    (torch.optim.AdamW, {"lr": 0.01}), (torch.optim.SGD, {"lr": 0.1, "nesterov": True, "momentum": 0.9}),
    (torch.optim.RMSprop, {"lr": 0.01}), (torch.optim.Adagrad, {"lr": 0.1}),
])  # fmt: skip
def test_over_other_optimizers(base, settings):
    model, other = net(), net()
    wrapped, plain, objective = SAMOptimizer(model.parameters(), base, 0.3, **settings), None, SAM(other, 0.3)
    plain = base(other.parameters(), **settings)
    for x, y in batches():
        wrapped.step(closure_of(model, wrapped, x, y))
        plain.zero_grad()
        objective.backward(lambda x=x, y=y: cross_entropy(other(x), y))
        plain.step()
    assert apart(model, other) < 1e-12


# --- no gradients, gradients that are not dense and real, hooks that step ----------------------------------


def test_a_step_without_gradients_is_refused_and_the_weights_stay():
    model, (x, y) = net(), batches()[0]
    optimizer, before = make(model.parameters()), copy.deepcopy(model.state_dict())
    with pytest.raises(RuntimeError, match=r"first_step\(\) found no gradient.*backward\(\) before it"):
        optimizer.first_step()
    with pytest.raises(RuntimeError, match=r"first_step\(\) found no gradient"):
        optimizer.step(lambda: cross_entropy(model(x), y))  # a closure without backward()
    cross_entropy(model(x), y).backward()
    optimizer.zero_grad()  # too early
    with pytest.raises(RuntimeError, match=r"first_step\(\) found no gradient"):
        optimizer.first_step()
    cross_entropy(model(x), y).backward()
    optimizer.first_step(zero_grad=True)
    optimizer.second_step()  # nothing to follow: the weights come back
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_groups_without_gradients_stand_beside_groups_with_them():
    model, (x, y) = net(), batches()[0]
    idle = nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = make([{"params": [idle]}, {"params": list(model.parameters())}])
    was = model[0].weight.detach().clone()
    cross_entropy(model(x), y).backward()
    optimizer.first_step(zero_grad=True)
    cross_entropy(model(x), y).backward()
    optimizer.second_step()
    assert bool((idle == 1).all()) and not torch.equal(model[0].weight, was)


def two_calls(model, optimizer, x, y):
    for step in (optimizer.first_step, optimizer.second_step):
        cross_entropy(model(x), y).backward()
        step(zero_grad=True)


def one_call(model, optimizer, x, y):
    optimizer.step(closure_of(model, optimizer, x, y))


@pytest.mark.parametrize("how", ["optimizer", "data", "tensor hook"])
@pytest.mark.parametrize("step", [two_calls, one_call])
def test_hooks_that_step_are_refused(step, how):
    (x, y), model = data(), linear()
    stepping(model, how)
    expected = "found no gradient" if how == "optimizer" else "inside the backward pass"
    with pytest.raises(RuntimeError, match=expected):
        step(model, make(model.parameters()), x, y)


@pytest.mark.parametrize("step", [two_calls, one_call])
def test_complex_weights_move_as_pairs_of_real_ones(step):
    pair = [Fourier(real=False), Fourier(real=True)]
    for model in pair:
        optimizer = make(model.parameters())
        for _ in range(3):
            step(model, optimizer, *data())
    one, other = torch.view_as_real(pair[0].weight), pair[1].weight
    assert torch.allclose(one, other, rtol=1e-9) and not torch.equal(other, Fourier(True).weight)


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("kind", [nn.EmbeddingBag, nn.Embedding])
@pytest.mark.parametrize("step", [two_calls, one_call])
def test_sparse_gradients_step_as_dense_ones_do(step, kind, adaptive):
    x, y = torch.randint(50, (16, 5), generator=torch.Generator().manual_seed(1)), data(16)[1]
    pair = [Words(sparse, kind) for sparse in (True, False)]
    for model in pair:
        optimizer = make(model.parameters(), momentum=0, adaptive=adaptive)
        for _ in range(3):
            step(model, optimizer, x, y)
    one, other = (model.words.weight for model in pair)
    assert torch.allclose(one, other, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(other, Words(False, kind).words.weight, atol=1e-3)
