#!/usr/bin/env bash
# ART's PGD with norm=1 moves one pixel, and stands still once it is white or black; larger budgets change nothing.
#
# Seen with adversarial-robustness-toolbox 1.20.1 (torch 2.13.0, CPU), a linear classifier on the digits of scikit-learn 1.9.1, two classes,
# where the strongest L1 attack is known: spend eps on the pixels of the largest weights, one after another, each as far as [0, 1] lets it.
# - That attack leaves 61 %, 9 % and 0 % right for eps = 1.5, 3 and 6. PGD (40 steps) and FGM leave 86 % each time, and have moved no pixel
#   or one. From three random starts PGD leaves 85 %, 83 % and 76 %.
# - At eps = 3 and 6 APGD of ART leaves 58 % and 3 %, foolbox's L1PGD 71 % and 14 %, its SparseL1DescentAttack 18 % and 0 %.
# The step goes to the pixel of the steepest slope, also where the box allows no step. (Pull request 2382 of 2024 chose this step, the
# best one without a box.) cleverhans 4 refuses norm=1 in its PGD, because such a step "changes only one pixel at a time". ART documents
# norm as "supporting" any real p >= 1, without a word on it.
# Why it matters here: robustness to several norms is a usual table. Its L1 column by this attack is far too high, and flat in eps.
# Fails if PGD or FGM with norm=1 moves further where eps is larger, or comes near the known attack.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
cat > "$here/one_pixel.py" <<'PY'
import importlib.metadata

import foolbox
import numpy as np
import torch
from art.attacks.evasion import AutoProjectedGradientDescent, FastGradientMethod, ProjectedGradientDescent
from art.estimators.classification import PyTorchClassifier
from sklearn.datasets import load_digits
from torch import nn

torch.set_num_threads(1)
found = load_digits()
kept = np.isin(found.target, (3, 8))
x = torch.tensor(found.images[kept] / 16, dtype=torch.float32)[:, None]
y = torch.tensor(found.target[kept] == 8).long()
torch.manual_seed(0)
net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
chosen = torch.optim.Adam(net.parameters(), 0.01)
for _ in range(300):
    chosen.zero_grad()
    nn.functional.cross_entropy(net(x), y).backward()
    chosen.step()
net.eval()
right = net(x).argmax(1) == y
x, y = x[right], y[right]


def best(eps):
    """The image that lowers the margin most within the L1 ball and the box: pixels in order of the size of their weight."""
    weights = (net[1].weight[1] - net[1].weight[0]).detach()
    down = -weights.sign() * (2 * y[:, None] - 1)
    flat = x.flatten(1)
    room = torch.where(down > 0, 1 - flat, flat)
    order = weights.abs().argsort(descending=True)
    left = (eps - room[:, order].cumsum(1) + room[:, order]).clamp(min=0)
    spent = torch.zeros_like(flat)
    spent[:, order] = torch.minimum(left, room[:, order])
    return (flat + down * spent).view_as(x)


def by_art(attack, eps, **settings):
    np.random.seed(0)
    wrapped = PyTorchClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 2, clip_values=(0, 1), device_type="cpu")
    return torch.as_tensor(attack(wrapped, norm=1, eps=eps, batch_size=len(x), **settings).generate(x.numpy(), y.numpy()))


def by_foolbox(attack, eps):
    torch.manual_seed(0)
    return attack(foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu"), x, y, epsilons=eps)[1]


def shown(name, attacked):
    moved = (attacked - x).flatten(1)
    with torch.no_grad():
        share = (net(attacked).argmax(1) == y).double().mean().item()
    spent, pixels = moved.norm(1, dim=1), (moved.abs() > 1e-4).sum(1).double()
    print(f"    {name:24} {share:5.1%} right; L1 norm {spent.mean():.2f} on average, {spent.max():.2f} at most; {pixels.mean():.1f} pixels")
    return share, spent.max().item()


print(*(f"{name} {importlib.metadata.version(name)} " for name in ("adversarial-robustness-toolbox", "foolbox", "torch")))
seen = {}
for eps in (1.5, 3.0, 6.0):
    print(f"  eps = {eps}")
    steps = {"eps_step": eps / 10, "max_iter": 40, "verbose": False}
    ways = {
        "known": best(eps),
        "ART, FGM": by_art(FastGradientMethod, eps),
        "ART, PGD": by_art(ProjectedGradientDescent, eps, **steps),
        "ART, PGD, 3 starts": by_art(ProjectedGradientDescent, eps, num_random_init=3, **steps),
        "ART, APGD": by_art(AutoProjectedGradientDescent, eps, nb_random_init=1, **steps),
        "foolbox, L1PGD": by_foolbox(foolbox.attacks.L1PGD(), eps),
        "foolbox, SparseL1Descent": by_foolbox(foolbox.attacks.SparseL1DescentAttack(), eps),
    }
    for name, attacked in ways.items():
        seen[eps, name] = shown(name, attacked)
assert seen[3.0, "known"][0] < 0.2 and seen[6.0, "known"][0] < 0.02 and seen[6.0, "foolbox, SparseL1Descent"][0] < 0.05
for name in ("ART, FGM", "ART, PGD"):
    assert seen[1.5, name] == seen[3.0, name] == seen[6.0, name] and seen[6.0, name][1] <= 1.0001, "the behaviour has changed"
    assert seen[6.0, name][0] > 0.7, "the behaviour has changed"
PY
"$here/venv/bin/pip" install -q --no-compile --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 torch==2.13.0 \
  adversarial-robustness-toolbox==1.20.1 packaging==26.3 foolbox==3.3.4
"$here/venv/bin/python" "$here/one_pixel.py"
