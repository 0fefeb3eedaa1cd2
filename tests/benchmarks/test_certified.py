"""Ladders beside AutoAttack: what is counted, and what the record of the last run says."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from benchmarks import certified


def fake(robust, proved):
    rungs = [SimpleNamespace(label="AutoAttack APGD-CE (100 steps)", attacked=1)]
    return lambda *args, **settings: SimpleNamespace(
        at=[SimpleNamespace(robust=robust, proved=proved, rungs=rungs)]
    )


def row(monkeypatch, official, robust, proved):
    monkeypatch.setattr(certified, "official", lambda *args: torch.tensor(official))
    monkeypatch.setattr(certified, "evaluate", fake(robust, proved))
    return certified.row("an MLP", nn.Identity(), torch.zeros(3, 1, 1, 2), torch.zeros(3).long(), 0.1, 1000)


def test_verdicts_that_differ_are_counted_by_their_direction(monkeypatch):
    monkeypatch.setattr(certified.time, "process_time", iter(range(100)).__next__)
    found = row(monkeypatch, [True, False, False], [False, True, True], [False, False, False])
    assert (found.certified.found, found.certified.missed) == (1, 2) and found.robust == 1
    assert found.quick.ratio == found.certified.ratio == 1.0 and found.left == 1


def test_a_broken_proof_stops_the_benchmark(monkeypatch):
    monkeypatch.setattr(certified.time, "process_time", iter(range(100)).__next__)
    with pytest.raises(AssertionError, match="has broken an image that was proved"):
        row(monkeypatch, [True, False, True], [True, True, True], [False, True, False])


def test_the_recorded_verdicts_are_autoattacks():
    rows = json.loads((certified.HERE / "certified.json").read_text())["rows"]
    images = sum(row["images"] for row in rows)
    both = [row[name] for row in rows for name in ("quick", "certified") if row[name]]
    assert sum(cost["missed"] for cost in both) <= 0.002 * images * 2
    small = [row["certified"]["ratio"] for row in rows if row["eps"] == 0.03 and row["certified"]]
    assert len(small) >= 2 and max(small) < 0.12
    assert all(row["certified"]["ratio"] < 1 for row in rows if row["certified"])  # nowhere slower
    assert all(row["quick"]["ratio"] < 0.2 for row in rows)
