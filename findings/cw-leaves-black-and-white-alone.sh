#!/usr/bin/env bash
# torchattacks' CW cannot change a pixel that is 0 or 1: black-and-white images come back as they were, and robust accuracy is 100 %.
#
# Seen with torchattacks 3.5.1 (torch 2.13.0, CPU), an MLP on the digits of scikit-learn 1.9.1. The attack of Carlini and Wagner (2017) works
# on w with x = (tanh(w) + 1) / 2. Here w starts at atanh(2 x - 1), which is infinite for x = 0 and x = 1, and stays so.
# - Digits as they are, 58 % of the pixels 0 or 1, c = 1, 500 steps: none of these changes. The median distance is 0.60; DDN of foolbox
#   3.3.4 finds 0.44, and CW itself 0.48 where the images are moved by 1e-3 into the open box.
# - Digits rounded to black and white: all come back unchanged for c = 1 and c = 10000; 100 % stay right. With c = 1, but moved by 1e-3
#   into the open box, and with DDN, 0 % stay right.
# The documentation does not mention it, and no issue was found. Nothing is said.
# Why it matters here: most pixels of MNIST and of these digits are black. A minimum-norm attack that may use only the grey edge of a
# stroke reports distances that are too large; on binarised images it reports a perfect defence.
# Fails if a pixel at 0 or 1 changes, or the images moved into the box resist as well.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
cat > "$here/border.py" <<'PY'
import importlib.metadata

import foolbox
import torch
import torchattacks
from sklearn.datasets import load_digits
from torch import nn

torch.set_num_threads(1)
found = load_digits()
y = torch.tensor(found.target)


def trained(x):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    chosen = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(200):
        chosen.zero_grad()
        nn.functional.cross_entropy(net(x[:1200]), y[:1200]).backward()
        chosen.step()
    return net.eval()


def shown(name, net, images, labels, attacked):
    """Fraction that stays right, median distance of the others, and how many pixels at 0 or 1 changed."""
    with torch.no_grad():
        fooled = net(attacked).argmax(1) != labels
    lengths = (attacked - images).flatten(1).norm(dim=1)[fooled]
    median = lengths.median().item() if len(lengths) else float("nan")
    border = (images == 0) | (images == 1)
    changed = (border & (attacked != images)).sum().item()
    print(f"    {name:32} {1 - fooled.double().mean():4.0%} right, median distance {median:.2f}, border pixels changed: {changed}")
    return 1 - fooled.double().mean().item(), median, changed


def cw(net, images, labels, c=1):
    return torchattacks.CW(net, c=c, steps=500, lr=0.01)(images, labels)


def ddn(net, images, labels):
    model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
    return foolbox.attacks.DDNAttack()(model, images, labels, epsilons=None)[0]


print(*(f"{name} {importlib.metadata.version(name)} " for name in ("torchattacks", "foolbox", "torch")))
grey = torch.tensor(found.images / 16, dtype=torch.float32)[:, None]
results = {}
for kind, x in (("grey", grey), ("black and white", grey.round())):
    net = trained(x)
    images, labels = x[1200:1400], y[1200:1400]
    right = net(images).argmax(1) == labels
    images, labels = images[right], labels[right]
    inside = images.clamp(1e-3, 1 - 1e-3)
    share = ((images == 0) | (images == 1)).double().mean().item()
    print(f"  {kind}: {share:.0%} of the pixels are 0 or 1")
    for c in (1, 10000):
        results[kind, c] = shown(f"CW, c={c}", net, images, labels, cw(net, images, labels, c))
        assert results[kind, c][2] == 0, "the behaviour has changed"
    results[kind, "inside"] = shown("CW, moved inside by 1e-3, c=1", net, images, labels, cw(net, inside, labels))
    results[kind, "DDN"] = shown("DDN of foolbox", net, images, labels, ddn(net, images, labels))
assert results["grey", "DDN"][1] < 0.85 * results["grey", 1][1] and results["grey", "inside"][1] < 0.9 * results["grey", 1][1]
assert max(results["black and white", way][0] for way in ("inside", "DDN")) < 0.2
assert all(results["black and white", c][0] == 1 for c in (1, 10000)), "the behaviour has changed"
PY
"$here/venv/bin/pip" install -q --no-compile --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 torch==2.13.0 \
  torchvision==0.28.0 torchattacks==3.5.1 foolbox==3.3.4
"$here/venv/bin/python" "$here/border.py"
