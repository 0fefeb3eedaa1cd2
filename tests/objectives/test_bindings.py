"""What a pass binds anew, in a batch or in variables of the closure, the second pass finds as it was."""

from __future__ import annotations

import collections
import copy
import dataclasses
import types

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from sam_edu.objectives import SAM, BatchLoss, SAMOptimizer

X = torch.rand(12, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.arange(12) % 3
RHO = 0.3
hidden = None


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()


def normal(x):
    return (x - 0.5) / 0.3


def by_hand(model, loss):
    """SAM of a loss, a function of the model, on plain copies."""
    first, moved = copy.deepcopy(model), copy.deepcopy(model)
    g = torch.autograd.grad(loss(first), list(first.parameters()))
    size = torch.cat([part.flatten() for part in g]).norm()
    with torch.no_grad():
        for p, part in zip(moved.parameters(), g, strict=True):
            p += RHO * part / size
    return torch.autograd.grad(loss(moved), list(moved.parameters()))


def close(model, expected):
    pairs = zip(model.parameters(), expected, strict=True)
    return all(torch.allclose(p.grad, g, atol=1e-12) for p, g in pairs)


@dataclasses.dataclass
class Batch:
    x: torch.Tensor
    y: torch.Tensor


class Mapped(collections.UserDict):
    pass


def entry(batch):
    batch["x"] = normal(batch["x"])
    return batch["x"], batch["y"]


def taken_out(batch):
    y = batch.pop("y")
    return normal(batch["x"]), y


def put_in(batch):
    if "normal" not in batch:  # a second pass must not take the first one's
        batch["normal"] = normal(batch["x"]) if "seen" not in batch else batch["x"]
        batch["seen"] = torch.ones(1)
    return batch["normal"], batch["y"]


def place(batch):
    batch[0] = normal(batch[0])
    return batch[0], batch[1]


def taken_off(batch):
    return normal(batch.pop(0)), batch[-1]


def attribute(batch):
    batch.x = normal(batch.x)
    return batch.x, batch.y


CHANGES = {
    "entry": (entry, lambda x: {"x": x, "y": Y}),
    "entry of an ordered one": (entry, lambda x: collections.OrderedDict(x=x, y=Y)),
    "entry of a mapping": (entry, lambda x: Mapped(x=x, y=Y)),
    "taken out": (taken_out, lambda x: {"x": x, "y": Y}),
    "put in": (put_in, lambda x: {"x": x, "y": Y}),
    "place of a list": (place, lambda x: [x, Y]),
    "taken off a list": (taken_off, lambda x: [x, Y]),
    "field": (attribute, lambda x: Batch(x, Y)),
    "name": (attribute, lambda x: types.SimpleNamespace(x=x, y=Y)),
}


class Model(nn.Module):
    """Takes the whole batch, and changes it."""

    def __init__(self, change):
        super().__init__()
        self.change, self.net = change, net()

    def forward(self, batch):
        return self.net(self.change(batch)[0])


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize("where", ["closure", "model", "batch loss"])
def test_a_batch_is_changed_once(how, where):
    change, made = CHANGES[how]
    model = Model(change) if where != "closure" else net()
    objective = SAM(model, RHO)
    for step in range(4):
        model.zero_grad()
        x = X + step
        batch, alone = made(x), made(x)
        inner = copy.deepcopy(model.net if where != "closure" else model)
        expected = by_hand(inner, lambda m, x=x: cross_entropy(m(normal(x)), Y))
        if where == "closure":

            def closure(batch=batch):
                inputs, y = change(batch)
                return cross_entropy(model(inputs), y)
        else:
            closure = BatchLoss(model, batch, Y) if where == "batch loss" else lossy(model, batch)
        objective.backward(closure)
        assert close(model, expected)
        change(alone)
        assert repr(batch) == repr(alone)  # as one pass leaves it


def lossy(model, batch):
    return lambda: cross_entropy(model(batch), Y)


def carried(model, x, h):
    """A loss that depends on what was carried over, and what it carries over itself."""
    out = model(x if h is None else x + h)
    return cross_entropy(out, Y), out.detach().mean()


@pytest.mark.parametrize("where", ["variable", "global"])
def test_a_hidden_state_in_a_variable_moves_once(where, monkeypatch):
    monkeypatch.setitem(globals(), "hidden", None)
    model, h, mine = net(), None, None
    objective = SAM(model, RHO)

    def around():
        nonlocal h
        loss, h = carried(model, X, h)
        return loss

    def everywhere():
        global hidden
        loss, hidden = carried(model, X, hidden)
        return loss

    for _ in range(4):
        model.zero_grad()
        expected = by_hand(model, lambda m, h=mine: carried(m, X, h)[0])
        with torch.no_grad():
            mine = carried(model, X, mine)[1]
        objective.backward(around if where == "variable" else everywhere)
        assert close(model, expected)
        assert torch.equal(h if where == "variable" else hidden, mine)


def test_a_global_variable_that_a_pass_binds_for_the_first_time(monkeypatch):
    """It is unbound again for the second pass, and bound as the first has left it in the end."""
    model = net()
    objective = SAM(model, RHO)

    def closure():
        global hidden
        hidden = 1 if "hidden" not in globals() else hidden + 1
        return cross_entropy(model(X), Y) * hidden

    for _ in range(3):
        monkeypatch.delitem(globals(), "hidden", raising=False)
        model.zero_grad()
        objective.backward(closure)
        assert close(model, by_hand(model, lambda m: cross_entropy(m(X), Y)))
        assert hidden == 1


def test_step_with_a_closure():
    model = net()
    optimizer = SAMOptimizer(model.parameters(), torch.optim.SGD, rho=RHO, lr=0.0)
    for _ in range(4):
        batch = {"x": X.clone(), "y": Y}
        expected = by_hand(model, lambda m: cross_entropy(m(normal(X)), Y))

        def closure(batch=batch):
            optimizer.zero_grad()
            loss = cross_entropy(model(normal(batch.pop("x"))), batch["y"])
            loss.backward()
            return loss

        optimizer.step(closure)
        assert close(model, expected) and list(batch) == ["y"]


def test_notes_stay():
    """A list that grows is a log: it has an entry for each pass, as is documented."""
    model, log = net(), [torch.zeros(())]
    objective = SAM(model, RHO)
    for step in range(3):

        def closure():
            loss = cross_entropy(model(X), Y)
            log.append(loss.detach())
            return loss

        objective.backward(closure)
        assert len(log) == 1 + 2 * (step + 1)


def test_nothing_is_looked_for_once_nothing_is_bound(monkeypatch):
    model, seen = net(), []
    objective = SAM(model, RHO)
    for _ in range(2):
        objective.backward(lambda: cross_entropy(model(X), Y))
    monkeypatch.setattr("sam_edu.objectives.inputs.walk", lambda *a: seen.append(a) or iter(()))
    objective.backward(lambda: cross_entropy(model(X), Y))
    assert not seen
