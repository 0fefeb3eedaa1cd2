"""Makes a release: checks, sets the version, builds, tests, packs, commits, tags. It pushes nothing.

    python -m book.tools.publish.release 1.2.3              make release VERSION=1.2.3
    python -m book.tools.publish.release 1.2.3 --dry-run    say what would be done, change nothing

The version is written into pyproject.toml, CITATION.cff (with the date) and CHANGELOG.md, whose section
"Unreleased" becomes that of the version. If a step fails, the three files are as they were before. Needs
nothing but Python, git and make.
"""

from __future__ import annotations

import argparse
import datetime
import difflib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from book.tools import ROOT

VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
BUILD = ["make", "test", "zip", "pdf"]


class ReleaseError(Exception):
    """Why no release can be made, in one line."""


def git(root: Path, *arguments: str) -> str:
    """What git says."""
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise ReleaseError(f"git {' '.join(arguments)}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout.strip()


def substitute(pattern: str, new: str, text: str, file: str) -> str:
    """Replace the only match of ``pattern``."""
    changed, times = re.subn(pattern, new, text, flags=re.M)
    if times != 1:
        raise ReleaseError(f"{file}: expected one line like {pattern!r}, found {times}")
    return changed


def released(text: str, version: str, date: str) -> str:
    """The changelog with its section "Unreleased" under the new version, and an empty one above it."""
    section = re.search(r"^## \[Unreleased\]\n(.*?)(?=^## \[|^\[Unreleased\]:|\Z)", text, re.M | re.S)
    if not section or not re.search(r"^- ", section[1], re.M):
        raise ReleaseError("CHANGELOG.md: nothing stands under  ## [Unreleased]; write what a reader gets")
    if f"## [{version}]" in text:
        raise ReleaseError(f"CHANGELOG.md has a section {version} already")
    text = text.replace("## [Unreleased]\n", f"## [Unreleased]\n\n## [{version}] - {date}\n", 1)
    link = re.search(r"^\[Unreleased\]: (\S+)/(?:compare/\S+|commits/\S+)$", text, re.M)
    if not link:
        raise ReleaseError("CHANGELOG.md has no line  [Unreleased]: https://.../compare/...")
    new = f"[Unreleased]: {link[1]}/compare/v{version}...HEAD\n[{version}]: {link[1]}/releases/tag/v{version}"
    return text.replace(link[0], new)


def plan(root: Path, version: str, date: str) -> dict[str, tuple[str, str]]:
    """Text before and after of each file that the release changes."""
    if not VERSION.fullmatch(version):
        raise ReleaseError(f"the version must be three numbers like 1.2.3, got {version!r}")
    old = {n: (root / n).read_text("utf-8") for n in ("pyproject.toml", "CITATION.cff", "CHANGELOG.md")}
    found = re.search(r'^version = "(.*)"$', old["pyproject.toml"], re.M)
    now = tuple(map(int, found[1].split("."))) if found and VERSION.fullmatch(found[1]) else None
    if now is None:
        raise ReleaseError("pyproject.toml has no line  version = ... with three numbers")
    if tuple(map(int, version.split("."))) < now:
        raise ReleaseError(f"version {version} comes before the present one, {'.'.join(map(str, now))}")
    citation = substitute(r"^version: .*$", f"version: {version}", old["CITATION.cff"], "CITATION.cff")
    new = {
        "pyproject.toml": substitute(
            r'^version = ".*"$', f'version = "{version}"', old["pyproject.toml"], "pyproject.toml"
        ),
        "CITATION.cff": substitute(
            r"^date-released: .*$", f"date-released: {date}", citation, "CITATION.cff"
        ),
        "CHANGELOG.md": released(old["CHANGELOG.md"], version, date),
    }
    return {name: (old[name], new[name]) for name in old}


def check_tree(root: Path, version: str) -> None:
    """Refuse a tree with changes, a detached head, and a version that has its tag."""
    if changes := git(root, "status", "--porcelain"):
        first = changes.splitlines()[0].split(maxsplit=1)[-1]
        raise ReleaseError(f"the tree has changes that are not committed, {first} first; commit them")
    if git(root, "branch", "--show-current") == "":
        raise ReleaseError("no branch is checked out; switch to the one to release from")
    if git(root, "tag", "--list", f"v{version}"):
        raise ReleaseError(f"the tag v{version} exists; choose the next version")


def release(
    root: Path, version: str, date: str, dry: bool = False, say: Callable[[str], None] = print
) -> None:
    """All steps; with ``dry`` only say them."""
    files = plan(root, version, date)
    check_tree(root, version)
    steps = [BUILD, ["git", "add", *files], ["git", "commit", "-q", "-m", f"Release {version}"],
             ["git", "tag", "-a", f"v{version}", "-m", f"Flat and Robust {version}"]]  # fmt: skip
    if dry:
        for name, (before, after) in files.items():
            lines = difflib.unified_diff(
                before.splitlines(), after.splitlines(), name, name, n=0, lineterm=""
            )
            say("\n".join(lines))
        for step in steps:
            say("would run: " + " ".join(step))
        return
    for name, (_, after) in files.items():
        (root / name).write_text(after, "utf-8")
    committed = False
    try:
        for step in steps:
            say("==> " + " ".join(step))
            subprocess.run(step, cwd=root, check=True)
            committed = committed or step[1] == "commit"
    except (subprocess.CalledProcessError, KeyboardInterrupt) as error:
        if not committed:
            for name, (before, _) in files.items():
                (root / name).write_text(before, "utf-8")
            subprocess.run(["git", "reset", "-q", "--", *files], cwd=root)
        state = "the commit stands, the tag does not" if committed else "the files are as they were"
        raise ReleaseError(f"{' '.join(step)}: failed; {state}") from error
    say(f"==> Released {version} here. To publish it:  git push origin HEAD v{version}")
    say("    and attach _build/flat-and-robust.zip and _build/flat-and-robust.pdf to the release on GitHub.")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("version", nargs="?", default="", help="like 1.2.3")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")
    args = parser.parse_args(arguments)
    try:
        release(ROOT, args.version, datetime.date.today().isoformat(), args.dry_run)
    except ReleaseError as error:
        sys.exit(f"No release: {error}.")


if __name__ == "__main__":
    main()
