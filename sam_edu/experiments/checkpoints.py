"""Checkpoints of a run: written whole, checked when read, two kept."""

from __future__ import annotations

import hashlib
import io
import pickle
import time
from pathlib import Path
from typing import Any

import torch

from sam_edu.experiments import files

#: An epoch's checkpoint is left out if saving would take more than this share of the time trained since
#: the last one: epochs of milliseconds share one, epochs of seconds have one each.
SHARE = 0.01


class Checkpoints:
    """The last two checkpoints of a run: the newer may be cut off by a crash of the machine."""

    def __init__(self, folder: Path, run_id: str) -> None:
        self.run_id = run_id
        self.paths = [folder / f"{run_id}.{slot}.ckpt" for slot in (0, 1)]
        self._slot = 0
        self._last = time.perf_counter()
        self._cost = 0.0

    def due(self) -> bool:
        """Whether enough has been trained since the last checkpoint to be worth another."""
        return self._cost <= SHARE * (time.perf_counter() - self._last)

    def save(self, state: dict[str, Any], started: float | None = None) -> None:
        """Write ``state`` over the older of the two; ``started`` is when it began to be put together."""
        started = time.perf_counter() if started is None else started
        buffer = io.BytesIO()
        torch.save({**state, "run_id": self.run_id}, buffer)
        payload = buffer.getvalue()
        digest = hashlib.sha256(payload).hexdigest().encode()
        files.write_atomically(self.paths[self._slot], digest + payload)
        self._slot = 1 - self._slot
        self._last = time.perf_counter()
        self._cost = self._last - started

    def load(self) -> dict[str, Any] | None:
        """The newest whole checkpoint; a damaged one is renamed to ``*.damaged`` and named."""
        there = [path for path in self.paths if path.exists()]
        for path in sorted(there, key=lambda p: p.stat().st_mtime_ns, reverse=True):
            state = read(path)
            if state is None:
                files.set_aside(path, "is damaged")
            elif state.get("run_id", self.run_id) != self.run_id:
                files.set_aside(path, f"is of another run, {state['run_id']}")
            else:
                self._slot = 1 - self.paths.index(path)
                return state
        return None

    def remove(self) -> None:
        """Both are of no more use once the record is written."""
        for path in self.paths:
            path.unlink(missing_ok=True)


def read(path: Path) -> dict[str, Any] | None:
    """A checkpoint's state, or None if the file is truncated, was changed, or holds something else."""
    content = path.read_bytes()
    if hashlib.sha256(content[64:]).hexdigest().encode() != content[:64]:
        return None
    try:  # weights_only: a checkpoint is data, loading it must not run code
        state = torch.load(io.BytesIO(content[64:]), weights_only=True, map_location="cpu")
    except pickle.UnpicklingError:
        return None
    return state if isinstance(state, dict) else None
