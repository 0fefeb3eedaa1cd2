"""Reading a model: the affine maps between its ReLUs; what may compute something else is refused."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from sam_edu.certify.network import Affine, Network
from sam_edu.models import Normalized

LARGEST = 20_000_000  # entries of one matrix: 160 MB in float64
_WEIGHTED = (nn.Linear, nn.Conv2d)
_POOLING = (nn.AvgPool2d, nn.AdaptiveAvgPool2d)
_KNOWN = (
    *(nn.Sequential, Normalized, nn.BatchNorm2d, nn.Identity, nn.Dropout, nn.ReLU, nn.Flatten),
    *(*_WEIGHTED, *_POOLING),
)
#: what a layer computes is said there
_METHODS = ("forward", "_conv_forward", "__call__", "_call_impl", "__iter__")


def from_model(model: nn.Module, shape: Sequence[int]) -> Network:
    """Read a model made of linear and convolutional layers, BatchNorm, average pooling and ReLU.

    What stands between two ReLUs is affine and becomes one matrix: its columns are the images of the unit
    vectors. The model itself is not touched.

    Parameters
    ----------
    model : torch.nn.Module
        ``nn.Sequential`` and :class:`sam_edu.models.Normalized` of such layers, in eval mode.
    shape : sequence of int
        Of one input, such as (1, 28, 28).

    Raises
    ------
    ValueError
        If a layer is of another kind or has a ``forward`` or a hook of its own, if BatchNorm is in training
        mode (the verdict on an image would depend on the others in its batch), if weights are coarser than
        float32, if no logits (n, classes) come out, or if a matrix would have more than 20 million entries.

    Examples
    --------
    >>> from_model(nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), (1, 2, 2)).hidden
    [3]
    """
    coarse = {p.dtype for p in model.parameters()} - {torch.float32, torch.float64}
    if coarse:
        raise ValueError(f"proofs know how float32 and float64 round, not {coarse.pop()}; call model.float()")
    parts: list[list[nn.Module]] = [[]]
    for module in _modules(model):
        if isinstance(module, nn.ReLU):
            parts.append([])
        else:
            parts[-1].append(module)
    layers, inside = [], tuple(shape)
    with torch.no_grad():
        for part in parts:
            layer, inside = _affine(part, inside)
            layers.append(layer)
    if len(inside) != 1 or inside[0] < 2:
        raise ValueError(
            f"certificates compare the logits of two classes or more, (classes,) for an image; the model "
            f"gives {inside} (a Flatten that is missing? of one logit z make two: -z and z)"
        )
    return Network(tuple(layers))


def _modules(model: nn.Module) -> Iterator[nn.Module]:
    """The layers in order."""
    _does_what_it_says(model)
    if isinstance(model, nn.Sequential):
        for child in model:
            yield from _modules(child)
    elif isinstance(model, Normalized):
        yield Normalized(nn.Identity(), model.mean.flatten().tolist(), model.std.flatten().tolist())
        yield from _modules(model.net)
    elif isinstance(model, nn.BatchNorm2d):
        if model.training or model.running_mean is None:
            raise ValueError(
                "BatchNorm in training mode mixes the images of a batch, so that nothing can be "
                "proved about one of them; call model.eval() first"
            )
        yield model
    elif isinstance(model, nn.Dropout) and model.training:
        raise ValueError("Dropout in training mode is random; call model.eval() first")
    elif isinstance(model, nn.Identity | nn.Dropout):
        return
    elif isinstance(model, (nn.ReLU, nn.Flatten, *_WEIGHTED, *_POOLING)):
        yield model
    else:
        raise ValueError(
            f"certificates know nn.Sequential of Flatten, Linear, Conv2d, BatchNorm2d, average "
            f"pooling and ReLU, and models.Normalized; got {type(model).__name__}"
        )


def _does_what_it_says(module: nn.Module) -> None:
    """Raise where a layer of a known kind may compute something else than its kind says."""
    kind = next((k for k in _KNOWN if isinstance(module, k)), None)
    if kind is None:
        return  # refused later, by its name
    own = [name for name in _METHODS if getattr(type(module), name, None) is not getattr(kind, name, None)]
    if own or "forward" in vars(module) or module._forward_hooks or module._forward_pre_hooks:
        what = f"{own[0]} of its own" if own else "forward of its own or a hook"
        raise ValueError(
            f"a {type(module).__name__} with a {what} may compute something else than {kind.__name__}, so "
            "that a proof would be about another function: use the plain layer (hooks of weight_norm, "
            "spectral_norm and pruning go by torch.nn.utils.remove_weight_norm, remove_spectral_norm, "
            "prune.remove)"
        )


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


def _affine(part: list[nn.Module], shape: tuple[int, ...]) -> tuple[Affine, tuple[int, ...]]:
    """The map of some affine layers, and the shape of what comes out."""
    modules = [_fixed(module) for module in part]
    zero = torch.zeros(1, *shape, dtype=torch.double)
    out = _run(modules, zero)
    if prod(shape) * out.numel() > LARGEST:
        raise ValueError(
            f"the network is too large for these certificates: a layer from {prod(shape)} to "
            f"{out.numel()} numbers; use a smaller or narrower one"
        )
    weight, bias = _matrix(modules, shape)
    size, offset = _matrix([_absolute(module) for module in modules], shape)
    if sum(isinstance(module, nn.Linear) for module in modules) == len(modules) - _flattens(modules) == 1:
        linear = next(module for module in modules if isinstance(module, nn.Linear))
        if linear.weight.shape == weight.shape:  # else it maps each row of its input
            weight, size = linear.weight.detach(), linear.weight.detach().abs()  # as they are, not rounded
    terms = sum(_fan_in(module, shape) + 3 for module in modules if not isinstance(module, nn.Flatten))
    return Affine(weight, bias, size, offset, terms), tuple(out.shape[1:])


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
    if isinstance(module, Normalized):
        module.mean = -module.mean.abs()
    for weight in module.parameters():
        weight.data = weight.data.abs()
    return module


def _fan_in(module: nn.Module, shape: tuple[int, ...]) -> int:
    if isinstance(module, _WEIGHTED):
        return module.weight[0].numel()
    return prod(shape) if isinstance(module, _POOLING) else 4


def _flattens(modules: list[nn.Module]) -> int:
    return sum(isinstance(module, nn.Flatten) for module in modules)
