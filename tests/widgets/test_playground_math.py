"""The playground trains as sam_edu does: every method, step for step, in float64."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sam_edu import attacks, data, models, training
from sam_edu._balls import Ball
from sam_edu.objectives import ASAM, ERM, SAM
from tests.browser import formulas_tab

STEPS, BATCH, SEED = 50, 64, 3
SETTINGS: dict[str, Any] = {
    "hidden": [128, 128], "batch": BATCH, "seed": SEED, "rate": 0.05, "momentum": 0.9, "decay": 5e-4,
    "rho": 0.2, "eps": 0.1, "steps": 3, "size": 0.05, "box": [0, 1],
}  # fmt: skip
METHODS = {"sgd": 0.0, "sam": 0.2, "asam": 1.0, "at": 0.0, "both": 0.2}

CHECKED = (1, 2, 5, 10, 25, 50)  # steps after which all weights are compared

# 50 steps of one method in float64: losses, batches; as bytes some of the weights and the random starts.
TRAIN = """({ x, y, settings, steps, checked }) => {
  const m = window.math, X = Float64Array.from(x), Y = Int32Array.from(y);
  const run = new m.Run({ features: 64, classes: 10, trainX: X, trainY: Y }, settings, Float64Array);
  const noises = [], weights = [run.net.w.slice()], losses = [], batches = [];
  let order = [];
  for (let t = 1; t <= steps; t++) {
    if (order.length < settings.batch) order = [...m.shuffled(y.length, run.order)];
    const chosen = Int32Array.from(order.splice(0, settings.batch));
    losses.push(run.step(chosen, X, Y, 64));
    batches.push([...chosen]);
    if (checked.includes(t)) weights.push(run.net.w.slice());
    if (m.attacks(settings.method)) noises.push(run.noise.slice());
  }
  const bytes = (arrays) => {
    let text = "";
    for (const a of arrays) for (const b of new Uint8Array(a.buffer)) text += String.fromCharCode(b);
    return btoa(text);
  };
  return { losses, batches, weights: bytes(weights), noises: bytes(noises) }; }"""


def rows(text: str, width: int) -> np.ndarray:
    """Numbers that the page has sent as bytes."""
    return np.frombuffer(base64.b64decode(text)).reshape(-1, width)


@pytest.fixture(scope="module")
def tab(browser: Any) -> Iterator[Any]:
    opened = formulas_tab(browser, "playground_math.js")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    loaded = data.load("digits")
    return loaded.train_x[:640].double(), loaded.train_y[:640]


def network_size() -> int:
    return sum(p.numel() for p in models.mlp(64, 10).parameters())


def network(weights: Any) -> nn.Sequential:
    model = models.mlp(64, 10).double()
    nn.utils.vector_to_parameters(torch.as_tensor(np.array(weights)), model.parameters())
    return model


def flat(model: nn.Module) -> np.ndarray:
    return nn.utils.parameters_to_vector(model.parameters()).detach().numpy().copy()


def relative(found: Any, expected: Any) -> float:
    found, expected = np.asarray(found), np.asarray(expected)
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("method", METHODS)
def test_fifty_steps_are_those_of_sam_edu(
    tab: Any, digits: tuple[Tensor, Tensor], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = digits
    settings = SETTINGS | {"method": method, "rho": METHODS[method]}
    page = tab.evaluate(
        TRAIN, {"x": x.flatten().tolist(), "y": y.tolist(), "settings": settings, "steps": STEPS,
              "checked": CHECKED},
    )  # fmt: skip
    start, *after = rows(page["weights"], network_size())
    starts, checked = iter(rows(page["noises"], BATCH * 64)), dict(zip(CHECKED, after, strict=True))

    def random_point(ball: Ball, _: torch.Generator) -> Tensor:  # the page's start in place of torch's
        u = torch.tensor(next(starts)).view_as(ball.centre)
        return (ball.centre + (2 * u - 1) * ball.eps).clamp_(ball.low, ball.high)

    monkeypatch.setattr(Ball, "random_point", random_point)
    model = network(start)
    objective = {"sam": SAM, "both": SAM, "asam": ASAM}.get(method)
    objective = objective(model, METHODS[method]) if objective else ERM(model)
    attack = attacks.PGD(0.1, steps=3, step_size=0.05) if method in ("at", "both") else None
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    losses, worst = [], 0.0
    for step, chosen in enumerate(page["batches"], 1):
        loss, _ = training.step(objective, optimizer, x[chosen], y[chosen], attack)
        losses.append(float(loss))
        if step in checked:
            worst = max(worst, relative(checked[step], flat(model)))
    print(f"{method}: weights {worst:.1e}, losses {relative(page['losses'], losses):.1e}")
    assert len(losses) == STEPS and losses[-1] < 0.95 * losses[0]
    assert worst <= 1e-9 and relative(page["losses"], losses) <= 1e-9
    assert next(starts, None) is None and STEPS in checked


def test_attack_accuracy_is_that_of_sam_edu(tab: Any, digits: tuple[Tensor, Tensor]) -> None:
    """Clean and robust accuracy of a trained network, image by image; and eps = 0 changes nothing."""
    x, y = digits
    settings = SETTINGS | {"method": "sgd"}
    start = {"x": x.flatten().tolist(), "y": y.tolist(), "settings": settings, "steps": STEPS,
             "checked": [STEPS]}  # fmt: skip
    model = network(rows(tab.evaluate(TRAIN, start)["weights"], network_size())[-1])
    fooled = tab.evaluate(
        """({ x, y, w, attack }) => {
          const m = window.math, net = new m.Network([64, 128, 128, 10], Float64Array);
          const X = Float64Array.from(x), out = [];
          net.w.set(w);
          for (const eps of [0, 0.05, 0.1]) {
            const fell = new Array(y.length).fill(0);
            const how = { ...attack, eps, size: eps / 4 };
            const part = m.accuracies(net, X, y, how, 0, y.length, fell);
            out.push({ ...part, fell });
          }
          return out; }""",
        {"x": start["x"], "y": start["y"], "w": flat(model).tolist(), "attack": {"steps": 10, "box": [0, 1]}},
    )
    for found, eps in zip(fooled, (0.0, 0.05, 0.1), strict=True):
        moved = attacks.pgd(model, x, y, eps, steps=10, random_start=False, stop_when_fooled=True)
        with torch.no_grad():
            fell = (model(moved).argmax(1) != y).numpy()
            clean = float((model(x).argmax(1) == y).double().mean())
        np.testing.assert_array_equal(np.array(found["fell"], bool), fell)
        assert found["clean"] == clean and found["robust"] == pytest.approx(1 - fell.mean())
    assert fooled[0]["robust"] == fooled[0]["clean"] > fooled[1]["robust"] > fooled[2]["robust"] > 0


def test_loss_along_the_climb_is_sams(tab: Any, digits: tuple[Tensor, Tensor]) -> None:
    x, y = digits
    model = models.mlp(64, 10).double()
    lengths = [0, 0.1, 0.5, 2]
    found, kept = tab.evaluate(
        """({ x, y, w, lengths }) => {
          const m = window.math, net = new m.Network([64, 128, 128, 10], Float64Array);
          net.w.set(w);
          const losses = m.alongClimb(net, Float64Array.from(x), Int32Array.from(y), lengths);
          return [losses, w.every((v, i) => v === net.w[i])]; }""",
        {"x": x.flatten().tolist(), "y": y.tolist(), "w": flat(model).tolist(), "lengths": lengths},
    )
    loss = torch.nn.functional.cross_entropy(model(x), y)
    gradient = torch.autograd.grad(loss, list(model.parameters()))
    weights = [p.detach().clone() for p in model.parameters()]
    expected = []
    for rho in lengths:
        with torch.no_grad():
            for p, w, e in zip(
                model.parameters(), weights, SAM(model, rho).direction(weights, gradient), strict=True
            ):
                p.copy_(w + e)
            expected.append(float(torch.nn.functional.cross_entropy(model(x), y)))
    assert kept and relative(found, expected) < 1e-12
    assert found == sorted(found)


def mulberry32(seed: int, n: int) -> list[float]:
    """The page's generator, written down a second time."""
    state, out = seed & 0xFFFFFFFF, []
    for _ in range(n):
        state = (state + 0x6D2B79F5) & 0xFFFFFFFF
        t = ((state ^ (state >> 15)) * (state | 1)) & 0xFFFFFFFF
        t = ((t + (((t ^ (t >> 7)) * (t | 61)) & 0xFFFFFFFF)) & 0xFFFFFFFF) ^ t
        out.append((t ^ (t >> 14)) / 2**32)
    return out


