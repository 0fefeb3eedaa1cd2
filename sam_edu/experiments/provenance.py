"""What a reader needs to judge or repeat the numbers of a run."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from sam_edu import __version__, data


def origin(dataset: data.Dataset, device: torch.device) -> dict[str, Any]:
    """Data, versions, hardware, date."""
    packages = {}
    for name in ("torch", "numpy", "torchattacks", "pyautoattack"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "not installed"
    return {
        "data": {"name": dataset.name, "provenance": dataset.provenance, "checksum": dataset.checksum()},
        "versions": {"sam_edu": __version__, "python": platform.python_version(), **packages},
        "hardware": torch.cuda.get_device_name() if device.type == "cuda" else cpu_name(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
    }


def cpu_name() -> str:
    """The processor as its maker calls it, where that can be found out."""
    return cpu_line("model name") or platform.processor() or platform.machine()


def cpu_line(name: str) -> str:
    """What the system says of its first processor under this name, such as "vendor_id"; else ""."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(name))
    except (OSError, StopIteration):
        return ""
