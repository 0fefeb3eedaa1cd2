"""Looks that a method takes beside its two passes leave no trace; observers whose buffers grow in a pass."""

from __future__ import annotations

import copy
import random

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, dropout

from sam_edu.objectives import ASAM, ESAM, SAM, BatchLoss, EntropySGD, SparseSAM

X = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(12) % 3


class Counts(nn.Module):
    """A loss that knows how often it has seen each class, as those for long tails do."""

    def __init__(self, where):
        super().__init__()
        self.where, self.reduction, self.seen = where, "mean", [0, 0, 0]
        self.register_buffer("count", torch.zeros(3))

    def forward(self, outputs, y):
        if self.where == "buffer":
            self.count += torch.bincount(y, minlength=3)
        else:
            self.seen = [n + int(k) for n, k in zip(self.seen, torch.bincount(y, minlength=3), strict=True)]
        return cross_entropy(outputs, y, reduction=self.reduction)

    def total(self):
        return int(self.count.sum()) + sum(self.seen)


@pytest.mark.parametrize("where", ["buffer", "attribute"])
@pytest.mark.parametrize("make", [
    SAM, lambda m: SAM(m, m=5), lambda m: SAM(m, m=4), ESAM, SparseSAM, lambda m: EntropySGD(m, steps=1),
])  # fmt: skip
def test_a_loss_counts_each_sample_once(make, where):
    model, loss_of = nn.Linear(4, 3), Counts(where)
    objective = make(model)
    for step in range(3):
        objective.backward(BatchLoss(model, X, Y, loss_of))
        assert loss_of.total() == 12 * (step + 1)


class Notes(nn.Module):
    """Counts, keeps an average and draws in either mode."""

    def __init__(self):
        super().__init__()
        self.inner, self.passes = nn.Linear(4, 3), 0
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, x):
        self.passes += 1
        out = self.inner(dropout(x, 0.3)) * (1 + random.random())
        self.mean = 0.9 * self.mean + 0.1 * out.detach().mean(0)
        return out


def test_fisher_masks_are_measured_without_a_trace():
    torch.manual_seed(0)
    model = Notes()
    plain, objective = copy.deepcopy(model), SparseSAM(model, every=2, samples=5)
    for step in range(4):
        torch.manual_seed(step), random.seed(step)
        plain(X)
        after = torch.get_rng_state(), random.getstate()
        torch.manual_seed(step), random.seed(step)
        objective.backward(BatchLoss(model, X, Y))
        assert model.passes == step + 1 and torch.equal(model.mean, plain.mean)
        assert torch.equal(torch.get_rng_state(), after[0]) and random.getstate() == after[1]


class Grows(nn.Module):
    """Knows the size of its buffers only in the first pass."""

    def __init__(self, start):
        super().__init__()
        self.register_buffer("top", torch.full((start,), -1.0))

    def forward(self, x):
        if self.top.numel() != x.shape[1]:
            self.top.resize_(x.shape[1]).fill_(-1.0)
        self.top.copy_(torch.maximum(self.top, x.detach().amax(0)))
        return x / self.top.abs()


def quantised():
    ao = torch.ao.quantization
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).train()
    model.qconfig = ao.get_default_qat_qconfig("fbgemm")  # an observer for each channel of the weights
    return ao.prepare_qat(model)


def grows(start):
    return lambda: nn.Sequential(nn.Linear(4, 8), Grows(start), nn.Linear(8, 3))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [quantised, grows(0), grows(1), grows(5)])
@pytest.mark.parametrize("method", [SAM, ASAM])
def test_buffers_that_grow_in_a_pass(make, method):
    torch.manual_seed(0)
    model = make()
    plain, objective = copy.deepcopy(model), method(model, 0.5)
    for _ in range(3):
        objective.backward(lambda: cross_entropy(model(X), Y))
        plain(X)
        pairs = list(zip(model.buffers(), plain.buffers(), strict=True))
        assert all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs)
