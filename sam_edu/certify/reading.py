"""Reading a model: the affine maps between its ReLUs; what may compute something else is refused."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from sam_edu._guards import on_cpu
from sam_edu._precision import shortens
from sam_edu.certify.matrices import POOLING, WEIGHTED, affine
from sam_edu.certify.network import Network
from sam_edu.models import Normalized

#: what is at least as fine as the rounding that proofs allow for
EXACT = (torch.float32, torch.float64)
_KNOWN = (
    *(nn.Sequential, Normalized, nn.BatchNorm2d, nn.Identity, nn.Dropout, nn.ReLU, nn.Flatten),
    *(*WEIGHTED, *POOLING),
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
        float32 or not finite, if autocast or TF32 is on, if the model does not take such inputs, if no logits
        (n, classes) come out, or if a matrix would have more than 20 million entries.

    Examples
    --------
    >>> from_model(nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), (1, 2, 2)).hidden
    [3]
    """
    _is_exact(model)
    parts: list[list[nn.Module]] = [[]]
    for module in _modules(model):
        if isinstance(module, nn.ReLU):
            parts.append([])
        else:
            parts[-1].append(module)
    layers, inside = [], tuple(shape)
    with torch.no_grad(), on_cpu():
        for part in parts:
            layer, inside = affine(part, inside)
            layers.append(layer)
    if len(inside) != 1 or inside[0] < 2:
        raise ValueError(
            f"certificates compare the logits of two classes or more, (classes,) for an image; the model "
            f"gives {inside} (a Flatten that is missing? of one logit z make two: -z and z)"
        )
    return Network(tuple(layers))


def _is_exact(model: nn.Module) -> None:
    """Raise where the model computes in less than float32, or with numbers that are none."""
    if not isinstance(model, nn.Module):
        raise ValueError(
            f"certificates read the layers of a torch.nn.Module, got {type(model).__name__}: pass the model "
            "itself in place of a function around it"
        )
    weights = [w for w in (*model.parameters(), *model.buffers()) if w.is_floating_point()]
    coarse = {w.dtype for w in weights} - set(EXACT)
    if coarse:
        raise ValueError(f"proofs know how float32 and float64 round, not {coarse.pop()}; call model.float()")
    if any(w.is_meta for w in weights):
        raise ValueError("the weights are on the meta device and hold no numbers; load the model first")
    if any(torch.is_autocast_enabled(kind) for kind in {"cpu", *(w.device.type for w in weights)}):
        raise ValueError(
            "under torch.autocast the model computes in half precision, proofs are about float32: call this "
            "outside of it"
        )
    if any(shortens(module) for module in model.modules()):
        raise ValueError(
            "torch is set to shorten the factors of products (TF32, bfloat16), proofs are about float32: "
            'torch.set_float32_matmul_precision("highest"), and for convolutions on a GPU '
            "torch.backends.cudnn.allow_tf32 = False"
        )
    if not all(bool(torch.isfinite(w.detach()).all()) for w in weights):
        raise ValueError("weights or buffers of the model contain NaN or infinity; did training diverge?")


def _modules(model: nn.Module) -> Iterator[nn.Module]:
    """The layers in order."""
    _does_what_it_says(model)
    if isinstance(model, nn.Sequential):
        for child in model:
            yield from _modules(child)
    elif isinstance(model, Normalized):
        alone = copy.copy(model)
        alone._modules = {"net": nn.Identity()}  # its own numbers: made anew they would be rounded
        yield alone
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
    elif isinstance(model, (nn.ReLU, nn.Flatten, *WEIGHTED, *POOLING)):
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
    own += [name for name in _METHODS if name in vars(module)]
    if own or module._forward_hooks or module._forward_pre_hooks:
        what = f"{own[0]} of its own" if own else "hook of its own"
        raise ValueError(
            f"a {type(module).__name__} with a {what} may compute something else than {kind.__name__}, so "
            "that a proof would be about another function: use the plain layer (hooks of weight_norm, "
            "spectral_norm and pruning go by torch.nn.utils.remove_weight_norm, remove_spectral_norm, "
            "prune.remove)"
        )
