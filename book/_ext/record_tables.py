"""Tables of the run records that ship with the book: by protocol, by data set, and how they were made."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from book.tools.edition import chapter


@cache
def shipped() -> dict[str, dict[str, list[Any]]]:
    """Protocol -> label -> records."""
    from sam_edu.experiments import available, protocols

    seeds = sorted({record.config.seed for record in _all()})
    return {name: available(protocols.configs(name, seeds), None) for name in protocols.PROTOCOLS}


def by_protocol(root: Path) -> str:
    """Which protocol has how many settings, seeds and runs, what they took, and which chapters read them."""
    from sam_edu.experiments import protocols

    rows = ["| protocol | read by chapter | settings | seeds | runs | hours |", "|---|---|---|---|---|---|"]
    own, trained = _evaluations(), set[tuple[str, float]]()
    for name, groups in shipped().items():
        records = [record for group in groups.values() for record in group]
        trainings = {_training(record): record.seconds["train"] for record in records}
        seconds = sum(took for training, took in trainings.items() if training not in trained)
        hours = (seconds + sum(own[record.config.run_id] for record in records)) / 3600
        trained |= trainings.keys()
        settings = f"{len(groups)} of {len(protocols.PROTOCOLS[name][1])}"
        seeds = _span(len(group) for group in groups.values()) or "not run"
        took = f"{hours:.2f}" if records else ""
        rows.append(f"| `{name}` | {readers(root, name)} | {settings} | {seeds} | {len(records)} | {took} |")
    return "\n".join(rows)


def _training(record: Any) -> tuple[str, float]:
    """What tells trainings apart; records of the same weights agree in it."""
    return record.config.training_id, record.seconds["train"]


def _evaluations() -> dict[str, float]:
    """Run id -> seconds of its evaluation; of a search that went on, those after what it began with."""
    found = {record.config.run_id: record.seconds["evaluate"] for record in _all()}
    begun = {record.config.run_id: record.origin.get("begun") for record in _all()}
    return {run: took - found.get(begun[run], 0.0) for run, took in found.items()}


def readers(root: Path, protocol: str) -> str:
    """Links to the chapters whose code asks for the protocol's configurations."""
    found = []
    for path in chapter.chapters(root):
        code = "\n".join(chapter.code_of(path))
        if asks(code, protocol):
            number = path.stem.partition("_")[0].lstrip("0")
            found.append(f"[{number or 'Welcome'}](../notebooks/{path.name})")
    return ", ".join(found) or "–"


def asks(code: str, protocol: str) -> bool:
    """Whether code calls study or configs for it: by name, as f"{...}-ending" or in a variable."""
    call = r"(?:study|configs)\("
    literal = re.search(rf'{call}"{protocol}"', code)
    ending = any(protocol.endswith(m[1]) for m in re.finditer(call + r'f"\{\w+\}(-[\w-]+)"', code))
    variable = re.search(call + r"[A-Za-z]\w*,", code) and re.search(rf'(?<!load\()"{protocol}"', code)
    return bool(literal or ending or variable)


def made() -> str:
    """One sentence: how many records, when, with which versions, on what."""
    origins = [record.origin for record in _all()]
    versions = [origin["versions"] for origin in origins]
    days, threads = sorted({o["date"] for o in origins}), Counter(o["threads"] for o in origins)
    more = "".join(f", {n} of them with {count}" for count, n in sorted(threads.items()) if count != 1)
    return (
        f"The book ships {len(origins)} records. They were made from {days[0]} to {days[-1]}, with Python "
        f"{_listed(v['python'] for v in versions)} and PyTorch {_listed(v['torch'] for v in versions)}, on "
        f"{_listed(o['hardware'] for o in origins)}, with one thread a run{more}."
    )


def data() -> str:
    """Which images stand behind the records, with the checksum that every record carries."""
    counted = Counter(
        tuple(record.origin["data"][key] for key in ("name", "provenance", "checksum")) for record in _all()
    )
    rows = ["| data set | where it comes from | checksum | records |", "|---|---|---|---|"]
    rows += [f"| {name} | {where} | `{sum_}` | {n} |" for (name, where, sum_), n in sorted(counted.items())]
    return "\n".join(rows)


@cache
def _all() -> list[Any]:
    from sam_edu.experiments import load_records

    return load_records()


def _listed(values: Iterable[str]) -> str:
    return ", ".join(sorted(set(values)))


def _span(numbers: Iterable[int]) -> str:
    found = sorted(set(numbers))
    return f"{found[0]} to {found[-1]}" if len(found) > 1 else "".join(map(str, found))