def test_random_numbers_are_seeded_as_documented(tab: Any) -> None:
    for seed in (0, 1, 7, 2**32 - 1):
        found = tab.evaluate(
            "(s) => { const r = window.math.random(s); return Array.from({length: 300}, r); }", seed
        )
        assert found == mulberry32(seed, 300)
    first = [
        tab.evaluate(
            "([s, p]) => { const r = window.math.stream(s, p); return [r(), r()]; }", [seed, purpose]
        )
        for seed in range(10)
        for purpose in range(4)
    ]
    assert len(set(map(tuple, first))) == 40  # no two streams are alike
    order = tab.evaluate("window.math.shuffled(1297, window.math.stream(0, 2)).join()").split(",")
    assert sorted(map(int, order)) == list(range(1297)) and order[:3] != ["0", "1", "2"]


@pytest.mark.parametrize("sizes", [(1, 1, 1), (4, 2, 3), (5, 7, 9), (17, 10, 128), (64, 3, 20)])
def test_products_of_every_shape(browser: Any, sizes: tuple[int, int, int]) -> None:
    rows, columns, inner = sizes
    rng, kernel = np.random.default_rng(sum(sizes)), formulas_tab(browser, "playground_kernel.js")
    a, b, bias = rng.normal(size=(rows, inner)), rng.normal(size=(columns, inner)), rng.normal(size=columns)
    for relu in (False, True):
        source = json.dumps([a.ravel().tolist(), b.ravel().tolist(), bias.tolist(), relu])
        found = kernel.evaluate(
            f"""() => {{ const [a, b, bias, relu] = {source}, c = new Float64Array({rows * columns});
            window.math.multiply(a, b, c, {rows}, {columns}, {inner}, bias, relu); return [...c]; }}"""
        )
        expected = a @ b.T + bias
        expected = np.maximum(expected, 0) if relu else expected
        np.testing.assert_allclose(np.reshape(found, expected.shape), expected, atol=1e-13)
    kernel.close()
