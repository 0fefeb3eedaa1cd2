"""Models: shapes, sizes, seeds, and normalisation inside."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sam_edu import models

NAMES = ("mlp", "cnn", "cnn-nobn", "preact-resnet", "preact-resnet18")


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 28, 28)])
@pytest.mark.parametrize("name", NAMES[:4])
def test_shapes(name, shape):
    model = models.build(name, shape, classes=7, width=4, seed=0)
    for n in (1, 3):
        logits = model.eval()(torch.rand(n, *shape))
        assert logits.shape == (n, 7) and torch.isfinite(logits).all()


def count(model):
    return sum(p.numel() for p in model.parameters())


def test_preact_resnet18_has_its_11_2_million_parameters():
    assert count(models.preact_resnet18()) == 11_172_170
    assert count(models.preact_resnet18(classes=100)) - count(models.preact_resnet18()) == 90 * 513


def test_preact_resnet18_runs():
    model = models.build("preact-resnet18", (3, 16, 16), 10, seed=0).eval()
    assert model(torch.rand(1, 3, 16, 16)).shape == (1, 10)


def test_width_scales_the_parameters():
    small, large = (count(models.PreActResNet(width=w)) for w in (8, 16))
    assert 3.8 < large / small < 4.0


def test_sizes_by_hand():
    assert count(models.mlp(64, 10, hidden=(5,))) == 64 * 5 + 5 + 5 * 10 + 10
    with_norm, without = models.small_cnn(1, 10, 4), models.small_cnn(1, 10, 4, batch_norm=False)
    convolutions = 9 * (1 * 4 + 4 * 8 + 8 * 16)
    assert count(without) == convolutions + (4 + 8 + 16) + 16 * 10 + 10
    assert count(with_norm) == convolutions + 2 * (4 + 8 + 16) + 16 * 10 + 10
    assert not any(isinstance(m, nn.BatchNorm2d) for m in without.modules())


@pytest.mark.parametrize("name", NAMES[:4])
def test_seeds_decide_and_leave_the_global_state_alone(name):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one, two, other = (models.build(name, (1, 8, 8), 3, width=4, seed=s) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    pairs = list(zip(one.parameters(), two.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs) and not all(torch.equal(a, c) for a, _, c in pairs)


def test_normalized_by_hand():
    net, x = nn.Conv2d(3, 2, 1), torch.rand(4, 3, 5, 5)
    mean, std = [0.4, 0.5, 0.6], [0.1, 0.2, 0.3]
    byhand = torch.stack([(x[:, c] - mean[c]) / std[c] for c in range(3)], 1)
    model = models.Normalized(net, mean, std)
    assert torch.allclose(model(x), net(byhand), atol=1e-5)
    assert {"mean", "std"} <= set(model.state_dict()) and count(model) == count(net)


def test_gradients_reach_every_parameter():
    for name in NAMES[:4]:
        model = models.build(name, (1, 8, 8), 3, width=4, seed=0)
        model(torch.rand(4, 1, 8, 8)).square().sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters()), name


def test_samples_do_not_mix_in_eval_mode():
    for name in NAMES[:4]:
        model = models.build(name, (1, 8, 8), 3, width=4, seed=0).double().eval()
        x = torch.rand(5, 1, 8, 8, dtype=torch.float64)
        assert torch.allclose(model(x)[2:3], model(x[2:3]), atol=1e-12)


@pytest.mark.parametrize(
    "call, hint",
    [
        (lambda: models.build("resnet", (1, 8, 8), 3), "'preact-resnet18'"),
        (lambda: models.Normalized(nn.Identity(), [0.5], [0.0]), "std > 0"),
        (lambda: models.Normalized(nn.Identity(), [0.5, 0.5], [1.0]), "one value per channel"),
        (lambda: models.mlp(0, 3), "inputs must be >= 1"),
    ],
)
def test_bad_input(call, hint):
    with pytest.raises(ValueError) as error:
        call()
    assert hint in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("size", [7, 8])
def test_the_shortcut_is_a_strided_convolution(size):
    block = models.PreActBlock(8, 16, stride=2).eval()
    x = torch.rand(3, 8, size, size)
    active = torch.relu(block.bn1(x))
    rest = block.conv2(torch.relu(block.bn2(block.conv1(active))))
    torch.testing.assert_close(block(x) - rest, nn.functional.conv2d(active, block.shortcut.weight, stride=2))


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_a_narrow_net_can_be_trained(layout):
    """Training crashed inside torch (since 2.14) before the shortcut was written in its present order."""
    net = models.PreActResNet(width=2).to(memory_format=layout)
    x = torch.rand(32, 3, 32, 32).contiguous(memory_format=layout)
    for _ in range(5):
        net(x).square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())
