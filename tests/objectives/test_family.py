"""The SAM family against independent implementations, step by step, and against closed forms."""

from __future__ import annotations

import copy
import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from sam_edu.objectives import (
    ASAM,
    AWP,
    ERM,
    ESAM,
    SAM,
    BatchLoss,
    EntropySGD,
    FisherSAM,
    FriendlySAM,
    LookSAM,
    SAMOptimizer,
    SparseSAM,
)
from tests.every_method import without_radius
from tests.objectives.nets import Quadratic, batch, grads, loss_closure, net, same, symmetric, weights

LR, STEPS, CLOSE = 0.1, 20, 1e-9


class Flat:
    """A reference that knows one long vector w and nothing of sam_edu: loss and gradient by autograd."""

    def __init__(self, model):
        self.model = copy.deepcopy(model)
        self.w = parameters_to_vector(self.model.parameters()).detach().clone()
        self.sizes = [p.numel() for p in self.model.parameters()]

    def losses(self, w, x, y):
        vector_to_parameters(w, self.model.parameters())
        return cross_entropy(self.model(x), y, reduction="none")

    def grad(self, w, x, y):
        mean = self.losses(w, x, y).mean()
        return torch.cat([g.flatten() for g in torch.autograd.grad(mean, list(self.model.parameters()))])

    def tensors(self, flat):
        return flat.split(self.sizes)


def ours(make, model, steps=STEPS, n=16, momentum=0.0):
    """Weights after each step of plain SGD on the objective's gradient."""
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=momentum)
    objective, path = make(model), []
    for s in range(steps):
        optimizer.zero_grad()
        objective.backward(BatchLoss(model, *batch(n, seed=s)))
        optimizer.step()
        path.append(parameters_to_vector(model.parameters()).detach().clone())
    return path


def check_path(make, reference, model=None, n=16):
    """``reference(flat, w, x, y, t)`` is the gradient that the paper would use."""
    model = model or net(norm=False)
    flat = Flat(model)
    for t, reached in enumerate(ours(make, model, n=n)):
        flat.w = flat.w - LR * reference(flat, flat.w, *batch(n, seed=t), t)
        assert (reached - flat.w).norm() <= CLOSE * flat.w.norm(), f"step {t}"


# --- step by step: formulas of the papers, written out on flat vectors ------------------------------------


def test_asam_as_in_the_authors_code():
    """T = |w| + eta where the name contains "weight", 1 elsewhere; their + 1e-16 is below float64's reach."""
    names = [name for name, _ in net(norm=False).named_parameters()]

    def reference(flat, w, x, y, t):
        g = flat.grad(w, x, y)
        t_w = torch.cat(
            [
                part.abs() + 0.01 if "weight" in name else torch.ones_like(part)
                for name, part in zip(names, flat.tensors(w), strict=True)
            ]
        )
        return flat.grad(w + 0.5 * t_w**2 * g / ((t_w * g).norm() + 1e-16), x, y)

    check_path(lambda m: ASAM(m, 0.5, eta=0.01), reference)


def test_awp_as_in_the_authors_code():
    """They train a copy by SGD on minus the loss, and rescale the difference of the two, layer by layer."""

    def reference(flat, w, x, y, t):
        proxy, parts = copy.deepcopy(flat.model), flat.tensors(w)
        vector_to_parameters(w.clone(), proxy.parameters())  # the function hands out views
        worse = torch.optim.SGD(proxy.parameters(), lr=0.01)
        (-cross_entropy(proxy(x), y)).backward()
        worse.step()
        v = []
        for new, old in zip(proxy.parameters(), parts, strict=True):
            difference = new.detach().flatten() - old
            matrix = new.dim() > 1
            v.append(0.05 * old.norm() / (difference.norm() + 1e-20) * difference if matrix else 0 * old)
        return flat.grad(w + torch.cat(v), x, y)

    check_path(lambda m: AWP(m, 0.05), reference)


