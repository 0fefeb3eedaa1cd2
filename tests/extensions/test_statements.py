"""A reference to what stands on another page carries what its card shows."""

from __future__ import annotations

from types import SimpleNamespace

from docutils import nodes

from book._ext import statements


def test_a_reference_to_an_equation_of_another_page_carries_its_formula():
    far = nodes.container("", nodes.math_block("", r"A' = \norm w", label="eq-slope"))
    here = nodes.paragraph(
        "",
        "",
        nodes.reference("", "(18)", refuri="06.html#equation-eq-slope"),
        nodes.reference("", "(19)", refuri="#equation-eq-slope"),  # of this page: copied from where it stands
        nodes.reference("", "x", refuri="https://example.org/#equation-eq-slope"),
        nodes.reference("", "(20)", refuri="06.html#equation-eq-unknown"),
    )
    env = SimpleNamespace(
        get_domain=lambda name: SimpleNamespace(equations={"eq-slope": ("notebooks/06", 18)}),
        get_doctree=lambda name: far,
    )
    statements.references_to_other_pages(SimpleNamespace(env=env), here, "notebooks/07")
    first, *others = here.findall(nodes.reference)
    assert first["reftitle"] == r"A' = \norm w" and "eq-card" in first["classes"]
    assert all("reftitle" not in other and not other["classes"] for other in others)


def test_the_id_of_an_unnumbered_statement_stands_once():
    title = '<div class="proof lemma admonition" id="lem-a">\n<p class="admonition-title"{}>Lemma</p></div>'
    other = '<div class="note admonition" id="b">\n<p class="admonition-title" id="c">Note</p></div>'
    context = {"body": title.format(' id="lem-a"') + other}
    statements.one_id_each(None, "notebooks/06", "page.html", context, None)
    assert context["body"] == title.format("") + other
    statements.one_id_each(None, "search", "search.html", {}, None)  # a page without a body
