"""Several processes that do one run together (``torchrun``)."""

from __future__ import annotations

import atexit
import datetime
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")


def launched() -> int:
    """How many processes ``torchrun`` has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which of them this is; 0 without ``torchrun``."""
    return int(os.environ.get("RANK", "0"))


@dataclass(frozen=True)
class Workers:
    """The processes of one run, seen from one of them."""

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this one writes the files, evaluates and talks."""
        return self.rank == 0

    def tell(self, thing: Any) -> Any:
        """What the leading process has, on all of them."""
        if self.count == 1:
            return thing
        box = [thing]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def lead(self, act: Callable[..., T], *arguments: Any) -> T:
        """Do something in the leading process alone; all get what it gets."""
        return self.tell(act(*arguments) if self.leads else None)

    def gather(self, thing: Any) -> list[Any]:
        """Everybody's thing, in the order of the ranks."""
        if self.count == 1:
            return [thing]
        box: list[Any] = [None] * self.count
        dist.all_gather_object(box, thing)
        return box


def join(count: int) -> Workers:
    """Join the other processes of a run that ``count`` processes do together.

    Raises
    ------
    ValueError
        If there are not so many; the message says how to start them.
    """
    if count == 1:
        return Workers()
    if launched() != count:
        raise ValueError(
            f"this run is one of {count} processes and here {launched()} were started: torchrun "
            f"--nproc-per-node {count} -m sam_edu.experiments run ..."
        )
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    if not dist.is_initialized():
        # the others wait while the first one evaluates, for hours if need be
        dist.init_process_group("nccl" if cuda else "gloo", timeout=datetime.timedelta(hours=12))
        atexit.register(dist.destroy_process_group)  # one group serves all runs of these processes
    return Workers(dist.get_rank(), count)
