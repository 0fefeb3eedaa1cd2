"""Makes the built book light: after the HTML build, drop what no page needs.

The theme ships the icon set twice (1.5 MB of JavaScript that draws the icons as SVG, and the web
fonts that show them); the fonts are enough, and of those the icons that occur. Source maps and
.ttf copies are not needed.
"""

from pathlib import Path

from icons import slim_icons

UNUSED = ("**/*.map", "**/*.ttf")


def slim(app, exception):
    """Empty the icon script, cut the icon fonts, and remove the files that match UNUSED."""
    if exception or app.builder.format != "html":
        return
    outdir = Path(app.outdir)
    script = outdir / "_static" / "scripts" / "fontawesome.js"
    script.write_text("/* The icons come from the web fonts. */\n")
    slim_icons(outdir)
    for pattern in UNUSED:
        for path in (outdir / "_static").glob(pattern):
            path.unlink()


def setup(app):
    app.connect("build-finished", slim)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
