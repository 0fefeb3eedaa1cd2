#!/usr/bin/env bash
# ART's AutoConjugateGradient hardly moves an image in its default norm, L-infinity: the sign of the step goes into the wrong variable.
#
# Seen with adversarial-robustness-toolbox 1.20.1 (torch 2.13.0, CPU), an MLP on the digits of scikit-learn 1.9.1, eps = 0.1, all other
# settings at their defaults. ACG (Yamamura et al., ICML 2022) is meant to be stronger than APGD. Here generate() takes the sign of
# the direction, stores it as `grad`, and moves along the direction itself: a step as long as the gradient is large.
# - Right under attack: FGSM 27 %, PGD 18 %, APGD 15 %, a PGD in plain torch 18 %, ACG 88 %. In L2 at eps = 0.4 ACG and APGD: 45 %.
# - Multiply the loss by 0.01, 1, 1000: signs stay, and FGSM leaves 27 % each time. ACG leaves 98 %, 88 % and 40 % right.
# With loss_type="difference_logits_ratio", whose gradient is longer, it leaves 16 %. Nothing is said; no issue was found.
# Why it matters here: a network is called robust after an attack that is named among the strongest. The better it is trained,
# the smaller the gradient of its loss is, and the less this attack moves. No evaluation should rest on one attack of one package.
# Fails if ACG does nearly as much damage as FGSM, or does not depend on the scale of the loss.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
cat > "$here/attacked.py" <<'PY'
import importlib.metadata

import numpy as np
import torch
from art.attacks.evasion import AutoConjugateGradient, AutoProjectedGradientDescent, FastGradientMethod, ProjectedGradientDescent
from art.estimators.classification import PyTorchClassifier
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

torch.set_num_threads(1)
found = load_digits()
x = torch.tensor(found.images / 16, dtype=torch.float32)[:, None]
y = torch.tensor(found.target)
torch.manual_seed(0)
net = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
chosen = torch.optim.Adam(net.parameters(), 0.01)
for _ in range(150):
    chosen.zero_grad()
    cross_entropy(net(x[:1200]), y[:1200]).backward()
    chosen.step()
net.eval()
images, labels = x[1200:1400], y[1200:1400]
right = net(images).argmax(1) == labels
images, labels = images[right], labels[right]


class Scaled(nn.CrossEntropyLoss):
    """Cross entropy times a number: the same signs, another length of the gradient."""

    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, scores, target):
        return self.scale * super().forward(scores, target)


def share(attacked):
    with torch.no_grad():
        return (net(torch.as_tensor(attacked)).argmax(1) == labels).double().mean().item()


def left(attack, scale=1.0, **settings):
    """Fraction that stays right, all images attacked."""
    np.random.seed(0)
    wrapped = PyTorchClassifier(net, Scaled(scale), (1, 8, 8), 10, clip_values=(0, 1), device_type="cpu")
    more = {} if attack is FastGradientMethod else {"verbose": False}
    return share(attack(wrapped, batch_size=len(images), **settings, **more).generate(images.numpy(), labels.numpy()))


def plain(eps, steps=40):
    attacked = images.clone()
    for _ in range(steps):
        attacked.requires_grad_(True)
        slope = torch.autograd.grad(cross_entropy(net(attacked), labels), attacked)[0]
        attacked = (attacked.detach() + eps / 4 * slope.sign()).clamp(images - eps, images + eps).clamp(0, 1)
    return share(attacked)


print("adversarial-robustness-toolbox", importlib.metadata.version("adversarial-robustness-toolbox"), " torch", torch.__version__)
ACG, APGD = AutoConjugateGradient, AutoProjectedGradientDescent
fgsm = left(FastGradientMethod, eps=0.1)
pgd = left(ProjectedGradientDescent, eps=0.1, eps_step=0.025)
apgd, acg = left(APGD, eps=0.1), left(ACG, eps=0.1)
ratio = left(ACG, eps=0.1, loss_type="difference_logits_ratio")
named = {"FGSM": fgsm, "PGD": pgd, "APGD": apgd, "PGD in torch": plain(0.1), "ACG": acg, "ACG by the logits' ratio": ratio}
print("  L-infinity, 0.1:", *(f"{name} {value:.0%} " for name, value in named.items()))
apgd2, acg2 = left(APGD, norm=2, eps=0.4), left(ACG, norm=2, eps=0.4)
print(f"  L2, 0.4: APGD {apgd2:.0%}, ACG {acg2:.0%}")
scaled = {scale: (left(ACG, scale, eps=0.1), left(FastGradientMethod, scale, eps=0.1)) for scale in (0.01, 1.0, 1000.0)}
for scale, (one, other) in scaled.items():
    print(f"  loss times {scale:g}: ACG {one:.0%}, FGSM {other:.0%}")
assert plain(0.1) < 0.25 and apgd < 0.25 and fgsm < 0.35 and abs(apgd2 - acg2) < 0.05
assert acg > fgsm + 0.3, "the behaviour has changed"
assert scaled[0.01][0] > scaled[1000.0][0] + 0.3, "the behaviour has changed"
PY
"$here/venv/bin/pip" install -q --no-compile --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 torch==2.13.0 \
  adversarial-robustness-toolbox==1.20.1 packaging==26.3
"$here/venv/bin/python" "$here/attacked.py"
