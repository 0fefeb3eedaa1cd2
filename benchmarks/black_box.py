"""What does an attack without gradients break that those with gradients left? A count over all records.

    python -m benchmarks.black_box

Each line is a folder of records and a way of training: how many images, over all runs and radii, Square was
let loose on, and how many of them it broke. Records that are older than this rung are counted, too. Reads
the records alone, in a few seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from sam_edu.experiments.record import Record
from sam_edu.experiments.records import index, read
from sam_edu.measured import RungResult
from sam_edu.methods import METHODS


@dataclass
class Count:
    """Of one folder and way of training: evaluations with the rung and without, images met and broken."""

    older: int = 0
    newer: int = 0
    met: int = 0
    broken: int = 0
    most: float = 0.0  # the largest share of all images of an evaluation that it broke


def broken_without_gradients(rungs: list[RungResult], n: int) -> tuple[int, int] | None:
    """Images that Square met and broke at one radius; None where it was not among the rungs."""
    for before, rung in pairwise(rungs):
        if "square" in rung.label.lower():
            return rung.attacked, round((before.accuracy - rung.accuracy) * n)
    return None


def kind(record: Record) -> str:
    """What is perturbed in training: nothing, the weights, the inputs, or both."""
    method = METHODS[record.config.method]
    return {
        (False, False): "neither",
        (True, False): "weights",
        (False, True): "inputs",
        (True, True): "both",
    }[method.perturbs, method.attacks]


def counts(paths: Iterator[Path]) -> dict[tuple[str, str], Count]:
    """By folder and way of training."""
    found: dict[tuple[str, str], Count] = {}
    for path in paths:
        record = read(path)
        count = found.setdefault((path.parent.name, kind(record)), Count())
        evaluations = [e for e in (record.linf, record.l2, record.validation) if e is not None]
        for evaluation in evaluations:
            for entry in evaluation.attacked:
                pair = broken_without_gradients(entry.rungs, evaluation.n)
                if pair is None:
                    count.older += 1
                    continue
                count.newer += 1
                count.met += pair[0]
                count.broken += pair[1]
                count.most = max(count.most, pair[1] / evaluation.n)
    return found


def main() -> None:
    """Count, and print a table in Markdown."""
    found = counts(iter(index().values()))
    print("| records | perturbed in training | evaluations (older) | images met | broken | at most |")
    print("|:--|:--|--:|--:|--:|--:|")
    for (folder, way), c in sorted(found.items()):
        most = f"{c.most:.2%}" if c.newer else "–"
        print(f"| {folder} | {way} | {c.newer + c.older} ({c.older}) | {c.met} | {c.broken} | {most} |")
    total = found.values()
    print(f"\n{sum(c.broken for c in total)} of {sum(c.met for c in total)} images in all.")


if __name__ == "__main__":
    main()
