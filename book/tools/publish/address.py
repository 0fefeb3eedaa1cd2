"""Writes the repository's address into every file that shows it.

    python -m book.tools.publish.address https://github.com/owner/repo     the repository has moved
    python -m book.tools.publish.address                                   write the present address again

The address stands in one place, [project.urls] of pyproject.toml; the rest is made from it. Needs
nothing but Python.
"""

import re
import sys
import tomllib
from pathlib import Path

from book.tools import ROOT

SLUG = r"[A-Za-z0-9_.-]+/[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*?"
# Places that always mean this book's own repository, whatever name they hold.
OWN = [
    re.compile(rf"(https://colab\.research\.google\.com/github/)({SLUG})(?=/blob/)"),
    re.compile(rf"(git\+https://github\.com/)({SLUG})(?=\.git\b|[@#\s\"'\\]|$)"),
    re.compile(rf"(git clone (?:-\S+ |--\S+ \d* ?)*https://github\.com/)({SLUG})(?=\.git\b|[\s\"'\\]|$)"),
    re.compile(
        r"(?m)(^\s*(?:url|repository-code|Repository)\s*[:=]\s*\"?https://github\.com/)"
        rf"({SLUG})(?=[\"\s]|$)"
    ),
]


def address() -> str:
    """The address in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project["urls"]["Repository"].rstrip("/")


def slug(url: str) -> str:
    """owner/repo of a GitHub address."""
    match = re.fullmatch(rf"https://github\.com/({SLUG})(?:\.git)?/?", url)
    if not match:
        sys.exit(f"'{url}' is not the address of a repository; expected https://github.com/owner/repo")
    return match[1]


def files() -> list[Path]:
    """All files that may show the address."""
    names = ["pyproject.toml", "_config.yml", "README.md", "CITATION.cff", "CONTRIBUTING.md", "CHANGELOG.md"]
    found = [ROOT / name for name in names]
    for pattern in ("notebooks/*.md", "notebooks/*.ipynb", "book/*.md", "book/assets/js/*.js"):
        found += sorted(ROOT.glob(pattern))
    return [path for path in found if path.exists()]


def rewrite(text: str, old: str, new: str) -> str:
    """`text` with this book's address `old` (owner/repo) replaced by `new`."""
    text = re.sub(rf"(github\.com/|google\.com/github/){re.escape(old)}(?![\w-])", rf"\g<1>{new}", text)
    for pattern in OWN:
        text = pattern.sub(rf"\g<1>{new}", text)
    return text


def main(arguments: list[str]) -> None:
    old = slug(address())
    new = slug(arguments[0]) if arguments else old
    for path in files():
        before = path.read_text()
        after = rewrite(before, old, new)
        if after != before:
            path.write_text(after)
            print(f"changed {path.relative_to(ROOT)}")
    print(f"The repository's address is https://github.com/{new}")


if __name__ == "__main__":
    main(sys.argv[1:])
