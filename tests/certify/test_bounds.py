"""Bounds: exact where the network is linear, equal to a linear program's, never above what is reached."""

from __future__ import annotations

import copy
import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import nn

from sam_edu import models
from sam_edu.certify import Region, crown, from_model, interval, lines
from sam_edu.certify.network import Network
from sam_edu.certify.relaxation import both_ways, differences, lower
from sam_edu.certify.rounding import UNIT, slack
from sam_edu.certify.slopes import ascend


def net(sizes: list[int], seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers: list[nn.Module] = [nn.Flatten()]
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).eval()


def inside(region: Region, count: int, seed: int = 0) -> torch.Tensor:
    """Random points of the region of the first image, half of them on its rim."""
    g = torch.Generator().manual_seed(seed)
    d = region.centre.shape[1]
    if region.norm == "linf":
        t = torch.rand(count, d, generator=g, dtype=torch.double)
        t[::2] = t[::2].round()
        return region.low[0] + t * (region.high[0] - region.low[0])
    step = torch.randn(count, d, generator=g, dtype=torch.double)
    step *= region.eps / step.norm(dim=1, keepdim=True)
    step[::2] *= torch.rand(len(step[::2]), 1, generator=g, dtype=torch.double)
    return (region.centre[0] + step).clamp(region.low[0], region.high[0])


@pytest.mark.parametrize("eps", [0.03, 0.2])
def test_linear_models_are_exact_in_linf(eps):
    network, x = from_model(net([6, 4]), (6,)), torch.rand(5, 6, dtype=torch.double)
    region, layer = Region.around(x, eps), network.layers[0]
    for bounds in (interval(network, region), crown(network, region)):
        for i in range(5):
            box = list(zip(region.low[i].tolist(), region.high[i].tolist(), strict=True))
            for j in range(4):
                for end, sign in ((0, 1), (1, -1)):
                    best = sum(
                        min(sign * w * low, sign * w * high)
                        for w, (low, high) in zip(layer.weight[j].tolist(), box, strict=True)
                    )
                    exact = sign * best + float(layer.bias[j])
                    assert abs(float(bounds[0][end][i, j]) - exact) < 1e-9


@pytest.mark.parametrize("eps", [0.1, 0.5, 3.0])
def test_linear_models_are_exact_in_l2(eps):
    """Against a solver of its own kind: the multiplier of the ball found by SciPy's root finder."""
    from scipy.optimize import brentq

    network, x = from_model(net([6, 4], seed=1), (6,)), torch.rand(5, 6, dtype=torch.double)
    region, layer = Region.around(x, eps, "l2"), network.layers[0]
    (low, high), weights = crown(network, region)[0], layer.weight.numpy()
    for i in range(5):
        down, up = -x[i].numpy(), 1 - x[i].numpy()
        for j in range(4):

            def at(scale, a):
                return np.clip(-a * scale, down, up)  # noqa: B023

            for sign, got in ((1, low[i, j]), (-1, -high[i, j])):
                a = sign * weights[j]
                corner = np.where(a > 0, down, up)
                if np.linalg.norm(corner) <= eps:
                    best = corner
                else:
                    scale = brentq(lambda s: np.linalg.norm(at(s, a)) - eps, 0, 1e6, xtol=1e-15)  # noqa: B023
                    best = at(scale, a)
                exact = a @ (x[i].numpy() + best) + sign * float(layer.bias[j])
                assert abs(float(got) - exact) < 1e-9


def program(network, k, row, bounds, region, slopes=None):
    """min row @ z_k by a linear program over all layers, each ReLU between its two lines (one image)."""
    sizes = [region.centre.shape[1], *(len(layer.bias) for layer in network.layers[:k])]
    starts = np.cumsum([0, *sizes])
    total, A, b = starts[-1], [], []
    ends = [*zip(region.low[0].tolist(), region.high[0].tolist(), strict=True)]
    ends += [(None, None)] * (total - sizes[0])
    for j in range(k):
        layer, (low, high) = network.layers[j], (bounds[j][0][0], bounds[j][1][0])
        both = lines(low[None], high[None])
        below, above, lift = (t[0, 0].numpy() for t in (both.below, both.above, both.lift))
        if slopes is not None:
            below = slopes[j]
        weight, bias = layer.weight.numpy(), layer.bias.numpy()
        for i in range(len(bias)):
            under, over = np.zeros(total), np.zeros(total)
            here, before = starts[j + 1] + i, slice(starts[j], starts[j + 1])
            under[before], under[here] = below[i] * weight[i], -1  # alpha z <= h
            over[before], over[here] = -above[i] * weight[i], 1  # h <= s z + lift
            A += [under, over]
            b += [-below[i] * bias[i], above[i] * bias[i] + lift[i]]
    cost, last = np.zeros(total), network.layers[k]
    cost[starts[k] :] = row @ last.weight.numpy()
    A, b = (np.array(A), np.array(b)) if A else (None, None)
    result = linprog(cost, A, b, bounds=ends, method="highs")
    assert result.status == 0
    return result.fun + row @ last.bias.numpy()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("eps", [0.05, 0.2])
