"""Random numbers from generators that no variable of the closure leads to, and state in odd corners."""

from __future__ import annotations

import copy
import dataclasses
import random
import types

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from sam_edu.objectives import SAM, BatchLoss

X = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(12) % 3
ARRAY, PLAIN, TORCH = np.random.default_rng(0), random.Random(0), torch.Generator().manual_seed(0)
DRAWN: list[float] = []
NET = nn.Linear(4, 3)


def noted(number):
    DRAWN.append(float(number))
    return DRAWN[-1]


def helper():
    return noted(PLAIN.random())


class Drops(nn.Module):
    """Multiplies by what its own ``draw`` gives, as layers do that are dropped by chance."""

    shared = random.Random(1)

    def __init__(self, kind):
        super().__init__()
        self.kind, self.inner = kind, nn.Linear(4, 3)

    @property
    def drawn(self):
        return noted(PLAIN.random())

    @staticmethod
    def at_once():
        return noted(torch.rand((), generator=TORCH))

    def forward(self, x):
        if self.kind == "global":
            return self.inner(x) * noted(ARRAY.random())
        if self.kind == "class":
            return self.inner(x) * noted(self.shared.random())
        if self.kind == "helper":
            return self.inner(x) * helper()
        return self.inner(x) * (self.drawn if self.kind == "property" else self.at_once())


class Mixes:
    """A plain object whose method names a global generator."""

    def __call__(self, x):
        return self.apply(x)

    def apply(self, x):
        return x * noted(ARRAY.random())


class Config:
    rng = np.random.default_rng(1)


@dataclasses.dataclass(slots=True)
class Slotted:
    net: nn.Module
    rng: random.Random

    def loss(self):
        return cross_entropy(self.net(X), Y) * noted(self.rng.random())


class Scaled(nn.Module):
    """A loss that draws."""

    def forward(self, outputs, y):
        return cross_entropy(outputs, y) * noted(PLAIN.random())


def hooked():
    layer = nn.Linear(4, 3)
    layer.register_forward_hook(lambda module, inputs, output: output * noted(ARRAY.random()))
    return layer


MIXES, SLOTTED = Mixes(), Slotted(NET, random.Random(2))
OTHER = types.ModuleType("other")  # a Python module of the user's own
OTHER.__file__ = "other.py"
exec("import random\nrng = random.Random(3)\ndef share():\n    return rng.random()", vars(OTHER))


def on(model):
    return model, lambda: cross_entropy(model(X), Y)


DRAWS = {
    **{
        kind: (lambda kind=kind: on(Drops(kind)))
        for kind in ("global", "class", "helper", "property", "static")
    },
    "inside": lambda: on(nn.Sequential(nn.Linear(4, 4), Drops("global"))),
    "hook": lambda: on(hooked()),
    "object": lambda: (NET, lambda: cross_entropy(NET(MIXES(X)), Y)),
    "method": lambda: (NET, lambda: cross_entropy(NET(MIXES.apply(X)), Y)),
    "attribute of a class": lambda: (NET, lambda: cross_entropy(NET(X), Y) * noted(Config.rng.random())),
    "function of a module": lambda: (NET, lambda: cross_entropy(NET(X), Y) * noted(OTHER.share())),
    "slots": lambda: (NET, lambda: SLOTTED.loss()),
    "batch": lambda: (NET, BatchLoss(lambda x: NET(MIXES.apply(x)), X, Y)),
    "loss": lambda: (NET, BatchLoss(NET, X, Y, Scaled())),
}


@pytest.mark.parametrize("kind", DRAWS)
def test_both_passes_draw_the_same_numbers(kind, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "other", OTHER)
    DRAWN.clear()
    model, closure = DRAWS[kind]()
    objective = SAM(model)
    for _ in range(3):
        objective.backward(closure)
    assert DRAWN[::2] == DRAWN[1::2] and len(set(DRAWN)) == 3


@pytest.mark.parametrize("where", ["global", "attribute"])
def test_a_generator_that_is_made_anew(where, monkeypatch):
    """At each epoch, with a seed of its own."""

    class Draws(nn.Linear):
        def forward(self, x):
            rng = ARRAY if where == "global" else self.rng
            return super().forward(x) * noted(rng.random())

    DRAWN.clear()
    model = Draws(4, 3)
    model.rng = np.random.default_rng(9)
    objective = SAM(model)
    for epoch in range(3):
        fresh = np.random.default_rng(epoch)
        monkeypatch.setitem(globals(), "ARRAY", fresh) if where == "global" else setattr(model, "rng", fresh)
        for _ in range(2):
            objective.backward(lambda: cross_entropy(model(X), Y))
    assert DRAWN[::2] == DRAWN[1::2] and len(set(DRAWN)) == 6


class Holder:
    net = nn.BatchNorm1d(4)


@dataclasses.dataclass(slots=True)
class SlottedHolder:
    net: nn.Module


def test_modules_in_classes_and_slots_count_once():
    held = SlottedHolder(nn.BatchNorm1d(4))
    Holder.net.reset_running_stats()
    closures = [
        (Holder.net, lambda: cross_entropy(NET(Holder.net(X)), Y)),
        (held.net, lambda: cross_entropy(NET(held.net(X)), Y)),
    ]
    for norm, closure in closures:
        objective = SAM(NET)
        for _ in range(3):
            objective.backward(closure)
        assert int(norm.num_batches_tracked) == 3


def test_what_a_hook_notes_on_a_layer_of_torch_counts_once():
    def note(layer, inputs, output):
        layer.count += 1
        layer.mean = 0.9 * layer.mean + 0.1 * output.detach().mean(0)
        layer.log.append(layer.count)

    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3))
    model[0].count, model[0].mean, model[0].log = 0, torch.zeros(8), []
    model[0].register_forward_hook(note)
    plain, objective = copy.deepcopy(model), SAM(model, 0.5)
    for _ in range(4):
        objective.backward(lambda: cross_entropy(model(X), Y))
        plain(X)
    assert model[0].count == 4 and model[0].log == [1, 2, 3, 4]
    assert torch.equal(model[0].mean, plain[0].mean)
