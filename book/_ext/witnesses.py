"""Which test tries to break which statement: ties labels of the book to tests/witnesses.

The witness of the statement labelled ``thm-pareto`` is every test ``test_thm_pareto_*``. Used by the build,
which links each statement to its witnesses, and by the check that none is without one.
"""

from __future__ import annotations

import re
from pathlib import Path

STATEMENTS = ("theorem", "lemma", "proposition", "corollary", "expansion")
_DIRECTIVE = re.compile(
    rf"^[:`]{{3,}}\{{prf:({'|'.join(STATEMENTS)})\}} *(.*)\n((?::\w+:.*\n)*)", re.MULTILINE
)
_TEST = re.compile(r"^def (test_\w+)", re.MULTILINE)


def stem(label: str) -> str:
    """How the names of a statement's witnesses begin."""
    return "test_" + label.replace("-", "_")


def of_label(label: str, name: str, labels: list[str]) -> bool:
    """Whether the test is this statement's: of the labels that its name begins with, the longest counts."""
    fitting = [known for known in {*labels, label} if name.startswith(stem(known))]
    return bool(fitting) and max(fitting, key=len) == label


def statements_in(page: Path) -> list[tuple[str, str | None]]:
    """(title, label) of a page's statements, in their order; the label is None for one without."""
    text = page.read_text(encoding="utf-8")
    found: list[tuple[str, str | None]] = []
    for match in _DIRECTIVE.finditer(text + "\n"):
        label = re.search(r"^:label: *(\S+)", match[3], re.MULTILINE)
        found.append((match[2].strip(), label[1] if label else None))
    return found


def labels_in(page: Path) -> list[str | None]:
    """Labels of a page's statements, in their order; None for one without."""
    return [label for _, label in statements_in(page)]


def witnesses_in(file: Path) -> list[tuple[str, int]]:
    """Names of a file's tests with their lines."""
    text = file.read_text(encoding="utf-8")
    return [(match[1], text.count("\n", 0, match.start()) + 1) for match in _TEST.finditer(text)]
