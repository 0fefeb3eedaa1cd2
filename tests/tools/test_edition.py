"""The parts that make the reader's edition: formulas, text, cells, and the comparison with what is saved."""

from __future__ import annotations

import ast
import base64
import copy
import html
import json
import re
import xml.etree.ElementTree as ElementTree

import pytest
from docutils import nodes
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

from book.tools import ROOT
from book.tools.author import figure
from book.tools.edition import cells, chapter, drift, formulas, markdown
from book.tools.edition import text as plain
from book.tools.edition.notebook import notebook
from book.tools.publish import address
from sam_edu import colab, plots

CHAPTERS = chapter.chapters(ROOT)
NOTEBOOKS = [chapter.edition_of(path) for path in CHAPTERS]
EACH = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
OURS = address.address()
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).use(dollarmath_plugin)
SIGNS = re.compile(r"\*+|`+|(?<!\w)_(?=\w)|(?<=\w)_(?!\w)|~~|\]\(\w*")
WIDTH = 80  # columns that a page shows without cutting


def load(path):
    return json.loads(path.read_text("utf-8"))


def texts(path):
    return ["".join(c["source"]) for c in load(path)["cells"] if c["cell_type"] == "markdown"]


# --- the saved notebooks


@EACH
def test_no_markup_of_the_book_is_left(path):
    for text in texts(path):
        assert not re.search(r"\{[a-z:]+\}`|^\s*:{3,}|^\([\w-]+\)=|^% |<!--", text, re.M), text[:300]


@EACH
def test_every_emphasis_is_closed(path):
    """No sign of Markdown stands in the words: stars, backticks, outer underscores, tildes, links."""
    for text in texts(path):
        for token in MARKDOWN.parse(text):
            words = "".join(part.content for part in token.children or () if part.type == "text")
            assert not SIGNS.search(words), (SIGNS.search(words)[0], words[:200])


@pytest.mark.parametrize("text, left", [
    ("It is **one (two)**and more.", "**"), ("It is ** one** of two.", "**"), ("A `code` and a ` more.", "`"),
    ("A [place] (b.ipynb) and [two](b c).", "](b"),
    ("**Closed**: `RunConfig(**{**base})` and $a^*<b^*$.", ""),
])  # fmt: skip
def test_an_emphasis_that_stays_open_is_seen(text, left):
    words = "".join(part.content for part in MARKDOWN.parse(text)[1].children if part.type == "text")
    found = SIGNS.search(words)
    assert (found[0] if found else "") == left


@EACH
def test_every_link_leads_somewhere(path):
    for text in texts(path):
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            if link.startswith(f"{OURS}/blob/main/"):
                assert (ROOT / link.partition("/blob/main/")[2].partition("#")[0]).is_file(), link
            elif not link.startswith("https://"):
                assert (path.parent / link).is_file(), link


@EACH
def test_code_that_the_page_folds_is_folded_and_the_rest_is_open(path):
    for cell in load(path)["cells"]:
        if cell["cell_type"] != "code":
            continue
        meta, source = cell["metadata"], cells.source_of(cell)
        hidden = bool(cells.HIDING & set(cells.tags_of(cell)) or "reveal" in cells.tags_of(cell))
        folded = meta.get("jupyter", {}).get("source_hidden", False)
        assert folded == (meta.get("cellView") == "form") == source.startswith("#@title "), cell["id"]
        assert folded or not hidden, cell["id"]
        assert "remove-cell" not in cells.tags_of(cell)
        assert not any(kind.startswith(cells.GLUED) for o in cell["outputs"] for kind in o.get("data", {}))
        streams = [o for o in cell["outputs"] if o["output_type"] == "stream"]
        assert len(streams) == len({o["name"] for o in streams}), f"{cell['id']} prints into several boxes"


@EACH
def test_code_that_a_reader_sees_fits_the_page(path):
    shown = [part for part in chapter.parts(path.with_suffix(".md")) if not cells.HIDING & set(part.tags)]
    assert [
        line
        for part in shown
        if part.is_code and "remove-cell" not in part.tags
        for line in part.source.splitlines()
        if len(line) > WIDTH
    ] == []


