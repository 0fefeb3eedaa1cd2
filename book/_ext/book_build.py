"""Makes the built book light: after the HTML build, drop what no page needs.

The theme ships the icon set twice (1.5 MB of JavaScript that draws the icons as SVG, and the web
fonts that show them); the fonts are enough, and of those the icons that occur; and all of Bootstrap's
rules, of which the pages use a third. Source maps and
.ttf copies are not needed. The search index, which grows with the book, is loaded by every page but
used by the search page alone. The style and script of sphinx-design (cards, tabs) go with its last use.
Scripts of our own go without the comment at their head.
"""

import re
from pathlib import Path

from book._ext.excerpts import write_excerpts
from book._ext.icons import slim_icons
from book._ext.sheets import slim_sheets

UNUSED = ("**/*.map", "**/*.ttf")
SEARCH = re.compile(r' *<script src="[^"]*(?:searchindex|searchtools|language_data)\.js"></script>\n')
HEAD = re.compile(r"\A/\*.*?\*/\s*", re.DOTALL)  # what a script of ours says to its authors
DESIGN = re.compile(r'class="[^"]*\bsd-')


def slim(app, exception):
    """Empty the icon script, cut the icon fonts, and remove the files that match UNUSED."""
    if exception or app.builder.format != "html":
        return
    outdir = Path(app.outdir)
    script = outdir / "_static" / "scripts" / "fontawesome.js"
    script.write_text("/* The icons come from the web fonts. */\n")
    slim_sheets(outdir)
    slim_icons(outdir)  # after it: of the icons whose rules are left
    designed = False
    for page in outdir.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        designed = designed or DESIGN.search(text) is not None
        if page.name != "search.html":
            page.write_text(SEARCH.sub("", text), encoding="utf-8")
    if not designed:
        for name in ("sphinx-design.min.css", "design-tabs.js"):
            (outdir / "_static" / name).write_text("/* No page has cards or tabs. */\n")
    for own in (outdir / "_static" / "js").glob("*.js"):
        own.write_text(HEAD.sub("", own.read_text(encoding="utf-8")), encoding="utf-8")
    write_excerpts(outdir, list(app.env.found_docs))
    for pattern in UNUSED:
        for path in (outdir / "_static").glob(pattern):
            path.unlink()


def setup(app):
    app.connect("build-finished", slim)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
