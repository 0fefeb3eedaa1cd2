"""Keeps of the icon fonts only the icons that the book shows.

The theme brings Font Awesome whole: 2,000 rules in its style sheet and 300 kB of fonts, of which a
book uses some twenty icons. :mod:`book._ext.sheets` drops the rules that no page can use; here the fonts are
cut down to the icons that the rules left over show.
"""

import re
from pathlib import Path

from fontTools import subset

ESCAPE = re.compile(r"\\([0-9a-fA-F]{2,5})")


def codepoints(css: str) -> set[int]:
    """Icons that a style sheet shows, as escapes or as characters of the private use area."""
    escaped = {int(code, 16) for code in ESCAPE.findall(css)}
    return escaped | {ord(char) for char in css if 0xE000 <= ord(char) <= 0xF8FF}


def cut(font: Path, keep: set[int]) -> None:
    """Replace `font` (.woff2) by a .woff beside it that has the characters `keep` only."""
    options = subset.Options(flavor="woff", layout_features=[], drop_tables=["GSUB"], notdef_outline=True)
    source = subset.load_font(str(font.with_suffix(".ttf")), options)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=keep)
    cutter.subset(source)
    subset.save_font(source, str(font.with_suffix(".woff")), options)
    font.unlink()


def slim_icons(outdir: Path) -> None:
    """Cut the fonts of the HTML site in `outdir` down to what its style sheets show: after `slim_sheets`."""
    static = outdir / "_static"
    sheet = static / "styles" / "pydata-sphinx-theme.css"
    css = sheet.read_text(encoding="utf-8")
    keep = set().union(*(codepoints(f.read_text(errors="replace")) for f in static.rglob("*.css")))
    for font in (static / "vendor/fontawesome/webfonts").glob("*.woff2"):
        if not font.with_suffix(".ttf").exists():
            continue
        cut(font, keep)
        css = re.sub(rf'url\([^()]*{font.stem}\.ttf\)\s*format\("truetype"\)', "", css)
        css = css.replace(f'{font.name}) format("woff2"),', f'{font.stem}.woff) format("woff")')
    sheet.write_text(css, encoding="utf-8")
