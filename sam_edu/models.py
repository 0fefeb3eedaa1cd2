"""Models whose inputs are pixels in [0, 1]: an MLP, a small CNN, and PreActResNet of any width."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from sam_edu import _check
from sam_edu.fast_net import SMALLEST, FastNet

#: what :func:`build` makes
NAMES = ("mlp", "cnn", "cnn-nobn", "preact-resnet", "preact-resnet18", "fast")
#: of these, layers in a row: the kind that :mod:`sam_edu.certify` can read
IN_A_ROW = ("mlp", "cnn", "cnn-nobn")


class Normalized(nn.Module):
    """``net((x - mean) / std)``: normalisation as the first layer, so that eps stays in pixel units.

    Parameters
    ----------
    net : torch.nn.Module
    mean, std : sequence of float
        One value per channel of x (n, channels, height, width).

    Examples
    --------
    >>> model = Normalized(mlp(64, 10), mean=[0.3], std=[0.4])
    >>> model(torch.rand(5, 1, 8, 8)).shape
    torch.Size([5, 10])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std) or not all(s > 0 for s in std):
            raise ValueError(f"mean and std need one value per channel, std > 0; got {mean}, {std}")
        self.net = net
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.net((x - self.mean) / self.std)


def mlp(inputs: int, classes: int, hidden: Sequence[int] = (128, 128)) -> nn.Sequential:
    """Fully connected ReLU network on flattened inputs: (n, ...) -> logits (n, classes).

    Examples
    --------
    >>> mlp(64, 10)(torch.rand(5, 1, 8, 8)).shape
    torch.Size([5, 10])
    """
    sizes = [_check.integer("inputs", inputs, low=1), *hidden]
    layers: list[nn.Module] = [nn.Flatten()]
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], classes))


def small_cnn(channels: int, classes: int, width: int = 16, batch_norm: bool = True) -> nn.Sequential:
    """Three 3x3 convolutions (strides 1, 2, 2), global average pooling, one linear layer.

    Examples
    --------
    >>> small_cnn(channels=3, classes=10)(torch.rand(5, 3, 16, 16)).shape
    torch.Size([5, 10])
    """
    layers: list[nn.Module] = []
    for n_in, n_out, stride in [(channels, width, 1), (width, 2 * width, 2), (2 * width, 4 * width, 2)]:
        layers.append(nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=not batch_norm))
        layers += [nn.BatchNorm2d(n_out), nn.ReLU()] if batch_norm else [nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, classes))


class PreActBlock(nn.Module):
    """BatchNorm-ReLU-convolution twice, plus the shortcut."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(n_in)
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        same = stride == 1 and n_in == n_out
        self.shortcut = None if same else nn.Conv2d(n_in, n_out, 1, bias=False)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        active = relu(self.bn1(x))
        # Pixels are left out first, then convolved: the same numbers as in the usual order, in which training
        # crashed inside torch (its convolution's backward pass on CPUs, since version 2.14).
        skip = x if self.shortcut is None else self.shortcut(active[..., :: self.stride, :: self.stride])
        return self.conv2(relu(self.bn2(self.conv1(active)))) + skip


class PreActResNet(nn.Module):
    """Pre-activation residual network for small images (He et al., ECCV 2016, arXiv 1603.05027).

    Parameters
    ----------
    classes : int
    width : int
        Channels of the first stage, doubled at each further stage.
    blocks : sequence of int
        Blocks per stage. ``width=64, blocks=(2, 2, 2, 2)`` is PreActResNet-18.
    channels : int
        Channels of the input (n, channels, height, width).

    Examples
    --------
    >>> PreActResNet(classes=10, width=4)(torch.rand(2, 3, 16, 16)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self, classes: int = 10, width: int = 64, blocks: Sequence[int] = (2, 2, 2, 2), channels: int = 3
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        stages, n_in = [], width
        for stage, count in enumerate(blocks):
            n_out = width * 2**stage
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1
                stages.append(PreActBlock(n_in, n_out, stride))
                n_in = n_out
        self.stages = nn.Sequential(*stages)
        self.bn = nn.BatchNorm2d(n_in)
        self.head = nn.Linear(n_in, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(relu(self.bn(self.stages(self.stem(x)))).mean((2, 3)))


def preact_resnet18(classes: int = 10, channels: int = 3) -> PreActResNet:
    """PreActResNet-18, the network of the paper's protocol (11.2 million parameters).

    Examples
    --------
    >>> sum(p.numel() for p in preact_resnet18().parameters())
    11172170
    """
    return PreActResNet(classes, width=64, blocks=(2, 2, 2, 2), channels=channels)


def build(
    name: str, shape: Sequence[int], classes: int, width: int = 16, seed: int | None = None
) -> nn.Module:
    """Make a model by name for inputs of ``shape`` (channels, height, width).

    Parameters
    ----------
    name : {"mlp", "cnn", "cnn-nobn", "preact-resnet", "preact-resnet18", "fast"}
    width : int
        Channels of the first stage of the convolutional nets (not of "preact-resnet18").
    seed : int, optional
        Seed of the initial weights; torch's global random state is left as found.

    Raises
    ------
    ValueError
        If the name is unknown, or the images are too small for the network.

    Examples
    --------
    >>> model = build("mlp", shape=(1, 8, 8), classes=10, seed=0)
    >>> model(torch.rand(5, 1, 8, 8)).shape
    torch.Size([5, 10])
    """
    makers = {
        "mlp": lambda: mlp(shape[0] * shape[1] * shape[2], classes),
        "cnn": lambda: small_cnn(shape[0], classes, width),
        "cnn-nobn": lambda: small_cnn(shape[0], classes, width, batch_norm=False),
        "preact-resnet": lambda: PreActResNet(classes, width, channels=shape[0]),
        "preact-resnet18": lambda: preact_resnet18(classes, shape[0]),
        "fast": lambda: FastNet(classes, width, shape[0]),
    }
    _check.choice("model", name, NAMES)
    if name == "fast" and min(shape[1:]) < SMALLEST:
        raise ValueError(
            f"model 'fast' needs images of at least {SMALLEST} x {SMALLEST} pixels, got "
            f"{' x '.join(map(str, shape[1:]))}: choose 'cnn', or other images"
        )
    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.manual_seed(seed)
        return makers[name]()
