"""Curves over epochs and over ρ show the numbers of the records."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from sam_edu.experiments import Study, load_records, protocols, study, study_curves, summary


@pytest.fixture(scope="module")
def digits() -> Study:
    return study("digits", seeds=2)


@pytest.fixture(scope="module")
def cnn() -> Study:
    return study("digits-cnn", seeds=2)


def drawn(shown: study_curves.plots.Shown, panel: int = 0) -> dict[str, dict[float, float]]:
    """Name of a series -> x -> y."""
    return {
        series["name"]: dict(zip(series["x"], series["y"], strict=True))
        for series in shown.data[panel]["series"]
    }


def test_accuracy_over_epochs_is_that_of_the_records(digits: Study) -> None:
    rows = digits.rows("sgd", epochs=(8, 20, 60))
    shown = study_curves.over_epochs(rows[::-1], 0.1, "Title", "Caption.", remark="and so on", ylim=(0.2, 1))
    groups = load_records(protocols.configs("digits", range(2)))
    labels = {8: "SGD, 8 epochs", 20: "SGD, 20 epochs", 60: "SGD"}
    for name, eps in (("clean", 0.0), ("ε = 0.1", 0.1)):
        for seed in range(2):
            own = {n: summary.column(groups[label], eps)[seed] for n, label in labels.items()}
            assert drawn(shown)[f"{name}, run {seed + 1}"] == pytest.approx(own)
        means = {n: summary.at(groups[label], eps).mean for n, label in labels.items()}
        assert drawn(shown)[name] == pytest.approx(means)
    said = [f"{100 * summary.at(groups[label], 0.1).mean:.1f}%" for label in labels.values()]
    assert re.findall(r"epochs ([\d.]+%)", shown.alt) == said and shown.alt.endswith("; and so on.")
    assert shown.data[0]["x"] == "epochs of SGD" and '[["digits", 6, 2]]' in shown.markup


def test_gains_over_rho_are_paired(digits: Study, cnn: Study) -> None:
    panels = {"weak": (0.03, {"MLP": digits, "CNN": cnn}), "strong": (0.1, {"CNN": cnn, "MLP": digits})}
    shown = study_curves.gains_over_rho(panels, "Title", "Caption.")
    for number, (eps, _) in enumerate(panels.values()):
        for name, protocol in (("MLP", "digits"), ("CNN", "digits-cnn")):
            groups = load_records(protocols.configs(protocol, range(2)))
            gains = {
                rho: 100 * (summary.column(groups[f"SAM ρ={rho}"], eps) - summary.column(groups["SGD"], eps))
                for rho in (0.05, 0.1, 0.2, 0.4, 0.8)
            }
            series = drawn(shown, number)
            for seed in range(2):
                assert series[f"{name}, run {seed + 1}"] == pytest.approx(
                    {r: g[seed] for r, g in gains.items()}
                )
            assert series[name] == pytest.approx({r: g.mean() for r, g in gains.items()})
            means = ", ".join(f"{g.mean():+.1f} at ρ = {r}" for r, g in gains.items())
            assert f"{list(panels)[number]}, {name}: {means}" in shown.alt
    assert [panel["title"] for panel in shown.data] == ["weak, ε = 0.03", "strong, ε = 0.1"]
    assert '[["digits", 24, 2], ["digits-cnn", 24, 2]]' in shown.markup


def test_what_cannot_be_drawn_is_said(digits: Study, cnn: Study) -> None:
    over, sgd = study_curves.over_epochs, digits.row("sgd")
    with pytest.raises(ValueError, match="rows of one method, got SAM, SGD"):
        over([sgd, digits.row("sam", rho=0.1)], 0.1, "x", "y")
    with pytest.raises(ValueError, match="rows of one method, got no rows at all"):
        over([], 0.1, "x", "y")
    with pytest.raises(ValueError, match=r"its own number of epochs, got \[60, 60\]: leave out"):
        over([sgd, digits.row("sgd", weight_decay=0.02)], 0.1, "x", "y")
    gains = study_curves.gains_over_rho
    with pytest.raises(ValueError, match="panels is empty"):
        gains({}, "x", "y")
    with pytest.raises(ValueError, match="all panels need the same networks, got MLP; MLP, CNN"):
        gains({"a": (0.1, {"MLP": digits}), "b": (0.1, {"MLP": digits, "CNN": cnn})}, "x", "y")
    with pytest.raises(ValueError, match="tells 3 networks apart, got 4"):
        gains({"a": (0.1, {name: digits for name in "abcd"})}, "x", "y")
    holes = Study("digits", [sgd, digits.row("sam", rho=0.1).of([1])])
    with pytest.raises(
        ValueError, match=r"digits: these rows have different seeds, SGD: \[0, 1\]; SAM ρ=0\.1: \[1\]"
    ):
        gains({"a": (0.1, {"MLP": holes})}, "x", "y")


def test_several_networks_look_different(digits: Study) -> None:
    shown = study_curves.gains_over_rho({"a": (0.1, {name: digits for name in "abc"})}, "x", "y")
    looks = {series["look"] for series in shown.data[0]["series"] if series["name"] in "abc"}
    assert len(looks) == 3 and len(np.unique([str(look) for look in study_curves.LOOKS])) == 3


def test_a_curve_over_epochs_is_of_one_setting_and_the_same_seeds(digits: Study) -> None:
    over, sgd, short = study_curves.over_epochs, digits.row("sgd"), digits.row("sgd", epochs=8)
    for rows in ([sgd, short.of([0])], [sgd.of([0]), short.of([1])]):
        with pytest.raises(ValueError, match="these rows have different seeds"):
            over(rows, 0.1, "x", "y")
    decay = digits.row("sgd", weight_decay=0.02)
    with pytest.raises(ValueError, match="differ in these alone, got SGD, 8 epochs; SGD, weight decay 0"):
        over([decay, short], 0.1, "x", "y")
    weak = digits.row("sam", rho=0.1)
    config = dataclasses.replace(weak.config, epochs=8, rho=0.4)
    brief = dataclasses.replace(weak, label="SAM ρ=0.4, 8 epochs", config=config, varies={"epochs": 8})
    with pytest.raises(ValueError, match=r"differ in these alone, got SAM ρ=0\.4, 8 epochs; SAM ρ=0\.1"):
        over([weak, brief], 0.1, "x", "y")


def test_a_line_over_rho_goes_from_small_to_large(digits: Study) -> None:
    turned = Study("digits", [digits.row("sgd"), *digits.rows("sam")[::-1]])
    shown, plain = (study_curves.gains_over_rho({"a": (0.1, {"MLP": t})}, "x", "y") for t in (turned, digits))
    assert shown.alt == plain.alt and shown.data == plain.data
    with pytest.raises(ValueError, match="digits has no row of SAM"):
        study_curves.gains_over_rho({"a": (0.1, {"MLP": digits.select([digits.row("sgd")])})}, "x", "y")
