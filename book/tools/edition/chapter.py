"""Chapters as they are written: text with code cells (MyST), ``notebooks/NN_name.md``, without outputs.

The notebook of the same name beside it is the reader's edition, which the build makes (``make outputs``).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_CELL = re.compile(r"^(`{3,})\{code-cell\}.*?\n(.*?)^\1 *$", re.M | re.S)
_OPTIONS = re.compile(r"\A((?::[\w-]+:.*\n)*)\n?")
_TOP = re.compile(r"\A---\n.*?^---\n", re.M | re.S)


@dataclass
class Part:
    """A stretch of text, or a code cell with its tags; ``line`` is where it begins in the file."""

    is_code: bool
    line: int
    source: str
    tags: list[str] = field(default_factory=list)


def chapters(root: Path) -> list[Path]:
    """All chapters of the book, in their order."""
    return sorted(path for path in root.glob("notebooks/*.md") if is_chapter(path))


def is_chapter(path: Path) -> bool:
    """Whether a page has code cells."""
    return path.suffix == ".md" and path.is_file() and "file_format: mystnb" in path.read_text("utf-8")[:200]


def edition_of(path: Path) -> Path:
    """The notebook that readers open."""
    return path.with_suffix(".ipynb")


def parts(path: Path) -> Iterator[Part]:
    """The chapter from top to bottom."""
    text = path.read_text("utf-8")
    top = _TOP.match(text)
    end = top.end() if top else 0
    for match in _CELL.finditer(text):
        yield Part(False, text.count("\n", 0, end) + 1, text[end : match.start()])
        options = _OPTIONS.match(match[2])
        assert options
        tags = re.search(r"^:tags: *\[(.*)\]", options[1], re.M)
        line = text.count("\n", 0, match.start(2) + options.end()) + 1
        source = match[2][options.end() :].removesuffix("\n")
        yield Part(True, line, source, re.findall(r"[\w-]+", tags[1]) if tags else [])
        end = match.end() + 1
    yield Part(False, text.count("\n", 0, end) + 1, text[end:])


def text_of(path: Path) -> str:
    """The chapter's text without its code cells."""
    return "\n\n".join(part.source.strip("\n") for part in parts(path) if not part.is_code)


def code_of(path: Path) -> list[str]:
    """The sources of its code cells."""
    return [part.source for part in parts(path) if part.is_code]


def version_of(path: Path) -> str:
    """Names a state of the text: its edition remembers from which one it was made."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def read(path: Path) -> Any:
    """The chapter as a notebook without outputs."""
    from myst_nb.core.read import read_myst_markdown_notebook

    return read_myst_markdown_notebook(path.read_text("utf-8"), add_source_map=True, path=path)


def executed(path: Path, cache: Path) -> Any:
    """The chapter as a notebook, with the outputs of its execution; KeyError if it has not been executed."""
    from jupyter_cache import get_cache

    return get_cache(str(cache)).merge_match_into_notebook(read(path))[1]


def cache_of(app: Any) -> Path:
    """Where a build keeps the results of executions."""
    return Path(app.config.nb_execution_cache_path or Path(app.outdir).parent / ".jupyter_cache")
