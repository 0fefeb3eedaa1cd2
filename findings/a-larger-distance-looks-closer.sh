#!/usr/bin/env bash
# loss-landscapes divides by its `distance`: a larger one looks closer; and every other row of its planes is shifted by a point.
#
# Seen with loss-landscapes 3.0.6, the newest release on PyPI (torch 2.13.0, CPU), softmax regression on the digits of scikit-learn 1.9.1.
# - random_line's `distance` is documented as "maximum distance in parameter space from the start point". With 0.01, 0.1, 1 and 10 the line
#   ends 100, 10, 1 and 0.1 times the norm of the weights away; the default, 0.1, ends at 10 norms. random_plane divides by it as well.
# - Both planes are walked to and fro, with the step taken before the loss: a row runs from 1 to n along the second direction, the next one
#   back from n - 1 to 0. A comment in the source promises [start + i a + j b] for all rows alike.
# - This loss is convex: along a straight line it has one minimum. The planes show one in a row and up to 9 in a column, a comb: 0.48, 0.59,
#   0.45, 0.59, 0.47 where the loss, computed in plain torch, is 0.61, 0.59, 0.59, 0.59, 0.61. To 1e-14 the rows shown are rows of that
#   grid, every other one shifted by a point.
# Nothing is said. Issues 3 and 4 of its repository are on the directions; none on this was found.
# Why it matters here: such pictures are shown as evidence that SAM finds flatter minima. Who zooms in sees a steeper place, two networks
# that were drawn with different distances change places, and the ridges of a plane are the package's. Compute the grid by hand.
# Fails if a larger distance leads further away, or the columns of a convex loss have one minimum.
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
cat > "$here/planes.py" <<'PY'
import copy
import importlib.metadata

import loss_landscapes
import numpy as np
import torch
from loss_landscapes.metrics import Loss
from sklearn.datasets import load_digits
from torch import nn

torch.set_num_threads(1)
found = load_digits()
x = torch.tensor(found.images / 16, dtype=torch.float64).flatten(1)
y = torch.tensor(found.target)
torch.manual_seed(0)
net = nn.Linear(64, 10).double()
chosen = torch.optim.Adam(net.parameters(), 0.05)
for _ in range(300):
    chosen.zero_grad()
    nn.functional.cross_entropy(net(x), y).backward()
    chosen.step()
loss = Loss(nn.functional.cross_entropy, x, y)


def flat(module):
    return nn.utils.parameters_to_vector(module.parameters()).detach()


class Walked:
    """In place of a metric: remembers where the package evaluates."""

    def __init__(self):
        self.places = []

    def __call__(self, wrapped):
        self.places.append(torch.cat([p.detach().flatten() for p in wrapped.get_module_parameters().parameters]))
        return 0.0


def minima(values):
    """Number of places on a line that lie below both neighbours."""
    inner = values[1:-1]
    return int(((inner < values[:-2] - 1e-9) & (inner < values[2:] - 1e-9)).sum())


print(*(f"{name} {importlib.metadata.version(name)} " for name in ("loss-landscapes", "torch")))
start, norm = flat(net), flat(net).norm()
ends, widths = {}, {}
for distance in (0.01, 0.1, 1, 10):
    line, plane = Walked(), Walked()
    torch.manual_seed(1)
    loss_landscapes.random_line(net, line, distance=distance, deepcopy_model=True)
    torch.manual_seed(1)
    loss_landscapes.random_plane(net, plane, distance=distance, deepcopy_model=True)
    torch.manual_seed(1)
    last = loss_landscapes.random_line(net, loss, distance=distance, deepcopy_model=True)[-1]
    ends[distance] = ((line.places[-1] - start).norm() / norm).item()
    widths[distance] = (max((place - start).norm() for place in plane.places) / norm).item()
    print(f"  distance {distance:g}: the line ends {ends[distance]:.2f} weight norms away, loss {last:.2f}; "
          f"the plane reaches {widths[distance]:.3f}")
default = Walked()
loss_landscapes.random_line(net, default, deepcopy_model=True)
print(f"  default of random_line: {((default.places[-1] - start).norm() / norm).item():.2f}")

# A plane of known axes: two networks that lie to both sides of the solution; the solution itself is in the middle of the grid.
steps = 20
origin, one, two = (copy.deepcopy(net) for _ in range(3))
torch.manual_seed(2)
a, b = 0.5 * torch.randn_like(start), torch.randn_like(start)
nn.utils.vector_to_parameters(start - a - b, origin.parameters())
nn.utils.vector_to_parameters(start + a - b, one.parameters())
nn.utils.vector_to_parameters(start - a + b, two.parameters())
shown = loss_landscapes.planar_interpolation(origin, one, two, loss, steps=steps, deepcopy_model=True)
probe = copy.deepcopy(net)


def at(i, j):
    nn.utils.vector_to_parameters(flat(origin) + 2 * a * i / steps + 2 * b * j / steps, probe.parameters())
    with torch.no_grad():
        return nn.functional.cross_entropy(probe(x), y).item()


true = np.array([[at(i, j) for j in range(steps + 1)] for i in range(steps)])
off = {shift: [float(np.abs(shown[i] - true[i, shift : shift + steps]).max()) for i in range(steps)] for shift in (0, 1)}
print(f"  rows 0, 2, ... are j = 1 .. {steps} of the grid, to {max(off[1][::2]):.0e}; rows 1, 3, ... are j = 0 .. {steps - 1}, "
      f"to {max(off[0][1::2]):.0e}")
columns, rows = [minima(column) for column in shown.T], [minima(row) for row in shown]
own = [minima(column) for column in true.T]
middle, side = steps // 2, columns.index(max(columns))
print(f"  minima in a row: {max(rows)} at most; in a column: {max(columns)} at most; of the loss itself: {max(own)} at most")
near = slice(middle - 4, middle + 5)
print(f"  column {side} as shown:", np.round(shown[near, side], 2))
print("  the loss itself:   ", np.round(true[near, side], 2))
torch.manual_seed(3)
drawn = loss_landscapes.random_plane(net, loss, steps=steps, deepcopy_model=True)
print(f"  random_plane at its defaults: {max(minima(row) for row in drawn)} in a row, {max(minima(column) for column in drawn.T)} in a column")
assert max(own) == 1 and max(rows) == 1
assert ends[0.01] > ends[0.1] > ends[1] > ends[10] and abs(ends[0.1] - 10) < 0.01, "the behaviour has changed"
assert widths[0.1] > widths[1] > widths[10], "the behaviour has changed"
assert max(columns) > 5 and max(off[1][::2] + off[0][1::2]) < 1e-9, "the behaviour has changed"
assert max(minima(column) for column in drawn.T) > 5, "the behaviour has changed"
PY
"$here/venv/bin/pip" install -q --no-compile --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 torch==2.13.0 \
  loss-landscapes==3.0.6
"$here/venv/bin/python" "$here/planes.py"
