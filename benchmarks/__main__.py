"""Measure everything in one run, print the table, write it down.

python -m benchmarks             about ten minutes; writes benchmarks/results.json and results.md
python -m benchmarks --rounds 1  a quick look; writes nothing
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks import cases, flags
from benchmarks.timing import Ratio, about

HERE = Path(__file__).parent
ROUNDS = 15
PEERS = ("torch", "torchattacks", "foolbox", "pytorch-optimizer")


def measure(rounds: int, small: bool = False) -> dict[str, Any]:
    """All ratios as plain numbers."""
    torch.set_num_threads(1)
    models = cases.cases(small)
    few, samples = max(1, rounds // 4), 100 if small else 500
    evaluation = cases.evaluation(few, samples=samples)
    return {
        **about(),
        "threads": 1,
        "rounds": rounds,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PEERS}},
        "step": {case.name: _plain(cases.family(case, rounds)) for case in models},
        "PGD-10": {case.name: _plain(cases.pgd10(case, rounds)) for case in models},
        "memory": {case.name: cases.memory(case) for case in models},
        "evaluation": asdict(evaluation),
        "flags": _plain(flags.share(*cases.trained(samples), few)),
        "import seconds": cases.import_seconds(),
    }


def _plain(found: dict[str, Ratio]) -> dict[str, dict[str, float]]:
    return {name: asdict(ratio) for name, ratio in found.items()}


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    where = f"Measured {results['date']} on {results['machine']}, {results['threads']} thread"
    lines = [f"{where}, {results['rounds']} rounds; {versions}."]
    # One row for each optimizer or attack, one column for each model.
    for name, title in (("step", "a step / ideal SAM step"), ("PGD-10", "PGD-10 / ideal")):
        lines += _rows(title, results[name], lambda cell: str(Ratio(**cell)))
    lines += _rows("peak memory of a step, in copies of the weights", results["memory"], "{:.1f}".format)
    cost = results["evaluation"]
    lines += [
        "",
        f"Evaluation, PGD-20 with 5 restarts of a small CNN on {cost['samples']} digits "
        f"({cost['robust_accuracy']:.0%} robust): attacking every sample every time takes "
        f"{Ratio(**cost['speedup'])} times as long; {cost['different_verdicts']} verdicts differ.",
        "",
        "Share of the flags in a quick evaluation of the same network and images at two radii: "
        + "; ".join(f"{name} {_percent(Ratio(**cell))}" for name, cell in results["flags"].items())
        + ".",
        "",
        f"`import sam_edu` with its core adds {results['import seconds']:.2f} s to `import torch`.",
    ]
    return "\n".join(lines) + "\n"


def _percent(ratio: Ratio) -> str:
    return f"{ratio.median:.1%} ({ratio.low:.1%}-{ratio.high:.1%})"


def _rows(title: str, columns: dict[str, dict[str, Any]], show: Callable[[Any], str]) -> list[str]:
    lines = ["", f"| {title} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for row in next(iter(columns.values())):
        lines.append(f"| {row} | " + " | ".join(show(column[row]) for column in columns.values()) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default {ROUNDS}")
    parser.add_argument("--small", action="store_true", help="the quickest model only; writes nothing")
    options = parser.parse_args()
    results = measure(options.rounds, options.small)
    print(table(results))
    if options.rounds >= ROUNDS and not options.small:
        (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
        (HERE / "results.md").write_text(table(results))


if __name__ == "__main__":
    main()