def test_crown_equals_a_linear_program_per_unit(seed, eps):
    network, x = from_model(net([8, 12, 10, 3], seed), (8,)), torch.rand(1, 8, dtype=torch.double)
    region = Region.around(x, eps)
    bounds = interval(network, region)[:1]
    for k in (1, 2):
        around = [lines(*pair) for pair in bounds]
        low, negated = lower(network, both_ways(network, k), around, region)[0].chunk(2, dim=1)
        for j in range(len(network.layers[k].bias)):
            row = np.eye(len(network.layers[k].bias))[j]
            assert abs(program(network, k, row, bounds, region) - float(low[0, j])) < 1e-5
            assert abs(program(network, k, -row, bounds, region) - float(negated[0, j])) < 1e-5
        bounds.append((low, -negated))


@pytest.mark.parametrize("seed", range(3))
def test_intervals_equal_a_linear_program_per_unit(seed):
    network, x = from_model(net([8, 12, 10, 3], seed), (8,)), torch.rand(1, 8, dtype=torch.double)
    bounds = interval(network, Region.around(x, 0.1))
    for k in (1, 2):
        low, high = (torch.relu(end[0]) for end in bounds[k - 1])
        box, layer = np.stack([low, high], 1), network.layers[k]
        for j, (weight, bias) in enumerate(zip(layer.weight.numpy(), layer.bias.tolist(), strict=True)):
            assert abs(linprog(weight, bounds=box).fun + bias - float(bounds[k][0][0, j])) < 1e-5
            assert abs(-linprog(-weight, bounds=box).fun + bias - float(bounds[k][1][0, j])) < 1e-5


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("seed", range(8))
def test_no_point_of_the_region_is_outside_of_the_bounds(norm, seed):
    network, x = from_model(net([6, 20, 20, 4], seed), (6,)), torch.rand(1, 6)
    region = Region.around(x, [0.02, 0.1, 0.4, 1.0][seed % 4], norm)
    points = inside(region, 4000, seed)
    for bounds in (interval(network, region), crown(network, region)):
        h = points
        for layer, (low, high) in zip(network.layers, bounds, strict=True):
            z = h @ layer.weight.T + layer.bias
            assert (z >= low - 1e-12).all() and (z <= high + 1e-12).all()
            h = torch.relu(z)


def test_optimised_slopes_are_better_and_still_below():
    network, x = from_model(net([6, 20, 20, 4]), (6,)), torch.rand(1, 6)
    region = Region.around(x, 0.3)
    bounds, rows = crown(network, region), torch.eye(4, dtype=torch.double)[None]
    plain, _ = lower(network, rows, [lines(*pair) for pair in bounds[:-1]], region)
    best, slopes = ascend(network, rows, bounds[:-1], region, steps=30)
    reached = network(inside(region, 20_000)).amin(0)
    assert (best >= plain - 1e-12).all() and (best > plain + 1e-3).any()
    assert (best[0] <= reached).all()
    assert all(((s >= 0) & (s <= 1)).all() for s in slopes)


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_the_rounding_bound_holds_for_float32(scale):
    """Also where large numbers cancel, so that errors are large; bfloat16 is too coarse for it."""
    model, x = net([64, 128, 128, 10]), torch.rand(200, 64)
    with torch.no_grad():
        model[1].weight *= scale
        model[1].bias -= model[1](x).mean(0)
        network = from_model(model, (64,))
        bounds = crown(network, Region.around(x, 0.0, clip=None))
        logits, pairs = (
            torch.eye(10, dtype=torch.double).expand(200, 10, 10),
            differences(torch.arange(200) % 10, 10)[0],
        )
        exact = network(x.double())
        for rows in (logits, pairs):
            allowed = slack(network, bounds, x.double(), rows)
            moved = (rows @ (model(x).double() - exact)[..., None]).squeeze(-1).abs()
            assert (moved <= allowed).all()
            coarse = copy.deepcopy(model).bfloat16()(x.bfloat16()).double()
            assert ((rows @ (coarse - exact)[..., None]).squeeze(-1).abs().amax(1) > allowed.amax(1)).all()


