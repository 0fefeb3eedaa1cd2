"""A ReLU network as the list of its affine maps, in float64: what the bounds of this package read."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Affine:
    r"""One map :math:`z = Wh + b` between two ReLUs, float64.

    Attributes
    ----------
    weight, bias : Tensor
        :math:`W` (out, in) and :math:`b` (out,).
    size, offset : Tensor
        The same, made from the absolute values of the model's weights: they bound what rounding can do.
        For a single linear layer :math:`|W|` and :math:`|b|`.
    terms : int
        The most rounded operations that one entry of the input goes through.
    lost : Tensor
        (out,) Underflow: how many times ``TINY`` of :mod:`sam_edu.certify.rounding` may be missing at the
        end, for inputs up to 1.
    peak : float
        The largest number that can occur on the way, for inputs up to 1.
    """

    weight: Tensor
    bias: Tensor
    size: Tensor
    offset: Tensor
    terms: int
    lost: Tensor
    peak: float


@dataclass(frozen=True)
class Network:
    r""":math:`f(x) = W_L\,\mathrm{relu}(\dots\mathrm{relu}(W_1x + b_1)\dots) + b_L` on flattened inputs."""

    layers: tuple[Affine, ...]

    @property
    def hidden(self) -> list[int]:
        """Number of ReLUs of each hidden layer."""
        return [len(layer.bias) for layer in self.layers[:-1]]

    def float(self) -> Network:
        """The same rounded to float32, for searches that need no exactness."""
        return Network(tuple(replace(a, weight=a.weight.float(), bias=a.bias.float()) for a in self.layers))

    def pattern(self, x: Tensor) -> Tensor:
        """Which ReLUs are on at one flattened input (d,): (units,) bool."""
        on = []
        for layer in self.layers[:-1]:
            x = layer.weight @ x + layer.bias
            on.append(x > 0)
            x = torch.relu(x)
        return torch.cat(on)

    def __call__(self, x: Tensor) -> Tensor:
        """Logits (n, classes) of flattened float64 inputs (n, d)."""
        for layer in self.layers[:-1]:
            x = torch.relu(x @ layer.weight.T + layer.bias)
        return x @ self.layers[-1].weight.T + self.layers[-1].bias
