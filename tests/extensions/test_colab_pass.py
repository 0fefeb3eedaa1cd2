"""What a page says about its last run under Colab's versions."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from docutils import nodes

from book._ext import colab_pass
from book.tools import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def write(path: Path, *cells: tuple[str, str]) -> Path:
    made = [{"cell_type": kind, "source": [source], "outputs": [], "metadata": {}} for kind, source in cells]
    path.write_text(json.dumps({"cells": made}))
    return path


@pytest.fixture
def page(tmp_path):
    """A book of one notebook, with a record of its last pass."""
    notebook = write(tmp_path / "one.ipynb", ("markdown", "# One"), ("code", "1 + 1"))
    entry = {"date": "2026-11-24", "seconds": 35, "code": colab_pass.code_hash(notebook)}
    return notebook, {"versions_of": "2026-08-19", "notebooks": {"one": entry}}


def test_a_notebook_that_has_passed_names_its_day_and_seconds(page):
    said = colab_pass.sentence(*page)
    assert said == "Ran under Colab’s versions of 2026-08-19 on 2026-11-24: 35 s of processor time, no GPU."
    page[1]["notebooks"]["one"]["seconds"] = 250
    assert ": 4 min of" in colab_pass.sentence(*page)


def test_changed_code_makes_a_pass_stale_and_changed_text_does_not(page):
    notebook, record = page
    write(notebook, ("markdown", "# Another title"), ("code", "1 + 1"))
    assert colab_pass.is_fresh(notebook, record)
    write(notebook, ("markdown", "# One"), ("code", "1 + 2"))
    assert not colab_pass.is_fresh(notebook, record)
    assert (
        colab_pass.sentence(notebook, record) == "Not yet run under Colab’s versions since its last change."
    )


def test_without_a_record_nothing_is_claimed(page, monkeypatch, tmp_path):
    monkeypatch.setattr(colab_pass, "RECORD", tmp_path / "none.json")
    assert colab_pass.sentence(page[0], colab_pass.load()).startswith("Not yet run")


@pytest.mark.parametrize(
    "link",
    [
        nodes.raw("", f'<a href="https://{colab_pass.LINK}/x">', format="html"),
        nodes.reference("", "Open in Colab", refuri=f"https://{colab_pass.LINK}/x"),
    ],
    ids=["html", "markdown"],
)
def test_the_sentence_follows_the_link(page, monkeypatch, link):
    notebook, record = page
    monkeypatch.setattr(colab_pass, "load", lambda: record)
    first, second, third = nodes.paragraph("", "A"), nodes.paragraph("", "", link), nodes.paragraph("", "B")
    document = nodes.section("", first, second, third)
    app = type("App", (), {"srcdir": notebook.parent})
    colab_pass.add_sentence(app, document, "one")
    assert ": 35 s of" in second[-1].astext() and "<small" in second[-1].astext()
    assert len(first) == len(third) == 1
    colab_pass.add_sentence(app, document, "no_notebook")  # a page that is no notebook is left alone
    assert len(second) == 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_link_to_colab_opens_this_notebook(path):
    source = json.dumps(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
    (target,) = re.findall(
        r"https://colab\.research\.google\.com/github/[^/]+/[^/]+/blob/main/([^)\"\\]+)", source
    )
    assert ROOT / target == path


def test_the_record_speaks_of_notebooks_that_exist_and_of_colab_s_list():
    record = colab_pass.load()
    assert set(record["notebooks"]) <= {path.stem for path in NOTEBOOKS} and record["notebooks"]
    first_line = (ROOT / "tests/colab/colab-versions.txt").read_text().splitlines()[0]
    assert record["versions_of"] in first_line
    known = dict(
        re.findall(r"^([\w-]+)==([\d.]+)", (ROOT / "tests/colab/colab-versions.txt").read_text(), re.M)
    )
    for name, version in record["packages"].items():
        assert version.split("+")[0] == known[name], name
    for name, entry in record["notebooks"].items():
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", entry["date"]) and 0 < entry["seconds"] < 3600, name


def test_check_lists_what_has_changed_since():
    done = subprocess.run(
        [sys.executable, ROOT / "tests/colab/full.py", "--check"], capture_output=True, text=True
    )
    record = colab_pass.load()
    stale = [path.stem for path in NOTEBOOKS if not colab_pass.is_fresh(path, record)]
    assert done.returncode == bool(stale)
    assert [line.split()[0] for line in done.stdout.splitlines()] == (stale or ["all"])
