#!/usr/bin/env bash
# A mixed-integer program that HiGHS calls "Optimal" may not be solved: it stops at a relative gap of 1e-4.
#
# Seen with scipy 1.17.1 (numpy 2.4.6): of 40 random programs of the kind that verifies a small ReLU network
# (minimise a margin; one binary variable for each neuron that can switch), some end with status 0, "Optimal",
# while the best solution found (`fun`) lies above the lower bound (`mip_dual_bound`).
# Why it matters here: a margin is proved positive by the dual bound alone. `res.fun > 0` with status 0 looks like
# a proof and is none where the margin is as small as the gap.
# Fails if every "Optimal" program closes its gap, or none is called optimal.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install -q --disable-pip-version-check scipy==1.17.1 numpy==2.4.6
"$here/venv/bin/python" - <<'PY'
import numpy as np, scipy
from scipy.optimize import Bounds, LinearConstraint, milp

print("scipy", scipy.__version__)
optimal = open_gap = 0
worst = 0.0
for seed in range(40):
    rng = np.random.default_rng(seed)
    n, h = 12, 16
    W, b, v = rng.normal(size=(h, n)), 0.3 * rng.normal(size=h), rng.normal(size=h)
    # x in [-1, 1]^n, s = relu(W x + b) by the big-M form, minimise v.s
    low, high = b - abs(W).sum(1), b + abs(W).sum(1)
    eye, zero = np.eye(h), np.zeros((h, n))
    rows = [
        LinearConstraint(np.hstack([-W, eye, np.zeros((h, h))]), lb=b),                      # s >= W x + b
        LinearConstraint(np.hstack([-W, eye, -np.diag(low)]), ub=b - low),                   # s <= W x + b - low (1 - a)
        LinearConstraint(np.hstack([zero, eye, -np.diag(high)]), ub=0.0),                    # s <= high a
    ]
    cost = np.concatenate([np.zeros(n), v, np.zeros(h)])
    kinds = np.concatenate([np.zeros(n + h), np.ones(h)])
    box = Bounds(np.r_[-np.ones(n), np.zeros(2 * h)], np.r_[np.ones(n), np.maximum(high, 0), np.ones(h)])
    res = milp(cost, constraints=rows, integrality=kinds, bounds=box)
    if res.status == 0:
        optimal += 1
        gap = res.fun - res.mip_dual_bound
        open_gap += gap > 1e-6
        worst = max(worst, gap)
print(f"status 0 (optimal): {optimal} of 40; gap above 1e-6: {open_gap}; largest gap {worst:.1e}")
assert optimal > 0 and open_gap > 0, "the behaviour has changed"
PY