@EACH
def test_what_only_feeds_the_page_is_not_needed_by_the_rest(path):
    """A cell with the tag remove-cell is left out, so no other cell may use a name that it alone gives."""
    kept, left_out = set(), set()
    for part in chapter.parts(path.with_suffix(".md")):
        if part.is_code:
            names = set(re.findall(r"^(?:def |class )?(\w+(?:, \w+)*)(?:\(| *=[^=])", part.source, re.M))
            made = {name for listed in names for name in listed.split(", ")}
            if "remove-cell" in part.tags:
                left_out |= made - kept
            else:
                used = set(re.findall(r"\b[A-Za-z_]\w*\b", part.source))
                assert not used - made & left_out or not (used & left_out) - made, used & left_out
                kept |= made


@EACH
def test_the_answer_of_a_prediction_is_folded_and_stands_below_its_question(path):
    said = "\n\n".join(texts(path))
    asked = said.count("> **Predict first**")
    answers = re.findall(r"> - [^\n]*\n\n<details>\n<summary>The answer</summary>\n\nAnswer (\d)", said)
    source = chapter.text_of(path.with_suffix(".md"))
    assert answers == re.findall(r"^:class: predict answer-(\d)", source, re.M) and asked >= len(answers)


def test_the_pins_for_colab_stand_in_one_place():
    for path in NOTEBOOKS:
        first = next(c for c in load(path)["cells"] if c["cell_type"] == "code")
        assert first["id"] == "install" and "==" not in cells.source_of(first), path.name
    required = (ROOT / "requirements.txt").read_text().splitlines()
    assert set(colab.ATTACKS) <= {line.split("#")[0].strip() for line in required}


# --- formulas


@pytest.mark.parametrize("tex, plain", [
    (r"\norm{w}", r"\lVert w \rVert"),
    (r"\norm{\norm{a}_2+\{b\}}", r"\lVert \lVert a \rVert_2+\{b\} \rVert"),
    (r"\E x", r"\mathbb{E} x"), (r"\E[x]", r"\mathbb{E}[x]"), (r"\Eta", r"\Eta"),
    (r"\norm w", r"\lVert w \rVert"), (r"\norm\beta", r"\lVert \beta \rVert"),
])  # fmt: skip
def test_macros_are_written_out(tex, plain):
    macros = {"norm": [r"\lVert #1 \rVert", 1], "E": r"\mathbb{E}"}
    assert formulas.expand(tex, macros) == plain


def test_a_macro_that_would_swallow_a_letter_is_kept_apart():
    assert formulas.expand(r"\s x", {"s": r"\sign"}) == r"\sign x"


def test_a_bar_does_not_end_the_cell_of_a_table():
    assert formulas.inline(r"|x|+\|y\|", {}, in_table=True) == r"$\vert x\vert +\Vert y\Vert $"


def test_displayed_formulas_are_one_line_with_their_number():
    assert formulas.display("\na=b\n+c\n", {}, "7") == r"$$a=b +c\tag{7}$$"
    assert formulas.display(r"a\\b", {}) == r"$$\begin{split}a\\b\end{split}$$"


# --- text


@pytest.mark.parametrize("text, safe", [
    ("a * b", r"a \* b"), ("_x_", r"\_x\_"), ("snake_case", "snake_case"), ("[0, 1]", "[0, 1]"),
    ("[a](b)", r"[a\](b)"),
    ("1 < 2", "1 < 2"), ("<i>", r"\<i>"), ("&amp;", "&amp;amp;"),
    ("C:\\x", "C:\\x"), (r"\*", r"\\\*"),
])  # fmt: skip
def test_text_is_no_markdown(text, safe):
    assert plain.escaped(text) == safe


def test_a_dollar_sign_is_refused():
    with pytest.raises(ValueError, match="write USD or code"):
        plain.escaped("it costs 5 $")


@pytest.mark.parametrize("text, safe", [
    ("1. May", r"1\. May"), ("# x", r"\# x"), ("- x", r"\- x"), ("> x", r"\> x"), ("2.5 s", "2.5 s"),
])  # fmt: skip
def test_a_paragraph_is_no_list_or_heading(text, safe):
    assert plain.at_line_start(text) == safe


