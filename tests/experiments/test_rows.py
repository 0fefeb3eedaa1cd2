"""Rows of a reader's own: unequal seeds, foreign rows, equal labels, other norms, nothing at all."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch

from sam_edu.experiments import Study, comparison, protocols, study, summary, uncertainty

EPS = 0.1


def labels(table: Study) -> list[str]:
    return [row.label for row in table]


@pytest.fixture(scope="module")
def under_way(digits: Study) -> Study:
    """Three seeds of SGD and SAM ρ=0.4, one of all others."""
    done = (digits.row("sgd"), digits.row("sam", rho=0.4))
    return Study("digits", [row if row in done else row.of([0]) for row in digits])


def test_a_setting_may_be_any_iterable_or_a_number_of_numpy_or_torch(digits: Study) -> None:
    two = digits.rows("sam", rho=(0.1, 0.2))
    assert len(two) == 2
    for several in (np.array([0.1, 0.2]), torch.tensor([0.1, 0.2]), {0.1: 0, 0.2: 0}, iter((0.1, 0.2))):
        assert digits.rows("sam", rho=several) == two
    for one in (np.float64(0.1), np.float32(0.1), np.array(0.1), torch.tensor(0.1)):
        assert digits.rows("sam", rho=one) == two[:1]
    assert digits.rows("asam", rho=np.int64(1)) == digits.rows("asam", rho=1) != []
    assert len(digits.rows("sam", eval_linf=(0.03, 0.06, 0.1, 0.15))) == 5, (
        "a setting that is several numbers"
    )
    with pytest.raises(ValueError, match=r"a setting must be one of dataset, .* got 'radius'"):
        digits.rows("sam", radius=0.1)


def test_rows_of_another_study_are_not_dropped_or_replaced_in_silence(digits: Study) -> None:
    paired = digits.paired()
    calls: list[Callable[[], object]] = [
        lambda: paired.select(digits.controls),
        lambda: paired.without(digits.controls),
        lambda: paired.choose(digits.rows("sam"), EPS),
        lambda: paired.chosen(digits.rows("sam"), EPS),
        lambda: paired.held_out(digits.rows("sam"), EPS, EPS),
        lambda: paired.held_out_verdicts(digits.rows("sam"), EPS, EPS),
        lambda: paired.choices({"SAM": digits.rows("sam")}, EPS, EPS, "x"),
        lambda: paired.against(digits.row("sgd"), EPS),
        lambda: paired.differences(paired.row("sgd"), EPS, digits.rows("sam")),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"Row\('.*', 3 seeds\) is not one of the rows of this study"):
            call()


def test_rows_are_told_apart_by_their_labels(digits: Study) -> None:
    sgd, other = digits.row("sgd"), replace(digits.row("awp"), protocol="mine", label="SGD")
    with pytest.raises(ValueError, match=r"two rows are called 'SGD' \(digits, mine\); give one of them"):
        Study("both", [sgd, other])
    with pytest.raises(ValueError, match="two rows are called 'SGD'"):
        digits.row("awp").matched([sgd, other], EPS)
    some = digits.select(chain(digits.rows("sam"), digits.rows("sam", rho=0.1)))
    assert labels(some) == [row.label for row in digits.rows("sam")], "chosen twice, there once"


def test_without_rows_or_seeds(digits: Study) -> None:
    nothing = digits.select([])
    assert nothing.sources == [("digits", 0, 0)] and nothing.seeds == nothing.runs == 0
    for read in (lambda: nothing.images, nothing.radii, lambda: nothing.classes, lambda: nothing.table("x")):
        with pytest.raises(ValueError, match="digits has no rows here"):
            read()
    with pytest.raises(ValueError, match="nothing to choose from"):
        digits.choose([], EPS)
    with pytest.raises(ValueError, match="nothing to choose from"):
        digits.select([digits.row("sgd")]).gains(EPS)
    with pytest.raises(ValueError, match="nothing to compare with SGD"):
        digits.differences(digits.row("sgd"), EPS, [])
    with pytest.raises(ValueError, match="seeds must be >= 1, got 0"):
        study("digits", 0)
    with pytest.raises(TypeError, match=r"must be a number, got 'runs'; the number of seeds comes first, fo"):
        study("tiny", "runs")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="seeds must be a whole number, got True"):
        study("digits", True)
    with pytest.raises(ValueError, match="protocol must be one of digits"):
        protocols.seeds_of("cifar-fast")
    with pytest.raises(ValueError, match=r"SGD has no run with seed 7; its seeds: \[0, 1, 2\]"):
        digits.row("sgd").of([7])
    with pytest.raises(ValueError, match="the run of one seed at least"):
        digits.row("sgd").of([]).at(EPS)


def test_means_over_other_seeds_are_not_compared(digits: Study, under_way: Study) -> None:
    sgd, turned = digits.row("sgd"), digits.row("sam", rho=0.4).of([2, 0, 1])
    assert np.ptp(sgd.values(EPS)) > 0
    mixed = Study("digits", [turned if row.label == turned.label else row for row in digits])
    for table in (under_way, mixed):
        for call in (table.gains, lambda eps, t=table: t.choose(t.rows("sam"), eps)):
            with pytest.raises(ValueError, match=r"different seeds, .*Study\.paired\(\) keeps those"):
                call(EPS)
        with pytest.raises(ValueError, match="different seeds"):
            table.held_out(table.rows("sam"), EPS, EPS)
    assert under_way.paired().gains(EPS)["SAM"].n == 1
    alone = Study("digits", [sgd.of([0]) if row is sgd else row for row in digits])
    with pytest.raises(ValueError, match=r"different seeds, SGD: \[0\]; SAM ρ=0\.05: \[0, 1, 2\]"):
        alone.gains(EPS)


def test_a_table_of_differences_counts_the_seeds_that_it_is_of(under_way: Study) -> None:
    sgd, sam = under_way.row("sgd"), under_way.row("sam", rho=0.4)
    assert under_way.seeds == 1 and "seeds: 3; 500 test" in under_way.differences(sgd, EPS, [sam]).alt
    for call in (under_way.differences, under_way.against):
        with pytest.raises(ValueError, match=r"SGD: \[0, 1, 2\]; SAM ρ=0\.05: \[0\]; .*; Study\.paired\(\)"):
            call(sgd, EPS)
    alone = under_way.differences(sgd, EPS, [sam]).alt
    assert alone.startswith("Difference from SGD in points at 0.1"), "nothing said about it"


def test_rows_without_a_common_seed(digits: Study) -> None:
    apart = Study("digits", [digits.row("sgd").of([0, 1]), digits.row("awp").of([2])])
    with pytest.raises(ValueError, match=r"share no seed; complete\(\) leaves some rows out"):
        apart.paired()
    assert [(row.label, row.seeds) for row in apart.complete()] == [("SGD", [0, 1])]
    three = Study("digits", [*apart, digits.row("at", eps=0.1).of([1, 0])])
    assert [(row.label, row.seeds) for row in three.complete()] == [("SGD", [0, 1]), ("AT ε=0.1", [0, 1])]
    assert len(three.complete(3)) == 0
    with pytest.raises(ValueError, match=r"SGD and AWP .* needs the same seeds"):
        apart.row("sgd").minus(apart.row("awp"), EPS)


def test_seeds_in_common_are_found_in_one_place(digits: Study) -> None:
    sgd, sam = digits.row("sgd").of([2, 1]), digits.row("sam", rho=0.4).of([0, 1, 2])
    assert summary.common([sgd.records, sam.records]) == [1, 2] and summary.common([]) == []
    assert [row.seeds for row in sam.paired(sgd)] == [[1, 2], [1, 2]]


def test_radii_are_those_of_all_runs(digits: Study) -> None:
    sgd, awp = digits.row("sgd"), digits.row("awp")
    fewer = replace(
        awp,
        records=[
            replace(r, linf=replace(r.linf, at=[e for e in r.linf.at if e.eps in (0.03, 0.1)]))
            for r in awp.records
            if r.linf is not None
        ],
    )
    mixed = Study("digits", [sgd, fewer])
    assert mixed.radii() == [0.03, 0.1]
    shown = mixed.table("x")
    assert "ε = 0.1<" in shown.markup and "ε = 0.06" not in shown.markup
    for row, drawn in zip(mixed, mixed.figure_rows(), strict=True):
        assert drawn["mean"] == pytest.approx([row.at(eps).mean for eps in drawn["eps"]])


def test_runs_that_were_attacked_in_l2_alone(digits: Study) -> None:
    kept = [
        replace(row, records=[replace(r, linf=None, l2=r.linf) for r in row.records])
        for row in (digits.row("sgd"), digits.row("awp"))
    ]
    table = Study("digits", kept)
    assert table.images == 500 and table.radii("l2") == digits.radii()
    shown = table.table("x", radii=(), l2=(EPS,))
    assert digits.row("awp").at(0).percent().replace(" ", "\xa0") in shown.markup
    with pytest.raises(ValueError, match="was not attacked in linf"):
        table.radii()


def test_a_norm_is_one_of_two() -> None:
    """Any other word used to read the results in l2."""
    sgd = study("fashion-mnist", 1).row("sgd")
    for norm in ("Linf", "l_inf", "L2"):
        with pytest.raises(ValueError, match=f'norm must be "linf" or "l2", got {re.escape(repr(norm))}'):
            sgd.at(0.5, norm)


def test_images_are_counted_in_every_row(digits: Study) -> None:
    sgd, awp = digits.row("sgd"), digits.row("awp")
    small = replace(awp, records=[replace(r, linf=replace(r.linf, n=50)) for r in awp.records])
    with pytest.raises(ValueError, match="differ in their number of test images"):
        _ = Study("digits", [sgd, small]).images


def test_differences_are_of_the_same_images_and_each_seed_counts_once(digits: Study) -> None:
    sgd, other = digits.row("sgd"), study("fashion-mnist", 2).row("sgd")
    for differ in (sgd.minus, sgd.versus):
        with pytest.raises(
            ValueError, match=r"same test images, got .*'digits', 500.* and .*fashion-mnist', 2"
        ):
            differ(other, 0)
    with pytest.raises(ValueError, match=r"each seed is a run of its own and counts once, got \[0, 0\]"):
        sgd.of([0, 0])
    with pytest.raises(ValueError, match="SGD: a mean over seeds needs the run of one seed"):
        _ = sgd.of([]).eigenvalue


def test_choices_need_groups_with_the_same_seeds(digits: Study) -> None:
    records = digits.row("sgd").records
    with pytest.raises(ValueError, match=r"a: \[0, 1, 2\]; b: \[0\]"):
        comparison.choose({"a": records, "b": records[:1]}, EPS)


def test_the_same_run_is_not_two_seeds(digits: Study) -> None:
    once = r"each seed is a run of its own and counts once, got \[0, 0\]"
    with pytest.raises(ValueError, match=once):
        protocols.configs("cifar10-small", [0, 0])
    sgd, (run, *_) = digits.row("sgd"), digits.row("awp").records
    twice, calm = [run, run], sgd.of([0, 1]).records
    calls: list[Callable[[], object]] = [
        lambda: summary.at(twice, EPS),
        lambda: summary.accuracies(twice),
        lambda: summary.gain(twice, twice, EPS),
        lambda: summary.paired({"a": twice}),
        lambda: summary.complete({"a": twice}),
        lambda: uncertainty.estimate(twice, twice, EPS),
        lambda: uncertainty.verdicts(twice, EPS),
        lambda: comparison.choose({"a": twice}, EPS),
        lambda: comparison.image_error(twice, calm, EPS),
        lambda: replace(digits.row("awp"), label="twice", records=twice),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=once):
            call()
    with pytest.raises(ValueError, match="a: each seed is a run"):
        comparison.check_seeds({"a": twice, "b": twice})


def test_the_quick_ladder_is_not_compared_with_the_standard_one() -> None:
    """The same network keeps less under the stronger ladder: a row would trail itself."""
    quick, standard = (study(name, 1).row("sgd") for name in ("digits", "digits-autoattack"))
    assert quick.minus(standard, 0).mean == 0, "without attack there is no ladder"
    said = r"different ladders of attacks \(quick, standard\) are not compared at radius 0\.1; take rows of"
    one, other = quick.records, standard.records
    calls: list[Callable[[], object]] = [
        lambda: quick.minus(standard, EPS),
        lambda: quick.versus(standard, EPS),
        lambda: comparison.compare({"a": one, "b": other}, "a", EPS),
        lambda: comparison.choose({"a": one, "b": other}, EPS),
        lambda: comparison.image_error(one, other, EPS),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=said):
            call()
