"""Paired tests, corrected; the error of the images; choices that do not flatter themselves."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from sam_edu.evaluation import AtRadius, EvaluationRecord
from sam_edu.experiments import Record, RunConfig, comparison, summary

EPS = 8 / 255


def record(seed: int, robust: np.ndarray, clean: float = 0.9) -> Record:
    at = AtRadius(EPS, float(robust.mean()), (0.0, 1.0), [], [], robust.astype(bool).tolist())
    linf = EvaluationRecord(len(robust), "linf", "quick", clean, (0, 1), [], [at], [], 0.0)
    config = RunConfig(seed=seed, eval_linf=(EPS,))
    return Record(config, 1.0, linf, None, {}, [], {}, {})


def group(rates: list[float], n: int = 400, seed: int = 0) -> list[Record]:
    rng = np.random.default_rng(seed)
    return [record(s, rng.random(n) < rate) for s, rate in enumerate(rates)]


GROUPS = {
    "SGD": group([0.5, 0.52, 0.48, 0.51, 0.5]),
    "SAM": group([0.62, 0.65, 0.6, 0.66, 0.61], seed=1),
    "nothing": group([0.5, 0.51, 0.5, 0.49, 0.52], seed=2),
}


def test_over_the_seeds_alone_the_paired_test_is_scipys():
    """Without a verdict for each clean image nothing is known of other images."""
    spread = {
        label: [record(s, np.ones(400), clean) for s, clean in enumerate(values)]
        for label, values in {"SGD": [0.8, 0.82, 0.79], "SAM": [0.85, 0.86, 0.85]}.items()
    }
    (found,) = comparison.compare(spread, "SGD", 0)
    expected = stats.ttest_rel([0.85, 0.86, 0.85], [0.8, 0.82, 0.79])
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9) and not found.images
    assert found.interval == pytest.approx(tuple(expected.confidence_interval()), rel=1e-9)
    table = comparison.columns(spread, "SGD", 0)
    assert table["p, clean"][0].endswith("*") and table["95 % interval, clean"][0].endswith("*")


def test_a_test_contains_seeds_and_images():
    found = comparison.compare(GROUPS, "SGD", EPS)
    for c in found:
        ours, base = (comparison.verdicts(GROUPS[name], EPS) for name in (c.label, "SGD"))
        d = (ours - base).mean(1)
        seeds, images = d.std(ddof=1) / 5**0.5, comparison.image_error(GROUPS[c.label], GROUPS["SGD"], EPS)
        half = (c.interval[1] - c.interval[0]) / 2
        assert half > 1.95 * max(seeds, images) * 0.999  # never surer than either alone
        assert c.effect == pytest.approx(d.mean() / d.std(ddof=1)) and c.p <= c.p_holm <= 1 and c.images
    assert [c.label for c in found] == ["SAM", "nothing"] and found[0].p_holm < 0.01 < found[1].p_holm


def test_the_table_says_what_the_tests_say_and_nothing_of_one_seed():
    table = comparison.columns(GROUPS, "SGD", EPS)
    found = comparison.compare(GROUPS, "SGD", EPS)
    assert table["method"] == ["SAM", "nothing"]
    assert table["attacked"] == [f"{100 * c.difference.mean:+.1f}" for c in found]
    assert table["p"][1] == f"{found[1].p_holm:.3f}" and table["clean"] == ["+0.0", "+0.0"]
    one = comparison.columns({label: runs[:1] for label, runs in GROUPS.items()}, "SGD", EPS, labels=["SAM"])
    assert one["p"] == one["95 % interval"] == one["p, clean"] == one["95 % interval, clean"] == ["–"]
    assert float(one["attacked"][0]) > 0


def test_seeds_that_all_differ_by_one_image_prove_little():
    sgd = [record(s, np.arange(500) < 250) for s in range(3)]
    one_more = [record(s, np.arange(500) < 251) for s in range(3)]
    (found,) = comparison.compare({"SGD": sgd, "one more": one_more}, "SGD", EPS)
    assert found.p > 0.3 and found.effect == np.inf  # one image of 500 may be another one elsewhere
    (same,) = comparison.compare({"SGD": sgd, "same": sgd}, "SGD", EPS)
    assert same.p == 1 and same.effect == 0


def test_holm_by_hand():
    assert comparison.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert comparison.holm([0.9, 0.8]) == [1, 1]


def test_holm_keeps_false_alarms_below_five_percent():
    rng = np.random.default_rng(0)
    alarms = [min(comparison.holm(rng.random(10))) < 0.05 for _ in range(2000)]
    assert np.mean(alarms) < 0.05 + 4 * (0.05 * 0.95 / 2000) ** 0.5
    uncorrected = [rng.random(10).min() < 0.05 for _ in range(2000)]
    assert np.mean(uncorrected) > 0.3, "without the correction most families give a false alarm"


def test_image_error_is_the_spread_over_other_test_sets():
    error = comparison.image_error(GROUPS["SAM"], GROUPS["nothing"], EPS)
    means = []
    for seed in range(400):
        one, other = group([0.62] * 5, seed=10 + seed), group([0.5] * 5, seed=10_000 + seed)
        means.append(comparison.verdicts(one, EPS).mean() - comparison.verdicts(other, EPS).mean())
    assert error == pytest.approx(np.std(means), rel=0.2)


def test_choosing_on_one_half_does_not_flatter():
    """Fifty equally good settings: the winner looks better on the images that chose it, not on others."""
    flattered, honest = [], []
    for family in range(20):
        groups = {str(i): group([0.5], n=200, seed=100 * family + i) for i in range(50)}
        for choice in comparison.choose(groups, EPS):
            flattered.append(choice.chosen_on)
            honest.append(choice.reported)
    assert np.mean(flattered) > 0.58
    assert abs(np.mean(honest) - 0.5) < 4 * np.std(honest) / len(honest) ** 0.5


def test_bad_input():
    with pytest.raises(ValueError, match="two seeds"):
        comparison.compare({k: v[:1] for k, v in GROUPS.items()}, "SGD", EPS)
    with pytest.raises(ValueError, match="nothing to compare"):
        comparison.compare({"SGD": GROUPS["SGD"]}, "SGD", EPS)
    with pytest.raises(ValueError, match="not attacked"):
        comparison.verdicts(GROUPS["SGD"], 0.1)
    other = [dataclasses.replace(r, config=RunConfig(seed=r.config.seed + 1)) for r in GROUPS["SAM"]]
    with pytest.raises(ValueError, match=r"different seeds, SGD: .*; SAM: \[1, 2"):
        comparison.compare({**GROUPS, "SAM": other}, "SGD", EPS)


def test_gradient_passes_are_those_that_are_made():
    """Counted on a model that notes how much of the batch every forward pass in training sees."""
    import torch

    from sam_edu import attacks, models, training
    from sam_edu.experiments.summary import gradient_passes
    from sam_edu.objectives import AWP, ERM, SAM, EntropySGD

    x, y = torch.rand(8, 1, 8, 8), torch.arange(8)
    for settings, make in (
        ({}, ERM),
        ({"method": "sam", "rho": 0.1}, lambda m: SAM(m, 0.1)),
        ({"method": "at", "eps": 0.1, "attack_steps": 3}, ERM),
        ({"method": "sam+at", "rho": 0.1, "eps": 0.1, "attack_steps": 2}, lambda m: SAM(m, 0.1)),
        ({"method": "awp", "gamma": 0.01, "eps": 0.1, "attack_steps": 2}, lambda m: AWP(m, 0.01)),
        ({"method": "swa"}, ERM),
        ({"method": "entropy-sgd", "gamma": 0.03}, lambda m: EntropySGD(m, 0.03, steps=4)),
    ):
        config = RunConfig(epochs=2, **settings)
        model, seen = models.build("mlp", (1, 8, 8), 10, seed=0), [0]
        model.register_forward_hook(lambda _, x, __: seen.__setitem__(0, seen[0] + len(x[0]) / 8))  # noqa: B023
        attack = attacks.PGD(config.eps, steps=config.attack_steps) if config.eps else None
        optimizer = torch.optim.SGD(model.parameters(), 0.01)
        for _ in range(config.epochs):
            training.train_epoch(make(model), optimizer, x, y, 8, attack)
        # an attack scores its last point by one forward pass without a backward pass
        assert gradient_passes(config) <= seen[0] <= gradient_passes(config) + config.epochs, settings


def test_held_out_is_judged_by_the_other_half():
    family = {label: GROUPS[label] for label in ("nothing", "SAM")}
    even, odd = comparison.choose(family, EPS)
    values = comparison.held_out(family, EPS, EPS)
    assert values.shape == (5,) and values.mean() == pytest.approx((even.reported + odd.reported) / 2)
    # where both halves choose alike, every image is judged once and nothing is lost
    assert even.label == odd.label == "SAM"
    assert values == pytest.approx([r.linf.at[0].accuracy for r in GROUPS["SAM"]])


def test_the_table_of_choices():
    table = comparison.choices({"all": GROUPS, "none": {"SGD": GROUPS["SGD"][:1]}}, EPS, EPS)
    assert table["family"] == ["all", "none"] and table["chosen on even images"] == ["SAM", "SGD"]
    expected = summary.Spread.of(comparison.held_out(GROUPS, EPS, EPS))
    assert table["on the other half"][0] == expected.percent()
    assert float(table["on the other half"][1]) > 40, "one seed has no spread"


def test_a_spread_in_per_cent():
    assert summary.Spread.of([0.5, 0.6]).percent() == "55.0 ± 7.1"
    assert summary.Spread.of([0.5]).percent() == "50.0", "one seed has no spread"
    assert summary.Spread.of([0.0123]).percent(signed=True) == "+1.2"
    assert summary.Spread.of([-0.1, -0.1]).percent(signed=True) == "-10.0 ± 0.0"


def test_a_sweep_under_way_is_compared_on_the_seeds_that_all_rows_have():
    sgd, sam = GROUPS["SGD"], GROUPS["SAM"]
    common = summary.paired({"SGD": [sgd[2], sgd[0], sgd[1]], "SAM": [sam[4], sam[2], sam[0]]})
    assert {n: [r.config.seed for r in runs] for n, runs in common.items()} == {"SGD": [0, 2], "SAM": [0, 2]}
    assert common["SAM"] == [sam[0], sam[2]] and summary.gain(common["SAM"], common["SGD"], EPS).n == 2
    assert summary.paired({}) == summary.complete({}) == {}
    under_way = {"SGD": sgd[:3], "SAM": [sam[4], sam[2], sam[0]], "begun": [sgd[0]]}
    rows = summary.complete(under_way)
    assert list(rows) == ["SGD", "SAM"] and [r.config.seed for r in rows["SAM"]] == [0, 2]
    # one row with a second seed must not throw the others out
    begun = {"SGD": sgd[:2], "SAM": [sam[0]], "begun": [sgd[0]]}
    for least, rows in ((1, {"SGD": 1, "SAM": 1, "begun": 1}), (2, {"SGD": 2}), (3, {})):
        assert {n: len(runs) for n, runs in summary.complete(begun, least).items()} == rows
