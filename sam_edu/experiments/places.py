"""Where a notebook's runs are kept."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

DRIVE = Path("/content/drive")


def results_folder(place: str = "temporary") -> Path:
    """A folder for records, weights and checkpoints; it exists on return.

    Parameters
    ----------
    place : str
        "temporary": a new folder that the machine forgets. "drive": ``flat-and-robust`` in your Google
        Drive (in Colab, which asks for permission); after a disconnect the same cell finds it again and
        the runs continue. Anything else: the path of a folder.

    Raises
    ------
    RuntimeError
        If "drive" is asked for outside Colab, or the Drive was not mounted.
    """
    if place == "temporary":
        return Path(tempfile.mkdtemp(prefix="flat-and-robust-"))
    folder = _drive() / "flat-and-robust" if place == "drive" else Path(place).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _drive() -> Path:
    if "google.colab" not in sys.modules:
        raise RuntimeError('a folder in Google Drive is for Colab; here, name a folder: "runs"')
    from google.colab import drive  # type: ignore[import-not-found]

    drive.mount(str(DRIVE))
    mine = DRIVE / "MyDrive"
    if not mine.is_dir():
        raise RuntimeError(
            f"Google Drive is not at {mine}; allow the access that Colab asks for, or name "
            'another folder, such as "runs" (lost when the session ends)'
        )
    return mine
