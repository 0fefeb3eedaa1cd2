"""Inputs and outputs that are more than one tensor: tuples, dictionaries, dataclasses, and their insides."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

LOGITS = ("logits", "out")  # what transformers, and torchvision's segmentation models, call the main output


def mapped(f: Callable[[Tensor], Any], tree: Any) -> Any:
    """The same structure with ``f`` of each tensor; what is no tensor stays."""
    if isinstance(tree, Tensor):
        return f(tree)
    if isinstance(tree, Mapping):
        found = {name: mapped(f, part) for name, part in tree.items()}
        try:
            return found if type(tree) is dict else type(tree)(found)  # type: ignore[call-arg]
        except TypeError:  # a mapping that is made otherwise
            whole = copy.copy(tree)
            for name, part in found.items():
                whole[name] = part  # type: ignore[index]
            return whole
    if names := _names(tree):
        whole = copy.copy(tree)
        for name in names:
            object.__setattr__(whole, name, mapped(f, getattr(tree, name)))  # frozen ones, too
        return whole
    if isinstance(tree, list | tuple):
        parts = [mapped(f, part) for part in tree]
        named = hasattr(tree, "_fields")
        return type(tree)(*parts) if named else type(tree)(parts)
    return tree


def _names(tree: Any) -> list[str]:
    """The fields of a dataclass, or the names in a namespace."""
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        return [field.name for field in dataclasses.fields(tree)]
    return list(vars(tree)) if isinstance(tree, SimpleNamespace) else []


def tensors(tree: Any) -> list[Tensor]:
    """All tensors inside, in order."""
    found: list[Tensor] = []
    mapped(found.append, tree)
    return found


def rows(tree: Any) -> int:
    """The number of samples: the length of the first tensor."""
    inside = tensors(tree)
    if not inside:
        raise TypeError(
            f"expected tensors, or tuples or dictionaries of them, got {type(tree).__name__}; "
            "torch.as_tensor makes them from arrays and lists"
        )
    return len(inside[0])


def pick(tree: Any, part: slice | Tensor) -> Any:
    """Some of the samples: every tensor is cut in the same way along its first dimension."""
    n = rows(tree)
    return mapped(lambda t: t[part] if t.dim() and len(t) == n else t, tree)


def joined(trees: Sequence[Any]) -> Any:
    """One structure from those of several parts of the batch."""
    if len(trees) == 1:
        return trees[0]
    columns = zip(*map(tensors, trees), strict=True)
    whole = iter([torch.cat(c) if c[0].dim() else c[0] for c in columns])
    return mapped(lambda _: next(whole), trees[0])


def logits(outputs: Any) -> Tensor | None:
    """The main output of a model: ``logits`` or ``out`` of a dictionary or object, the first of a tuple."""
    if isinstance(outputs, Mapping):
        named = [outputs[name] for name in LOGITS if name in outputs]
        return logits(named[0] if named else next(iter(outputs.values()), None))
    if isinstance(outputs, list | tuple):
        return logits(outputs[0]) if outputs else None
    if isinstance(outputs, Tensor):
        return outputs
    return next((logits(getattr(outputs, name)) for name in LOGITS if hasattr(outputs, name)), None)
