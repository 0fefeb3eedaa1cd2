"""The role ``{timed}``: a glued number that a clock has measured, written like ``{glue:text}``.

Two executions never agree on it, so the comparison with the saved notebooks lets it differ
(book.tools.edition.drift).
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from myst_nb.ext.glue.roles import PasteTextRole


class Timed(PasteTextRole):
    """Paste the number, and remember what it is."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        found, messages = super().run()
        for node in found:
            if isinstance(node, nodes.Element):
                node["classes"].append("timed")
        return found, messages


def setup(app: Any) -> dict[str, bool]:
    app.add_role("timed", Timed())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
