"""Losses whose mean is not the mean of its parts, gradients that are not dense and real, hooks that step."""

from __future__ import annotations

import copy
import functools
import math

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from sam_edu.objectives import ASAM, ERM, ESAM, SAM, BatchLoss, FisherSAM, LookSAM, SparseSAM
from tests.every_method import makers, perturbing

SETTINGS = {
    "asam": {"rho": 0.5}, "awp": {"gamma": 0.05}, "looksam": {"k": 2},
    "sparse-sam": {"every": 2, "samples": 4}, "entropy-sgd": {"gamma": 0.5, "steps": 3, "noise": 0.0},
}  # fmt: skip
MAKE = {name: make for name, make in makers(0.3, SETTINGS).items() if name in perturbing()} | {
    "m-SAM": lambda m: SAM(m, 0.3, m=4),
    "SSAM-D": lambda m: SparseSAM(m, 0.3, mask="dynamic", every=2, steps=20),
}
every_method = pytest.mark.parametrize("name", MAKE)


def data(n=12, classes=3):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, 4, generator=g, dtype=torch.float64)
    return x, torch.randint(classes, (n,), generator=g)


def linear(out=3):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Linear(4, out).double()


# --- what a mean divides by -------------------------------------------------------------------------------

IGNORED = torch.tensor([0, 1, -100, 2, 0, 1, -100, -100, -100, -100, 2, 1])
WEIGHTS = torch.tensor([1.0, 5.0, 0.2], dtype=torch.float64)
LOSSES = {
    "ignored labels": (cross_entropy, IGNORED),
    "a class module": (nn.CrossEntropyLoss(), IGNORED),
    "smoothed": (lambda o, y, **k: cross_entropy(o, y, label_smoothing=0.3, **k), IGNORED),
    "weights of classes": (lambda o, y, **k: cross_entropy(o, y, weight=WEIGHTS, **k), IGNORED),
    "another ignored index": (nn.CrossEntropyLoss(ignore_index=2), data()[1]),
    "nll": (lambda o, y, **k: functional.nll_loss(o.log_softmax(1), y, **k), IGNORED),
    "batchmean": (
        lambda o, y, reduction="batchmean": functional.kl_div(o.log_softmax(1), y, reduction=reduction),
        torch.rand(12, 3, dtype=torch.float64).softmax(1),
    ),
    "a sum": (lambda o, y, reduction="sum": cross_entropy(o, y, reduction=reduction), IGNORED),
    "regression": (nn.MSELoss(), torch.linspace(0, 1, 36, dtype=torch.float64).reshape(12, 3)),
    "no reduction": (lambda o, y: cross_entropy(o, y), data()[1]),
}


@pytest.mark.parametrize("m", [1, 4, 5, 12])
@pytest.mark.parametrize("loss", LOSSES)
def test_at_radius_zero_m_sharpness_is_the_plain_gradient(loss, m):
    loss_of, y = LOSSES[loss]
    x, plain, model = data()[0], linear(), linear()
    expected = ERM(plain).backward(BatchLoss(plain, x, y, loss_of))
    found = SAM(model, rho=0, m=m).backward(BatchLoss(model, x, y, loss_of))
    assert torch.allclose(found, expected, rtol=1e-12)
    assert torch.allclose(model.weight.grad, plain.weight.grad, rtol=1e-10, atol=1e-14)


def test_a_loss_that_couples_the_samples_is_refused():
    x, y = data()
    model = linear()
    coupled = lambda o, y: (o.T @ o / len(o)).square().mean() + cross_entropy(o, y, weight=WEIGHTS)  # noqa: E731
    with pytest.raises(TypeError, match="needs the losses of single samples"):
        SAM(model, m=5).backward(BatchLoss(model, x, y, coupled))


def test_a_loss_that_takes_the_argument_and_gives_one_number_is_refused_or_right():
    x, y = data()

    def coupled(outputs, y, reduction="mean"):
        return (outputs.T @ outputs / len(outputs)).square().mean() + cross_entropy(outputs, y)

    def alone(outputs, y, reduction="mean"):
        return cross_entropy(outputs, y)

    plain, model = linear(), linear()
    with pytest.raises(TypeError, match=r"losses of single samples: .* it gave one number"):
        SAM(model, m=5).backward(BatchLoss(model, x, y, coupled))
    ERM(plain).backward(BatchLoss(plain, x, y, alone))
    SAM(model, rho=0, m=5).backward(BatchLoss(model, x, y, alone))
    assert torch.allclose(model.weight.grad, plain.weight.grad, rtol=1e-10)


