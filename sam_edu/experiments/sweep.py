"""Many runs at once, on any ``concurrent.futures`` executor."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import overload

import torch
from tqdm.auto import tqdm

from sam_edu.experiments.config import Groups, RunConfig, regroup
from sam_edu.experiments.records import Record
from sam_edu.experiments.runner import run


@overload
def sweep(configs: Groups, folder: str | Path | None = None, executor: Executor | None = None,
          progress: bool = False) -> dict[str, list[Record]]: ...  # fmt: skip
@overload
def sweep(configs: Iterable[RunConfig], folder: str | Path | None = None,
          executor: Executor | None = None, progress: bool = False) -> list[Record]: ...  # fmt: skip
def sweep(configs, folder=None, executor=None, progress=False):
    """Do the runs and return their records in the order, and in the shape, of ``configs``.

    ``configs`` may be a list of runs or, as :func:`protocols.configs` makes it, a mapping from labels to
    lists.

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
    if isinstance(configs, Mapping):
        flat = [config for group in configs.values() for config in group]
        return regroup(configs, sweep(flat, folder, executor, progress))
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
