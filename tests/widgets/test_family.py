"""The family's figure: JavaScript against Python, Python against the objectives themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sam_edu.methods import drawn
from sam_edu.widgets import family
from tests.browser import formulas_tab


class TwoTensors(nn.Module):
    """Two weights, each a tensor of its own: (1, w2)."""

    def __init__(self, w2: float) -> None:
        super().__init__()
        shape = (1, 1)  # matrices called weights: what AWP and ASAM scale
        self.weight_a = nn.Parameter(torch.full(shape, 1.0, dtype=torch.float64))
        self.weight_b = nn.Parameter(torch.full(shape, w2, dtype=torch.float64))


def states(n: int) -> list[tuple[float, float, float]]:
    rng = np.random.default_rng(0)
    drawn = zip(rng.uniform(0.05, 0.6, n), rng.uniform(0.5, 89.5, n), rng.uniform(0, 1.5, n), strict=True)
    return [(0.05, 0.0, 0.0), (0.6, 90.0, 1.5), *((float(r), float(t), float(w)) for r, t, w in drawn)]


def climbed(member: str, rho: float, turn: float, w2: float) -> list[float]:
    """The perturbation that the objective makes, read off the weights inside its second pass."""
    model = TwoTensors(w2)
    eta = {"ASAM": {"eta": family.ETA_ASAM}, "FisherSAM": {"eta": family.ETA_FISHER}}
    make = {method.name: method.make for method in drawn()}[member]
    g = torch.tensor([np.cos(np.radians(turn)), np.sin(np.radians(turn))])
    seen: list[list[float]] = []

    def closure() -> torch.Tensor:
        seen.append([model.weight_a.item(), model.weight_b.item()])
        return (g[0] * model.weight_a + g[1] * model.weight_b).sum()

    objective = make(model, rho, **eta.get(member, {}))
    if member == "FriendlySAM":  # it has seen other batches
        means = [torch.full_like(model.weight_a, family.MEAN), torch.zeros_like(model.weight_b)]
        objective.load_state_dict({"m": means})
    objective.backward(closure)
    return [after - before for after, before in zip(seen[1], seen[0], strict=True)]


@pytest.mark.parametrize("member", [method.name for method in drawn() if not method.sees_batch])
def test_python_draws_what_the_objectives_do(member):
    for rho, turn, w2 in states(40):
        expected = climbed(member, rho, turn, w2)
        assert family.step(member, rho, turn, w2) == pytest.approx(expected, abs=1e-9)


def test_sparse_sam_keeps_the_direction_and_loses_length():
    for rho, turn, w2 in states(40):
        e = np.array(family.step("SparseSAM", rho, turn, w2))
        g = np.array([np.cos(np.radians(turn)), np.sin(np.radians(turn))])
        assert np.count_nonzero(np.abs(e) > 1e-12) <= 1 and np.abs(e).max() == pytest.approx(
            rho * np.abs(g).max()
        )


def test_every_step_is_the_best_of_its_set():
    """No point of the set raises the loss more (not claimed for SparseSAM, which shortens its e)."""
    angles = np.linspace(0, 2 * np.pi, 721)
    for member in set(family.MEMBERS) - {"SparseSAM", "FriendlySAM"}:
        for rho, turn, w2 in states(20):
            (a, b), e = family.axes(member, rho, turn, w2), family.step(member, rho, turn, w2)
            g = np.array([np.cos(np.radians(turn)), np.sin(np.radians(turn))])
            corners = [(a, b), (a, -b), (-a, b), (-a, -b)]
            ring = corners if member == "AWP" else np.stack([a * np.cos(angles), b * np.sin(angles)], 1)
            assert g @ e >= (np.array(ring) @ g).max() - 1e-9


@pytest.fixture(scope="module")
def formula(browser: Any) -> Iterator[Any]:
    tab = formulas_tab(browser, "family_math.js")
    yield lambda name, all_: tab.evaluate(
        f"(all) => all.map((v) => window.math.{name}(...v))", [list(v) for v in all_]
    )
    tab.close()


@pytest.mark.parametrize("name, python", [("familyStep", family.step), ("familyAxes", family.axes)])
def test_javascript_is_python(formula, name, python):
    arguments = [(member, *state) for member in family.MEMBERS for state in states(40)]
    assert len(arguments) >= 200
    assert np.allclose(formula(name, arguments), [python(*a) for a in arguments], atol=1e-12)
