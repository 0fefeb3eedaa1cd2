"""How many images an attack without gradients breaks is read off the records."""

from __future__ import annotations

import pytest

from benchmarks import black_box
from book.tools import ROOT
from sam_edu.experiments.records import index, read
from sam_edu.measured import RungResult


def rungs(*accuracies, last):
    labels = ["FGSM", *[f"PGD-{k}" for k in range(len(accuracies) - 2)], last]
    standing = [100, *[round(100 * a) for a in accuracies]]
    return [RungResult(label, a, n, 0.0) for label, a, n in zip(labels, accuracies, standing, strict=False)]


@pytest.mark.parametrize("last", ["Square (100 queries)", "AutoAttack SQUARE (5000 queries)"])
def test_what_square_met_and_broke(last):
    assert black_box.broken_without_gradients(rungs(0.9, 0.8, 0.77, last=last), 100) == (80, 3)


def test_an_older_record_is_no_zero():
    assert black_box.broken_without_gradients(rungs(0.9, 0.8, last="APGD-T-20 (9 targets)"), 100) is None


def test_the_readme_counts_what_is_in_the_records():
    found = black_box.counts(iter(index().values())).values()
    said = f"{sum(count.broken for count in found)} of {sum(count.met for count in found):,}."
    assert said in " ".join((ROOT / "benchmarks/README.md").read_text(encoding="utf-8").split())


def test_over_the_records_only_large_radii_of_sam_are_concerned():
    """What chapter 12 says; of the MLP on Fashion-MNIST alone, as reading all takes long."""
    paths = [path for path in index().values() if path.parent.name == "fashion-mnist"]
    broken = {}
    for path in paths:
        if path.name.startswith(("sam-", "sgd-seed", "at-eps4of255-seed")):
            config = read(path).config
            [count] = black_box.counts(iter([path])).values()
            assert count.older == 0
            broken[config.method, config.rho] = broken.get((config.method, config.rho), 0) + count.broken
    assert broken.pop(("sam", 0.8)) + broken.pop(("sam", 0.4)) == 62
    assert set(broken.values()) == {0}
