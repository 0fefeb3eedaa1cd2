"""Runs as text: one line each, the state of a folder, a table of a protocol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from sam_edu.experiments import checkpoints, files, records, summary
from sam_edu.experiments.config import Groups, RunConfig
from sam_edu.experiments.record import Record


def line(record: Record) -> str:
    """A finished run in one line."""
    parts = [record.config.run_id, records.name(record.config), f"train {record.train_accuracy:.1%}"]
    for evaluation in (record.linf, record.l2):
        if evaluation is not None:
            robust = ", ".join(f"{at.accuracy:.1%} at {at.eps:.3g}" for at in evaluation.attacked)
            attacks = f", {evaluation.norm}: {robust}" if robust else ""
            parts.append(f"clean {evaluation.clean_accuracy:.1%}{attacks}")
    speed = record.images_per_second
    pace = f", {speed:,.0f} images/s" if speed else ""
    return ", ".join(parts) + f" ({record.seconds['train']:.0f} s{pace})"


def status(config: RunConfig, folder: Path) -> str:
    """ "finished", "epoch k of n", "waiting", "damaged: ..." or "unknown: ..."."""
    path = records.find(config.run_id, folder)
    if path is not None:
        return _state(path)
    states = [checkpoints.read(p) for p in sorted(folder.glob(f"{config.run_id}.[01].ckpt"))]
    whole = [state["epoch"] for state in states if state is not None]
    if whole:
        at_work = ", at work" if files.is_claimed(folder, config.run_id) else ""
        return f"epoch {max(whole)} of {config.epochs}{at_work}"
    return "damaged: checkpoints" if states else "waiting"


def statuses(groups: Groups, folder: Path) -> list[str]:
    """One line per run, and their numbers."""
    lines, counts = [], Counter[str]()
    width = max(map(len, groups))
    for label, group in groups.items():
        for config in group:
            found = status(config, folder)
            lines.append(f"{config.run_id}  {label:<{width}}  seed {config.seed}  {found}")
            counts[found.partition(" ")[0].rstrip(":").replace("epoch", "begun")] += 1
    return [*lines, ", ".join(f"{n} {what}" for what, n in counts.items())]


def _state(path: Path) -> str:
    try:
        records.read(path)
    except records.OtherVersion:
        return f"unknown: {path.name} is of another version"
    except ValueError:
        return f"damaged: {path.name}"
    return "finished"


def contents(folder: Path) -> list[str]:
    """What lies in a folder of runs; the records that cannot be read come last, by name."""
    states = [_state(path) for _, path in sorted(records.index(folder).items())]
    kinds = {"with weights": "*.safetensors", "begun": "*.[01].ckpt", "set aside as damaged": "*.damaged*"}
    runs = {
        what: {path.name.split(".")[0] for path in folder.glob(pattern)} for what, pattern in kinds.items()
    }
    others = [state for state in states if state != "finished"]
    counts = [f"{len(found)} {what}" for what, found in runs.items()]
    return [f"{len(states) - len(others)} finished", *counts, *others]


def table(groups: Mapping[str, Sequence[Record]]) -> list[str]:
    """Mean and standard deviation over the seeds, per cent: one line per label."""
    rows: list[list[str]] = []
    for label, group in groups.items():
        cells = {"seeds": str(len(group)), "clean": summary.at(group, 0).percent() if group[0].linf else ""}
        for norm, evaluation in (("linf", group[0].linf), ("l2", group[0].l2)):
            for entry in evaluation.attacked if evaluation else ():
                cells[f"{norm} {entry.eps:.3g}"] = summary.at(group, entry.eps, norm).percent()
        if not rows:
            rows.append(["", *cells])
        rows.append([label, *cells.values()])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