def test_fisher_sam_is_the_formula_of_the_paper():
    def reference(flat, w, x, y, t):
        g = flat.grad(w, x, y)
        inverse = 1 / (1 + 7.0 * g * g)
        return flat.grad(w + 0.3 * inverse * g / torch.sqrt((g * inverse * g).sum()), x, y)

    check_path(lambda m: FisherSAM(m, 0.3, eta=7.0), reference)


def test_fisher_sam_with_another_norm_leaves_the_ellipsoid():
    """Public versions divide by the length of F^-1 g; the ellipsoid needs the root of g F^-1 g."""
    model, eta, rho = net(norm=False), 7.0, 0.3
    g = [
        torch.randn(p.shape, generator=torch.Generator().manual_seed(3)).double() for p in model.parameters()
    ]
    metric = [1 + eta * part**2 for part in g]
    inverse = [part / f for part, f in zip(g, metric, strict=True)]
    size = rho / math.sqrt(sum(float((u**2).sum()) for u in inverse))
    assert math.isclose(
        _form(metric, FisherSAM(model, rho, eta).direction(list(model.parameters()), g)), rho**2
    )
    assert _form(metric, [size * u for u in inverse]) > 1.5 * rho**2


def test_friendly_sam_is_the_rule_of_the_authors_code():
    kept = {}

    def reference(flat, w, x, y, t):
        g = flat.grad(w, x, y)
        v = g - 0.8 * kept["m"] if t else g
        kept["m"] = 0.7 * kept["m"] + 0.3 * g if t else g
        return flat.grad(w + 0.5 * v / v.norm(), x, y)

    check_path(lambda m: FriendlySAM(m, 0.5, sigma=0.8, lmbda=0.7), reference)


def test_pytorch_optimizers_friendly_sam_over_20_steps(peers):
    """Theirs follows the authors' code, first step included: the same weights after every step."""
    model = net(norm=False)
    theirs, settings_ = copy.deepcopy(model), {"lr": 0.1, "momentum": 0.9}
    numbers = {"rho": 0.4, "sigma": 0.9, "lmbda": 0.8}
    wrapped = peers.FriendlySAM(theirs.parameters(), torch.optim.SGD, **numbers, **settings_)
    plain, objective = torch.optim.SGD(model.parameters(), **settings_), FriendlySAM(model, **numbers)
    for step in range(STEPS):
        x, y = batch(seed=step)
        two_steps(wrapped, theirs, x, y)
        plain.zero_grad()
        objective.backward(loss_closure(model, x, y))
        plain.step()
        assert distance(model, theirs) <= CLOSE


def test_friendly_sam_forgets_a_batch_whose_gradient_is_not_finite():
    model, (x, y) = net(norm=False), batch()
    objective = FriendlySAM(model, 0.5)
    objective.backward(loss_closure(model, x, y))
    mean = {p: m.clone() for p, m in objective.m.items()}
    objective.backward(lambda: cross_entropy(model(x * float("inf")), y))
    assert mean and all(torch.equal(objective.m[p], m) for p, m in mean.items())


def test_looksam_is_the_formula_of_the_paper():
    kept = {}

    def reference(flat, w, x, y, t):
        g = flat.grad(w, x, y)
        if t % 3:
            return g + 0.7 * g.norm() / kept["g_v"].norm() * kept["g_v"]
        g_s = flat.grad(w + 0.5 * g / g.norm(), x, y)
        kept["g_v"] = g_s - g_s.norm() * (g_s @ g / g_s.norm() / g.norm()) * g / g.norm()
        assert abs(kept["g_v"] @ g) < 1e-12
        return g_s

    check_path(lambda m: LookSAM(m, 0.5, k=3, alpha=0.7), reference)


