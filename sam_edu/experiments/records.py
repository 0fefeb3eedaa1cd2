"""The files of run records: one JSON file per run, written atomically, with a checksum.

A run writes ``<run_id>.json`` into its folder. The book keeps the same files, byte for byte, under names that
say what they are about, ``fashion-mnist/sam-rho0.2-seed0.<run_id>.json``: a record is found by the id at the
end of its name, in a folder of either kind.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, overload

from sam_edu.experiments import protocols
from sam_edu.experiments.config import Groups, RunConfig, regroup, settings_id
from sam_edu.experiments.files import write_atomically
from sam_edu.experiments.record import Record, with_nans, with_nulls

SHIPPED = Path(__file__).resolve().parents[1] / "records"
RUN_ID = re.compile("[0-9a-f]{12}")  # RunConfig.run_id


class OtherVersion(ValueError):
    """A record that is whole and that this version cannot read."""


def name(config: RunConfig) -> str:
    """What tells this run from its neighbours, in a few words."""
    parts = [config.dataset, config.method, f"seed {config.seed}"]
    radii = (("rho", config.rho), ("eps", config.eps), ("gamma", config.gamma))
    return ", ".join(parts + [f"{label} {value:.3g}" for label, value in radii if value])


def write(record: Record, folder: str | Path) -> Path:
    """Write the record as ``<run_id>.json`` in ``folder``; what is not a number, as JSON's null."""
    body = json.dumps(with_nulls(record.to_dict()), sort_keys=True, allow_nan=False)
    text = json.dumps({"sha256": _digest(body), "record": json.loads(body)}, indent=0)
    path = Path(folder).expanduser() / f"{record.config.run_id}.json"
    write_atomically(path, text.encode())
    return path


def read(path: str | Path) -> Record:
    """Read a record and make sure that it is whole.

    Raises
    ------
    ValueError
        If the file is truncated, was edited, or does not belong to its name.
    OtherVersion
        (A ValueError, too.) If it is whole, and has entries that this version of sam_edu does not know, or
        lacks some.
    """
    path = Path(path)
    try:
        outer = json.loads(path.read_text())
        ok = outer["sha256"] == _digest(json.dumps(outer["record"], sort_keys=True))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is not a whole run record ({error}); delete it and run again") from None
    try:
        record = Record.from_dict(with_nans(outer["record"])) if ok else None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OtherVersion(
            f"{path} is whole, but of another version of sam_edu ({error}): read it with that version, or "
            "choose another folder"
        ) from None
    if record is None or _id(path) not in (record.config.run_id, _written_id(outer["record"]["config"])):
        raise ValueError(f"{path} was changed after it was written; delete it and run again")
    return record


@overload
def load_records(configs: Groups, folder: str | Path | None = None) -> dict[str, list[Record]]: ...
@overload
def load_records(
    configs: Iterable[RunConfig] | None = None, folder: str | Path | None = None
) -> list[Record]: ...
def load_records(configs=None, folder=None):
    """Read the records of these runs, or all, from ``folder`` (default: those shipped with the book).

    ``configs`` may be a list of runs or, as ``protocols.configs`` makes it, a mapping from labels to
    lists; the records come in the same shape.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If there is no such folder, or it is a file. If the record of a run is missing; the message names the
        run.
    ValueError
        If a record is damaged.

    Examples
    --------
    >>> from sam_edu.experiments import protocols
    >>> records = load_records(protocols.configs("fashion-mnist", seeds=range(3)))
    >>> len(records["SGD"])
    3
    """
    if isinstance(configs, Mapping):
        flat = [config for group in configs.values() for config in group]
        return regroup(configs, load_records(flat, folder))
    folder, known = _place(folder), index(folder)
    if configs is None:
        return [read(path) for _, path in sorted(known.items())]
    found = []
    for config in configs:
        if config.run_id not in known:
            raise FileNotFoundError(
                f"no record of run {config.run_id} ({name(config)}) in {folder}; experiments.run(config, "
                "folder) makes it"
            )
        found.append(read(known[config.run_id]))
    return found


def index(folder: str | Path | None = None) -> dict[str, Path]:
    """Run id -> file of each record in a folder or one level below it (None: shipped with the book).

    Only names are looked at: a record's ends in its run id, and other JSON files are none of ours. Where a
    run has two files, the one that lies in the folder itself counts.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If there is no such folder, or it is a file.
    """
    folder = existing(folder)
    paths = (path for pattern in ("*/*.json", "*.json") for path in sorted(folder.glob(pattern)))
    return {_id(path): path for path in paths if RUN_ID.fullmatch(_id(path)) and path.is_file()}


def find(run_id: str, folder: str | Path | None = None) -> Path | None:
    """The file of one run's record, or None: also without a folder, which a run will make.

    NotADirectoryError if the folder is a file.
    """
    place = _place(folder)
    flat = place / f"{run_id}.json"
    return flat if flat.is_file() else index(place).get(run_id) if place.exists() else None


def available(groups: Groups, *folders: str | Path | None) -> dict[str, list[Record]]:
    """Those of these runs that have a record in one of the folders (None, and the default: the book's).

    The first folder that has a run wins; labels without any record are left out.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If one of the folders is not there, or is a file.
    ValueError
        If a record is damaged.
    """
    known: dict[str, Path] = {}
    for folder in reversed(folders or (None,)):
        known |= index(folder)
    found = {
        label: [read(known[config.run_id]) for config in group if config.run_id in known]
        for label, group in groups.items()
    }
    return {label: group for label, group in found.items() if group}


def keep(folder: str | Path, shipped: Path = SHIPPED) -> tuple[list[Path], list[str]]:
    """Copy the records of a folder, byte for byte, to the places that the book has for them.

    Returns the new files and the ids of the runs that are part of no protocol. A record that the book has
    stays as it is.

    Raises
    ------
    ValueError
        If a record is damaged.
    FileNotFoundError, NotADirectoryError
        If the folder holds no record, is not there, or is a file.
    """
    known, kept, others = index(folder), [], []
    if not known:
        raise FileNotFoundError(f"no records in {folder}; `run` and `sweep` make them")
    for run_id, path in sorted(known.items()):
        place = protocols.place(read(path).config)
        if place is None:
            others.append(run_id)
        elif not (shipped / place).exists():
            kept.append(shipped / place)
            write_atomically(kept[-1], path.read_bytes())
    return kept, others


def existing(folder: str | Path | None) -> Path:
    """The folder (None: the book's), which has to be there: a name with a slip in it is not an empty folder.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If there is no such folder, or it is a file.
    """
    place = _place(folder)
    if not place.exists():
        raise FileNotFoundError(f"there is no folder {place}; `run` and `sweep` make it, or name another")
    if not place.is_dir():
        raise NotADirectoryError(f"{place} is a file, not a folder of records; name the folder that it is in")
    return place


def _place(folder: str | Path | None) -> Path:
    return SHIPPED if folder is None else Path(folder).expanduser()


def _written_id(config: dict[str, Any]) -> str:
    """The id under which earlier versions wrote settings such as rho = 1 instead of 1.0."""
    known = {f.name: f.default for f in fields(RunConfig)}
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in config.items()}
    return settings_id({k: v for k, v in given.items() if v != known[k]})


def _id(path: Path) -> str:
    return path.stem.rpartition(".")[2]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
