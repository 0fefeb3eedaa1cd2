"""Every drawing of the built pages against the saved one: the build has made all of them again.

The pages hold what the build's execution plotted, the notebooks in the tree what was saved with them. How far
the two may lie apart stands in tests/figure_data.py.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from book.tools import ROOT
from tests import figure_data
from tests.figure_data import FIGURE, tool

pytestmark = pytest.mark.browser
HTML = Path(os.environ.get("BOOK_HTML") or ROOT / "_build/html")
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_build_makes_every_figure_again(name: str) -> None:
    path = HTML / f"notebooks/{name}.html"
    if not path.is_file():
        if os.environ.get("CI"):
            pytest.fail(f"no page {path}: build the book (make pages)")
        pytest.skip(f"no page {path}: build the book (make pages), or set BOOK_HTML to its folder")
    notebook = json.loads((ROOT / f"notebooks/{name}.ipynb").read_text(encoding="utf-8"))
    saved = [
        (index, "".join(data["text/html"]))
        for index, kind, data in tool.figures(notebook)
        if kind == "static"
    ]
    built = FIGURE.findall(path.read_text(encoding="utf-8"))
    assert len(built) == len(saved), "the page and the saved notebook have different figures: make outputs"
    for (index, old), new in zip(saved, built, strict=True):
        title = re.search(r'aria-label="([^"]{0,60})', new)
        where = f"{name}, {title[1] if title else index}"
        assert tool.data_of(old) and tool.data_of(new), f"{where}: no data in the drawing: make outputs"
        apart = figure_data.too_far(notebook["cells"][index], tool.data_of(old), tool.data_of(new))
        assert not apart, f"{where}: {apart}"
        assert not list(figure_data.strangers(new)), where
