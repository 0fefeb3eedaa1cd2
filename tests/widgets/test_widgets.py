"""The live figures: their behaviour in a browser, their Python side."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sam_edu import widgets
from sam_edu.widgets.base import bundle
from tests.browser import (
    CORNERS,
    DATA,
    DRAW,
    NOT_A_NUMBER,
    PAINT,
    TEXTS,
    UNROUNDED,
    rest,
    settle,
    slider_times,
)
from tests.figures import MAKE, digit_arrays, grid_rows
from tests.widgets.page import page as page_of

EVERY = pytest.mark.parametrize("name", MAKE)

# ---- fixtures -------------------------------------------------------------------------------


class Shown:
    """A figure in a bare page, with everything that the console said."""

    def __init__(self, tab: Any, file: Path) -> None:
        self.tab, self.file, self.log = tab, file, []
        tab.on("console", lambda message: self.log.append(message.text))
        tab.on("pageerror", lambda error: self.log.append(str(error)))
        tab.on("requestfailed", lambda request: self.log.append(request.url))

    def open(self, hash_: str = "") -> Shown:
        self.tab.goto(self.file.as_uri() + hash_)
        self.tab.wait_for_function("window.ready")
        return self

    def data(self) -> str:
        """Everything that the plotted data say."""
        return self.tab.locator(".sam-edu").evaluate(DATA)

    def spoken(self) -> str:
        settle(self.tab)
        return self.tab.locator(".se-live").text_content()


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Shown]]:
    tabs = []

    def make(name: str, theme: str = "light", width: int = 760, hash_: str = "") -> Shown:
        file = tmp_path / f"{name}.html"
        file.write_text(page_of(MAKE[name](), theme=theme), encoding="utf-8")
        tabs.append(browser.new_page(viewport={"width": width, "height": 900}))
        return Shown(tabs[-1], file).open(hash_)

    yield make
    for tab in tabs:
        tab.close()


# ---- the Python side -------------------------------------------------------------------------


@EVERY
def test_bundle_is_one_module(name: str) -> None:
    esm = MAKE[name]()._esm
    assert "import {" not in esm
    assert re.findall(r"^export .*", esm, re.M) == re.findall(r"^export default .*", esm, re.M)
    # the explorer of conventions finds its optima by exact differences; its page has a limit (check_book)
    assert len(esm) < (51_000 if name == "convention" else 46_000)


def test_bundle_takes_a_shared_part_once() -> None:
    assert bundle("nrf.js").count("function mount(") == 1


@EVERY
def test_repr_is_stable_and_short(name: str) -> None:
    assert repr(MAKE[name]()) == repr(MAKE[name]())
    assert "0x" not in repr(MAKE[name]()) and len(repr(MAKE[name]())) < 120


def test_repr_shows_the_state() -> None:
    expected = "NRFExplorer(p=0.95, eta=0.1, d=100, eps=0.05, attacked='nonrobust')"
    assert repr(widgets.NRFExplorer()) == expected


@EVERY
def test_bundle_of_outputs_has_a_still_picture(name: str) -> None:
    shown = MAKE[name]()._repr_mimebundle_()
    data = shown[0] if isinstance(shown, tuple) else shown
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/plain"] == repr(MAKE[name]())
    png = base64.b64decode(data["image/png"])
    assert png.startswith(b"\x89PNG") and len(png) <= 32_768


def set_to(**values: Any) -> Callable[[], Any]:
    return lambda: widgets.NRFExplorer(**values)


def grid_with(**change: Any) -> Callable[[], Any]:
    rows = grid_rows()
    rows[0] |= change
    return lambda: widgets.RhoEpsGrid(rows)


def digits_with(**change: Any) -> Callable[[], Any]:
    return lambda: widgets.DigitAttackExplorer(**(digit_arrays() | change))


BAD = {
    "below": (set_to(eps=-0.1), "eps must be a number from 0 to 0.3, got -0.1"),
    "nan": (set_to(p=math.nan), "p must be a number from 0.55 to 0.995, got nan"),
    "text": (set_to(eta="big"), "eta must be a number from 0.01 to 0.3, got 'big'"),
    "not whole": (set_to(d=2.5), "d must be a whole number from 1 to 1000, got 2.5"),
    "word": (set_to(attacked="x1"), "attacked must be one of 'nonrobust', 'all', got 'x1'"),
    "teaser": (lambda: widgets.Teaser(eps=0.3), "eps must be at most 2*eta = 0.2, got 0.3"),
    "rho": (lambda: widgets.SAMStepExplorer(rho=-1), "rho must be a number from 0 to 1, got -1"),
    "unmeasured": (lambda: widgets.RhoEpsGrid(grid_rows(), rho=0.3), "measured [0.1, 0.4]"),
    "no SAM": (lambda: widgets.RhoEpsGrid(grid_rows()[:1]), "at least one SAM"),
    "seeds": (grid_with(seeds=[0, 1]), "points must hold a value of each of the seeds [0, 1]"),
    "accuracy": (grid_with(mean=[97, 80, 50]), "one accuracy in [0, 1] per eps"),
    "radii": (grid_with(eps=[0, 0.05, 0.2]), "as in rows[0]"),
    "pixels": (digits_with(images=255 * digit_arrays()["images"]), "images must lie in [0, 1]"),
    "shape": (digits_with(labels=[1]), "images must begin with (labels, models, eps_grid)"),
    "grid": (digits_with(eps_grid=[0.1, 0.2, 0.3, 0.4]), "eps_grid must increase from 0"),
    "label": (digits_with(labels=[2, 3]), "labels must be classes below 3"),
    "which": (digits_with(digit=7), "digit must be less than 2, got 7"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_values_are_refused_in_one_line(case: str) -> None:
    make, message = BAD[case]
    with pytest.raises(widgets.WidgetValueError) as caught:
        make()
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_bad_values_are_refused_later_too() -> None:
    figure = widgets.NRFExplorer()
    with pytest.raises(ValueError, match="eps must be"):
        figure.eps = 2
    assert figure.eps == 0.05


def test_unknown_parameter() -> None:
    with pytest.raises(TypeError, match=r"NRFExplorer has no parameter 'epsilon'; it has p, eta"):
        widgets.NRFExplorer(epsilon=0.1)


# ---- in the browser --------------------------------------------------------------------------


@EVERY
def test_every_slider_moves_the_data_by_keyboard(show: Any, name: str) -> None:
    figure = show(name)
    sliders = figure.tab.locator("input[type=range]")
    assert 1 <= sliders.count() <= 4
    for i in range(sliders.count()):
        slider = sliders.nth(i)
        slider.focus()
        before, said = figure.data(), figure.spoken()
        figure.tab.keyboard.press("Home")
        low, low_said = figure.data(), figure.spoken()
        for _ in range(3):
            figure.tab.keyboard.press("ArrowRight")
        figure.tab.keyboard.press("End")
        high, high_said = figure.data(), figure.spoken()
        assert low != high and low_said != high_said
        assert len({before, low, high}) > 1 and len({said, low_said, high_said}) > 1
        assert not NOT_A_NUMBER.search(low + high + low_said + high_said)
        assert not UNROUNDED.search(figure.tab.locator(".sam-edu").evaluate(TEXTS))
        assert slider.get_attribute("aria-valuetext")
        assert slider.get_attribute("data-lm-suppress-shortcuts") == "true"
    figure.tab.get_by_role("button", name="Reset").click()
    first = show(name)
    assert figure.spoken() == first.spoken() and figure.data() == first.data()
    assert figure.log == []


@EVERY
def test_every_menu_changes_the_figure(show: Any, name: str) -> None:
    figure = show(name)
    for menu in figure.tab.locator("select").all():
        before = figure.data()
        shown = menu.evaluate("menu => menu.selectedIndex")
        menu.select_option(index=0 if shown == 1 else 1)
        settle(figure.tab, 60)
        assert figure.data() != before
    assert figure.log == []


@EVERY
def test_corners_of_all_controls_are_safe(show: Any, name: str) -> None:
    """Every combination of the ends of all sliders and menus draws finite numbers."""
    figure = show(name)
    broken = figure.tab.locator(".sam-edu").evaluate(CORNERS)
    assert broken == [] and figure.log == []


@EVERY
def test_link_reproduces_the_state(show: Any, name: str) -> None:
    figure = show(name)
    slider = figure.tab.locator("input[type=range]").first
    slider.focus()
    figure.tab.keyboard.press("End")
    figure.tab.keyboard.press("ArrowLeft")
    said, data = figure.spoken(), figure.data()
    link = figure.tab.get_by_role("link", name="Link to this state").get_attribute("href")
    assert re.fullmatch(r"#se-[\w-]+", link)  # a valid selector: themes look the hash up
    again = show(name, hash_=link)
    assert again.spoken() == said and again.data() == data
    assert show(name, hash_=f"#se-{name}-1--eps_bogus--zzz_1").log == []
    assert show(name, hash_=f"#se-{name}-1--eps_0%").log == []  # a link that was cut off in a %-code


@EVERY
def test_a_link_in_the_text_sets_the_same_state_at_every_click(show: Any, name: str) -> None:
    """Also a second time, and whatever was moved before: a control that it leaves out begins anew."""
    figure = show(name)
    link = figure.tab.get_by_role("link", name="Link to this state")
    first = link.get_attribute("href")
    trait = figure.tab.locator("input[type=range]").first.get_attribute("data-trait")
    pair = next(part for part in first.split("--")[1:] if part.startswith(trait + "_"))
    said, data = figure.spoken(), figure.data()
    figure.tab.evaluate(
        """(href) => document.body.insertAdjacentHTML("afterbegin", `<a href="${href}">as it began</a>`)""",
        f"{first.split('--')[0]}--{pair}",
    )
    for _ in range(2):
        for slider in figure.tab.locator("input[type=range]:visible").all():
            begun = slider.input_value()
            slider.focus()
            figure.tab.keyboard.press("Home")
            if slider.input_value() == begun:
                figure.tab.keyboard.press("End")
        figure.spoken()
        assert link.get_attribute("href") != first
        figure.tab.get_by_role("link", name="as it began").click()
        rest(figure.tab)  # the browser tells the page of its new hash when it likes
        assert figure.spoken() == said and figure.data() == data
    assert figure.log == []


@EVERY
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_readable_at_phone_width(show: Any, name: str, theme: str) -> None:
    figure = show(name, theme=theme, width=360)
    assert figure.tab.evaluate("document.documentElement.scrollWidth") <= 360
    small = figure.tab.evaluate(
        """() => [...document.querySelectorAll(".sam-edu :is(input, select, button, a)")]
        .map((n) => n.getBoundingClientRect()).filter((r) => r.height < 24 || r.width < 24).length"""
    )
    assert small == 0
    sizes = figure.tab.evaluate(
        """() => [...document.querySelectorAll(".se-plot")].map((n) =>
        n.getBoundingClientRect().width / n.viewBox.baseVal.width)"""
    )
    assert all(scale > 0.8 for scale in sizes)  # 11 px ticks stay above 8.8 px
    outside = figure.tab.evaluate(
        """() => [...document.querySelectorAll(".se-plot text")].filter((n) => {
          if (n.style.display === "none" || !n.textContent) return false;
          const t = n.getBoundingClientRect(), b = n.ownerSVGElement.getBoundingClientRect();
          return t.left < b.left - 4 || t.right > b.right + 14 || t.top < b.top - 3; })
        .map((n) => n.textContent)"""
    )
    assert outside == []


@EVERY
def test_accessible_names_and_descriptions(show: Any, name: str) -> None:
    figure = show(name)
    for plot in figure.tab.locator("svg.se-plot").all():
        assert plot.get_attribute("role") == "img"
        title, desc = plot.locator("title").text_content(), plot.locator("desc").text_content()
        assert title and re.search(r"\d", desc)
    for control in figure.tab.locator(".sam-edu :is(input, select)").all():
        number = control.get_attribute("id")
        assert figure.tab.locator(f'label[for="{number}"]').text_content()
    live = figure.tab.locator(".se-live")
    assert live.get_attribute("aria-live") == "polite" and re.search(r"\d", live.text_content())
    said = figure.tab.locator(".se-say").text_content()
    assert said.replace("\u00a0", " ") == live.text_content()
    assert not re.search(r" [=×≥≤] |\S = \S", said)  # no line ends inside "ε = 0.1"


# One after the other by the page's own clock: keys pressed from outside come late on a busy machine.
FIFTEEN_MOVES = """async (input) => {
  for (let k = 0; k < 15; k++) {
    input.stepUp();
    input.dispatchEvent(new Event("input", { bubbles: true }));
    await new Promise((done) => setTimeout(done, 20));
  } }"""


def test_speech_is_throttled(show: Any) -> None:
    figure = show("nrf")
    figure.tab.evaluate(
        """() => { window.changes = 0; new MutationObserver(() => window.changes++).observe(
        document.querySelector(".se-live"), {childList: true, characterData: true, subtree: true}); }"""
    )
    figure.tab.locator("input[type=range]").first.evaluate(FIFTEEN_MOVES)
    rest(figure.tab, 300)
    assert 1 <= figure.tab.evaluate("window.changes") <= 3


def test_python_and_the_page_share_one_state(show: Any) -> None:
    """A change from Python's side moves the slider; a moved slider is saved to the model."""
    figure = show("nrf")
    figure.tab.evaluate("model.set('eps', 0.12)")
    slider = figure.tab.locator("input[data-trait=eps]")
    assert slider.input_value() == "0.12" and "robust feature alone" in figure.spoken()
    slider.fill("0.05")
    settle(figure.tab, 100)
    assert figure.tab.evaluate("[model.get('eps'), model.saved > 0]") == [0.05, True]
    figure.tab.evaluate("cleanup(); model.set('eps', 0.2)")
    assert slider.input_value() == "0.05"  # nobody listens any more


