"""The weights of a finished run, in a file that can be checked (safetensors)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from sam_edu.experiments import files


def write(path: Path, weights: Mapping[str, Tensor], about: Mapping[str, Any]) -> str:
    """Write the weights with what is known ``about`` their training; returns their checksum."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    digest = checksum(whole)
    text = json.dumps({**about, "sha256": digest}, sort_keys=True)
    files.write_atomically(path, save(whole, {"sam_edu": text}))
    return digest


def read(path: Path) -> dict[str, Tensor]:
    """The weights, by name.

    Raises
    ------
    ValueError
        If the file is truncated, or the weights were changed since it was written.
    """
    try:
        found, expected = load_file(path), about(path).get("sha256")
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole file of weights ({error})") from None
    if expected is not None and checksum(found) != expected:
        raise ValueError(f"{path} was changed after it was written")
    return found


def about(path: Path) -> dict[str, Any]:
    """What was written beside the weights; empty for older files, for damaged and for foreign ones."""
    try:
        with safe_open(path, "pt") as file:
            found = json.loads((file.metadata() or {}).get("sam_edu", "{}"))
    except (SafetensorError, ValueError, OSError):
        return {}
    return found if isinstance(found, dict) else {}


def checksum(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 over names and values, 16 hex digits."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
