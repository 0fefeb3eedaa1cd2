"""The ladder figure: its interval against Python's, its records, what it refuses, what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam_edu import widgets
from sam_edu.evaluation import AtRadius, EvaluationRecord, RungResult, wilson
from sam_edu.widgets.base import HERE
from tests.browser import settle
from tests.figures import MAKE, ladder_arguments
from tests.widgets.page import page as page_of


def test_wilson_equals_python(browser: Any) -> None:
    """Golden vectors: all shares of small samples, then random ones up to ten million images."""
    rng = np.random.default_rng(11)
    small = [(hits, n) for n in (1, 2, 7, 20) for hits in range(n + 1)]
    drawn = [(round(n * rng.uniform()), n) for n in (10 ** rng.uniform(0.5, 7, 260)).astype(int)]
    cases = [(int(h), int(n)) for h, n in small + drawn]
    tab = browser.new_page()
    source = json.dumps((HERE / "ladder_math.js").read_text(encoding="utf-8"))
    found = tab.evaluate(
        f"""async (cases) => {{ const blob = new Blob([{source}], {{type: "text/javascript"}});
        const m = await import(URL.createObjectURL(blob));
        return cases.map(([h, n]) => m.wilson(h, n)); }}""",
        cases,
    )
    tab.close()
    assert len(cases) >= 200
    np.testing.assert_allclose(found, [wilson(h, n) for h, n in cases], rtol=0, atol=1e-14)


def record(accuracies: list[float], n: int = 100, labels: tuple[str, ...] = ("FGSM", "PGD-20")) -> Any:
    """An evaluation at one radius that says so after each rung."""
    rungs = [RungResult(label, value, n, 0.0) for label, value in zip(labels, accuracies, strict=True)]
    last = accuracies[-1]
    entry = AtRadius(0.1, last, wilson(round(n * last), n), [last], rungs, [True] * n)
    return EvaluationRecord(n, "linf", "quick", 0.9, wilson(90, 100), [0.9], [entry], [], 0.0)


def test_from_records_takes_over_the_measurement() -> None:
    figure = widgets.LadderExplorer.from_records(
        {"SGD": record([0.5, 0.3]), "odd": record([0.9, 0.8])}, {"odd": "AT"}
    )
    assert figure.rungs == ["FGSM", "PGD-20"] and figure.eps_grid == [0.1]
    assert figure.measured_n == figure.n == 100 and figure.eps == 0.1
    assert [row["kind"] for row in figure.rows] == ["SGD", "AT"]
    look = {"css": "se-at", "shape": "triangle", "dash": "se-dash", "control": False}
    assert figure.rows[1] == {"name": "odd", "kind": "AT", "style": look, "clean": 0.9, "after": [[0.9, 0.8]]}


@pytest.mark.parametrize(
    "other", [record([0.5, 0.3], n=50), record([0.5, 0.3], labels=("FGSM", "PGD-50"))], ids=["n", "rungs"]
)
def test_records_of_different_ladders_are_refused(other: Any) -> None:
    with pytest.raises(widgets.WidgetValueError, match="must share images, radii and rungs"):
        widgets.LadderExplorer.from_records({"a": record([0.5, 0.3]), "b": other})


def changed(**change: Any) -> Callable[[], Any]:
    return lambda: widgets.LadderExplorer(**(ladder_arguments() | change))


def first_row(**change: Any) -> Callable[[], Any]:
    rows = ladder_arguments()["rows"]
    return changed(rows=[rows[0] | change, *rows[1:]])


BAD = {
    "no rows": (changed(rows=[]), "needs rows, rungs and an increasing eps_grid, got 0 rows"),
    "radii": (changed(eps_grid=[0.1, 0.05]), "increasing eps_grid"),
    "rises": (first_row(after=[[0.8, 0.9, 0.7, 0.7], [0.5, 0.3, 0.3, 0.2]]), "not rise from rung to rung"),
    "per cent": (first_row(clean=97.0), "accuracies must lie in [0, 1]"),
    "rungs": (first_row(after=[[0.8], [0.5]]), "2 lists of 4 accuracies, got lengths [1, 1]"),
    "key": (lambda: widgets.LadderExplorer([{"name": "x"}], ["FGSM"], [0.1], 10), "rows[0] needs 'kind'"),
    "model": (changed(model=3), "model must be from 0 to 2, got 3"),
    "rung": (changed(rung=4), "rung must be from 0 to 3, got 4"),
    "eps": (changed(eps=-1), "eps must be a number from 0 to 100, got -1"),
    "n": (changed(n=0), "n must be a whole number from 1"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_values_are_refused_in_one_line(case: str) -> None:
    make, message = BAD[case]
    with pytest.raises(widgets.WidgetValueError) as caught:
        make()
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_the_sentence_is_right(browser: Any, tmp_path: Path) -> None:
    """The share, its interval for the chosen n, what follows, and who leads here and in the end."""
    file = tmp_path / "ladder.html"
    file.write_text(page_of(MAKE["ladder"]()), encoding="utf-8")
    tab = browser.new_page()
    tab.goto(file.as_uri())
    tab.wait_for_function("window.ready")

    def said() -> str:
        settle(tab)
        return tab.locator(".se-live").text_content().replace("\u202f", " ")

    low, high = (100 * value for value in wilson(94, 100))
    assert said() == (
        f"At ε = 0.1, after PGD-20, hot keeps 94.0 % (95 % interval {low:.1f} to {high:.1f} %; "
        "n = 100 images, as measured). The rungs above it leave 10.0 %. Here hot leads, clearly; at the end "
        "of the ladder AT does."
    )
    tab.evaluate("model.set('n', 1000); model.set('rung', 3)")
    low, high = (100 * value for value in wilson(100, 1000))
    assert f"hot keeps 10.0 % (95 % interval {low:.1f} to {high:.1f} %; if 1 000 images" in said()
    assert said().endswith("Here AT leads, clearly.")
    tab.close()
