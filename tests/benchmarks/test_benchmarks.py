"""The benchmark runs, and its check of the verdicts can fail."""

from __future__ import annotations

import pytest

from benchmarks import cases
from benchmarks.__main__ import measure, table
from benchmarks.timing import ratios


def test_one_round_of_everything():
    results = measure(rounds=1, small=True)
    text = table(results)
    assert "torchattacks" in text and "pytorch_optimizer" in text
    assert results["evaluation"]["different_verdicts"] == 0
    for name in (*cases.OBJECTIVES, "LookSAM k=5", "SAMOptimizer", "foolbox"):
        assert f"| {name} |" in text
    assert "Share of the flags in a quick evaluation" in text
    shares = {name: ratio["median"] for name, ratio in results["flags"].items()}
    assert 0 < shares["is the gradient finite, and the slope?"] < shares["all flags"] < 1
    held = next(iter(results["memory"].values()))
    assert held["SGD"] < held["SAM"] <= held["SGD"] + 2.5


def test_ratios_compare_with_the_ideal():
    found = ratios(lambda: sum(range(50_000)), {"twice": lambda: sum(range(100_000))}, rounds=15)["twice"]
    assert found.low <= found.median <= found.high and 1.5 < found.median < 2.6


def test_other_verdicts_would_be_noticed(monkeypatch):
    plain = cases._survivors
    monkeypatch.setattr(cases, "_survivors", lambda *args: ~plain(*args))
    assert cases.evaluation(rounds=1, samples=50, steps=3, restarts=1).different_verdicts == 50


@pytest.mark.parametrize("case", cases.cases(small=True))
def test_the_model_is_left_without_gradients_of_the_attack(case):
    cases.pgd10(case, rounds=1)
    assert all(p.grad is None for p in case.model.parameters())
