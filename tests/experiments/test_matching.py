"""Matches at equal clean accuracy: the rival is the best there is, and other images judge it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.optimize import linprog

from sam_edu.evaluation import AtRadius, EvaluationRecord
from sam_edu.experiments import Record, RunConfig, matching, study
from tests.figure_data import tables

EPS = 8 / 255


def record(seed: int, clean: np.ndarray, robust: np.ndarray) -> Record:
    at = AtRadius(EPS, float(robust.mean()), (0.0, 1.0), [], [], robust.astype(bool).tolist())
    linf = EvaluationRecord(
        len(robust),
        "linf",
        "quick",
        float(clean.mean()),
        (0, 1),
        [],
        [at],
        [],
        0.0,
        clean.astype(bool).tolist(),
    )
    return Record(RunConfig(seed=seed, eval_linf=(EPS,)), 1.0, linf, None, {}, [], {}, {})


def group(clean: float, robust: float, seed: int, n: int = 600, seeds: int = 4) -> list[Record]:
    """Runs whose images are right with probability ``clean``, and then robust with ``robust / clean``."""
    rng = np.random.default_rng(seed)
    right = rng.random((seeds, n)) < clean
    stands = right & (rng.random((seeds, n)) < robust / clean)
    return [record(s, right[s], stands[s]) for s in range(seeds)]


@pytest.mark.parametrize("seed", range(30))
def test_the_rival_is_the_optimum_of_a_linear_program(seed):
    """Maximise robustness over all mixtures, of any number of rivals, that are at least as accurate."""
    rng = np.random.default_rng(seed)
    labels = [f"row {i}" for i in range(int(rng.integers(1, 8)))]
    clean, attacked = (dict(zip(labels, rng.random(len(labels)), strict=True)) for _ in range(2))
    target = float(rng.uniform(0, max(clean.values())))
    found = matching.best_mixture(target, clean, attacked)
    best = linprog(
        [-attacked[label] for label in labels],
        A_ub=[[-clean[label] for label in labels]],
        b_ub=[-target],
        A_eq=[[1.0] * len(labels)],
        b_eq=[1.0],
    )
    assert sum(found.values()) == pytest.approx(1) and min(found.values()) > 0
    assert sum(share * clean[label] for label, share in found.items()) >= target - 1e-9
    assert sum(share * attacked[label] for label, share in found.items()) == pytest.approx(
        -best.fun, abs=1e-9
    )


def test_where_no_rival_is_as_accurate_it_is_the_most_accurate():
    assert matching.best_mixture(0.95, {"a": 0.9, "b": 0.8}, {"a": 0.1, "b": 0.7}) == {"a": 1.0}


def test_a_rival_that_chance_has_chosen_does_not_win_by_it():
    """Thirty rivals are worth what the target is. The best on one half looks better there, and only there."""
    target = group(0.9, 0.5, seed=0)
    rivals = {f"rival {i}": group(0.9, 0.5, seed=i) for i in range(1, 31)}
    found = matching.match(target, rivals, EPS)
    low, high = found.attacked.interval(0.999)
    assert low < 0 < high and abs(found.attacked.mean) < 0.03
    flattered = []
    for half, mixture in ((0, found.even), (1, found.odd)):
        tables = {
            label: np.array([r.linf.at[0].robust for r in rivals[label]])[:, half::2] for label in mixture
        }
        own = np.array([r.linf.at[0].robust for r in target])[:, half::2].mean()
        flattered.append(own - sum(share * tables[label].mean() for label, share in mixture.items()))
    assert np.mean(flattered) < found.attacked.mean - 0.02, "on its own images the chosen rival is ahead"


def test_what_the_target_is_ahead_by_is_found():
    target = group(0.85, 0.6, seed=0, n=4000)
    rivals = {"accurate": group(0.9, 0.3, seed=1, n=4000), "robust": group(0.8, 0.5, seed=2, n=4000)}
    found = matching.match(target, rivals, EPS)
    assert {*found.even} == {*found.odd} == {*rivals}
    assert found.attacked.mean == pytest.approx(0.2, abs=0.02) and found.clean.mean == pytest.approx(
        0, abs=0.015
    )
    assert found.attacked.images and found.attacked.seeds == 4
    assert (
        matching.words({"a": 0.25, "b": 0.75}) == "0.25 × a + 0.75 × b" and matching.words({"a": 1.0}) == "a"
    )


def test_what_cannot_be_matched_is_said():
    target = group(0.9, 0.5, seed=0, n=40)
    with pytest.raises(ValueError, match="rivals is empty"):
        matching.match(target, {}, EPS)
    with pytest.raises(
        ValueError, match=r"different seeds, the target: \[0, 1, 2, 3\]; other: \[3, 2, 1, 0\]"
    ):
        matching.match(target, {"other": target[::-1]}, EPS)
    old = [dataclasses.replace(r, linf=dataclasses.replace(r.linf, clean=None)) for r in target]
    with pytest.raises(ValueError, match="do not keep the verdict of each clean image"):
        matching.match(target, {"old": old}, EPS)


def test_on_real_records():
    """Digits: SAM (ρ = 0.4) against the controls, and against itself, where nothing is left."""
    digits = study("digits", seeds=5)
    sam = digits.row("sam", rho=0.4)
    found = sam.matched(digits.controls, 0.1)
    assert found.clean.interval(0.99)[1] > -0.01, "the rival is at least as accurate, up to chance"
    assert found.attacked.mean < sam.versus(digits.row("sgd"), 0.1).mean
    alone = sam.matched([sam], 0.1)
    assert alone.even == alone.odd == {sam.label: 1.0} and alone.attacked.mean == alone.clean.mean == 0


def test_a_table_of_matches() -> None:
    """Its points by hand: odd images judge the rival of the even ones, and the other way round."""
    target = group(0.85, 0.6, seed=0)
    rivals = {"accurate": group(0.9, 0.3, seed=1), "robust": group(0.8, 0.5, seed=2)}
    matches = {
        "whole": matching.match(target, rivals, EPS),
        "alone": matching.match(target, {"it": target}, EPS),
    }
    shown = matching.table(matches, "made-up images")
    (columns,) = tables(shown.markup.replace("\xa0", " ").replace("−", "-"))
    means = {}
    for column, of in (("95 % interval", lambda r: r.linf.at[0].robust), ("clean", lambda r: r.linf.clean)):
        halves = []
        for half, mixture in ((1, matches["whole"].even), (0, matches["whole"].odd)):
            own = np.array([of(r) for r in target], float)
            for label, share in mixture.items():
                own -= share * np.array([of(r) for r in rivals[label]])
            halves.append(own[:, half::2])
        means[column] = 100 * np.mean(halves)
        low, high = (float(end) for end in columns[column][0].split(" to "))
        assert low < high and (low + high) / 2 == pytest.approx(means[column], abs=0.051)
        assert columns[column][1] == "–"  # against itself not one verdict differs
    even = matches["whole"].even
    assert columns["SAM"] == ["whole", "alone"]
    assert columns["rival, mostly"] == ["accurate" if even["accurate"] > 0.5 else "robust", "it"]
    assert columns["robust"] == [f"{means['95 % interval']:+.1f}", "+0.0"]
    assert shown.alt.endswith("; made-up images. Intervals are over 4 seeds and the test images.")
    fewer = matching.match(target[:3], {"it": target[:3]}, EPS)
    both = matching.table({**matches, "fewer": fewer}, "x", target="AT").alt
    assert both.startswith("AT minus its rival") and "over 3 or 4 seeds" in both
    with pytest.raises(ValueError, match="needs one at least, got none"):
        matching.table({}, "x")


def test_a_match_of_one_seed_or_of_rivals_that_lack_one_says_so():
    digits = study("digits", seeds=2)
    sam, controls = digits.row("sam", rho=0.4), digits.controls
    with pytest.raises(ValueError, match=r"judged over two seeds at least, got \[1\]"):
        sam.of([1]).matched(controls, 0.1)
    with pytest.raises(ValueError, match=r"SGD, 8 epochs has no run with seed 1; its seeds: \[0\]"):
        sam.matched((row.of([0]) for row in controls), 0.1)


def test_of_equal_mixtures_the_first_rivals_make_it_in_any_process():
    """The order of a set of labels changes from process to process."""
    rivals = {f"low {i}": 0.8 for i in range(8)} | {"high": 0.9}
    attacked = {f"low {i}": 0.5 for i in range(8)} | {"high": 0.3}
    for turned in (rivals, dict(reversed(rivals.items()))):
        first = next(label for label in turned if label != "high")
        assert list(matching.best_mixture(0.85, turned, attacked)) == [first, "high"]


def test_a_mixture_of_nothing():
    with pytest.raises(ValueError, match="there is nothing to mix"):
        matching.best_mixture(0.5, {}, {})
