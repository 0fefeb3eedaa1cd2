"""Several processes: averages over those of ``torch.distributed``, and what cannot be averaged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

_ACT_IN_EVERY_BACKWARD = (
    ("_delay_grad_buffer", "delay_all_reduce_named_params", "leave the option out"),
    ("mixed_precision", "mixed_precision", "use torch.autocast for it"),
)


_NO_CONTEXT = nullcontext()


def active() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def wrapped(model: nn.Module) -> bool:
    """Whether several processes train this model together."""
    return isinstance(model, DistributedDataParallel) and active()


def check(model: nn.Module) -> None:
    """One clear line where two passes and one backward pass do not go with how the model is shared out."""
    if any(hasattr(p, "full_tensor") for p in model.parameters()):
        raise TypeError(
            "the model's parameters are sharded (fully_shard, tensor parallelism), an objective "
            "needs whole ones: use SAMOptimizer, or DistributedDataParallel"
        )
    partial_shards(model.parameters())
    for name, option, instead in _ACT_IN_EVERY_BACKWARD:
        if isinstance(model, DistributedDataParallel) and getattr(model, name, None) is not None:
            raise TypeError(
                f"{option} of DistributedDataParallel acts in every backward pass, and an objective's first "
                f"one is to stay on its process: {instead}"
            )


def everybody_here(model: nn.Module) -> None:
    """Raise where averages over all processes would wait for some that have run out of data (``Join``)."""
    if isinstance(model, DistributedDataParallel) and model._join_config.enable:
        raise RuntimeError(
            "inside Join a process that has run out of data answers only DistributedDataParallel's own "
            "messages, and this objective averages over all processes: use SAM with sync=False, "
            "SAMOptimizer, or drop the last uneven batches"
        )


def partial_shards(params: Iterable[Tensor]) -> None:
    """Raise for sharded tensors that do not know their whole (FullyShardedDataParallel, DeepSpeed)."""
    if any(getattr(p, "_fsdp_flattened", False) or hasattr(p, "ds_id") for p in params):
        raise TypeError(
            "parameters sharded by FullyShardedDataParallel or DeepSpeed do not know the norm of "
            "the whole gradient: use fully_shard with SAMOptimizer"
        )


def unaveraged(model: nn.Module) -> AbstractContextManager[None]:
    """For the first pass: DistributedDataParallel is not to wait for a backward pass that never comes."""
    return _alone(model) if isinstance(model, DistributedDataParallel) else _NO_CONTEXT


@contextmanager
def _alone(model: DistributedDataParallel) -> Iterator[None]:
    static, model.static_graph = model.static_graph, False  # its first backward is yet to be recorded
    try:
        with model.no_sync():
            yield
    finally:
        model.static_graph = static


def averaged(g: Sequence[Tensor | None], like: Sequence[Tensor], model: nn.Module) -> tuple[Tensor, ...]:
    """The mean of g over the processes, in one message; a missing gradient counts as 0."""
    whole = [
        torch.zeros_like(p) if part is None else part.to_dense() if part.is_sparse else part
        for part, p in zip(g, like, strict=True)
    ]
    flat = torch.cat([part.flatten() for part in whole])
    group = getattr(model, "process_group", None)
    dist.all_reduce(flat, group=group)
    flat /= dist.get_world_size(group)
    pieces = flat.split([part.numel() for part in whole])
    return tuple(piece.view_as(part) for piece, part in zip(pieces, whole, strict=True))
