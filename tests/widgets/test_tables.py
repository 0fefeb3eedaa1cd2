"""Every live figure: its numbers as a table, its drawing as a file, its lines told apart without colour."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam_edu import toy, widgets
from sam_edu.experiments import study
from tests.browser import rest, settle
from tests.figures import MAKE
from tests.widgets.page import page as page_of

PIXEL = 1.6  # how far a number of the table may lie from its place in the drawing (rounding of both)


@pytest.fixture(scope="module")
def show(browser: Any, tmp_path_factory: Any) -> Callable[..., Any]:
    """``show(name, theme)`` opens the figure in a page of its own."""

    def make(name: str, theme: str = "light") -> Any:
        file = tmp_path_factory.mktemp("figure") / f"{name}.html"
        file.write_text(page_of(MAKE[name](), theme=theme), encoding="utf-8")
        tab = browser.new_page(viewport={"width": 760, "height": 900}, accept_downloads=True)
        tab.goto(file.as_uri())
        tab.wait_for_function("window.ready")
        return tab

    return make


@pytest.fixture(scope="module", params=MAKE)
def tab(show: Any, request: Any) -> Iterator[Any]:
    """One page per figure for all tests below; the first one finds it as it opens."""
    page = show(request.param)
    yield page
    page.close()


# ---- the table -------------------------------------------------------------------------------

TABLES = """() => [...document.querySelectorAll(".se-table table")].map((t) => ({
  title: t.caption.textContent, head: [...t.tHead.rows[0].cells].map((c) => c.textContent),
  rows: [...t.tBodies[0].rows].map((r) => [...r.cells].map((c) => c.textContent)) }))"""

# Each panel: its ticks along x and y with their texts, its edges, and all that is drawn as sequences of
# positions along one axis: the points of each path, and what stands side by side of one kind.
DRAWN = r"""() => [...document.querySelectorAll("svg.se-plot")].map((box) => {
  const tracks = { x: [], y: [] }, alike = {}, ticks = { x: [], y: [] };
  const put = (axis, key, v) => ((alike[axis + key] ??= { axis, all: [] }).all.push(v));
  for (const mark of box.querySelectorAll(".se-axes > .se-grid")) {
    if (mark.style.display === "none") continue;
    const at = mark.getAttribute("d").match(/^M([-\d.e]+),([-\d.e]+)([VH])/);
    ticks[at[3] === "V" ? "x" : "y"].push([+at[at[3] === "V" ? 1 : 2], mark.nextSibling.textContent]);
  }
  for (const n of box.querySelectorAll("path.se-line, path.se-marker, path.se-hollow, circle, rect.se-bar")) {
    const at = (n.getAttribute("transform") || "").match(/translate\(([-\d.e]+) ([-\d.e]+)\)/);
    const v = (k) => +n.getAttribute(k), d = n.getAttribute("d") || "";
    if (at) { put("x", "marker", +at[1]); put("y", "marker", +at[2]); continue; }
    if (n.tagName === "circle") { put("x", "dot", v("cx")); put("y", "dot", v("cy")); continue; }
    if (n.tagName === "rect") { put("x", "bar", v("x") + v("width")); put("y", "bar", v("y")); continue; }
    const points = [...d.matchAll(/[ML]([-\d.e]+),([-\d.e]+)/g)].map((p) => [+p[1], +p[2]]);
    tracks.x.push(points.map(([x]) => x)); tracks.y.push(points.map(([, y]) => y));
    const flat = d.match(/^M([-\d.e]+),[-\d.e]+H([-\d.e]+)$/);
    if (flat) { put("x", "from", +flat[1]); put("x", "to", +flat[2]); }
  }
  for (const { axis, all } of Object.values(alike)) tracks[axis].push(all);
  const frame = box.querySelector(".se-frame").getAttribute("d");
  const [x0, y1, y0, x1] = frame.match(/[\d.]+/g);
  return { tracks, ticks, edges: { x: [+x0, +x1], y: [+y1, +y0] } }; })"""


def number(text: str) -> float:
    """What a cell or a tick says: "0.93", "25 %", "8/255", "∞"; NaN where it is no number."""
    text = text.replace("−", "-").replace("∞", "inf").replace("\u202f", " ")
    try:
        if text.endswith(" %"):
            return float(text[:-2]) / 100
        above, _, below = text.partition("/")
        return float(above) / float(below or 1)
    except ValueError:
        return float("nan")


def axis_of(ticks: list[tuple[float, str]]) -> Callable[[np.ndarray], np.ndarray] | None:
    """From values to positions, read off the ticks of a linear or a logarithmic axis; None for words."""
    at = np.array([place for place, _ in ticks])
    said = np.array([number(text) for _, text in ticks])
    known = np.isfinite(said)
    best = None
    for scale in (lambda v: v, lambda v: np.log(np.where(v > 0, v, np.nan))):
        use = known & np.isfinite(scale(said))
        if use.sum() < 2 or (use.sum() == 2 and best):
            continue
        slope, shift = np.polyfit(scale(said[use]), at[use], 1)
        off = np.abs(slope * scale(said[use]) + shift - at[use]).max()
        if off < 3 and (best is None or off < best[0]):
            best = (off, lambda v, scale=scale, slope=slope, shift=shift: slope * scale(v) + shift)
    return best[1] if best else None


def stands(places: np.ndarray, tracks: list[list[float]], edges: tuple[float, float]) -> bool:
    """Whether positions are those of something drawn, which may be finer than the table (every k-th point).

    What lies outside the panel is cut off there and counts as drawn.
    """
    n = len(places)
    inside = np.isfinite(places) & (places > edges[0] + 1) & (places < edges[1] - 1)
    for track in map(np.array, tracks):
        for step in {1, 2, 3, *range(4, 1 + len(track) // max(1, n - 1))}:
            for start in range(max(0, len(track) - step * (n - 1))):
                drawn = track[start::step][:n]
                if len(drawn) == n and (np.abs(drawn - places)[inside] < PIXEL).all():
                    return True
    return False


def unfold(tab: Any) -> list[dict[str, Any]]:
    tab.locator(".se-table summary").focus()
    tab.keyboard.press("Enter")
    rest(tab, 50)
    return tab.evaluate(TABLES)


def test_the_table_holds_the_plotted_numbers(tab: Any) -> None:
    assert tab.locator(".se-table table").count() == 0  # made when it is asked for
    tables, drawn = unfold(tab), tab.evaluate(DRAWN)
    assert tables and not any(re.search(r"NaN|undefined", str(table)) for table in tables)
    checked = 0
    for table in tables:
        for i, head in enumerate(table["head"][1:], 1):
            values = np.array([number(row[i]) for row in table["rows"]])
            if np.isfinite(values).sum() < 3:
                continue
            found, told = [], 0
            for panel, axis in itertools.product(drawn, "xy"):
                place = axis_of(panel["ticks"][axis])
                if place is None:
                    continue
                at, edges = place(values), panel["edges"][axis]
                inside = np.flatnonzero((at > edges[0] + 1) & (at < edges[1] - 1))
                if len(inside) < 2:
                    continue
                wrong = at.copy()  # one number changed by a few pixels
                wrong[inside[-1]] += 9 if at[inside[-1]] < sum(edges) / 2 else -9
                found.append(stands(at, panel["tracks"][axis], edges))
                told += found[-1] and not stands(wrong, panel["tracks"][axis], edges)
            assert any(found), f"{table['title']}, {head}: {values} is not drawn"
            assert told, f"{table['title']}, {head}: this check finds anything"
            checked += 1
    assert checked


def test_numbers_are_written_for_reading(tab: Any) -> None:
    """Counts as counts, shares in per cent as on the axes, no digits that say nothing."""
    tables = tab.evaluate(TABLES) or unfold(tab)
    texts = [text for table in tables for row in table["rows"] for text in row]
    assert not [text for text in texts if re.search(r"\de[+-]\d\d|^[-−]?0\.0+$|^-|[1-9]\d{6}", text)]
    for table in tables:
        for i, head in enumerate(table["head"]):
            column = [row[i] for row in table["rows"]]
            if re.search(r"epoch|step$", head):
                assert all(re.fullmatch(r"\d+", text) for text in column), (head, column)
            if re.search(r"accuracy|natural|attack$|proved|probability|seed", head):
                assert all(text.endswith(("%", "–")) for text in column), (head, column)
    ticks = [tick for panel in tab.evaluate(DRAWN) for axis in "xy" for _, tick in panel["ticks"][axis]]
    assert any(tick.endswith("%") for tick in ticks) == any(text.endswith("%") for text in texts)


def test_names_of_rows_have_room_on_a_phone(browser: Any, tmp_path: Path) -> None:
    """The figure with the longest names of the book, 23 rows: none is cut off at the left."""
    file = tmp_path / "grid.html"
    file.write_text(page_of(widgets.RhoEpsGrid(study("fashion-mnist", seeds=5))), encoding="utf-8")
    tab = browser.new_page(viewport={"width": 390, "height": 900})
    tab.goto(file.as_uri())
    tab.wait_for_function("window.ready")
    left = tab.evaluate("""() => [...document.querySelectorAll(".se-row-name")].map((n) =>
        [n.textContent, n.getBoundingClientRect().left - n.ownerSVGElement.getBoundingClientRect().left])""")
    assert len(left) > 20 and max(len(name) for name, _ in left) >= 20
    assert not [name for name, space in left if space < 0]
    for ticks in tab.evaluate("""() => [...document.querySelectorAll("svg.se-plot")].map((box) =>
            [...box.querySelectorAll(".se-axes text")].filter((n) => n.checkVisibility() && n.textContent)
              .map((n) => n.getBoundingClientRect()).map((r) => [r.left, r.right, r.top]))"""):
        below = sorted(tick for tick in ticks if tick[2] == max(top for *_, top in ticks))
        assert len(below) > 1 and all(a[1] + 6 < b[0] for a, b in itertools.pairwise(below))
    tab.close()


def test_the_table_follows_the_slider_when_it_rests(show: Any) -> None:
    tab = show("teaser")  # a page of its own, since it is moved
    before = unfold(tab)
    slider = tab.locator("input[data-trait=rho]")
    # the page itself looks half-way to the rest: two timers of one page keep their order on a busy machine
    slider.evaluate(f"""(n) => n.addEventListener("input", () =>
        setTimeout(() => window.moving = ({TABLES})(), 100))""")
    slider.focus()
    tab.keyboard.press("End")
    settle(tab)
    tab.wait_for_function("window.moving")
    assert tab.evaluate("window.moving") == before  # not while it moves
    after = tab.evaluate(TABLES)
    assert after != before
    rho = float(slider.evaluate("(n) => n.value"))
    m = toy.NRFModel(**{k: getattr(MAKE["teaser"](), k) for k in ("p", "eta", "d")})
    w1 = toy.sam_optimum(m, rho)
    column = after[0]["head"].index("SAM")
    for row in after[0]["rows"]:
        expected = m.robust_accuracy(w1, float(row[0]))
        assert number(row[column]) == pytest.approx(expected, abs=2e-4)
    tab.close()


# ---- the file --------------------------------------------------------------------------------


def save(tab: Any) -> str:
    """What the button writes, pressed by keyboard."""
    tab.get_by_role("button", name="Save as SVG").focus()
    with tab.expect_download() as started:
        tab.keyboard.press("Enter")
    assert re.fullmatch(r"se-[\w-]+\.svg", started.value.suggested_filename)
    assert tab.locator("body > div[style*='-9999px']").count() == 0  # nothing is left behind
    return Path(started.value.path()).read_text(encoding="utf-8")


def test_saved_as_svg_for_slides(tab: Any) -> None:
    """A file of its own: well-formed, no style sheet, nothing that depends on the page."""
    text = save(tab)
    root = ElementTree.fromstring(text)
    assert not re.search(r"var\(|currentColor|<style|class=|NaN|undefined|color-mix", text)
    texts = ["".join(n.itertext()) for n in root.iter("{http://www.w3.org/2000/svg}text")]
    assert len(texts) > 8 and any(":" in t for t in texts)  # the axes; the state of the controls
    sizes = [float(s) for s in re.findall(r'font-size="([\d.]+)(?:px)?"', text)]
    assert min(sizes) >= 11 and float(root.get("width")) < 1000  # 14 points and more on a slide


@pytest.mark.parametrize("name", ["nrf", "digit"])
def test_a_dark_page_saves_the_same_light_figure(show: Any, name: str) -> None:
    saved = []
    for theme in ("light", "dark"):
        page = show(name, theme)
        saved.append(re.sub(r"se\d+c", "", save(page)))
        page.close()
    assert saved[0] == saved[1] and 'fill="#fff"' in saved[0]


# ---- without colour --------------------------------------------------------------------------

LOOKS = r"""() => [...document.querySelectorAll("svg.se-plot")].map((box) => {
  const kinds = /^se-(std|sam|at|both|awp|control|theory)$/;
  const kindOf = (n) => [...n.classList].find((k) => kinds.test(k)) || "";
  const shown = (n) => n.checkVisibility({ visibilityProperty: true });
  const all = (what) => [...box.querySelectorAll(what)].filter(shown);
  const named = new Set(all("text.se-note").map(kindOf));
  const shape = (n) => n.getAttribute("d").replace(/[-\d.,]+/g, "");
  return all("path.se-line:not(.se-trail)")
    .filter((n) => n.getAttribute("d")?.split("L").length > 2 && n.getBoundingClientRect().width > 20)
    .map((n) => {
      const style = getComputedStyle(n), kind = kindOf(n);
      const own = (m) => kind && m.classList.contains(kind);
      const marks = all("path.se-marker, path.se-hollow").filter(own).map(shape);
      return { colour: style.stroke, dash: style.strokeDasharray, width: style.strokeWidth,
        marks: [...new Set(marks)].sort().join(),
        named: named.has(kind === "se-theory" ? "" : kind) }; }); })"""


def test_lines_differ_without_colour(tab: Any) -> None:
    """Two lines of different colour in one panel differ in dash, width or marker too, or bear their names."""
    for lines in tab.evaluate(LOOKS):
        for a, b in itertools.combinations(lines, 2):
            if a["colour"] == b["colour"]:
                continue
            apart = any(a[key] != b[key] for key in ("dash", "marks", "width"))
            assert apart or (a["named"] and b["named"]), (a, b)
