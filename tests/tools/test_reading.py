"""What is read first, and how long that takes: the boxes' sections exist, and "in an hour" is an hour."""

from __future__ import annotations

import re

import pytest

from book.tools import ROOT
from book.tools.author import reading
from book.tools.edition import chapter

CHAPTERS = [path for path in chapter.chapters(ROOT) if not path.stem.startswith("00")]
WELCOME = ROOT / "notebooks/00_welcome.md"
PAGE = """---
file_format: mystnb
---

# 1 A title

Four words stand here.<!-- this one does not count -->

```{code-cell}
no = "word of this"
```

:::{first-reading} One
:::

## One

A formula $a+b$ and {glue:text}`a-number` as [words](far/away.md).

:::{prf:proof}
This proof is folded.
:::

:::{admonition} Proof of it
:class: dropdown proof
This, too.
:::

## Two

Last.
"""


@pytest.mark.parametrize("path", CHAPTERS, ids=[path.stem for path in CHAPTERS])
def test_what_is_read_first_exists_and_is_short(path):
    """At most 12 minutes of text, and less than the whole chapter."""
    titles = reading.first_reading(path)
    count = reading.words_of(path, titles)
    assert 2 <= len(titles) and 2 <= reading.minutes(count) <= 12
    assert count < 0.7 * sum(reading.sections(path).values())


def test_in_an_hour_is_an_hour():
    """Welcome and the first reading of the chapters that it names: 5,000 words at most."""
    told = re.search(r"\*\*In an hour\*\*(.*?)\*\*In a week", WELCOME.read_text("utf-8"), re.S)
    assert told
    named = re.findall(r"\((\w+)\.ipynb\)", told[1])
    assert len(named) == 3
    paths = [ROOT / f"notebooks/{name}.md" for name in named]
    total = sum(reading.sections(WELCOME).values())
    total += sum(reading.words_of(path, reading.first_reading(path)) for path in paths)
    assert total <= 5000


def test_counts_what_is_read(tmp_path):
    path = tmp_path / "01_page.md"
    path.write_text(PAGE)
    assert reading.first_reading(path) == ["One"]
    assert reading.sections(path) == {"": 4 + 3, "One": 7, "Two": 1}  # "1 A title" counts
    assert reading.words_of(path, ["One"]) == 14
    assert reading.storeys(path) == []
    with pytest.raises(ValueError, match="has no section 'Three'; its sections: One, Two"):
        reading.words_of(path, ["Three"])
    assert [reading.minutes(count) for count in (1, 200, 201)] == [1, 1, 2]


def test_what_is_folded_has_its_own_minutes(tmp_path):
    """A folded part is no part of its section's time; a folded section has the time of all its parts."""
    path = tmp_path / "01_page.md"
    text = "\n## One\n\nTwo words.\n\n### Deep\n\n:::{second-storey} a proof\n:::\n\nIn the cellar.\n"
    text += "\n### Near\n\nOpen.\n\n## Far\n\n:::{second-storey}\n:::\n\nA b c.\n\n### Part\n\nD.\n"
    text += "\n## End\n\nE.\n"
    path.write_text(PAGE.partition("\n## One")[0] + text)
    assert reading.storeys(path) == [("Deep", 3), ("Far", 3 + 1 + 1)]
    known = reading.sections(path)
    assert known["One"] == 2 + 1 + 1 + 1 and known["Far"] == 5 and known["End"] == 1  # with titles of parts
