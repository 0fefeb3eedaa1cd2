"""What the doubts of an evaluation cost: the share of its time that goes into flags."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.timing import Ratio, quartiles
from sam_edu import _sanity
from sam_edu.evaluation import evaluate

EPS = (0.03, 0.06)
#: what is timed, and the functions of an evaluation that it stands for
PARTS = {
    "is the gradient finite, and the slope?": ("gradient_flags",),
    "all flags": ("gradient_flags", "flags", "black_box_flags"),
}


def share(model: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, rounds: int) -> dict[str, Ratio]:
    """Processor time of the flags divided by that of the quick evaluation around them (each one its own)."""
    found: dict[str, list[float]] = {name: [] for name in PARTS}
    for _ in range(rounds):
        inside, whole = _one(model, x, y)
        for name, functions in PARTS.items():
            found[name].append(sum(inside[f] for f in functions) / whole)
    return {name: quartiles(values) for name, values in found.items()}


def _one(model: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> tuple[dict[str, float], float]:
    inside = dict.fromkeys(PARTS["all flags"], 0.0)

    def timed(name: str) -> Callable[..., Any]:
        work = getattr(_sanity, name)

        def run(*arguments: Any) -> Any:
            started = _now()
            found = work(*arguments)
            inside[name] += _now() - started
            return found

        return run

    with ExitStack() as stack:
        for name in inside:
            stack.enter_context(patch.object(_sanity, name, timed(name)))
        started = _now()
        evaluate(model, x, y, EPS)
        return inside, _now() - started


def _now() -> float:
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()
