"""Numbered statements: an *expansion* beside sphinx-proof's theorem, lemma and the others.

The book calls a statement an expansion when only its leading order in a small parameter is proved.
Write it like any other statement and refer to it with {prf:ref}::

    :::{prf:expansion} The error of the simple formula
    :label: exp-error
    ...
    :::

`_config.yml` lets it count together with the theorems (prf_realtyp_to_countertyp).
"""

from docutils import nodes
from sphinx_proof.directive import DEFAULT_REALTYP_TO_COUNTERTYP, ElementDirective
from sphinx_proof.proof_type import PROOF_TYPES


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
            node["classes"].append("proof-of-statement")


def setup(app):
    app.setup_extension(
        "sphinx_proof"
    )  # it registers one node per type, before ours joins the list
    DEFAULT_REALTYP_TO_COUNTERTYP["expansion"] = "theorem"
    PROOF_TYPES["expansion"] = ExpansionDirective
    app.add_directive_to_domain("prf", "expansion", ExpansionDirective)
    app.connect("doctree-resolved", tidy_ids)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
