"""State in tensors that cannot be copied, compared and written like others: sparse, expanded, quantized."""

from __future__ import annotations

import queue
import random
from array import array

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from sam_edu.objectives import SAM, LookSAM, SAMOptimizer

pytestmark = pytest.mark.filterwarnings("ignore")  # prototypes announce themselves


def quantized(values):
    return torch.quantize_per_tensor(values, 0.1, 0, torch.qint8)


@torch.inference_mode()
def of_inference():
    return torch.ones(6)


def nested(layout):
    return torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=layout)


ODD = {
    "COO": lambda: torch.eye(16).to_sparse(),
    "CSR": lambda: torch.eye(16).to_sparse_csr(),
    "expanded": lambda: torch.ones(1).expand(6),
    "quantized": lambda: quantized(torch.ones(4)),
    "conjugate": lambda: torch.ones(3, dtype=torch.cfloat).conj(),
    "negative": lambda: torch.ones(3, dtype=torch.cfloat).conj().imag,
    "nested": lambda: nested(torch.strided),
    "jagged": lambda: nested(torch.jagged),
    "masked": lambda: torch.masked.masked_tensor(torch.ones(3), torch.tensor([True, False, True])),
    "mkldnn": lambda: torch.ones(3, 3).to_mkldnn(),
    "of inference": of_inference,
    "on no device": lambda: torch.empty(3, device="meta"),
    "eight bits": lambda: torch.ones(5).to(torch.float8_e4m3fn),
    "empty": lambda: torch.empty(0),
}
X = torch.randn(16, 6, generator=torch.Generator().manual_seed(0))
Y = torch.randint(3, (16,), generator=torch.Generator().manual_seed(1))


class Keeps(nn.Module):
    """A linear model with one buffer, which ``change`` works on in every forward pass."""

    def __init__(self, buffer, change=None, frozen=False):
        super().__init__()
        if frozen:
            self.kept = nn.Parameter(buffer, requires_grad=False)
        else:
            self.register_buffer("kept", buffer)
        torch.manual_seed(0)
        self.line, self.change = nn.Linear(6, 3), [change] if change else []

    def forward(self, x):
        for change in self.change:
            change(self)
        return self.line(x)


def three_steps(model):
    for objective in (SAM(model), LookSAM(model, k=1)):
        for _ in range(3):
            objective.backward(lambda: cross_entropy(model(X), Y))
    optimizer = SAMOptimizer(model.parameters(), torch.optim.SGD, lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = cross_entropy(model(X), Y)
        loss.backward()
        return loss

    optimizer.step(closure)


@pytest.mark.parametrize("kind", ODD)
def test_a_buffer_of_any_kind_is_left_alone(kind):
    model, plain = Keeps(ODD[kind]()), Keeps(torch.zeros(1))
    kept = model.kept
    three_steps(model)
    three_steps(plain)
    assert model.kept is kept and torch.equal(model.line.weight.grad, plain.line.weight.grad)


def test_a_frozen_sparse_weight():
    model = Keeps(torch.eye(16).to_sparse(), frozen=True)
    three_steps(model)
    assert torch.equal(model.kept.to_dense(), torch.eye(16))


def doubled(model):
    model.kept.mul_(2)


def doubled_code(model):
    model.kept.copy_(quantized(model.kept.dequantize() * 2))


def bound_anew(model):
    model.kept = (model.kept * 2).coalesce()


@pytest.mark.parametrize(
    "kind, change, values",
    [
        ("COO", doubled, lambda t: t.to_dense().sum() / 16),
        ("COO", bound_anew, lambda t: t.to_dense().sum() / 16),
        ("CSR", doubled, lambda t: t.to_dense().sum() / 16),
        ("conjugate", doubled, lambda t: t.real.mean()),
        ("nested", doubled, lambda t: t[0].mean()),
        ("jagged", doubled, lambda t: t.values().mean()),
        ("quantized", doubled_code, lambda t: t.dequantize().mean()),
    ],
)
def test_what_a_pass_changes_counts_once(kind, change, values):
    model = Keeps(ODD[kind](), change)
    objective = SAM(model)
    for step in range(1, 4):
        objective.backward(lambda: cross_entropy(model(X), Y))
        assert float(values(model.kept)) == pytest.approx(2.0**step)


# --- state beside the module's own dictionary ------------------------------------------------------------


class Meter:
    def __init__(self):
        self.sums = np.zeros(2)


class Shares(nn.Module):
    """State that all its modules share, in numbers without tensors, and in a queue."""

    meter, calls = Meter(), 0

    def __init__(self):
        super().__init__()
        self.line, self.numbers, self.queue = nn.Linear(6, 3), array("d", [0.0]), queue.Queue()

    def forward(self, x):
        self.meter.sums[0] += 1
        type(self).calls += 1
        self.numbers[0] += 1
        self.numbers.append(0.0)
        self.queue.put(self.numbers[0])
        return self.line(x)


def test_attributes_of_the_class_arrays_and_queues_count_once(monkeypatch):
    monkeypatch.setattr(Shares, "meter", Meter())
    monkeypatch.setattr(Shares, "calls", 0)
    model = Shares()
    objective = SAM(model)
    for _ in range(3):
        objective.backward(lambda: cross_entropy(model(X), Y))
    assert model.meter.sums[0] == Shares.calls == model.numbers[0] == 3
    assert len(model.numbers) == 4 and list(model.queue.queue) == [1, 2, 3]


@pytest.mark.parametrize("scramble", [False, True])
def test_both_passes_draw_the_same_points_of_a_sequence(scramble):
    points, model, drawn = torch.quasirandom.SobolEngine(2, scramble=scramble, seed=0), nn.Linear(6, 3), []

    def loss():
        drawn.append(points.draw(1).tolist())
        return cross_entropy(model(X * (0.5 + drawn[-1][0][0])), Y)

    objective = SAM(model)
    for _ in range(3):
        objective.backward(loss)
    assert drawn[::2] == drawn[1::2] and drawn[0] != drawn[2] != drawn[4]


@pytest.mark.filterwarnings("default")
def test_random_numbers_that_cannot_be_drawn_again_are_said():
    noise, model = random.SystemRandom(), nn.Linear(6, 3)
    with pytest.warns(UserWarning, match="SystemRandom has no state"):
        SAM(model).backward(lambda: noise.random() * cross_entropy(model(X), Y))
