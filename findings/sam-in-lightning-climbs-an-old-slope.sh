#!/usr/bin/env bash
# pytorch_optimizer's SAM under Lightning's automatic optimization climbs along the gradient of the batch before, in one pass a step.
#
# Seen with pytorch-lightning 2.6.6 and pytorch_optimizer 4.1.0 (torch 2.13.0, CPU), a small network on the digits of scikit-learn 1.9.1,
# 10 epochs of 38 steps, rho = 0.5. SAM.step(closure) expects gradients to be there and calls the closure once. Lightning computes
# gradients only inside the closure, as torch.optim's optimizers ask for. What SAM finds is what its own second pass left behind.
# - training_step runs 380 times, where SAM needs 760. The weights are, to 1e-6, those of a loop in plain torch that climbs along the last
#   step's gradient (the first step is one of SGD). From SAM in plain torch they lie 1.6 away; SGD lies 1.8 away from it.
# - By manual optimization they are SAM's, to 1e-6.
# - LookSAM and FriendlySAM get one call a step as well. WSAM calls its closure twice, and gets what it needs.
# pytorch_optimizer's documentation says "Compute gradients at the current weights before calling step()"; a Lightning user writes no such
# call. Nothing is said. davda54/sam, whose pull request 91 saw this, has the same step().
# Why it matters here: a comparison of SAM with SGD in Lightning reports another method, at half of SAM's cost. Take manual optimization:
# manual_backward, then step(closure).
# Fails if training_step runs twice a step, or the weights are those of SAM.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
cat > "$here/old_slope.py" <<'PY'
import importlib.metadata
import logging
import warnings

import pytorch_lightning
import torch
from pytorch_optimizer import SAM, WSAM, FriendlySAM, LookSAM
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", message=".*(num_workers|litlogger|GPU available).*")
RATE, RHO, EPOCHS = 0.1, 0.5, 10
torch.set_num_threads(1)
found = load_digits()
x = torch.tensor(found.images / 16).flatten(1)[:1200]
y = torch.tensor(found.target)[:1200]
batches = DataLoader(TensorDataset(x, y), batch_size=32)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10)).double()


def flat(tensors):
    return torch.cat([t.detach().flatten() for t in tensors])


class Lit(pytorch_lightning.LightningModule):
    def __init__(self, way, manual=False):
        super().__init__()
        self.net, self.way, self.calls = network(), way, 0
        self.automatic_optimization = not manual

    def training_step(self, batch, index):
        self.calls += 1
        loss = cross_entropy(self.net(batch[0]), batch[1])
        if not self.automatic_optimization:
            chosen = self.optimizers()

            def closure():
                chosen.zero_grad()
                again = cross_entropy(self.net(batch[0]), batch[1])
                self.manual_backward(again)
                return again

            closure()
            chosen.step(closure)
        return loss

    def configure_optimizers(self):
        if self.way is WSAM:
            return WSAM(self.net, self.net.parameters(), torch.optim.SGD, lr=RATE, rho=RHO)
        return self.way(self.net.parameters(), torch.optim.SGD, lr=RATE, rho=RHO)


def by_lightning(way, manual=False):
    lit = Lit(way, manual)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    pytorch_lightning.Trainer(max_epochs=EPOCHS, accelerator="cpu", **quiet).fit(lit, batches)
    return flat(lit.parameters()), lit.calls


def plain(climb):
    """SAM in plain torch: climbs along the gradient "here", the one that the "last" step used, or "nowhere"."""
    net, used = network(), None
    weights = list(net.parameters())
    for _ in range(EPOCHS):
        for images, labels in batches:
            slopes = lambda: torch.autograd.grad(cross_entropy(net(images), labels), weights)
            ascent = {"here": slopes(), "last": used, "nowhere": None}[climb]
            start = [w.detach().clone() for w in weights]
            with torch.no_grad():
                for w, g in zip(weights, ascent or ()):
                    w += RHO * g / flat(ascent).norm()
            used = slopes()
            with torch.no_grad():
                for w, old, g in zip(weights, start, used):
                    w.copy_(old - RATE * g)
    return flat(weights)


print(*(f"{name} {importlib.metadata.version(name)} " for name in ("pytorch-lightning", "pytorch_optimizer", "torch")))
steps = EPOCHS * len(batches)
sam, last, sgd = plain("here"), plain("last"), plain("nowhere")
weights, calls = by_lightning(SAM)
manual, _ = by_lightning(SAM, manual=True)
print(f"  {steps} steps; training_step ran {calls} times")
near = {"SAM": sam, "SAM along the last step's gradient": last, "SGD": sgd}
for name, other in near.items():
    print(f"  from {name:36} automatic {(weights - other).norm():.6f}, manual {(manual - other).norm():.6f}")
print(f"  SGD from SAM: {(sgd - sam).norm():.6f}")
others = {way.__name__: by_lightning(way)[1] for way in (LookSAM, FriendlySAM, WSAM)}
print("  training_step ran", others)
assert (manual - sam).norm() < 1e-3 and 0.1 < (sgd - sam).norm()
assert calls == steps and others["LookSAM"] == others["FriendlySAM"] == steps and others["WSAM"] == 2 * steps, "the behaviour has changed"
assert (weights - last).norm() < 1e-3 and (weights - sam).norm() > 0.1, "the behaviour has changed"
PY
"$here/venv/bin/pip" install -q --no-compile --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 torch==2.13.0 \
  pytorch-lightning==2.6.6 pytorch_optimizer==4.1.0
"$here/venv/bin/python" "$here/old_slope.py"
