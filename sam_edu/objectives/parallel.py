"""Averages over the processes of ``torch.distributed``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


def active() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def wrapped(model: nn.Module) -> bool:
    """Whether several processes train this model together."""
    return isinstance(model, DistributedDataParallel) and active()


def averaged(g: Sequence[Tensor | None], like: Sequence[Tensor], model: nn.Module) -> tuple[Tensor, ...]:
    """The mean of g over the processes, in one message; a missing gradient counts as 0."""
    whole = [torch.zeros_like(p) if part is None else part for part, p in zip(g, like, strict=True)]
    flat = torch.cat([part.flatten() for part in whole])
    group = getattr(model, "process_group", None)
    dist.all_reduce(flat, group=group)
    flat /= dist.get_world_size(group)
    pieces = flat.split([part.numel() for part in whole])
    return tuple(piece.view_as(part) for piece, part in zip(pieces, whole, strict=True))
