"""Prose that says what is: few negations on every page, few numbers in every paragraph."""

from __future__ import annotations

import pytest

from book.tools.author import negations, prose
from book.tools.author.prose_text import Passage

PAGE = """---
file_format: mystnb
---

# No heading counts

SAM does not move it, and nobody can't see that.<!-- ok: this is not read -->
Two words "that are not ours", $a\\not=b$ and {glue:text}`not-this-one`.

| no | row |
|---|---|
| of a table | counts, not one |

```{code-cell}
no = "not a word of this"
```

| 1 | 2 | 3 |

:::{admonition} Reading it
:class: reveal
Some 2, then 3.

| 4 | 5 |

And 6.
:::

:::{admonition} Proof
:class: dropdown proof
With 7.
:::

- Nothing in chapter 12 or exercise 3.1 is a number; 3.5 and 8/255 are, and {glue:text}`a` ± {glue:text}`b` %.
"""


@pytest.mark.parametrize("page", prose.pages(), ids=lambda page: page.stem)
def test_the_page_says_what_is(page):
    words, count, most = negations.count(page)
    rate = negations.per_thousand(words, count)
    assert rate <= negations.MOST_NEGATIONS, f"python -m book.tools.author.negations {page} shows the places"
    assert most <= negations.MOST_NUMBERS


def test_counts_what_is_read(tmp_path):
    path = tmp_path / "01_page.md"
    path.write_text(PAGE)
    found = list(negations.passages(path))
    assert [negations.negations(passage.text) for passage in found] == [
        ["not", "nobody", "can't"],
        [],
        [],
        [],
        ["Nothing"],
    ]
    assert [negations.numbers(passage.text) for passage in found] == [1, 2, 1, 1, 4]
    assert [(line, negations.numbers(text)) for line, text in negations.boxes(path)] == [(20, 3)]
    assert negations.count(path)[1:] == (4, 4)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("It knows notes, another and nonsense.", 0),
        ("It isn’t so, nor is that without a cost: none, never, neither, cannot, unless.", 8),
        ("NO. Nowhere, nothing.", 3),
    ],
)
def test_negations(text, expected):
    assert len(negations.negations(text)) == expected


@pytest.mark.parametrize(
    "text, expected",
    [
        ("at ρ = 0.2 and 1,000 images, −3 points", 3),
        ("twice 2x, Fashion-3", 0),
        ("Theorem 6, chapters 3 and 4", 0),
    ],
)
def test_numbers(text, expected):
    assert negations.numbers(Passage(1, text).text) == expected


def test_prints_every_place(tmp_path, capsys):
    path = tmp_path / "01_page.md"
    path.write_text(PAGE + "\n" + "7 and " * 13 + "one.\n")
    assert negations.main([str(path)]) == 0
    printed = capsys.readouterr().out
    assert (
        "7: SAM does not move it" in printed and "13 NUMBERS" in printed and "at most 13 numbers" in printed
    )
