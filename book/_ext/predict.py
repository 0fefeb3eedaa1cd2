"""Why a wrong option of "Predict first" tempts: the item under the option, which is shown after the answer.

    - It grows.
      - Tempting, because ...

assets/js/predict.js keeps it back until the reader has chosen; the notebook folds it with the answer.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes

WHY = "predict-why"


def mark(app: Any, doctree: nodes.document) -> None:
    """Turn the list under an option into one paragraph with a class of its own."""
    for box in doctree.findall(nodes.admonition):
        if "predict" not in box["classes"]:
            continue
        for options in filter(_is_list, box.children):
            for item in options:
                for inner in [*filter(_is_list, item.children)]:
                    why = nodes.container(classes=[WHY])
                    why += [paragraph for entry in inner for paragraph in entry.children]
                    item.replace(inner, why)


def _is_list(node: nodes.Node) -> bool:
    return isinstance(node, nodes.bullet_list)


def setup(app: Any) -> dict[str, bool]:
    app.connect("doctree-read", mark)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