@pytest.mark.parametrize("beta, gamma", [(0.6, 0.5), (0.3, 1.0), (1.0, 0.25), (0.01, 0.01)])
def test_esam_is_the_authors_code_with_its_selection_repaired(beta, gamma):
    """Their "> k-th largest" takes one sample too few, and none at all for a batch of one: top k here."""
    twin = torch.Generator().manual_seed(5)

    def reference(flat, w, x, y, t):
        drawn = torch.rand(4, generator=twin)
        on = drawn <= max(beta, float(drawn.min()))
        g = torch.cat([p * bool(k) for p, k in zip(flat.tensors(flat.grad(w, x, y)), on, strict=True)])
        there = w + 0.4 * g / g.norm() / beta
        rise = flat.losses(there, x, y) - flat.losses(w, x, y)
        chosen = rise.argsort(descending=True)[: max(1, math.ceil(gamma * len(x)))]
        return flat.grad(there, x[chosen], y[chosen])

    check_path(lambda m: ESAM(m, 0.4, beta, gamma, seed=5), reference)


def test_esam_takes_exactly_its_share_also_among_equals():
    """Ties make the authors' selection empty, and its gradient silently zero."""
    model, (x, y) = net(norm=False), batch(1)
    x, y = x.repeat(8, 1), y.repeat(8)
    seen = []

    class Counting(BatchLoss):
        def _forward(self, part):
            seen.append(len(self) if part is None else len(part))
            return super()._forward(part)

    for size, expected in ((8, [8, 8, 4]), (3, [3, 3, 2]), (1, [1, 1])):
        seen.clear()
        model.zero_grad()
        ESAM(model, 0.1, 1.0, 0.5).backward(Counting(model, x[:size], y[:size]))
        assert seen == expected and all(p.grad.any() for p in model.parameters())

    def theirs(rise, share):
        return int((rise > rise.topk(int(len(rise) * share)).values[-1]).sum())

    assert theirs(torch.arange(8.0), 0.5) == 3 and theirs(torch.ones(8), 0.5) == 0


def test_sparse_sam_with_a_fisher_mask():
    kept = {}

    def reference(flat, w, x, y, t):
        if t % 6 == 0:
            fisher = sum(flat.grad(w, x[i : i + 1], y[i : i + 1]) ** 2 for i in range(5))
            kept["m"] = torch.zeros_like(w)
            kept["m"][fisher.argsort(descending=True)[: round(0.3 * len(w))]] = 1
        g = flat.grad(w, x, y)
        return flat.grad(w + 0.5 * g / g.norm() * kept["m"], x, y)

    check_path(lambda m: SparseSAM(m, 0.5, 0.7, every=6, samples=5), reference)


def test_sparse_sam_with_a_dynamic_mask():
    """The masks of the rule in words: cosine share, least |gradient| out, as many random zeros in."""
    model, shares = net(norm=False), []
    objective = SparseSAM(model, 0.5, 0.6, mask="dynamic", every=4, drop=0.5, steps=20)
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    total = sum(p.numel() for p in model.parameters())
    before = None
    for t in range(STEPS):
        x, y = batch(seed=t)
        g = Flat(model)
        g = g.grad(g.w, x, y).abs()
        optimizer.zero_grad()
        objective.backward(lambda x=x, y=y: cross_entropy(model(x), y))  # needs no BatchLoss
        optimizer.step()
        m = torch.cat([objective.m[p].flatten() for p in model.parameters()])
        assert int(m.sum()) == round(0.4 * total)
        if before is not None:
            left, entered = before & ~m, m & ~before
            assert left.sum() == entered.sum()
            if t % 4:
                assert torch.equal(m, before)
            else:
                expected = 0.25 * (1 + math.cos(math.pi * t / 20))
                assert left.sum() == int(expected * before.sum())
                shares.append(int(left.sum()))
                stayed = before & m
                assert not left.any() or g[left].max() <= g[stayed].min()
        before = m
    assert shares == sorted(shares, reverse=True) and shares[0] > shares[-1]


