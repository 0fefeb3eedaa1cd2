"""What has been run of a plan, how it went and how fast."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from sam_edu import plots
from sam_edu.experiments import Study, protocols, records, study
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
    once = cells(Inventory(["digits"], 5).table(["digits"], "x", iter([0.1])))
    assert once == table, "radii that can be read once only"
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


def test_an_inventory_needs_protocols_seeds_and_a_title_for_each() -> None:
    with pytest.raises(ValueError, match=r"a protocol at least, and each once, got \[\]"):
        Inventory([])
    with pytest.raises(ValueError, match=r"each once, got \['digits', 'digits'\]"):
        Inventory(["digits", "digits"])
    with pytest.raises(ValueError, match="seeds must be >= 1, got 0"):
        Inventory(["digits"], 0)
    with pytest.raises(TypeError, match="seeds must be a number, got 'three'"):
        Inventory(["digits"], "three")  # type: ignore[arg-type]
    assert Inventory("cifar10-fast-cpu").planned == protocols.planned("cifar10-fast-cpu") < 3 * 13
    assert Inventory("digits", 1).made == 20, "one name is no sequence of letters"
    plan = Inventory((name for name in ("cifar10", "cifar100")), 1)
    for titles in (["one"], ["same", "same"], ["method", "other"]):
        with pytest.raises(ValueError, match="each of cifar10, cifar100 needs its own title, got"):
            plan.table(titles, "x")


def test_prices_that_differ_are_said_for_each_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    base, rows = protocols.PROTOCOLS["digits"]
    longer = {**base, "epochs": 2 * base["epochs"]}
    monkeypatch.setattr(protocols, "PROTOCOLS", {**protocols.PROTOCOLS, "longer": (longer, rows)})
    table = cells(Inventory(["digits", "longer"], 1).table(["a", "b"], "x"))
    prices = {line[0]: line[1] for line in table}
    assert prices["SGD"] == f"{base['epochs']}; {longer['epochs']}" and prices["SGD, 8 epochs"] == "8"


def test_speeds_of_a_warm_start_and_of_several_machines() -> None:
    slow = study("fashion-mnist", 1)
    warm = slow.labelled("SAM ρ=0.8 after 10 epochs of SGD")
    other = replace(warm.records[0], origin={**warm.records[0].origin, "hardware": "a GPU"})
    table = Study("mine", [slow.row("sam", rho=0.2), replace(warm, records=[other])])
    shown = speeds(table)
    assert {line[0]: line[1] for line in cells(shown)}[warm.label] == "1.67", "10 of 30 epochs take one pass"
    assert shown.alt.endswith(" or a GPU.") and shown.alt.startswith("Training speed on ")
    for empty in (speeds, lambda none: training_curves(none, "x")):
        with pytest.raises(ValueError, match="0 rows, 0 runs"):
            empty(slow.select([]))
    bare = replace(warm, records=[replace(other, curves=[])])
    with pytest.raises(ValueError, match="that has kept its epochs"):
        training_curves(Study("mine", [bare]), "x")
