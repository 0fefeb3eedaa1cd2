"""Links the first use of each glossary term on a page to the glossary, with its entry as hover text.

Authors write nothing: the terms are those of the page ``book/glossary``. Left alone are headings, captions,
code, formulas, links, outputs, the questions of "Predict first" (their text becomes buttons) and folded text,
where a first use would not be seen. Words that elsewhere mean something else are linked on the pages named in
``MEANT_ON`` alone. A symbol of the toy model, as the page ``book/notation`` has it, is linked in the same way
on the pages of the toy model. Script and style are assets/js/glossary.js and assets/css/glossary.css.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator

from docutils import nodes
from sphinx import addnodes

PAGE, SYMBOLS_PAGE = "book/glossary", "book/notation"
SKIPPED_NODES = (
    nodes.title, nodes.caption, nodes.literal, nodes.literal_block, nodes.math, nodes.math_block,
    nodes.reference, nodes.raw, nodes.term, nodes.comment, nodes.rubric, nodes.figure, nodes.image,
    nodes.footnote, nodes.citation, nodes.thead, nodes.label, addnodes.toctree, addnodes.pending_xref,
    addnodes.index, addnodes.desc_signature,
)  # fmt: skip
SKIPPED_CLASSES = {"predict", "reveal", "dropdown", "cell_output", "tag_reveal", "epigraph", "no-glossary"}
CHAPTERS = ("06_", "07_", "08_", "09_", "10_")  # those of the toy model
_TOY = (*CHAPTERS, "claims", "notation", "statements", "summary_sheet")
# Term: how the names of those pages begin on which it has its entry's sense. What it means elsewhere follows.
MEANT_ON: dict[str, tuple[str, ...]] = {
    "η": _TOY,  # a learning rate, or ASAM's constant
    "δ": ("04_", "04b_", "05_", "09_", "notation", "summary_sheet"),  # the probability of a failure
    "jump": ("00_", "07_", "09_", "claims", "notation", "summary_sheet"),  # what minima and iterates do
    "expansion": ("08_", "09_", "10_", "notation", "reproducibility", "statements"),  # Taylor's
    "bracket": ("11_", "12_"),  # round or square
    "restart": ("11_", "12_", "benchmarks"),  # of a session
    "convention": ("00_", "08_", "09_", "10_", "claims", "note", "where_next"),  # of weight decay, of signs
}
ARROW = "→"  # what follows it in an entry is a pointer, not part of the explanation


class glossed(nodes.inline):
    """A term in running text: ``refuri`` of its entry, ``tip`` its explanation (HTML), ``number`` there."""


def forms(term: str) -> list[str]:
    """How a term may stand in a text: itself, its plural, and capitalized unless it is an abbreviation."""
    plural = term + "s"
    if term.endswith("y") and term[-2] not in "aeiou":
        plural = term[:-1] + "ies"
    elif term.endswith(("s", "ss", "x")):
        plural = term + "es"
    found = [term] if re.search(r"[A-Z]{2}|^\W*\w$|a$|[^s]s$", term) else [term, plural]
    if term.endswith("minimum"):
        found = [term]
    if len(term) > 1 and term[0].islower():
        found += [form[0].upper() + form[1:] for form in found]
    return found


def entries(doctree: nodes.document) -> Iterator[tuple[list[tuple[str, str]], str]]:
    """([(term, id), ...], explanation) for each entry of the glossary page."""
    for item in doctree.findall(nodes.definition_list_item):
        terms = [(term.astext(), term["ids"][0]) for term in item.findall(nodes.term) if term["ids"]]
        definition = next(iter(item.findall(nodes.definition)), None)
        if terms and definition is not None:
            yield terms, html.escape(" ".join(definition.astext().split(ARROW)[0].split()))


def symbols(doctree: nodes.document) -> dict[str, str]:
    """Each symbol of the toy model as TeX and its meaning as HTML, from the rows of the page on notation.

    A row counts if it has one symbol, or two names of one ("$a$ or $b$"), and its meaning begins "toy: ".
    """
    found: dict[str, str] = {}
    for row in doctree.findall(nodes.row):
        names, meaning = row[0], row[-1]
        formulas = [node.astext() for node in names.findall(nodes.math)]
        if not meaning.astext().startswith("toy: ") or (len(formulas) > 1 and " or " not in names.astext()):
            continue
        told = "".join(map(_as_html, meaning[0])).removeprefix("toy: ")
        for formula in formulas:
            symbol, *definition = formula.split("=", 1)
            first = f"{_formula(formula)}: " if definition else ""
            found[symbol.strip()] = first + told
    return found


def _as_html(node: nodes.Node) -> str:
    return _formula(node.astext()) if isinstance(node, nodes.math) else html.escape(node.astext())


def _formula(tex: str) -> str:
    return f'<span class="math notranslate nohighlight">\\({html.escape(tex)}\\)</span>'


def whole_words(phrases: Iterable[str]) -> re.Pattern:
    """Finds one of the phrases, the longest first, where it is no part of a longer word or name."""
    longest_first = sorted(map(re.escape, phrases), key=len, reverse=True)
    pattern = rf"(?<![\w\-/+.@])(?:{'|'.join(longest_first)})(?![\w\-/+@]|\.\w)"
    return re.compile(pattern.replace(r"\ ", r"\s"))


def vocabulary(app) -> tuple[re.Pattern, dict[str, tuple[int, str, str]]]:
    """One pattern for all forms of all terms, and for each form (number of the entry, id, explanation)."""
    known: dict[str, tuple[int, str, str]] = {}
    for number, (terms, tip) in enumerate(entries(app.env.get_doctree(PAGE))):
        for term, target in terms:
            for form in forms(term):
                known.setdefault(form, (number, target, tip))
    return whole_words(known), known


def meant(form: str, docname: str) -> bool:
    """Whether a word has on this page the sense of its entry: always, unless MEANT_ON names its term."""
    pages = next((pages for term, pages in MEANT_ON.items() if form in forms(term)), None)
    return pages is None or docname.rsplit("/", 1)[-1].startswith(pages)


def readable(node: nodes.Node) -> bool:
    """Whether a text is running text that everybody sees."""
    while node.parent is not None:
        node = node.parent
        if isinstance(node, SKIPPED_NODES) or SKIPPED_CLASSES & set(node.get("classes", ())):
            return False
    return True


def folded(text: nodes.Node) -> bool:
    """Whether a text stands in a section of the second storey."""
    node: nodes.Node | None = text
    while node is not None and "folded" not in getattr(node, "attributes", {}).get("classes", ()):
        node = node.parent
    return node is not None


def mark(app, doctree, docname):
    """Replace the first use of each entry's terms on the page by a link with hover text."""
    if app.builder.format != "html" or docname == PAGE or PAGE not in app.env.found_docs:
        return
    if not hasattr(app, "glossary_vocabulary"):
        app.glossary_vocabulary = vocabulary(app)
    pattern, known = app.glossary_vocabulary
    address = app.builder.get_relative_uri(docname, PAGE)
    seen: set[int] = set()
    for text in sorted(doctree.findall(nodes.Text), key=folded):  # what is open comes first
        if not pattern.search(text) or not readable(text):
            continue
        parts, done = [], 0
        for match in pattern.finditer(text):
            form = re.sub(r"\s", " ", match[0])
            number, target, tip = known[form]
            if number in seen or not meant(form, docname):
                continue
            seen.add(number)
            parts.append(nodes.Text(text[done : match.start()]))
            parts.append(glossed("", match[0], refuri=f"{address}#{target}", tip=tip, number=len(seen)))
            done = match.end()
        if parts:
            text.parent.replace(text, [*parts, nodes.Text(text[done:])])
    mark_symbols(app, doctree, docname, len(seen))


