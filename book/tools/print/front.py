"""The title page and the contents of the PDF, as one HTML page that Chromium prints."""

from __future__ import annotations

import html as escape_html
from pathlib import Path
from typing import Any

import yaml
from pypdf import PdfReader

from book.tools import ROOT
from book.tools.print.places import destinations

# Sections that every chapter has; they are bookmarks, but no lines of the contents.
USUAL = {
    "Exercises", "Limits", "Further reading", "Where next", "Key ideas", "Summary", "Sources",
}  # fmt: skip

STYLE = """
body { font: 10.5pt/1.45 system-ui, sans-serif; margin: 0; color: #000; }
a { color: inherit; text-decoration: none; }
.title { height: 250mm; display: flex; flex-direction: column; break-after: page; }
.title h1 { font-size: 40pt; line-height: 1.1; margin: 38mm 0 5mm; }
.title .sub { font-size: 16pt; margin: 0 0 14mm; max-width: 150mm; }
.title svg { width: 100%; flex: none; }
.title .foot { margin-top: auto; font-size: 10pt; }
.title .foot p { margin: .35em 0; }
h2 { font-size: 22pt; margin: 0 0 8mm; }
.part { font-weight: 600; margin: 6mm 0 1.5mm; font-size: 12pt; break-after: avoid; }
.line { display: flex; align-items: baseline; gap: 2mm; break-inside: avoid; }
.line .dots { flex: 1; border-bottom: 1px dotted #999; min-width: 8mm; }
.chapter { margin-top: 1.6mm; break-after: avoid; }
.section { margin-left: 6mm; font-size: 9.5pt; color: #333; }
.page { font-variant-numeric: tabular-nums; }
"""

# A sharp and a wide minimum, as in chapter 1, with the ball of radius rho around the bottom of the wide one.
DRAWING = """<svg viewBox="0 0 600 210" aria-hidden="true"><g fill="none" stroke-linecap="round">
<rect x="352" y="8" width="156" height="170" fill="#0072b2" opacity=".1" stroke="none"/>
<path d="M10 40 C70 40 92 40 112 92 C124 126 130 166 140 166 C150 166 156 126 168 92 C188 40 220 34 262 34
 C318 34 336 152 430 152 C520 152 540 44 592 34" stroke="#000" stroke-width="2.5"/>
<path d="M352 192H508M352 187v10M508 187v10" stroke="#0072b2" stroke-width="1.6"/>
<circle cx="140" cy="166" r="6" fill="#767676" stroke="#fff"/>
<rect x="424" y="146" width="12" height="12" fill="#0072b2" stroke="#fff"/>
</g><text x="430" y="208" text-anchor="middle" font-size="13" fill="#0072b2">2ρ</text></svg>"""


def citation() -> dict[str, Any]:
    """The fields of CITATION.cff."""
    return yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def title_page() -> str:
    """Title, authors, version and licences, from CITATION.cff."""
    about = citation()
    title, _, sub = about["title"].partition(": ")
    authors = ", ".join(a.get("name") or f"{a['given-names']} {a['family-names']}" for a in about["authors"])
    address = about["repository-code"]
    sub = sub[:1].upper() + sub[1:]
    return f"""<div class="title"><h1>{title}</h1><p class="sub">{sub}</p>{DRAWING}
<div class="foot"><p>{authors}</p><p>Version {about["version"]}, {about["date-released"]}</p>
<p><a href="{address}">{address}</a></p>
<p>Text and figures: CC BY 4.0. Code: MIT. Figures that move on the screen stand here as strips of three
states; each has a link to the page on which it moves.</p></div></div>"""


def line(kind: str, target: str, text: str, page: str) -> str:
    """One line of the contents: text, dots, page; all of it is the link."""
    return (
        f'<a class="line {kind}" href="{target}"><span>{escape_html.escape(text)}</span>'
        f'<span class="dots"></span><span class="page">{page}</span></a>'
    )


def contents(html: Path, printed: list[Any]) -> str:
    """The contents; sections get their pages from the destinations in the printed chapters."""
    lines, part, before = [], "", 0
    for chapter in printed:
        if chapter.part != part:
            part = chapter.part
            lines.append(f'<p class="part">{escape_html.escape(part)}</p>')
        target = (html / f"{chapter.name}.html").resolve().as_uri()
        lines.append(line("chapter", target, chapter.title, str(before + 1)))
        places = destinations(PdfReader(chapter.file))
        for section in chapter.sections:
            listed = chapter.title[:1].isdigit() and section["level"] == 2 and section["text"] not in USUAL
            if listed and section["id"] in places:
                page = str(before + places[section["id"]].page + 1)
                lines.append(line("section", f"{target}#{section['id']}", section["text"], page))
        before += chapter.pages
    return f"<h2>Contents</h2>{''.join(lines)}"


def front(html: Path, printed: list[Any]) -> str:
    """The whole front matter as an HTML page."""
    return (
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Contents</title><style>{STYLE}</style>'
        f'<body><div id="pdf-origin"></div>{title_page()}{contents(html, printed)}'
        '<div hidden><a href="#pdf-origin"></a></div></body></html>'
    )
