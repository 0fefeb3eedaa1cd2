"""The reader's edition says what the page says: every word, number and formula, in the same order.

Both are read as a reader sees them: the built page, and each text cell of the notebook after a CommonMark
parser (with tables and ``$`` formulas, which Jupyter, Colab and GitHub have). What may differ is named below.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

from book.tools.edition import chapter, formulas

pytestmark = pytest.mark.browser
ROOT = Path(__file__).resolve().parents[2]
HTML = Path(os.environ.get("BOOK_HTML") or ROOT / "_build/html")
CHAPTERS = [path.stem for path in chapter.chapters(ROOT)]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]
MACROS = CONFIG["mathjax3_config"]["tex"]["macros"]

# On the page and not in the notebook's text: code and outputs (cells of their own), what only a page has.
PAGE_ONLY = {
    "cell_input", "cell_output", "above-input", "below-input", "headerlink", "colab-pass", "se-made",
    "gloss-tip", "prev-next-area", "toctree-wrapper", "here-map", "predict-why", "storey-about",
}  # fmt: skip
# In the notebook and not in the page's text: the answer of a prediction, which the page's buttons give.
ANSWER = re.compile(r"<details>\s*<summary>The answer</summary>.*?</details>", re.S)
# And the setting of a figure, which the page's link sets: a notebook has no such links.
SETTING = re.compile(r' \(`\w+=[\w."-]+(?:, \w+=[\w."-]+)*`\)')
# The text of a solution goes on behind a code cell.
CONTINUED = re.compile(r"<summary>[^<]*, continued</summary>")
VOID = {"img", "br", "hr", "input", "meta", "link", "wbr"}


class Seen(HTMLParser):
    """The words of HTML in their order; a formula is one word."""

    def __init__(self, source: str, everything: bool) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self._open: list[tuple[str, bool, bool]] = []  # tag, inside the text, inside a formula
        self._text, self._everything = "", everything
        self.feed(source)
        self.close()
        self._flush()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in VOID:
            return self._gap()
        classes = set((dict(attrs).get("class") or "").split())
        _, inside, formula = self._open[-1] if self._open else ("", self._everything, False)
        inside = (inside or tag == "article") and not PAGE_ONLY & classes
        inside = inside and tag not in ("script", "style", "svg", "button")
        if "math" in classes and not formula:
            self._flush()
            formula = True
        elif tag not in ("span", "em", "strong", "a", "code", "i", "small", "sub", "sup"):
            self._gap()
        self._open.append((tag, inside, formula))

    def handle_endtag(self, tag: str) -> None:
        while self._open:
            last, inside, formula = self._open.pop()
            outside = self._open[-1][2] if self._open else False
            if formula and not outside and inside:
                self.words.append(tex(self._text))
                self._text = ""
            if last == tag:
                break
        if tag not in ("span", "em", "strong", "a", "code", "i", "small", "sub", "sup"):
            self._gap()

    def handle_data(self, data: str) -> None:
        inside = self._open[-1][1] if self._open else self._everything
        if inside:
            self._text += data

    def _gap(self) -> None:
        if not (self._open and self._open[-1][2]):
            self._flush()

    def _flush(self) -> None:
        self.words += re.findall(r"[\w%]+(?:[.,'’][\w%]+)*|[^\w\s]", self._text)
        self._text = ""


def tex(formula: str) -> str:
    """A formula as it is compared: without delimiters, macros, equation numbers and spaces."""
    formula = re.sub(r"\\\(|\\\)|\\\[|\\\]|\$\$|\\(?:begin|end)\{split\}", "", formula)
    formula = re.sub(r"\\tag\{[\d.]+\}", "", formulas.expand(formula, MACROS))
    return "$" + re.sub(r"\s+", "", formula.replace(r"\vert", "|").replace(r"\Vert", r"\|"))


def page_words(name: str) -> list[str]:
    return Seen((HTML / f"notebooks/{name}.html").read_text(encoding="utf-8"), everything=False).words


def parser() -> MarkdownIt:
    """What the three readers have in common: CommonMark with HTML, tables and formulas."""
    md = MarkdownIt("commonmark", {"html": True}).enable("table")
    md.use(dollarmath_plugin, allow_space=False, allow_digits=True, double_inline=False)
    tagged = r"\tag{"

    def shown(self, tokens, index, options, env):
        content = tokens[index].content
        number = re.search(r"\\tag\{([\d.]+)\}", content)
        said = f"({number[1]})" if number and tagged in content else ""
        safe = content.replace("&", "&amp;").replace("<", "&lt;")
        return f'<span class="math">{said}{safe}</span>'

    for kind in ("math_inline", "math_block", "math_inline_double", "math_block_label"):
        md.add_render_rule(kind, shown)
    return md


def edition(name: str) -> dict:
    return json.loads((ROOT / f"_build/edition/{name}.ipynb").read_text(encoding="utf-8"))


def texts(name: str) -> list[str]:
    return ["".join(c["source"]) for c in edition(name)["cells"] if c["cell_type"] == "markdown"]


def edition_words(name: str) -> list[str]:
    md = parser()
    words: list[str] = []
    for text in texts(name):
        text = CONTINUED.sub("<summary></summary>", SETTING.sub("", ANSWER.sub("", text)))
        words += Seen(md.render(text), everything=True).words
    return words


@pytest.mark.parametrize("name", CHAPTERS)
class TestEach:
    def test_what_a_cell_shows_survives_a_sanitizer(self, name):
        """No drawing, style or program inside HTML: readers that clean it leave the words of such a thing."""
        shown = [
            "".join(output["data"]["text/html"])
            for cell in edition(name)["cells"]
            for output in cell.get("outputs", ())
            if "text/html" in output.get("data", {})
        ]
        for markup in shown:
            assert not re.search(r"<(?:svg|style|script|iframe|button|input)\b", markup), markup[:200]
            assert markup.count("<img ") == len(re.findall(r'<img alt="[^"]+"', markup))
            assert ("se-figure" in markup) <= ("<img " in markup), markup[:200]

    def test_every_word_number_and_formula_is_the_page_s(self, name):
        page, notebook = page_words(name), edition_words(name)
        changes = [
            f"page {' '.join(page[a:b])!r}, notebook {' '.join(notebook[c:d])!r}, after {page[a - 6 : a]}"
            for tag, a, b, c, d in difflib.SequenceMatcher(None, page, notebook, autojunk=False).get_opcodes()
            if tag != "equal"
        ]
        assert len(page) > 400 and not changes, "\n".join(changes[:20])