def writer():
    return markdown.Writer(markdown.Surroundings({}, lambda node: node.get("refuri", ""), lambda node: "3"))


@pytest.mark.parametrize("address, text", [
    ("https://a.b", "[go](https://a.b)"), ("#place", "go"), ("#figure--rho_1d5", "go (`rho=1.5`)"),
    ("#se-playground-1--data_digits--decay_1en5--low_n2", 'go (`data="digits", decay=1e-5, low=-2`)'),
])  # fmt: skip
def test_links_written_in_html_lead_somewhere_or_are_words(address, text):
    start, end = (nodes.raw("", tag, format="html") for tag in (f'<a class="x" href="{address}">', "</a>"))
    paragraph = nodes.paragraph("", "", start, nodes.Text("go"), end)
    assert list(writer().blocks(nodes.container("", paragraph))) == [text]


def test_unknown_nodes_stop_the_build():
    with pytest.raises(NotImplementedError, match="does not know figure"):
        list(writer().blocks(nodes.container("", nodes.figure())))
    with pytest.raises(NotImplementedError, match="raw HTML"):
        list(writer().blocks(nodes.container("", nodes.raw("", "<iframe>", format="html"))))


def test_folded_text_has_the_blank_lines_that_markdown_needs():
    assert plain.folded("T", ["a", "b"]) == "<details>\n<summary>T</summary>\n\na\n\nb\n\n</details>"


# --- cells and the comparison


def executed():
    printed = [{"output_type": "stream", "name": "stdout", "text": text} for text in ("a\n", "b\n")]
    glued = {"output_type": "display_data", "metadata": {}, "data": {cells.GLUED + "text/plain": "1"}}
    hidden, left_out = {"tags": ["hide-input"]}, {"tags": ["remove-cell"]}
    return {"cells": [
        {"cell_type": "code", "source": "print(1)", "execution_count": 5, "metadata": hidden,
         "outputs": [printed[0], glued, printed[1]]},
        {"cell_type": "code", "source": "glue(2)", "execution_count": 6, "outputs": [glued],
         "metadata": left_out},
        {"cell_type": "code", "source": "check(3)", "execution_count": 7, "metadata": {}, "outputs": []},
    ]}  # fmt: skip


def made():
    pieces = [markdown.Heading("# One", "one"), "It is 2.50 here.", markdown.Code(0), markdown.Code(1),
              markdown.Code(2, "Solution to Exercise (1.1)")]  # fmt: skip
    return notebook(pieces, executed(), "https://github.com/o/r", "v")


def test_a_notebook_has_the_installing_cell_and_no_glue():
    found = made()["cells"]
    assert [c["id"] for c in found] == ["one-text-1", "install", "one-code-1", "one-code-2"]
    assert found[2]["outputs"] == [{"output_type": "stream", "name": "stdout", "text": "a\nb\n"}]
    assert found[2]["source"] == "#@title The code behind the output\nprint(1)"
    assert found[3]["metadata"]["jupyter"] == {"source_hidden": True, "outputs_hidden": True}
    assert [c["source"] for c in cells.written(made())] == ["print(1)", "check(3)"]


def test_drawings_are_pictures_that_a_sanitizer_leaves():
    fig, ax = plots.figure("A & B", "x", "y")
    plots.line(ax, [0, 1], [0, 1], "SAM")
    page = plots.show(fig, alt='A line "up" from 0 to 1.', caption="Two points.").markup
    found = cells.pictured(page)
    assert figure.data_of(found) == figure.data_of(page) != [] and "<metadata" in cells.drawn(found)
    assert "<svg" not in found and "<metadata" not in found and "<figcaption>Two points." in found
    kinds = r'<img alt="([^"]*)" width="(\d+)" style="[^"]*" src="data:image/svg[^,]*,([^"]*)"'
    (picture,) = re.findall(kinds, found)
    assert html.unescape(picture[0]) == 'A line "up" from 0 to 1.' and int(picture[1]) > 300
    root = ElementTree.fromstring(base64.b64decode(picture[2]))
    assert root.tag == "{http://www.w3.org/2000/svg}svg" and root.get("viewBox")
    assert "A & B" in "".join(root.itertext()) and "currentColor" not in base64.b64decode(picture[2]).decode()
    (rule,) = [rule for rule, name in drift.sanitizers() if name == "DRAWING"]
    assert rule.sub("", page) == rule.sub("", found) != found


