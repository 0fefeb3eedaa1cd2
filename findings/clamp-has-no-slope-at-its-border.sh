#!/usr/bin/env bash
# torch.clamp(x, 0, 1) had the slope 1 at x = 0 and x = 1, and has 0 since torch 2.14: black pixels get no gradient.
#
# Seen with torch 2.13.0 and 2.14.1 (CPU) on the digits of scikit-learn 1.9.1, 58 % of whose pixels are exactly 0 or 1.
# With clamp(x, 0, 1) before the network, a guard that changes no value, its input gradient is that of the network in 2.13.0; in 2.14.1
# it is 0 on each of these pixels. FGSM at eps = 0.1 leaves 39 % right in 2.13.0 and 76 % in 2.14.1, PGD-20 from the image itself
# 36 % and 75 %: a pixel that starts on the border stays there. From a random start it is 36 % and 60 %. Bounds given as tensors
# have the slope 1 at the border in 2.13.0 and 1/2 in 2.14.1; relu and hardtanh have 0 in both.
# pytorch issue 184574 asks for the subgradient of least norm here, issue 195931 asks about the change; both values are subgradients.
# Why it matters here: 8-bit images lie on the border at many pixels. Code that clamps inside what is differentiated, such as
# `model(torch.clamp(x + delta, 0, 1))` or the `clamp_(0, 1)` of "free" adversarial training, attacks more weakly after the upgrade: a robust
# accuracy goes up, and nothing says so.
# Fails if 2.13.0 has no slope there, if 2.14.1 has one, or if the attacks do the same damage in both.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
cat > "$here/digits.py" <<'PY'
import sys

import torch
from sklearn.datasets import load_digits

found = load_digits()
x = torch.tensor(found.images / 16, dtype=torch.float32)[:, None]
y = torch.tensor(found.target)
train, test = slice(0, 1200), slice(1200, 1500)
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
adam = torch.optim.Adam(net.parameters(), 0.01)
for _ in range(100):
    adam.zero_grad()
    torch.nn.functional.cross_entropy(net(x[train]), y[train]).backward()
    adam.step()

fronts = {
    "no clamp": lambda t: t,
    "clamp(x, 0, 1)": lambda t: torch.clamp(t, 0, 1),
    "clamp, tensors": lambda t: torch.clamp(t, torch.zeros_like(t), torch.ones_like(t)),
    "hardtanh(x, 0, 1)": lambda t: torch.nn.functional.hardtanh(t, 0.0, 1.0),
}
images, labels = x[test], y[test]
border = (images == 0) | (images == 1)
version = torch.__version__
print(f"torch {version}: {border.double().mean():.0%} of the pixels are exactly 0 or 1")
eps, flat, left = 0.1, {}, {}


def attack(front, steps, size, random):
    """Steps of the sign of the gradient in delta; images are clamped where delta is known to move them."""
    torch.manual_seed(1)
    delta = eps * (2 * torch.rand_like(images) - 1) if random else torch.zeros_like(images)
    delta = (images + delta).clamp(0, 1) - images
    for _ in range(steps):
        delta.requires_grad_()
        loss = torch.nn.functional.cross_entropy(net(front(images + delta)), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, delta)
        delta = (delta.detach() + size * gradient.sign()).clamp(-eps, eps)
        delta = (images + delta).clamp(0, 1) - images
    with torch.no_grad():
        right = net((images + delta).clamp(0, 1)).argmax(1) == labels
    return float(right.double().mean())


for name, front in fronts.items():
    leaf = images.clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(net(front(leaf)), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, leaf)
    flat[name] = float((gradient[border] == 0).double().mean())
    left[name] = attack(front, 1, eps, False), attack(front, 20, eps / 4, False), attack(front, 20, eps / 4, True)
    rest = "FGSM {:.1%}, PGD-20 {:.1%}, from a random start {:.1%}".format(*left[name])
    print(f"  {name:18} slope 0 at {flat[name]:4.0%} of these; right after {rest}")
one = torch.tensor([0.0, 0.5, 1.0], requires_grad=True)
scalars = torch.autograd.grad(torch.clamp(one, 0, 1).sum(), one)[0].tolist()
tensors = torch.autograd.grad(torch.clamp(one, torch.zeros(3), torch.ones(3)).sum(), one)[0].tolist()
relu = torch.autograd.grad(torch.relu(one).sum(), one)[0].tolist()
print(f"  slopes at 0, 0.5 and 1: clamp(x, 0, 1) {scalars}, with tensors {tensors}, relu {relu}")
assert relu == [0, 1, 1] and flat["no clamp"] < 0.1 and flat["hardtanh(x, 0, 1)"] == 1
if sys.argv[1] == "old":
    assert scalars == [1, 1, 1] and tensors == [1, 1, 1] and flat["clamp(x, 0, 1)"] < 0.1
    assert all(abs(a - b) < 0.01 for a, b in zip(left["clamp(x, 0, 1)"], left["no clamp"]))
else:
    assert scalars == [0, 1, 0] and tensors == [0.5, 1, 0.5], "the behaviour has changed"
    assert flat["clamp(x, 0, 1)"] == 1 and all(a > b + 0.05 for a, b in zip(left["clamp(x, 0, 1)"], left["no clamp"]))
PY
"$here/venv/bin/pip" install -q --no-compile --disable-pip-version-check numpy==2.4.6 scikit-learn==1.9.1 scipy==1.17.1 torch==2.13.0
"$here/venv/bin/python" "$here/digits.py" old
"$here/venv/bin/pip" install -q --no-compile --disable-pip-version-check torch==2.14.1
"$here/venv/bin/python" "$here/digits.py" new
