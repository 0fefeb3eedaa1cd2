"""Chapters as they are written: text with code cells (MyST), ``notebooks/NN_name.md``, without outputs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

CELL = re.compile(r"^(`{3,})\{code-cell\}.*?\n(.*?)^\1 *$", re.M | re.S)
OPTIONS = re.compile(r"\A(?::[\w-]+:.*\n)+\n?|\A\n")
TOP = re.compile(r"\A---\n.*?^---\n", re.M | re.S)


def is_chapter(path: Path) -> bool:
    """Whether a page has code cells."""
    return path.suffix == ".md" and path.is_file() and "file_format: mystnb" in path.read_text("utf-8")[:200]


def text_of(path: Path) -> str:
    """The chapter's text; of its code cells, and of the lines above the title, nothing but the lines remain."""
    def blank(match: re.Match[str]) -> str:
        return "\n" * match[0].count("\n")

    return CELL.sub(blank, TOP.sub(blank, path.read_text("utf-8")))


def code_of(path: Path) -> list[str]:
    """The sources of its code cells."""
    return [OPTIONS.sub("", match[2]).removesuffix("\n") for match in CELL.finditer(path.read_text("utf-8"))]


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
