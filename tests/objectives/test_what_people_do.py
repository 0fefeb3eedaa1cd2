"""Training loops of other people that are not faults: what is right about SAM in them stays right."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from sam_edu.objectives import ERM, SAM, BatchLoss, SAMOptimizer
from tests.every_method import makers, perturbing
from tests.objectives.nets import batch, grads, net, same, weights


def by_hand(model, loss, rho):
    """SAM written out: the gradient at w, the move along it, the gradient there."""
    params = [p for p in model.parameters() if p.requires_grad]
    g = torch.autograd.grad(loss(), params)
    norm = torch.sqrt(sum((part**2).sum() for part in g))
    with torch.no_grad():
        for p, part in zip(params, g, strict=True):
            p += rho * part / norm
    there = torch.autograd.grad(loss(), params)
    with torch.no_grad():
        for p, part in zip(params, g, strict=True):
            p -= rho * part / norm
    return there


def as_by_hand(model, loss, rho=0.3):
    expected = by_hand(model, loss, rho)
    SAM(model, rho).backward(loss)
    found = [p.grad for p in model.parameters() if p.requires_grad]
    return all(torch.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in zip(found, expected, strict=True))


def test_features_made_outside_of_the_closure():
    """One graph serves one backward pass: torch says so for the whole model, and the head alone is right."""
    body, head, (x, y) = nn.Linear(6, 8).double(), nn.Linear(8, 3).double(), batch()
    features = body(x).tanh()
    both = nn.ModuleList([body, head])
    before = weights(both)
    with pytest.raises(RuntimeError, match="second time"):
        SAM(both, 0.3).backward(lambda: cross_entropy(head(features), y))
    assert same(weights(both), before)
    head.zero_grad()  # the failing pass has filled some
    features = body(x).tanh().detach()
    assert as_by_hand(head, lambda: cross_entropy(head(features), y))


class OnNorms(SAM):
    """SAM-ON: only the normalisation layers are perturbed; a member of the family is one function."""

    def climb(self, w, g):
        ours = {id(p) for m in self.model.modules() if isinstance(m, nn.BatchNorm1d) for p in m.parameters()}
        return super().climb(w, [p * (id(q) in ours) for q, p in zip(w, g, strict=True)])


def test_normalisation_layers_alone_are_perturbed():
    model, (x, y) = net(), batch()
    objective, seen = OnNorms(model, 0.3), []
    before = weights(model)
    model.register_forward_hook(lambda *_: seen.append(weights(model)))
    objective.backward(lambda: cross_entropy(model(x), y))
    moved = [there - here for there, here in zip(seen[1], before, strict=True)]
    names = [name for name, _ in model.named_parameters()]
    assert [name for name, e in zip(names, moved, strict=True) if e.any()] == ["1.weight", "1.bias"]
    assert float(torch.cat([e.flatten() for e in moved]).norm()) == pytest.approx(0.3)


@pytest.mark.parametrize("dtype, least", [(torch.bfloat16, 0.9), (torch.float16, 0.99)])
def test_small_climbs_in_half_precision_keep_length_and_direction(dtype, least):
    """Many weights round back to where they were; what is left has the length and, nearly, the direction."""
    torch.manual_seed(0)
    wide = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 10))
    model, x, y = wide.to(dtype), torch.randn(32, 256).to(dtype), torch.randint(10, (32,))
    here, seen = weights(model), []
    g = torch.autograd.grad(cross_entropy(model(x), y), list(model.parameters()))
    model.register_forward_hook(lambda *_: seen.append(weights(model)))
    SAM(model, rho=0.05).backward(lambda: cross_entropy(model(x), y))
    e = torch.cat([(a.float() - b.float()).flatten() for a, b in zip(seen[1], here, strict=True)])
    intended = torch.cat([part.float().flatten() for part in g])
    assert float(e.norm()) == pytest.approx(0.05, rel=0.05)
    assert float(torch.cosine_similarity(e, intended, 0)) > least
    assert same(weights(model), here)


@pytest.mark.parametrize(
    "settings", [{"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"weight_decay": 0.1}]
)
def test_radius_zero_is_the_base_optimizer_bit_for_bit(settings):
    models = net(), net()
    ours = SAMOptimizer(models[0].parameters(), torch.optim.SGD, rho=0.0, lr=0.1, **settings)
    plain = torch.optim.SGD(models[1].parameters(), lr=0.1, **settings)
    for seed in range(4):
        x, y = batch(seed=seed)
        for step in (ours.first_step, ours.second_step):
            models[0].train(step == ours.first_step)
            models[0][1].train()
            cross_entropy(models[0](x), y).backward()
            step(zero_grad=True)
        plain.zero_grad()
        cross_entropy(models[1](x), y).backward()
        plain.step()
        assert same(weights(models[0]), weights(models[1]))


def test_a_gradient_penalty_in_the_closure():
    model, (x, y) = net(norm=False), batch()

    def penalised():
        inputs = x.clone().requires_grad_()
        loss = cross_entropy(model(inputs), y)
        (slope,) = torch.autograd.grad(loss, inputs, create_graph=True)
        return loss + 0.5 * (slope**2).sum()

    assert as_by_hand(model, penalised)


class Words(nn.Module):
    """A bidirectional LSTM over sequences of several lengths, with dropout between its layers."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 5, num_layers=2, bidirectional=True, dropout=0.3, batch_first=True)
        self.last = nn.Linear(10, 3)

    def forward(self, x, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        out, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return self.last(out.sum(1))


def test_a_packed_recurrent_network_with_dropout():
    torch.manual_seed(0)
    model, x = Words().double(), torch.randn(8, 7, 6, dtype=torch.float64)
    y, lengths = torch.randint(3, (8,)), torch.tensor([7, 3, 5, 1, 7, 2, 6, 4])

    def loss():  # the same mask in both passes
        torch.manual_seed(1)
        return cross_entropy(model(x, lengths), y)

    assert as_by_hand(model, loss)
    torch.manual_seed(1)
    model.zero_grad()
    SAM(model, 0.0).backward(lambda: cross_entropy(model(x, lengths), y))
    found = grads(model)
    torch.manual_seed(1)
    model.zero_grad()
    ERM(model).backward(lambda: cross_entropy(model(x, lengths), y))
    assert same(found, grads(model))


@pytest.mark.parametrize("name", perturbing())
def test_channels_last(name):
    torch.manual_seed(0)
    x, y = torch.rand(8, 3, 6, 6, dtype=torch.float64), torch.randint(3, (8,))
    found = []
    for last in (False, True):
        torch.manual_seed(1)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)).double()
        images = x
        if last:
            model, images = (
                model.to(memory_format=torch.channels_last),
                x.to(memory_format=torch.channels_last),
            )
        makers()[name](model).backward(BatchLoss(model, images, y))
        found.append(grads(model))
    assert all(torch.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in zip(*found, strict=True))


def test_lazy_layers_anomaly_mode_and_lbfgs_around_the_objective():
    x, y = batch()
    reached = []
    for ours in (True, False):
        torch.manual_seed(0)
        model = nn.Sequential(nn.LazyLinear(8), nn.Tanh(), nn.LazyLinear(3)).double()
        model(x)  # a lazy layer gets its weights in its first pass
        objective, optimizer = SAM(model, 0.05), torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)

        def closure(model=model, objective=objective, optimizer=optimizer, ours=ours):
            def loss():
                return cross_entropy(model(x), y)

            optimizer.zero_grad()
            if ours:
                return objective.backward(loss)
            for p, g in zip(model.parameters(), by_hand(model, loss, 0.05), strict=True):
                p.grad = g
            return loss().detach()

        with torch.autograd.set_detect_anomaly(True):
            for _ in range(2):
                optimizer.step(closure)
        reached.append(weights(model))
    assert all(torch.allclose(a, b, rtol=1e-6, atol=1e-9) for a, b in zip(*reached, strict=True))
