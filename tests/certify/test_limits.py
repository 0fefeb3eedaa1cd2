"""The ends of float32 and of what can be asked: no proof of what float32 does not do, errors at the door."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from sam_edu import _precision
from sam_edu.certify import asked, certify, from_model
from sam_edu.certify.asked import Asked
from sam_edu.evaluation import evaluate
from sam_edu.models import Normalized
from tests.certify.test_bounds import net
from tests.certify.test_verdicts import minimum_over_polygons

X = torch.rand(5, 1, 2, 2, generator=torch.Generator().manual_seed(0))
MODEL = net([4, 6, 3])
Y = MODEL(X).argmax(1)


def linear(weight, bias):
    layer = nn.Linear(len(weight[0]), len(weight))
    layer.weight.data, layer.bias.data = torch.tensor(weight), torch.tensor(bias)
    return layer


def wrong_in(model, x, y, low, high):
    """How many of 1001 images of one pixel, from low to high, are classified wrongly."""
    logits = model(torch.linspace(low, high, 1001)[:, None])
    return int(((logits.argmax(1) != y) | logits.isnan().any(1)).sum())


@pytest.mark.parametrize("scale", [1.0, 1e-20, 1e-32])
def test_small_weights_that_a_later_layer_makes_large_again(scale):
    """ReLU networks are homogeneous: the logits are 0.3 and relu(x - 0.5), whatever the scale."""
    first = linear([[scale]], [-0.5 * scale])
    model = nn.Sequential(first, nn.ReLU(), linear([[0.0], [1 / scale]], [0.3, 0.0]))
    x, y = torch.tensor([[0.5]]), torch.tensor([0])
    assert wrong_in(model, x, 0, 0.1, 0.9) > 100
    assert certify(model, x, y, 0.4).verdicts() == ["broken"]
    assert certify(model, x, y, 0.25).verdicts() == ["proved"]


@pytest.mark.parametrize("scale", [1.0, 1e-20, 1e-32])
def test_the_minimum_over_an_l2_ball_scales_with_the_row(scale):
    """Logits x1 + x2 and 0.9, times the scale: from (0.6, 0.6) the border is 0.3 / sqrt 2 away."""
    model, x = linear([[scale, scale], [0.0, 0.0]], [0.0, 0.9 * scale]), torch.tensor([[0.6, 0.6]])
    for eps, verdict in ((0.21, "proved"), (0.22, "broken")):
        assert certify(model, x, torch.tensor([0]), eps, "l2").verdicts() == [verdict]


def test_what_underflows_is_no_proof():
    """The second logit is 1e-45 x: float32 has nothing between 0 and 1.4e-45, so that it is 0 below 0.7."""
    model = nn.Sequential(linear([[1e-23]], [0.0]), nn.ReLU(), linear([[0.0], [1e-22]], [0.0, 0.0]))
    x, y = torch.tensor([[0.9]]), torch.tensor([1])
    assert model(x).argmax(1) == 1 and wrong_in(model, x, 1, 0.3, 1.0) > 100
    assert certify(model, x, y, 0.6).verdicts() == ["broken"]
    assert certify(model, x, y, 0.1).verdicts() == ["undecided"]


def test_what_overflows_is_no_proof():
    """Above 0.86 both logits are infinite in float32."""
    first = linear([[2e20]], [0.0])
    model = nn.Sequential(first, nn.ReLU(), linear([[2.0e18], [2.1e18]], [0.0, 0.0]))
    x, y = torch.tensor([[0.3], [0.6]]), torch.tensor([1, 1])
    assert (model(x).argmax(1) == 1).all() and wrong_in(model, x, 1, 0.2, 1.0) > 10
    assert certify(model, x[1:], y[1:], 0.4).verdicts() != ["proved"]
    assert certify(model, x[:1], y[:1], 0.05).verdicts() == ["proved"]


def test_pooling_adds_up_what_padding_has_made():
    """One pixel becomes 41 x 41, each with the bias of the convolution."""
    model = nn.Sequential(nn.Conv2d(1, 2, 1, padding=20), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert from_model(model, (1, 1, 1)).layers[0].terms >= 41 * 41


def test_a_negative_divisor_leaves_what_bounds_the_rounding_positive():
    pools = [nn.Sequential(nn.AvgPool2d(2, divisor_override=d), nn.Flatten()) for d in (-3, 3)]
    ours, theirs = (
        from_model(nn.Sequential(nn.Conv2d(1, 2, 1), pool), (1, 2, 2)).layers[0] for pool in pools
    )
    assert ours.size.min() >= 0 and ours.offset.min() >= 0 and ours.terms == theirs.terms


@pytest.fixture
def elsewhere():
    kept = torch.get_default_dtype(), torch.get_default_device()
    yield
    torch.set_default_dtype(kept[0]), torch.set_default_device(kept[1])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_default_dtype_changes_nothing(elsewhere, dtype):
    model = Normalized(copy.deepcopy(MODEL), [0.3012345], [0.412345]).eval()
    plain, bounds = certify(model, X, Y, 0.1), from_model(model, X.shape[1:]).layers[0]
    low = evaluate(model, X, Y, 0.1, certify=10).at[0].bracket
    torch.set_default_dtype(dtype)
    assert certify(model, X, Y, 0.1).verdicts() == plain.verdicts()
    assert torch.equal(from_model(model, X.shape[1:]).layers[0].weight, bounds.weight)
    assert evaluate(model, X, Y, 0.1, certify=10).at[0].bracket == low


def test_normalisation_is_read_in_the_precision_that_it_has():
    model = Normalized(copy.deepcopy(MODEL), [0.3], [0.4]).double().eval()
    model.mean.fill_(0.1), model.std.fill_(0.3)
    x = X.double()
    assert torch.allclose(from_model(model, x.shape[1:])(x.flatten(1)), model(x), rtol=0, atol=1e-14)


def test_the_default_device_changes_nothing(elsewhere):
    """ "meta" stands for a GPU: what lands there cannot be mixed with the rest."""
    plain = certify(MODEL, X, Y, 0.1)
    torch.set_default_device("meta")
    assert certify(MODEL, X, Y, 0.1).verdicts() == plain.verdicts()


def test_images_that_rounding_has_left_outside_are_those_inside():
    """As evaluate has it: the ball is that around 1, where this model is wrong."""
    model, x = linear([[1e6], [0.0]], [-1e6 - 2, 0.0]), torch.tensor([[1 + 5e-6]])
    assert model(x).argmax(1) == 0 and model(torch.ones(1, 1)).argmax(1) == 1
    assert certify(model, x, torch.tensor([0]), 1e-6).verdicts() == ["broken"]


@pytest.mark.parametrize("stop", [1, 2, 5, 10])
def test_a_search_that_was_interrupted_goes_on_where_it_stopped(stop):
    """Nothing is proved by cases that were being looked at when Ctrl-C came; the search needs 15 here."""
    model, x = net([2, 10, 10, 3], 19), torch.rand(1, 2, generator=torch.Generator().manual_seed(19))
    y = model(x).argmax(1)
    lowest, _ = minimum_over_polygons(model, x[0], int(y), 0.5)
    with torch.no_grad():
        model[-1].bias[int(y)] -= 1e-4 + lowest
    asked = Asked(model, from_model(model, (2,)), x, y, 0.5, "linf")
    asked.relax()
    calls, task = 0, asked._begun(torch.tensor([0]))
    fooled = task.fooled

    def interrupted(images, points):
        nonlocal calls
        calls += 1
        if calls == stop:
            raise KeyboardInterrupt
        return fooled(images, points)

    task.fooled = interrupted
    with pytest.raises(KeyboardInterrupt):
        task.run(1000)
    assert task.run(1000).tolist() == [False] and set(task.examples) == {0}


def with_weight(value):
    model = copy.deepcopy(MODEL)
    model[1].weight.data[0, 0] = value
    return model


MODELS = {
    "NaN or infinity": lambda: with_weight(torch.nan),
    "contain NaN or infinity": lambda: with_weight(torch.inf),
    "meta device": lambda: copy.deepcopy(MODEL).to("meta"),
    "of a torch.nn.Module, got function": lambda: lambda x: MODEL(x),
    "does not take": lambda: net([9, 3]),
    "mixes the inputs": lambda: nn.Sequential(nn.Flatten(0), nn.ReLU()),
    "no numbers": lambda: net([4, 0, 3]),
    "weights of torch.float64": lambda: copy.deepcopy(MODEL).double(),
    "bfloat16; call model": lambda: nn.Sequential(nn.BatchNorm2d(1, affine=False), nn.Flatten()).bfloat16(),
}


@pytest.mark.filterwarnings("ignore:Initializing zero-element")
@pytest.mark.parametrize("message", MODELS)
def test_models_that_prove_nothing_are_refused(message):
    with pytest.raises(ValueError, match=message):
        certify(MODELS[message]().eval() if message[:2] != "of" else MODELS[message](), X, Y, 0.1)


def test_a_model_without_weights_takes_no_half_precision():
    """Pooling rounds to eight bits in bfloat16."""
    pool = nn.Sequential(nn.AvgPool2d((1, 2)), nn.Flatten())
    with pytest.raises(ValueError, match=r"call x.float"):
        certify(pool, X.bfloat16(), Y.clamp(max=1), 0.1)


def test_autocast_is_refused_before_an_attack():
    with torch.autocast("cpu", torch.bfloat16):
        for ask in (certify, lambda *all_: evaluate(*all_, certify=True)):
            with pytest.raises(ValueError, match="autocast"):
                ask(MODEL, X, Y, 0.1)


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_products_with_short_factors_are_refused(precision):
    """TF32 keeps 11 bits of each factor, bfloat16 8; whether this processor has them or not."""
    torch.set_float32_matmul_precision(precision)
    try:
        with pytest.raises(ValueError, match="TF32"):
            certify(MODEL, X, Y, 0.1)
    finally:
        torch.set_float32_matmul_precision("highest")
    assert certify(MODEL, X, Y, 0.0).proved.all()


def test_convolutions_on_a_gpu_that_has_tf32_are_refused(monkeypatch):
    """torch allows it there by default. With a stand-in for a layer on a GPU, and for what the GPU can do."""
    layer = nn.Conv2d.__new__(nn.Conv2d)
    vars(layer)["weight"] = SimpleNamespace(device=torch.device("cuda:0"))
    for capability, refused in (((7, 5), False), ((8, 0), True)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, it=capability: it)
        assert _precision.shortens(layer) == refused
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    assert not _precision.shortens(layer)


def test_proofs_take_no_more_images_at_a_time_than_they_say(monkeypatch):
    seen, ask = [], asked.hits
    monkeypatch.setattr(asked, "_ATTACKED", 4)
    monkeypatch.setattr(asked, "hits", lambda logits, y: seen.append(len(y)) or ask(logits, y))
    many = X.repeat(4, 1, 1, 1)
    certify(MODEL, many, Y.repeat(4), 0.3, cases=0)
    assert max(seen) == 4 and sum(seen) >= len(many)


@pytest.mark.parametrize(
    "broken",
    [[True] * 5, Y.bool()[:1], Y.bool()[:4], Y.bool()[None], torch.tensor(True), torch.ones(5), Y.byte()],
)
def test_what_is_broken_already_is_one_bool_for_each_image(broken):
    with pytest.raises(ValueError, match=r"broken must be a torch tensor \(5,\) of bool"):
        certify(MODEL, X, Y, 0.1, broken=broken)


def test_numbers_of_any_kind_count_as_numbers():
    plain = certify(MODEL, X, Y, 0.2, cases=10, seconds=60).verdicts()
    for number in (str, float, torch.tensor):
        found = certify(MODEL, X, Y, number(0.2), cases=number(10), seconds=number(60))
        assert found.verdicts() == plain and isinstance(found.eps, float)
    with pytest.raises(ValueError, match="eps must be"):
        certify(MODEL, X, Y, torch.inf)


@pytest.mark.filterwarnings("ignore:Initializing zero-element")
def test_inputs_without_numbers_are_refused():
    with pytest.raises(ValueError, match="no numbers"):
        certify(nn.Sequential(nn.ReLU(), nn.Linear(0, 2)), torch.zeros(3, 0), Y[:3], 0.1)
