"""Many runs at once, on any ``concurrent.futures`` executor."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from pathlib import Path

import torch
from tqdm.auto import tqdm

from sam_edu.experiments.config import RunConfig
from sam_edu.experiments.records import Record
from sam_edu.experiments.runner import run


def sweep(configs: Iterable[RunConfig], folder: str | Path | None = None,
          executor: Executor | None = None, progress: bool = False) -> list[Record]:  # fmt: skip
    """Do the runs and return their records in the order of ``configs``.

    Parameters
    ----------
    executor : concurrent.futures.Executor, optional
        Default: one process per core, each with one thread. Dask's ``Client.get_executor()`` works too.
    progress : bool
        Show a bar over the runs.

    Raises
    ------
    Exception
        The first error of a run, after the runs under way have ended; finished runs stay recorded in
        ``folder``.
    """
    configs = list(configs)
    own = executor is None
    pool = executor or ProcessPoolExecutor(
        max_workers=min(len(configs) or 1, os.cpu_count() or 1),
        # spawn: a forked child inherits the parent's thread pools in an unusable state
        mp_context=multiprocessing.get_context("spawn"),
        initializer=torch.set_num_threads,
        initargs=(1,),
    )
    try:
        futures = [pool.submit(run, config, folder) for config in configs]
        for done in tqdm(as_completed(futures), total=len(futures), unit="run", disable=not progress):
            done.result()
        return [future.result() for future in futures]
    finally:
        if own:
            pool.shutdown(cancel_futures=True)
