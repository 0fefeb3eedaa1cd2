#!/usr/bin/env bash
# hessian-eigenthings' power iteration with momentum returns the top eigenvalue minus the momentum, and calls it converged.
#
# Seen with hessian-eigenthings 1.0.0a5 (torch 2.13.0, CPU, float64). deflated_power_iteration subtracts momentum * (the vector before)
# from A v and takes the eigenvalue from what is left, in the end v.(A v - momentum v): short by the momentum. So is what its residual uses.
# - diag(3, -2, 1), momentum 0.5: 2.5 and -1.5, both `converged`.
# - Hessian of a small tanh network, digits of scikit-learn 1.9.1, after 20 steps of Adam: exact 2.506; momentum 0, 0.1, 0.5 and 0.9 give
#   2.506, 2.406, 2.006 and 1.606, all `converged`. lanczos() of the same package gives 2.506, and so does v.H v of the vectors returned.
# - After 300 steps: exact 0.505; momentum 0.1 gives 0.405, `converged`. With 0.5 and 0.9 the vector is wrong, too (not `converged`): the
#   vector is divided by its norm in each step, and the one before is not; what is subtracted no longer fits the size of A.
# With both vectors divided alike, as in the paper the package follows (De Sa et al., 2017), momenta of 0, 0.02 and 0.05 give the exact
# value. The docstring says "optional Polyak momentum", whose default is 0; issue 17 of the package recommends it, and none on this was
# found. An older version in its repository has the same lines (read, not run).
# Why it matters here: the top eigenvalue is sharpness. Short by 0.5, it is nearly right at 100 and meaningless at a flat place, and the
# ratio of two networks changes. Leave momentum at 0, use lanczos(), or take v.H v of a vector that has converged.
# Fails if the eigenvalue with momentum is the exact one, or is not called converged.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
cat > "$here/momentum.py" <<'PY'
import importlib.metadata

import torch
from hessian_eigenthings import HessianOperator, LambdaOperator, deflated_power_iteration, lanczos, supervised_loss
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

torch.set_num_threads(1)
found = load_digits()
x = torch.tensor(found.images / 16).flatten(1)[:300]
y = torch.tensor(found.target)[:300]


def trained(steps):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 10)).double()
    chosen = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(steps):
        chosen.zero_grad()
        cross_entropy(net(x), y).backward()
        chosen.step()
    return net


def exact_hessian(net):
    names, sizes = zip(*((name, weights.shape) for name, weights in net.named_parameters()))
    flat = nn.utils.parameters_to_vector(net.parameters()).detach()

    def loss(vector):
        parts = vector.split([size.numel() for size in sizes])
        weights = {name: part.view(size) for name, part, size in zip(names, parts, sizes)}
        return cross_entropy(torch.func.functional_call(net, weights, (x,)), y)

    return torch.autograd.functional.hessian(loss, flat)


def as_in_the_paper(matrix, momentum, steps=100):
    """Both vectors are divided by the norm of the new one; the eigenvalue is v.A v."""
    torch.manual_seed(0)
    before, now = torch.zeros(len(matrix)).double(), torch.randn(len(matrix)).double()
    for _ in range(steps):
        after = matrix @ now - momentum * before
        before, now = now / after.norm(), after / after.norm()
    return (now @ matrix @ now).item()


print("hessian-eigenthings", importlib.metadata.version("hessian-eigenthings"), " torch", torch.__version__)
diagonal = torch.tensor([3.0, -2.0, 1.0], dtype=torch.double)
known = LambdaOperator(lambda v: diagonal * v, size=3, device=diagonal.device, dtype=diagonal.dtype)
two = deflated_power_iteration(known, k=2, momentum=0.5, seed=0)
print(f"  diag(3, -2, 1), momentum 0.5: {[round(one, 3) for one in two.eigenvalues.tolist()]}, converged {two.converged.tolist()}")
seen = {}
for steps in (20, 300):
    net = trained(steps)
    hessian = exact_hessian(net)
    exact = torch.linalg.eigvalsh(hessian).abs().max().item()
    operator = HessianOperator(net, [(x, y)], supervised_loss(cross_entropy))
    peer = lanczos(operator, k=10, seed=0).eigenvalues[0].item()
    paper = [as_in_the_paper(hessian, momentum) for momentum in (0.0, 0.02, 0.05)]
    print(f"  network after {steps} steps: exact {exact:.3f}, lanczos {peer:.3f}, as in the paper", *(f"{one:.3f}" for one in paper))
    assert abs(peer - exact) < 1e-3 and all(abs(one - exact) < 1e-3 for one in paper)
    for momentum in (0.0, 0.1, 0.5, 0.9):
        result = deflated_power_iteration(operator, k=1, momentum=momentum, seed=0)
        value, vector, converged = result.eigenvalues.item(), result.eigenvectors[0], result.converged.item()
        quotient = (vector @ hessian @ vector).item()
        seen[steps, momentum] = exact - value, exact - quotient, converged
        print(f"    momentum {momentum}: {value:.3f}, converged {converged}, v.H v of its vector {quotient:.3f}")

assert (two.eigenvalues - torch.tensor([2.5, -1.5])).abs().max() < 1e-2 and two.converged.all(), "the behaviour has changed"
for steps, momentum in ((20, 0.0), (300, 0.0), (20, 0.1), (20, 0.5), (20, 0.9), (300, 0.1)):
    short, beside, converged = seen[steps, momentum]
    assert converged and abs(short - momentum) < 1e-2 and abs(beside) < 1e-2, "the behaviour has changed"
assert abs(seen[300, 0.5][0]) > 0.1 and abs(seen[300, 0.9][0]) > 0.1, "the behaviour has changed"
PY
"$here/venv/bin/pip" install -q --no-compile --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 torch==2.13.0 \
  hessian-eigenthings==1.0.0a5
"$here/venv/bin/python" "$here/momentum.py"
