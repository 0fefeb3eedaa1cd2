"""SAM in Lightning, skorch and accelerate themselves: what is reached is what SAM in a plain loop reaches."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from sam_edu.objectives import SAM, SAMOptimizer
from tests.objectives.test_sam_optimizer import (
    SETTINGS,
    apart,
    batches,
    by_the_objective,
    closure_of,
    make,
    net,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def fitted(by_hand=False, **settings):
    """Trained by Lightning; ``by_hand`` is its manual optimization, with the SAM objective."""
    import pytorch_lightning as lightning

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net, self.automatic_optimization = net(), not by_hand
            self.objective = SAM(self.net, 0.5)

        def training_step(self, batch, _):
            x, y = batch
            if not by_hand:
                return cross_entropy(self.net(x), y)
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.objective.backward(lambda: cross_entropy(self.net(x), y))
            optimizer.step()
            return None

        def configure_optimizers(self):
            if by_hand:
                return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
            return make(self.parameters())

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    names = "logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"
    quiet = dict.fromkeys(names, False)
    module = Module()
    trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", **quiet, **settings)
    trainer.fit(module, DataLoader(batches(), batch_size=None))
    return module.net


@pytest.mark.parametrize("by_hand", [False, True])
def test_in_lightning(by_hand):
    assert apart(fitted(by_hand), by_the_objective()) == 0


def test_lightnings_accumulation_is_said_to_lose_batches():
    with pytest.warns(UserWarning, match="does not use the gradients that were in p.grad"):
        fitted(accumulate_grad_batches=2)


def test_in_skorch():
    import skorch

    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net()

        def forward(self, X):
            return self.net(X)

    x, y = (torch.cat(parts) for parts in zip(*batches(), strict=True))
    trainer = skorch.NeuralNet(
        Whole,
        nn.CrossEntropyLoss,
        optimizer=SAMOptimizer,
        optimizer__base_optimizer=torch.optim.SGD,
        max_epochs=1,
        batch_size=16,
        train_split=None,
        verbose=0,
        iterator_train__shuffle=False,
        **{f"optimizer__{name}": value for name, value in SETTINGS.items()},
    )
    trainer.fit(x, y)
    assert apart(trainer.module_.net, by_the_objective()) == 0


def accelerated(step):
    """Trained with accelerate; ``step(helper, model, optimizer, x, y)`` is one step."""
    import accelerate

    helper, model = accelerate.Accelerator(cpu=True), net()
    model, optimizer = helper.prepare(model, make(model.parameters()))
    for x, y in batches():
        step(helper, model, optimizer, x, y)
    return model


def test_in_accelerate():
    reached = accelerated(lambda helper, *rest: rest[1].step(closure_of(*rest, helper.backward)))
    assert apart(reached, by_the_objective()) == 0


def test_accelerates_usual_loop_is_refused():
    def usual(helper, model, optimizer, x, y):
        optimizer.zero_grad()
        helper.backward(cross_entropy(model(x), y))
        optimizer.step()

    with pytest.raises(RuntimeError, match="would be a plain step, not SAM"):
        accelerated(usual)


def test_the_objective_in_accelerate():
    import accelerate

    helper, model = accelerate.Accelerator(cpu=True), net()
    plain = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model, plain = helper.prepare(model, plain)
    objective = SAM(model, 0.5)
    for x, y in batches():
        plain.zero_grad()
        objective.backward(lambda x=x, y=y: cross_entropy(model(x), y))
        plain.step()
    assert apart(model, by_the_objective()) == 0
