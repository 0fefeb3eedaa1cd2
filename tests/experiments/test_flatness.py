"""Rank correlations, partial ones, and their intervals."""

import numpy as np
import pytest
from scipy import stats

from sam_edu.experiments import study
from sam_edu.experiments.flatness import GIVEN, MEASURES, association, rank_correlation


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
