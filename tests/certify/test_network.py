"""What is read of a model is what it computes, or it is refused: a proof is about the function itself."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from sam_edu.certify import certify, from_model

X = torch.rand(20, 1, 3, 3, generator=torch.Generator().manual_seed(0))


class SineLinear(nn.Linear):
    def forward(self, x):
        return super().forward(x).sin()


class Residual(nn.Sequential):
    def forward(self, x):
        return x - super().forward(x)


class Absolute(nn.ReLU):
    def forward(self, x):
        return x.abs()


class Standardised(nn.Conv2d):
    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, weight - weight.mean(), bias)


def net(first=None, act=None, last=None, inside=None):
    torch.manual_seed(0)
    first, act = first or nn.Linear(9, 8), act or nn.ReLU()
    middle = [inside] if inside is not None else []
    return nn.Sequential(nn.Flatten(), first, *middle, act, last or nn.Linear(8, 3))


def with_hook(kind, at):
    model = net()
    layer = model if at is None else model[at]
    if kind == "before":
        layer.register_forward_pre_hook(lambda module, inputs: (3 * inputs[0],))
    elif kind == "after":
        layer.register_forward_hook(lambda module, inputs, output: output.sin())
    else:
        layer.forward = torch.sin
    return model


def with_method(layer, name, method):
    setattr(layer, name, method)
    return layer


OTHERWISE = {
    "a call of one layer": lambda: net(act=with_method(nn.ReLU(), "_call_impl", torch.abs)),
    "a convolution of one layer": lambda: nn.Sequential(
        with_method(nn.Conv2d(1, 2, 2), "_conv_forward", lambda x, w, b: nn.functional.conv2d(x, -w, b)),
        *(nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)),
    ),
    "Linear": lambda: net(last=SineLinear(8, 3)),
    "Sequential": lambda: net(inside=Residual(nn.Linear(8, 8), nn.ReLU())),
    "ReLU": lambda: net(act=Absolute()),
    "Conv2d": lambda: nn.Sequential(Standardised(1, 2, 2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)),
    **{
        f"{kind} {at}": lambda kind=kind, at=at: with_hook(kind, at)
        for kind in ("before", "after", "forward")
        for at in (None, 1, 2)
    },
    "weight_norm": lambda: net(weight_norm(nn.Linear(9, 8))),
    "spectral_norm": lambda: net(spectral_norm(nn.Linear(9, 8))),
    "pruned": lambda: net(prune.l1_unstructured(nn.Linear(9, 8), "weight", 0.3)),
}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("what", OTHERWISE)
def test_a_layer_that_computes_something_else_is_refused(what):
    with pytest.raises(ValueError, match="of its own"):
        from_model(OTHERWISE[what]().eval(), X.shape[1:])


class Shrunk(nn.Module):
    """Weights that absolute values of the original ones do not bound."""

    def forward(self, weight):
        return weight - weight.abs().amax()


def shrunk():
    layer = nn.Linear(9, 8)
    nn.utils.parametrize.register_parametrization(layer, "weight", Shrunk())
    return layer


PARAMETRIZED = {
    "weight_norm": lambda: parametrizations.weight_norm(nn.Linear(9, 8)),
    "spectral_norm": lambda: parametrizations.spectral_norm(nn.Linear(9, 8)),
    "orthogonal": lambda: parametrizations.orthogonal(nn.Linear(9, 8)),
    "own": shrunk,
}


@pytest.mark.parametrize("how", PARAMETRIZED)
def test_parametrized_weights_are_those_that_the_model_computes_with(how):
    model = net(PARAMETRIZED[how]()).eval()
    plain = net(nn.Linear(9, 8))
    with torch.no_grad():
        plain[1].weight.copy_(model[1].weight), plain[1].bias.copy_(model[1].bias)
        plain[3].load_state_dict(model[3].state_dict())
    ours, theirs = (from_model(m, X.shape[1:]).layers for m in (model, plain))
    for a, b in zip(ours, theirs, strict=True):
        assert all(torch.equal(getattr(a, k), getattr(b, k)) for k in ("weight", "bias", "size", "offset"))
    assert nn.utils.parametrize.is_parametrized(model[1])  # the model stays as it was
    assert torch.allclose(model(X), plain(X), atol=1e-6)


@pytest.mark.parametrize("eps", [0.0, 0.1, 1.5])
def test_a_linear_layer_before_the_flatten_maps_each_row(eps):
    """Against the same map written out as one matrix of blocks."""
    torch.manual_seed(0)
    rows = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3))
    whole = nn.Sequential(nn.Flatten(), nn.Linear(9, 12), nn.ReLU(), nn.Linear(12, 3))
    with torch.no_grad():
        whole[1].weight.copy_(torch.block_diag(*[rows[0].weight] * 3))
        whole[1].bias.copy_(rows[0].bias.repeat(3))
        whole[3].load_state_dict(rows[3].state_dict())
        y = rows(X).argmax(1)
    assert certify(rows, X, y, eps).verdicts() == certify(whole, X, y, eps).verdicts()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.bool])
def test_labels_of_every_kind_of_whole_number(dtype):
    model = net(last=nn.Linear(8, 2))
    y = model(X).argmax(1)
    assert certify(model, X, y.to(dtype), 0.1).verdicts() == certify(model, X, y, 0.1).verdicts()


@pytest.mark.parametrize("label", [-100, 3])
def test_labels_that_are_no_class_are_refused(label):
    with pytest.raises(ValueError, match="labels run from"):
        certify(net(), X, torch.full((20,), label), 0.1)


@pytest.mark.parametrize("last", [nn.Linear(8, 1), nn.Sequential(nn.Linear(8, 6), nn.Unflatten(1, (2, 3)))])
def test_what_is_no_logits_is_refused(last):
    with pytest.raises(ValueError, match=r"two classes|Unflatten"):
        from_model(net(last=last), X.shape[1:])


DEAD = {
    "a dead layer": lambda: net(inside=nn.Sequential(nn.ReLU(), zeros(nn.Linear(8, 8), -1.0))),
    "units at zero": lambda: net(first=zeros(nn.Linear(9, 8), 0.0)),
    "the same layer twice": lambda: twice(nn.Linear(8, 8)),
    "one hidden unit": lambda: net(nn.Linear(9, 1), last=nn.Linear(1, 3)),
    "no bias": lambda: net(nn.Linear(9, 8, bias=False), last=nn.Linear(8, 3, bias=False)),
    "what does nothing": lambda: net(inside=nn.Sequential(nn.Identity(), nn.Dropout(0.5))),
}


def zeros(layer, bias):
    with torch.no_grad():
        layer.weight.zero_(), layer.bias.fill_(bias)
    return layer


def twice(layer):
    return net(inside=nn.Sequential(nn.ReLU(), layer, nn.ReLU(), layer))


@pytest.mark.parametrize("eps", [0.0, 0.15, 2.0])
@pytest.mark.parametrize("what", DEAD)
def test_networks_at_the_edge(what, eps):
    """At 0 all is proved; nothing drawn from the ball refutes a proof; at 2 the ball is the whole box."""
    model = DEAD[what]().eval()
    y = model(X).argmax(1)
    found = certify(model, X, y, eps)
    assert not (found.proved & found.broken).any()
    assert eps > 0 or found.proved.all()
    generator = torch.Generator().manual_seed(1)
    for i in found.proved.nonzero().flatten().tolist():
        offset = eps * (2 * torch.randint(0, 2, (500, 1, 3, 3), generator=generator) - 1)
        assert (model((X[i] + offset).clamp(0, 1)).argmax(1) == y[i]).all()
    for i, point in found.examples.items():
        assert (point - X[i]).abs().amax() <= eps + 1e-6 and model(point[None]).argmax(1) != y[i]
