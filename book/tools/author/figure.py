"""Makes one figure of the book again: its drawing and its data.

    python -m book.tools.author.figure notebooks/09_duality 2
    python -m book.tools.author.figure notebooks/09_duality 2 --out figures

executes the notebook's cells up to its second figure and writes 09_duality-2.svg (for slides: black on
white), 09_duality-2.json and 09_duality-2.csv (all that is plotted). Of a live figure it writes a still
picture (.png) and the values from which it starts (.json). Needs the environment of the book (`make env`),
as in `.venv/bin/python -m book.tools.author.figure ...`.
"""

from __future__ import annotations

import argparse
import base64
import csv
import html
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat

from book.tools.edition import cells

VIEW = "application/vnd.jupyter.widget-view+json"
DATA = re.compile(r'<figure class="se-figure">\s*<svg\b[^>]*><metadata>(.*?)</metadata>', re.DOTALL)
Figure = tuple[int, str, Any]  # index of its cell, "static" or "live", the output's data


def figures(notebook: Any) -> Iterator[Figure]:
    """All figures of an executed notebook, in the order and with the numbers that the page gives them."""
    for index, cell in enumerate(notebook["cells"]):
        hidden = {"remove-cell", "remove-output"} & set(cell["metadata"].get("tags", []))
        for output in [] if hidden else cell.get("outputs", []):
            data = output.get("data", {})
            if VIEW in data:
                yield index, "live", data
            elif 'class="se-figure"' in "".join(data.get("text/html", "")):
                yield index, "static", data


def data_of(markup: str) -> list[dict[str, Any]]:
    """What a drawing carries with it: panels with their series (sam_edu.plots)."""
    found = DATA.search(cells.drawn(markup))
    return json.loads(html.unescape(found[1])) if found else []


def rows_of(panels: list[dict[str, Any]]) -> Iterator[list[Any]]:
    """The data as a long table; of a picture, x and y are column and row of each value."""
    yield ["panel", "series", "x", "y", "value"]
    for number, panel in enumerate(panels, 1):
        title = panel["title"] or number
        for series in panel["series"]:
            for i, row in enumerate(series.get("values", [])):
                yield from ([title, series["name"], j, i, value] for j, value in enumerate(row))
            for x, y in zip(series.get("x", []), series.get("y", []), strict=True):
                yield [title, series["name"], x, y, ""]


def for_slides(markup: str) -> str:
    """The drawing as a file of its own, black on white."""
    svg = re.search(r"<svg\b.*</svg>", markup, re.DOTALL)
    assert svg
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg[0])
    size = f'width="{box[1]}pt" height="{box[2]}pt"' if box else ""
    text = svg[0].replace("currentColor", "#000000").replace("system-ui", "Arial, Helvetica")
    text = re.sub(r' style="width:100%[^"]*"', f" {size}", text, count=1)
    return text.replace("<metadata>", '<rect width="100%" height="100%" fill="#ffffff"/><metadata>', 1)


def run(path: Path, last: int) -> Any:
    """The notebook with its cells executed up to number ``last``."""
    from nbclient import NotebookClient

    notebook = nbformat.read(path, 4)
    notebook["cells"] = notebook["cells"][: last + 1]
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(path.parent)}})
    return client.execute()


def write(figure: Figure, notebook: Any, stem: Path) -> list[Path]:
    """The files of one figure."""
    _, kind, data = figure
    if kind == "live":
        state = notebook["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
        traits = state[data[VIEW]["model_id"]]["state"]
        hidden = {"layout", "tabbable", "tooltip"}
        values = {name: v for name, v in traits.items() if not name.startswith("_") and name not in hidden}
        return [
            _put(stem, ".png", base64.b64decode("".join(data["image/png"]))),
            _put(stem, ".json", json.dumps(values, indent=1, ensure_ascii=False)),
        ]
    markup = "".join(data["text/html"])
    panels = data_of(markup)
    table = stem.with_name(stem.name + ".csv")
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows_of(panels))
    return [
        _put(stem, ".svg", for_slides(markup)),
        _put(stem, ".json", json.dumps(panels, indent=1, ensure_ascii=False)),
        table,
    ]


def _put(stem: Path, ending: str, content: str | bytes) -> Path:
    path = stem.with_name(stem.name + ending)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", help="such as notebooks/09_duality")
    parser.add_argument("number", type=int, help="which figure of its page, counted from 1")
    parser.add_argument("--out", type=Path, default=Path("."), help="folder for the files (default: here)")
    args = parser.parse_args()
    path = Path(args.notebook).with_suffix(".ipynb")
    if not path.is_file():
        parser.error(f"there is no {path}; name a notebook such as notebooks/09_duality")
    known = list(figures(nbformat.read(path, 4)))
    if not 1 <= args.number <= len(known):
        parser.error(f"{path.stem} has figures 1 to {len(known)}, not {args.number}")
    started = time.perf_counter()
    notebook = run(path, known[args.number - 1][0])
    made = list(figures(notebook))
    if len(made) < args.number:
        print(f"figure {args.number} was not made: the saved outputs of {path} are old", file=sys.stderr)
        return 1
    args.out.mkdir(parents=True, exist_ok=True)
    files = write(made[args.number - 1], notebook, args.out / f"{path.stem}-{args.number}")
    print(f"{', '.join(map(str, files))} ({time.perf_counter() - started:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
