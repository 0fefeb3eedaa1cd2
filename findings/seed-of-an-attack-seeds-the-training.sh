#!/usr/bin/env bash
# An attack used between epochs seeds torch's global generator: from the second epoch on, all runs see the same data order.
#
# Seen with torchattacks 3.5.1 and pyautoattack 0.2.0 (torch 2.13.0, CPU). Five runs with seeds 0 to 4, six epochs each; DataLoader
# shuffles 200 images, and robust accuracy is measured after each epoch. Without an attack, with PGD, or with an attack in
# torch.random.fork_rng(), the 30 epochs have 30 orders. With APGD, APGDT, FAB or Square of torchattacks at their defaults (seed=0), and
# with pyautoattack's AutoAttack(seed=0), they have 6: the five first epochs, and one order for all 25 others. (With FAB they have 5: it
# draws nothing, so that its order is the first one of the run with seed 0.)
# torchattacks documents `seed` as "random seed for the starting point".
# Dropout masks and augmentation come from the same generator: they repeat as well.
# Why it matters here: robust accuracy is watched during training to stop early or to draw a curve. Doing so changes the training,
# each epoch repeats the one before, and runs over several seeds are no longer independent: their spread, and with it
# an interval or a test on seeds, can come out too small. Put torch.random.fork_rng() around the attack.
# Fails if the orders differ after such an attack, or are alike after PGD.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
cat > "$here/orders.py" <<'PY'
import contextlib
import importlib.metadata

import torch
import torchattacks
from pyautoattack import AutoAttack
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10)).eval()
x = torch.rand(20, 1, 8, 8)
y = net(x).argmax(1)  # every image is right: no attack is spared its work
eps = 0.3
everything = TensorDataset(torch.arange(200))


def orders(attack):
    """Data orders of six epochs in each of five runs, an attack after every epoch."""
    found = []
    for seed in range(5):
        torch.manual_seed(seed)
        loader = DataLoader(everything, batch_size=20, shuffle=True)
        for _ in range(6):
            found.append(tuple(torch.cat([batch for (batch,) in loader]).tolist()))
            attack()
    return found


def auto():
    AutoAttack(net, norm="Linf", eps=eps, seed=0, version="custom", attacks=["apgd-ce"]).run_standard_evaluation(x, y)


square = torchattacks.Square(net, eps=eps, n_queries=5)


def forked():
    with torch.random.fork_rng(devices=[]):
        square(x, y)


harmless = {"none": lambda: None, "PGD": lambda a=torchattacks.PGD(net, eps=eps): a(x, y), "Square, forked": forked}
seeding = {
    "APGD": torchattacks.APGD(net, eps=eps),
    "APGDT": torchattacks.APGDT(net, eps=eps),
    "FAB": torchattacks.FAB(net, eps=eps),
    "Square": square,
}
seeding = {name: lambda a=attack: a(x, y) for name, attack in seeding.items()} | {"AutoAttack": auto}
print(*(f"{name} {importlib.metadata.version(name)}" for name in ("torchattacks", "pyautoattack", "torch")))
for name, attack in (harmless | seeding).items():
    with contextlib.redirect_stdout(None):
        found = orders(attack)
    later = {order for i, order in enumerate(found) if i % 6}
    print(f"  {name:15} {len(set(found)):2} orders in 30 epochs, {len(later):2} after the first epochs")
    if name in harmless:
        assert len(set(found)) == 30
    else:
        assert len(set(found)) <= 6 and len(later) == 1, "the behaviour has changed"
PY
"$here/venv/bin/pip" install -q --no-compile --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 torch==2.13.0 torchvision==0.28.0 \
  torchattacks==3.5.1 pyautoattack==0.2.0
"$here/venv/bin/python" "$here/orders.py"
