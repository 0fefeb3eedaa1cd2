#!/usr/bin/env bash
# torch-uncertainty's SWA counts the first of its models twice, and its SWAG draws each weight matrix by itself.
#
# Seen with torch_uncertainty 0.13.0, the newest release (lightning 2.6.6, torch 2.14.1, CPU), an MLP on the digits of scikit-learn 1.9.1, SGD
# with ClassificationRoutine and TUTrainer, an average over every epoch from `cycle_start` on.
# - SWA is the mean of its models (Izmailov et al., UAI 2018); torch's AveragedModel gives it. Here the counter is set to 1 at the first model
#   and raised once more: the shares of four epochs are 2/5, 1/5, 1/5, 1/5, of five 2/6, 1/6, ... The training loss after four epochs is
#   1.41, of the mean 1.25; of epochs 6 to 10 it is 0.27 and 0.25. The oldest model counts most.
# - Without validation data no epoch is averaged at all, and what is evaluated are SGD's last weights: the update hangs on the start of a
#   validation.
# - SWAG (Maddox et al., NeurIPS 2019) adds deviations of whole models, times one vector z. Here each parameter tensor gets a z of its own, with
#   block=False as well. Along the main direction of the epochs the variance is 0.58, by the paper's formula 1.19 (scale=0.5); the first
#   matrix and the rest move together with a correlation of 0.00 in place of 1.00. The authors' code has one z. The mean is right here.
# The docstrings say "Stochastic Weight Averaging", an update "every cycle_length epochs", and of `block` "Whether to sample a block
# diagonal covariance. Defaults to False". Nothing is said at run time, and no issue was found.
# Why it matters here: SWA is compared with SAM as a way to a flat place. Of five models the oldest has a third of the weight here, and
# without validation data the row is SGD's. Layers that move together make the flat valley that SWAG is meant to describe.
# Fails if the shares are equal, if something is averaged without validation data, or if the layers of a SWAG draw move together.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
cat > "$here/averaged.py" <<'PY'
import copy
import importlib.metadata
import logging
import warnings

import torch
from lightning.pytorch.callbacks import Callback
from sklearn.datasets import load_digits
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, TensorDataset
from torch_uncertainty import TUTrainer
from torch_uncertainty.methods import SWA, SWAG
from torch_uncertainty.routines import ClassificationRoutine

warnings.simplefilter("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
torch.set_num_threads(1)
found = load_digits()
x = torch.tensor(found.images / 16, dtype=torch.float32).flatten(1)
y = torch.tensor(found.target)


def flat(net):
    return nn.utils.parameters_to_vector(net.parameters()).detach().clone()


class Epochs(Callback):
    """The weights of SGD after each epoch, and torch's own average of them from `start` on."""

    def __init__(self, start):
        self.start, self.seen, self.average = start, [], None

    def on_train_epoch_end(self, trainer, routine):
        net = routine.model.core_model
        self.seen.append(flat(net))
        if trainer.current_epoch >= self.start:
            self.average = self.average or AveragedModel(net)
            self.average.update_parameters(net)


def trained(kind, epochs, start, validate=True, **settings):
    torch.manual_seed(0)
    net = kind(nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)), cycle_start=start, cycle_length=1, **settings)
    sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    routine = ClassificationRoutine(num_classes=10, model=net, loss=nn.CrossEntropyLoss(), optim_recipe=sgd)
    watch = Epochs(start)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = TUTrainer(accelerator="cpu", max_epochs=epochs, callbacks=[watch], **quiet)
    loader = DataLoader(TensorDataset(x[:1200], y[:1200]), batch_size=32, shuffle=True)
    trainer.fit(routine, loader, DataLoader(TensorDataset(x[1200:], y[1200:]), batch_size=600) if validate else None)
    return net.eval(), torch.stack(watch.seen), watch.average


def loss(net, weights):
    net = copy.deepcopy(net)
    nn.utils.vector_to_parameters(weights, net.parameters())
    with torch.no_grad():
        return nn.functional.cross_entropy(net(x[:1200]), y[:1200]).item()


print(*(f"{name} {importlib.metadata.version(name)} " for name in ("torch_uncertainty", "lightning", "torch")))
for epochs, start in ((4, 0), (10, 5)):
    net, seen, average = trained(SWA, epochs, start)
    used, got, plain = seen[start:], flat(net.swa_model), flat(average.module)
    assert (plain - used.mean(0)).norm() < 1e-4
    shares = torch.linalg.lstsq(used.double().T, got.double()[:, None]).solution.flatten()
    print(f"  SWA of {len(used)} epochs, share of each: {', '.join(f'{share:.3f}' for share in shares)}", end="; ")
    print(f"training loss {loss(net.core_model, got):.3f}, of torch's average {loss(net.core_model, plain):.3f}")
    twice = torch.ones(len(used), dtype=torch.double)
    twice[0] = 2
    assert (shares - twice / twice.sum()).abs().max() < 1e-3, "the behaviour has changed"

net, seen, average = trained(SWA, 10, 5, validate=False)
with torch.no_grad():
    same = torch.equal(net(x), net.core_model(x))
print(f"  SWA without validation data: averaged {int(net.num_avgd_models)} epochs, evaluates SGD's last weights: {same}")
assert same and net.swa_model is None, "the behaviour has changed"

net, seen, average = trained(SWAG, 35, 4, num_estimators=1)
used = seen[5:]
names = [name for name, _ in net.core_model.named_parameters()]
mean, square, root = (
    torch.cat([net.swag_stats[f"{net.prfx}{name}_{what}"].flatten(start) for name in names], start)
    for what, start in (("mean", 0), ("sq_mean", 0), ("covariance_sqrt", 1))
)
assert (mean - used.mean(0)).norm() < 1e-4 and len(root) == 20
variance = (square - mean**2).clamp(min=net.var_clamp)
torch.manual_seed(1)
draws = {"torch_uncertainty": torch.stack([flat(net.sample(0.5)) for _ in range(2000)])}
noise = variance.sqrt() * torch.randn(2000, len(mean)) + torch.randn(2000, 20) @ root / 19**0.5
draws["SWAG's definition"] = mean + 0.5**0.5 * noise
main = torch.linalg.svd(root, full_matrices=False).Vh[0]
known = 0.5 * (main @ (variance * main) + (root @ main).square().sum() / 19)
first = net.core_model[0].weight.numel()
print(f"  SWAG of {len(used)} epochs, scale 1/2; variance along the main direction of the epochs, by the formula: {known:.2f}")
for name, drawn in draws.items():
    apart = drawn - mean
    parts = torch.stack([apart[:, :first] @ main[:first], apart[:, first:] @ main[first:]])
    tied, along = torch.corrcoef(parts)[0, 1].item(), (apart @ main).var().item()
    print(f"    2000 draws of {name:18} variance {along:.2f}, correlation of the first weight matrix with the rest {tied:.2f}")
    if name == "torch_uncertainty":
        assert abs(tied) < 0.1 and along < 0.7 * known, "the behaviour has changed"
    else:
        assert tied > 0.9 and abs(along / known - 1) < 0.1
PY
"$here/venv/bin/pip" install -q --no-compile --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 torch==2.14.1 \
  torchvision==0.29.1 lightning==2.6.6 torchmetrics==1.9.0 timm==1.0.31 "torch_uncertainty[cpu]==0.13.0"
"$here/venv/bin/python" "$here/averaged.py"