def entropy_reference(gamma0, scoping, steps, lr, noise, average, seed):
    twin = torch.Generator().manual_seed(seed)

    def reference(flat, w, x, y, t):
        gamma = gamma0 * (1 + scoping) ** t
        moved, mu = w.clone(), w.clone()
        size = -(-len(x) // steps)
        parts = [slice(a, a + size) for a in range(0, len(x), size)]
        for step in range(steps):
            part = parts[step % len(parts)]
            d = flat.grad(moved, x[part], y[part]) - gamma * (w - moved)
            draws = [torch.randn(n, generator=twin, dtype=w.dtype) for n in flat.sizes] if noise else [0 * w]
            moved = moved - lr * d + math.sqrt(lr) * noise * torch.cat(draws)
            mu = (1 - average) * mu + average * moved
        return gamma * (w - mu)

    return reference


@pytest.mark.parametrize("noise", [0.0, 0.02])
@pytest.mark.parametrize("n, steps", [(16, 4), (15, 4), (2, 5)])
def test_entropy_sgd_is_the_algorithm_of_the_paper(noise, n, steps):
    numbers = {"scoping": 0.05, "steps": steps, "lr": 0.3, "noise": noise, "average": 0.75, "seed": 3}
    check_path(lambda m: EntropySGD(m, 0.5, **numbers), entropy_reference(0.5, **numbers), n=n)


def test_entropy_sgd_and_the_authors_pytorch_port():
    """The port: old mean times 0.75 (alpha = 0.25), no gamma in front, and gamma never grows: t stays 0."""
    model, (x, y) = net(norm=False), batch()
    reference = Flat(model)
    w, llr, beta1, gamma = reference.w, 0.1, 0.75, 0.03
    moved, mw = w.clone(), w.clone()
    for _ in range(5):
        moved = moved - llr * (reference.grad(moved, x, y) - gamma * (w - moved))
        mw = beta1 * mw + (1 - beta1) * moved
    EntropySGD(model, gamma, steps=5, lr=llr, noise=0, average=0.25).backward(loss_closure(model, x, y))
    got = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert torch.allclose(got / gamma, w - mw, rtol=1e-9, atol=1e-12)


# --- step by step: other packages -------------------------------------------------------------------------


@pytest.fixture
def peers(monkeypatch):
    """pytorch_optimizer rounds the norm of the gradient to float32; here it stays in float64."""
    package = pytest.importorskip("pytorch_optimizer")

    def squared(groups, weight_adaptive=False, **_):
        return sum(
            ((p.grad * (p.abs() if weight_adaptive and g.get("adaptive") else 1.0)) ** 2).sum()
            for g in groups
            for p in g["params"]
        ).reshape(1)

    monkeypatch.setattr("pytorch_optimizer.optimizer.sam.get_global_gradient_norm", squared)
    return package


def two_steps(optimizer, model, x, y):
    optimizer.zero_grad()
    cross_entropy(model(x), y).backward()
    optimizer.first_step(zero_grad=True)
    cross_entropy(model(x), y).backward()
    optimizer.second_step(zero_grad=True)


def distance(one, other):
    one, other = parameters_to_vector(one.parameters()), parameters_to_vector(other.parameters())
    return float((one - other).norm() / other.norm())


@pytest.mark.parametrize("kind", ["ASAM", "SAMOptimizer", "SAMOptimizer adaptive"])
def test_pytorch_optimizers_adaptive_sam_over_20_steps(peers, kind):
    """Theirs is ASAM with eta = 0 and T = |w| for biases too: ours on a network without biases."""
    adaptive = kind != "SAMOptimizer"
    layers = [nn.Linear(6, 8, bias=kind != "ASAM"), nn.Tanh(), nn.Linear(8, 3, bias=kind != "ASAM")]
    model = nn.Sequential(*layers).double()
    theirs, settings_ = copy.deepcopy(model), {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-3}
    wrapped = peers.SAM(theirs.parameters(), torch.optim.SGD, rho=0.4, adaptive=adaptive, **settings_)
    plain = torch.optim.SGD(model.parameters(), **settings_)
    objective = ASAM(model, 0.4, eta=0)
    mine = SAMOptimizer(model.parameters(), torch.optim.SGD, rho=0.4, adaptive=adaptive, **settings_)
    for step in range(STEPS):
        x, y = batch(seed=step)
        two_steps(wrapped, theirs, x, y)
        if kind == "ASAM":
            plain.zero_grad()
            objective.backward(loss_closure(model, x, y))
            plain.step()
        else:
            two_steps(mine, model, x, y)
        assert distance(model, theirs) <= CLOSE


def test_pytorch_optimizers_looksam_over_20_steps(peers):
    """Theirs projects each tensor by itself: ours on a network of one tensor, where that is the same.

    The loss is large so that the 1e-8 which they add to |g_v| does not count.
    """
    model = nn.Linear(6, 3, bias=False).double()
    theirs, calls = copy.deepcopy(model), [0, 0]
    wrapped = peers.LookSAM(theirs.parameters(), torch.optim.SGD, rho=0.5, k=5, alpha=0.6, lr=1e-5)
    plain, objective = torch.optim.SGD(model.parameters(), lr=1e-5), LookSAM(model, 0.5, k=5, alpha=0.6)
    for step in range(STEPS):
        x, y = batch(seed=step)

        def loss(net, who, x=x, y=y):
            calls[who] += 1
            return 1e4 * cross_entropy(net(x), y)

        def backward(loss=loss):
            wrapped.zero_grad()
            value = loss(theirs, 1)
            value.backward()
            return value

        backward()
        wrapped.step(backward)
        plain.zero_grad()
        objective.backward(lambda loss=loss: loss(model, 0))
        plain.step()
        assert distance(model, theirs) <= CLOSE
    assert calls == [24, 40]  # 20 steps, of which 4 have two passes; theirs always has two


def test_where_pytorch_optimizer_leaves_the_papers(peers):
    """It projects LookSAM's g_v tensor by tensor, and its adaptive SAM stretches the ball along biases too.

    On a network with several tensors, or with biases, its steps are therefore not ours.
    """
    x, y = batch()
    for peer, make in (
        (
            lambda m: peers.LookSAM(m.parameters(), torch.optim.SGD, rho=0.5, k=2, alpha=0.6, lr=LR),
            lambda m: LookSAM(m, 0.5, k=2, alpha=0.6),
        ),
        (
            lambda m: peers.SAM(m.parameters(), torch.optim.SGD, rho=0.5, adaptive=True, lr=LR),
            lambda m: ASAM(m, 0.5, eta=0),
        ),
    ):
        model = net(norm=False)
        theirs = copy.deepcopy(model)
        optimizer, wrapped = torch.optim.SGD(model.parameters(), lr=LR), peer(theirs)
        objective = make(model)
        for _ in range(2):
            optimizer.zero_grad()
            objective.backward(loss_closure(model, x, y))
            optimizer.step()

            def closure(theirs=theirs, wrapped=wrapped):
                wrapped.zero_grad()
                loss = cross_entropy(theirs(x), y)
                loss.backward()
                return loss

            closure()
            wrapped.step(closure)
        assert distance(model, theirs) > 1e-5


# --- reductions: where two methods must be one ------------------------------------------------------------


def gradient_of(make, model=None, n=16, seed=1):
    model = copy.deepcopy(model or net(norm=False))
    torch.manual_seed(0)
    loss = make(model).backward(BatchLoss(model, *batch(n, seed)))
    return torch.cat([p.grad.flatten() for p in model.parameters()]), loss


SMALL = st.floats(0.01, 2.0)


@settings(max_examples=15, deadline=None)
@given(rho=SMALL, seed=st.integers(0, 100))
def test_what_reduces_to_sam(rho, seed):
    class Euclidean(ASAM):
        def scaling(self, w):
            return [torch.ones_like(p) for p in w]

    expected, loss = gradient_of(lambda m: SAM(m, rho), seed=seed)
    for make in (
        lambda m: Euclidean(m, rho),
        lambda m: ESAM(m, rho, beta=1, gamma=1),
        lambda m: LookSAM(m, rho, k=1),
        lambda m: SparseSAM(m, rho, sparsity=0),
        lambda m: SparseSAM(m, rho, sparsity=0, mask="dynamic", steps=9),
        lambda m: FisherSAM(m, rho, eta=0),
        lambda m: SAM(m, rho, m=16),
        lambda m: SAM(m, rho, m=1000),
    ):
        got, their_loss = gradient_of(make, seed=seed)
        assert torch.allclose(got, expected, rtol=1e-10, atol=1e-12)
        assert torch.allclose(loss, their_loss, rtol=1e-12)


ZERO = without_radius() | {"m-SAM": lambda m: SAM(m, 0.0, m=16)}


@pytest.mark.parametrize("name", ZERO)
def test_no_radius_is_plain_training(name):
    model = net()
    expected, loss = gradient_of(ERM, model)
    got, their_loss = gradient_of(ZERO[name], model)
    assert torch.allclose(got, expected, rtol=1e-12, atol=1e-15) and torch.allclose(loss, their_loss)


@pytest.mark.parametrize("name", ZERO)
def test_no_radius_is_plain_training_with_weighted_classes_too(name):
    """The mean of such a loss divides by the sum of the weights: it is not the mean of the single losses."""
    weighted = partial(cross_entropy, weight=torch.tensor([1.0, 5.0, 0.2], dtype=torch.float64))
    found = []
    for make in (ERM, ZERO[name]):
        model = net(norm=False)
        loss = make(model).backward(BatchLoss(model, *batch(), weighted))
        found.append(torch.cat([p.grad.flatten() for p in model.parameters()] + [loss[None]]))
    assert torch.allclose(*found, rtol=1e-12, atol=1e-15)


def test_a_batch_may_be_used_again():
    """ESAM compares with the losses of its own first pass, not of an earlier step's."""
    paths = []
    for again in (False, True):
        model = net(norm=False)
        objective, loss = ESAM(model, 0.5, gamma=0.25), BatchLoss(model, *batch())
        for _ in range(3):
            model.zero_grad()
            objective.backward(loss if again else BatchLoss(model, *batch()))
            with torch.no_grad():
                for p in model.parameters():
                    p -= p.grad
        paths.append(parameters_to_vector(model.parameters()))
    assert torch.equal(*paths)


# --- m-sharpness ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n, m", [(16, 4), (16, 5), (7, 1)])
def test_m_sharpness_averages_over_sub_batches(n, m):
    def reference(flat, w, x, y, t):
        total = 0
        for xs, ys in zip(x.split(m), y.split(m), strict=True):
            g = flat.grad(w, xs, ys)
            total = total + len(xs) / n * flat.grad(w + 0.4 * g / g.norm(), xs, ys)
        return total

    check_path(lambda model: SAM(model, 0.4, m=m), reference, n=n)


def test_outputs_of_a_batch_in_parts_are_those_at_the_weights_in_order():
    model, (x, y) = net(norm=False), batch(11)
    expected = model(x).detach()
    for make in (
        ERM,
        SAM,
        lambda m: SAM(m, 2.0, m=4),
        lambda m: ESAM(m, 2.0),
        lambda m: SparseSAM(m, 2.0),
        lambda m: LookSAM(m, 2.0),
    ):
        loss = BatchLoss(model, x, y)
        make(model).backward(loss)
        assert torch.allclose(loss.outputs, expected, atol=1e-14)


# --- closed forms -----------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), rho=SMALL, eta=st.floats(0.0, 5.0))
def test_directions_lie_on_their_surface_and_are_the_best_there(seed, rho, eta):
    """Each e is as long as its ball allows, and no other point there gains more to first order."""
    model = net(norm=False, seed=seed)
    draw = torch.Generator().manual_seed(seed)
    w = list(model.parameters())
    g = [torch.randn(p.shape, generator=draw, dtype=p.dtype) for p in w]
    with torch.no_grad():
        asam = ASAM(model, rho, eta + 1e-3)
        t = asam.scaling(w)
        metrics = {
            SAM(model, rho): [torch.ones_like(p) for p in w],
            asam: [1 / part**2 for part in t],
            FisherSAM(model, rho, eta): [1 + eta * part**2 for part in g],
        }
        for objective, metric in metrics.items():
            e = objective.direction(w, g)
            assert math.isclose(_form(metric, e), rho**2, rel_tol=1e-9)
            gain = _inner(g, e)
            for _ in range(5):
                other = [torch.randn(p.shape, generator=draw, dtype=p.dtype) for p in w]
                length = math.sqrt(_form(metric, other)) / rho
                assert _inner(g, other) / length <= gain * (1 + 1e-12)
        for p, part in zip(w, AWP(model, rho).direction(w, g), strict=True):
            expected = rho * float(p.norm()) if p.dim() > 1 else 0.0
            assert math.isclose(float(part.norm()), expected, rel_tol=1e-9)


def _form(metric, e):
    return float(sum((a * b * b).sum() for a, b in zip(metric, e, strict=True)))


def _inner(a, b):
    return float(sum((p * q).sum() for p, q in zip(a, b, strict=True)))


class Homogeneous(nn.Module):
    """Two layers without biases: (a W1, W2 / a) is the same function."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(6, 9, bias=False), nn.Linear(9, 3, bias=False)

    def forward(self, x):
        return self.two(torch.relu(self.one(x)))


@pytest.mark.parametrize("a", [0.1, 3.0])
def test_rescaling_the_layers_changes_sam_but_not_asam_nor_awp(a):
    """AWP's unit is the length of the layer: it is blind to rescaled layers, not to rescaled units."""
    torch.manual_seed(0)
    model, (x, y) = Homogeneous().double(), batch()
    scaled, units = copy.deepcopy(model), copy.deepcopy(model)
    with torch.no_grad():
        scaled.one.weight *= a
        scaled.two.weight /= a
        units.one.weight[:1] *= a
        units.two.weight[:, :1] /= a

    def worst(net, make):
        seen = []
        make(net).backward(lambda: seen.append(cross_entropy(net(x), y)) or seen[-1])
        return float(seen[1].detach())

    def asam(m):
        return ASAM(m, 0.3, eta=0)

    def awp(m):
        return AWP(m, 0.05)

    def fisher(m):
        return FisherSAM(m, 0.3)

    def sam(m):
        return SAM(m, 0.3)

    for blind in (asam, awp):
        assert math.isclose(worst(model, blind), worst(scaled, blind), rel_tol=1e-10)
    for sees in (sam, fisher):
        assert not math.isclose(worst(model, sees), worst(scaled, sees), rel_tol=1e-3)
    assert math.isclose(worst(model, asam), worst(units, asam), rel_tol=1e-10)
    assert not math.isclose(worst(model, awp), worst(units, awp), rel_tol=1e-4)


def test_entropy_sgd_on_a_quadratic_finds_the_centre_of_its_well():
    """Without noise the walk ends in the minimum of L + gamma/2 |w' - w|^2: gamma (H + gamma)^-1 w."""
    h = symmetric(4, 1)
    h, w = h @ h + torch.eye(4, dtype=h.dtype), torch.arange(1.0, 5.0, dtype=torch.float64)
    model, gamma = Quadratic(h, w), 0.7
    EntropySGD(model, gamma, steps=3000, lr=0.05, noise=0, average=1.0).backward(model)
    centre = gamma * torch.linalg.solve(h + gamma * torch.eye(4, dtype=h.dtype), w)
    assert torch.allclose(model.w.grad, gamma * (w - centre), rtol=1e-9, atol=1e-12)
    assert torch.equal(model.w, w)


def test_looksam_on_a_quadratic_of_one_dimension_has_nothing_to_reuse():
    """g_s is parallel to g: g_v = 0, and the steps in between are plain ones, without dividing by 0."""
    model = Quadratic(torch.eye(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64))
    objective = LookSAM(model, 0.5, k=4)
    objective.backward(model)
    model.zero_grad()
    objective.backward(model)
    assert torch.equal(model.w.grad, model.w.detach())


def test_a_step_in_between_costs_one_pass():
    model, (x, y) = net(norm=False), batch()
    objective, calls = LookSAM(model, 0.1, k=5), []
    for _ in range(10):
        objective.backward(lambda: calls.append(1) or cross_entropy(model(x), y))
    assert len(calls) == 12


# --- SAMOptimizer -----------------------------------------------------------------------------------------


def test_samoptimizer_is_sam_and_resumes_exactly():
    model, other = net(norm=False), net(norm=False)
    settings_ = {"rho": 0.3, "lr": 0.1, "momentum": 0.9}
    wrapped = SAMOptimizer(model.parameters(), torch.optim.SGD, **settings_)
    plain, objective = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9), SAM(other, 0.3)
    scheduler = torch.optim.lr_scheduler.StepLR(wrapped, 2, 0.5)
    their_scheduler = torch.optim.lr_scheduler.StepLR(plain, 2, 0.5)
    for step in range(6):
        x, y = batch(seed=step)
        if step == 3:  # interrupted: everything into new objects
            state = copy.deepcopy((model.state_dict(), wrapped.state_dict(), scheduler.state_dict()))
            model = net(norm=False, seed=9)
            wrapped = SAMOptimizer(model.parameters(), torch.optim.SGD, **settings_)
            scheduler = torch.optim.lr_scheduler.StepLR(wrapped, 2, 0.5)
            for target, saved in zip((model, wrapped, scheduler), state, strict=True):
                target.load_state_dict(saved)
        if step % 2:
            two_steps(wrapped, model, x, y)
        else:
            closure = loss_closure(model, x, y)

            def second(closure=closure, wrapped=wrapped):
                wrapped.zero_grad()
                loss = closure()
                loss.backward()
                return loss

            second()
            wrapped.step(second)
        plain.zero_grad()
        objective.backward(loss_closure(other, x, y))
        plain.step()
        scheduler.step()
        their_scheduler.step()
        assert distance(model, other) < 1e-12
        assert wrapped.param_groups[0]["lr"] == plain.param_groups[0]["lr"]


