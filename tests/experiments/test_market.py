"""Prices, purchases and balances (chapter 14), each computed a second time from the records."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from sam_edu import widgets
from sam_edu.experiments import Study, balance, load_records, market, protocols, study, study_plots
from sam_edu.experiments.comparison import holm
from sam_edu.experiments.row import Row
from sam_edu.experiments.uncertainty import Estimate

EPS = 8 / 255


@pytest.fixture(scope="module")
def fashion() -> Study:
    return study("fashion-mnist")


def tables(name: str, seeds: int, eps: float) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Label -> verdicts of clean and of attacked images, read from the records: (seeds, images)."""
    groups = load_records(protocols.configs(name, range(seeds)))
    return {
        label: (
            np.array([r.linf.clean for r in group], dtype=float),
            np.array([r.linf.entry(eps).robust for r in group], dtype=float),
        )
        for label, group in groups.items()
    }


def said(markup: str) -> str:
    """Cells as they were handed over: the page has other blanks and minus signs."""
    return markup.replace("\N{NO-BREAK SPACE}", " ").replace("−", "-")


def test_a_table_of_prices(digits: Study) -> None:
    sgd, sam, at = digits.row("sgd"), digits.row("sam", rho=0.4), digits.row("at", eps=0.1)
    shown = market.prices(digits, [sgd, sam, at], sam, 0.1, about="Digits, MLP")
    assert shown.alt == (
        "Digits, MLP, in per cent: mean ± standard deviation over 3 seeds, 500 test images. Passes: gradient "
        "passes, SGD = 1. Last column: points above SAM at 0.1, 95 % interval over seeds and test images."
    )
    for cell in ("against SAM ρ=0.4", "<td>1</td>", "<td>2</td>", f"<td>{1 + at.config.attack_steps}</td>"):
        assert cell in said(shown.markup)
    kept = 100 * np.array([r.linf.entry(0.1).accuracy for r in at.records])
    assert f"{kept.mean():.1f} ± {kept.std(ddof=1):.1f}" in said(shown.markup)
    assert at.versus(sam, 0.1).points() in said(shown.markup) and "<td></td>" in said(shown.markup)
    with pytest.raises(ValueError, match="a test needs two at least"):
        market.prices(digits, [sgd.of([0])], sam.of([0]), 0.1, "One seed")


@pytest.mark.parametrize("name, eps", [("digits", 0.1), ("fashion-mnist", EPS)])
def test_the_best_buy_is_the_one_that_the_live_figure_rings(name: str, eps: float) -> None:
    table = study(name, seeds=3)
    figure = widgets.FrontierExplorer(table)
    for budget in (0.1, 0.3, 1, 2, 4.5, 6, 100):
        for points in (0, 0.5, 1, 3, 10):
            best = figure.best(eps, budget, points)
            if best is not None:
                assert market.buy(table, eps, budget, points / 100).best.label == best


@pytest.mark.parametrize("eps", [4 / 255, EPS])
def test_a_purchase_is_judged_on_the_images_that_took_no_part(fashion: Study, eps: float) -> None:
    verdicts = tables("fashion-mnist", 5, eps)
    passes = {row.label: row.passes / fashion.row("sgd").passes for row in fashion}
    floor = verdicts["SGD"][0].mean() - 0.02
    for budget in (0.3, 1, 2, 6):
        able = [n for n, (clean, _) in verdicts.items() if passes[n] <= budget and clean.mean() >= floor]
        even, odd = (max(able, key=lambda n: verdicts[n][1][:, half::2].mean()) for half in (0, 1))
        judged = np.concatenate([verdicts[even][1][:, 1::2], verdicts[odd][1][:, ::2]], axis=1).mean(1)
        found = market.buy(fashion, eps, budget, loss=0.02)
        assert {row.label for row in market.affordable(fashion, budget, 0.02)} == set(able)
        assert (found.even.label, found.odd.label) == (even, odd)
        assert found.judged.mean == pytest.approx(judged.mean())
        assert found.judged.sd == pytest.approx(judged.std(ddof=1))
        assert str(found) == (
            f"budget {budget}: {found.best.label}; one half of the images chooses {even}, the other {odd}; "
            f"judged on the half that did not choose: {100 * judged.mean():.1f} %"
        )