class Fixed(nn.Module):
    """Its reduction is settled when it is made, though there is an attribute of that name."""

    def __init__(self, weight=None, factor=1.0):
        super().__init__()
        self.reduction, self.factor = "mean", factor
        self.inner = nn.CrossEntropyLoss(weight=weight, reduction=self.reduction)

    def forward(self, outputs, y):
        return self.factor * self.inner(outputs, y)


class Focal(Fixed):
    def forward(self, outputs, y):
        single = cross_entropy(outputs, y, reduction="none")
        return ((1 - torch.exp(-single)) ** 2 * single).mean()


@pytest.mark.parametrize("loss_of", [Fixed(), Fixed(factor=3.0), Focal()])
def test_a_module_whose_reduction_is_settled_is_right_or_refused(loss_of):
    x, y = data()
    plain, model = linear(), linear()
    expected = ERM(plain).backward(BatchLoss(plain, x, y, loss_of))
    for m in (4, 5, 12):  # sub-batches count by their number of samples
        model.zero_grad()
        found = SAM(model, rho=0, m=m).backward(BatchLoss(model, x, y, loss_of))
        assert torch.allclose(found, expected, rtol=1e-12)
        assert torch.allclose(model.weight.grad, plain.weight.grad, rtol=1e-10)
    for make in (ESAM, SparseSAM):
        with pytest.raises(TypeError, match=r"losses of single samples: .* it gave one number"):
            make(model).backward(BatchLoss(model, x, y, loss_of))
    with pytest.raises(TypeError, match=r"losses of single samples: .* it gave one number"):
        SAM(model, m=5).backward(BatchLoss(model, x, y, Fixed(weight=WEIGHTS)))


def _with_decay(outputs, y, reduction="mean"):
    """What is added is a mean in either case: right in sub-batches."""
    return cross_entropy(outputs, y, reduction=reduction) + 0.1 * outputs.square().mean()


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("make", [
    lambda: _with_decay, nn.CrossEntropyLoss, lambda: torch.jit.script(nn.CrossEntropyLoss()),
    lambda: torch.compile(nn.CrossEntropyLoss(), backend="eager"),
])  # fmt: skip
def test_scripted_compiled_and_penalised_losses(make):
    loss_of, (x, y) = make(), data()
    plain, scripted = linear(), isinstance(loss_of, torch.jit.ScriptModule)
    ERM(plain).backward(BatchLoss(plain, x, y, loss_of))
    for method in (lambda m: SAM(m, rho=0, m=5), lambda m: ESAM(m, rho=0, beta=1.0, gamma=1.0)):
        model = linear()
        objective = method(model)
        if scripted and isinstance(objective, ESAM):
            with pytest.raises(TypeError, match="scripted loss has its reduction fixed"):
                objective.backward(BatchLoss(model, x, y, loss_of))
            continue
        objective.backward(BatchLoss(model, x, y, loss_of))
        assert torch.allclose(model.weight.grad, plain.weight.grad, rtol=1e-9)


