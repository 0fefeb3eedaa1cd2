#!/usr/bin/env bash
# PyHessian's trace stops at its second sample where the first is negative, whatever `tol` says.
#
# Seen with PyHessian 0.1, the newest release on PyPI (torch 2.13.0, CPU). trace() averages v.H v over random signs v until
# |new mean - old mean| / old mean < tol. The old mean keeps its sign: a negative one meets every tolerance, even tol=0. (The package's
# repository has |old mean| there by now; what pip installs does not.)
# - Hessians A and -A (100 x 100, traces 60 and -60), 40 seeds, defaults (maxIter=100, tol=1e-3): A takes 25 samples on average, -A
#   always 2, and the mean error is 4 for A and 16 for -A.
# - A small tanh network before its training, digits of scikit-learn 1.9.1, exact trace 5.1, 40 seeds: 10 calls stop at two samples, three
#   of them return a negative trace, and the mean over the seeds is 4.2. With tol=-inf all 100 samples are taken, and it is 5.0.
# For A, too, tol bounds only what one more sample changes: at 1e-3 the mean error is 7 %, seventy times as much.
# Why it matters here: the trace of the Hessian is a measure of flatness. Two samples, stopped because they were low, look like a flat
# place, early in training above all. Give tol=-inf, and count what comes back.
# Fails if -A takes as many samples as A, or no call on the network stops at a negative estimate.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
cat > "$here/trace.py" <<'PY'
import importlib.metadata
import warnings

import numpy as np
import torch
from pyhessian import hessian
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

warnings.filterwarnings("ignore", message="Using backward\\(\\) with create_graph=True")
SEEDS = range(40)


class Quadratic(torch.nn.Module):
    """w.A w / 2: its Hessian is A."""

    def __init__(self, matrix):
        super().__init__()
        self.matrix = matrix
        self.w = torch.nn.Parameter(torch.ones(len(matrix)))

    def forward(self, x):
        return self.w @ self.matrix @ self.w / 2


def estimates(net, criterion, data, **settings):
    """The mean of the samples that each seed takes, and how many they are."""
    means, counts = [], []
    for seed in SEEDS:
        torch.manual_seed(seed)
        samples = hessian(net, criterion, data=data, cuda=False).trace(**settings)
        means.append(np.mean(samples))
        counts.append(len(samples))
    return np.array(means), np.array(counts)


def exact(net, criterion, data):
    weights = list(net.parameters())
    slopes = torch.autograd.grad(criterion(net(data[0]), data[1]), weights, create_graph=True)
    flat = torch.cat([s.flatten() for s in slopes])
    rows = (torch.autograd.grad(s, weights, retain_graph=True) for s in flat)
    return sum(torch.cat([part.flatten() for part in row])[i].item() for i, row in enumerate(rows))


def shown(name, truth, means, counts):
    error = np.abs(means - truth).mean()
    print(
        f"  {name:18} exact {truth:6.2f}, mean of 40 {means.mean():6.2f}, mean error {error:5.2f}; "
        f"samples: {counts.mean():.0f} on average, 2 in {np.sum(counts == 2)}, of which negative {np.sum(means[counts == 2] < 0)}"
    )
    return error


print("PyHessian", importlib.metadata.version("pyhessian"), " torch", torch.__version__)
torch.manual_seed(0)
square = torch.randn(100, 100)
matrix = (square + square.T) / 10
matrix += torch.eye(100) * (60 - matrix.trace()) / 100
nothing = torch.zeros(1), torch.zeros(1)
positive = estimates(Quadratic(matrix), lambda out, target: out, nothing)
negative = estimates(Quadratic(-matrix), lambda out, target: out, nothing)
error = shown("A", 60.0, *positive)
mirrored = shown("-A", -60.0, *negative)

found = load_digits()
data = torch.tensor(found.images / 16, dtype=torch.float32).flatten(1)[:200], torch.tensor(found.target)[:200]
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(64, 12), torch.nn.Tanh(), torch.nn.Linear(12, 10))
truth = exact(net, cross_entropy, data)
means, counts = estimates(net, cross_entropy, data)
shown("tanh network", truth, means, counts)
tight, few = estimates(net, cross_entropy, data, tol=0)
shown("the same, tol=0", truth, tight, few)
whole, all_of_them = estimates(net, cross_entropy, data, tol=-np.inf)
best = shown("tol=-inf", truth, whole, all_of_them)
assert (all_of_them == 100).all() and (positive[1] > 2).all() and (positive[0] > 0).all()
assert (negative[1] == 2).all() and mirrored > 2 * error, "the behaviour has changed"
for mean, count in ((means, counts), (tight, few)):
    assert ((count == 2) & (mean < 0)).any() and (whole > 0).all(), "the behaviour has changed"
PY
"$here/venv/bin/pip" install -q --no-compile --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 torch==2.13.0 \
  pyhessian==0.1
"$here/venv/bin/python" "$here/trace.py"
