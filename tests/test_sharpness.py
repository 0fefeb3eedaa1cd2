"""Sharpness against quadratics, whose answer is known, and against explicit Hessians."""

from __future__ import annotations

import math
import warnings
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from sam_edu import sharpness


class Weights(nn.Module):
    """A model that is its weights; the loss reads them."""

    def __init__(self, w):
        super().__init__()
        self.w = nn.Parameter(torch.as_tensor(w, dtype=torch.float64).clone())

    def forward(self, _):
        return self.w


def quadratic(h):
    return lambda w, _: w @ h @ w / 2


def with_eigenvalues(values, seed=0):
    n = len(values)
    a = torch.randn(n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    q = torch.linalg.qr(a)[0]
    return q @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ q.T


X = Y = torch.zeros(1)


def net(seed=0, dtype=torch.float64):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Dropout(), nn.Linear(5, 3)).to(
            dtype
        )


def batch(dtype=torch.float64):
    g = torch.Generator().manual_seed(1)
    return torch.randn(30, 4, generator=g, dtype=dtype), torch.randint(3, (30,), generator=g)


# --- the worst loss in a ball ---------------------------------------------------------------------------


@pytest.mark.parametrize("rho", [0.01, 0.5, 3.0])
@pytest.mark.parametrize("values", [(4.0, 1.0, 0.5), (2.0, -3.0, 0.1), (5.0, 5.0, 1.0)])
def test_quadratic_at_its_critical_point(values, rho):
    """At w = 0, where the gradient vanishes, S_rho = rho^2 lambda_max / 2."""
    found = sharpness.worst_loss_in_ball(
        Weights([0.0] * 3), X, Y, rho, 60, quadratic(with_eigenvalues(values))
    )
    assert found.loss == 0 and found.sharpness == pytest.approx(rho**2 * max(values) / 2, rel=1e-3)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(0.01, 3))
def test_convex_quadratic_against_the_exact_maximum(seed, rho):
    """max over the ball of (w+e).H(w+e)/2, by the secular equation (mu I - H) e = H w, mu > lambda_max.

    Many steps: where w is nearly orthogonal to the top direction, the search sets out slowly.
    """
    h = with_eigenvalues((3.0, 1.0, 0.3), seed)
    w = torch.randn(3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    low, high = 3.0 + 1e-12, 1e6
    for _ in range(200):
        mid = (low * high) ** 0.5
        e = torch.linalg.solve(mid * torch.eye(3, dtype=torch.float64) - h, h @ w)
        low, high = (mid, high) if e.norm() > rho else (low, mid)
    exact = float((w + e) @ h @ (w + e) / 2)
    found = sharpness.worst_loss_in_ball(Weights(w), X, Y, rho, 400, quadratic(h))
    assert found.worst <= exact * (1 + 1e-9)
    assert found.worst == pytest.approx(exact, rel=2e-3)


def test_rho_zero_and_growth_with_rho():
    model, (x, y) = net(), batch()
    at = [sharpness.worst_loss_in_ball(model, x, y, rho, 10) for rho in (0.0, 0.1, 0.5, 2.0)]
    assert at[0].sharpness == 0 and at[0].worst == at[0].loss
    assert all(a.loss == at[0].loss for a in at) and all(a.worst < b.worst for a, b in pairwise(at))


def test_at_least_as_bad_as_sams_own_step_and_noise():
    model, (x, y), rho = net().eval(), batch(), 0.5
    found = sharpness.worst_loss_in_ball(model, x, y, rho)
    params = list(model.parameters())
    g = torch.autograd.grad(cross_entropy(model(x), y), params)
    norm = torch.sqrt(sum((part**2).sum() for part in g))
    for seed in range(20):
        torch.manual_seed(seed)
        e = [torch.randn_like(p) for p in params] if seed else list(g)
        size = torch.sqrt(sum((part**2).sum() for part in e)) if seed else norm
        with torch.no_grad():
            for p, part in zip(params, e, strict=True):
                p += rho * part / size
            value = float(cross_entropy(model(x), y))
            for p, part in zip(params, e, strict=True):
                p -= rho * part / size
        assert value <= found.worst + 1e-9


@pytest.mark.parametrize(
    "measure",
    [
        lambda m, x, y: sharpness.worst_loss_in_ball(m, x, y, 0.5, 3),
        lambda m, x, y: sharpness.top_eigenvalue(m, x, y),
    ],
)
def test_the_model_is_left_as_found(measure):
    model, (x, y) = net(dtype=torch.float32).train(), batch(torch.float32)
    model[1].eval()
    model[0].weight.grad = torch.ones_like(model[0].weight)
    before, modes = (
        {k: v.clone() for k, v in model.state_dict().items()},
        [m.training for m in model.modules()],
    )
    rng = torch.get_rng_state()
    measure(model, x, y)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert [m.training for m in model.modules()] == modes and torch.equal(torch.get_rng_state(), rng)
    assert (
        torch.equal(model[0].weight.grad, torch.ones_like(model[0].weight)) and model[4].weight.grad is None
    )


def test_weights_come_back_after_an_exception():
    model, (x, y), calls = net(), batch(), []
    before = [p.detach().clone() for p in model.parameters()]

    def loss(logits, labels):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("stop")
        return cross_entropy(logits, labels)

    with pytest.raises(RuntimeError, match="stop"):
        sharpness.worst_loss_in_ball(model, x, y, 0.5, loss=loss)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)) and model.training


