"""Numbered statements: an *expansion* beside sphinx-proof's theorem, lemma and the others.

The book calls a statement an expansion when only its leading order in a small parameter is proved.
Write it like any other statement and refer to it with {prf:ref}::

    :::{prf:expansion} The error of the simple formula
    :label: exp-error
    ...
    :::

`_config.yml` lets it count together with the theorems (prf_realtyp_to_countertyp).
"""

import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx_proof.directive import DEFAULT_REALTYP_TO_COUNTERTYP, ElementDirective
from sphinx_proof.proof_type import PROOF_TYPES

from book._ext.witnesses import STATEMENTS, labels_in, of_label, witnesses_in
from book.tools.edition import chapter

PARAGRAPH = "\N{PARAGRAPH SEPARATOR}"  # line breaks become spaces in an attribute of HTML


class ExpansionDirective(ElementDirective):
    """A statement that is proved to leading order."""

    name = "expansion"


def tidy_ids(app, doctree, docname):
    """Take away the ids that sphinx-proof repeats in a page: an id must be unique."""
    for node in doctree.findall(nodes.Element):
        if node.get("ids") == ["proof-content"]:
            node["ids"] = []
        elif node.get("ids") == ["proof"]:
            node["ids"] = []
            if "dropdown" not in node["classes"]:
                node["classes"].append("proof-of-statement")


def fold_proofs(app, doctree):
    """A proof is folded under its first word: who reads for the first time passes it by."""
    for proof in doctree.findall(nodes.admonition):
        if type(proof.parent).__name__ != "proof_node" or "dropdown" in proof["classes"]:
            continue
        first = next(iter(proof.findall(nodes.Text)))
        first.parent.replace(first, nodes.Text(first.removeprefix("Proof.").lstrip()))
        if isinstance(proof[0], nodes.paragraph) and not proof[0].astext():
            proof.pop(0)
        proof.insert(0, nodes.title("", "Proof"))
        proof["classes"].append("dropdown")


def link_witnesses(app, doctree):
    """Give the title of each statement a link to the tests that try to break it."""
    folder = Path(app.srcdir) / "tests" / "witnesses"
    tests = [
        (file, name, line)
        for file in sorted(folder.glob("test_witnesses_ch*.py"))
        for name, line in witnesses_in(file)
    ]
    pages = [*chapter.chapters(Path(app.srcdir)), *Path(app.srcdir).glob("book/*.md")]
    labels = [label for page in pages for label in labels_in(page) if label]
    source = app.config.html_theme_options["repository_url"] + "/blob/main/tests/witnesses/"
    for node in doctree.findall(nodes.Element):
        if node.get("realtype") not in STATEMENTS or not node.get("label"):
            continue
        found = [(file, line) for file, name, line in tests if of_label(node["label"], name, labels)]
        if not found:
            continue
        file, line = found[0]
        many = f"{len(found)} tests" if len(found) > 1 else "1 test"
        link = nodes.reference(
            "",
            many,
            refuri=f"{source}{file.name}#L{line}",
            classes=["witness"],
            reftitle="The tests that try to break this statement",
        )
        node[0] += [nodes.Text(" "), link]


def told(node, env):
    """What a part of a statement says, with its formulas as TeX and the numbers of what it refers to."""
    if isinstance(node, nodes.Text):
        return node.astext()
    if isinstance(node, nodes.math):
        return rf"\({node.astext()}\)"
    if isinstance(node, nodes.math_block):
        tex = node.astext().strip()
        return rf"\[\begin{{split}}{tex}\end{{split}}\]" if r"\\" in tex else rf"\[{tex}\]"
    if isinstance(node, addnodes.pending_xref):
        label = node["reftarget"]
        if node["reftype"] == "eq":
            return f"({env.get_domain('math').equations[label][1]})"
        other = env.proof_list[label]
        kind = other["realtype"].title()
        if other["nonumber"]:
            return kind
        return (
            f"{kind} {'.'.join(map(str, env.toc_fignumbers[other['docname']][other['countertype']][label]))}"
        )
    parts = [told(c, env) for c in node if isinstance(c, nodes.Text) or "witness" not in c["classes"]]
    if not isinstance(node, nodes.TextElement):
        return PARAGRAPH.join(part for part in parts if part)
    words = "".join(part if part.startswith(r"\[") else part.replace("\n", " ") for part in parts).strip()
    return re.sub(r"^\((.*)\)$", r"\1", words) if isinstance(node, nodes.title) else words


def carried(app):
    """What a reference to another page carries, by its address: each page is read once for the whole book."""
    if not hasattr(app, "carried"):
        env, app.carried = app.env, {}
        labels = {label: entry["docname"] for label, entry in getattr(env, "proof_list", {}).items()}
        equations = {label: entry[0] for label, entry in env.get_domain("math").equations.items()}
        for page in {*labels.values(), *equations.values()}:
            for node in env.get_doctree(page).findall(nodes.Element):
                label = node.get("label")
                if label in labels and node.get("realtype") in STATEMENTS:
                    app.carried[label] = ("prf-card", told(node, env))
                elif label in equations and isinstance(node, nodes.math_block):
                    app.carried[f"equation-{label}"] = ("eq-card", node.astext().strip())
    return app.carried


def references_to_other_pages(app, doctree, docname):
    """They carry the statement or the formula, for the card that the page shows."""
    for node in doctree.findall(nodes.reference):
        page, _, target = node.get("refuri", "").partition("#")
        if page and not page.startswith("http") and target in carried(app):
            kind, node["reftitle"] = carried(app)[target]
            node["classes"].append(kind)


def one_id_each(app, pagename, templatename, context, doctree):
    """sphinx-proof gives the title of an unnumbered statement the statement's id again: it stands once."""
    if "body" in context:
        context["body"] = re.sub(
            r'(<div class="proof [^"]*" id="([^"]+)">\s*<p class="admonition-title") id="\2"',
            r"\1",
            context["body"],
        )


def setup(app):
    app.setup_extension("sphinx_proof")  # it registers one node per type, before ours joins the list
    DEFAULT_REALTYP_TO_COUNTERTYP["expansion"] = "theorem"
    PROOF_TYPES["expansion"] = ExpansionDirective
    app.add_directive_to_domain("prf", "expansion", ExpansionDirective)
    app.connect("doctree-read", link_witnesses)
    app.connect("doctree-read", fold_proofs)
    app.connect("doctree-resolved", tidy_ids)
    app.connect("doctree-resolved", references_to_other_pages)
    app.connect("html-page-context", one_id_each)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
