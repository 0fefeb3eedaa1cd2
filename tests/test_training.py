"""The one loop: it learns, it says when it diverges, and does things in the stated order."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from torch import nn

from sam_edu import _score, attacks, data, models, training
from sam_edu.objectives import ERM, SAM


def problem(n=200):
    d = data.load("digits").subset(train=n, test=100)
    return models.build("mlp", d.shape, 10, seed=0), d


def sgd(model, lr=0.1):
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)


@pytest.mark.parametrize("make, attack", [
    (ERM, None), (lambda m: SAM(m, 0.05), None), (ERM, attacks.PGD(0.05, steps=2)),
    (lambda m: SAM(m, 0.05), attacks.FGSM(0.05)),
])  # fmt: skip
def test_every_method_learns(make, attack):
    model, d = problem()
    results = training.fit(
        make(model), sgd(model), d.train_x, d.train_y, epochs=8, batch_size=32, attack=attack
    )
    assert results[-1].loss < 0.5 * results[0].loss and results[-1].accuracy > results[0].accuracy
    assert not model.training  # ready to be looked at
    with torch.no_grad():
        assert (model(d.test_x).argmax(1) == d.test_y).double().mean() > 0.7


def test_order_of_one_step():
    """The attack moves x, the gradients are cleared, the objective fills them, the optimizer steps."""
    model, x, y = nn.Linear(4, 3), torch.rand(5, 4), torch.tensor([0, 1, 2, 0, 1])
    model.weight.grad = torch.full_like(model.weight, 1e9)  # left over; must not count
    events = []

    class Watched(ERM):
        def backward(self, closure, scale=None):
            events.append(("backward", self.model.weight.grad))
            return super().backward(closure, scale)

    class Optimizer(torch.optim.SGD):
        def step(self, closure=None):
            events.append(("step", None))
            return super().step(closure)

    def attack(m, x, y):
        events.append(("attack", None))
        return x + 0.25

    before = model.weight.detach().clone()
    expected_logits = model(x + 0.25).detach()
    loss, logits = training.step(Watched(model), Optimizer(model.parameters(), lr=0.1), x, y, attack)
    assert [name for name, _ in events] == ["attack", "backward", "step"] and events[1][1] is None
    assert torch.equal(logits, expected_logits) and not logits.requires_grad and not loss.requires_grad
    assert loss == nn.functional.cross_entropy(expected_logits, y)
    assert not torch.equal(model.weight, before)
    assert torch.allclose(model.weight, before - 0.1 * model.weight.grad)


def test_the_attacked_inputs_are_the_same_in_both_of_sams_passes():
    model, seen = nn.Linear(4, 3), []
    model.register_forward_hook(lambda m, inputs, out: seen.append(inputs[0].clone()))
    training.step(
        SAM(model, 0.1),
        sgd(model),
        torch.rand(5, 4),
        torch.tensor([0, 1, 2, 0, 1]),
        lambda m, x, y: x + torch.rand(1),
    )
    assert len(seen) == 2 and torch.equal(*seen)


def test_an_epoch_sees_every_sample_once():
    x, seen = torch.arange(10.0)[:, None].repeat(1, 2), []
    model = nn.Linear(2, 2)
    result = training.train_epoch(
        ERM(model),
        sgd(model, 0.0),
        x,
        torch.zeros(10, dtype=torch.long),
        4,
        augment=lambda b: seen.append(b[:, 0]) or b,
    )
    assert [len(b) for b in seen] == [4, 4, 2] and sorted(torch.cat(seen).tolist()) == list(range(10))
    with torch.no_grad():
        expected = nn.functional.cross_entropy(model(x), torch.zeros(10, dtype=torch.long))
    assert result.loss == pytest.approx(float(expected), rel=1e-5)  # the short last batch counts less
    assert model.training


def test_seeds_decide():
    def final(seed):
        model, d = problem(100)
        training.fit(ERM(model), sgd(model), d.train_x, d.train_y, 2, 32, seed=seed)
        return torch.cat([p.flatten() for p in model.parameters()])

    before = torch.get_rng_state()
    one, two, other = final(0), final(0), final(1)
    assert torch.equal(one, two) and not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_rho_zero_and_eps_zero_are_standard_training():
    def final(make, attack):
        model, d = problem(100)
        training.fit(make(model), sgd(model), d.train_x, d.train_y, 2, 32, attack=attack)
        return torch.cat([p.flatten() for p in model.parameters()])

    plain = final(ERM, None)
    assert torch.equal(final(lambda m: SAM(m, 0.0), None), plain)
    assert torch.equal(final(ERM, attacks.PGD(0.0)), plain)
    assert torch.equal(final(lambda m: SAM(m, 0.0), attacks.FGSM(0.0)), plain)


def test_divergence_is_said():
    model, d = problem(64)
    with pytest.raises(FloatingPointError, match="lower the learning rate or rho") as error:
        training.fit(ERM(model), sgd(model, 1e12), d.train_x, d.train_y, epochs=10, batch_size=16)
    assert "\n" not in str(error.value)


def test_the_schedule_divides_by_ten_without_warnings():
    model, rates = nn.Linear(2, 2), []
    optimizer = sgd(model, 1.0)

    class Watched(ERM):
        def backward(self, closure, scale=None):
            rates.append(optimizer.param_groups[0]["lr"])
            return super().backward(closure, scale)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        training.fit(Watched(model), optimizer, torch.rand(4, 2), torch.tensor([0, 1, 0, 1]), 20, 4)
    assert rates[:15] == [1.0] * 15 and rates[15:18] == pytest.approx([0.1] * 3)
    assert rates[18:] == pytest.approx([0.01] * 2)


def test_gradients_are_clipped_as_the_loop_says():
    model, x, y = nn.Linear(4, 3), torch.randn(8, 4), torch.randint(3, (8,))
    optimizer, before = (
        torch.optim.SGD(model.parameters(), lr=1.0),
        [p.detach().clone() for p in model.parameters()],
    )

    def clip(*_):
        nn.utils.clip_grad_norm_(model.parameters(), 1e-3)

    optimizer.register_step_pre_hook(clip)
    training.train_epoch(SAM(model), optimizer, x, y, batch_size=8)
    moved = torch.cat([(p - w).flatten() for p, w in zip(model.parameters(), before, strict=True)])
    assert float(moved.norm()) == pytest.approx(1e-3, rel=1e-2)


def test_another_loss():
    model, d = problem(50)
    smooth = nn.CrossEntropyLoss(label_smoothing=0.5)
    loss, logits = training.step(ERM(model), sgd(model), d.train_x, d.train_y, loss_of=smooth)
    assert loss == smooth(logits, d.train_y)


@pytest.mark.parametrize(
    "settings, hint",
    [
        ({"epochs": 0}, "epochs must be >= 1"),
        ({"epochs": 1, "batch_size": 0}, "batch_size must be >= 1"),
        ({"epochs": 1, "batch_size": math.nan}, "batch_size"),
    ],
)
def test_bad_input(settings, hint):
    model, d = problem(10)
    with pytest.raises((ValueError, TypeError)) as error:
        training.fit(ERM(model), sgd(model), d.train_x, d.train_y, **settings)
    assert hint in str(error.value) and "\n" not in str(error.value)


def test_sums_of_an_epoch_are_those_of_one_addition_after_the_other():
    """In float64 and in order: not Python's ``sum``, which rounds otherwise since 3.12."""
    rng = torch.Generator().manual_seed(0)
    parts = list(torch.rand(4001, generator=rng, dtype=torch.float64))
    expected = torch.zeros((), dtype=torch.float64)
    for part in parts:
        expected += part
    assert _score.total(parts) == expected.item() != math.fsum(part.item() for part in parts)
    assert _score.total([torch.tensor(2), 0.5, torch.tensor(3)]) == 5.5 and _score.total([]) == 0