def _hardest(outputs, y, reduction="mean"):
    single = cross_entropy(outputs, y, reduction="none")
    return single if reduction == "none" else single.topk(max(1, len(single) // 2)).values.mean()


def _median(outputs, y, reduction="mean"):
    single = cross_entropy(outputs, y, reduction="none")
    return single if reduction == "none" else single.median()


def _neighbours(outputs, y, reduction="mean"):
    beside = 0 if reduction == "none" else (outputs[1:] - outputs[:-1]).square().mean()
    return cross_entropy(outputs, y, reduction=reduction) + beside


def _contrastive(outputs, y, reduction="mean"):
    """Each sample against all others of its batch."""
    unit = functional.normalize(outputs, dim=1)
    return cross_entropy(unit @ unit.T / 0.5, torch.arange(len(unit)), reduction=reduction)


@pytest.mark.parametrize("loss_of", [_hardest, _median, _neighbours, _contrastive])
@pytest.mark.parametrize("m", [1, 5])
def test_a_loss_that_is_no_mean_of_single_losses_has_no_sub_batches(loss_of, m):
    x, y = data()
    model = linear()
    with pytest.raises(ValueError, match=r"not a weighted mean of the losses of single samples.*leave out m"):
        SAM(model, m=m).backward(BatchLoss(model, x, y, loss_of))
    SAM(model).backward(BatchLoss(model, x, y, loss_of))


@pytest.mark.parametrize("loss_of", [
    functools.partial(cross_entropy, label_smoothing=0.2), functools.partial(cross_entropy, ignore_index=1),
    lambda o, y, **more: cross_entropy(o, y, label_smoothing=0.2, weight=WEIGHTS.to(o), **more),
    lambda o, y, **more: cross_entropy(o, y, **more) + 0.1 * o.mean(),
])  # fmt: skip
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_means_of_every_kind_are_made_of_sub_batches(loss_of, dtype):
    x, y = data()
    plain, model = linear().to(dtype), linear().to(dtype)
    ERM(plain).backward(BatchLoss(plain, x.to(dtype), y, loss_of))
    SAM(model, rho=0, m=5).backward(BatchLoss(model, x.to(dtype), y, loss_of))
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 0.05}[dtype]
    torch.testing.assert_close(model.weight.grad, plain.weight.grad, rtol=tolerance, atol=tolerance)


@every_method
def test_ignored_labels_give_finite_gradients_and_losses(name):
    x, y = data()[0], IGNORED
    model = linear()
    objective = MAKE[name](model)
    for _ in range(3):
        model.zero_grad()
        assert objective.backward(BatchLoss(model, x, y)).isfinite() and model.weight.grad.isfinite().all()
        assert model.weight.grad.any()


# --- complex and sparse gradients -------------------------------------------------------------------------


class Fourier(nn.Module):
    """A spectral layer, with complex weights or with the same weights as pairs of real numbers."""

    def __init__(self, real):
        super().__init__()
        g = torch.Generator().manual_seed(3)
        start = torch.randn(3, 4, dtype=torch.complex128, generator=g)
        self.weight = nn.Parameter(torch.view_as_real(start).clone() if real else start)
        self.bias = nn.Parameter(torch.zeros(3, dtype=torch.float64))
        self.real = real

    def forward(self, x):
        w = torch.view_as_complex(self.weight) if self.real else self.weight
        return (torch.fft.fft(x) @ w.T).real + self.bias

    def gradient(self):
        return self.weight.grad if self.real else torch.view_as_real(self.weight.grad)


@every_method
def test_complex_weights(name):
    """Finite everywhere; where the rule does not depend on coordinates, that of two real numbers."""
    x, y = data()
    pair = [Fourier(False), Fourier(True)]
    objectives = [MAKE[name](m) for m in pair]
    for _ in range(3):
        for m, objective in zip(pair, objectives, strict=True):
            m.zero_grad()
            assert objective.backward(BatchLoss(m, x, y)).isfinite()
        assert all(m.gradient().isfinite().all() for m in pair)
        if name in ("SAM", "m-SAM", "LookSAM", "FriendlySAM", "Entropy-SGD"):
            assert torch.allclose(*(m.gradient() for m in pair), rtol=1e-9)


def test_fisher_takes_the_modulus():
    g, model = torch.tensor([3 + 4j], dtype=torch.complex128), nn.Linear(1, 1)
    e = FisherSAM(model, rho=1.0, eta=1.0).direction([torch.tensor([1 + 1j])], [g])[0]
    assert torch.allclose(e, g / 26 / (25 / 26) ** 0.5)


class Words(nn.Module):
    def __init__(self, sparse, kind=nn.EmbeddingBag):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.words, self.head = kind(50, 6, sparse=sparse), nn.Linear(6, 3)

    def forward(self, x):
        out = self.words(x)
        return self.head(out if out.dim() == 2 else out.mean(1))


@pytest.mark.parametrize("kind", [nn.EmbeddingBag, nn.Embedding])
@every_method
def test_sparse_gradients_are_as_good_as_dense_ones(name, kind):
    x, y = torch.randint(50, (16, 5), generator=torch.Generator().manual_seed(1)), data(16)[1]
    pair = [Words(sparse, kind) for sparse in (True, False)]
    objectives = [MAKE[name](m) for m in pair]
    for _ in range(3):
        for m, objective in zip(pair, objectives, strict=True):
            m.zero_grad()
            objective.backward(BatchLoss(m, x, y))
        one, other = (m.words.weight.grad for m in pair)
        assert torch.allclose(one.to_dense() if one.is_sparse else one, other, rtol=1e-5, atol=1e-7)


# --- backward passes that do more -------------------------------------------------------------------------


def _step(p, g):
    p.data.add_(g, alpha=-0.5)  # no version counter moves


def stepping(model, how):
    """Hooks that step inside the backward pass, in three of the ways in which people do it."""
    for p in model.parameters():
        if how == "optimizer":
            optimizer = torch.optim.SGD([p], lr=0.5)

            def hook(p, optimizer=optimizer):
                optimizer.step()
                optimizer.zero_grad()

            p.register_post_accumulate_grad_hook(hook)
        elif how == "data":
            p.register_post_accumulate_grad_hook(lambda p: _step(p, p.grad))
        else:
            p.register_hook(lambda g, p=p: _step(p, g))


@pytest.mark.parametrize("how", ["optimizer", "data", "tensor hook"])
@every_method
def test_steps_inside_the_backward_pass_are_refused_not_undone(name, how):
    if how == "tensor hook":
        pytest.skip("fires in the first pass, too") if name == "Entropy-SGD" else None
    (x, y), model = data(), linear()
    stepping(model, how)
    with pytest.raises(RuntimeError, match=r"inside the backward pass|never be called") as error:
        for _ in range(2):
            MAKE[name](model).backward(BatchLoss(model, x, y))
    assert "\n" not in str(error.value)
    plain = linear()
    stepping(plain, how)
    losses = [float(ERM(plain).backward(BatchLoss(plain, x, y))) for _ in range(10)]
    assert losses[-1] < losses[0]


def test_hooks_that_do_not_step_are_welcome():
    (x, y), model = data(), linear()
    seen = []
    for p in model.parameters():
        p.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.norm()))
    SAM(model).backward(BatchLoss(model, x, y))
    assert len(seen) == 2


