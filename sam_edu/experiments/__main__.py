"""Command line: ``python -m sam_edu.experiments {run,sweep,table}``."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from sam_edu.experiments import Record, RunConfig, load_records, protocols, run, sweep

DEFAULT_FOLDER = Path("runs")


def main(arguments: list[str] | None = None) -> int:
    """Parse, do, print; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        options.action(options)
    except (ValueError, TypeError, OSError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sam_edu.experiments", description=__doc__)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("run", help="one run; every setting of RunConfig is an option")
    for setting in fields(RunConfig):
        kind = {"int": int, "int | None": int, "float": float}.get(str(setting.type), str)
        many = str(setting.type).startswith("tuple")
        option = f"--{setting.name.replace('_', '-')}"
        one.add_argument(option, type=float if many else kind, nargs="+" if many else None,
                         help=f"default {setting.default}")  # fmt: skip
    one.set_defaults(action=_run)
    many_runs = commands.add_parser("sweep", help="all runs of one of the book's protocols")
    many_runs.add_argument("protocol", choices=list(protocols.PROTOCOLS))
    many_runs.add_argument("--seeds", type=int, default=3, help="number of seeds (default 3)")
    many_runs.set_defaults(action=_sweep)
    table = commands.add_parser("table", help="print the records in a folder")
    table.set_defaults(action=_table)
    for command in (one, many_runs, table):
        where = f"where records and checkpoints are (default {DEFAULT_FOLDER}/)"
        command.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help=where)
    return parser


def _run(options: argparse.Namespace) -> None:
    given = {f.name: getattr(options, f.name) for f in fields(RunConfig)}
    config = RunConfig.from_dict({name: value for name, value in given.items() if value is not None})
    print(_summary(run(config, options.folder, progress=True)))


def _sweep(options: argparse.Namespace) -> None:
    groups = protocols.configs(options.protocol, range(options.seeds))
    for label, records in sweep(groups, options.folder, progress=True).items():
        print(label)
        for record in records:
            print("   ", _summary(record))


def _table(options: argparse.Namespace) -> None:
    found = load_records(folder=options.folder)
    if not found:
        raise FileNotFoundError(f"no records in {options.folder}; `run` and `sweep` make them")
    for record in found:
        print(_summary(record))


def _summary(record: Record) -> str:
    config = record.config
    parts = [config.run_id, config.dataset, config.method, f"seed {config.seed}"]
    parts += [f"{name} {value:g}" for name, value in (("rho", config.rho), ("eps", config.eps)) if value]
    parts.append(f"train {record.train_accuracy:.1%}")
    for evaluation in (record.linf, record.l2):
        if evaluation is not None:
            robust = ", ".join(f"{at.accuracy:.1%} at {at.eps:.3g}" for at in evaluation.at)
            parts.append(f"clean {evaluation.clean_accuracy:.1%}, {evaluation.norm}: {robust}")
    return ", ".join(parts) + f" ({record.seconds['train']:.0f} s)"


if __name__ == "__main__":
    sys.exit(main())