def test_frozen_and_unused_parameters():
    model, (x, y) = net(), batch()
    model[0].weight.requires_grad_(False)
    model.register_parameter("spare", nn.Parameter(torch.ones(3, dtype=torch.float64)))
    assert sharpness.worst_loss_in_ball(model, x, y, 0.5, 3).sharpness > 0
    assert sharpness.top_eigenvalue(model, x, y) > 0


# --- the top eigenvalue ---------------------------------------------------------------------------------

SPECTRA = [
    (4.0, 1.0, 0.5),
    (2.0, -3.0, 0.1),  # the largest in magnitude is negative
    (-1.0, -2.0, -3.0),  # a maximum: the largest is the one nearest to 0
    (3.0, -3.0, 1.0),  # two of equal size: plain power iteration never settles on either
    (0.0, 0.0, 0.0),
    (7.0, 7.0, -1.0),
    (1e-3, 2e-4, 1e-5),
]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("values", SPECTRA)
def test_top_eigenvalue_of_a_quadratic(values, seed):
    h = with_eigenvalues(values, seed)
    found = sharpness.top_eigenvalue(Weights([0.3, -0.2, 0.5]), X, Y, quadratic(h), 2000, 1e-8, seed=seed)
    exact = float(torch.linalg.eigvalsh(h)[-1])
    assert found == pytest.approx(exact, rel=1e-4, abs=1e-6)


def test_top_eigenvalue_of_a_network_against_the_explicit_hessian():
    model, (x, y) = net(), batch()
    model.eval()
    params = list(model.parameters())
    value = cross_entropy(model(x), y)
    flat = torch.cat([g.flatten() for g in torch.autograd.grad(value, params, create_graph=True)])
    rows = [
        torch.cat(
            [
                r.flatten()
                for r in torch.autograd.grad(
                    g, params, retain_graph=True, materialize_grads=True, allow_unused=True
                )
            ]
        )
        for g in flat
    ]
    hessian = torch.stack(rows)
    exact = float(torch.linalg.eigvalsh((hessian + hessian.T) / 2)[-1])
    assert sharpness.top_eigenvalue(model, x, y, max_iterations=1000, tol=1e-7) == pytest.approx(
        exact, rel=1e-3
    )


