#!/usr/bin/env bash
# A backward pass marked once_differentiable should refuse a second derivative; in a sum it gives a wrong one instead.
#
# Seen with torch 2.13.0 and, given as the argument of this script, 2.14.1 (CPU): x ** 3 as a Function with such a backward pass, plus x ** 2 of torch's own, at x = 2.
# The second derivative is 6 x + 2 = 14. torch.autograd.grad twice, backward() on the slope, and torch.autograd.functional.hessian
# all give 2, with neither error nor warning. Where the cube is squared, 30 x^4 + 2 = 482, backward() raises the promised error;
# grad and hessian still give 2. Alone the Function raises "element 0 of tensors does not require grad", which names another reason.
# The documentation ("Extending PyTorch", step 3) says: "With this decorator, attempts to perform double backward through your
# function will produce an error."
# Why it matters here: sharpness by the Hessian (its largest eigenvalue, its trace) and gradient penalties differentiate twice; the
# curvature of such a layer is left out where it stands beside an ordinary path, as in a residual block or in a loss with weight decay.
# Fails if an error is raised, or the second derivative is right.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
cat > "$here/twice.py" <<'PY'
import warnings

import torch
from torch.autograd.function import once_differentiable

warnings.simplefilter("error")


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * gradient


def slope(f):
    x = torch.tensor(2.0, dtype=torch.double, requires_grad=True)
    return x, torch.autograd.grad(f(x), x, create_graph=True)[0]


def by_grad(f):
    x, first = slope(f)
    return float(torch.autograd.grad(first, x)[0])


def by_backward(f):
    x, first = slope(f)
    first.backward()
    return float(x.grad)


def by_hessian(f):
    return float(torch.autograd.functional.hessian(f, torch.tensor(2.0, dtype=torch.double)))


def said(way, f):
    try:
        return way(f)
    except RuntimeError as error:
        return f"RuntimeError: {error}"


ways = (by_grad, by_backward, by_hessian)
own = [said(way, lambda x: x**3 + x**2) for way in ways]
added = [said(way, lambda x: Cube.apply(x) + x**2) for way in ways]
squared = [said(way, lambda x: Cube.apply(x) ** 2 + x**2) for way in ways]
alone = said(by_grad, Cube.apply)
print("torch", torch.__version__, " second derivatives at 2 by grad, backward, hessian")
print(f"  x^3 + x^2, torch's own: {own}\n  the cube marked: {added}\n  its square + x^2: {squared}\n  alone: {alone}")
assert own == [14, 14, 14] and "does not require grad" in alone
assert added == [2, 2, 2], "the behaviour has changed"
assert squared[0] == squared[2] == 2 and "once_differentiable" in squared[1], "the behaviour has changed"
PY
"$here/venv/bin/pip" install -q --no-compile --disable-pip-version-check numpy==2.4.6 "torch==${1:-2.13.0}"
"$here/venv/bin/python" "$here/twice.py"
