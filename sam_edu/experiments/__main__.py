"""Command line: ``python -m sam_edu.experiments {run,sweep,status,table,verify,keep}``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from sam_edu.experiments import (
    RunConfig,
    allowed,
    load_records,
    protocols,
    records,
    report,
    run,
    sweep,
    workers,
)
from sam_edu.experiments import verify as verification
from sam_edu.experiments.config import Groups

DEFAULT_FOLDER = Path("runs")


def main(arguments: list[str] | None = None) -> int:
    """Parse, do, print; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return options.action(options) or 0
    except (ValueError, TypeError, OSError, FloatingPointError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command continues from the last checkpoint", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sam_edu.experiments", description=__doc__)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("run", help="one run; every setting of RunConfig is an option")
    for setting in fields(RunConfig):
        option = f"--{setting.name.replace('_', '-')}"
        if setting.type == "bool":
            one.add_argument(option, action="store_true", default=None, help="default: no")
            continue
        kinds: dict[str, Callable[[str], Any]] = {"int": int, "int | None": int, "float": number}
        kind = kinds.get(str(setting.type), str)
        many = str(setting.type).startswith("tuple")
        one.add_argument(
            option,
            type=number if many else kind,
            nargs="+" if many else None,
            help=_about(setting.name, setting.default),
        )
    one.set_defaults(action=_run)
    several = commands.add_parser("sweep", help="all runs of one of the book's protocols")
    several.add_argument(
        "--dask", metavar="ADDRESS", help="scheduler of a Dask cluster, such as tcp://host:8786"
    )
    several.set_defaults(action=_sweep)
    status = commands.add_parser("status", help="which runs are finished, begun, waiting, damaged")
    status.set_defaults(action=_status)
    table = commands.add_parser("table", help="print the records in a folder")
    table.set_defaults(action=_table)
    for command, nargs in ((several, None), (status, "?"), (table, "?")):
        command.add_argument("protocol", choices=list(protocols.PROTOCOLS), nargs=nargs)
        command.add_argument(
            "--seeds", type=int, help="number of seeds of each row (default: the book's plan)"
        )
    check = commands.add_parser("verify", help="attack recorded weights again, with another package")
    check.add_argument("runs", nargs="*", metavar="RUN_ID", help="default: all that have weights")
    check.add_argument("--images", type=int, help="the first so many test images only")
    check.add_argument("--folder", type=Path, default=None, help="default: the runs shipped with the book")
    check.set_defaults(action=_verify)
    keep = commands.add_parser("keep", help="put the finished records of a folder into the book's")
    keep.set_defaults(action=_keep)
    for command in (one, several, status, table, keep):
        where = f"where records and checkpoints are (default {DEFAULT_FOLDER}/)"
        command.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help=where)
    return parser


def number(text: str) -> float:
    """A number, or a fraction as the book writes its radii: 8/255."""
    over, slash, under = text.partition("/")
    if slash and not float(under):
        raise ValueError(f"{text} divides by 0")
    return float(over) / float(under) if slash else float(text)


def _about(name: str, default: object) -> str:
    """What ``run --help`` says of a setting."""
    choices = ", ".join(allowed.CHOICES.get(name, ()))
    unit = allowed.PIXELS if name in allowed.RADII else ""
    return "; ".join(part for part in (choices, unit, f"default {default}") if part)


def _run(options: argparse.Namespace) -> None:
    given = {f.name: getattr(options, f.name) for f in fields(RunConfig)}
    given["workers"] = given["workers"] or workers.launched()
    config = RunConfig.from_dict({name: value for name, value in given.items() if value is not None})
    record = run(config, options.folder, progress=True)
    if workers.rank() == 0:
        print(report.line(record))


def _sweep(options: argparse.Namespace) -> None:
    groups = _groups(options)
    if options.dask is None:
        found = sweep(groups, options.folder, progress=True)
    else:
        from distributed import Client

        with Client(options.dask) as client:
            found = sweep(groups, options.folder.resolve(), client.get_executor(), progress=True)
    for label, group in found.items():
        print(label)
        for record in group:
            print("   ", report.line(record))


def _groups(options: argparse.Namespace) -> Groups:
    return protocols.plan(options.protocol, options.seeds)


def _status(options: argparse.Namespace) -> None:
    folder = records.existing(options.folder)
    if options.protocol is None:
        print(", ".join(report.contents(folder)))
    else:
        print("\n".join(report.statuses(_groups(options), folder)))


def _table(options: argparse.Namespace) -> None:
    if options.protocol is None:
        lines = [report.line(record) for record in load_records(folder=options.folder)]
        lacking = f"no records in {options.folder}; `run` and `sweep` make them"
    else:
        found = records.available(_groups(options), options.folder)
        lines = report.table(found) if found else []
        lacking = (
            f"no records of {options.protocol} in {options.folder} (others: "
            f"{len(records.index(options.folder))}); `sweep {options.protocol}` makes them"
        )
    if not lines:
        raise FileNotFoundError(lacking)
    print("\n".join(lines))


def _keep(options: argparse.Namespace) -> None:
    kept, others = records.keep(options.folder)
    print("\n".join(map(str, kept)))
    print(f"{len(kept)} records kept in {records.SHIPPED}, {len(others)} belong to no protocol of the book")


def _verify(options: argparse.Namespace) -> int:
    runs = options.runs or verification.with_weights(options.folder)
    if not runs:
        raise FileNotFoundError(f"no run with weights in {options.folder or 'the book'}")
    verdicts = []
    for run_id in runs:
        for verdict in verification.verify(run_id, options.folder, options.images):
            print(verdict, flush=True)
            verdicts.append(verdict)
    good = sum(verdict.ok for verdict in verdicts)
    print(f"{good} of {len(verdicts)} accuracies agree within {100 * verification.TOLERANCE:g} points")
    return int(good < len(verdicts))


if __name__ == "__main__":
    sys.exit(main())
