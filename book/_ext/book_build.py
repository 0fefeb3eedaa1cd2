"""Makes the built book light: after the HTML build, drop what no page needs.

The theme ships the icon set twice (1.5 MB of JavaScript that draws the icons as SVG, and the web fonts
that show them); the fonts are enough. Source maps and .ttf copies of the .woff2 fonts are never needed.
"""

from pathlib import Path

UNUSED = ("**/*.map", "**/*.ttf", "**/fontawesome.js.LICENSE.txt")


def slim(app, exception):
    """Empty the icon script and remove the files that match UNUSED."""
    if exception or app.builder.format != "html":
        return
    static = Path(app.outdir, "_static")
    script = static / "scripts" / "fontawesome.js"
    if script.exists():
        script.write_text("/* The icons come from the web fonts. */\n")
    for pattern in UNUSED:
        for path in static.glob(pattern):
            path.unlink()


def setup(app):
    app.connect("build-finished", slim)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
