"""Under each link to Colab: when the notebook last ran there from top to bottom, and how long that took.

``book/colab_pass.json`` is written by ``make colab-full`` (tests/colab/full.py), which runs the notebooks
in an environment with Colab's versions. A notebook whose code has changed since says so.
"""

import json
from pathlib import Path

from book.tools.pages import made

RECORD = Path(__file__).resolve().parents[1] / "colab_pass.json"
LINK = "colab.research.google.com"


def code_hash(notebook: Path) -> str:
    """A fingerprint of the notebook's code cells; texts and outputs do not count."""
    return made.key(json.loads(notebook.read_text(encoding="utf-8")))


def load() -> dict:
    """The record of the last passes, empty before the first one."""
    return json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {"notebooks": {}}


def is_fresh(notebook: Path, record: dict) -> bool:
    """Whether the notebook's code is what has passed."""
    passed = record["notebooks"].get(notebook.stem)
    return passed is not None and passed["code"] == code_hash(notebook)


def sentence(notebook: Path, record: dict) -> str:
    """What the page says beside its link."""
    if not is_fresh(notebook, record):
        return "Not yet run under Colab’s versions since its last change."
    passed = record["notebooks"][notebook.stem]
    took = f"{passed['seconds']} s" if passed["seconds"] < 100 else f"{round(passed['seconds'] / 60)} min"
    day = f"Ran under Colab’s versions of {record['versions_of']} on {passed['date']}"
    return f"{day}: {took} of processor time, no GPU."


def add_sentence(app, doctree, docname):
    """Put the sentence behind the first link to Colab."""
    from docutils import nodes  # here, because full.py reads this file where nothing is installed

    notebook = Path(app.srcdir) / f"{docname}.ipynb"
    if not notebook.exists():
        return
    for paragraph in doctree.findall(nodes.paragraph):
        links = [str(node.get("refuri", node.astext())) for node in paragraph.findall(nodes.Element)]
        if any(LINK in link for link in links):
            said = sentence(notebook, load())
            small = nodes.raw("", f'<br><small class="colab-pass">{said}</small>', format="html")
            paragraph += small
            return


def setup(app):
    app.connect("doctree-resolved", add_sentence)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
