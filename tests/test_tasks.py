"""The loop on tasks other than one label per row: right numbers, or a clear refusal."""

from __future__ import annotations

import copy
import dataclasses
import math
import warnings
from collections import namedtuple
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional

from sam_edu import sharpness, training
from sam_edu.objectives import ERM, ESAM, SAM, BatchLoss, EntropySGD, SAMOptimizer, SparseSAM


def epoch(model, x, y, loss_of=functional.cross_entropy, size=8, make=SAM, **more):
    torch.manual_seed(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    return training.train_epoch(make(model), optimizer, x, y, size, loss_of=loss_of, **more)


def test_segmentation_counts_predictions_and_leaves_ignored_labels_out():
    torch.manual_seed(0)
    x, y = torch.rand(16, 3, 8, 8), torch.randint(5, (16, 8, 8))
    y[:, :3], y[0] = 255, 255
    model = nn.Conv2d(3, 5, 1)
    found = epoch(model, x, y, nn.CrossEntropyLoss(ignore_index=255))
    counts = y != 255
    assert found.accuracy == pytest.approx(float((model(x).argmax(1) == y)[counts].double().mean()))


def swapped(outputs, y, **reduction):
    """A loss of one's own for outputs (n, words, classes)."""
    return functional.cross_entropy(outputs.transpose(1, 2), y, **reduction)


class Swap(nn.Module):
    def forward(self, x):
        return x.transpose(1, 2)


@pytest.mark.parametrize("words", [7, 6])  # 6 is the number of classes, too
def test_tagging_counts_along_the_axis_of_the_classes(words):
    torch.manual_seed(0)
    x, y = torch.rand(20, words, 4), torch.randint(6, (20, words))  # in batches of 8, 8 and 4
    y[:, 0] = -100
    model = nn.Linear(4, 6)
    right = float((model(x).argmax(2) == y)[y >= 0].double().mean())
    for loss in (functional.cross_entropy, nn.CrossEntropyLoss(), partial(functional.cross_entropy)):
        assert epoch(nn.Sequential(model, Swap()), x, y, loss).accuracy == pytest.approx(right)
    if words != 6:
        assert epoch(model, x, y, swapped).accuracy == pytest.approx(right)
        return
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("default")
        found = epoch(model, x, y, swapped)
    assert math.isnan(found.accuracy) and math.isfinite(found.loss)
    (line,) = [str(warning.message) for warning in said]
    assert "classes of outputs (n, 6, 6) could be axis 1 or the last one" in line and "\n" not in line


def test_one_logit_many_labels_soft_labels_and_regression():
    torch.manual_seed(0)
    x, model = torch.randn(32, 4), nn.Linear(4, 1)
    yes = torch.randint(2, (32, 1)).float()
    right = float(((model(x) > 0) == (yes > 0.5)).double().mean())
    for loss in (functional.binary_cross_entropy_with_logits, nn.BCEWithLogitsLoss()):
        assert epoch(model, x, yes, loss).accuracy == pytest.approx(right)
    squashed = nn.Sequential(model, nn.Sigmoid())
    assert epoch(squashed, x, yes, nn.BCELoss()).accuracy == pytest.approx(right)
    many, each = nn.Linear(4, 5), torch.randint(2, (32, 5)).float()
    expected = float(((many(x) > 0) == (each > 0.5)).double().mean())
    assert epoch(many, x, each, nn.BCEWithLogitsLoss()).accuracy == pytest.approx(expected)
    assert math.isnan(epoch(model, x, torch.zeros(32, 1), functional.mse_loss).accuracy)
    assert math.isnan(epoch(many, x, torch.randn(32, 5), nn.HuberLoss()).accuracy)
    for classes in (6, 8):  # 8 is the size of the batch, too
        soft, model = torch.rand(32, classes).softmax(1), nn.Linear(4, classes)
        expected = float((model(x).argmax(1) == soft.argmax(1)).double().mean())
        assert epoch(model, x, soft).accuracy == pytest.approx(expected)


Inception = namedtuple("Inception", "logits aux_logits")


@dataclasses.dataclass(frozen=True)
class Output:
    logits: torch.Tensor
    aux: torch.Tensor | None = None


class Auxiliary(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.a, self.b, self.kind = nn.Linear(4, 3), nn.Linear(4, 3), kind

    def forward(self, x):
        one, other = self.a(x), self.b(x)
        return {
            "tuple": (one, other),
            "named": Inception(one, other),
            "list": [one, other],
            "dict": {"aux": other, "out": one},
            "logits": {"loss": other.mean(), "logits": one},
            "dataclass": Output(one, other),
            "namespace": SimpleNamespace(aux=other, logits=one, name="of the net"),
        }[self.kind]


@pytest.mark.parametrize("kind", ["tuple", "named", "list", "dict", "logits", "dataclass", "namespace"])
@pytest.mark.parametrize("make", [
    ERM, SAM, lambda m: SAM(m, m=3), ESAM, lambda m: SparseSAM(m, samples=2),
    lambda m: EntropySGD(m, steps=2),
])  # fmt: skip
def test_several_outputs(kind, make):
    def loss_of(outputs, y, **reduction):
        parts = (
            outputs if isinstance(outputs, tuple | list) else getattr(outputs, "__dict__", outputs).values()
        )
        return sum(functional.cross_entropy(p, y, **reduction) for p in parts if getattr(p, "ndim", 0) == 2)

    torch.manual_seed(0)
    x, y, model = torch.randn(20, 4), torch.randint(3, (20,)), Auxiliary(kind)
    found = epoch(model, x, y, loss_of, make=make)
    if isinstance(make(model), EntropySGD):  # sees all but its first mini-batch during the walk
        assert 0 <= found.accuracy <= 1
    else:
        assert found.accuracy == pytest.approx(float((model.a(x).argmax(1) == y).double().mean()))


@dataclasses.dataclass
class Batch:
    words: torch.Tensor
    numbers: torch.Tensor


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.numbers = nn.EmbeddingBag(9, 3), nn.Linear(4, 3)

    def forward(self, x):
        x = vars(x) if isinstance(x, Batch) else x
        words, numbers = (x["words"], x["numbers"]) if isinstance(x, dict) else x
        return self.words(words) + self.numbers(numbers)


@pytest.mark.parametrize("make", [
    ERM, SAM, lambda m: SAM(m, m=3), ESAM, lambda m: SparseSAM(m, samples=2),
    lambda m: EntropySGD(m, steps=2),
])  # fmt: skip
@pytest.mark.parametrize("kind", [dict, tuple, Batch])
def test_several_inputs(make, kind):
    torch.manual_seed(0)
    parts, y = {"words": torch.randint(9, (20, 5)), "numbers": torch.randn(20, 4)}, torch.randint(3, (20,))
    x, model = kind(**parts) if kind is not tuple else tuple(parts.values()), TwoInputs()
    found = epoch(model, x, y, make=make)
    if isinstance(make(model), EntropySGD):
        assert 0 <= found.accuracy <= 1
    else:
        assert found.accuracy == pytest.approx(float((model(x).argmax(1) == y).double().mean()))


def test_a_module_as_loss_where_single_losses_are_needed():
    torch.manual_seed(0)
    x, y, results = torch.randn(12, 4), torch.randint(3, (12,)), []
    for loss in (functional.cross_entropy, nn.CrossEntropyLoss()):
        torch.manual_seed(1)
        model = nn.Linear(4, 3)
        ESAM(model).backward(BatchLoss(model, x, y, loss))
        results.append(model.weight.grad)
    assert torch.equal(*results)


def test_a_last_batch_of_one_row():
    torch.manual_seed(0)
    x, y = torch.randn(33, 4), torch.randint(3, (33,))
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    with pytest.raises(ValueError, match=r"a last batch of one \(drop_last=True\)"):
        epoch(model, x, y)
    assert epoch(model, x, y, drop_last=True).loss < 10
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert len(training.fit(SAM(model), optimizer, x, y, 2, 8, drop_last=True)) == 2
    with pytest.raises(ValueError, match="33 samples are less than batch_size = 64"):
        epoch(model, x, y, size=64, drop_last=True)


@pytest.mark.parametrize("epochs, falls", [
    (1, []), (2, [1]), (3, [2]), (4, [3]), (5, [3, 4]), (20, [15, 18]),
])  # fmt: skip
def test_schedules_of_few_epochs(epochs, falls):
    model, rates = nn.Linear(2, 2), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    optimizer.register_step_pre_hook(lambda *_: rates.append(optimizer.param_groups[0]["lr"]))
    training.fit(ERM(model), optimizer, torch.eye(2), torch.tensor([0, 1]), epochs=epochs, batch_size=2)
    assert rates == pytest.approx([0.5 * 0.1 ** sum(e >= at for at in falls) for e in range(epochs)])


def test_the_ignored_label_of_the_loss_does_not_count():
    """A padding class 0, a void class -1: the model says 1, which is right wherever it is asked."""

    class One(nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = nn.Parameter(torch.tensor([0.0, 9.0, 0.0]))

        def forward(self, x):
            return self.bias.expand(len(x), 3)

    x = torch.zeros(16, 1)
    for void in (0, -1, 2):
        y = torch.tensor([1, void] * 8)
        for loss in (
            nn.CrossEntropyLoss(ignore_index=void),
            partial(functional.cross_entropy, ignore_index=void),
        ):
            assert epoch(One(), x, y, loss).accuracy == 1
    assert epoch(One(), x, torch.tensor([1, 0] * 8)).accuracy == 0.5


TYPES = (
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64,
)  # fmt: skip


def test_labels_of_any_whole_number_type():
    torch.manual_seed(0)
    x, y = torch.randn(16, 4), torch.randint(3, (16,))
    found = []
    for dtype in TYPES:
        torch.manual_seed(1)
        found.append(epoch(nn.Linear(4, 3), x, y.to(dtype)))
    assert found == found[:1] * len(TYPES)
    torch.manual_seed(1)
    yes = epoch(nn.Linear(4, 2), x, y > 0)
    torch.manual_seed(1)
    assert yes == epoch(nn.Linear(4, 2), x, (y > 0).long())


@pytest.mark.parametrize("n, m, hint", [(8, 9, "8 samples and y 9 labels"), (9, 8, "9 samples and y 8"),
                                        (0, 0, "x is empty")])  # fmt: skip
def test_samples_and_labels_must_pair_up(n, m, hint):
    with pytest.raises(ValueError, match=hint):
        epoch(nn.Linear(4, 3), torch.randn(n, 4), torch.zeros(m, dtype=torch.long))


@pytest.mark.parametrize("make, hint", [
    (lambda p: SAMOptimizer(p, torch.optim.SGD, lr=0.1), "pass the base optimizer"),
    (lambda p: torch.optim.LBFGS(p), "LBFGS calls a closure"),
    (lambda p: torch.optim.SGD(nn.Linear(4, 3).parameters(), lr=0.1), "would never learn"),
])  # fmt: skip
def test_optimizers_that_cannot_take_the_step_are_refused(make, hint):
    model = nn.Linear(4, 3)
    with pytest.raises(ValueError, match=hint):
        training.train_epoch(
            SAM(model), make(model.parameters()), torch.randn(8, 4), torch.zeros(8).long(), 4
        )


@pytest.mark.parametrize("make", [ERM, SAM, ESAM])
def test_models_without_a_gradient_for_training(make):
    x, y, model = torch.randn(8, 4), torch.randint(3, (8,)), nn.Linear(4, 3)
    for through, hint in (
        (lambda v: torch.from_numpy(v.numpy()), "through NumPy"),
        (lambda v: v.detach(), "argmax, rounding, torch.no_grad"),
        (lambda v: functional.one_hot(v.argmax(1), 3).float(), "argmax, rounding, torch.no_grad"),
    ):
        with pytest.raises(ValueError, match=hint):
            make(model).backward(BatchLoss(lambda v, f=through: f(model(v)), x, y))
    with torch.inference_mode(), pytest.raises(ValueError, match="outside torch"):
        make(model).backward(BatchLoss(model, x, y))


@pytest.mark.parametrize("through", ["objective", "optimizer"])
def test_a_closure_that_draws_its_batch_is_told(through):
    batches, model = iter([(torch.randn(4, 4), torch.zeros(4).long())] * 4), nn.Linear(4, 3)

    def loss():
        x, y = next(batches)
        return functional.cross_entropy(model(x), y)

    def with_backward():
        model.zero_grad()
        x, y = next(batches)
        found = functional.cross_entropy(model(x), y)
        found.backward()
        return found

    with pytest.warns(UserWarning, match="draw the batch before the step"):
        if through == "objective":
            SAM(model).backward(loss)
        else:
            SAMOptimizer(model.parameters(), torch.optim.SGD, lr=0.1).step(with_backward)


def test_what_the_base_optimizer_can_do_is_within_reach():
    class ScheduleFree(torch.optim.SGD):
        mode = "train"

        def eval(self):
            self.mode = "eval"

    model = nn.Linear(2, 2)
    optimizer = SAMOptimizer(model.parameters(), ScheduleFree, lr=0.1)
    optimizer.eval()
    assert optimizer.base_optimizer.mode == optimizer.mode == "eval"
    assert not hasattr(optimizer, "no_such_thing") and not hasattr(copy.copy(optimizer), "other")


def test_maximising_in_the_loop_is_refused():
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, maximize=True)
    with pytest.raises(ValueError, match="negate what is to be maximised"):
        training.step(SAM(model), optimizer, torch.eye(2), torch.tensor([0, 1]))


def test_all_labels_ignored_is_no_divergence_without_a_hint():
    with pytest.raises(FloatingPointError, match="without any label that counts"):
        epoch(nn.Linear(4, 3), torch.randn(8, 4), torch.full((8,), -100), make=ERM)


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_samples_that_are_not_finite_are_not_the_learning_rates_fault(odd):
    x = torch.randn(8, 4)
    x[5, 2] = odd
    with pytest.raises(FloatingPointError, match=r"x holds NaN or infinity.*repair the samples"):
        epoch(nn.Linear(4, 3), x, torch.zeros(8, dtype=torch.long))


# --- second derivatives -----------------------------------------------------------------------------------


def test_attention_linear_losses_and_recurrent_layers_have_a_top_eigenvalue():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model, y = nn.Sequential(layer, nn.Flatten(), nn.Linear(40, 3)), torch.tensor([0, 1, 2, 0])
    assert 0 < sharpness.top_eigenvalue(model, torch.randn(4, 5, 8), y, tol=1e-2) < 1e3

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv, self.head = nn.Linear(8, 24), nn.Linear(8, 3)

        def forward(self, x):
            q, k, v = self.qkv(x).chunk(3, -1)
            return self.head(functional.scaled_dot_product_attention(q, k, v, is_causal=True).mean(1))

    assert 0 < sharpness.top_eigenvalue(Own(), torch.randn(4, 5, 8), y, tol=1e-2) < 1e3
    linear = sharpness.top_eigenvalue(
        nn.Linear(3, 1), torch.ones(4, 3), torch.zeros(4), loss=lambda out, y: out.mean()
    )
    constant = sharpness.top_eigenvalue(
        nn.Linear(3, 1), torch.ones(4, 3), torch.zeros(4), loss=lambda out, y: (out - 1).sum() * 3
    )
    assert linear == constant == 0

    class Reads(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.head = nn.LSTM(8, 6, batch_first=True, bidirectional=True), nn.Linear(12, 3)

        def forward(self, x):
            return self.head(self.rnn(x)[0][:, -1])

    assert 0 < sharpness.top_eigenvalue(Reads(), torch.randn(4, 5, 8), y, tol=1e-2) < 1e3


class Hidden(torch.autograd.Function):
    @staticmethod
    def forward(ctx, v):
        ctx.save_for_backward(v)
        return v.tanh()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return gradient * (1 - ctx.saved_tensors[0].tanh() ** 2)


class Outside(Hidden):
    @staticmethod
    def backward(ctx, gradient):
        slope = 1 - ctx.saved_tensors[0].tanh() ** 2
        return torch.from_numpy(gradient.detach().numpy() * slope.detach().numpy())


@pytest.mark.parametrize("function", [Hidden, Outside])
def test_a_hidden_second_derivative_is_said(function):
    """torch leaves it out without a word, and the eigenvalue is half of what it should be."""
    torch.manual_seed(0)
    x, y, first, last = torch.randn(16, 6), torch.randint(3, (16,)), nn.Linear(6, 4), nn.Linear(4, 3)

    class Net(nn.Module):
        def __init__(self, middle):
            super().__init__()
            self.first, self.last, self.middle = first, last, middle

        def forward(self, x):
            return self.last(self.middle(self.first(x)))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for open_one in (torch.tanh, torch.relu, nn.LayerNorm(4), lambda v: 1e-4 * v):
            sharpness.top_eigenvalue(Net(open_one), x, y, max_iterations=1000)
    with pytest.warns(RuntimeWarning, match="not symmetric"):
        sharpness.top_eigenvalue(Net(function.apply), x, y, max_iterations=1000)


def test_eigenvalues_that_cannot_be_had():
    x, y, model = torch.randn(16, 6), torch.randint(3, (16,)), nn.Linear(6, 3)
    for measure in (sharpness.top_eigenvalue, lambda *a, **k: sharpness.worst_loss_in_ball(*a, 0.1, **k)):
        with pytest.raises(ValueError, match="no_grad, argmax"):
            measure(model, x, y, loss=lambda out, y: functional.cross_entropy(out.detach(), y))
    with pytest.raises(ValueError, match="view_as_real"):
        turned = nn.Linear(6, 3, dtype=torch.cfloat)
        sharpness.top_eigenvalue(turned, x.cfloat(), y, lambda out, y: functional.cross_entropy(out.abs(), y))


def test_a_batch_too_small_for_its_processes_and_an_empty_one():
    with pytest.raises(ValueError, match="too few for 4 processes"):
        epoch(nn.Linear(4, 3), torch.randn(18, 4), torch.zeros(18).long(), share=(0, 4))
    for make in (ESAM, EntropySGD, SparseSAM, lambda m: SAM(m, m=2)):
        model = nn.Linear(4, 3)
        with pytest.raises(ValueError, match="the batch is empty"):
            make(model).backward(BatchLoss(model, torch.randn(0, 4), torch.zeros(0).long()))


def test_a_missing_second_derivative_is_said():
    class Fused(nn.Module):
        """A fast kernel called by its own name, which no setting replaces."""

        def __init__(self):
            super().__init__()
            self.qkv, self.head = nn.Linear(8, 24), nn.Linear(8, 3)

        def forward(self, x):
            q, k, v = self.qkv(x)[:, None].chunk(3, -1)
            out = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v)[0]
            return self.head(out[:, 0].mean(1))

    with pytest.raises(RuntimeError, match="no second derivative in torch"):
        sharpness.top_eigenvalue(Fused(), torch.randn(4, 5, 8), torch.tensor([0, 1, 0, 1]))


@pytest.mark.parametrize("name", ["mse", "poisson", "binary"])
def test_whole_numbers_beside_one_output_are_no_classes(name):
    """With one column its index is 0, which would be right wherever the label is."""
    torch.manual_seed(0)
    x, y = torch.randn(32, 4), torch.randint(2 if name == "binary" else 9, (32,))

    def mse(outputs, y, reduction="mean"):
        return nn.functional.mse_loss(outputs[:, 0], y.float(), reduction=reduction)

    def poisson(outputs, y, reduction="mean"):
        return nn.functional.poisson_nll_loss(outputs[:, 0], y.float(), reduction=reduction)

    def bce_with_logits(outputs, y, reduction="mean"):
        return nn.functional.binary_cross_entropy_with_logits(outputs[:, 0], y.float(), reduction=reduction)

    loss_of = {"mse": mse, "poisson": poisson, "binary": bce_with_logits}[name]
    model = nn.Linear(4, 1)
    right = ((model(x)[:, 0] > 0) == (y > 0.5)).double().mean()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)
    found = training.train_epoch(SAM(model), optimizer, x, y, 8, loss_of=loss_of).accuracy
    assert found == pytest.approx(float(right)) if name == "binary" else math.isnan(found)
