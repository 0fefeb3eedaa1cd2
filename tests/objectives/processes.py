"""Two processes that train together: gloo on the CPU."""

from __future__ import annotations

import multiprocessing
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp

# On Linux the processes are forked from one that has imported torch once for all of them.
METHOD = "forkserver" if sys.platform == "linux" else "spawn"
IMPORTED = ["torch._dynamo", "torch.distributed.fsdp", "tests.every_method"]


def both(process: Callable[[int, int, str], None], folder: Path) -> list[dict[Any, Any]]:
    """Run ``process(rank, port, folder)`` for ranks 0 and 1; returns what each saves as folder/rank.pt."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if METHOD == "forkserver":
        multiprocessing.set_forkserver_preload(IMPORTED)
    mp.start_processes(process, (port, str(folder)), nprocs=2, start_method=METHOD)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
