"""A bare HTML page around one live figure, for the browser tests."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from tests.browser import TIMERS

HOST = (Path(__file__).parent / "host.js").read_text(encoding="utf-8")


def page(widget: Any, *, theme: str = "light") -> str:
    """Return the page; its ground and ink follow ``theme`` as the book's theme does."""
    state, buffers = {}, {}
    for name, value in widget.get_state().items():
        if isinstance(value, bytes | memoryview):
            buffers[name] = base64.b64encode(bytes(value)).decode("ascii")
        elif not name.startswith("_") and name not in {"layout", "comm", "tabbable", "tooltip"}:
            state[name] = value
    state["_css"] = widget._css  # with which a figure saves itself
    data = [widget._esm, widget._css, state, buffers]
    source = ", ".join(json.dumps(part) for part in data)
    source = source.replace("</", "<\\/")
    ground, ink = ("#ffffff", "#222832") if theme == "light" else ("#14181e", "#ced6dd")
    return f"""<!doctype html><html lang="en" data-theme="{theme}"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>figure</title>
<link rel="icon" href="data:,"><style>
body {{ margin: 16px; font: 16px/1.65 sans-serif; background: {ground};
color: {ink}; --pst-color-background: {ground}; }}</style><script>{TIMERS}</script>
<body><script type="module">
{HOST.replace("export ", "")}
await show({source}); window.ready = true;</script></body></html>"""
