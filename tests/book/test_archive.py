"""The book in a pocket: the archive opens from disk, and the PDF has its links, bookmarks and strips.

The pages are those that the other tests of this folder open (_build/html, or BOOK_HTML).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import unicodedata
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pypdf
import pytest

from book.tools import ROOT
from book.tools.print import make_pdf
from book.tools.publish import archive as packer
from tests.book import checks
from tests.book.test_pages import html  # noqa: F401
from tests.browser import Visit, rest

pytestmark = pytest.mark.browser
LIVE = "notebooks/00_welcome"  # a short page with a live figure and links to other pages
OTHER = "book/bibliography"


# --- the archive


@pytest.fixture(scope="module")
def archive(html: Path, tmp_path_factory: Any) -> Path:  # noqa: F811
    path = tmp_path_factory.mktemp("zip") / "book.zip"
    assert packer.pack(html, path) < packer.LIMIT
    return path


@pytest.fixture(scope="module")
def unpacked(archive: Path, tmp_path_factory: Any) -> Path:
    """Unpacked where readers put it: in a folder whose name has a space, an accent and a hash."""
    folder = tmp_path_factory.mktemp("pocket") / "Bücher & Seiten #1"
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)
    return folder / packer.FOLDER


@pytest.fixture(scope="module")
def visit(browser: Any, unpacked: Path) -> Iterator[Visit]:
    page = Visit(browser)
    yield page
    page.close()


def test_the_same_pages_give_the_same_bytes(html: Path, archive: Path, tmp_path: Path) -> None:  # noqa: F811
    packer.pack(html, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
        assert {info.date_time for info in opened.infolist()} == {packer.TIME}
    assert names[1:] == sorted(names[1:]) and names[0] == f"{packer.FOLDER}/README.txt"
    assert not [name for name in names if "/." in name]


def test_a_page_from_the_archive_is_complete_and_quiet(visit: Visit, unpacked: Path) -> None:
    problems = checks.page(visit.open(unpacked / f"{LIVE}.html"))
    assert not problems, "\n".join(problems)
    number = len(visit.tab.locator(".sam-edu").all())
    assert number == len(visit.tab.locator(".afm-host[data-ready]").all()) >= 1
    slider = visit.tab.locator(".sam-edu input[type=range]").first
    before = visit.tab.locator(".sam-edu .se-say").first.inner_text()
    slider.press("Home" if float(slider.input_value()) > float(slider.get_attribute("min")) else "End")
    rest(visit.tab, 100)
    assert visit.tab.locator(".sam-edu .se-say").first.inner_text() != before


def test_search_in_the_archive_finds_words_and_quotes_them(visit: Visit, unpacked: Path) -> None:
    visit.open(unpacked / "search.html", "?q=perturbation")
    quotes = visit.tab.locator("#search-results li p.context")
    quotes.first.wait_for()
    quotes.nth(1).wait_for()
    rest(visit.tab, 600)
    found = visit.tab.locator("#search-results li").count()
    assert found >= 2 and quotes.count() >= 2
    for text in quotes.all_inner_texts():
        assert 20 < len(text) < 400 and "\\(" not in text
    assert any("perturb" in text.lower() for text in quotes.all_inner_texts())
    assert not visit.log


def test_all_of_the_book_is_in_the_archive(html: Path, unpacked: Path) -> None:  # noqa: F811
    packed = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    built = {path.relative_to(html).as_posix() for path in html.rglob("*") if path.is_file()}
    assert packed - built <= {"README.txt"} <= packed
    assert all(packer.LEFT_OUT.search(name) for name in built - packed)


def test_without_a_book_one_line_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no book in .*: run  make book  first"):
        packer.pack(tmp_path, tmp_path / "book.zip")


def test_an_archive_over_the_limit_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "html").mkdir()
    (tmp_path / "html/index.html").write_text("x")
    monkeypatch.setattr(packer, "LIMIT", 10)
    with pytest.raises(SystemExit, match="the limit is 0 MB"):
        packer.pack(tmp_path / "html", tmp_path / "book.zip")


# --- the PDF, of two pages


def run_make_pdf(html: Path, out: Path, *pages: str) -> subprocess.CompletedProcess[str]:  # noqa: F811
    command = [sys.executable, "-m", "book.tools.print.make_pdf", html, out, "--only", *pages]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=ROOT)


@pytest.fixture(scope="module")
def pdf(html: Path, tmp_path_factory: Any) -> tuple[pypdf.PdfReader, dict[str, float]]:  # noqa: F811
    """The PDF, and the counts that the command has printed."""
    path = tmp_path_factory.mktemp("pdf") / "book.pdf"
    done = run_make_pdf(html, path, LIVE, OTHER)
    if "No Chromium" in done.stderr and not os.environ.get("CI"):
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    assert "wider than the column" not in done.stdout, done.stdout
    printed = done.stdout.rpartition("==>")[2]
    return pypdf.PdfReader(path), {n: float(v) for n, v in re.findall(r"([A-Za-z][\w ]*): ([\d.]+)", printed)}


def notes(reader: Any) -> list[tuple[int, Any]]:
    """(page number, annotation) of every link."""
    return [
        (number, note.get_object())
        for number, page in enumerate(reader.pages)
        for note in page.get("/Annots", ())
        if note.get_object()["/Subtype"] == "/Link"
    ]


def test_pdf_has_front_matter_pages_and_labels(pdf: Any) -> None:
    reader, made = pdf
    assert made["pages"] == len(reader.pages) >= 4
    front = reader.pages[0].extract_text()
    assert "Flat and Robust" in front and "Version" in front
    labels = reader.page_labels
    first = labels.index("1")
    assert labels[0] == "i" and labels[first - 1] != "1" and labels[-1] == str(len(labels) - first)
    assert "Flat and Robust" in reader.pages[first].extract_text()
    # the number at the foot of each sheet is its label
    for number in range(1, len(labels)):
        lines = reader.pages[number].extract_text().split("\n")
        assert labels[number] in (lines[0].strip(), lines[-1].strip()), (number, lines[0], lines[-1])


def pages_of_bookmarks(reader: pypdf.PdfReader) -> dict[str, int]:
    """Titles of all bookmarks, and the sheet that each leads to."""
    found: dict[str, int] = {}

    def walk(items: Any) -> None:
        for item in items:
            if isinstance(item, list):
                walk(item)
            else:
                found[item.title] = reader.get_destination_page_number(item)

    walk(reader.outline)
    return found


def test_pdf_bookmarks_lead_to_the_chapters(pdf: Any) -> None:
    reader, made = pdf
    sheets = pages_of_bookmarks(reader)
    assert len(sheets) <= made["bookmarks"]
    assert {"Contents", "Back matter", "Bibliography"} <= set(sheets)
    assert "Bibliography" in reader.pages[sheets["Bibliography"]].extract_text()
    sections = [title for title, sheet in sheets.items() if sheet < sheets["Bibliography"]]
    assert len(sections) >= 4


def test_pdf_links_lead_into_the_pdf_or_to_a_host(pdf: Any) -> None:
    reader, made = pdf
    inside = [(number, note) for number, note in notes(reader) if "/Dest" in note]
    outside = [str(note["/A"]["/URI"]) for _, note in notes(reader) if "/A" in note]
    assert inside and outside and all(uri.startswith("https://") for uri in outside)
    for _, note in inside:
        assert note["/Dest"][0].get_object()["/Type"] == "/Page"
    assert made["anchors not found"] == 0
    # a citation on the first page leads to its entry in the bibliography, and stands where the entry begins
    last = pages_of_bookmarks(reader)["Bibliography"]
    jumps = [note for number, note in inside if number < last and page_of(reader, note) >= last]
    assert jumps, "no citation leads to the bibliography"
    place = jumps[-1]["/Dest"]
    heights = [m[5] for m, text in texts(reader.pages[page_of(reader, jumps[-1])]) if text.strip()]
    assert any(-16 < float(place[3]) - y < 26 for y in heights)


def page_of(reader: Any, note: Any) -> int:
    return reader.get_page_number(note["/Dest"][0].get_object())


def texts(page: Any) -> list[tuple[Any, str]]:
    """(matrix on the sheet, text) of each run of text."""
    found: list[tuple[Any, str]] = []

    def visitor(text: str, cm: Any, tm: Any, font: Any, size: Any) -> None:
        y = tm[4] * cm[1] + tm[5] * cm[3] + cm[5]
        found.append(([0, 0, 0, 0, 0, y], text))

    page.extract_text(visitor_text=visitor)
    return found


def test_pdf_shows_each_live_figure_as_a_strip(pdf: Any, html: Path) -> None:  # noqa: F811
    reader, made = pdf
    source = (html / f"{LIVE}.html").read_text(encoding="utf-8")
    assert made["strips"] == source.count('type="application/vnd.jupyter.widget-view+json"') >= 1
    text = unicodedata.normalize("NFKC", " ".join(page.extract_text() for page in reader.pages))
    assert text.count("Move this figure online") == made["strips"]
    uris = [str(note["/A"]["/URI"]) for _, note in notes(reader) if "/A" in note]
    assert any(re.search(r"github\.io/.*00_welcome\.html#se-", uri) for uri in uris)


def test_a_page_that_is_not_in_the_book_is_named(html: Path, tmp_path: Path) -> None:  # noqa: F811
    done = run_make_pdf(html, tmp_path / "x.pdf", "notebooks/99_x")
    assert done.returncode == 1 and "no page 'notebooks/99_x' in _toc.yml; it has notebooks/" in done.stderr


@pytest.mark.parametrize(
    "slug, site",
    [("A-b/c.d", "https://a-b.github.io/c.d/"), ("me/me.github.io", "https://me.github.io/")],
)
def test_the_address_online_follows_from_the_repository(slug: str, site: str) -> None:
    assert make_pdf.online(slug) == site


def test_the_book_on_two_pages_is_two_pages(html: Path, tmp_path: Path) -> None:  # noqa: F811
    done = run_make_pdf(html, tmp_path / "sheet.pdf", "book/summary_sheet")
    if "No Chromium" in done.stderr and not os.environ.get("CI"):
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^book/summary_sheet +2 pages", done.stdout, re.MULTILINE), done.stdout
    assert "wider than the column" not in done.stdout, done.stdout