CHANGES = {
    "it has other cells": lambda nb: nb["cells"].pop(),
    "2.50 is 2.51 now": lambda nb: nb["cells"][0].update(source="# One\n\nIt is 2.51 here."),
    "It was 2.50 here": lambda nb: nb["cells"][0].update(source="# One\n\nIt was 2.50 here."),
    "its code or its tags": lambda nb: nb["cells"][2].update(source="print(2)"),
    "shows other stdout": lambda nb: nb["cells"][2]["outputs"][0].update(text="a\nc\n"),
}


@pytest.mark.parametrize("said", CHANGES)
def test_drift_is_found(said):
    new = copy.deepcopy(made())
    CHANGES[said](new)
    assert list(drift.compare(made(), made())) == []
    (line,) = drift.compare(made(), new)
    assert said in line


def test_on_another_maker_s_processor_words_are_compared_and_numbers_are_not():
    old, new = made(), made()
    old["metadata"]["made_on"] = new["metadata"]["made_on"] = "AuthenticAMD"
    new["cells"][0]["source"] = "# One\n\nIt is -7.5 here."
    new["cells"][2]["outputs"][0]["text"] = old["cells"][2]["outputs"][0]["text"] + "1\n"
    assert len(list(drift.compare(old, new))) == 2
    old["cells"][2]["outputs"][0]["text"] += "+2,500\n"
    new["metadata"]["made_on"] = "GenuineIntel"
    assert list(drift.compare(old, new)) == []
    del old["metadata"]["made_on"]
    assert len(list(drift.compare(old, new))) == 2, "a notebook that does not say where it was made is strict"
    old["metadata"]["made_on"] = "AuthenticAMD"
    for said, change in CHANGES.items():
        again = copy.deepcopy(old)
        again["metadata"]["made_on"] = "GenuineIntel"
        change(again)
        assert len(list(drift.compare(old, again))) == ("2.51" not in said)


def test_numbers_of_trained_networks_may_move_a_little():
    old, new = made(), made()
    for one in (old, new):
        one["cells"][2]["metadata"]["tags"].append(drift.IGNORE)
    new["cells"][0]["source"] = "# One\n\nIt is 2.55 here."
    new["cells"][2]["outputs"][0]["text"] = "other\n"
    assert list(drift.compare(old, new)) == []
    new["cells"][0]["source"] = "# One\n\nIt is 3.55 here."
    assert len(list(drift.compare(old, new))) == 1


CLOCKS = {"process_time", "perf_counter", "monotonic", "thread_time", "time_ns", "timeit"}


def names(node):
    return {
        n.id if isinstance(n, ast.Name) else n.attr
        for n in ast.walk(node)
        if isinstance(n, (ast.Name, ast.Attribute))
    }


def quoting(statements, clocked):
    """Statements that glue or assert what was computed from a name in ``clocked``, which grows with them."""
    for statement in statements:
        parts = [child for child in ast.iter_child_nodes(statement) if not isinstance(child, ast.stmt)]
        bears = bool(clocked & set().union(*map(names, parts)))
        if isinstance(statement, ast.FunctionDef):
            (clocked.add if names(statement) & clocked else clocked.discard)(statement.name)
            continue
        targets = getattr(statement, "targets", [getattr(statement, "target", None)])
        for target in [] if targets == [None] else targets:
            value = getattr(statement, "value", getattr(statement, "iter", None))
            made = {
                n.id for n in ast.walk(target) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
            }
            place = {n.id for n in ast.walk(target) if isinstance(n, ast.Name)} - made
            if value is not None and names(value) & clocked:
                clocked |= made | (set() if made else place)
            else:
                clocked -= made
        if isinstance(statement, ast.Expr) and bears and isinstance(statement.value, ast.Call):
            called = statement.value.func  # times.append(clocked)
            if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
                clocked.add(called.value.id)
        says = isinstance(statement, ast.Assert) or (
            isinstance(statement, ast.Expr) and "glue" in names(statement)
        )
        if bears and says:
            yield statement
        for block in ("body", "orelse", "finalbody"):
            yield from quoting(getattr(statement, block, []), clocked)


