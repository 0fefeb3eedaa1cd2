"""Makes one PDF of the built book: prints each page with Chromium, then joins them.

    python -m book.tools.print.make_pdf _build/html _build/flat-and-robust.pdf [--only PAGE ...]

Needs playwright and pypdf, which the environment of the book holds, and any Chromium (or $CHROMIUM);
no TeX. Folded solutions and proofs are printed open, and each live figure as a strip of small
multiples with a link. Front matter has roman page numbers, chapter pages count from 1.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from book.tools import ROOT
from book.tools.print import front, join, places
from book.tools.publish import address

HERE = Path(__file__).resolve().parent
PREPARE = (HERE / "page.js").read_text(encoding="utf-8")
# The margins that places.py counts on; a page number in the middle of the lower one.
PAPER = """@page { size: A4; margin: 18mm 17mm 20mm 17mm;
  @bottom-center { content: counter(page%s); font: 9pt system-ui, sans-serif; color: #333; } }"""


@dataclass
class Printed:
    """One page of the book on paper."""

    name: str  # "notebooks/07_x", as in _toc.yml; "" for the front matter
    file: Path
    pages: int
    part: str = ""
    title: str = ""
    sections: list[dict[str, Any]] = field(default_factory=list)
    strips: list[dict[str, Any]] = field(default_factory=list)
    wide: list[str] = field(default_factory=list)  # what sticks out of the column
    boxes: bool = False  # whether characters have no font


def online(slug: str) -> str:
    """Where GitHub Pages shows the book of the repository ``owner/name``; ends with a slash."""
    owner, name = slug.split("/")
    host = f"{owner.lower()}.github.io"
    return f"https://{host}/" if name.lower() == host else f"https://{host}/{name}/"


def chapters(toc: dict[str, Any]) -> list[tuple[str, str]]:
    """(part, page) for each page of a table of contents, the root first, without a part."""
    found = [("", toc["root"])]

    def walk(part: str, items: list[dict[str, Any]]) -> None:
        for item in items:
            if "file" in item:
                found.append((part, item["file"]))
            walk(part, item.get("sections", []))

    walk("", toc.get("chapters", []))
    for part in toc.get("parts", []):
        walk(part.get("caption", ""), part.get("chapters", []))
    return found


@contextmanager
def chromium() -> Iterator[Any]:
    """A tab of the system's Chromium that may ask no other host."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if not path:
        sys.exit("No Chromium: install it (sudo apt-get install chromium), or set CHROMIUM to its path.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        try:
            # As wide as the paper between its margins, so that a figure that measures itself fits.
            context = browser.new_context(
                offline=True, color_scheme="light", viewport={"width": 665, "height": 980}
            )
            context.set_default_timeout(120_000)
            tab = context.new_page()
            tab.emulate_media(media="print", color_scheme="light", reduced_motion="reduce")
            yield tab
        finally:
            browser.close()


def print_page(tab: Any, html: Path, name: str, to: Path, shift: int, site: str) -> Printed:
    """Print the built page ``name`` with page numbers from ``shift`` + 1."""
    source = html / f"{name}.html"
    if not source.is_file():
        sys.exit(f"{source} is missing: it stands in _toc.yml; run  make book  first")
    tab.goto(source.resolve().as_uri())
    tab.add_style_tag(content=PAPER % "")
    said = tab.evaluate(PREPARE, {"online": f"{site}{name}.html", "shift": shift})
    tab.pdf(path=str(to), prefer_css_page_size=True, print_background=True)
    return Printed(name, to, places.count(to), **said)


def print_front(tab: Any, html: Path, printed: list[Printed], to: Path) -> Printed:
    """Print the title page and the contents, whose page numbers are known now."""
    page = to.with_suffix(".html")
    page.write_text(front.front(html, printed), encoding="utf-8")
    tab.goto(page.as_uri())
    tab.add_style_tag(content=PAPER % ", lower-roman")
    tab.add_style_tag(content="@page :first { @bottom-center { content: none } }")
    tab.pdf(path=str(to), prefer_css_page_size=True, print_background=True)
    return Printed("", to, places.count(to), title="Contents")


def make(html: Path, out: Path, only: list[str] | None = None) -> dict[str, Any]:
    """Print the book in ``html`` into the file ``out``; return what it holds."""
    slug = address.slug(address.address())
    site, toc = online(slug), yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    wanted = [(part, name) for part, name in chapters(toc) if not only or name in only]
    if unknown := sorted(set(only or ()) - {name for _, name in wanted}):
        known = ", ".join(name for _, name in chapters(toc))
        sys.exit(f"no page {unknown[0]!r} in _toc.yml; it has {known}")
    with tempfile.TemporaryDirectory() as folder, chromium() as tab:
        printed: list[Printed] = []
        for part, name in wanted:
            start, before = time.perf_counter(), sum(p.pages for p in printed)
            page = print_page(tab, html, name, Path(folder, f"{len(printed)}.pdf"), before, site)
            page.part = part
            printed.append(page)
            seconds = time.perf_counter() - start
            print(f"{name:45} {page.pages:4} pages {len(page.strips):3} strips {seconds:6.1f} s", flush=True)
            for text in page.wide:
                print(f"    wider than the column: {text!r}")
            if page.boxes:
                print("    no font for Korean, which is drawn as boxes: sudo apt-get install fonts-nanum")
        first = print_front(tab, html, printed, Path(folder, "front.pdf"))
        return join.join(html, first, printed, out, site, front.citation())


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("html", type=Path, help="the built book, _build/html")
    parser.add_argument("out", type=Path, help="the PDF to write")
    parser.add_argument("--only", nargs="+", metavar="PAGE", help="these pages of _toc.yml only")
    args = parser.parse_args(arguments)
    found = make(args.html, args.out, args.only)
    print(f"==> {args.out}: {json.dumps(found)[1:-1]}".replace('"', ""))


if __name__ == "__main__":
    main()
