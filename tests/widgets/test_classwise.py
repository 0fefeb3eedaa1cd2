"""The classwise figure: its records, what it refuses, what it draws and says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam_edu import widgets
from sam_edu.experiments import load_records, protocols, study
from tests.browser import settle
from tests.figures import MAKE, classwise_arguments
from tests.widgets.page import page as page_of


@pytest.fixture(scope="module")
def groups() -> dict[str, Any]:
    wanted = ("SGD", "AT ε=8/255")
    some = {k: v for k, v in protocols.configs("fashion-mnist", range(3)).items() if k in wanted}
    return load_records(some)


CLASSES = [str(c) for c in range(10)]


def test_from_records_takes_over_the_measurement(groups: dict[str, Any]) -> None:
    kinds = {row.label: row.kind for row in study("fashion-mnist", 2)}
    figure = widgets.ClasswiseExplorer.from_records(groups, kinds, CLASSES, method=1)
    assert figure.eps_grid[0] == 0 and figure.eps_grid[1:] == [e.eps for e in groups["SGD"][0].linf.at]
    for row, records in zip(figure.rows, groups.values(), strict=True):
        clean = np.array([r.linf.clean_per_class for r in records])
        np.testing.assert_allclose(row["mean"][0], clean.mean(0), atol=5e-5)
        last = np.array([r.linf.at[-1].per_class for r in records])
        np.testing.assert_allclose(row["low"][-1], last.min(0), atol=5e-5)
        np.testing.assert_allclose(row["high"][-1], last.max(0), atol=5e-5)
    assert [row["kind"] for row in figure.rows] == ["SGD", "AT"]


def test_runs_at_other_radii_are_refused(groups: dict[str, Any]) -> None:
    from dataclasses import replace

    odd = [replace(r, linf=replace(r.linf, at=r.linf.at[:1])) for r in groups["AT ε=8/255"]]
    with pytest.raises(widgets.WidgetValueError, match="'AT' was attacked at"):
        widgets.ClasswiseExplorer.from_records(
            {"SGD": groups["SGD"], "AT": odd}, {"SGD": "SGD", "AT": "AT"}, CLASSES
        )


def changed(**change: Any) -> Callable[[], Any]:
    return lambda: widgets.ClasswiseExplorer(**(classwise_arguments() | change))


def first_row(**change: Any) -> Callable[[], Any]:
    rows = classwise_arguments()["rows"]
    return changed(rows=[rows[0] | change, *rows[1:]])


BAD = {
    "radii": (changed(eps_grid=[0.1, 0.0]), "increasing eps_grid"),
    "classes": (changed(class_names=[]), "needs class names"),
    "no SGD": (first_row(kind="AT"), "exactly one row must be of kind 'SGD'"),
    "per cent": (first_row(mean=[[90, 95, 70], [50, 60, 20]]), "accuracies in [0, 1]"),
    "shape": (first_row(low=[[0.9, 0.9, 0.7]]), "low must hold 2 lists of 3 accuracies"),
    "nan": (first_row(mean=[[0.9, np.nan, 0.7], [0.5, 0.6, 0.2]]), "accuracies in [0, 1]"),
    "key": (changed(rows=[{"name": "SGD"}]), "rows[0] needs 'kind'"),
    "method": (changed(method=4), "method must be from 0 to 3, got 4"),
    "chosen": (changed(chosen=3), "chosen must be from 0 to 2, got 3"),
    "eps": (changed(eps=-1), "eps must be a number from 0 to 100, got -1"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_values_are_refused_in_one_line(case: str) -> None:
    make, message = BAD[case]
    with pytest.raises(widgets.WidgetValueError) as caught:
        make()
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_the_sentence_and_the_marks_are_right(browser: Any, tmp_path: Path) -> None:
    """JavaScript's averages, extremes and differences equal those of NumPy for every state."""
    file = tmp_path / "classwise.html"
    file.write_text(page_of(MAKE["classwise"]()), encoding="utf-8")
    tab = browser.new_page()
    tab.goto(file.as_uri())
    tab.wait_for_function("window.ready")

    def said() -> str:
        settle(tab)
        return tab.locator(".se-live").text_content().replace("\u202f", " ")

    assert said() == (
        "AT ε=32/255, no attack: 63.3 % on average over the classes; the worst is shirt with 20.0 %, the "
        "best bag with 90.0 %. Against SGD the average changes by −21.7 points, class shirt by −50.0."
    )
    arguments = classwise_arguments()
    rows, names = arguments["rows"], arguments["class_names"]
    for method, row in enumerate(rows):
        for k, eps in enumerate(arguments["eps_grid"]):
            tab.evaluate(f"model.set('method', {method}); model.set('eps', {eps})")
            text, values = said(), row["mean"][k]
            assert f"{100 * values.mean():.1f} % on average" in text
            assert f"the worst is {names[values.argmin()]} with {100 * values.min():.1f} %" in text
            assert ("attack of ε = 8/255" if k else "no attack") in text
            if method:
                change = 100 * (values[2] - rows[0]["mean"][k][2])
                assert f"class shirt by {'−' if change < 0 else '+'}{abs(change):.1f}" in text
    tab.close()