def test_an_embedding_that_renorms_its_weights_is_no_step():
    with torch.random.fork_rng(devices=[]):
        model = nn.Sequential(nn.EmbeddingBag(9, 4, max_norm=0.1), nn.Linear(4, 3))
    x, y = torch.randint(9, (12, 3)), data()[1]
    for _ in range(2):
        SAM(model).backward(lambda: cross_entropy(model(x), y))
    assert model[0](x).norm(dim=1).max() <= 0.1 + 1e-6


@every_method
def test_reentrant_checkpoints_have_one_clear_line_and_the_others_work(name):
    x, y = data()

    class Saves(nn.Module):
        def __init__(self, reentrant):
            super().__init__()
            self.a, self.b, self.reentrant = linear(4), nn.Linear(4, 3).double(), reentrant

        def forward(self, x):
            hidden = self.a(x)
            return self.b(checkpoint(torch.tanh, hidden, use_reentrant=self.reentrant))

    model = Saves(True)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(RuntimeError, match="use_reentrant=False"):
        MAKE[name](model).backward(BatchLoss(model, x, y))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    model.reentrant = False
    assert MAKE[name](model).backward(BatchLoss(model, x, y)).isfinite()


# --- names ------------------------------------------------------------------------------------------------


def test_asam_rescales_what_is_called_weight():
    """The rule of the authors' code; names that hold neither word, and parametrised ones."""
    from torch.nn.utils import parametrizations, parametrize

    class Vision(nn.Module):
        def __init__(self):
            super().__init__()
            self.class_token, self.layer_scale = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(4))
            self.logit_scale = nn.Parameter(torch.ones(()))
            self.norm, self.rnn = nn.LayerNorm(4), nn.LSTM(4, 4)
            self.attention, self.linear = nn.MultiheadAttention(4, 2), nn.Linear(4, 4)
            self.low = nn.Linear(4, 4)
            parametrize.register_parametrization(self.linear, "bias", nn.Identity())
            parametrizations.weight_norm(self.low)

    model = Vision()
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(2.0)
    named = dict(model.named_parameters())
    t_w = zip(named, ASAM(model).scaling(list(named.values())), strict=True)
    scaled = {name for name, t in t_w if bool((t > 1).all())}
    assert scaled == {n for n in named if "weight" in n} and len(scaled) == 8
    assert not any("bias.original" in n or "token" in n or "scale" in n for n in scaled)


@pytest.mark.parametrize("method", [ERM, SAM, LookSAM])
def test_a_closure_that_goes_backward_itself_and_a_loss_instead_of_a_closure(method):
    x, y = data()
    model = linear()

    def as_for_an_optimizer():
        loss = cross_entropy(model(x), y)
        loss.backward()
        return loss

    with pytest.raises(RuntimeError, match=r"backward\(\) itself.*let it return the loss alone"):
        method(model).backward(as_for_an_optimizer)
    outside = model(x)  # a graph for two passes
    with pytest.raises(RuntimeError, match=r"second time: the closure returns the loss and leaves backward"):
        [method(model).backward(lambda: cross_entropy(outside, y)) for _ in range(2)]
    with pytest.raises(TypeError, match=r"a function that computes the loss.*got Tensor"):
        method(model).backward(cross_entropy(model(x), y))


def test_what_a_checkpoint_says_of_itself_is_left_as_it_is():
    """It was recomputed with other steps: no matter of use_reentrant."""
    x, y = data()
    model, sizes = linear(), iter([4, 3, 4, 3])

    def odd(h):
        for _ in range(next(sizes)):
            h = h.sin()
        return h

    def closure():
        return cross_entropy(checkpoint(odd, model(x), use_reentrant=False), y)

    with pytest.raises(RuntimeError, match=r"different metadata|different number"):
        SAM(model).backward(closure)


def test_the_message_for_a_batch_of_one():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).double()
    x, y = data(2)
    with pytest.raises(ValueError, match="a batch of one sample"):
        ESAM(model, gamma=0.5).backward(BatchLoss(model, x, y))
    assert not math.isnan(float(SAM(model).backward(BatchLoss(model, x, y))))
