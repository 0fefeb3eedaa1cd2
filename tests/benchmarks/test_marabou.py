"""A second opinion: Marabou's verdicts and bounds, live where it is installed, and as they were recorded."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import marabou


def agrees(found):
    for row in found["radii"]:
        assert row["contradictions"] == row["undecided here"] == row["undecided by Marabou"] == 0
        assert row["proved by both"] + row["broken by both"] == found["images"]
    assert found["outside"] < 1e-5 and found["inside"] < 1e-5


def test_the_record_agrees_and_has_both_verdicts():
    found = json.loads((marabou.HERE / "marabou.json").read_text())
    agrees(found)
    assert sum(row["proved by both"] for row in found["radii"]) >= 20
    assert sum(row["broken by both"] for row in found["radii"]) >= 20


def test_marabou_agrees_where_it_is_installed():
    pytest.importorskip("maraboupy")
    agrees(marabou.measure(4))


def test_a_wrong_verdict_would_be_noticed():
    row = marabou._row(0.1, ["proved", "proved", "broken"], ["proved", "broken", "broken"], 1.0, 1.0)
    assert row["contradictions"] == 1 and row["proved by both"] == 1 and row["broken by both"] == 1


def test_the_message_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "maraboupy", None)
    with pytest.raises(ImportError, match="pip install --no-deps"):
        marabou.core()
