"""A small network that learns CIFAR-10 in core-minutes, each trick in its line.

The recipe is that of airbench (Jordan, 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", arXiv
2404.00498), which grew out of Page's "How to train your ResNet" (2018); the code is ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sam_edu import _check

PATCHES = 5_000  # training images whose 2x2 patches decide the whitening
SMALLEST = 9  # pixels a side: of 8 the whitening leaves 7, and three poolings nothing


class FastNet(nn.Module):
    """Whitening layer, three groups of two 3x3 convolutions, one linear layer: (n, c, h, w) -> (n, classes).

    - The filters of the first layer are **frozen**: 2x2, they make the patches of the training images
      uncorrelated and of one variance, each with both signs; :meth:`whiten` computes them. Of this layer
      only the bias is learned.
    - Each group **pools early**: convolution, max-pooling, then BatchNorm, GELU, and a second convolution on
      a quarter of the pixels.
    - Convolutions start as the **identity** on as many channels as come in, so that the signal of the images
      reaches the last layer at once.
    - BatchNorm learns only a shift; its scale stays 1, since the convolution behind it has one of its own.
    - The logits are divided by 9: it keeps the softmax soft at the start.

    Parameters
    ----------
    classes : int
    width : int
        Channels of the first group; the others have four times as many. 64 is the original, 32 a quarter of
        its multiplications.
    channels : int
        Of the images, which need at least 9 x 9 pixels in [0, 1].

    Raises
    ------
    ValueError, TypeError
        If a number is out of range; on a call, if the images have another number of channels.

    Examples
    --------
    >>> model = FastNet(classes=10, width=8).whiten(torch.rand(100, 3, 32, 32))
    >>> model(torch.rand(5, 3, 32, 32)).shape
    torch.Size([5, 10])
    """

    mean: Tensor

    def __init__(self, classes: int = 10, width: int = 32, channels: int = 3) -> None:
        super().__init__()
        width = _check.integer("width", width, low=1)
        classes = _check.integer("classes", classes, low=1)
        channels = _check.integer("channels", channels, low=1)
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        # 4 pixels per channel, each filter with both signs; the bias starts at 0 below and is learned
        self.first = nn.Conv2d(channels, 8 * channels, kernel_size=2)
        self.first.weight.requires_grad_(False)
        torch.nn.init.zeros_(self.first.get_parameter("bias"))
        wide = 4 * width
        self.groups = nn.Sequential(
            _group(8 * channels, width), _group(width, wide), _group(wide, wide), nn.AdaptiveMaxPool2d(1)
        )
        self.head = nn.Linear(wide, classes, bias=False)

    def whiten(self, x: Tensor, eps: float = 5e-4) -> FastNet:
        """Take mean and filters of the first layer from training images x (n, c, h, w); returns the network.

        The covariance of the 2x2 patches is V diag(lambda) V'; filter k is v_k / sqrt(lambda_k + eps), whose
        answers have variance 1 (less where lambda_k is as small as ``eps``, so that noise is not blown up).

        Raises
        ------
        ValueError
            If there is no image, or one holds a NaN or has another number of channels; if eps is negative.
        """
        eps = _check.number("eps", eps, low=0, high=float("inf"), open_high=True)
        self._fits(x)
        x = x[:PATCHES].double()
        if not len(x) or not bool(torch.isfinite(x).all()):
            raise ValueError("whitening needs images of finite numbers, got none or NaN or infinite ones")
        mean = x.mean((0, 2, 3))
        x = x - mean[:, None, None]
        patches = x.unfold(2, 2, 1).unfold(3, 2, 1)  # (n, c, h-1, w-1, 2, 2)
        patches = patches.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)  # one row per patch
        variances, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (directions / (variances + eps).sqrt()).T.reshape(len(variances), len(mean), 2, 2)
        with torch.no_grad():
            self.mean.copy_(mean[:, None, None])
            self.first.weight.copy_(torch.cat([filters, -filters]))
        return self

    def _fits(self, x: Tensor) -> None:
        if x.dim() != 4 or x.shape[1] != len(self.mean):  # a grey image would spread over all channels
            raise ValueError(
                f"images of shape (n, {len(self.mean)}, height, width) expected, got {tuple(x.shape)}"
            )

    def forward(self, x: Tensor) -> Tensor:
        self._fits(x)
        return self.head(self.groups(self.first(x - self.mean)).flatten(1)) / 9


def _group(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.GELU(),
        _identity_conv(n_in, n_out),
        nn.MaxPool2d(2),
        _norm(n_out),
        nn.GELU(),
        _identity_conv(n_out, n_out),
        _norm(n_out),
        nn.GELU(),
    )


def _identity_conv(n_in: int, n_out: int) -> nn.Conv2d:
    conv = nn.Conv2d(n_in, n_out, kernel_size=3, padding=1, bias=False)
    nn.init.dirac_(conv.weight.data[: min(n_in, n_out)])
    return conv


def _norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, momentum=0.4)  # few steps in all: forget the early averages fast
    norm.weight.requires_grad_(False)
    return norm