def test_the_sentence_is_right(show: Any) -> None:
    expected = (
        "At ε = 0.050 (half of η) adversarial training raises the robust weight from 14.7 to 29.4 "
        "(× 2.00). Natural accuracy goes from 95.95 % to 95.13 %, accuracy under attack from "
        "93.52 % to 95.01 %."
    )
    assert show("nrf").spoken().replace("\u202f", " ") == expected
    assert "At ε = 0.1 the SGD model calls this 2 a 1 (70" in show("digit").spoken()
    said = show("rho-eps").spoken().replace("\u202f", " ")
    assert "SAM with ρ = 0.4 keeps 63.0 %, SGD 50.0 %: +13.0 points (± 0.0" in said
    assert "The best control, weight decay 2e-2, keeps 64.0 %" in said


@pytest.mark.parametrize(("seeds", "values", "said"), [
    ([2], [0.64], "keeps 64.0 %, SGD 51.0 %: +13.0 points on the one seed that both have."),
    ([2, 0], [0.66, 0.62], "+14.0 points (± 1.4, standard deviation over the 2 seeds that both have)."),
    ([2, 7], [0.66, 0.62], "keeps 66.0 %, SGD 51.0 %: +15.0 points on the one seed that both have."),
    ([7], [0.64], "keeps 64.0 %, SGD 50.0 %: +14.0 points (1 seed)."),
])  # fmt: skip
def test_a_difference_is_over_the_seeds_that_both_have(
    seeds: list[int], values: list[float], said: str, browser: Any, tmp_path: Path
) -> None:
    """A sweep under way has rows of one seed beside rows of three."""
    rows = grid_rows()
    for row in rows:
        row["seeds"] = [0, 1, 2]
    mean = sum(values) / len(values)
    points = [[0.97] * len(seeds), [0.86] * len(seeds), values]
    rows[2] |= {"seeds": seeds, "points": points, "mean": [0.97, 0.86, mean]}
    rows[2] |= {"low": rows[2]["mean"], "high": rows[2]["mean"]}
    file = tmp_path / "grid.html"
    file.write_text(page_of(widgets.RhoEpsGrid(rows, rho=0.4, eps=0.1)), encoding="utf-8")
    tab = browser.new_page()
    tab.goto(file.as_uri())
    tab.wait_for_function("window.ready")
    assert said in tab.locator(".se-live").inner_text().replace("\u202f", " ")
    tab.get_by_text("View as table").click()
    tab.locator("table th", has_text="seed").last.wait_for()  # it is filled when the figure rests
    heads = tab.locator("table").last.locator("th").all_inner_texts()
    assert [head for head in heads if head.startswith("seed")] == [
        f"seed {seed}" for seed in sorted({0, 1, 2, *seeds})
    ]
    tab.close()


