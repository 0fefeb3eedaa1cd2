"""A fingerprint of files and folders by their content.

Times of change say nothing after a `git checkout`, so the Makefile compares contents.

    python -m book.tools.pages.fingerprint PATH...
        prints the fingerprint
    python -m book.tools.pages.fingerprint --keep F --else-remove DIR PATH...
        removes DIR if the fingerprint differs from the one in file F, and writes the new one there
"""

import argparse
import hashlib
import shutil
from pathlib import Path

SKIP = {"__pycache__", ".ipynb_checkpoints"}


def files(path: Path) -> list[Path]:
    """All files under `path` (or `path` itself), in a fixed order."""
    if path.is_file():
        return [path]
    found = (p for p in path.rglob("*") if p.is_file() and not SKIP & set(p.parts))
    return sorted(p for p in found if p.suffix != ".pyc")


def fingerprint(paths: list[Path]) -> str:
    """SHA-256 over the names and contents of all files."""
    total = hashlib.sha256()
    for path in paths:
        for file in files(path):
            total.update(f"{file.as_posix()}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--else-remove", type=Path)
    parser.add_argument("paths", nargs="+", type=Path)
    args = parser.parse_args()
    now = fingerprint(args.paths)
    if args.keep is None:
        print(now)
        return
    if not args.keep.exists() or args.keep.read_text() != now:
        if args.else_remove.exists():
            print("==> The library or the settings have changed: the notebooks run again")
            shutil.rmtree(args.else_remove)
        args.keep.parent.mkdir(parents=True, exist_ok=True)
        args.keep.write_text(now)


if __name__ == "__main__":
    main()
