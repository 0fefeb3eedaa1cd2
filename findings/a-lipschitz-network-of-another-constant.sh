#!/usr/bin/env bash
# deel-torchlip's Sequential(k_coef_lip=k) is not k-Lipschitz: only its activations get the factor. With k = 0.1 certified images are fooled.
#
# Seen with deel-torchlip 1.0.5, the newest release (torch 2.13.0, CPU), three SpectralLinear layers on the digits of scikit-learn 1.9.1, L2.
# Sequential documents k_coef_lip as "the Lipschitz coefficient to ensure globally on the model", a part of it for each layer. It
# writes that part into layers that have already put theirs into their weights, when they were made: there it changes nothing.
# - With GroupSort2 between the layers a network made for k = 0.1, 1 and 10 has slopes up to 0.398, 1.000 and 2.51, which is k to the power
#   2/5, two of five parts. With nn.ReLU it is bound by 1 in all three cases.
# - k = 0.1: the usual certificate, margin / (sqrt(2) k), proves 80 % of the images at 0.5. PGD in L2 fools every image that is right inside
#   its own certified radius. With the factor given to each layer, SpectralLinear(..., k_coef_lip=0.1 ** (1 / 3)), it fools none, and 21 %
#   are proved at 0.5.
# - k = 10: the network cannot use the freedom that was asked for. No image is proved at 0.5, with the factor in each layer 21 %.
# vanilla_export() keeps the wrong slopes. With the default, k = 1, all is as documented. Nothing is said; no issue was found.
# Why it matters here: a bound on the slope is the whole proof of such a network. Give k to the layers, leave Sequential at 1, and measure the
# largest singular value of the Jacobian on data before a radius is reported.
# Fails if the slopes of the network for k = 0.1 stay below 0.1, or no image is fooled inside its certified radius.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
cat > "$here/slopes.py" <<'PY'
import importlib.metadata
import math

import torch
from deel import torchlip
from sklearn.datasets import load_digits
from torch import nn

torch.set_num_threads(1)
found = load_digits()
x = torch.tensor(found.images / 16, dtype=torch.float32).flatten(1)
y = torch.tensor(found.target)
images, labels = x[1200:], y[1200:]


def trained(k, activation=torchlip.GroupSort2, by_layer=False):
    torch.manual_seed(0)
    part = k ** (1 / 3) if by_layer else 1.0
    sizes = (64, 64, 64, 10)
    layers = []
    for n, m in zip(sizes, sizes[1:]):
        layers += [torchlip.SpectralLinear(n, m, k_coef_lip=part), activation()]
    net = nn.Sequential(*layers[:-1]) if by_layer else torchlip.Sequential(*layers[:-1], k_coef_lip=k)
    chosen = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(100):
        chosen.zero_grad()
        nn.functional.cross_entropy(net(x[:1200]) * 20 / k, y[:1200]).backward()
        chosen.step()
    net(x[:1200])
    return net.eval()


def slope(net):
    """Largest singular value of the Jacobian over the test images: no Lipschitz constant can be smaller."""
    jacobians = torch.func.vmap(torch.func.jacrev(lambda image: net(image[None])[0]))(images)
    return torch.linalg.norm(jacobians, ord=2, dim=(1, 2)).max().item()


def radii(net, k):
    """Certified radius of each image in L2, 0 where the answer is wrong."""
    with torch.no_grad():
        scores = net(images)
    mine = scores.gather(1, labels[:, None])[:, 0]
    others = scores.scatter(1, labels[:, None], -math.inf).amax(1)
    return ((mine - others) / (math.sqrt(2) * k)).clamp(min=0)


def fooled(net, radius, steps=40):
    """Fraction of the certified images that PGD inside the certified ball turns into another class."""
    kept = radius > 0
    near, true, size = images[kept], labels[kept], radius[kept, None] * 0.999
    moved, seen = torch.zeros_like(near), torch.zeros(len(near), dtype=torch.bool)
    for _ in range(steps):
        moved.requires_grad_(True)
        scores = net(near + moved)
        seen |= scores.argmax(1) != true
        margin = scores.gather(1, true[:, None])[:, 0] - scores.scatter(1, true[:, None], -math.inf).amax(1)
        push = torch.autograd.grad(margin.sum(), moved)[0]
        moved = moved.detach() - size / 10 * push / push.norm(dim=1, keepdim=True).clamp(min=1e-12)
        moved = moved * (size / moved.norm(dim=1, keepdim=True).clamp(min=1e-12)).clamp(max=1)
    assert (moved.norm(dim=1) < radius[kept]).all()
    return seen.double().mean().item()


print(*(f"{name} {importlib.metadata.version(name)} " for name in ("deel-torchlip", "torch")))
seen = {}
for k in (0.1, 1.0, 10.0):
    ways = {
        "Sequential(k), GroupSort2": trained(k),
        "Sequential(k), ReLU": trained(k, nn.ReLU),
        "k in each layer, GroupSort2": trained(k, by_layer=True),
    }
    for way, net in ways.items():
        radius = radii(net, k)
        with torch.no_grad():
            right = (net(images).argmax(1) == labels).double().mean().item()
        seen[k, way] = slope(net), fooled(net, radius)
        print(f"  k = {k:<4g} {way:28} slope {seen[k, way][0]:7.3f}   right {right:.1%}   certified at 0.5: "
              f"{(radius > 0.5).double().mean().item():.1%}   fooled inside the certified radius: {seen[k, way][1]:.1%}")
    if k == 0.1:
        plain = ways["Sequential(k), GroupSort2"].vanilla_export()
        print(f"  k = 0.1, vanilla_export(): slope {slope(plain):.3f}")
for k in (0.1, 1.0, 10.0):
    assert abs(seen[k, "k in each layer, GroupSort2"][0] / k - 1) < 0.01 and seen[k, "k in each layer, GroupSort2"][1] == 0
assert seen[1.0, "Sequential(k), GroupSort2"][0] < 1.001 and seen[1.0, "Sequential(k), GroupSort2"][1] == 0
assert seen[0.1, "Sequential(k), GroupSort2"][0] > 0.35 and seen[10.0, "Sequential(k), GroupSort2"][0] < 3, "the behaviour has changed"
assert seen[0.1, "Sequential(k), GroupSort2"][1] > 0.3, "the behaviour has changed"
PY
"$here/venv/bin/pip" install -q --no-compile --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 torch==2.13.0 \
  deel-torchlip==1.0.5
"$here/venv/bin/python" "$here/slopes.py"