def test_samoptimizer_groups_errors_and_a_closure_that_fails():
    model, (x, y) = net(norm=False), batch()
    groups = [{"params": model[0].parameters(), "rho": 0.0}, {"params": model[3].parameters()}]
    wrapped = SAMOptimizer(groups, torch.optim.SGD, rho=0.5, lr=0.1)
    before = weights(model)
    cross_entropy(model(x), y).backward()
    wrapped.first_step(zero_grad=True)
    moved = [not torch.equal(a, b) for a, b in zip(before, weights(model), strict=True)]
    assert moved == [False, False, True, True]
    wrapped.second_step()
    assert same(before, weights(model))  # no gradient, no step

    def fails():
        raise RuntimeError("out of memory")

    cross_entropy(model(x), y).backward()
    with pytest.raises(RuntimeError, match="out of memory"):
        wrapped.step(fails)
    assert same(before, weights(model))
    with pytest.raises(ValueError, match="rho must be >= 0, got -1"):
        SAMOptimizer(model.parameters(), torch.optim.SGD, rho=-1, lr=0.1)


# --- SWA in the same loop ---------------------------------------------------------------------------------


def test_weight_averaging_as_the_loop_says():
    from sam_edu import training

    model, (x, y) = net(torch.float32), batch(64, dtype=torch.float32)
    average, kept = torch.optim.swa_utils.AveragedModel(model), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for epoch in range(8):
        training.train_epoch(SAM(model, 0.05), optimizer, x, y, 16)
        if epoch >= 0.75 * 8:
            average.update_parameters(model)
            kept.append(weights(model))
    torch.optim.swa_utils.update_bn(x.split(16), average)
    for p, *each in zip(average.module.parameters(), *kept, strict=True):
        assert torch.allclose(p, sum(each) / 2, atol=1e-6)
    average.eval()
    assert math.isfinite(float(cross_entropy(average(x), y))) and grads(average.module)
