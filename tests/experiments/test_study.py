"""A study finds its rows by method and settings, and says what `summary` and `comparison` say."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from sam_edu import plots, styles, widgets
from sam_edu.experiments import comparison, facts, load_records, protocols, study, study_plots, summary
from sam_edu.experiments.study import Study


@pytest.fixture(scope="module")
def family() -> Study:
    return study("fashion-mnist-family", seeds=2)


def test_rows_are_found_by_method_and_settings(digits: Study) -> None:
    assert digits.row("sgd").label == "SGD" and digits.row("sam", rho=0.4).label == "SAM ρ=0.4"
    assert digits.row("sgd", epochs=8).label == "SGD, 8 epochs" and digits.row("awp").config.gamma == 0.005
    assert [row.config.rho for row in digits.rows("sam")] == [0.05, 0.1, 0.2, 0.4, 0.8]
    assert [row.config.epochs for row in digits.rows("sgd", epochs=(8, 20))] == [8, 20]
    assert {row.label for row in digits.controls} == {row.label for row in digits if row.label[:4] == "SGD,"}
    assert digits.row("at", eps=0.1 + 1e-14).label == "AT ε=0.1"
    fashion = {label: group[0] for label, group in protocols.configs("fashion-mnist", [0]).items()}
    assert fashion["Short AT ε=4/255, 10 epochs"].epochs == 10


@pytest.mark.parametrize(
    "method, settings, message",
    [
        ("sam", {}, "5 rows of digits are sam"),
        ("sam", {"rho": 0.3}, "no rows of digits are sam, rho=0.3; rows of this method: SAM ρ=0.05; SAM"),
        ("esam", {}, "no rows of digits are esam; rows of this method: none"),
    ],
)
def test_a_row_that_is_not_there_is_one_clear_line(
    digits: Study, method: str, settings: dict[str, float], message: str
) -> None:
    with pytest.raises(KeyError, match=re.escape(message)):
        digits.row(method, **settings)


def test_unknown_methods_and_labels_and_protocols(digits: Study) -> None:
    with pytest.raises(ValueError, match="method must be one of sgd, swa"):
        digits.rows("smm")
    with pytest.raises(KeyError, match=r"no row of digits is called 'SAM'; it has SGD; SAM ρ=0\.05"):
        digits.labelled("SAM")
    with pytest.raises(ValueError, match="protocol must be one of digits"):
        study("mnist")


def test_its_numbers_are_those_of_summary_and_comparison(digits: Study) -> None:
    groups = load_records(protocols.configs("digits", range(3)))
    sgd, sam = digits.row("sgd"), digits.row("sam", rho=0.4)
    assert list(digits.groups) == list(groups) and digits.groups["SGD"] == groups["SGD"]
    assert sam.at(0.1) == summary.at(groups["SAM ρ=0.4"], 0.1)
    assert sam.minus(sgd, 0.1) == summary.gain(groups["SAM ρ=0.4"], groups["SGD"], 0.1)
    assert sam.passes == summary.gradient_passes(groups["SAM ρ=0.4"][0].config) and digits.cost(sam) == 2
    assert digits.against(sgd, 0.1) == comparison.compare(groups, "SGD", 0.1)
    top = [r.sharpness["top_eigenvalue"] for r in groups["SGD"]]
    assert sgd.eigenvalue == pytest.approx(np.mean(top)) and digits.images == 500
    classes = [r.linf.clean_per_class for r in groups["SGD"] if r.linf is not None]
    assert sgd.per_class() == pytest.approx(np.mean(classes, 0)) and len(sgd.per_class(0.1)) == 10
    assert (
        digits.held_out(digits.rows("sam"), 0.1, 0.1).tolist()
        == comparison.held_out({row.label: row.records for row in digits.rows("sam")}, 0.1, 0.1).tolist()
    )
    assert all(row.label in {"SAM ρ=0.4", "SAM ρ=0.8"} for row in digits.choose(digits.rows("sam"), 0.1))


def test_a_difference_pairs_the_seeds_that_both_have(digits: Study) -> None:
    sgd, sam = digits.row("sgd"), digits.row("sam", rho=0.4)
    assert sam.of([2, 0]).minus(sgd, 0.1).n == 2
    assert sam.of([2, 0]).minus(sgd.of([0, 2]), 0.1) == sam.of([2, 0]).minus(sgd, 0.1)
    with pytest.raises(ValueError, match="needs the same seeds"):
        sam.of([1]).minus(sgd.of([0]), 0.1)


def test_studies_under_way(tmp_path: Path, digits: Study) -> None:
    assert len(study("digits", 1, tmp_path)) == 0 and len(study("cifar10", 1, partial=True)) == 0
    with pytest.raises(
        FileNotFoundError,
        match="the book has 100 of these 800 runs of digits, 40 of each row; with partial=True",
    ):
        study("digits", 40)
    mixed = Study("digits", [digits.row("sgd").of([0, 1]), digits.row("sam", rho=0.4)])
    assert mixed.seeds == 2 and [row.seeds for row in mixed.paired()] == [[0, 1], [0, 1]]
    assert [row.seeds for row in mixed.complete()] == [[0, 1], [0, 1]]
    assert mixed.sources == [("digits", 5, 3)]
    assert len(digits.without(digits.controls)) + len(digits.select(digits.controls)) == len(digits)


def test_looks_come_from_methods_and_settings_alone(digits: Study, family: Study) -> None:
    assert digits.row("sgd").style is styles.STYLES["SGD"] and digits.row("sgd", epochs=8).kind == "control"
    assert digits.row("sam+at").kind == "SAM+AT" and family.row("esam").style is styles.CONTROL


def test_tables_and_figures_hold_the_rows(digits: Study, family: Study) -> None:
    shown = family.table("Two seeds", training=True, seeds=True)
    assert shown.markup.count("<tr>") == len(family) + 1 and "ε = 8/255" in shown.markup
    some = digits.select([*digits.rows("sam"), digits.row("sgd"), *digits.rows("sgd", epochs=(8, 20))])
    drawn = study_plots.frontier(some, 0.1, "Three seeds.", names={"SGD": 5})
    assert "<!-- records: " in drawn.markup and f'[["digits", {3 * len(some)}, 3]]' in drawn.markup
    series = {s["label"] if "label" in s else "": s for s in drawn.data[0]["series"]}
    assert len(drawn.data[0]["series"]) == 3 and series
    assert "SGD: " in drawn.alt and "SAM ρ=0.1" not in drawn.alt
    assert "Holm-corrected over 7" in some.differences(digits.row("sgd"), 0.1, about="Digits").alt
    lines = study_plots.per_class(digits.rows("sam"), digits.classes, "8", "x", "y")
    assert "Class 8: SAM ρ=0.05 " in lines.alt


def test_a_line_joins_the_radii_of_a_method_from_small_to_large() -> None:
    small = study("cifar10-small", 1)  # lists SAM with 0.1, 0.2, 0.05
    rhos = [row.config.rho for row in small.rows("sam")]
    assert rhos != sorted(rhos)
    drawn = study_plots.frontier(small.without(small.controls), 2 / 255, "x")
    (line,) = [series for series in drawn.data[0]["series"] if len(series["x"]) == len(rhos)]
    clean = [small.row("sam", rho=rho).at(0).mean for rho in sorted(rhos)]
    assert line["x"] == pytest.approx(clean)


def test_names_beside_crowded_points_do_not_touch() -> None:
    _, ax = plots.figure("", "x", "y")
    places = {f"row {i}": (0.5, 0.5 + 0.001 * i) for i in range(5)} | {"far": (0.5, 0.9)}
    ax.plot([x for x, _ in places.values()], [y for _, y in places.values()])
    ax.set_ylim(0, 1)
    study_plots.apart(ax, places)
    ax.figure.draw_without_rendering()
    at = sorted(ax.transData.transform(t.xy)[1] * 72 / ax.figure.dpi + t.xyann[1] for t in ax.texts)
    assert min(np.diff(at)) > 12.5 and {t.xyann[1] for t in ax.texts if t.get_text() == "far"} == {0}


def test_images_set_aside_choose_among_rows_over_the_seeds_that_all_have() -> None:
    fast = study("cifar10-fast-float32", partial=True)
    rows = [fast.row("sgd"), fast.row("sgd", epochs=18), fast.row("sam", rho=0.1)]
    kept = {row.label: [record.validation.robust_accuracy(2 / 255) for record in row.records] for row in rows}
    assert (
        fast.row("sgd").validated(2 / 255).mean == pytest.approx(np.mean(kept["SGD"]))
        and len(kept["SGD"]) > 1
    )
    best = max(kept, key=lambda label: kept[label][0])  # 18 epochs have one seed, the first
    assert fast.chosen(rows, 2 / 255).label == best
    assert fast.chosen(rows[:2], 2 / 255) is rows[int(kept["SGD, 18 epochs"][0] > kept["SGD"][0])]


def test_a_choice_without_images_set_aside_or_common_seeds_says_so(digits: Study) -> None:
    with pytest.raises(ValueError, match=r"SGD: these runs set no images aside .validation_size."):
        digits.row("sgd").validated(0.1)
    with pytest.raises(ValueError, match=r"share a seed, got \[\]"):
        digits.chosen([], 0.1)
    with pytest.raises(ValueError, match="share a seed"):
        apart = Study("digits", [digits.row("sgd").of([0]), digits.row("sam", rho=0.4).of([1])])
        apart.chosen(apart, 0.1)
    with pytest.raises(KeyError):
        study("cifar10-fast-float32", partial=True).row("sgd").validated(1 / 255)


def test_live_figures_are_handed_the_study(digits: Study) -> None:
    grid = widgets.RhoEpsGrid(digits, rho=0.4, eps=0.1)
    assert [row["label"] for row in grid.rows] == [row.label for row in digits]
    assert {row["method"]: row["style"] for row in grid.rows}["ASAM"] == styles.STYLES["ASAM"].live
    data, _ = grid._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["records"] == [["digits", 60, 3]]
    market = widgets.FrontierExplorer(digits, eps=0.1, budget=2, loss=1)
    assert market.best(0.1, 2, 1) in {row.label for row in digits} and market.made_from == digits.sources
    classwise = widgets.ClasswiseExplorer.of_study(digits.select([digits.row("sgd"), *digits.rows("at")]))
    assert classwise.class_names == list("0123456789") and classwise.made_from == [("digits", 15, 3)]


def test_figures_name_all_their_protocols(digits: Study, family: Study) -> None:
    assert plots.sources([digits.row("sgd"), digits.row("at", eps=0.1), family]) == [
        ("digits", 6, 3),
        ("fashion-mnist-family", 2 * len(family), 2),
    ]
    assert plots.sources(None) == [] and plots.sources_comment(None) == ""


def test_the_grid_of_a_study_is_what_summary_made_of_it(digits: Study) -> None:
    for new, old in zip(digits.figure_rows(), summary.grid_rows(digits.groups), strict=True):
        assert {key: new[key] for key in old} == old


def test_facts_read_the_same_study(digits: Study) -> None:
    sgd, sam = digits.row("sgd"), digits.row("sam", rho=0.4)
    said = facts.resolve("digits (3 seeds): SAM ρ=0.4 - SGD at 0.1, spread")
    assert said == sam.minus(sgd, 0.1).percent(signed=True)


def test_gains_are_those_of_the_row_that_the_other_half_of_the_images_chose(digits: Study) -> None:
    gains = digits.gains(0.1)
    assert list(gains) == ["SAM", "control", "AT"] == list(digits.families)
    plain = comparison.verdicts(digits.row("sgd").records, 0.1)
    for name, rows in digits.families.items():
        even, odd = digits.choose(rows, 0.1)
        judged = [comparison.verdicts(row.records, 0.1)[:, half::2] for row, half in ((even, 1), (odd, 0))]
        won = np.concatenate(judged, 1).mean(1) - plain.mean(1)
        assert gains[name].mean == pytest.approx(won.mean())
        assert gains[name].sd == pytest.approx(won.std(ddof=1))
    drawn = study_plots.gains({"here": gains, "there": gains}, [digits], "x", "y", True, {"p": [0.5, 0.25]})
    assert drawn.alt.count(f"AT {100 * gains['AT'].mean:+.1f}") == 2 and ">0.25<" in drawn.markup
    assert '[["digits", 60, 3]]' in drawn.markup and drawn.markup.count("<td>3</td>") == 2


def test_figures_of_nothing_or_of_unknown_names(digits: Study) -> None:
    some, nothing = digits.select([digits.row("sgd")]), digits.select([])
    panels = {"x": lambda row: 0.5}
    for draw in (
        lambda table, names: study_plots.frontier(table, 0.1, "x", names=dict.fromkeys(names, 0)),
        lambda table, names: study_plots.scatter(
            table, panels, lambda row: 0.5, "y", dict.fromkeys(names, "a"), "", ""
        ),
    ):
        with pytest.raises(KeyError, match="no row of digits is called 'SGDD'; it has SGD"):
            draw(some, ["SGDD"])
        with pytest.raises(ValueError, match="there is nothing to draw"):
            draw(nothing, [])
    with pytest.raises(ValueError, match="there is nothing to draw"):
        study_plots.per_class([], digits.classes, "8", "x", "y")
    with pytest.raises(ValueError, match="name must be one of '0', '1'"):
        study_plots.per_class(some, digits.classes, "eight", "x", "y")
