"""Writes the reader's edition of each chapter beside its page: the same numbers, names and outputs.

The notebooks appear in ``_build/edition``; ``make outputs`` puts them into ``notebooks``, and the page's
download button gives them.
"""

from __future__ import annotations

import posixpath
import shutil
from pathlib import Path
from typing import Any

from docutils import nodes

from book.tools.edition import chapter
from book.tools.edition.markdown import Surroundings, Writer
from book.tools.edition.notebook import notebook, write

BIBLIOGRAPHY = "book/bibliography"


def folder(app: Any) -> Path:
    """Where the editions are written."""
    return Path(app.outdir).parent / "edition"


def write_edition(app: Any, doctree: nodes.document, docname: str) -> None:
    """Write the edition of a chapter, before other extensions add what only the page has."""
    source = Path(app.env.doc2path(docname))
    if app.builder.format != "html" or not chapter.is_chapter(source):
        return
    try:
        executed = chapter.executed(source, chapter.cache_of(app))
    except KeyError:  # its execution has failed, as the build has said
        return
    macros = app.config.mathjax3_config["tex"]["macros"]
    around = Surroundings(
        macros, lambda node: link(app, docname, node), lambda node: number(app, docname, node)
    )
    address = app.config.html_theme_options["repository_url"]
    made = notebook(Writer(around).blocks(doctree), executed, address, chapter.version_of(source))
    write(made, folder(app) / f"{docname.rpartition('/')[2]}.ipynb")


def number(app: Any, docname: str, node: nodes.Element) -> str:
    """The number that the page gives a statement or an equation."""
    if type(node).__name__ == "unenumerable_node" or not node["ids"]:
        return ""
    kind = "displaymath" if isinstance(node, nodes.math_block) else node["countertype"]
    found = app.env.toc_fignumbers.get(docname, {}).get(kind, {}).get(node["ids"][0], ())
    return ".".join(map(str, found))


def link(app: Any, docname: str, node: nodes.reference) -> str:
    """Where a link of the page leads from a notebook: to papers, sibling notebooks and the repository."""
    uri = node.get("refuri", "")
    if not node.get("internal"):
        return uri
    if not uri or uri.startswith("#"):  # on the same page, where notebooks have no places to jump to
        return ""
    target, _, place = posixpath.normpath(posixpath.join(posixpath.dirname(docname), uri)).partition("#")
    target = target.removesuffix(".html")
    if target == BIBLIOGRAPHY and place:
        return paper(app, place)
    if target.startswith("notebooks/"):
        return f"{target.rpartition('/')[2]}.ipynb"
    page = Path(app.env.doc2path(target)).relative_to(app.srcdir).as_posix()
    return f"{app.config.html_theme_options['repository_url']}/blob/main/{page}"


def paper(app: Any, place: str) -> str:
    """The address of a cited paper; the list of papers where it has none."""
    for citation in app.env.get_domain("cite").citations:
        if citation.citation_id == place:
            fields = citation.entry.fields
            if "eprint" in fields:
                return f"https://arxiv.org/abs/{fields['eprint']}"
            if "doi" in fields:
                return f"https://doi.org/{fields['doi']}"
            if "url" in fields:
                return fields["url"]
    return f"{app.config.html_theme_options['repository_url']}/blob/main/book/references.bib"


def offer(app: Any, exception: Exception | None) -> None:
    """Let the download button of the pages give the reader's edition."""
    if exception or app.builder.format != "html":
        return
    for made in folder(app).glob("*.ipynb"):
        shutil.copyfile(made, Path(app.outdir) / "_sources" / "notebooks" / made.name)


def setup(app: Any) -> dict[str, bool]:
    app.connect("doctree-resolved", write_edition, priority=100)
    app.connect("build-finished", offer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
