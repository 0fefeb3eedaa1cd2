#!/usr/bin/env bash
# pytorch_optimizer's BSAM, with its default settings, trains nothing: the loss climbs, and nothing is said.
#
# Seen with pytorch_optimizer 4.1.0 (torch 2.13.0, CPU), softmax regression on the digits of scikit-learn 1.9.1, full batch, 300 steps.
# Default settings take the loss from 2.3 to 164 and leave 10 % right; SGD reaches 0.22 and 96 %. Two steps of bSAM are missing:
# - The weights are never moved back. One step on the loss g w with lr=0 should leave w alone; it moves by rho g / s, uphill.
# - The gradient is multiplied by `weight_decay` (1e-4), where bSAM adds weight_decay * w to it. With weight_decay=0 and rho=0 the
#   loss stays at its start; with weight_decay=1, which decays nothing here, the regression is learned.
# bSAM: Möllenhoff and Khan, SAM as an optimal relaxation of Bayes (ICLR 2023), algorithm 1.
# Why it matters here: bSAM is compared with SAM as a member of its family. Where a network learns nonetheless, as with a larger
# weight_decay, that is another method with a learning rate of lr * weight_decay; such a row of a table says nothing about bSAM.
# Fails if BSAM learns with its default settings, comes back from its climb, or learns with weight_decay=0.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
cat > "$here/climbs.py" <<'PY'
import importlib.metadata

import torch
from pytorch_optimizer import BSAM
from sklearn.datasets import load_digits

found = load_digits()
x = torch.tensor(found.images / 16, dtype=torch.float32).flatten(1)
y = torch.tensor(found.target)


def train(optimizer, **settings):
    """Loss before and after 300 steps, and the fraction that is right."""
    torch.manual_seed(0)
    net = torch.nn.Linear(64, 10)
    chosen = optimizer(net.parameters(), **settings)

    def closure():
        chosen.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        return loss

    before = closure().item()  # BSAM asks for gradients before its first step
    for _ in range(300):
        chosen.step(closure)
    with torch.no_grad():
        right = (net(x).argmax(1) == y).double().mean().item()
    after = closure().item()
    print(f"  {optimizer.__name__:4} {settings!s:62} loss {before:.2f} -> {after:.2f}, right {right:.0%}")
    return after, right


print("pytorch_optimizer", importlib.metadata.version("pytorch_optimizer"), " torch", torch.__version__)
size = {"num_data": len(x)}
start, _ = train(torch.optim.SGD, lr=0.0)
sgd, right = train(torch.optim.SGD, lr=0.5)
default, lost = train(BSAM, **size)
still, _ = train(BSAM, **size, rho=0.0, weight_decay=0.0)
small, _ = train(BSAM, **size, rho=0.0)
large, learned = train(BSAM, **size, rho=0.0, weight_decay=1.0)

# One step on the loss 3 w at w = 1, with lr = 0 and (almost) no noise: s = 1 at the start, so the climb is rho * 3.
w = torch.nn.Parameter(torch.ones(1, dtype=torch.double))
one = BSAM([w], num_data=10**12, lr=0.0, rho=0.05)
w.grad = torch.full_like(w, 3.0)


def slope():
    w.grad = torch.full_like(w, 3.0)
    return 3 * w.detach().sum()


one.step(slope)
print(f"  one step with lr=0 on the loss 3 w, rho=0.05: w goes from 1 to {w.item():.6f}; moved back, it would be 1")
assert sgd < 0.5 and right > 0.9
assert default > 10 * start and lost < 0.2, "the behaviour has changed"
assert abs(w.item() - 1.15) < 1e-6, "the behaviour has changed"
assert abs(still - start) < 0.1 and abs(small - start) < 0.1, "the behaviour has changed"
assert large < 0.5 and learned > 0.9
PY
"$here/venv/bin/pip" install -q --no-compile --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 torch==2.13.0 \
  pytorch_optimizer==4.1.0
"$here/venv/bin/python" "$here/climbs.py"
