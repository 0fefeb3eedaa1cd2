"""What a training step costs on a clock, in steps of SGD: measured once on a calm machine, and kept.

A sentence that quoted the clock of the machine that builds its page would say something else each time, and
something wrong on a busy one. So the chapters' cells measure, and their text quotes this file.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("step_prices.json")


def step_prices(case: str) -> dict[str, float]:
    """Processor time of a step of each way of training, divided by that of SGD (1 is as dear as SGD).

    The median over rounds in which all were timed in turn, on one thread, by ``python -m benchmarks.steps``.

    Parameters
    ----------
    case : str
        Network and images in a batch, such as "mlp 128".

    Raises
    ------
    ValueError
        If that case was not measured.

    Examples
    --------
    >>> prices = step_prices("mlp 512")
    >>> prices["SGD"] < prices["SAM"] < prices["AT, 10 steps"]
    True
    """
    cases = about()["cases"]
    if case not in cases:
        raise ValueError(f"case must be one of {', '.join(cases)}, got {case!r}")
    return {"SGD": 1.0, **{name: ratio["median"] for name, ratio in cases[case].items()}}


@cache
def about() -> dict[str, Any]:
    """The whole file: date, machine, versions, and of every case the quartiles of each ratio."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found