def test_of_two_equals_the_cheaper_one_and_a_row_exactly_at_the_limit(digits: Study) -> None:
    sgd, sam = digits.row("sgd"), digits.row("sam", rho=0.4)
    dear = replace(sam, label="dear", config=replace(sam.config, epochs=2 * sam.config.epochs))
    for rows in ([sgd, dear, sam], [sgd, sam, dear]):
        assert market.buy(Study("digits", rows), 0.1, budget=10).best is sam
    one_seed = Study("digits", [row.of([0]) for row in digits])
    for row in one_seed:  # of 500 images: losses that a reader would type, 0.002 and so on
        loss = round(one_seed.row("sgd").at(0).mean - row.at(0).mean, 3)
        assert row in market.affordable(one_seed, one_seed.cost(row), loss)
        assert row not in market.affordable(one_seed, one_seed.cost(row), loss - 1e-6)
        assert row not in market.affordable(one_seed, one_seed.cost(row) - 1e-6, loss)


def test_with_cheap_at_left_out_sam_would_be_the_best_buy(fashion: Study) -> None:
    """Chapter 14: which rows one runs decides who wins."""
    cheap = [row for row in fashion if row.method.key == "at" and fashion.cost(row) <= 2]
    assert market.buy(fashion, EPS, 2).best in cheap
    assert market.buy(fashion.without(cheap), EPS, 2).best.method.key == "sam"


def test_what_nobody_can_afford(digits: Study) -> None:
    with pytest.raises(ValueError, match=r"nothing costs at most 0\.01 times .* at most 1 points .* raise"):
        market.buy(digits, 0.1, budget=0.01)


def test_a_balance_sorts_rows_by_tests_over_seeds_and_images(digits: Study) -> None:
    verdicts, sgd, margin = tables("digits", 3, 0.1), digits.row("sgd"), 0.02
    names = [name for name in verdicts if name != "SGD"]
    clean, attacked = ({n: Estimate.of(verdicts[n][i] - verdicts["SGD"][i]) for n in names} for i in (0, 1))
    p0, p1 = (dict(zip(names, holm([e[n].p for n in names]), strict=True)) for e in (clean, attacked))
    gained = {n for n in names if p1[n] < 0.05 and attacked[n].mean > 0}
    ends = {n: clean[n].interval(0.9) for n in names}
    level = {n for n in names if -margin < ends[n][0] and ends[n][1] < margin}
    expected = {
        "compared": set(names),
        "gained": gained,
        "unsure": {n for n in names if p1[n] >= 0.05},
        "level": level,
        "free": gained & level,
        "safe": {n for n in gained if ends[n][0] > -margin},
        "paid": {n for n in gained if p0[n] < 0.05 and clean[n].mean < 0},
    }
    found = balance.against(digits, sgd, 0.1, margin)
    assert {name: {row.label for row in getattr(found, name)} for name in expected} == expected
    assert found.counts == {name: len(rows) for name, rows in expected.items()}
    assert len(set(found.counts.values())) > 3 and 0 < len(gained) < len(names)
    assert balance.labels(found.unsure, "; ") == "; ".join(row.label for row in found.unsure)
    assert balance.labels([]) == "none"
    with pytest.raises(ValueError, match="nothing to compare"):
        balance.against(digits.select([sgd]), sgd, 0.1)


def test_what_a_class_pays(digits: Study) -> None:
    sgd, awp = digits.row("sgd"), digits.row("awp")
    shown = market.class_pays(digits, "8", 0.1, [sgd, awp], about="Digits", up={"SGD": 4})
    paid = np.mean([r.linf.clean_per_class[8] for r in sgd.records])
    assert f"clean accuracy on '8': SGD {paid:.0%}; " in shown.alt
    assert f"accuracy at ε = 0.1 (all classes): SGD {sgd.at(0.1).mean:.0%}; " in shown.alt
    assert "Digits, one point per setting, means over 3 seeds." in shown.markup
    assert "What the class '8' pays for robustness" in shown.markup
    assert ">AWP ε=0.1</text>" in shown.markup and ">AWP γ=0.005 ε=0.1</text>" not in shown.markup
    with pytest.raises(ValueError, match="no class 'shirt'; digits has 0, 1, 2"):
        market.class_pays(digits, "shirt", 0.1, [sgd], about="Digits")


