"""As much of CIFAR-10 as some minutes of one GPU give: the grid of `cifar10-fast`, then the paper's network.

    python -m benchmarks.minutes --minutes 15 --folder runs
    python -m benchmarks.minutes --dataset cifar10-jpeg --folder runs    where only the JPEG copy is at hand
    python -m benchmarks.minutes --rehearse --folder /tmp/tried          a slice of every run, on any machine

First seed 0 of every row, then seed 1, then seed 2; then PreActResNet-18 by the paper's protocol (SGD and SAM
with rho = 0.1, seed 0, bfloat16, compiled). Networks this small leave most of a large GPU idle, so that some
runs share it. No run is begun after the time is up, and what still trains then is stopped: it goes on from
its last epoch when the same command is given again. What is finished:
``python -m sam_edu.experiments table cifar10-fast --folder runs`` (for the JPEG copy: without the name).
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import os
import time
from collections.abc import Sequence
from multiprocessing.context import SpawnProcess
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import torch

from sam_edu.experiments import RunConfig, protocols, run

SEEDS = 3
TOGETHER = 3  # runs that share a GPU
SLICE = {
    "train_size": 64, "validation_size": 16, "test_size": 8, "width": 8, "epochs": 2, "batch_size": 32,
    "attack_steps": 1, "eval_linf": (1 / 255,), "eval_l2": (), "precision": "bfloat16", "compile": False,
}  # fmt: skip


def plan(dataset: str, rehearse: bool = False) -> list[RunConfig]:
    """All runs in the order in which they are begun."""
    grid = protocols.configs("cifar10-fast", range(SEEDS))
    runs = [group[seed] for seed in range(SEEDS) for group in grid.values()]
    paper = protocols.configs("cifar10", [0])
    runs += [
        dataclasses.replace(paper[label][0], precision="bfloat16", compile=True)
        for label in ("SGD", "SAM ρ=0.1")
    ]
    runs = [dataclasses.replace(config, dataset=dataset) for config in runs]
    if rehearse:  # rows that differ in what the slice leaves out are one
        runs = list(dict.fromkeys(_slice(config) for config in runs))
    return runs


def _slice(config: RunConfig) -> RunConfig:
    few = {**SLICE, "model": "fast" if config.model == "fast" else "preact-resnet"}
    if not config.validation_size:
        few |= {"validation_size": 0}
    return dataclasses.replace(config, **few)  # type: ignore[arg-type]


def spend(runs: Sequence[RunConfig], folder: Path, minutes: float, together: int) -> tuple[int, int]:
    """Do what can be done in that time; returns how many runs are finished, and how many are not."""
    until = time.monotonic() + 60 * minutes
    context = multiprocessing.get_context("spawn")  # a forked process cannot use the GPU of its parent
    begun = context.Value("i", 0)
    workers = [
        context.Process(target=work, args=(runs, begun, folder, until, together)) for _ in range(together)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        _end(worker, until)
    done = sum((folder / f"{config.run_id}.json").exists() for config in runs)
    return done, len(runs) - done


def _end(worker: SpawnProcess, until: float) -> None:
    worker.join(max(0.0, until - time.monotonic()))
    worker.terminate()  # records and checkpoints are whole at any moment
    worker.join()


def work(
    runs: Sequence[RunConfig], begun: Synchronized[int], folder: Path, until: float, together: int = 1
) -> None:
    """One process of so many: take the next run, as long as there is one and time."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // together) if torch.cuda.is_available() else 1)
    while time.monotonic() < until:
        with begun.get_lock():
            number = begun.value
            begun.value += 1
        if number >= len(runs):
            return
        config = runs[number]
        started = time.monotonic()
        name = f"{config.model}, {config.method}, {config.epochs} epochs, seed {config.seed}"
        try:
            record = run(config, folder)
        except Exception as error:  # the others may still succeed
            print(f"{name}: {type(error).__name__}: {error}", flush=True)
            continue
        robust = f"{record.linf.at[0].accuracy:.1%} robust" if record.linf else "not attacked"
        print(f"{name}: {time.monotonic() - started:.0f} s, {robust}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--folder", type=Path, default=Path("runs"))
    parser.add_argument("--dataset", default="cifar10", choices=("cifar10", "cifar10-jpeg"))
    parser.add_argument("--together", type=int, default=TOGETHER if torch.cuda.is_available() else 1)
    parser.add_argument("--rehearse", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    runs = plan(options.dataset, options.rehearse)
    done, left = spend(runs, options.folder, options.minutes, options.together)
    print(f"{done} runs are finished, {left} wait; the same command goes on with them")


if __name__ == "__main__":
    main()
