"""The role ``{fact}``: a number from the records, named by row and quantity (sam_edu.experiments.facts).

An unknown row, radius or protocol ends the build.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.errors import ExtensionError


def fact(
    name: str, rawtext: str, text: str, lineno: int, inliner: Any, *_: Any
) -> tuple[list[Any], list[Any]]:
    """Replace the role by the number that it names."""
    from sam_edu.experiments import facts

    try:
        return [nodes.Text(facts.resolve(text))], []
    except ValueError as error:
        where = getattr(getattr(inliner, "document", None), "current_source", None) or "the page"
        raise ExtensionError(f"{where}, line {lineno}: {error}") from None


def setup(app: Any) -> dict[str, bool]:
    app.add_role("fact", fact)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