def mark_symbols(app, doctree, docname, number):
    """On a page of the toy model, link the first use of each of its symbols that stands alone."""
    if not docname.rsplit("/", 1)[-1].startswith(CHAPTERS) or SYMBOLS_PAGE not in app.env.found_docs:
        return
    if not hasattr(app, "toy_symbols"):
        app.toy_symbols = symbols(app.env.get_doctree(SYMBOLS_PAGE))
    address, left = app.builder.get_relative_uri(docname, SYMBOLS_PAGE), dict(app.toy_symbols)
    for formula in list(doctree.findall(nodes.math)):
        if formula.astext().strip() in left and readable(formula):
            number += 1
            tip = left.pop(formula.astext().strip())
            # a link needs a name also before MathJax has come
            name = re.sub(r"[\\{}_^$]", "", formula.astext()).strip()
            place, at = formula.parent, formula.parent.index(formula)
            place[at] = glossed(
                "", "", formula, refuri=f"{address}#symbols", tip=tip, number=number, label=f"symbol {name}"
            )


def visit_html(writer, node):
    tip = f"glossary-tip-{node['number']}"
    address = html.escape(node["refuri"])
    label = f' aria-label="{html.escape(node["label"])}"' if "label" in node else ""
    writer.body.append(
        f'<span class="gloss"><a class="gloss-term" href="{address}"{label} aria-describedby="{tip}">'
    )


def depart_html(writer, node):
    tip = f"glossary-tip-{node['number']}"
    text = node["tip"]
    writer.body.append(f'</a><span class="gloss-tip" role="tooltip" id="{tip}">{text}</span></span>')


def plain(writer, node):
    """Other formats show the word alone."""


def setup(app):
    app.add_node(glossed, html=(visit_html, depart_html), latex=(plain, plain), text=(plain, plain))
    app.connect("doctree-resolved", mark, priority=900)  # when the other extensions have made their links
    app.add_css_file("css/glossary.css")
    app.add_js_file("js/glossary.js", loading_method="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True, "version": "1"}
