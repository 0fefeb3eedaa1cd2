"""The small networks and batches with which the objectives are tried."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import cross_entropy


def net(dtype=torch.float64, norm=True, drop=0.0, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [nn.Linear(6, 8), nn.BatchNorm1d(8) if norm else nn.Identity(), nn.Tanh()]
        layers += [nn.Dropout(drop)] if drop else []
        return nn.Sequential(*layers, nn.Linear(8, 3)).to(dtype)


def batch(n=16, seed=1, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, 6, generator=g, dtype=dtype), torch.randint(3, (n,), generator=g)


def grads(model):
    return [None if p.grad is None else p.grad.clone() for p in model.parameters()]


def weights(model):
    return [p.detach().clone() for p in model.parameters()]


def same(first, second):
    pairs = zip(first, second, strict=True)
    return all(a is b if a is None or b is None else torch.equal(a, b) for a, b in pairs)


def loss_closure(model, x, y):
    return lambda: cross_entropy(model(x), y)


class Quadratic(nn.Module):
    """L(w) = w.H w / 2."""

    def __init__(self, h, w):
        super().__init__()
        self.h, self.w = h, nn.Parameter(w.clone())

    def forward(self):
        return self.w @ self.h @ self.w / 2


def symmetric(n, seed):
    a = torch.randn(n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return (a + a.T) / 2
