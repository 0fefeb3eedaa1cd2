#!/usr/bin/env bash
# Inside one torch.autocast region weights that are moved in place go unseen: SAM becomes SGD, and sharpness becomes 0.
#
# Seen with torch 2.13.0 and, given as the argument of this script, 2.14.1 (CPU, bfloat16 and float16), pytorch_optimizer 4.1.0, an MLP on
# the digits of scikit-learn 1.9.1. autocast keeps the low-precision copy of each weight until the region ends, and does not notice that
# the weight has changed.
# - L(w + e) - L(w) for e = 0.5 sign(w), both losses in one region: exactly 0. With cache_enabled=False, or a region for each loss: 8.8.
# - 100 steps of pytorch_optimizer's SAM, rho = 0.5, with one region around both passes: the weights of SGD, bit for bit. With a region
#   for each pass they lie 2.3 away.
# The first holds with gradients and under torch.no_grad(); in both, nothing is said.
# The documentation speaks of "the weight cache inside autocast" only at `cache_enabled`, without saying that values may be stale.
# Why it matters here: the weights move between two passes in SAM and its family, in AWP, in every sharpness by perturbation, in a swap to
# averaged weights. With one region around a whole evaluation, or a whole step, what is reported is a flat minimum, or that SAM
# brings nothing. A region for each pass, cache_enabled=False and torch.clear_autocast_cache() all help.
# Fails if the second pass sees the moved weights inside one region, or fails to see them without the cache.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
cat > "$here/cache.py" <<'PY'
import contextlib
import importlib.metadata
import warnings

import torch
from pytorch_optimizer import SAM
from sklearn.datasets import load_digits

warnings.simplefilter("error", UserWarning)
found = load_digits()
x = torch.tensor(found.images / 16, dtype=torch.float32).flatten(1)[:1000]
y = torch.tensor(found.target)[:1000]
nothing = contextlib.nullcontext


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))


def loss_of(net):
    return torch.nn.functional.cross_entropy(net(x), y)


def sharpness(dtype, around=nothing, each=nothing, grad=False):
    """L(w + e) - L(w) for e = 0.5 sign(w)."""
    net = network()
    with torch.set_grad_enabled(grad), around():
        with each():
            before = loss_of(net).item()
        with torch.no_grad():
            for p in net.parameters():
                p.add_(0.5 * p.sign())
        with each():
            return loss_of(net).item() - before


def trained(way, around=nothing, each=nothing):
    """All weights after 100 steps."""
    net = network()
    plain = way == "SGD"
    chosen = torch.optim.SGD(net.parameters(), 0.1) if plain else SAM(net.parameters(), torch.optim.SGD, rho=0.5, lr=0.1)

    def closure():
        chosen.zero_grad()
        with each():
            loss = loss_of(net)
        loss.backward()
        return loss

    for _ in range(100):
        with around():
            closure()
            chosen.step(None if plain else closure)
    return torch.cat([p.detach().flatten() for p in net.parameters()])


print("torch", torch.__version__, " pytorch_optimizer", importlib.metadata.version("pytorch_optimizer"))
for dtype in (torch.bfloat16, torch.float16):
    for grad in (False, True):
        region = lambda cache=True: torch.autocast("cpu", dtype, cache_enabled=cache)
        one = sharpness(dtype, around=region, grad=grad)
        two = sharpness(dtype, each=region, grad=grad)
        free = sharpness(dtype, around=lambda: region(False), grad=grad)
        print(f"  sharpness, {dtype}, gradients {grad}: one region {one}, a region for each loss {two:.4f}, no cache {free:.4f}")
        assert two > 1 and free == two
        assert one == 0, "the behaviour has changed"
region = lambda: torch.autocast("cpu", torch.bfloat16)
sgd, each, around = trained("SGD", each=region), trained("SAM", each=region), trained("SAM", around=region)
print(f"  SAM from SGD after 100 steps: a region for each pass {(each - sgd).norm():.3f}, one region {(around - sgd).norm():.3f}")
assert (each - sgd).norm() > 0.5
assert torch.equal(around, sgd), "the behaviour has changed"
PY
"$here/venv/bin/pip" install -q --no-compile --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 \
  "torch==${1:-2.13.0}" pytorch_optimizer==4.1.0
"$here/venv/bin/python" "$here/cache.py"
