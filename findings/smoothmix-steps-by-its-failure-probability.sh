#!/usr/bin/env bash
# ART's SmoothMix takes the failure probability of its certificate for the step of its attack; its SmoothAdv makes one step of a fixed size.
#
# Seen with adversarial-robustness-toolbox 1.20.1 (torch 2.13.0, CPU), an MLP on the digits of scikit-learn 1.9.1, noise of 0.5. Both
# trainings for randomized smoothing attack each image before they learn from it.
# - SmoothMix (Jeong et al., NeurIPS 2021) mixes an image with one that an L2 attack has moved; the step of the authors' code is 1. Here the
#   step is `alpha`, which is documented as "The failure probability of smoothing", 0.001: after 9 of 10 steps an image has moved by 0.008,
#   and after an epoch the weights lie 0.01 from those of a training without attack, 0.5 from those with step 1.
# - With alpha=1 they are the latter, to 1e-6. Then certify() of the same object returns an infinite radius for every image.
# - SmoothAdv (Salman et al., NeurIPS 2019) attacks inside the L2 ball of radius `epsilon`, which `warmup` lets grow. Here the attack is an
#   L-infinity one, its steps do not add up, and `warmup` goes into a `norm` that nothing reads. Each pixel moves by 0.1 (0.8 in L2) after
#   1, 2, 10 or 11 steps; epsilon=0.25 and 1 train the same network, bit for bit, and so do warmup=1 and 1000; epsilon=0.05 moves an
#   image by 0.4 in L2. (Seen without clip_values; with them the attack clips the noise as well.)
# The docstrings call epsilon "The maximum perturbation that can be induced", num_steps "The number of attack updates", and maxnorm_s of
# SmoothMix "The initial value of `alpha * mix_step`". Nothing is said at run time, and no issue was found.
# Why it matters here: tables of certified robustness set these methods beside training with noise alone. This SmoothMix is noise with softened
# labels. Fit it with alpha=1 and certify the same network with a PyTorchRandomizedSmoothing; write SmoothAdv's attack by hand.
# Fails if SmoothMix moves an image by default, its certificates with alpha=1 end, or SmoothAdv's steps, epsilon or warmup make a difference.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
cat > "$here/smoothed.py" <<'PY'
import importlib.metadata
import warnings

import numpy as np
import torch
from art.estimators.certification.randomized_smoothing import PyTorchRandomizedSmoothing, PyTorchSmoothAdv, PyTorchSmoothMix
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy, kl_div, relu, softmax
from torch.utils.data import DataLoader, TensorDataset

warnings.simplefilter("ignore")
torch.set_num_threads(1)
found = load_digits()
x = (found.images / 16).astype(np.float32)[:, None]
y = found.target
SIGMA, STEPS, ETA, BATCH = 0.5, 10, 5.0, 32


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(64, 128), nn.Linear(128, 10)

    def forward(self, x):
        return self.two(relu(self.one(x.flatten(1))))


def start():
    torch.manual_seed(0)
    net = Net()
    return net, torch.optim.Adam(net.parameters(), 0.003)


def estimator(kind, net, chosen=None, **settings):
    given = {"optimizer": chosen, "clip_values": (0, 1), "device_type": "cpu", "scale": SIGMA, **settings}
    return kind(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, **given)


def fitted(kind, epochs, **settings):
    """The network, ART's object, and what the attack of each batch had moved each image by (SmoothMix: before its last step)."""
    net, chosen = start()
    trained = estimator(kind, net, chosen, **settings)
    calls, moves = [], []

    def watch(module, given):
        if not module.training:
            calls.append(given[0].detach().clone())
        elif calls:
            last = calls[-1] if kind is PyTorchSmoothMix else given[0].detach()
            moves.append((last - calls[0]).flatten(1))  # the noise is the same in both
            calls.clear()

    net.register_forward_pre_hook(watch)
    torch.manual_seed(1)
    trained.fit(x[:1200], y[:1200], batch_size=BATCH, nb_epochs=epochs)
    return net, trained, torch.cat(moves)


