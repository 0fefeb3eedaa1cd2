"""Looking at a step from outside changes nothing and sees what is there."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from sam_edu import observe, traps
from tests.watched_steps import net, trained, watch


def test_observing_leaves_the_model_alone(batch):
    model = trained(batch, name="cnn")
    before, grads = deepcopy(model.state_dict()), [p.grad.clone() for p in model.parameters()]
    for key in traps.TRAPS:
        watch(key, model, batch, False)
    observe.statistics_error(model, batch[0])
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(torch.equal(g, p.grad) for g, p in zip(grads, model.parameters(), strict=True))
    assert not model._forward_pre_hooks


def test_statistics_error_is_zero_after_re_estimation(batch):
    model = net("cnn").train()
    assert observe.statistics_error(model, batch[0]) > 0.05
    for m in model.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.momentum = 1.0
    model(batch[0])
    assert observe.statistics_error(model, batch[0]) < 1e-6
    assert observe.statistics_error(net("mlp"), batch[0]) == 0


def test_training_returns_one_number_per_epoch_and_repeats(digits):
    trap = traps.TRAPS["accumulation"]
    one, two = (observe.training(trap, digits, False, seed=1, epochs=2) for _ in range(2))
    assert one[1:] == two[1:] and len(one[1]) == len(one[2]) == 2
    assert all(0 <= e <= 1 for e in one[1]) and all(s < 0.95 for s in one[2])
    assert observe.training(trap, digits, True, seed=1, epochs=1)[2] == [pytest.approx(1, abs=1e-6)]
    with pytest.raises(ValueError, match="epochs must be >= 1"):
        observe.training(trap, digits, True, epochs=0)
