#!/usr/bin/env bash
# A network comes back from an attack in another mode: torchattacks thaws frozen BatchNorm, the toolbox ART leaves all in eval.
#
# Seen with torchattacks 3.5.1 and adversarial-robustness-toolbox 1.20.1 (torch 2.13.0, CPU): adversarial fine-tuning of a small network
# with Dropout and two BatchNorm layers, one of them frozen by eval(), as layers of a pretrained network are. PGD before each of 20 steps.
# - torchattacks calls train() on the whole network after each attack: the frozen layer is in train mode, its running mean has moved. Its
#   documentation: "It basically changes training mode to eval during attack process."
# - ART's generate() leaves the network in eval mode: Dropout is off, and both layers keep the running statistics of the start.
#   Its documentation says nothing of the mode afterwards.
# - foolbox 3.3.4 leaves the modes as they are and warns. PGD in eval mode, each layer then put back into its mode, does what was asked.
# Neither of the first two says anything.
# Why it matters here: the loop `x = attack(x, y)`, `loss(net(x), y).backward()` is adversarial training. The network that is trained
# is another one than was configured, and methods are compared by statistics that one of them never updated. SAM's second pass is
# a usual reason to keep BatchNorm frozen. Put the modes back after every attack.
# Fails if either package gives each layer its mode back, or foolbox does not.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
cat > "$here/modes.py" <<'PY'
import importlib.metadata
import warnings

import foolbox
import torch
import torchattacks
from art.attacks.evasion import ProjectedGradientDescent
from art.estimators.classification import PyTorchClassifier
from torch import nn
from torch.nn.functional import cross_entropy

torch.manual_seed(0)
x, y = torch.rand(64, 1, 8, 8), torch.randint(0, 10, (64,))
eps = 0.1


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.frozen = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.second, self.free = nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)
        self.dropout, self.last = nn.Dropout(0.5), nn.Linear(64, 10)

    def forward(self, x):
        x = torch.relu(self.frozen(self.first(x)))
        x = torch.relu(self.free(self.second(x)))
        return self.last(self.dropout(x.flatten(1)))


def by_torchattacks(net):
    attack = torchattacks.PGD(net, eps=eps, alpha=eps / 4, steps=5)
    return lambda: attack(x, y)


def by_art(net):
    wrapped = PyTorchClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0, 1), device_type="cpu")
    attack = ProjectedGradientDescent(wrapped, eps=eps, eps_step=eps / 4, max_iter=5, verbose=False)
    return lambda: torch.from_numpy(attack.generate(x.numpy(), y.numpy()))


def by_foolbox(net):
    def attack():
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
        assert any("eval" in str(one.message) for one in said)
        return foolbox.attacks.LinfPGD(steps=5)(model, x, y, epsilons=eps)[1]

    return attack


def with_modes_put_back(net):
    inner = by_torchattacks(net)

    def attack():
        modes = {layer: layer.training for layer in net.modules()}
        attacked = inner()
        for layer, mode in modes.items():
            layer.training = mode
        return attacked

    return attack


def fine_tuned(name, make):
    """Modes of the network, the frozen layer, the free one, Dropout; how far both running means have moved."""
    torch.manual_seed(1)
    net = Network()
    net.train()
    net.frozen.eval()
    start = net.frozen.running_mean.clone(), net.free.running_mean.clone()
    attack, chosen = make(net), torch.optim.SGD(net.parameters(), 0.01)
    for _ in range(20):
        attacked = attack().detach()
        chosen.zero_grad()
        cross_entropy(net(attacked), y).backward()
        chosen.step()
    modes = [layer.training for layer in (net, net.frozen, net.free, net.dropout)]
    moved = [bool((a != b).any()) for a, b in zip(start, (net.frozen.running_mean, net.free.running_mean))]
    words = ["train" if mode else "eval" for mode in modes]
    line = "  {:15} network {:5}, frozen layer {:5}, free layer {:5}, Dropout {:5}; running means moved: {}, {}"
    print(line.format(name, *words, *moved))
    return modes, moved


names = ("torchattacks", "adversarial-robustness-toolbox", "foolbox", "torch")
print(*(f"{name} {importlib.metadata.version(name)}" for name in names))
asked = [True, False, True, True], [False, True]
assert fine_tuned("modes put back", with_modes_put_back) == asked
assert fine_tuned("foolbox", by_foolbox) == asked
assert fine_tuned("torchattacks", by_torchattacks) == ([True] * 4, [True, True]), "the behaviour has changed"
assert fine_tuned("ART", by_art) == ([False] * 4, [False, False]), "the behaviour has changed"
PY
"$here/venv/bin/pip" install -q --no-compile --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 torch==2.13.0 \
  torchvision==0.28.0 torchattacks==3.5.1 adversarial-robustness-toolbox==1.20.1 packaging==26.3 foolbox==3.3.4
"$here/venv/bin/python" "$here/modes.py"
