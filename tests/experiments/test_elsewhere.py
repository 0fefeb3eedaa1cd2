"""Families over several experiments, and every combination of two radii: against a second computation."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

from sam_edu.experiments import Study, combinations, comparison, elsewhere, study, study_plots
from sam_edu.experiments.official import Official
from sam_edu.experiments.uncertainty import Estimate


@pytest.fixture(scope="module")
def cnn() -> Study:
    return study("digits-cnn", seeds=3)


@pytest.fixture(scope="module")
def found(digits: Study, cnn: Study) -> elsewhere.Families:
    return elsewhere.compare({"MLP": (digits, 0.1), "CNN": (cnn, 0.06, 0.1)})


def chosen(table: Study, family: str, eps: float) -> tuple[list[str], np.ndarray]:
    """What the even and the odd images choose, and the verdicts of the images that did not choose."""
    verdicts = {
        row.label: np.array([r.linf.entry(eps).robust for r in row.records], dtype=float)
        for row in table.families[family]
    }
    even, odd = (max(verdicts, key=lambda n: verdicts[n][:, half::2].mean()) for half in (0, 1))
    return [even, odd], np.concatenate([verdicts[even][:, 1::2], verdicts[odd][:, ::2]], axis=1)


def test_places_are_named_by_experiment_and_radius(found: elsewhere.Families) -> None:
    assert list(found.places) == ["MLP", "CNN, 0.06", "CNN, 0.1"] and len(found) == 3
    assert [place.experiment for place in found.places.values()] == ["MLP", "CNN", "CNN"]
    assert found.experiments(["CNN, 0.06", "CNN, 0.1"]) == {"CNN"}


def test_a_place_holds_what_the_other_half_of_the_images_says(
    found: elsewhere.Families, digits: Study, cnn: Study
) -> None:
    ps = []
    for name, table, eps in (("MLP", digits, 0.1), ("CNN, 0.06", cnn, 0.06), ("CNN, 0.1", cnn, 0.1)):
        place, sgd = found[name], table.row("sgd")
        plain = np.array([r.linf.entry(eps).robust for r in sgd.records]).mean(1)
        judged = {}
        for family in ("SAM", "control", "AT"):
            rows, judged[family] = chosen(table, family, eps)
            gain = judged[family].mean(1) - plain
            assert place.gains[family].mean == pytest.approx(gain.mean())
            clean = [r.linf.clean_accuracy for label in rows for r in table.groups[label]]
            base = np.mean([r.linf.clean_accuracy for r in sgd.records])
            assert place.clean[family] == pytest.approx(np.mean(clean) - base)
        lead = Estimate.of(judged["SAM"] - judged["control"])
        assert (place.lead.mean, place.lead.error) == pytest.approx((lead.mean, lead.error))
        ps.append(lead.p)
    order = np.argsort(ps)
    raised = np.maximum.accumulate([min(1, (3 - i) * ps[k]) for i, k in enumerate(order)])
    assert [found[list(found.places)[k]].p for k in order] == pytest.approx(raised)


def test_who_is_ahead_and_how_sure_that_is(found: elsewhere.Families) -> None:
    means = {name: place.lead.mean for name, place in found.places.items()}
    assert found.ahead() == [name for name, mean in means.items() if mean > 0]
    assert found.behind() == [name for name, mean in means.items() if mean < 0]
    largest = max(means, key=lambda name: means[name])
    assert found.ahead(means[largest] - 1e-9) == [largest] and found.ahead(means[largest]) == []
    assert found.sure(means) == [name for name in means if found[name].p < 0.05]
    assert found.sure(means, level=1) == [name for name in means if found[name].p < 1]
    assert found.sure(means, level=0) == []


def test_the_other_way_round_every_lead_changes_its_sign(found: elsewhere.Families, digits: Study) -> None:
    back = elsewhere.compare({"MLP": (digits, 0.1)}, pair=("control", "SAM"))
    assert back["MLP"].lead.mean == pytest.approx(-found["MLP"].lead.mean)
    assert "control minus SAM" in back.figure("x").markup
    assert back.behind(0.01) == ["MLP"] and back.ahead() == []
    assert back.behind(-back["MLP"].lead.mean + 0.01) == [], "trails by less than that"


def test_the_figure_has_all_places_and_their_tests(found: elsewhere.Families) -> None:
    shown = found.figure("Who leads", height=4.0)
    cells = shown.markup.replace("\N{NO-BREAK SPACE}", " ").replace("−", "-")
    assert '[["digits", 60, 3], ["digits-cnn", ' in shown.markup and "Who leads" in shown.markup
    for place in found.places.values():
        assert f">{100 * place.lead.mean:+.1f}<" in cells and place.lead.points() in cells
        assert ", ".join(f"{100 * change:+.1f}" for change in place.clean.values()) in cells
        assert f"<td>{place.p:.3f}</td>" in cells or place.p < 0.001
        assert f"SAM {100 * place.gains['SAM'].mean:+.1f}" in shown.alt
    assert any(place.p > 0.001 and place.p > 1.3 * place.lead.p for place in found.places.values())
    assert study_plots.gains is elsewhere.gains, "the old address"


def test_where_nothing_is_left_no_choice_and_no_interval_are_shown() -> None:
    """At 8/255 all rows of SAM have 0 % here: which of them is first in the grid says nothing."""
    found = elsewhere.compare({"narrow": (study("cifar10-small"), 8 / 255)})
    clean = found["narrow"].clean
    assert [family for family, change in clean.items() if math.isnan(change)] == ["SAM"]
    changes = f"–, {100 * clean['control']:+.1f}, {100 * clean['AT']:+.1f}".replace("-", "−")
    assert changes in found.figure("x").markup
    fast = study("cifar10-fast-cpu").complete(3)
    lead = elsewhere.compare({"fast": (fast, 8 / 255)})["fast"].lead
    assert (lead.mean, lead.p, lead.points()) == (0, 1, "–")


def test_what_cannot_be_compared_is_said_in_one_line(digits: Study) -> None:
    sgd, sams = digits.row("sgd"), digits.rows("sam")
    wrong = {
        "experiments is empty": {},
        "here: a radius to judge at is missing": {"here": (digits,)},
        "here: no row of the family control": {"here": (digits.select([sgd, *sams]), 0.1)},
        "here: these rows have different seeds": {
            "here": (Study("digits", [sgd.of([0, 1]), *digits.without([sgd])]), 0.1)
        },
    }
    for message, experiments in wrong.items():
        with pytest.raises(ValueError, match=re.escape(message)):
            elsewhere.compare(experiments)
    with pytest.raises(ValueError, match="pair must name two of SAM, control, AT, got 'ASAM'"):
        elsewhere.compare({"here": (digits, 0.1)}, pair=("ASAM", "control"))


def test_every_combination_is_tested_and_all_together_corrected(digits: Study, cnn: Study) -> None:
    grid = combinations.against_sgd({"MLP": (digits, 0.1), "CNN": (cnn, 0.1)})
    ps, means = [], []
    for table in (digits, cnn):
        for row in table:
            if row.label.startswith("SAM ρ") and "after" not in row.label and "weight" not in row.label:
                for k, at in enumerate(row.records[0].linf.attacked):
                    mine, plain = (
                        np.array([r.linf.attacked[k].robust for r in one.records], dtype=float)
                        for one in (row, table.row("sgd"))
                    )
                    found = Estimate.of(mine - plain)
                    one = grid.found[len(ps)]
                    assert (one.row.label, one.eps) == (row.label, at.eps)
                    assert one.difference.mean == pytest.approx(found.mean)
                    ps.append(found.p)
                    means.append(found.mean)
    assert len(grid) == len(ps)
    corrected = comparison.holm(ps)
    assert [one.p for one in grid.found] == pytest.approx(corrected)
    sure = np.array(corrected) < 0.05
    signs = np.array(means) > 0
    more, less = int((sure & signs).sum()), int((sure & ~signs).sum())
    assert grid.counts == {"more robust": more, "nothing shown": len(ps) - more - less, "less robust": less}
    assert str(grid) == f"more robust: {more}, nothing shown: {len(ps) - more - less}, less robust: {less}"
    assert [one.difference.mean for one in grid.not_above()] == pytest.approx([m for m in means if m <= 0])


def test_the_table_lists_where_there_is_no_gain() -> None:
    table = study("fashion-mnist-cnn")
    grid = combinations.against_sgd({"Fashion": (table, 8 / 255)})
    shown = grid.table()
    below = [
        (row, eps)
        for row in table.rows("sam")
        for eps in table.radii()
        if (row.values(eps) - table.row("sgd").values(eps)).mean() <= 0
    ]
    assert below and shown.markup.count("<tr>") == len(below) + 1
    for row, eps in below:
        assert f"<td>{row.label}</td><td>{round(255 * eps)}/255</td>" in shown.markup
    assert "SAM is not above SGD on average" in shown.alt
    worse = [one for one in grid.found if one.difference.mean < 0]
    assert {one.verdict(level=1) for one in worse if one.p < 1} == {"less robust"}
    assert {one.verdict(level=0) for one in grid.found} == {"nothing shown"}
    with pytest.raises(ValueError, match="none of Fashion has a row of esam"):
        combinations.against_sgd({"Fashion": (table, 8 / 255)}, "esam")
    with pytest.raises(ValueError, match="method must be one of sgd"):
        combinations.against_sgd({"Fashion": (table, 8 / 255)}, "smm")


def test_experiments_that_cannot_be_judged(digits: Study) -> None:
    one_seed = Study("digits", [row.of([0]) for row in digits])
    with pytest.raises(ValueError, match="here: a comparison needs two seeds at least, got one"):
        elsewhere.compare({"here": (one_seed, 0.1)})
    bare: Any = {"here": digits}
    with pytest.raises(ValueError, match=r"here: a radius to judge at is missing; write \(study, 8 / 255\)"):
        elsewhere.compare(bare)
    with pytest.raises(ValueError, match="here: a radius to judge at is missing"):
        combinations.against_sgd(bare)
    gains = digits.gains(0.1)
    with pytest.raises(ValueError, match="needs experiments with the same families, got none"):
        elsewhere.gains({}, [], "x", "y")
    with pytest.raises(ValueError, match="same families, got a: SAM, control, AT; b: SAM"):
        elsewhere.gains({"a": gains, "b": {"SAM": gains["SAM"]}}, [digits], "x", "y")


def test_combinations_of_methods_other_than_sam(digits: Study) -> None:
    """SGD against itself is no comparison, and AT has no ρ."""
    with pytest.raises(ValueError, match="SGD is what each method is compared with"):
        combinations.against_sgd({"here": (digits, 0.1)}, "sgd")
    at = combinations.against_sgd({"here": (digits, 0.1)}, "at").table().alt
    assert at.startswith("Every such combination of a row's settings and ε at which AT is not above SGD")
    asam = combinations.against_sgd({"here": (digits, 0.1)}, "asam").table().alt
    assert asam.startswith("Every such combination of ρ and ε at which ASAM is not above SGD")


def test_places_of_one_name_or_a_family_against_itself(digits: Study, cnn: Study) -> None:
    twice = {"a, 0.1": (cnn, 0.1), "a": (digits, 0.06, 0.1)}
    for experiments in (twice, {"a": (digits, 0.1, 0.1)}):
        with pytest.raises(ValueError, match=r"two places are called 'a, 0\.1'; give each a name"):
            elsewhere.compare(experiments)
    with pytest.raises(ValueError, match="pair must name two families, got 'SAM' twice"):
        elsewhere.compare({"a": (digits, 0.1)}, pair=("SAM", "SAM"))


def test_experiments_that_are_written_in_another_order_or_as_names(digits: Study) -> None:
    wrong: list[Any] = ["digits", ("digits", 0.1), (0.1, digits), ()]
    for given in wrong:
        for call in (elsewhere.compare, combinations.against_sgd):
            with pytest.raises(TypeError, match="here: a study comes first and its radii after it, got"):
                call({"here": given})
        with pytest.raises(TypeError, match="a study comes first"):
            Official.of(given)
    listed: Any = digits, [0.06, 0.1]
    with pytest.raises(TypeError, match=r"here: a radius must be a number, got \[0\.06, 0\.1\]; write \(st"):
        elsewhere.compare({"here": listed})
    with pytest.raises(ValueError, match=r"Study\('digits', .*\): a radius to judge at is missing"):
        Official.of((digits,))  # type: ignore[arg-type]
    pairs: list[Any] = [("SAM",), ("SAM", "control", "AT"), "SAM"]
    for pair in pairs:
        with pytest.raises(ValueError, match="pair must name two families of SAM, control, AT, got"):
            elsewhere.compare({"here": (digits, 0.1)}, pair=pair)


def test_the_same_runs_are_not_tested_twice(digits: Study) -> None:
    again = study("digits", 3)
    said = r"a and b are the same runs at the same radius, 0\.1: each difference is tested once"
    with pytest.raises(ValueError, match=said):
        elsewhere.compare({"a": (digits, 0.06, 0.1), "b": (again, 0.1)})
    assert len(elsewhere.compare({"a": (digits, 0.06), "b": (again, 0.1)})) == 2
    with pytest.raises(ValueError, match="a and b are the same runs"):
        combinations.against_sgd({"a": (digits, 0.06), "b": (again, 0.1)})


def test_a_table_of_no_combination_says_none(digits: Study) -> None:
    table = digits.select([digits.row("sgd"), digits.row("sam", rho=0.4)])
    grid = combinations.against_sgd({"here": (table, 0.1)})
    assert not grid.not_above() and "<td>none</td><td>–</td>" in grid.table().markup
