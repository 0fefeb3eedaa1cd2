"""Stands in for Google Drive: a folder of the machine, where the library looks for the Drive from then on."""

import tempfile
from pathlib import Path


def mount(place):
    from sam_edu.experiments import places

    assert place == str(places.DRIVE) or places.DRIVE.is_dir(), f"{place} is not where the Drive belongs"
    if not (places.DRIVE / "MyDrive").is_dir():
        places.DRIVE = Path(tempfile.mkdtemp(prefix="drive-"))
        (places.DRIVE / "MyDrive").mkdir()
