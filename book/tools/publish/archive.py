"""Packs the built book into one archive that opens from disk.

    python -m book.tools.publish.archive _build/html _build/flat-and-robust.zip

The same pages give the same bytes: names in order, one time for all. Needs nothing but Python; unpack
it with any tool and open index.html in the folder `flat-and-robust`.
"""

import re
import sys
import zipfile
from pathlib import Path

from book.tools.publish import address

LIMIT = 30e6  # bytes
FOLDER = "flat-and-robust"
TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that the format knows
# What Sphinx keeps for itself, what only other projects read, and what is published beside the pages.
LEFT_OUT = re.compile(r"(?:^|/)\.|^reports/|^objects\.inv$|^README\.txt$|^flat-and-robust\.(?:zip|pdf)$")
README = """Flat and Robust, version {version}

Open index.html in a browser. No server and no network are needed: search, formulas and every figure with
sliders work from this folder. The notebooks, to run and change, are in _sources/notebooks.

{url}
Text and figures: CC BY 4.0. Code: MIT. MathJax, in _static/vendor, is under the Apache licence 2.0.
"""


def files(html: Path) -> dict[str, Path]:
    """Files of the built book by their name in the archive, in order."""
    found = {path.relative_to(html).as_posix(): path for path in html.rglob("*") if path.is_file()}
    return {name: found[name] for name in sorted(found) if not LEFT_OUT.search(name)}


def version() -> str:
    """The version in pyproject.toml."""
    found = re.search(r'^version = "([^"]+)"$', (address.ROOT / "pyproject.toml").read_text(), re.M)
    if not found:
        sys.exit("pyproject.toml has no line  version = ...")
    return found[1]


def pack(html: Path, archive: Path) -> int:
    """Write the archive and return its size in bytes; exit with one line if it is too large."""
    if not (html / "index.html").is_file():
        sys.exit(f"no book in {html}: run  make book  first")
    readme = README.format(version=version(), url=address.address())
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:

        def add(name: str, content: bytes) -> None:
            entry = zipfile.ZipInfo(f"{FOLDER}/{name}", TIME)
            entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3
            entry.external_attr = 0o100644 << 16
            out.writestr(entry, content)

        add("README.txt", readme.encode())
        for name, path in files(html).items():
            add(name, path.read_bytes())
    size = archive.stat().st_size
    if size > LIMIT:
        sys.exit(f"{archive} has {size / 1e6:.1f} MB; the limit is {LIMIT / 1e6:.0f} MB")
    return size


def main(arguments: list[str]) -> None:
    if len(arguments) != 2:
        sys.exit("usage: python -m book.tools.publish.archive _build/html _build/flat-and-robust.zip")
    html, archive = map(Path, arguments)
    size = pack(html, archive)
    print(f"==> {archive}: {size / 1e6:.1f} MB, {len(files(html))} files; unpack it and open index.html")


if __name__ == "__main__":
    main(sys.argv[1:])
