"""What has been run of a plan, how it went and how fast."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sam_edu import plots
from sam_edu.experiments import protocols, records, study
from sam_edu.experiments.inventory import Inventory, speeds, training_curves


def cells(shown: plots.Shown) -> list[list[str]]:
    return [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", line) for line in shown.markup.split("<tr>")[1:]]


def test_an_inventory_counts_what_is_planned_and_what_is_there() -> None:
    plan = Inventory(["cifar10-small"], 4)
    groups = protocols.configs("cifar10-small", range(4))
    ids = [config.run_id for group in groups.values() for config in group]
    there = set(records.index(None))
    assert (plan.planned, plan.made) == (len(ids), sum(id in there for id in ids))
    assert 0 < plan.made < plan.planned  # the book has three seeds of four


def test_its_table_shows_each_row_with_its_seeds_or_says_not_run(tmp_path: Path) -> None:
    table = cells(Inventory(["digits"], 5).table(["digits"], "x", [0.1]))
    rows = {line[0]: line[1:] for line in table}
    sgd = study("digits", 5).row("sgd")
    assert rows["SGD"] == [
        str(sgd.config.epochs),
        f"{sgd.at(0).percent()}; {sgd.at(0.1).percent()} (5 of 5 seeds)",
    ]
    assert len(rows) == 1 + len(protocols.DIGITS)
    empty = cells(Inventory(["digits"], 5, tmp_path).table(["digits"], "x", [0.1]))
    assert {line[-1] for line in empty[1:]} == {"not run"}


def test_protocols_with_other_rows_need_a_table_of_their_own() -> None:
    with pytest.raises(ValueError, match="needs the same rows, and fashion-mnist has others than digits"):
        Inventory(["digits", "fashion-mnist"])
    with pytest.raises(ValueError, match="protocol must be one of"):
        Inventory(["mnist"])


def test_training_curves_end_where_the_records_do() -> None:
    small = study("cifar10-small", 1)
    drawn = training_curves(small, "x")
    for row in small:
        assert f"{row.label}: {row.records[0].curves[-1]['accuracy']:.1%}" in drawn.alt


def test_speeds_are_those_of_the_records() -> None:
    small = study("cifar10-small", 1)
    rows = {line[0]: line[1:] for line in cells(speeds(small))}
    sam = small.row("sam", rho=0.1).records[0]
    assert rows["SGD"][0] == "1" and rows["SAM ρ=0.1"][0] == "2" and rows["AT ε=2/255"][0] == "4"
    assert rows["SAM ρ=0.1"][1] == f"{sam.images_per_second:,.0f}"
    assert rows["SAM ρ=0.1"][2] == f"{2 * sam.images_per_second:,.0f}"
