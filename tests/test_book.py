"""Numbers for the prose."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch

from sam_edu import book


@pytest.fixture
def glued(monkeypatch):
    import myst_nb

    seen = {}
    monkeypatch.setattr(myst_nb, "glue", lambda name, value, display: seen.update({name: (value, display)}))
    return seen


@pytest.mark.parametrize(
    "value", [0.25, np.float64(0.25), np.float32(0.25), torch.tensor(0.25), np.array(0.25)]
)
def test_glue_hands_over_plain_numbers_and_shows_nothing(value, glued, capsys):
    book.glue("gain", value)
    assert glued == {"gain": (0.25, False)} and type(glued["gain"][0]) is float
    assert capsys.readouterr().out == ""


def test_glue_takes_texts_and_whole_numbers(glued):
    book.glue("method", "SAM")
    book.glue("n", np.int64(3))
    assert glued == {"method": ("SAM", False), "n": (3, False)} and type(glued["n"][0]) is int


BAD = [math.nan, math.inf, -math.inf, np.float32("nan"), np.float64("inf"), torch.tensor(math.nan)]


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("absent", [False, True])
def test_glue_refuses_what_is_no_result(value, absent, glued, monkeypatch):
    if absent:
        monkeypatch.setitem(sys.modules, "myst_nb", None)
    with pytest.raises(ValueError, match="gain") as error:
        book.glue("gain", value)
    assert "\n" not in str(error.value) and not glued


def test_without_myst_nb_nothing_happens(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "myst_nb", None)
    book.glue("gain", 0.25)
    assert capsys.readouterr() == ("", "")
