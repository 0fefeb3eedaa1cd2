"""Ratios of running times, measured so that a busy machine disturbs them little."""

from __future__ import annotations

import datetime
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from sam_edu.experiments.provenance import cpu_name


def about() -> dict[str, str]:
    """When and where: the head of every file of results."""
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": torch.cuda.get_device_name() if torch.cuda.is_available() else cpu_name(),
    }


@dataclass(frozen=True)
class Ratio:
    """Median and quartiles, over the rounds, of one candidate's time divided by the ideal's."""

    low: float
    median: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f})"

    def divided_by(self, number: float) -> Ratio:
        return Ratio(self.low / number, self.median / number, self.high / number)


def ratios(
    ideal: Callable[[], object], candidates: Mapping[str, Callable[[], object]], rounds: int, repeat: int = 1
) -> dict[str, Ratio]:
    """Time everything once a round, in turn, and compare within the round.

    Processor time of this process (CUDA: wall time between synchronisations): what other programs do
    hardly counts, and what does hits ideal and candidates alike.
    """
    found: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        base = _seconds(ideal, repeat)
        for name, work in candidates.items():
            found[name].append(_seconds(work, repeat) / base)
    return {name: quartiles(values) for name, values in found.items()}


def quartiles(values: list[float]) -> Ratio:
    if len(values) < 2:
        return Ratio(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Ratio(low, median, high)


def _seconds(work: Callable[[], object], repeat: int) -> float:
    work()  # untimed: compile, allocate, and fill the caches that the candidate before has used
    clock = time.process_time
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        clock = time.perf_counter
    started = clock()
    for _ in range(repeat):
        work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - started


def peak_bytes(work: Callable[[], object]) -> int:
    """Most memory held at once by what ``work`` allocates, by torch's own account."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    cpu = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=cpu, profile_memory=True) as found:
        work()
    held, most = 0, 0
    for event in found.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most
