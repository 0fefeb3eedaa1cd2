"""Removes from saved notebooks what changes at every run and helps no reader.

Widget state (`metadata.widgets`: GitHub refuses a notebook that Colab saved without its key),
execution times, and the version of the Python that ran them. Outputs stay, so that a reader on
GitHub sees the results.
"""

import json
import sys
from pathlib import Path

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def clean(notebook: dict) -> dict:
    """Return `notebook` without state, timings and versions (changed in place)."""
    notebook["metadata"].pop("widgets", None)
    notebook["metadata"]["kernelspec"] = KERNEL
    notebook["metadata"]["language_info"] = {"name": "python"}
    for cell in notebook["cells"]:
        cell["metadata"].pop("execution", None)
    return notebook


def main(names: list[str]) -> None:
    for path in map(Path, names):
        text = json.dumps(clean(json.loads(path.read_text())), indent=1, ensure_ascii=False)
        path.write_text(text + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