def test_top_eigenvalue_of_attention_against_the_explicit_hessian():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.mix, self.norm = nn.MultiheadAttention(4, 2, batch_first=True), nn.LayerNorm(4)
            self.head = nn.Linear(4, 3)

        def forward(self, x):
            return self.head(self.norm(x + self.mix(x, x, x)[0]).mean(1))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Attention().double().eval()
        x, y = torch.randn(6, 5, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2])
    names, params = zip(*model.named_parameters(), strict=True)
    sizes = [p.numel() for p in params]

    def loss(flat):
        parts = [part.view_as(p) for part, p in zip(flat.split(sizes), params, strict=True)]
        return cross_entropy(torch.func.functional_call(model, dict(zip(names, parts, strict=True)), (x,)), y)

    start = torch.cat([p.detach().flatten() for p in params])
    values = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, start))
    found = sharpness.top_eigenvalue(model, x, y, max_iterations=2000, tol=1e-8)
    assert found == pytest.approx(float(values[-1]), rel=1e-3) and values[0] < 0 < values[-2]


def test_top_eigenvalue_of_logistic_regression():
    """H = X^T diag(p(1-p)) X / n."""
    g = torch.Generator().manual_seed(0)
    x, w = torch.randn(50, 3, generator=g, dtype=torch.float64), torch.tensor([0.5, -1.0, 2.0])
    model = Weights(w)

    def loss(weights, y):
        return nn.functional.softplus(-y * (x @ weights)).mean()

    y = torch.sign(torch.randn(50, generator=g, dtype=torch.float64))
    p = torch.sigmoid(x @ model.w.detach())
    exact = float(torch.linalg.eigvalsh(x.T @ torch.diag(p * (1 - p)) @ x / 50)[-1])
    assert sharpness.top_eigenvalue(model, X, y, loss, tol=1e-8) == pytest.approx(exact, rel=1e-4)


def test_not_settled_is_said():
    h = with_eigenvalues((1.0, 0.999, 0.5))
    with pytest.raises(RuntimeError, match="raise max_iterations or tol") as error:
        sharpness.top_eigenvalue(Weights([1.0, 2.0, 3.0]), X, Y, quadratic(h), max_iterations=2, tol=1e-12)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "call, hint",
    [
        (lambda m, x, y: sharpness.worst_loss_in_ball(m, x, y, -0.1), "rho must be >= 0"),
        (lambda m, x, y: sharpness.worst_loss_in_ball(m, x, y, math.nan), "rho"),
        (lambda m, x, y: sharpness.worst_loss_in_ball(m, x, y, 0.1, steps=0), "steps must be >= 1"),
        (lambda m, x, y: sharpness.worst_loss_in_ball(m, x * math.nan, y, 0.1), "the loss is nan"),
        (lambda m, x, y: sharpness.top_eigenvalue(m, x * math.nan, y), "the loss is nan"),
    ],
)
def test_bad_input(call, hint):
    with pytest.raises(ValueError) as error:
        call(net(), *batch())
    assert hint in str(error.value) and "\n" not in str(error.value)


# --- the mean loss in noise, and relative changes -------------------------------------------------------


def test_average_loss_of_a_quadratic_is_half_the_trace():
    h = with_eigenvalues((4.0, 1.0, -0.5))
    found = sharpness.average_loss(Weights([0.0] * 3), X, Y, 0.3, 20_000, quadratic(h))
    assert found == pytest.approx(0.3**2 * 4.5 / 2, rel=0.03)
    assert sharpness.average_loss(Weights([1.0] * 3), X, Y, 0.0, 3, quadratic(h)) == pytest.approx(
        float(torch.ones(3).double() @ h @ torch.ones(3).double() / 2)
    )


class Stored(nn.Linear):
    """Uses in eval mode what its last pass in training mode has stored, as layers of bounded slope do."""

    def forward(self, x):
        if self.training:
            self.kept = self.weight.detach().clone()
        return nn.functional.linear(x, self.weight if self.training else self.kept)


