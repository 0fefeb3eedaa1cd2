"""A batch that the forward pass changes in place is changed once, as in any other training."""

from __future__ import annotations

import copy
import functools
import types

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from sam_edu.objectives import ERM, SAM, BatchLoss, EntropySGD, SAMOptimizer
from tests.every_method import without_radius

X = torch.rand(12, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.arange(12) % 3


class Normalises(nn.Module):
    def forward(self, x):
        return x.sub_(0.5).div_(0.3)


class Hidden(nn.Module):
    """Through ``.data``, which torch does not count."""

    def forward(self, x):
        x.data.mul_(2).sub_(1)
        return x


class Erases(nn.Module):
    """From its n-th pass on."""

    def __init__(self, n=0):
        super().__init__()
        self.passes, self.n = 0, n

    def forward(self, x):
        self.passes += 1
        if self.passes > self.n:
            x[:, 2:4] *= -1.5
        return x


FIRST = {
    "normalised": Normalises, "hidden": Hidden, "flipped": Erases,
    "threshold": lambda: nn.Threshold(0.4, -1.0, True), "dropout": lambda: nn.Dropout(0.4, inplace=True),
}  # fmt: skip


def net(first):
    torch.manual_seed(0)
    return nn.Sequential(first(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()


def by_hand(model, x, y, rho):
    """SAM, each pass with a model and a batch of its own; the batch as the first pass has left it."""
    state, start = torch.get_rng_state(), copy.deepcopy(model)
    params, batch = list(start.parameters()), x.clone()
    g = torch.autograd.grad(cross_entropy(start(batch), y), params)
    size = torch.cat([part.flatten() for part in g]).norm()
    moved = copy.deepcopy(model)
    with torch.no_grad():
        for p, part in zip(moved.parameters(), g, strict=True):
            p += rho * part / size
    torch.set_rng_state(state)
    cross_entropy(moved(x.clone()), y).backward()
    torch.set_rng_state(state)
    return [p.grad for p in moved.parameters()], batch


def close(model, expected):
    return all(
        torch.allclose(p.grad, g, atol=1e-12) for p, g in zip(model.parameters(), expected, strict=True)
    )


class Trainer:
    """Holds the batch that its method takes."""

    def __init__(self, model, x):
        self.model, self.batch = model, {"x": x, "y": Y}
        self.batch["itself"] = self.batch

    def loss(self):
        return cross_entropy(self.model(self.batch["x"]), self.batch["y"])


def beside(model, x):
    def outputs():
        return model(x)

    return lambda: cross_entropy(outputs(), Y)


CLOSURES = {
    "method": lambda model, x: Trainer(model, x).loss,
    "function beside": beside,
    "function": lambda model, x: lambda: cross_entropy(model(x), Y),
    "default": lambda model, x: lambda x=x: cross_entropy(model(x), Y),
    "pair": lambda model, x: (lambda batch: lambda: cross_entropy(model(batch[0]), batch[1]))((x, Y)),
    "dictionary": lambda model, x: (lambda batch: lambda: cross_entropy(model(batch["x"]), Y))({"x": x}),
    "partial": lambda model, x: functools.partial(lambda x: cross_entropy(model(x), Y), x),
    "batch": lambda model, x: BatchLoss(model, x, Y),
}


@pytest.mark.parametrize("closure", CLOSURES)
@pytest.mark.parametrize("first", FIRST)
def test_both_passes_see_one_batch_and_it_is_changed_once(first, closure):
    model = net(FIRST[first])
    objective = SAM(model, 0.3)
    for _ in range(4):
        model.zero_grad()
        x = X.clone()
        expected, after = by_hand(model, X, Y, 0.3)
        objective.backward(CLOSURES[closure](model, x))
        assert close(model, expected) and torch.equal(x, after)


@pytest.mark.parametrize("first", FIRST)
def test_step_with_a_closure(first):
    model = net(FIRST[first])
    optimizer = SAMOptimizer(model.parameters(), torch.optim.SGD, rho=0.3, lr=0.0)
    for _ in range(4):
        x = X.clone()
        expected, after = by_hand(model, X, Y, 0.3)

        def closure(x=x):
            optimizer.zero_grad()
            loss = cross_entropy(model(x), Y)
            loss.backward()
            return loss

        optimizer.step(closure)
        assert close(model, expected) and torch.equal(x, after)


AT_ZERO = without_radius() | {"m-SAM": lambda m: SAM(m, 0.0, m=5)}


@pytest.mark.parametrize("name", AT_ZERO)
@pytest.mark.parametrize("first", [Normalises, Erases])
def test_every_member_at_radius_zero_is_plain(name, first):
    model = net(first)
    plain, objective = copy.deepcopy(model), AT_ZERO[name](model)
    ERM(plain).backward(BatchLoss(plain, X.clone(), Y))
    for _ in range(3):
        model.zero_grad()
        objective.backward(BatchLoss(model, X.clone(), Y))
        assert close(model, [p.grad for p in plain.parameters()])


class Own(torch.Tensor):
    """As those of libraries that know pictures from masks."""


def leaf(model, x):
    """Asks for its gradient, and is normalised all the same."""
    x = x.requires_grad_()

    def closure():
        with torch.no_grad():
            x.sub_(0.5).div_(0.3)
        return cross_entropy(model(x), Y)

    return closure


def filled(model, x):
    """Its gradient adds up: that of an attack, by ``backward(inputs=[x])``."""
    x = x.requires_grad_()

    def closure():
        cross_entropy(model(x), Y).backward(inputs=[x])
        return cross_entropy(model(x.detach() + x.grad), Y)

    return closure


def keyword_only(model, x):
    def closure(*, x=x):
        return cross_entropy(model(x.sub_(0.5).div_(0.3)), Y)

    return closure


def in_place(read, made):
    """A closure that normalises what ``made`` has made of the batch."""

    def make(model, x):
        held = made(x)
        return lambda: cross_entropy(model(read(held)), Y)

    return make


def normalised(x):
    return x.sub_(0.5).div_(0.3)


FORMS = {
    "leaf": leaf,
    "keyword only": keyword_only,
    "array": in_place(lambda a: normalised(torch.from_numpy(a)), lambda x: x.numpy()),
    "array in a dictionary": in_place(
        lambda b: normalised(torch.from_numpy(b["x"])), lambda x: {"x": x.numpy()}
    ),
    "kind of its own": in_place(
        lambda t: normalised(t.as_subclass(torch.Tensor)), lambda x: x.as_subclass(Own)
    ),
    "read-only view": in_place(lambda b: normalised(b["x"]), lambda x: types.MappingProxyType({"x": x})),
    "sparse": in_place(lambda t: t.mul_(2).to_dense(), torch.Tensor.to_sparse),
    "conjugate": in_place(lambda z: z.mul_(1 + 2j).real, lambda x: torch.complex(x, 2 * x).conj()),
    "expanded": in_place(lambda row: normalised(row).expand(12, 6), lambda x: x[:1]),
    "view": in_place(lambda whole: normalised(whole[::2]), lambda x: torch.stack([x, x], 1).flatten(0, 1)),
    "half": in_place(lambda t: t.mul_(2).double(), lambda x: x.half()),
    "bytes": in_place(lambda t: t.mul_(2).double(), lambda x: (100 * x).byte()),
    "gradient": filled,
}


@pytest.mark.parametrize("form", FORMS)
def test_batches_of_every_form(form):
    """Against a new batch for each pass, of a model that is moved by hand."""
    model = net(nn.Identity)
    objective = SAM(model, 0.3)
    for step in range(4):
        model.zero_grad()
        first, moved = copy.deepcopy(model), copy.deepcopy(model)
        g = torch.autograd.grad(FORMS[form](first, X + step)(), list(first.parameters()))
        size = torch.cat([part.flatten() for part in g]).norm()
        with torch.no_grad():
            for p, part in zip(moved.parameters(), g, strict=True):
                p += 0.3 * part / size
        FORMS[form](moved, X + step)().backward()
        objective.backward(FORMS[form](model, X + step))
        assert close(model, [p.grad for p in moved.parameters()])


@pytest.mark.parametrize(
    "first", [lambda: nn.ReLU(inplace=True), lambda: nn.Hardtanh(0.0, 1.0, inplace=True)]
)
def test_writing_what_was_there_is_no_change_and_no_cause_for_alarm(first, recwarn):
    """Pixels lie in [0, 1] already."""
    model = net(first)
    objective = SAM(model, 0.3)
    for _ in range(5):
        model.zero_grad()
        expected, _ = by_hand(model, X, Y, 0.3)
        x = X.clone()
        objective.backward(lambda x=x: cross_entropy(model(x), Y))
        assert close(model, expected) and torch.equal(x, X)
    assert not recwarn.list


def test_entropy_sgd_walks_on_one_batch():
    """Twelve samples and twenty steps: some are visited twice."""
    found = []
    for first in (Normalises, nn.Identity):
        model = net(first)
        x = X.clone() if first is Normalises else (X - 0.5) / 0.3
        objective = EntropySGD(model, steps=20)
        for _ in range(3):
            model.zero_grad()
            objective.backward(BatchLoss(model, x.clone(), Y))
        found.append([p.grad for p in model.parameters()])
    assert all(torch.allclose(a, b, atol=1e-10) for a, b in zip(*found, strict=True))


def test_a_change_that_begins_later_is_said_once():
    model = net(lambda: Erases(3))
    objective = SAM(model, 0.3)
    for step in range(6):
        model.zero_grad()
        if step == 3:
            with pytest.warns(RuntimeWarning, match="begun to change its batch in place"):
                objective.backward(BatchLoss(model, X.clone(), Y))
            continue
        expected, _ = by_hand(model, X, Y, 0.3)
        x = X.clone()
        objective.backward(lambda x=x: cross_entropy(model(x), Y))
        assert close(model, expected)


def test_a_batch_that_does_not_change_is_copied_in_two_steps_only(monkeypatch):
    model, copied = net(nn.Identity), []
    objective, clone = SAM(model, 0.3), torch.Tensor.clone
    monkeypatch.setattr(torch.Tensor, "clone", lambda t, **k: (copied.append(t.data_ptr()), clone(t, **k))[1])
    for step in range(4):
        x = X * 1.0
        objective.backward(lambda x=x: cross_entropy(model(x), Y))
        assert (x.data_ptr() in copied) == (step < 2)
        copied.clear()