def quoted_clocks(path):
    clocked, found = set(CLOCKS), []
    for part in chapter.parts(path):
        if part.is_code:
            tree = ast.parse(re.sub(r"^[%!].*", "pass", part.source, flags=re.M))
            lines = {part.line + s.lineno - 1 for s in quoting(tree.body, clocked)}
            found += [f"{path.name}, line {line}" for line in sorted(lines)]
    return found


def test_no_text_quotes_the_clock_of_its_own_build():
    """A step cost 1.89 of another where the notebook was saved, and 0.89 on a busy machine; both in the text.

    What a chapter times it may show (and the comparison passes over it); its sentences and its assertions
    read a kept measurement.
    """
    assert [line for path in CHAPTERS for line in quoted_clocks(path)] == []
    assert sum("process_time" in "".join(chapter.code_of(path)) for path in CHAPTERS) >= 3


@pytest.mark.parametrize(
    "last", ["glue('a', ratio)", "assert ratio > 1", "for k in [ratio]:\n    glue('a', k)"]
)
def test_a_quoted_clock_is_found_through_functions_and_variables(tmp_path, last):
    def lines(last):
        code = f"def seconds():\n    return time.process_time()\n\nratio = seconds() / 2\nother = 3\n{last}"
        (tmp_path / "a.md").write_text(f"A title\n\n```{{code-cell}}\n{code}\n```\n", "utf-8")
        return quoted_clocks(tmp_path / "a.md")

    assert lines(last) == [f"a.md, line {9 + last.count(chr(10))}"]
    assert lines("glue('a', other)") == lines("print(ratio)") == []


# --- chapters as text


def test_a_chapter_is_read_as_the_build_reads_it():
    for path in CHAPTERS:
        code = [cell for cell in chapter.read(path).cells if cell.cell_type == "code"]
        seen = [(cell.source, cell.metadata.get("tags", [])) for cell in code]
        parts = [part for part in chapter.parts(path) if part.is_code]
        assert [(part.source, part.tags) for part in parts] == seen, path.name
        lines = path.read_text("utf-8").splitlines()
        for part in parts:
            assert lines[part.line - 1] == part.source.splitlines()[0], (path.name, part.line)


def test_why_a_wrong_option_tempts_is_told_with_the_answer():
    page = nodes.admonition("", nodes.title("", "Predict first"), classes=["predict", "answer-2"])
    why = nodes.container("", nodes.paragraph("", "It tempts."), classes=["predict-why"])
    page += nodes.bullet_list(
        "",
        nodes.list_item("", nodes.paragraph("", "This."), why),
        nodes.list_item("", nodes.paragraph("", "That.")),
    )
    question, answer = writer().block(page, 0)
    assert question == "> **Predict first**\n>\n> - This.\n> - That."
    assert "Answer 2: That." in answer and "Answer 1? It tempts." in answer


# --- chapters 12 to 14 read records: what they do by hand belongs into the library


OF_RECORDS = [path for path in CHAPTERS if path.stem[:2] in ("12", "13", "14")]


def test_the_chapters_of_the_records_hold_little_code_and_show_it():
    found = [part for path in OF_RECORDS for part in chapter.parts(path) if part.is_code]
    count = [sum(bool(re.match(r"\s*[^\s#]", line)) for line in part.source.splitlines()) for part in found]
    hidden = ["hide-input" in part.tags for part in found]
    assert len(OF_RECORDS) == 3 and 300 < sum(count) <= 450
    assert sum(lines for lines, unseen in zip(count, hidden, strict=True) if unseen) <= 0.4 * sum(count)
    assert max(count) <= 15
    assert sum(part.source.count("glue(") for part in found) <= 40
    for part, unseen in zip(found, hidden, strict=True):
        assert unseen or not re.search(r"glue\(|^assert ", part.source, re.M), part.source