def test_a_loss_that_does_not_see_the_moved_weights_is_no_flat_one():
    torch.manual_seed(0)
    x, y, model = torch.randn(20, 4), torch.randint(0, 3, (20,)), Stored(4, 3, bias=False)
    model(x)
    with pytest.warns(RuntimeWarning, match="at all moved weights, to the last bit"):
        sharpness.average_loss(model, x, y, sigma=0.3)
    with pytest.raises(ValueError, match="does not depend on the weights"):
        sharpness.worst_loss_in_ball(model, x, y, rho=0.3)
    plain = nn.Linear(4, 3, bias=False)
    with pytest.warns(RuntimeWarning, match="below their precision"):
        sharpness.worst_loss_in_ball(plain, x, y, rho=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sharpness.average_loss(plain, x, y, sigma=0.0)
        sharpness.average_loss(plain, x, y, sigma=0.3)
        sharpness.average_loss(plain, x, y, 1e-6, loss=lambda out, y: (out.argmax(1) != y).double().mean())
        sharpness.worst_loss_in_ball(plain, x, y, rho=0.0)
        sharpness.worst_loss_in_ball(plain, x, y, rho=0.3)
        with torch.no_grad():  # images fitted so well that the loss is 0 in float32, nearby too: flat indeed
            plain.weight.copy_(1000 * torch.eye(3, 4))
        found = sharpness.worst_loss_in_ball(plain, torch.eye(3, 4), torch.arange(3), rho=0.3)
        assert found.loss == found.worst == 0


def test_average_loss_leaves_the_model_and_the_random_state():
    model, (x, y) = net().train(), batch()
    before, state = [p.clone() for p in model.parameters()], torch.get_rng_state()
    model[0].weight.requires_grad_(False)
    one, two = (sharpness.average_loss(model, x, y, 0.1, 5) for _ in range(2))
    assert one == two != sharpness.average_loss(model, x, y, 0.1, 5, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert torch.equal(state, torch.get_rng_state()) and all(m.training for m in model.modules())


BAD_NOISE = [(-1, 3, "sigma must be >= 0"), (0.1, 0, "draws must be >= 1"), (math.nan, 3, "sigma must be")]


@pytest.mark.parametrize("sigma, draws, message", BAD_NOISE)
def test_average_loss_refuses_bad_numbers(sigma, draws, message):
    with pytest.raises(ValueError, match=message):
        sharpness.average_loss(net(), *batch(), sigma, draws)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(0.01, 1))
def test_adaptive_ball_of_a_linear_loss(seed, rho):
    """max of g.e over |e/|w|| <= rho is rho times the length of |w| g; a weight that is 0 stays."""
    draw = torch.randn(2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    w, g = draw[0] * torch.tensor([1.0, 1.0, 1.0, 0.0]), draw[1]
    found = sharpness.worst_loss_in_ball(Weights(w), X, Y, rho, 5, lambda v, _: v @ g, adaptive=True)
    assert found.sharpness == pytest.approx(rho * float((w.abs() * g).norm()), rel=1e-9)


def test_adaptive_eigenvalue_against_the_explicit_matrix():
    h, w = with_eigenvalues((3.0, -5.0, 0.5)), torch.tensor([0.3, 2.0, -1.0], dtype=torch.float64)
    exact = float(torch.linalg.eigvalsh(w.abs() * h * w.abs()[:, None])[-1])
    found = sharpness.top_eigenvalue(Weights(w), X, Y, quadratic(h), 5000, 1e-8, adaptive=True)
    assert found == pytest.approx(exact, rel=1e-4)


class InPlace(nn.Module):
    """Changes its batch: as users normalise, and as torch's own layers do with ``inplace=True``."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    def forward(self, x):
        return self.how(x)


@pytest.mark.parametrize(
    "how", [lambda x: x.sub_(0.5).div_(0.3), nn.Hardtanh(0.2, 0.7, inplace=True), lambda x: x.mul_(-1.5)]
)
def test_models_that_change_their_batch_in_place(how):
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(10, 4, generator=generator), torch.arange(10) % 3
    last = nn.Linear(4, 3)
    model, given, done = nn.Sequential(InPlace(how), last), x.clone(), how(x.clone())
    for measure in (
        lambda m, x: sharpness.worst_loss_in_ball(m, x, y, rho=0.3, steps=5).worst,
        lambda m, x: sharpness.average_loss(m, x, y, sigma=0.2, draws=5),
        lambda m, x: sharpness.top_eigenvalue(m, x, y),
    ):
        assert measure(model, given) == pytest.approx(measure(last, done), rel=1e-5)
        assert torch.equal(given, x)
