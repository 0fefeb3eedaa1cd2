"""A page of the book as plain Markdown with ``$`` formulas, from the tree that the build makes of it.

In the resolved tree (Sphinx's ``doctree-resolved``) every number, name and link stands as on the page, so
nothing is computed here: each kind of node is written in the words that Jupyter, Colab and GitHub share.
A kind that is not known stops the build.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from docutils import nodes

from book.tools.edition import formulas
from book.tools.edition.text import (
    at_line_start,
    code_span,
    escaped,
    folded,
    indented,
    marked,
    quoted,
    setting,
)

PASSED = {"comment", "target", "compound", "toctree", "colspec", "index", "substitution_definition",
          "second_storey"}  # fmt: skip
PLAIN_BLOCKS = {"document", "section", "container", "proof_node", "place_map"}
LISTS = {"bullet_list", "enumerated_list"}
STATEMENTS = re.compile(r"(?!proof|exercise|solution)\w+_node$")


@dataclass
class Code:
    """The place of a code cell: its index in the executed notebook, and the solution that it belongs to."""

    index: int
    solution: str = ""


@dataclass
class Heading:
    """A heading, and the name that its section has in addresses."""

    text: str
    section: str


Piece = str | Code | Heading


@dataclass
class Surroundings:
    """What the page knows and the tree does not."""

    macros: formulas.Macros
    link: Callable[[nodes.reference], str]  # where a reference leads in this edition; "" for nowhere
    number: Callable[[nodes.Element], str]  # the number of a statement or an equation; "" for none


class Writer:
    """Turns the tree of one page into pieces: blocks of Markdown and places of code cells."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self.in_table = False

    # --- blocks

    def blocks(self, parent: nodes.Element, level: int = 0) -> Iterator[Piece]:
        """The pieces of what stands in ``parent``."""
        for node in parent.children:
            yield from self.block(node, level)

    def block(self, node: nodes.Node, level: int) -> Iterator[Piece]:
        name = type(node).__name__
        if name in PASSED or isinstance(node, nodes.raw):
            yield from self._comment_only(node)
        elif name == "container" and node.get("nb_element") == "cell_code":
            yield Code(node["cell_index"])
        elif name == "container" and "predict-why" in node["classes"]:
            return  # told with the answer
        elif name == "section" and isinstance(node[0], nodes.title):
            yield Heading(f"{'#' * (level + 1)} {self.inline(node[0])}", node["ids"][0])
            yield from self.blocks(_without(node, node[0]), level + 1)
        elif name in PLAIN_BLOCKS:
            yield from self.blocks(node, level)
        elif name == "solution_node":
            yield from self._solution(node)
        elif name.startswith("exercise"):
            yield quoted([f"**{self.title(node)}**", *self.texts(_without(node, node[0]))])
        elif STATEMENTS.match(name):
            yield quoted([self._statement_title(node), *self.texts(_without(node, node[0]))])
        elif isinstance(node, nodes.Admonition):
            yield from self._admonition(node)
        elif name in LISTS:
            yield self._list(node)
        elif name == "paragraph":
            yield at_line_start(self.inline(node).strip())
        elif name == "math_block":
            yield formulas.display(node.astext(), self.around.macros, self.around.number(node))
        elif name == "literal_block":
            yield f"```{node.get('language', '')}\n{node.astext()}\n```"
        elif name == "block_quote":
            yield quoted(self.texts(node))
        elif name == "table":
            yield self._table(node)
        elif name == "rubric":
            yield f"**{self.inline(node)}**"
        elif name == "transition":
            yield "---"
        else:
            raise NotImplementedError(
                f"the reader's edition does not know {name}: {node.astext()[:60]!r}; "
                "write it in another way, or teach book/tools/edition"
            )

    def texts(self, parent: nodes.Element) -> list[str]:
        """The blocks of a box, which has no code cells and no headings."""
        pieces = list(self.blocks(parent))
        assert all(isinstance(piece, str) for piece in pieces), f"a code cell in {parent.astext()[:60]!r}"
        return [piece for piece in pieces if isinstance(piece, str)]

    def title(self, node: nodes.Element) -> str:
        """The title of a box in plain words."""
        return " ".join(self.inline(node[0]).split()).replace("( ", "(").replace(" )", ")")

    def _statement_title(self, node: nodes.Element) -> str:
        number = self.around.number(node)
        kind = f"**{node['realtype'].title()}{' ' + number if number else ''}**"
        return f"{kind} {self.inline(node[0]).strip()}".strip()

    def _admonition(self, node: nodes.Element) -> Iterator[str]:
        classes = set(node.get("classes", ()))
        if isinstance(node[0], nodes.title):
            title, inside = self.title(node), self.texts(_without(node, node[0]))
        else:  # a proof, which begins with the word
            title, inside = "Proof.", self.texts(node)
            inside[0] = inside[0].removeprefix("Proof.").lstrip()
        if classes & {"dropdown", "reveal", "proof"}:
            yield folded(title, inside)
        else:
            yield quoted([f"**{title}**", *inside])
        answer = next((c.removeprefix("answer-") for c in classes if c.startswith("answer-")), "")
        if answer:
            items = [*node.findall(nodes.list_item)]
            said = "\n\n".join(self.texts(items[int(answer) - 1]))
            whys = [
                f"Answer {number}? {' '.join(self.texts(why))}"
                for number, item in enumerate(items, 1)
                for why in item.children
                if "predict-why" in why.get("classes", ())
            ]
            yield folded("The answer", [f"Answer {answer}: {said}", *whys])

    def _solution(self, node: nodes.Element) -> Iterator[Piece]:
        """A folded text; its code cells are cells of their own, folded too."""
        title = self.title(node)
        text: list[str] = []
        for piece in self.blocks(_without(node, node[0])):
            if isinstance(piece, Code):
                if text:
                    yield folded(title, text)
                elif not title.endswith(", continued"):
                    yield f"**{title}**"
                name, text = title.removesuffix(", continued"), []
                title = f"{name}, continued"
                yield Code(piece.index, name)
            else:
                assert isinstance(piece, str)
                text.append(piece)
        if text:
            yield folded(title, text)

    def _list(self, node: nodes.Element) -> str:
        ordered, start = isinstance(node, nodes.enumerated_list), node.get("start", 1)
        items = []
        for number, item in enumerate(node.children, start):
            mark = f"{number}. " if ordered else "- "
            items.append(mark + indented("\n\n".join(self.texts(item)), len(mark)))
        loose = any("\n\n" in item for item in items)
        return ("\n\n" if loose else "\n").join(items)

    def _table(self, node: nodes.Element) -> str:
        self.in_table = True
        rows = [[" ".join(self.texts(entry)) for entry in row.children] for row in node.findall(nodes.row)]
        self.in_table = False
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])

    def _comment_only(self, node: nodes.Node) -> Iterator[str]:
        text = node.astext() if isinstance(node, nodes.raw) else ""
        if re.sub(r"<!--.*?-->", "", text, flags=re.S).strip():
            raise NotImplementedError(f"raw HTML has no place in the reader's edition: {text[:60]!r}")
        yield from ()

    # --- text

    def inline(self, parent: nodes.Element) -> str:
        """The text of a paragraph, a title or a cell of a table."""
        out, address = "", None
        for node in parent.children:
            if isinstance(node, nodes.raw):
                found = re.match(r'<a [^>]*href="([^"]+)"', node.astext())
                if found:  # a place on the page is no place in a notebook; a figure's setting is told
                    address = html.unescape(found[1])
                    out += "" if address.startswith("#") else "["
                elif node.astext() == "</a>" and address:
                    out += setting(address) if address.startswith("#") else f"]({address})"
                    address = None
                else:
                    list(self._comment_only(node))
            else:
                out += self._inline(node)
        return out

    def _inline(self, node: nodes.Node) -> str:
        if isinstance(node, nodes.Text):
            return escaped(re.sub(r"\s+", " ", node.astext()), self.in_table)
        assert isinstance(node, nodes.Element)
        name = type(node).__name__
        if name == "math":
            return formulas.inline(node.astext(), self.around.macros, self.in_table)
        if name == "literal":
            return code_span(node.astext(), self.in_table)
        if name in ("emphasis", "strong"):
            return marked(self.inline(node), "*" if name == "emphasis" else "**")
        if name == "reference":
            text, address = self.inline(node), self.around.link(node)
            return f"[{text.strip()}]({address})" if address else text
        if name in ("inline", "generated", "abbreviation", "title_reference"):
            return self.inline(node)
        if name in PASSED:
            return ""
        raise NotImplementedError(
            f"the reader's edition does not know {name}: {node.astext()[:60]!r}; "
            "write it in another way, or teach book/tools/edition"
        )


def _without(node: nodes.Element, child: nodes.Node) -> nodes.Element:
    """The node with its first child, the title, left out."""
    rest = nodes.Element()
    rest.children = [c for c in node.children if c is not child]
    return rest