def plain(step):
    """One epoch of SmoothMix with this step and one noise vector, eta = 5."""
    net, chosen = start()
    torch.manual_seed(1)
    for images, labels in DataLoader(TensorDataset(torch.tensor(x[:1200]), torch.tensor(y[:1200])), BATCH, shuffle=True):
        noise, moved = torch.randn_like(images) * SIGMA, images
        for _ in range(STEPS):
            moved = moved.detach().requires_grad_(True)
            slope = torch.autograd.grad(cross_entropy(net(moved + noise), labels, reduction="sum"), moved)[0]
            moved = (moved.detach() + step * slope / (slope.flatten(1).norm(dim=1)[:, None, None, None] + 1e-8)).clamp(0, 1)
        scores = net(images + noise)
        clean, share = softmax(scores, 1), torch.rand(len(images)) / 2
        mixed = images + share[:, None, None, None] * (moved - images)
        target = (1 - share[:, None]) * clean + share[:, None] / 10
        apart = kl_div(net(mixed + noise).log_softmax(1), target, reduction="none").sum(1)
        loss = cross_entropy(scores, labels) + ETA * ((clean.argmax(1) == labels) * apart).mean()
        chosen.zero_grad()
        loss.backward()
        chosen.step()
    return net


def distance(one, other):
    return (nn.utils.parameters_to_vector(one.parameters()) - nn.utils.parameters_to_vector(other.parameters())).norm().item()


print(*(f"{name} {importlib.metadata.version(name)} " for name in ("adversarial-robustness-toolbox", "torch")))
default, _, small = fitted(PyTorchSmoothMix, 1, eta=ETA)
wide, trained, large = fitted(PyTorchSmoothMix, 1, eta=ETA, alpha=1.0)
paper, still = plain(1.0), plain(0.0)
print(f"  SmoothMix, {STEPS - 1} of {STEPS} steps, images moved by (median L2): default {small.norm(dim=1).median():.4f}", end=", ")
print(f"alpha=1 {large.norm(dim=1).median():.2f}")
print(f"    weights after an epoch: default is {distance(default, still):.4f} from no attack, {distance(default, paper):.2f} from step 1", end="; ")
print(f"alpha=1 is {distance(wide, paper):.0e} from step 1")
sure = estimator(PyTorchRandomizedSmoothing, wide, alpha=0.001, sample_size=100)
np.random.seed(0)
(named, endless), (_, right) = (one.certify(x[1200:1250], n=1000, batch_size=1000) for one in (trained, sure))
print(f"    certify() of the object with alpha=1: {np.isinf(endless).mean():.0%} of the radii are infinite, for {len(set(named))} classes", end="; ")
print(f"the same network with alpha=0.001: median {np.median(right):.2f}")
assert distance(wide, paper) < 1e-3 and distance(default, paper) > 0.5 and distance(default, still) < 0.1, "the behaviour has changed"
assert small.norm(dim=1).max() < 0.01 and large.norm(dim=1).median() > 1, "the behaviour has changed"
assert np.isinf(endless).all() and len(set(named)) > 1 and right.max() < 2, "the behaviour has changed"

nets = {}
for setting in ({}, {"epsilon": 1.0}, {"warmup": 1000}, {"epsilon": 0.05}, {"num_steps": 1}, {"num_steps": 2}, {"num_steps": 11}):
    name = ", ".join(f"{key}={value}" for key, value in {"epsilon": 0.25, "warmup": 1, "num_steps": 10, **setting}.items())
    nets[name], _, moves = fitted(PyTorchSmoothAdv, 2, **{"epsilon": 0.25, "clip_values": None, **setting})
    high = moves.abs().max()
    print(f"  SmoothAdv, {name:40} moves a pixel by {moves.abs().median():.3f}, at most {high:.3f}", end="")
    print(f"; an image by {moves.norm(dim=1).median():.2f} in L2", end="")
    same = len(nets) > 1 and distance(nets[name], next(iter(nets.values()))) == 0
    print("; the weights of the first line, bit for bit" if same else "")
    assert abs(high - min(0.1, setting.get("epsilon", 0.25))) < 1e-5 and moves.abs().median() > 0.99 * high, "the behaviour has changed"
    assert same == (setting in ({"epsilon": 1.0}, {"warmup": 1000})), "the behaviour has changed"
PY
"$here/venv/bin/pip" install -q --no-compile --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 torch==2.13.0 \
  adversarial-robustness-toolbox==1.20.1 packaging==26.3 statsmodels==0.15.0
"$here/venv/bin/python" "$here/smoothed.py"
