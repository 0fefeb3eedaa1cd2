"""The layers between two ReLUs as one affine map, and what rounding can do on the way through them."""

from __future__ import annotations

import copy
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sam_edu.certify.network import Affine
from sam_edu.models import Normalized

LARGEST = 20_000_000  # entries of one matrix: 160 MB in float64
WEIGHTED = (nn.Linear, nn.Conv2d)
POOLING = (nn.AvgPool2d, nn.AdaptiveAvgPool2d)


def _fixed(module: nn.Module) -> nn.Module:
    """A copy in float64, with the very weights that the model computes with (a parametrization's result)."""
    module = copy.deepcopy(module).cpu()
    if parametrize.is_parametrized(module):
        held: Any = module.parametrizations
        names = list(dict(held.named_children()))
        found = {name: getattr(module, name).detach() for name in names}
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]  # torch's own way would change the original's class
        for name, value in found.items():
            module.register_parameter(name, nn.Parameter(value))
    return module.double()


def affine(part: list[nn.Module], shape: tuple[int, ...]) -> tuple[Affine, tuple[int, ...]]:
    """The map of some affine layers, and the shape of what comes out."""
    modules = [_fixed(module) for module in part]
    out = _after(modules, shape)
    if prod(shape) * prod(out) == 0:
        raise ValueError(f"a layer has no numbers to work on: from {shape} to {out}")
    if prod(shape) * prod(out) > LARGEST:
        raise ValueError(
            f"the network is too large for these certificates: a layer from {prod(shape)} to "
            f"{prod(out)} numbers; use a smaller or narrower one"
        )
    weight, bias = _matrix(modules, shape)
    absolute = [_absolute(module) for module in modules]
    size, offset = _matrix(absolute, shape)
    if sum(isinstance(module, nn.Linear) for module in modules) == len(modules) - _flattens(modules) == 1:
        linear = next(module for module in modules if isinstance(module, nn.Linear))
        if linear.weight.shape == weight.shape:  # else it maps each row of its input
            weight, size = linear.weight.detach(), linear.weight.detach().abs()  # as they are, not rounded
    return Affine(weight, bias, size, offset, *_on_the_way(absolute, shape)), out


def _after(modules: list[nn.Module], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of what comes out, for one input; two go in, and two must come out."""
    try:
        out = _run(modules, torch.zeros(2, *shape, dtype=torch.double))
    except (RuntimeError, IndexError, ValueError) as error:
        raise ValueError(
            f"a part of the model does not take inputs of shape (n, *{shape}): {error}"
        ) from error
    if len(out) != 2:
        raise ValueError(
            f"a layer mixes the inputs of a batch: of two of shape {shape} it makes {tuple(out.shape)} "
            "(Flatten(0)?), so that nothing can be proved about one of them"
        )
    return tuple(out.shape[1:])


def _on_the_way(modules: list[nn.Module], shape: tuple[int, ...]) -> tuple[int, Tensor, float]:
    """``terms``, ``lost`` and ``peak`` of an :class:`Affine`, module by module, from the absolute ones."""
    most = torch.ones(1, *shape, dtype=torch.double)
    terms, lost, peak = 0, torch.zeros_like(most), 1.0
    for module in modules:
        if isinstance(module, nn.Flatten):
            most, lost = module(most), module(lost)
            continue
        here = _fan_in(module, lost[0].numel()) + 3
        # a product and a sum each; and a weight that is itself too small loses as much times what it meets
        lost = module(lost) - module(torch.zeros_like(lost)) + 2 * here * max(1.0, float(most.amax()))
        most = module(most)
        terms, peak = terms + here, max(peak, float(most.amax()))
    return terms, lost.flatten(), peak


def _matrix(modules: list[nn.Module], shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    bias = _run(modules, torch.zeros(1, *shape, dtype=torch.double)).flatten()
    unit = torch.eye(prod(shape), dtype=torch.double).view(-1, *shape)
    columns = [_run(modules, some).flatten(1) - bias for some in unit.split(256)]
    return torch.cat(columns).T.contiguous(), bias


def _run(modules: list[nn.Module], x: Tensor) -> Tensor:
    for module in modules:
        x = module(x)
    return x


def _absolute(module: nn.Module) -> nn.Module:
    """The layer with absolute values for weights, so that nothing cancels."""
    module = copy.deepcopy(module)
    if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
        module.running_mean = -module.running_mean.abs()
    if isinstance(module, nn.AvgPool2d) and module.divisor_override:
        module.divisor_override = abs(module.divisor_override)
    if isinstance(module, Normalized):
        module.mean = -module.mean.abs()
    for weight in module.parameters():
        weight.data = weight.data.abs()
    return module


def _fan_in(module: nn.Module, inputs: int) -> int:
    """How many numbers one output may be the sum of."""
    if isinstance(module, WEIGHTED):
        return module.weight.shape[1:].numel()
    return inputs if isinstance(module, POOLING) else 5


def _flattens(modules: list[nn.Module]) -> int:
    return sum(isinstance(module, nn.Flatten) for module in modules)
