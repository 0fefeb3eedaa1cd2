"""What a reader needs to know to judge or repeat a figure: when, where and from what it was made.

`execute.py` calls `note` for each notebook that it has executed; the build (book/_ext/provenance.py) reads it
again and writes it under the figures. The notes lie in the cache of results, so both vanish together.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from book.tools import ROOT


def key(notebook: dict[str, Any]) -> str:
    """Names the results of a notebook: a digest of its code."""
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return hashlib.sha256("\0".join(code).encode()).hexdigest()[:16]


def note(cache: Path, notebook: dict[str, Any]) -> Path:
    """Keep how long each cell took (as nbclient's `record_timing` notes it), and where.

    The times are taken out of the notebook: the cache would not find it again with them.
    """
    seconds = [
        _seconds(c["metadata"].pop("execution", {})) for c in notebook["cells"] if c["cell_type"] == "code"
    ]
    path = cache / "made" / f"{key(notebook)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**environment(), "seconds": seconds}))
    return path


def read(cache: Path, notebook: dict[str, Any]) -> dict[str, Any]:
    """What `note` has kept, or nothing."""
    path = cache / "made" / f"{key(notebook)}.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def _seconds(times: dict[str, str]) -> float | None:
    try:
        start, end = (
            datetime.datetime.fromisoformat(times[name])
            for name in ("iopub.status.busy", "shell.execute_reply")
        )
    except KeyError:
        return None
    return round((end - start).total_seconds(), 2)


def environment(root: Path = ROOT) -> dict[str, str]:
    """Date, versions, machine, and a digest of the file that pins every package."""
    from sam_edu.experiments.provenance import cpu_name  # here: it needs torch, and `key` is asked without

    lock = root / ".ci" / "requirements.lock"
    try:
        torch = version("torch")
    except PackageNotFoundError:
        torch = "not installed"
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "torch": torch,
        "machine": f"{cpu_name()}, {platform.system()}",
        "lock": hashlib.sha256(lock.read_bytes()).hexdigest()[:12] if lock.is_file() else "none",
    }


def commit(root: Path = ROOT) -> str:
    """The commit of the tree, "+ changes" if files differ from it; "unknown" in an unpacked archive."""
    if not (root / ".git").exists():  # git would look in the folders above
        return "unknown"
    try:
        name = _git(root, "rev-parse", "--short=10", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name} + changes" if changed else name


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=root, check=True, capture_output=True, text=True
    ).stdout.strip()