@pytest.mark.parametrize("eps", [0.0, 0.02, 0.2])
@pytest.mark.parametrize("widths", [[6, 8, 8, 3], [6, 10, 3], [6, 7, 7, 7, 4]])
def test_no_error_of_the_layers_moves_a_difference_by_more(widths, eps):
    """Each layer moved by what it may be off, with the signs that hurt most, at points where ReLUs switch."""
    network, x = from_model(net(widths, 3), (widths[0],)), torch.rand(40, widths[0])
    layers = [
        dataclasses.replace(a, terms=2**18) for a in network.layers
    ]  # errors large enough to switch some
    network = Network(tuple(layers))
    region = Region.around(x, eps)
    rows = differences(torch.arange(40) % widths[-1], widths[-1])[0]
    highest = torch.maximum(region.low.abs(), region.high.abs())
    allowed = slack(network, crown(network, region), highest, rows)

    def moved(points: torch.Tensor, signs: list[torch.Tensor]) -> torch.Tensor:
        value = points
        for k, (layer, sign) in enumerate(zip(layers, signs, strict=True)):
            gamma = layer.terms * UNIT / (1 - layer.terms * UNIT)
            value = value if k == 0 else torch.relu(value)
            own = gamma * (value.detach().abs() @ layer.size.T + layer.offset)
            value = value @ layer.weight.T + layer.bias + sign * own
        return value

    worst, switched = torch.zeros_like(allowed), 0
    for m in range(rows.shape[1]):
        for _ in range(20):
            points = region.low + torch.rand_like(region.low) * (region.high - region.low)
            signs = [torch.randint(-1, 2, (40, w)).double() for w in widths[1:]]
            for _ in range(3):
                leaves = [s.clone().requires_grad_() for s in signs]
                away = (rows[:, m] * (moved(points, leaves) - network(points))).sum(1)
                worst[:, m] = torch.maximum(worst[:, m], away.detach().abs())
                signs = [g.sign() for g in torch.autograd.grad(away.sum(), leaves)]
            first = points @ layers[0].weight.T + layers[0].bias
            off = UNIT * layers[0].terms * (points @ layers[0].size.T + layers[0].offset)
            switched += int((first.abs() < off).sum())
    assert switched > 0 and (worst <= allowed).all()
    assert (worst / allowed).amax() > 0.5  # and it is no idle bound
    crude = slack(network, [(low - 1e9, high) for low, high in crown(network, region)], highest, rows)
    assert (allowed <= crude * (1 + 1e-12)).all()


@pytest.mark.parametrize("name", ["mlp", "cnn", "cnn-nobn"])
def test_the_networks_of_the_book_are_read_exactly(name):
    model = models.build(name, (1, 8, 8), 10, width=4, seed=0)
    x = torch.rand(30, 1, 8, 8)
    with torch.no_grad():
        model.train()(x)  # BatchNorm gets statistics
        model = models.Normalized(model, [0.3], [0.4]).eval()
        network = from_model(model, (1, 8, 8))
        assert torch.allclose(model.double()(x.double()), network(x.flatten(1).double()), atol=1e-12)


def test_what_cannot_be_read_is_refused_with_a_reason():
    with pytest.raises(ValueError, match="training mode"):
        from_model(models.build("cnn", (1, 8, 8), 10).train(), (1, 8, 8))
    with pytest.raises(ValueError, match="Tanh"):
        from_model(nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.Tanh()), (4,))
    with pytest.raises(ValueError, match="bfloat16"):
        from_model(models.build("mlp", (1, 8, 8), 10).bfloat16(), (1, 8, 8))
    with pytest.raises(ValueError, match="too large"):
        from_model(models.build("cnn-nobn", (1, 28, 28), 10), (1, 28, 28))
    with pytest.raises(ValueError, match="PreActResNet"):
        from_model(models.build("preact-resnet", (1, 8, 8), 10, width=2).eval(), (1, 8, 8))
