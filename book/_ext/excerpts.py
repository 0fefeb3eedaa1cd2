"""Lets the search page quote what it finds, also when the book is opened from disk.

Sphinx's search fetches each page that it has found to show the words around the hit, which browsers
forbid for files. So the text of all pages is written beside the index, into `searchtexts.js`, and only
the search page loads it; there it answers these requests.
"""

import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path

SKIP = {"script", "style", "svg", "button", "summary", "form"}
SKIP_CLASS = {"headerlink", "se-colab"}
VOID = {"img", "br", "hr", "input", "meta", "link", "wbr"}
FORMULA = re.compile(r"\\\(.*?\\\)|\\\[.*?\\\]", re.DOTALL)
HOST = """
// What the search page would fetch from other pages to quote them; see book/_ext/excerpts.py.
{
  const texts = %s;
  const fetched = window.fetch;
  window.fetch = (address, ...rest) => {
    const name = String(address).replace(/^(\\.\\/)+/, "").replace(/\\.html.*$/, "");
    if (!Object.hasOwn(texts, name)) return fetched(address, ...rest);
    return Promise.resolve(new Response(texts[name]));
  };
}
"""


class Text(HTMLParser):
    """The text of an article, with its sections as the only tags."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._article = 0
        self._skipped: list[str] = []
        self._sections: list[bool] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        at = dict(attrs)
        if tag == "article":
            self._article += 1
        if not self._article or tag in VOID:
            return
        if self._skipped or tag in SKIP or SKIP_CLASS & set((at.get("class") or "").split()):
            self._skipped.append(tag)
        elif tag == "section":
            self._sections.append("id" in at)
            if "id" in at:
                self.parts.append(f'<section id="{html.escape(at["id"])}">')
        else:
            self.parts.append(" " if tag not in ("span", "em", "strong", "a", "code") else "")

    def handle_endtag(self, tag):
        if tag == "article":
            self._article -= 1
        elif self._skipped:
            if tag in self._skipped:
                while self._skipped.pop() != tag:
                    pass
        elif tag == "section" and self._sections and self._sections.pop():
            self.parts.append("</section>")

    def handle_data(self, data):
        if self._article and not self._skipped:
            self.parts.append(html.escape(FORMULA.sub("…", data), quote=False))


def text_of(source: str) -> str:
    """A small page for Sphinx's search to quote from."""
    words = " ".join("".join(Text(source).parts).split())
    return f'<div role="main">{words}</div>'


def write_excerpts(outdir: Path, names: list[str]) -> None:
    """Write the texts of the pages `names` and let the search page load them."""
    search = outdir / "search.html"
    pages = {name: outdir / f"{name}.html" for name in sorted(names)}
    texts = {name: text_of(p.read_text(encoding="utf-8")) for name, p in pages.items() if p.is_file()}
    listed = json.dumps(texts, ensure_ascii=False).replace("</script", "<\\/script")
    (outdir / "searchtexts.js").write_text(HOST % listed, encoding="utf-8")
    source = search.read_text(encoding="utf-8")
    index = '<script src="searchindex.js"></script>'
    if "searchtexts.js" not in source:
        search.write_text(
            source.replace(index, f'{index}\n  <script src="searchtexts.js"></script>', 1), encoding="utf-8"
        )