def test_gains_at_every_radius(digits: Study, fashion: Study) -> None:
    sgd, weak, sam = digits.row("sgd"), digits.row("sam", rho=0.1), digits.row("sam", rho=0.4)
    awp = digits.row("awp")
    shown = study_plots.by_radius([weak, sam, awp], sgd, "x", about="Digits", up={awp.label: 5})
    accuracies = {
        row.label: np.mean(
            [[r.linf.clean_accuracy, *(at.accuracy for at in r.linf.attacked)] for r in row.records], axis=0
        )
        for row in (sgd, weak, sam, awp)
    }
    for row in (weak, sam, awp):
        gains = 100 * (accuracies[row.label] - accuracies["SGD"])
        assert f"{row.label} " + ", ".join(f"{gain:+.1f}" for gain in gains) in shown.alt
    assert shown.alt.startswith("Points above SGD at radii 0, 0.03, 0.06, 0.1, 0.15: SAM ρ=0.1 ")
    assert "Digits, means over 3 seeds, paired with SGD." in shown.markup
    assert '[["digits", 12, 3]]' in shown.markup and ">AWP ε=0.1</text>" in shown.markup
    assert shown.markup.count("opacity: 0.55") > 0, "the weaker of two rows in one look is faint"
    crowded = study_plots.by_radius([fashion.row("awp")], fashion.row("sgd"), "x", about="Fashion").markup
    ticks = re.findall(r">(\d+/255)</text>", crowded)
    assert ticks == ["4/255", "8/255", "16/255"], "2/255 would be written over 0"
    alone = study_plots.by_radius([sam, awp], sgd, "x", about="Digits")
    assert alone.markup.count("opacity: 0.55") == 0
    with pytest.raises(ValueError, match="rows is empty"):
        study_plots.by_radius([], sgd, "x", about="Digits")


def under_way(digits: Study) -> Study:
    """Three seeds of SGD, of the others the first alone."""
    return Study("digits", [row if row.label == "SGD" else row.of([0]) for row in digits])


def test_the_reference_of_a_table_of_prices_is_named_in_full(digits: Study) -> None:
    """SGD for 8 epochs is not what a reader takes "SGD" for."""
    short = digits.row("sgd", epochs=8)
    shown = market.prices(digits, [digits.row("sgd"), short], short, 0.1, "Digits")
    assert "Last column: points above SGD, 8 epochs at 0.1" in shown.alt
    with pytest.raises(ValueError, match="needs a row at least, got none"):
        market.prices(digits, [], short, 0.1, "Digits")


def test_what_is_affordable_is_paired_and_a_purchase_needs_the_same_seeds(digits: Study) -> None:
    table, sgd = under_way(digits), digits.row("sgd")
    sam = table.row("sam", rho=0.4)
    lost = sgd.of([0]).at(0).mean - sam.at(0).mean
    unpaired = sgd.at(0).mean - sam.at(0).mean
    assert unpaired < lost - 1e-4, "the other seeds of SGD are less accurate"
    assert sam in market.affordable(table, 2, lost) and sam not in market.affordable(table, 2, unpaired)
    with pytest.raises(ValueError, match=r"different seeds, SGD: \[0, 1, 2\]; .* Study\.paired\(\) keeps"):
        market.buy(table, 0.1, 2)
    assert market.buy(table.paired(), 0.1, 2).judged.n == 1


def test_a_balance_is_against_a_row_of_its_study(digits: Study) -> None:
    """Another study's SGD would be weighed against its own namesake, and counted."""
    sgd = digits.row("sgd")
    with pytest.raises(ValueError, match=r"Row\('SGD', 3 seeds\) is not one of the rows of this study"):
        balance.against(digits.paired(), sgd, 0.1)
    with pytest.raises(ValueError, match=r"have different seeds, SGD: \[0, 1, 2\]; SAM"):
        balance.against(under_way(digits), sgd, 0.1)


def test_a_class_without_test_images_cannot_be_drawn(digits: Study) -> None:
    def holed(row: Row) -> Row:
        shares = [np.nan, *row.per_class()[1:]]
        return replace(
            row, records=[replace(r, linf=replace(r.linf, clean_per_class=shares)) for r in row.records]
        )

    table = Study("digits", [holed(digits.row("sgd")), digits.row("awp")])
    with pytest.raises(ValueError, match="no test image is of the class '0'"):
        market.class_pays(table, "0", 0.1, [], about="Digits")
    assert "clean accuracy on '1': SGD " in market.class_pays(table, "1", 0.1, [table.row("sgd")], "x").alt
    with pytest.raises(ValueError, match="is not one of the rows of this study"):
        market.class_pays(digits, "0", 0.1, [table.row("sgd")], about="Digits")


def test_gains_at_every_radius_count_the_seeds_that_are_paired(digits: Study) -> None:
    sam, sgd = digits.row("sam", rho=0.4), digits.row("sgd")
    shown = study_plots.by_radius([sam], sgd.of([0, 1]), "x", about="Digits")
    assert "Digits, means over 2 seeds, paired with SGD." in shown.markup


def test_prices_are_of_one_protocol(digits: Study, fashion: Study) -> None:
    """An epoch of theirs is not an epoch of ours: SGD itself would cost a half."""
    assert digits.cost(fashion.row("sgd")) == 0.5
    with pytest.raises(ValueError, match="SGD: prices are in passes of digits's SGD, not of theirs"):
        market.prices(digits, [fashion.row("sgd")], fashion.row("sam", rho=0.2), EPS, "Fashion-MNIST")
