"""Code cells of the reader's edition: folded where the page folds them, without what only feeds the page.

Jupyter folds a cell by ``jupyter.source_hidden``, Colab by ``cellView: form`` with a ``#@title``; so both are
written. Outputs are those of the build's execution, without the numbers glued for the prose, and with
drawings as pictures: until a notebook is trusted, JupyterLab takes ``<svg>`` out of HTML, but not its words;
other readers that clean what they show do the like.
"""

from __future__ import annotations

import base64
import copy
import re
from typing import Any

GLUED = "application/papermill.record/"
WIDGET = "application/vnd.jupyter.widget-view+json"
HIDING = {"hide-input", "hide-cell", "remove-input"}
DROPPED = {"remove-cell"}
PICTURE = re.compile(r'<img [^>]*src="data:image/svg\+xml;base64,([^"]*)">')
DRAWING = re.compile(r'<svg role="img" aria-label="([^"]*)" style="([^"]*)"(.*?)</svg>', re.S)

# What Colab needs. The pins of the packages beside the library stand in sam_edu/colab.py, and nowhere else.
INSTALL = """\
#@title In Colab: install the book's library. Elsewhere this cell does nothing.
import sys
if "google.colab" in sys.modules:
    !pip install -q --no-deps git+{address}.git
    import sam_edu.colab; sam_edu.colab.install()"""


def install(address: str) -> dict[str, Any]:
    """The first code cell of every notebook."""
    source = INSTALL.format(address=address)
    cell: dict[str, Any] = {"cell_type": "code", "execution_count": None, "id": "install", "outputs": [],
                            "metadata": {"tags": ["hide-input"]}, "source": source}  # fmt: skip
    _fold(cell, outputs=False)
    return cell


def is_kept(cell: dict[str, Any]) -> bool:
    """Whether readers get the cell: not if it only computes numbers for the prose."""
    return bool(source_of(cell).strip()) and not DROPPED & set(tags_of(cell))


def edited(cell: dict[str, Any], name: str, solution: str = "") -> dict[str, Any]:
    """A code cell as readers get it; ``solution`` is the title of the solution that it belongs to."""
    tags = tags_of(cell)
    new = {"cell_type": "code", "execution_count": cell["execution_count"], "id": name,
           "metadata": {"tags": tags} if tags else {},
           "outputs": outputs_of(cell), "source": source_of(cell)}  # fmt: skip
    reveals = "reveal" in tags
    if solution or reveals or HIDING & set(tags):
        new["source"] = f"#@title {title_of(new, solution, reveals)}\n{new['source']}"
        _fold(new, outputs=bool(solution) or reveals)
    return new


def title_of(cell: dict[str, Any], solution: str, reveals: bool) -> str:
    """What a folded cell says it is."""
    if solution:
        return f"{solution}: the code"
    shown = [key for output in cell["outputs"] for key in output.get("data", {"text": ""})]
    markup = "".join("".join(o.get("data", {}).get("text/html", "")) for o in cell["outputs"])
    what = "output"
    if WIDGET in shown:
        what = "live figure"
    elif "se-figure" in markup:
        what = "figure"
    elif "<table" in markup:
        what = "table"
    if reveals:
        return f"After your guess: the {what}" if shown else "After your guess"
    return f"The code behind the {what}" if shown else "Code that prepares what follows"


def outputs_of(cell: dict[str, Any]) -> list[dict[str, Any]]:
    """The outputs without glued numbers; what was printed in several pieces is one piece again."""
    kept: list[dict[str, Any]] = []
    for output in copy.deepcopy(cell["outputs"]):
        if any(key.startswith(GLUED) for key in output.get("data", {})):
            continue
        output.get("metadata", {}).pop("scrapbook", None)
        if "text/html" in output.get("data", {}):
            output["data"]["text/html"] = pictured("".join(output["data"]["text/html"]))
        same = kept and output["output_type"] == kept[-1]["output_type"] == "stream"
        if same and output["name"] == kept[-1]["name"]:
            kept[-1]["text"] = "".join(kept[-1]["text"]) + "".join(output["text"])
        else:
            kept.append(output)
    return kept


def drawn(markup: str) -> str:
    """The other way: HTML with the drawings that its pictures hold."""
    return PICTURE.sub(lambda found: base64.b64decode(found[1]).decode(), markup)


def pictured(markup: str) -> str:
    """HTML in which drawings are pictures with their data, and the same words for those who do not see them.

    A picture does not know the colours around it, so it has its own: black ink on white ground.
    """

    def picture(found: re.Match[str]) -> str:
        alt, style, rest = found.groups()
        drawing = rest.replace("currentColor", "#000000")
        box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawing)
        width, height = (round(float(points) * 4 / 3) for points in box.groups()) if box else (640, 400)
        name = "" if "xmlns=" in drawing.partition(">")[0] else ' xmlns="http://www.w3.org/2000/svg"'
        svg = f'<svg{name} width="{width}" height="{height}" style="background:#ffffff"{drawing}</svg>'
        data = base64.b64encode(svg.encode()).decode()
        return f'<img alt="{alt}" width="{width}" style="{style}" src="data:image/svg+xml;base64,{data}">'

    return DRAWING.sub(picture, markup)


def written(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """The code cells of an edition as their author wrote them: no titles, no installing cell."""
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and cell.get("id") != "install"]
    return [cell | {"source": re.sub(r"\A#@title .*\n", "", source_of(cell))} for cell in code]


def source_of(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def tags_of(cell: dict[str, Any]) -> list[str]:
    return list(cell["metadata"].get("tags", []))


def _fold(cell: dict[str, Any], outputs: bool) -> None:
    """Fold the source, and with ``outputs`` what it shows, too."""
    cell["metadata"] |= {"cellView": "form", "jupyter": {"source_hidden": True}}
    if outputs:
        cell["metadata"]["collapsed"] = True
        cell["metadata"]["jupyter"]["outputs_hidden"] = True
