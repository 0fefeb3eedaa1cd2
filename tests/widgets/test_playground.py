"""The playground: trains at the press of a key, says what it measured, never freezes, refuses bad values."""

from __future__ import annotations

import json
import re
import statistics
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from book.tools.author import playground_runs
from sam_edu import data, methods, widgets
from tests.browser import DATA, NOT_A_NUMBER, PAINT, TEXTS, rest, settle, time_moves
from tests.widgets.page import page as page_of

AXE = Path(__import__("axe_playwright_python").__file__).with_name("axe.min.js").read_text("utf-8")
SHORT: dict[str, Any] = {"data": "features", "epochs": 4, "attack": 0.15}


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    tabs = []

    def make(
        width: int = 800, theme: str = "light", hash_: str = "", still: bool = False, **start: Any
    ) -> Any:
        file = tmp_path / "playground.html"
        file.write_text(page_of(widgets.Playground(**(SHORT | start)), theme=theme), encoding="utf-8")
        motion = "reduce" if still else "no-preference"
        tab = browser.new_page(viewport={"width": width, "height": 900}, reduced_motion=motion)
        tabs.append(tab)
        tab.log = []
        tab.on("console", lambda message: tab.log.append(message.text))
        tab.on("pageerror", lambda error: tab.log.append(str(error)))
        tab.goto(file.as_uri() + hash_)
        tab.wait_for_function("window.ready")
        return tab

    yield make
    for tab in tabs:
        tab.close()


def press(tab: Any, name: str = "Start") -> None:
    tab.get_by_role("button", name=name, exact=True).press("Enter")


def done(tab: Any, runs: int = 1) -> list[dict[str, Any]]:
    """The runs as Python gets them, once the last one is finished."""
    tab.wait_for_function(f"model.get('runs').length === {runs}", timeout=120_000)
    settle(tab)
    return tab.evaluate("model.get('runs')")


def spoken(tab: Any) -> str:
    settle(tab)
    return tab.locator(".se-live").text_content().replace("\u202f", " ")


def put(tab: Any, **settings: Any) -> None:
    tab.evaluate("(s) => { for (const name in s) model.set(name, s[name]); }", settings)


def test_trains_and_says_what_it_measured(show: Any) -> None:
    tab = show()
    assert spoken(tab).startswith(
        "Nothing has been trained yet. Start: SGD, 4 epochs; robust and fragile feature; "
    )
    press(tab)
    (run,) = done(tab)
    points = run["points"]
    assert len(points) == 5 and [p["passes"] for p in points] == [0, 1, 2, 3, 4]
    assert run["method"] == "sgd" and run["letter"] == "A" and points[-1]["loss"] < points[1]["loss"]
    last, rise = points[-1], points[-1]["along"][2] - points[-1]["along"][0]
    assert spoken(tab).startswith(
        f"Run A, SGD, after 4 epochs: {100 * last['clean']:.1f} % of the test samples right, "
        f"{100 * last['robust']:.1f} % under attack (ε = 0.15), for 4 gradient passes over the training set. "
        f"Within 0.2 the loss rises by {rise:.3f}."
    )
    assert tab.evaluate("model.saved") > 0 and tab.log == []
    put(tab, method="both", rho=0.1, eps=0.15)
    assert "The settings have changed: Start makes a new run beside it." in spoken(tab)
    press(tab)
    both = done(tab, 2)[1]
    assert [p["passes"] for p in both["points"]] == [0, 5, 10, 15, 20]
    gap = 100 * (both["points"][-1]["robust"] - last["robust"])
    assert f"Compared with run A (SGD) that is {gap:+.1f} points".replace("-", "−") in spoken(tab)
    assert spoken(tab).endswith("for 5.0 times its passes.")
    tab.locator("details.se-table summary").press("Enter")
    rest(tab, 0)  # the fold tells that it opened in a turn of its own
    assert tab.locator(".se-table tbody tr").count() == 1 + 2 + 5 + 5
    put(tab, seed=1)
    press(tab)
    done(tab, 3)
    put(tab, seed=2)
    press(tab)
    tab.wait_for_function("model.get('runs').some((r) => r.seed === 2)")
    assert [run["letter"] for run in done(tab, 3)] == ["B", "C", "A"]  # the oldest went
    press(tab, "Clear runs")
    assert tab.evaluate("model.get('runs')") == [] and spoken(tab).startswith("Nothing has been trained")
    assert tab.log == []


