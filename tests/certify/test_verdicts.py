"""Verdicts: the complete search equals enumeration, nothing enters a proved region, examples are examples."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import nn

from sam_edu import attacks, models
from sam_edu.certify import certify, from_model
from tests.certify.test_bounds import net


def exact_minimum(model: nn.Module, x: torch.Tensor, y: int, eps: float) -> float:
    """The least margin over the l-infinity ball in the box: a linear program for each pattern."""
    network = from_model(model, x.shape)
    layers = [(layer.weight.numpy(), layer.bias.numpy()) for layer in network.layers]
    centre = x.double().numpy().ravel()
    box = np.stack([np.maximum(centre - eps, 0), np.minimum(centre + eps, 1)], 1)
    lowest = np.inf
    for pattern in itertools.product([0.0, 1.0], repeat=sum(network.hidden)):
        weight, bias, done, A, b = np.eye(len(centre)), np.zeros(len(centre)), 0, [], []
        for W, c in layers[:-1]:
            weight, bias = W @ weight, W @ bias + c
            on = np.array(pattern[done : done + len(c)])
            done += len(c)
            A.append((1 - 2 * on)[:, None] * weight)
            b.append((2 * on - 1) * bias)
            weight, bias = on[:, None] * weight, on * bias
        W, c = layers[-1]
        weight, bias = W @ weight, W @ bias + c
        for j in set(range(len(c))) - {y}:
            result = linprog(weight[y] - weight[j], np.vstack(A), np.hstack(b), bounds=box, method="highs")
            if result.status == 0:
                lowest = min(lowest, result.fun + bias[y] - bias[j])
    return lowest


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sizes", [[3, 8, 3], [2, 5, 4, 2]])
def test_the_search_equals_enumeration(sizes, seed):
    """Each logit of the label is moved so that the exact margin is just above or just below zero."""
    model, x = net(sizes, seed), torch.rand(1, sizes[0], generator=torch.Generator().manual_seed(seed))
    y, eps = int(model(x).argmax()), 0.4
    lowest = exact_minimum(model, x[0], y, eps)
    for margin, verdict in ((2e-3, "proved"), (-2e-3, "broken")):
        shifted = net(sizes, seed)
        with torch.no_grad():
            shifted[-1].bias[y] += margin - lowest
        assert certify(shifted, x, torch.tensor([y]), eps, cases=3000).verdicts() == [verdict]


def halves(corners: np.ndarray, height: np.ndarray) -> list[tuple[float, np.ndarray]]:
    """A convex polygon cut along height = 0: (0 or 1, corners of that part), the parts that there are."""
    parts = []
    for on, side in ((0.0, -height), (1.0, height)):
        kept = []
        for i, here in enumerate(corners):
            j = (i + 1) % len(corners)
            kept += [here] if side[i] >= 0 else []
            if side[i] * side[j] < 0:
                kept.append(here + (corners[j] - here) * side[i] / (side[i] - side[j]))
        if len(kept) > 2:
            parts.append((on, np.array(kept)))
    return parts


def minimum_over_polygons(model: nn.Module, x: torch.Tensor, y: int, eps: float) -> tuple[float, int]:
    """The least margin over the square of two pixels, and the number of patterns that occur in it.

    Each unit cuts every polygon on which the network is affine so far; a minimum is at a corner.
    """
    layers = [(k.weight.numpy(), k.bias.numpy()) for k in from_model(model, x.shape).layers]
    low, high = (np.clip(x.double().numpy().ravel() + step, 0, 1) for step in (-eps, eps))
    square = np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
    cells = [(square, np.eye(2), np.zeros(2))]
    for weight, bias in layers[:-1]:
        following = []
        for corners, A, b in cells:
            A, b = weight @ A, weight @ b + bias
            parts = [(corners, np.zeros(len(b)))]
            for unit in range(len(b)):
                parts = [
                    (part, np.where(np.arange(len(b)) == unit, on, pattern))
                    for old, pattern in parts
                    for on, part in halves(old, old @ A[unit] + b[unit])
                ]
            following += [(part, on[:, None] * A, on * b) for part, on in parts]
        cells = following
    weight, bias = layers[-1]
    others = [j for j in range(len(bias)) if j != y]
    lowest = np.inf
    for corners, A, b in cells:
        logits = (corners @ A.T + b) @ weight.T + bias
        lowest = min(lowest, float((logits[:, [y]] - logits[:, others]).min()))
    return lowest, len(cells)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sizes", [[2, 20, 3], [2, 10, 10, 3], [2, 7, 7, 6, 3]])
def test_the_search_equals_enumeration_with_twenty_units(sizes, seed):
    """Decided on the right side of zero, a ten-thousandth away from it."""
    model = net(sizes, seed)
    with torch.no_grad():  # the kink of each unit goes through a point of the square
        for layer in range(1, len(model) - 1, 2):
            below = model[:layer](torch.rand(len(model[layer].bias), 2))
            model[layer].bias.copy_(-(model[layer].weight * below).sum(1))
    x = torch.rand(1, 2, generator=torch.Generator().manual_seed(seed))
    y, eps = int(model(x).argmax()), 0.5
    lowest, patterns = minimum_over_polygons(model, x[0], y, eps)
    assert patterns > 50
    for margin, verdict in ((1e-4, "proved"), (-1e-4, "broken")):
        shifted = copy.deepcopy(model)
        with torch.no_grad():
            shifted[-1].bias[y] += margin - lowest
        assert certify(shifted, x, torch.tensor([y]), eps, cases=5000).verdicts() == [verdict]


@pytest.mark.parametrize("sizes", [[2, 5, 3], [2, 4, 4, 3]])
def test_two_kinds_of_enumeration_agree(sizes):
    model, x = net(sizes, 5), torch.tensor([0.4, 0.7])
    y = int(model(x[None]).argmax())
    assert abs(exact_minimum(model, x, y, 0.4) - minimum_over_polygons(model, x, y, 0.4)[0]) < 1e-7


@pytest.fixture(scope="module")
def trained():
    """Three small networks on 200 digits: untrained, plainly and adversarially trained."""
    from sam_edu import data, training
    from sam_edu.objectives import ERM

    digits = data.load("digits")
    found = []
    for attack, epochs in ((None, 0), (None, 10), (attacks.PGD(0.1, steps=3), 10)):
        model = models.mlp(64, 10, hidden=(24, 24))
        if epochs:
            optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
            some = digits.train_x[:600], digits.train_y[:600]
            training.fit(ERM(model), optimizer, *some, epochs, 64, attack, seed=0)
        found.append(model.eval())
    return found, digits.test_x[:40], digits.test_y[:40]


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_nothing_enters_a_proved_region(trained, norm):
    nets, x, y = trained
    triples = 0
    for model in nets:
        labels = model(x).argmax(1) if model is nets[0] else y
        for eps in (0.01, 0.05, 0.1) if norm == "linf" else (0.1, 0.4):
            found = certify(model, x, labels, eps, norm, cases=60)
            safe = found.proved
            triples += int(safe.sum())
            assert not (found.proved & found.broken).any()
            g = torch.Generator().manual_seed(1)
            for loss in ("ce", "margin"):
                moved = attacks.pgd(model, x, labels, eps, norm, steps=20, loss=loss, restarts=2, generator=g)
                assert (model(moved).argmax(1) == labels)[safe].all()
            for _ in range(20):
                noise = 2 * torch.rand(x.shape, generator=g) - 1
                size = noise.flatten(1).norm(dim=1)[:, None, None, None]
                noise = noise.sign() * eps if norm == "linf" else noise * eps / size
                assert (model((x + noise).clamp(0, 1)).argmax(1) == labels)[safe].all()
    assert triples > 60


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_an_example_is_in_its_ball_and_is_classified_wrongly(trained, norm):
    nets, x, y = trained
    eps = 0.15 if norm == "linf" else 0.8
    found = certify(nets[1], x, y, eps, norm, cases=60)
    assert sorted(found.examples) == found.broken.nonzero().flatten().tolist() and found.broken.sum() > 5
    for i, point in found.examples.items():
        delta = (point.double() - x[i].double()).flatten()
        assert float(delta.abs().max() if norm == "linf" else delta.norm()) <= eps * (1 + 1e-6)
        assert 0 <= point.min() and point.max() <= 1
        assert nets[1](point[None]).argmax() != y[i]


def test_a_larger_budget_only_adds_verdicts(trained):
    nets, x, y = trained
    few, more = (certify(nets[1], x, y, 0.1, cases=cases) for cases in (0, 300))
    assert (few.proved <= more.proved).all() and (few.broken <= more.broken).all()
    assert more.proved.sum() + more.broken.sum() > few.proved.sum() + few.broken.sum()
    low, high = more.bracket
    assert low <= high and more.verdicts().count("proved") == round(low * len(x))


def test_no_time_means_no_search(trained):
    nets, x, y = trained
    found = certify(nets[1], x, y, 0.1, cases=10_000, seconds=0)
    assert found.verdicts().count("undecided") > 0
    assert int(found.cases.max()) < 100


def test_a_margin_below_rounding_is_no_proof():
    """In exact arithmetic both models are right; in float32 nobody knows about the first."""
    for margin, verdict in ((1e-7, "undecided"), (1e-3, "proved")):
        model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
        model[1].weight.data, model[1].bias.data = torch.ones(2, 2), torch.tensor([margin, 0.0])
        x = torch.tensor([[0.3, 0.7]])
        assert certify(model, x, torch.tensor([0]), 0.0, cases=0).verdicts() == [verdict]


def test_a_linear_model_is_decided_without_a_search():
    model, x = (
        nn.Sequential(nn.Flatten(), nn.Linear(2, 2)),
        torch.tensor([[0.9, 0.1], [0.6, 0.5], [0.1, 0.9]]),
    )
    model[1].weight.data, model[1].bias.data = torch.eye(2), torch.zeros(2)
    found = certify(model, x, torch.tensor([0, 0, 0]), 0.2)
    assert found.verdicts() == ["proved", "broken", "broken"] and found.cases.sum() == 0
    assert certify(model, x[:2], torch.tensor([0, 0]), 0.04).verdicts() == ["proved", "proved"]
    assert certify(model, x[:0], torch.tensor([], dtype=torch.long), 0.1).verdicts() == []


def test_bad_input_is_refused(trained):
    nets, x, y = trained
    for settings in ({"eps": -1}, {"eps": 0.1, "norm": "l1"}, {"eps": 0.1, "cases": -1}, {"eps": np.nan}):
        with pytest.raises((ValueError, TypeError)):
            certify(nets[1], x, y, **settings)
    with pytest.raises(ValueError, match="must lie in"):
        certify(nets[1], 3 * x, y, 0.1)


def test_the_model_is_given_back_as_it_was(trained):
    model, state = models.build("cnn", (1, 8, 8), 10, width=2, seed=0), torch.random.get_rng_state()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    certify(model.train(), trained[1][:4], trained[2][:4], 0.02, cases=10)
    assert model.training and all(m.training for m in model.modules())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state) and all(
        p.grad is None for p in model.parameters()
    )
