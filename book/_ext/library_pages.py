"""Sets up the pages of the library (book/api): numpydoc docstrings, links to the source, index entries.

Types stand in the docstrings, where units and shapes stand, too; so none is repeated in the signatures.
Besides, each labelled statement of the book gets an entry in the index, beside the glossary's terms and the
library's names.
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

from docutils import nodes

STATEMENTS = ("theorem", "lemma", "proposition", "corollary", "expansion", "definition")


def source_line(module: str, name: str) -> tuple[Path, int] | None:
    """File and line where a name of a module is defined; None for what is no class or function."""
    value = importlib.import_module(module)
    for part in name.split("."):
        value = inspect.getattr_static(value, part, None)
    value = getattr(value, "fget", None) or getattr(value, "__func__", value)
    try:
        file = inspect.getsourcefile(inspect.unwrap(value))
        return Path(file), inspect.getsourcelines(value)[1]
    except (TypeError, OSError):
        return None


def resolver(app):
    """The function that sphinx.ext.linkcode asks for the address of a name's source."""

    def resolve(domain: str, info: dict[str, str]) -> str | None:
        found = source_line(info["module"], info["fullname"]) if domain == "py" and info["module"] else None
        if found is None or "sam_edu" not in found[0].parts:
            return None
        path = "/".join(found[0].parts[len(found[0].parts) - found[0].parts[::-1].index("sam_edu") - 1 :])
        return f"{app.config.html_theme_options['repository_url']}/blob/main/{path}#L{found[1]}"

    return resolve


_LISTING = re.compile(r"``\w+``.*  ")


def keep_listings(app, what, name, obj, options, lines):
    """A module's list of names in columns stays in columns: it becomes a literal block."""
    if what != "module":
        return
    paragraphs = "\n".join(lines).split("\n\n")
    for k, text in enumerate(paragraphs):
        if _LISTING.match(text):
            plain = text.replace("``", "").splitlines()
            paragraphs[k] = "::\n\n" + "\n".join("   " + line for line in plain)
    lines[:] = "\n\n".join(paragraphs).splitlines()


def set_aside(app, what, name, obj, options, lines):
    """Hide a property's docstring from napoleon, which would take what precedes a colon for its type."""
    if what in ("property", "attribute"):
        app.set_aside_docstring, lines[:] = list(lines), []


def put_back(app, what, name, obj, options, lines):
    if what in ("property", "attribute"):
        lines[:] = app.set_aside_docstring


def index_title(title: str) -> str:
    """The title of a statement, which sphinx-proof keeps as "(...)", in words: an index has no formulas."""
    title = re.sub(r"^\((.*)\)$", r"\1", title.strip())
    return re.sub(r"\$ *\\ell_(\d|\\infty) *\$", lambda m: "ℓ₂" if m[1] == "2" else "ℓ∞", title)


def index_statements(app, doctree):
    """Put each labelled statement with a title into the index, whose domain has read the page already."""
    entries = app.env.get_domain("index").entries.setdefault(app.env.docname, [])
    for node in doctree.findall(nodes.Element):
        title = index_title(str(node.get("title") or ""))
        if node.get("realtype") in STATEMENTS and node.get("label") and title:
            entries.append(("single", f"{title} ({node['realtype']})", node["label"], "", None))


def setup(app):
    app.setup_extension("sphinx.ext.autodoc")
    app.setup_extension("sphinx.ext.napoleon")
    app.setup_extension("sphinx.ext.linkcode")
    app.connect("config-inited", lambda app, config: setattr(config, "linkcode_resolve", resolver(app)))
    app.connect("autodoc-process-docstring", keep_listings, priority=300)
    app.connect("autodoc-process-docstring", set_aside, priority=400)
    app.connect("autodoc-process-docstring", put_back, priority=600)
    app.connect("doctree-read", index_statements)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