def test_the_same_settings_give_the_same_run_however_it_is_stopped(show: Any) -> None:
    tab = show(method="at", epochs=10)
    press(tab)
    whole = done(tab)[0]["points"]
    press(tab, "Clear runs")
    for epochs in (1, 2):
        press(tab, "One epoch")
        tab.wait_for_function(f"model.get('runs')[0]?.points.length === {epochs + 1}")
    press(tab, "Go on")
    press(tab, "Stop")
    part = tab.evaluate("model.get('runs')[0].points")
    if len(part) < 11:
        rest(tab, 400)
        press(tab, "Go on")
    tab.wait_for_function("model.get('runs')[0].points.length === 11")
    assert tab.evaluate("model.get('runs')[0].points") == whole and tab.log == []


def test_another_radius_of_the_test_measures_the_run_anew(show: Any) -> None:
    tab = show()
    press(tab)
    done(tab)
    put(tab, attack=0.05)
    tab.wait_for_function(
        "document.querySelector('.se-live').textContent.includes('ε = 0.05')", timeout=60_000
    )
    found = tab.locator("svg.se-plot desc").first.text_content()
    fresh = show(attack=0.05)
    press(fresh)
    done(fresh)
    assert found == fresh.locator("svg.se-plot desc").first.text_content()


def test_a_link_reproduces_the_settings_and_so_the_run(show: Any) -> None:
    tab = show()
    put(tab, method="sam", rho=0.4, seed=3, decay=0.0)
    settle(tab)
    link = tab.get_by_role("link", name="Link to this state").get_attribute("href")
    press(tab)
    first = done(tab)
    assert re.fullmatch(r"#se-[\w-]+", link)
    again = show(hash_=link)
    press(again)
    assert done(again) == first and first[0]["seed"] == 3 and first[0]["rho"] == 0.4


def test_nothing_moves_before_start_and_little_where_motion_is_reduced(show: Any) -> None:
    tab = show(still=True, epochs=40)
    count = """() => { window.moved = 0; new MutationObserver(() => window.moved++).observe(
      document.querySelector("svg.se-plot"), {attributes: true, subtree: true}); }"""
    tab.evaluate(count)
    rest(tab, 400)
    assert tab.evaluate("window.moved") == 0
    press(tab)
    done(tab)
    assert 1 <= tab.evaluate("window.moved") <= 14  # 40 epochs, drawn at most once a second


@pytest.mark.parametrize("small", [False, True])
def test_every_control_changes_what_is_said_by_keyboard(show: Any, small: bool) -> None:
    """And nothing that is drawn or said is no number, in a phone's width."""
    tab = show(small=small, data="moons", width=360)
    sliders = tab.locator("input[type=range]").all()
    assert len(sliders) == (2 if small else 7)
    for slider in sliders:
        slider.focus()
        said, drawn = [], []
        for key in ("Home", "End", "ArrowLeft"):
            tab.keyboard.press(key)
            said.append(spoken(tab))
            drawn.append(tab.locator(".sam-edu").evaluate(DATA))
        assert len(set(said)) == len(set(drawn)) == 3
        assert not NOT_A_NUMBER.search(tab.locator(".sam-edu").evaluate(TEXTS))
        assert slider.get_attribute("aria-valuetext")
    outside = tab.evaluate(
        """() => [...document.querySelectorAll(".se-plot text")].filter((n) => {
          if (n.style.display === "none" || !n.textContent) return false;
          const t = n.getBoundingClientRect(), b = n.ownerSVGElement.getBoundingClientRect();
          return t.left < b.left - 4 || t.right > b.right + 14 || t.top < b.top - 3; })
        .map((n) => n.textContent)"""
    )
    assert outside == [] and tab.log == []


def test_divergence_is_said(show: Any) -> None:
    tab = show(rate=1, method="sam", rho=3, epochs=100, decay=0.05, data="spirals")
    press(tab)
    done(tab)
    assert len(tab.evaluate("model.get('runs')[0].points")) > 1
    assert re.search(r"diverged|after 100 epochs", spoken(tab)) and tab.log == []


