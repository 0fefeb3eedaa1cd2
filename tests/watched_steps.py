"""Small networks of digits and one watched step of a trap, for the tests of traps and of observe."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from sam_edu import models, observe, traps

RHO = 0.2


def net(name="mlp", seed=0):
    return models.build(name, (1, 8, 8), classes=10, seed=seed, width=8)


def trained(batch, steps=20, name="mlp"):
    model = net(name)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        cross_entropy(model(batch[0]), batch[1]).backward()
        optimizer.step()
    return model


def watch(key, model, batch, right):
    return observe.one_step(traps.TRAPS[key], model, *batch, RHO, right)
