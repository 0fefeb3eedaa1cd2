"""Where things stand on printed pages: the named destinations of a PDF that Chromium has written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from pypdf import PdfReader

TOP_MARGIN, LEFT_MARGIN = 18 / 25.4 * 72, 17 / 25.4 * 72  # points; make_pdf.PAPER


@dataclass(frozen=True)
class Place:
    """A point on a page (counted from 0) of one document, in points from its lower left corner."""

    page: int
    left: float
    top: float


def count(file: Path) -> int:
    """Number of pages."""
    return len(PdfReader(file).pages)


def destinations(document: PdfReader) -> dict[str, Place]:
    """All named destinations of a document that Chromium has printed.

    Chromium measures them from the page's text area in some versions, from the sheet in others. The anchor
    ``pdf-origin`` stands in the upper left corner of the text, so it shows which.
    """
    numbers = {page.indirect_reference.idnum: i for i, page in enumerate(document.pages)}
    raw = {
        unquote(name.removeprefix("/")): (numbers[sheet.idnum], float(d["/Left"]), float(d["/Top"]))
        for name, d in document.named_destinations.items()
        if (sheet := d.raw_get("/Page")).idnum in numbers
    }
    dx = dy = 0.0
    if "pdf-origin" in raw:
        page, left, top = raw["pdf-origin"]
        sheet = float(document.pages[page].mediabox.top)
        dx, dy = LEFT_MARGIN - left, sheet - TOP_MARGIN - top
    return {name: Place(page, left + dx, top + dy) for name, (page, left, top) in raw.items()}