@pytest.mark.parametrize(("theme", "width"), [("light", 800), ("dark", 390)])
def test_axe_finds_nothing_and_a_phone_has_buttons(show: Any, theme: str, width: int) -> None:
    tab = show(width=width, theme=theme)
    press(tab)
    done(tab)
    tab.evaluate(AXE)
    rules = [
        "color-contrast", "label", "button-name", "role-img-alt", "svg-img-alt", "select-name",
        "aria-allowed-attr", "aria-hidden-focus", "nested-interactive", "target-size",
        "scrollable-region-focusable",
    ]  # fmt: skip
    found = tab.evaluate(
        """async (values) => (await axe.run(".sam-edu", {runOnly: {type: "rule", values}}))
        .violations.map((v) => [v.id, v.nodes[0].html])""",
        rules,
    )
    assert found == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    more = tab.get_by_role("button", name="ρ (SAM, ASAM), one step up")
    assert more.is_visible() == (width == 390)
    if width == 390:
        more.click()
        assert tab.evaluate("model.get('rho')") == 0.3 and more.bounding_box()["height"] >= 36
    words = tab.locator("canvas").get_attribute("aria-label")
    assert re.search(r"\d+ of 36", words)


@pytest.mark.timing
def test_the_page_stays_free_while_digits_are_trained(show: Any) -> None:
    """Input to painted frame within two frames while the worker trains."""
    tab = show(data="digits", method="both", epochs=100)
    slider = tab.locator("input[data-trait=rate]")

    def paint() -> float:
        return time_moves(slider)[1]

    idle = paint()
    press(tab)
    tab.wait_for_timeout(1500)
    training = min(paint() for _ in range(3))
    assert tab.get_by_role("button", name="Stop", exact=True).count() == 1
    print(f"input to painted frame: {idle:.1f} ms before, {training:.1f} ms while training")
    assert training <= PAINT


# Times what the page does with each report of its worker: curves, plane and sentence drawn.
TIMED = """window.times = []; window.Worker = class extends Worker {
  set onmessage(heard) {
    super.onmessage = (event) => {
      const start = performance.now();
      heard(event);
      if (event.data.picture) window.times.push(performance.now() - start);
    };
  } };"""