@pytest.mark.parametrize(("sam", "both", "control", "said"), [
    ([0.64], 0.845, 0.64, "with this seed, weight decay 2e-2, keeps 63.0 %. AT ε = 0.1 keeps 85.0 %."),
    ([0.64], 0.855, 0.64, "with this seed, weight decay 2e-2, keeps 63.0 %. SAM+AT keeps 85.5 %."),
    ([0.62, 0.63, 0.64], 0.9, 0.64, "control, weight decay 2e-2, keeps 64.0 %. AT ε = 0.1 keeps 86.0 %."),
    ([0.64], 0.845, 0.0, "No control keeps anything. AT ε = 0.1 keeps 85.0 %."),
])  # fmt: skip
def test_what_is_named_best_has_the_seeds_of_the_comparison(
    sam: list[float], both: float, control: float, said: str, browser: Any, tmp_path: Path
) -> None:
    """A row of one seed is compared on this seed, and is not set above rows of three."""
    rows = grid_rows()
    rows.append({**rows[3], "method": "SAM+AT", "label": "SAM+AT"})
    for row in rows:
        row["seeds"] = [0, 1, 2]
    for row, values in ((rows[2], sam), (rows[5], [both])):
        row["seeds"] = list(range(len(values)))
        row["points"] = [*[[0.9] * len(values)] * 2, values]
        row["mean"] = row["low"] = row["high"] = [0.9, 0.9, sum(values) / len(values)]
    if control == 0:
        rows[4] |= {key: [0.9, 0.8, 0.0] for key in ("mean", "low", "high")} | {"points": [[0.0] * 3] * 3}
    file = tmp_path / "grid.html"
    file.write_text(page_of(widgets.RhoEpsGrid(rows, rho=0.4, eps=0.1)), encoding="utf-8")
    tab = browser.new_page()
    tab.goto(file.as_uri())
    tab.wait_for_function("window.ready")
    assert tab.locator(".se-live").inner_text().replace("\u202f", " ").endswith(said)
    named = tab.locator("svg").first.locator("text").all_text_contents()
    assert "AT ε = 0.1" in named and "SAM+AT" not in named
    tab.close()


@pytest.mark.timing
@EVERY
def test_drawing_is_fast(show: Any, name: str) -> None:
    """An input event, drawing included, takes under 4 ms and is painted within two frames."""
    figure = show(name)
    for i in range(figure.tab.locator("input[type=range]").count()):
        draw, paint = slider_times(figure.tab.locator("input[type=range]").nth(i))
        print(f"{name} slider {i}: draw {draw:.2f} ms, input to paint {paint:.1f} ms")
        assert draw < DRAW and paint < PAINT
