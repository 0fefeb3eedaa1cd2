"""The repository's address: one place, and every file that shows it."""

from __future__ import annotations

import pytest
import yaml

from book.tools import ROOT
from book.tools.publish import address

SLUG = address.slug(address.address())


def test_the_address_is_the_same_everywhere():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert config["repository"]["url"] == citation["repository-code"] == address.address()
    for path in address.files():
        text = path.read_text()
        assert address.rewrite(text, SLUG, SLUG) == text, (
            f"run `make address`: {path.name} shows another address"
        )


def test_a_new_address_reaches_links_badges_and_installs():
    old, new = "flat-and-robust/flat-and-robust", "someone/their.book"
    before = [
        "https://colab.research.google.com/github/O/blob/main/notebooks/a.ipynb",
        '"%pip install -q --no-deps git+https://github.com/O\\n"',
        "!git clone -q --depth 1 https://github.com/O.git",
        "  url: https://github.com/O   # written by `make address`",
        'Repository = "https://github.com/O"',
        "see https://github.com/O/issues, and https://github.com/weizeming/SAM_AT",
    ]
    for line in before:
        assert address.rewrite(line.replace("O", old), old, new) == line.replace("O", new)
    # what always means this book is corrected even when it has drifted away from the old address
    drifted = "https://colab.research.google.com/github/x/y/blob/main/a.ipynb"
    assert address.rewrite(drifted, old, new) == drifted.replace("x/y", new)


@pytest.mark.parametrize(
    "bad",
    ["http://github.com/a/b", "https://github.com/a", "github.com/a/b", "https://gitlab.com/a/b"],
)
def test_a_bad_address_is_refused_in_one_line(bad):
    with pytest.raises(SystemExit, match=r"expected https://github.com/owner/repo"):
        address.slug(bad)