@pytest.mark.timing
def test_the_plane_is_drawn_within_8_ms(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "playground.html"
    file.write_text(page_of(widgets.Playground("spirals", epochs=40)), encoding="utf-8")
    tab = browser.new_page()
    tab.add_init_script(TIMED)
    tab.goto(file.as_uri())
    tab.wait_for_function("window.ready")
    press(tab)
    done(tab)
    times = tab.evaluate("window.times")
    print(f"{len(times)} reports, drawn in {statistics.median(times):.1f} ms (median)")
    assert len(times) == 41 and statistics.median(times) <= 8
    tab.close()


def test_own_data_from_python(show: Any) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    x = np.clip(np.eye(3)[y].repeat(3, axis=1) * 0.7 + rng.normal(0.15, 0.1, (120, 9)), 0, 1)
    tab = show(data=(x[:90], y[:90], x[90:], y[90:]), epochs=15, rate=0.1)
    assert tab.locator("select").count() == 1  # nothing to choose but the method
    press(tab)
    (run,) = done(tab)
    assert run["data"] == "own" and run["points"][-1]["clean"] > 0.9
    assert "a dozen test images" in tab.locator("canvas").get_attribute("aria-label")


def test_digits_travel_unchanged() -> None:
    figure, digits = widgets.Playground(), data.load("digits")
    raw, n = np.frombuffer(zlib.decompress(figure.packed), np.uint8), 1797 * 64
    x = np.concatenate([digits.train_x, digits.test_x]).reshape(-1)
    np.testing.assert_array_equal(raw[:n] / np.float32(16), x)
    np.testing.assert_array_equal(raw[n:], np.concatenate([digits.train_y, digits.test_y]))
    about = figure.about["digits"]
    assert (about["train"], about["test"], about["hidden"], about["batch"]) == (1297, 500, [128, 128], 64)
    added = sum(len(part) for part in (figure._esm, figure.worker)) + len(figure.packed) * 4 / 3
    assert added < 130_000  # bytes that a page gets heavier by


X, Y = np.linspace(0, 1, 40).reshape(10, 4), np.arange(10) % 2
BAD = {
    "name": (lambda: widgets.Playground("mnist"), "data must be one of digits, features"),
    "small": (lambda: widgets.Playground("digits", small=True), "data must be one of features, moons"),
    "parts": (lambda: widgets.Playground((X, Y)), "got 2 parts"),
    "fit": (lambda: widgets.Playground((X, Y[:9], X, Y)), "samples and labels do not fit: (10, 4) with (9,)"),
    "labels": (lambda: widgets.Playground((X, Y - 1, X, Y)), "labels must be whole numbers 0, 1, ..."),
    "one class": (lambda: widgets.Playground((X, 0 * Y, X, 0 * Y)), "at least two classes"),
    "box": (lambda: widgets.Playground((2 * X, Y, X, Y)), "inside box = (0.0, 1.0); box=None sets no limits"),
    "nan": (lambda: widgets.Playground((X * np.nan, Y, X, Y), box=None), "inputs must be finite"),
    "method": (lambda: widgets.Playground("rings", method="adam"), "method must be one of 'sgd'"),
    "rho": (lambda: widgets.Playground("rings", rho=4), "rho must be a number from 0 to 3, got 4"),
    "epochs": (lambda: widgets.Playground("rings", epochs=0), "epochs must be a whole number from 1 to 100"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_values_are_refused_in_one_line(case: str) -> None:
    make, message = BAD[case]
    with pytest.raises(widgets.WidgetValueError) as caught:
        make()
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_python_sees_the_runs_and_draws_them() -> None:
    figure = widgets.Playground("moons")
    empty = figure.still()
    figure.runs = [{"letter": "A", "method": "sgd", "points": [{"robust": 0.5}, {"robust": 0.7}]}]
    assert figure.still() != empty and empty.startswith(b"\x89PNG")


@pytest.mark.parametrize("settings, shown", [
    ({}, ["SGD", "SAM, ρ = 0.4", "AT, ε = 0.1"]),  # the playground's page
    ({"small": True, "attack": 0.15, "epochs": 30}, ["SGD", "SAM, ρ = 0.4", "AT, ε = 0.15"]),  # Welcome
    ({"attack": 0.2}, []), ({"data": "moons"}, []), ({"rate": 0.1}, []), ({"seed": 9}, []),
])  # fmt: skip
def test_a_still_picture_shows_what_this_figure_measures(settings: dict[str, Any], shown: list[str]) -> None:
    from matplotlib.figure import Figure

    picture, made = Figure(), widgets.Playground(**settings)
    made.draw_still(picture)
    (axes,) = picture.axes
    assert [line.get_label() for line in axes.lines] == shown and axes.get_title()
    for line, (name, seed) in zip(axes.lines, (("sgd", 0), ("sam-0.4", 0), ("at", 0)), strict=False):
        start = f"{made.data}-{name}"
        key = next(k for k in made.stored_runs() if k.startswith(start) and k.endswith(f"/{seed}"))
        points = made.stored_runs()[key]["points"]
        assert list(line.get_ydata()) == [100 * point["robust"] for point in points]


@pytest.mark.parametrize("name", ["features-sgd/0", "features-at-0.15/1"])
def test_stored_runs_are_what_the_figure_measures(browser: Any, tmp_path: Path, name: str) -> None:
    """The numbers in the text come from playground_runs.json: the figure repeats them exactly."""
    stored = json.loads(playground_runs.FILE.read_text("utf-8"))
    assert set(stored) == set(playground_runs.RUNS)
    tab = playground_runs.opened(browser, tmp_path)
    assert stored[name]["settings"] == playground_runs.RUNS[name]
    assert playground_runs.train(tab, stored[name]["settings"]) == stored[name]["points"]
    tab.close()


@pytest.mark.slow
def test_a_stored_run_on_digits_is_what_the_figure_measures(browser: Any, tmp_path: Path) -> None:
    stored = json.loads(playground_runs.FILE.read_text("utf-8"))["digits-sgd/0"]
    tab = playground_runs.opened(browser, tmp_path)
    settings = stored["settings"] | {"epochs": 5}
    assert playground_runs.train(tab, settings) == stored["points"][:6]
    tab.close()


def test_it_calls_the_methods_what_the_book_calls_them(show: Any) -> None:
    """On the page, too: the figure has no names of its own."""
    figure = widgets.Playground(**SHORT)
    assert figure.names == {
        "sgd": "SGD", "sam": "SAM", "asam": "ASAM", "at": "AT", "both": methods.METHODS["sam+at"].name,
    }  # fmt: skip
    tab = show(method="both", epochs=1)
    assert "Start: SAM+AT, 1 epochs" in spoken(tab)


def test_the_menu_begins_with_sgd_where_a_saved_page_has_sorted_its_names(
    browser: Any, tmp_path: Path
) -> None:
    """JSON with sorted keys would put ASAM first."""
    made = widgets.Playground()
    made.names = dict(sorted(made.names.items()))
    file = tmp_path / "sorted.html"
    file.write_text(page_of(made), encoding="utf-8")
    tab = browser.new_page()
    tab.goto(file.as_uri())
    tab.wait_for_function("window.ready")
    entries = tab.get_by_label("method").evaluate("(menu) => [...menu.options].map((o) => o.textContent)")
    assert entries[:4] == ["SGD", "SAM", "ASAM", "AT"]
    tab.close()
