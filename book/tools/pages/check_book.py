"""Checks the built book: all pages there, no error, nothing from another host, not too heavy.

    python -m book.tools.pages.check_book _build/html

prints the weight of each page (its HTML and what that loads) and one line for each problem; exit
status 1 if there is any.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml

MB = 1e6
LIMIT_PROSE = 1.1 * MB  # a page without formulas
LIMIT_MATH = 2.3 * MB  # a page with formulas; its own pictures come on top
MIN_TEXT = 200  # characters that a page must say at least

# Attributes through which a browser fetches something by itself; links to click are not among them.
FETCHING = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "track": ("src",),
    "input": ("src",),
    "use": ("href", "xlink:href"),
    "image": ("href", "xlink:href"),
    "form": ("action",),
}
LINK_RELS = {
    "stylesheet",
    "preload",
    "modulepreload",
    "prefetch",
    "icon",
    "shortcut",
    "manifest",
    "preconnect",
    "dns-prefetch",
    "apple-touch-icon",
}
FOREIGN = re.compile(r"^\s*(?:https?:|wss?:|ftp:)?//", re.I)
CSS_URL = re.compile(r"""url\(\s*['"]?([^'")]+)['"]?\s*\)|@import\s+['"]([^'"]+)['"]""", re.I)
JS_IMPORT = re.compile(
    r"""\b(?:import|from)\s*\(?\s*['"]((?:https?:)?//[^'"]+)['"]"""
    r"""|\bfetch\(\s*['"`]((?:https?:)?//[^'"`]+)"""
)
ERRORS = {
    "a traceback": re.compile(r"Traceback \(most recent call last\)"),
    "an exception": re.compile(r"&lt;class &#0?39;\w*(?:Error|Exception)|&lt;class '\w*(?:Error|Exception)"),
    "an error output": re.compile(
        r"""class="[^"]*\boutput (?:error|traceback)\b|application/vnd\.jupyter\.error"""
    ),
    "an unresolved glue value": re.compile(r"No key found|Key .{1,80} not found in glue"),
}
# A picture whose alt is a file name or a hash says nothing to who cannot see it.
BAD_ALT = re.compile(r"^\s*$|[0-9a-f]{16,}|\.(?:png|svg|jpe?g|gif)\s*$|^_images/", re.I)


class Page(HTMLParser):
    """What one HTML file contains and loads."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.fetched: list[str] = []  # addresses that the browser asks for by itself
        self.images: list[str] = []
        self.bad_alts: list[str] = []
        self.css = ""  # <style> and style=""
        self.scripts = ""  # inline scripts
        self.text = ""  # what <main> or <article> says
        self._inside: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        at = {name: value or "" for name, value in attrs}
        self.css += f"\n{at.get('style', '')}"
        for name in FETCHING.get(tag, ()):
            if at.get(name):
                parts = [p.split()[0] for p in at[name].split(",")] if name == "srcset" else [at[name]]
                self.fetched += parts
        if tag == "link" and LINK_RELS & set(at.get("rel", "").lower().split()) and at.get("href"):
            self.fetched.append(at["href"])
        if tag == "img":
            self.images.append(at.get("src", ""))
            decorative = at.get("role") == "presentation" or at.get("aria-hidden") == "true"
            if BAD_ALT.search(at.get("alt", "")) and not decorative:
                self.bad_alts.append(at.get("src", "")[:80])
        if tag in ("script", "style", "main", "article"):
            self._inside.append(tag)

    def handle_endtag(self, tag):
        if tag in self._inside:
            while self._inside.pop() != tag:
                pass

    def handle_data(self, data):
        if "style" in self._inside:
            self.css += data
        elif "script" in self._inside:
            self.scripts += data
        elif self._inside:
            self.text += data


def toc_pages(toc: dict) -> list[str]:
    """Names of all pages of a table of contents, the root first."""
    names = []

    def walk(node):
        if isinstance(node, dict):
            if "file" in node:
                names.append(node["file"])
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for item in node:
                walk(item)

    walk({key: value for key, value in toc.items() if key not in ("root", "format")})
    return [toc["root"], *names]


def local(address: str, base: Path) -> Path | None:
    """The file behind an address seen in the file `base`; None for data:, blob: and other hosts."""
    if FOREIGN.match(address) or re.match(r"^(?:data|blob|mailto|javascript|about):", address, re.I):
        return None
    path = unquote(urlsplit(address).path)
    return (base.parent / path).resolve() if path else None


def style_files(css: str, base: Path, seen: set[Path]) -> list[str]:
    """Add to `seen` what a style sheet loads; return the addresses on other hosts."""
    foreign = []
    for match in CSS_URL.finditer(css):
        address = match[1] or match[2]
        if FOREIGN.match(address):
            foreign.append(address)
            continue
        path = local(address, base)
        if path is None or not path.is_file() or path in seen:
            continue
        seen.add(path)
        if path.suffix == ".css":
            foreign += style_files(path.read_text(errors="replace"), path, seen)
    return foreign


def mathjax_fonts(script: Path) -> list[Path]:
    """The fonts that ordinary formulas make MathJax load (not those of \\mathfrak and the like)."""
    fonts = script.parent / "output/chtml/fonts/woff-v2"
    usual = (
        "Main-Regular",
        "Math-Italic",
        "Main-Bold",
        "AMS-Regular",
        "Size1",
        "Size2",
        "Size3",
        "Size4",
        "Zero",
    )
    return [f for f in fonts.glob("*.woff") if any(name in f.name for name in usual)]


DRAWING = re.compile(r"<figure class=\"se-figure\">\s*<svg\b.*?</svg>", re.DOTALL)


def drawings(source: str) -> int:
    """Bytes of the figures that are drawn inside the HTML: pictures, though not files of their own."""
    return sum(len(match[0].encode()) for match in DRAWING.finditer(source))


def check_page(path: Path) -> tuple[list[str], dict]:
    """Problems of one HTML file, and its weight in bytes: without pictures, and the pictures."""
    source = path.read_text(encoding="utf-8", errors="replace")
    page = Page(source)
    problems = [f"it shows {what}" for what, pattern in ERRORS.items() if pattern.search(source)]
    if len(" ".join(page.text.split())) < MIN_TEXT:
        problems.append(f"it says less than {MIN_TEXT} characters")
    problems += [f"the picture {src} has no useful alt text" for src in page.bad_alts]

    loaded: set[Path] = set()
    foreign = [a for a in page.fetched if FOREIGN.match(a)] + style_files(page.css, path, loaded)
    foreign += [m[1] or m[2] for m in JS_IMPORT.finditer(page.scripts)]
    for address in page.fetched:
        file = local(address, path)
        if file is None:
            continue
        if not file.is_file():
            problems.append(f"it loads {address}, which does not exist")
            continue
        loaded.add(file)
        if file.suffix == ".css":
            foreign += style_files(file.read_text(errors="replace"), file, loaded)
        elif file.suffix == ".js" and "vendor" not in file.parts:
            foreign += [m[1] or m[2] for m in JS_IMPORT.finditer(file.read_text(errors="replace"))]
    problems += [f"it asks another host: {address[:100]}" for address in dict.fromkeys(foreign)]

    mathjax = next((f for f in loaded if f.name.startswith("tex-")), None)
    if mathjax:
        loaded.update(mathjax_fonts(mathjax))
    pictures = {file for src in page.images if (file := local(src, path)) and file.is_file()}
    drawn = drawings(source)
    weight = {
        "total": len(source.encode()) - drawn + sum(f.stat().st_size for f in loaded - pictures),
        "pictures": drawn + sum(f.stat().st_size for f in pictures),
        "math": mathjax is not None,
    }
    limit = LIMIT_MATH if mathjax else LIMIT_PROSE
    if weight["total"] > limit:
        problems.append(f"it weighs {weight['total'] / MB:.2f} MB; the limit is {limit / MB:.1f} MB")
    return problems, weight


def check_book(html: Path, toc: dict, report=print) -> list[str]:
    """All problems of the book built in `html`, one line each; `report` receives the weights."""
    problems = []
    if not (html / "index.html").is_file():
        problems.append("index.html: missing")
    report(f"{'page':50} {'MB':>6} {'pictures':>9}  formulas")
    for name in toc_pages(toc):
        path = html / f"{name}.html"
        if not path.is_file():
            problems.append(f"{name}: missing (it stands in _toc.yml)")
            continue
        found, weight = check_page(path)
        problems += [f"{name}: {problem}" for problem in found]
        report(
            f"{name:50} {weight['total'] / MB:6.2f} {weight['pictures'] / MB:9.2f}  "
            f"{'yes' if weight['math'] else 'no'}"
        )
    return problems


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m book.tools.pages.check_book _build/html", file=sys.stderr)
        return 2
    toc = yaml.safe_load(Path("_toc.yml").read_text())
    problems = check_book(Path(sys.argv[1]), toc)
    for problem in problems:
        print(f"PROBLEM  {problem}", file=sys.stderr)
    print(
        "The book is complete, shows no error and asks no other host."
        if not problems
        else f"{len(problems)} problem(s)"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
