"""One interval for seeds and images: it covers, it agrees with a bootstrap, it refuses what says nothing."""

import numpy as np
import pytest
from scipy import stats

from sam_edu.experiments import protocols
from sam_edu.experiments.records import load_records
from sam_edu.experiments.uncertainty import Estimate, estimate, paired_interval, verdicts


def table(rng, seeds, images, between_seeds, between_images, gain):
    """Verdicts of a better method minus those of a worse one; both meet the same images."""
    hard = between_images * rng.standard_normal(images)

    def verdict(shift):
        own = shift + between_seeds * rng.standard_normal((seeds, 1))
        taste = 0.7 * between_images * rng.standard_normal(images)  # which images this method likes
        return hard + taste + own + rng.standard_normal((seeds, images)) > 0

    return verdict(gain).astype(float) - verdict(0)


@pytest.mark.parametrize("seeds,images,between_seeds,between_images", [
    (5, 2000, 0.05, 1.0), (5, 2000, 0.0, 1.0), (5, 500, 0.1, 2.0), (3, 500, 0.1, 1.0), (3, 500, 0.0, 2.0),
])  # fmt: skip
def test_95_in_100_intervals_contain_the_truth(seeds, images, between_seeds, between_images):
    rng = np.random.default_rng(0)
    truth = np.mean([table(rng, 50, 2000, between_seeds, between_images, 0.1).mean() for _ in range(60)])
    found = [Estimate.of(table(rng, seeds, images, between_seeds, between_images, 0.1)) for _ in range(600)]
    hits = np.mean([low <= truth <= high for low, high in (f.interval() for f in found)])
    assert 0.925 <= hits <= 0.995


def test_seeds_alone_or_images_alone_do_not():
    """What the tables had before: intervals over one of the two chances only."""
    rng = np.random.default_rng(0)
    truth = np.mean([table(rng, 50, 2000, 0.02, 1.0, 0.1).mean() for _ in range(60)])
    tables = [table(rng, 5, 500, 0.02, 1.0, 0.1) for _ in range(400)]
    seeds = [abs(t.mean() - truth) <= stats.t.ppf(0.975, 4) * t.mean(1).std(ddof=1) / 5**0.5 for t in tables]
    assert np.mean(seeds) < 0.9


def test_it_agrees_with_a_bootstrap_over_both():
    rng = np.random.default_rng(1)
    # many seeds: the bootstrap itself needs them
    data = table(rng, 40, 400, 0.2, 1.0, 0.2)
    drawn = [data[rng.integers(40, size=40)][:, rng.integers(400, size=400)].mean() for _ in range(2000)]
    # drawing both adds the rest twice more, a known excess (A. B. Owen, Ann. Appl. Stat. 1, 2007, p. 386)
    rest = data - data.mean(1, keepdims=True) - data.mean(0) + data.mean()
    expected = np.sqrt(np.var(drawn) - 2 * (rest**2).mean() / data.size)
    assert Estimate.of(data).error == pytest.approx(expected, rel=0.12)


def test_a_small_difference_is_equivalent_only_where_it_is_known_well():
    few, many = (Estimate(0.001, error, 20, True, 5) for error in (0.01, 0.002))
    assert few.p > 0.5 and not few.within(0.01)  # not significant, and not shown to be small
    assert many.within(0.01) and not many.within(0.003)


def test_the_books_records():
    groups = load_records(protocols.configs("fashion-mnist", range(5)))
    sam, sgd = groups["SAM ρ=0.2"], groups["SGD"]
    found = estimate(sam, sgd, 8 / 255)
    accuracies = [
        a.linf.robust_accuracy(8 / 255) - b.linf.robust_accuracy(8 / 255)
        for a, b in zip(sam, sgd, strict=True)
    ]
    assert found.images and found.mean == pytest.approx(np.mean(accuracies))
    assert found.error >= np.std(accuracies, ddof=1) / 5**0.5 * 0.999  # never surer than the seeds alone
    assert verdicts(sam, 8 / 255).shape == (5, 2000)


@pytest.mark.parametrize("wrong", [[0.1, 0.2], [[0.1, 0.2]], np.zeros((3, 1))])
def test_tables_that_say_nothing(wrong):
    with pytest.raises(ValueError, match="two seeds and two images"):
        Estimate.of(wrong)
    with pytest.raises(ValueError, match="two seeds"):
        Estimate.of_seeds([0.1])


@pytest.mark.parametrize(
    "gained, lost", [(0.002, 0.002), (0.02, 0.0), (0.2, 0.02), (0.1, 0.1), (0.004, 0.001)]
)
def test_the_paired_interval_of_two_networks_covers(gained, lost):
    """Also where the two differ in a handful of images, the case of AutoAttack behind a ladder."""
    rng = np.random.default_rng(0)
    draws = rng.choice([1, -1, 0], p=[gained, lost, 1 - gained - lost], size=(2000, 500))
    ends = np.array([paired_interval(row > 0, row < 0) for row in draws])
    hits = np.mean((ends[:, 0] <= gained - lost) & (gained - lost <= ends[:, 1]))
    assert hits >= 0.94
    naive = draws.std(1) * 1.96 / 500**0.5
    assert (ends[:, 1] - ends[:, 0] >= 1.9 * naive).all()


def test_equal_verdicts_are_no_proof_of_equality():
    low, high = paired_interval([True] * 500, [True] * 500)
    assert -0.02 < low < 0 < high < 0.02
    assert paired_interval([True], [False])[1] == 1.0


@pytest.mark.parametrize("one, other", [([1, 0], [1]), ([], []), ([[1]], [[0]])])
def test_verdicts_on_other_images_are_refused(one, other):
    with pytest.raises(ValueError, match="verdicts on the same images"):
        paired_interval(one, other)
