"""Joins printed pages into one PDF: links between them, bookmarks, page labels, metadata.

Chromium writes a link within a page as a named destination and a link to another page of the book as
the address of a file; here both become places in the joined document. A link to a file that is not on
paper (the search page, a notebook to download) becomes its address online.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pypdf import PdfReader, PdfWriter
from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    Fit,
    FloatObject,
    NameObject,
    NullObject,
    NumberObject,
    TextStringObject,
)

from book.tools.print.places import Place, destinations


class Joined:
    """The document in the making; knows where each anchor of each page has gone."""

    def __init__(self, html: Path, site: str) -> None:
        self.html, self.site = html.resolve(), site
        self.writer = PdfWriter()
        self.starts: dict[str, int] = {}  # page of the book -> its first sheet
        self.places: dict[str, dict[str, Place]] = {}
        self.unresolved: list[str] = []

    def add(self, name: str, file: Path) -> None:
        """Append the sheets of one page of the book."""
        document = PdfReader(file)
        self.starts[name] = len(self.writer.pages)
        self.places[name] = destinations(document)
        for sheet in document.pages:
            self.writer.add_page(sheet)

    def place(self, name: str, anchor: str = "") -> Place:
        """Where an anchor has gone; the head of its page if there is no such anchor."""
        start = self.starts[name]
        if anchor and anchor not in self.places[name]:
            self.unresolved.append(f"{name}#{anchor}")
        found = self.places[name].get(anchor)
        if found is None:
            return Place(start, 0, float(self.writer.pages[start].mediabox.top))
        return Place(start + found.page, found.left, found.top)

    def explicit(self, place: Place) -> ArrayObject:
        """A destination as PDF writes it: page, position (a little above the anchor), zoom unchanged."""
        sheet = self.writer.pages[place.page].indirect_reference
        position = FloatObject(round(place.left, 1)), FloatObject(round(place.top + 6, 1))
        return ArrayObject([sheet, NameObject("/XYZ"), *position, NullObject()])

    def link(self) -> int:
        """Let every link lead into the document where it can; return how many lead to another page."""
        across = 0
        bounds = sorted((start, name) for name, start in self.starts.items())
        for number, sheet in enumerate(self.writer.pages):
            here = next(name for start, name in reversed(bounds) if start <= number)
            for reference in sheet.get("/Annots", ()):
                note = reference.get_object()
                if note.get("/Subtype") != "/Link":
                    continue
                note[NameObject("/Border")] = ArrayObject([NumberObject(0)] * 3)
                across += self._link_one(note, here)
        return across

    def _link_one(self, note: DictionaryObject, here: str) -> bool:
        if "/Dest" in note:
            raw = note["/Dest"]
            anchor = unquote(str(raw).removeprefix("/"))
            note[NameObject("/Dest")] = self.explicit(self.place(here, anchor))
            return False
        action = note.get("/A", {})
        address = urlsplit(str(action.get("/URI", "")))
        if address.scheme != "file":
            return False
        path = Path(unquote(address.path))
        inside = path.relative_to(self.html).as_posix() if path.is_relative_to(self.html) else path.name
        name = inside.removesuffix(".html")
        if name in self.starts:
            del note["/A"]
            note[NameObject("/Dest")] = self.explicit(self.place(name, unquote(address.fragment)))
            return True
        fragment = f"#{address.fragment}" if address.fragment else ""
        action[NameObject("/URI")] = TextStringObject(f"{self.site}{inside}{fragment}")
        return False

    def bookmarks(self, printed: list[Any]) -> int:
        """Parts, chapters, sections; return how many."""
        parent, part, total = None, "", 0

        def add(text: str, place: Place, above: Any, bold: bool = False) -> Any:
            nonlocal total
            total += 1
            return self.writer.add_outline_item(
                text, place.page, above, bold=bold, is_open=False, fit=Fit.xyz(place.left, place.top + 6, 0)
            )

        add("Contents", Place(min(1, self.starts[printed[0].name] - 1), 0, 842), None)
        for chapter in printed:
            if chapter.part != part:
                part = chapter.part
                parent = add(part, self.place(chapter.name), None, bold=True)
            node = add(chapter.title, self.place(chapter.name), parent)
            above = {2: node}
            for section in chapter.sections:
                place = self.place(chapter.name, section["id"])
                item = add(section["text"], place, above.get(section["level"], above[2]))
                above[section["level"] + 1] = item
        return total


def join(
    html: Path, front: Any, printed: list[Any], out: Path, site: str, about: dict[str, Any]
) -> dict[str, Any]:
    """Write ``out`` from the printed front matter and pages, with ``about`` (CITATION.cff); return counts."""
    book = Joined(html, site)
    book.add("", front.file)
    for chapter in printed:
        book.add(chapter.name, chapter.file)
    across, marks = book.link(), book.bookmarks(printed)
    writer = book.writer
    writer.set_page_label(0, front.pages - 1, style="/r")
    writer.set_page_label(front.pages, len(writer.pages) - 1, style="/D", start=1)
    writer.add_metadata(
        {
            "/Title": about["title"],
            "/Author": ", ".join(a.get("name", "") for a in about["authors"]),
            "/Subject": f"Version {about['version']}, {about['date-released']}",
            "/Keywords": ", ".join(about.get("keywords", [])),
        }
    )
    root = writer._root_object
    root[NameObject("/Lang")] = TextStringObject("en")
    writer.page_mode = "/UseOutlines"
    out.parent.mkdir(parents=True, exist_ok=True)
    writer.write(out)
    return {
        "pages": len(writer.pages),
        "MB": round(out.stat().st_size / 1e6, 2),
        "strips": sum(len(p.strips) for p in printed),
        "links between pages": across,
        "bookmarks": marks,
        "anchors not found": len(set(book.unresolved)),
    }
