"""The traps of SAM: each right setting does what it says, each wrong one is caught by the same test."""

from __future__ import annotations

import inspect
from copy import deepcopy

import pytest
import torch
from torch.nn.functional import cross_entropy

from sam_edu import observe, traps
from sam_edu.objectives import SAM
from tests.watched_steps import RHO, trained, watch


def flat_gradient(model, x, y):
    g = torch.autograd.grad(cross_entropy(model(x), y), list(model.parameters()))
    return torch.cat([part.flatten() for part in g])


def cosine(a, b):
    return float(torch.cosine_similarity(a.double(), b.double(), dim=0))


# ---- one property per trap: the right setting has it, the wrong one has not -------------------


def counts_once(batch):
    model = trained(batch, name="cnn")
    return lambda right: watch("batchnorm", model, batch, right).counted == 1


def statistics_belong_to_w(batch):
    """After the step the running means are those of one clean pass, to the last bit."""
    model = trained(batch, name="cnn").train()
    clean = deepcopy(model)
    clean(batch[0])

    def holds(right):
        stepped = deepcopy(model)
        optimizer = torch.optim.SGD(stepped.parameters(), lr=0.0)
        traps.batch_norm(stepped, optimizer, *batch, RHO, right=right)
        return all(torch.equal(a, b) for a, b in zip(clean.buffers(), stepped.buffers(), strict=True))

    return holds


def climb_ignores_the_decay(batch):
    model = trained(batch, 200)  # the gradient has become small beside decay * w
    g = flat_gradient(model, *batch)
    return lambda right: cosine(watch("decay", model, batch, right).climb, g) > 0.9999


def parts_add_up(batch):
    """The gradient equals the sum of the parts' SAM gradients, each computed on its own."""
    model = trained(batch)
    total = 0
    for x, y in zip(batch[0].chunk(4), batch[1].chunk(4), strict=True):
        alone = deepcopy(model)
        SAM(alone, RHO).backward(lambda alone=alone, x=x, y=y: cross_entropy(alone(x), y) / 4)
        total = total + torch.cat([p.grad.flatten() for p in alone.parameters()])
    return lambda right: torch.allclose(watch("accumulation", model, batch, right).gradient, total, atol=1e-6)


def survives_an_overflow(batch):
    def holds(right):
        model = trained(batch)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        traps._scaler_of(optimizer, "cpu").scale(torch.zeros(()))  # makes the scaler begin ...
        traps._scaler_of(optimizer, "cpu").update(2.0**40)  # ... with a scale that overflows
        before = [p.detach().clone() for p in model.parameters()]
        traps.precision(model, optimizer, *batch, RHO, right=right)
        assert traps._scaler_of(optimizer, "cpu").get_scale() < 2.0**40  # it did overflow
        return all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))

    return holds


def one_climb_for_the_batch(batch):
    model = trained(batch)
    g = flat_gradient(model, *batch)

    def holds(right):
        seen = watch("m", model, batch, right)
        reference = deepcopy(model)
        SAM(reference, RHO).backward(lambda: cross_entropy(reference(batch[0]), batch[1]))
        expected = torch.cat([p.grad.flatten() for p in reference.parameters()])
        return cosine(seen.climb, g) > 0.9999 and torch.allclose(seen.gradient, expected, atol=1e-6)

    return holds


def climb_follows_the_attacked_gradient(batch):
    model = trained(batch)
    x = traps._pgd_by_backward(model, *batch, 0.1, 5)
    model.zero_grad()
    g = flat_gradient(model, x, batch[1])
    return lambda right: cosine(watch("stale", model, batch, right).climb, g) > 0.9999


PROPERTIES = [counts_once, statistics_belong_to_w, climb_ignores_the_decay, parts_add_up,
              survives_an_overflow, one_climb_for_the_batch, climb_follows_the_attacked_gradient]  # fmt: skip


@pytest.mark.parametrize("makes", PROPERTIES, ids=lambda f: f.__name__)
def test_the_right_setting_passes_and_the_wrong_one_fails(makes, batch):
    holds = makes(batch)
    assert holds(True)
    assert not holds(False)


@pytest.mark.parametrize("key", traps.TRAPS)
@pytest.mark.parametrize("right", [True, False])
def test_every_step_climbs_rho_and_moves_the_network(key, right, batch):
    model = trained(batch, name="cnn" if key == "batchnorm" else "mlp")
    seen = watch(key, model, batch, right)
    assert float(seen.climb.norm()) == pytest.approx(RHO, rel=0.02)
    assert seen.gradient.isfinite().all() and seen.gradient.any()
    before = [p.detach().clone() for p in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    loss = traps.TRAPS[key].step(model, optimizer, *batch, RHO, right=right)
    assert not loss.requires_grad and 0 < float(loss) < 10
    assert all(p.isfinite().all() for p in model.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_the_right_ways_are_the_library(batch):
    """BatchNorm, accumulation in one part and m = batch: the gradient is that of SAM."""
    model = trained(batch)
    reference = deepcopy(model)
    SAM(reference, RHO).backward(lambda: cross_entropy(reference(batch[0]), batch[1]))
    expected = torch.cat([p.grad.flatten() for p in reference.parameters()])
    for key in ("batchnorm", "m"):
        assert torch.equal(watch(key, model, batch, True).gradient, expected)


def test_decay_is_added_once_either_way(batch):
    """Right: g_SAM + decay w. Wrong: decay is taken at w + e."""
    model = trained(batch)
    w = torch.cat([p.detach().flatten() for p in model.parameters()])
    plain = watch("m", model, batch, True).gradient
    assert torch.allclose(watch("decay", model, batch, True).gradient, plain + 0.02 * w, atol=1e-6)


def test_the_menu_is_complete():
    assert len(traps.TRAPS) == 6 and all(trap.symptom in observe.SYMPTOMS for trap in traps.TRAPS.values())
    for trap in traps.TRAPS.values():
        assert trap.title and trap.right != trap.wrong
        assert inspect.signature(trap.step).parameters["right"].default is True
