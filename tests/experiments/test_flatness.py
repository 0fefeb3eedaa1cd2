"""Rank correlations, partial ones, and their intervals."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from sam_edu.experiments import Study, flatness, study
from sam_edu.experiments.flatness import GIVEN, MEASURES, Survey, association, rank_correlation
from tests.figure_data import tables


def test_it_is_spearmans():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 8, 50), rng.standard_normal(50)
    assert rank_correlation(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)


def test_partial_by_the_formula_of_three_correlations():
    rng = np.random.default_rng(1)
    z = rng.standard_normal(80)
    x, y = z + rng.standard_normal(80), z + rng.standard_normal(80)
    xy, xz, yz = (stats.spearmanr(a, b).statistic for a, b in ((x, y), (x, z), (y, z)))
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert rank_correlation(x, y, z) == pytest.approx(expected)
    assert abs(rank_correlation(x, y, z)) < abs(xy) / 2  # z had made them agree


def test_what_does_not_vary_has_no_correlation():
    assert np.isnan(rank_correlation([1, 1, 1], [1, 2, 3]))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("given", GIVEN)
def test_on_the_books_digits(measure, given):
    rows = list(study("digits"))
    found = association(rows, 0.1, measure, given, draws=200)
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert found.high - found.low > 0.05  # twenty rows do not say it to two digits


def test_unknown_words_and_too_few_rows():
    rows = list(study("digits"))
    with pytest.raises(ValueError, match="measure must be one of top eigenvalue"):
        association(rows, 0.1, "flatness")
    with pytest.raises(ValueError, match="five rows"):
        association(rows[:3], 0.1, "top eigenvalue")


def test_a_survey_is_a_table_of_spearmans_correlations():
    digits = study("digits", seeds=2)
    rows = [row.of([0]) for row in digits.rows("sgd", "sam", "asam", "at")]
    survey = Survey.of({"digits": (digits, 0.1), "few": (rows, 0.06)}, draws=50)
    shown = survey.table()
    (columns,) = tables(shown.markup.replace("\xa0", " ").replace("−", "-"))
    assert columns["images"] == ["digits"] * 3 + ["few"] * 3 and columns["sharpness"] == list(MEASURES) * 2
    keys = ("top_eigenvalue", "ball", "adaptive")
    for line, key in enumerate(keys * 2):
        place, eps = (digits, 0.1) if line < 3 else (rows, 0.06)
        records = [record for row in place for record in row.records]
        flat = [record.sharpness[key] for record in records]
        robust = [np.mean(record.linf.entry(eps).robust) for record in records]
        spearman = stats.spearmanr(flat, robust).statistic
        assert columns["given nothing"][line].startswith(f"{spearman:+.2f} [")
        for given in GIVEN:
            found = association(list(place), eps, columns["sharpness"][line], given, draws=50)
            assert columns[f"given {given}"][line] == str(found)
    over = f"40 networks of 20 ways of training (digits) and {len(rows)} networks of {len(rows)} ways"
    assert f"(0.1 on digits, 0.06 on few; -1: the flatter, the more robust) over {over}" in shown.alt
    assert survey.networks("digits") == 40 and len(survey.found) == 18
    with pytest.raises(ValueError, match="five rows"):
        Survey.of({"digits": (digits.rows("at"), 0.1)})


def test_a_figure_of_two_measures():
    digits = study("digits", seeds=2)
    shown = flatness.scatter(digits, 0.1, {"SGD": "plain"}, "Title", "Caption.")
    assert [panel["x"] for panel in shown.data] == [
        "top eigenvalue of the Hessian",
        "worst loss in a ball (ρ = 0.1) minus loss",
    ]
    sgd = digits.row("sgd").records
    for panel, key in zip(shown.data, ("top_eigenvalue", "ball"), strict=True):
        points = [(s["x"][0], s["y"][0]) for s in panel["series"]]
        own = (
            np.mean([r.sharpness[key] for r in sgd]),
            np.mean([np.mean(r.linf.entry(0.1).robust) for r in sgd]),
        )
        assert len(points) == 20 and min(np.hypot(x - own[0], y - own[1]) for x, y in points) < 1e-3
    other = [dataclasses.replace(r, sharpness={**r.sharpness, "ball_rho": 0.2}) for r in sgd]
    mixed = Study("digits", [digits.row("awp"), dataclasses.replace(digits.row("sgd"), records=other)])
    with pytest.raises(ValueError, match=r"records of one radius, got \[0\.1, 0\.2\]"):
        flatness.scatter(mixed, 0.1, {}, "Title", "Caption.")


def test_what_does_not_vary_explains_nothing():
    """All networks may be right on all training images: that left no number at all."""
    x, y = [1, 2, 3, 4, 5], [2, 1, 4, 3, 5]
    assert rank_correlation(x, y, [1.0] * 5) == pytest.approx(rank_correlation(x, y))


def test_networks_that_cannot_be_ranked(recwarn):
    digits = study("digits", seeds=2)
    assert association((row for row in digits), 0.1, "top eigenvalue", draws=10).value < 0
    worst = digits.row("awp")
    for number in (np.nan, np.inf):
        records = [
            dataclasses.replace(r, sharpness={**r.sharpness, "top_eigenvalue": number, "ball": 0.0})
            for r in worst.records
        ]
        diverged = dataclasses.replace(worst, records=records)
        table = Study("digits", [diverged, *digits.without([worst])])
        with pytest.raises(ValueError, match=r"AWP γ=0\.005 ε=0\.1: top eigenvalue or nothing is not finite"):
            association(table, 0.1, "top eigenvalue", draws=10)
        with pytest.raises(ValueError, match=r"top eigenvalue of the Hessian: AWP .* is not above 0; leave"):
            flatness.scatter(table, 0.1, {}, "Title", "Caption.")
    rows = [dataclasses.replace(row, label=f"row {i}") for i, row in enumerate([worst.of([0])] * 5)]
    assert str(association(rows, 0.1, "top eigenvalue", draws=10)) == "+nan [+nan, +nan]"
    assert not recwarn.list, "nothing varies, and that is no warning"
    with pytest.raises(ValueError, match="nothing to survey"):
        Survey.of({})
    with pytest.raises(KeyError, match="no row of digits is called 'SAM'"):
        flatness.scatter(digits, 0.1, {"SAM": "SAM"}, "Title", "Caption.")


def test_an_older_record_is_named():
    digits = study("digits", seeds=1)
    old = dataclasses.replace(
        digits.row("awp"), records=[dataclasses.replace(r, confidence={}) for r in digits.row("awp").records]
    )
    rows = [old, *digits.controls]
    assert association(rows, 0.1, "top eigenvalue", draws=10).low < 1
    with pytest.raises(KeyError, match=r"AWP .*: an older record, without 'train'; run it anew"):
        association(rows, 0.1, "top eigenvalue", "confidence", draws=10)
