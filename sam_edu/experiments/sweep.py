"""Many runs at once, on any ``concurrent.futures`` executor."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import overload

import torch
from tqdm.auto import tqdm

from sam_edu.experiments.config import Groups, RunConfig, regroup
from sam_edu.experiments.record import Record
from sam_edu.experiments.runner import run

GUARD = 'in a script, the call must stand under `if __name__ == "__main__":`, in a file'


@overload
def sweep(
    configs: Groups,
    folder: str | Path | None = None,
    executor: Executor | None = None,
    progress: bool = False,
) -> dict[str, list[Record]]: ...
@overload
def sweep(
    configs: Iterable[RunConfig],
    folder: str | Path | None = None,
    executor: Executor | None = None,
    progress: bool = False,
) -> list[Record]: ...
def sweep(configs, folder=None, executor=None, progress=False):
    """Do the runs and return their records in the order, and in the shape, of ``configs``.

    ``configs`` may be a list of runs or, as ``protocols.configs`` makes it, a mapping from labels to
    lists. Each run is computed by one thread, wherever it is done: all executors give the same weights.

    Parameters
    ----------
    executor : concurrent.futures.Executor, optional
        Default: one process per core, or, with a GPU, one run after the other in this process. Dask's
        ``Client.get_executor()`` works too; the folder must then be one that all workers see.
    progress : bool
        Show a bar over the runs (and one for each run, where they are done one after the other).

    Raises
    ------
    Exception
        The first error of a run, after all others have been tried; finished runs stay recorded in
        ``folder``.
    """
    if isinstance(configs, Mapping):
        flat = [config for group in configs.values() for config in group]
        return regroup(configs, sweep(flat, folder, executor, progress))
    configs = list(configs)
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SystemExit(f"a worker process has come to the sweep again while importing your script: {GUARD}")
    if executor is None and torch.cuda.is_available():
        return _in_turn(configs, folder, progress)
    with _own_pool(len(configs)) if executor is None else _borrowed(executor) as pool:
        futures = [pool.submit(one_thread, config, folder) for config in configs]
        with tqdm(total=len(futures), unit="run", disable=not progress) as bar:
            for future in as_completed(futures):
                bar.update(future.exception() is None)  # what failed is not done
        try:
            return _results(futures)
        except BrokenProcessPool as error:
            raise RuntimeError(
                f"a worker process ended before its run was done: {GUARD}; if it does, look "
                "for a lack of memory. Finished runs are kept"
            ) from error


def one_thread(config: RunConfig, folder: str | Path | None = None) -> Record:
    """``run`` on one thread: sums that are split over another number of threads round differently."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return run(config, folder)
    finally:
        torch.set_num_threads(threads)


def _in_turn(configs: list[RunConfig], folder: str | Path | None, progress: bool) -> list[Record]:
    futures: list[Future[Record]] = []
    with tqdm(total=len(configs), unit="run", disable=not progress) as bar:
        for config in configs:
            futures.append(Future())
            try:
                futures[-1].set_result(run(config, folder, progress))
                bar.update()
            except Exception as error:  # the others may still succeed; _results raises it
                futures[-1].set_exception(error)
    return _results(futures)


def _results(futures: list[Future[Record]]) -> list[Record]:
    errors = [error for future in futures if (error := future.exception()) is not None]
    if errors:
        errors[0].add_note(f"({len(errors)} of {len(futures)} runs failed; this is the first error)")
        raise errors[0]
    return [future.result() for future in futures]


@contextmanager
def _own_pool(runs: int) -> Iterator[Executor]:
    pool = ProcessPoolExecutor(
        max_workers=min(runs or 1, os.cpu_count() or 1),
        # spawn: a forked child inherits the parent's thread pools in an unusable state
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """One thread for the run, another that ends this process when the sweep's own is gone.

    Else the workers of a killed sweep (a restarted kernel) would train on, unseen, and hold their runs.
    """
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None  # a worker has one

    def end_with_the_sweep() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_the_sweep, daemon=True).start()


@contextmanager
def _borrowed(executor: Executor) -> Iterator[Executor]:
    yield executor
