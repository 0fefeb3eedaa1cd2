"""What is looked for in an open page. Every function returns the problems it found, one line each."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import axe_playwright_python

from book.tools.pages import check_book
from tests.browser import (
    CORNERS,
    DATA,
    DRAW,
    NOT_A_NUMBER,
    PAINT,
    TEXTS,
    UNROUNDED,
    Visit,
    rest,
    settle,
    slider_times,
)

# --- the page as a whole

READ = """() => {
  const shown = (n) => n.getClientRects().length > 0;
  const name = (n) => n.getAttribute("aria-label") || n.getAttribute("alt") || n.getAttribute("title") ||
    (n.getAttribute("aria-labelledby") || "").split(/\\s+/)
      .map((i) => document.getElementById(i)?.textContent || "").join(" ").trim() ||
    n.querySelector(":scope > title")?.textContent.trim() || "";
  const hidden = (n) => n.closest("[aria-hidden=true], [role=presentation], [role=none]") !== null;
  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), raw = [];
  while (words.nextNode()) {
    const node = words.currentNode;
    if (node.parentElement.closest("code, pre, script, style, textarea, mjx-container")) continue;
    const found = node.data.match(/.{0,40}(\\$\\$|\\\\\\(|\\\\\\[|\\\\begin\\{).{0,40}/);
    if (found) raw.push(found[0]);
  }
  return {
    heads: [...document.querySelectorAll("main h1")].filter(shown)
      .map((n) => n.textContent.replace(/#$/, "").trim()),
    raw,
    bare: [...document.querySelectorAll(".math.notranslate")].filter((n) => !n.querySelector("mjx-container"))
      .map((n) => n.textContent.slice(0, 60)),
    wrong: [...document.querySelectorAll("mjx-merror, [data-mjx-error]")]
      .map((n) => n.getAttribute("data-mjx-error") || n.textContent.slice(0, 80)),
    images: [...document.querySelectorAll("img")].filter((n) => !hidden(n))
      .map((n) => [name(n), n.src.slice(-60), n.complete && n.naturalWidth > 0,
        n.closest("a, button") !== null]),
    drawings: [...document.querySelectorAll("svg")]
      .filter((n) => shown(n) && !hidden(n) && !n.parentElement.closest("svg, button, a, summary, label"))
      .map((n) => [name(n), n.outerHTML.slice(0, 80)]),
    views: document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]').length,
    hosts: document.querySelectorAll('.afm-host[data-ready="true"]').length,
    figures: [...document.querySelectorAll(".sam-edu")].map((n) => [n.dataset.seName,
      n.querySelectorAll("svg.se-plot .se-data").length, n.querySelectorAll("input, select").length]),
  }; }"""


def page(visit: Visit) -> list[str]:
    """Title, formulas, pictures and their descriptions, figures drawn, nothing said to the console."""
    seen = visit.tab.evaluate(READ)
    problems = list(visit.log)
    if len(seen["heads"]) != 1 or not seen["heads"][0]:
        problems.append(f"it should have one h1, and has {seen['heads']}")
    problems += [f"raw formula: {text}" for text in seen["raw"]]
    problems += [f"formula not typeset: {text}" for text in seen["bare"]]
    problems += [f"MathJax finds an error: {text}" for text in seen["wrong"]]
    for name, source, loaded, control in seen["images"]:
        if not loaded:
            problems.append(f"picture not shown: {source}")
        if check_book.BAD_ALT.search(name) and not control:
            problems.append(f"picture without a description: {source} ({name!r})")
    for name, source in seen["drawings"]:
        if check_book.BAD_ALT.search(name):
            problems.append(f"drawing without a description: {source} ({name!r})")
    if not seen["views"] == seen["hosts"] == len(seen["figures"]):
        counts = f"{seen['hosts']} started, {len(seen['figures'])} drawn"
        problems.append(f"{seen['views']} live figures in the page, {counts}")
    for name, data, controls in seen["figures"]:
        if not data or not controls:
            problems.append(f"figure {name}: {data} nodes of data, {controls} controls")
    return problems


def weight(visit: Visit) -> tuple[float, float, bool]:
    """Bytes of the files that the page has loaded, those of its pictures, and whether it has formulas."""
    sizes = {path: path.stat().st_size for path in visit.files if path.is_file()}
    pictures = sum(size for path, size in sizes.items() if visit.files[path] == "image")
    pictures += sum(check_book.drawings(path.read_text()) for path in sizes if path.suffix == ".html")
    math = any(path.name.startswith("tex-") for path in sizes)
    return sum(sizes.values()) - pictures, pictures, math


def too_heavy(visit: Visit) -> list[str]:
    total, _, math = weight(visit)
    limit = check_book.LIMIT_MATH if math else check_book.LIMIT_PROSE
    return [f"it loads {total / 1e6:.2f} MB; the limit is {limit / 1e6:.1f} MB"] if total > limit else []


def overflow(visit: Visit) -> list[str]:
    """What makes the page wider than the window (to be asked at phone width)."""
    return visit.tab.evaluate("""() => {
      const room = document.documentElement.clientWidth, page = document.documentElement.scrollWidth;
      if (page <= room) return [];
      const wide = [...document.querySelectorAll("main *")].filter((n) => {
        if (n.getBoundingClientRect().right <= room + 1) return false;
        for (let p = n.parentElement; p; p = p.parentElement)
          if (getComputedStyle(p).overflowX !== "visible") return p === document.body || p.tagName === "HTML";
        return true; });
      return [`the page is ${page} px wide in a window of ${room} px: ` +
        wide.slice(0, 3).map((n) => n.outerHTML.slice(0, 100)).join(" ... ")]; }""")


# --- what opens and closes

# Opens all that is folded, so that what it contains can be measured and tried.
OPEN_ALL = """() => {
  document.querySelectorAll(".predict-buttons button:first-child:not([hidden])").forEach((b) => b.click());
  document.querySelectorAll("button.toggle-button[aria-expanded=false]").forEach((b) => b.click());
  document.querySelectorAll("main details:not([open])").forEach((d) => (d.open = true));
}"""


def open_all(visit: Visit) -> None:
    visit.tab.evaluate(OPEN_ALL)
    rest(visit.tab, 100)


SCREEN = (1280, 800)  # px: a desktop screen
MOST_SCREENS = 15  # of a chapter with its folds closed


def too_long(visit: Visit) -> tuple[float, list[str]]:
    """Screens of a page as it opens; to be asked at the width of SCREEN, before anything is opened."""
    assert visit.tab.viewport_size["width"] == SCREEN[0]
    screens = visit.tab.evaluate("document.documentElement.scrollHeight") / SCREEN[1]
    problem = f"it is {screens:.1f} screens long, more than {MOST_SCREENS}: fold what is for a second reading"
    return screens, [problem] if screens > MOST_SCREENS else []


STOREYS = "details.second-storey"


def storeys(visit: Visit) -> tuple[int, list[str]]:
    """Each folded section: closed, opened by Enter and by the page's contents; its figures are drawn then."""
    tab, problems = visit.tab, []
    folds = tab.locator(STOREYS).all()
    for fold in folds:
        summary, name = fold.locator("> summary"), fold.evaluate("(n) => n.parentElement.id")

        def expect(opened: bool, after: str, fold: Any = fold, name: str = name) -> None:
            if fold.evaluate("(n) => n.open") is not opened:
                problems.append(f"section {name}: {'closed' if opened else 'open'} {after}")

        expect(False, "when the page opens")
        if fold.evaluate("(n) => n.parentElement.closest('details')"):
            problems.append(f"section {name}: a fold in a fold")
        if not re.search(r"about \d+ minutes? of text", summary.text_content() or ""):
            problems.append(f"section {name}: it does not say how long it takes")
        if fold.locator("div.key-ideas").count():
            problems.append(f"section {name}: the key ideas are folded away")
        for opened in (True, False):
            summary.focus()
            tab.keyboard.press("Enter")
            expect(opened, "after Enter")
        link = tab.locator(f'#pst-secondary-sidebar a[href="#{name}"]')
        if not link.count():
            problems.append(f"section {name}: not in the contents of the page")
            continue
        link.first.evaluate("(n) => n.click()")
        expect(True, "after a click in the contents of the page")
        rest(tab, 50)
        for figure in fold.locator("figure:is(.sam-edu, .se-figure)").all():
            if figure.evaluate("(n) => n.closest('[hidden]')"):  # the answer of a question
                continue
            box = figure.locator("svg").first.bounding_box()
            if not box or box["width"] < 100 or box["height"] < 50:
                problems.append(f"section {name}: a figure is drawn {box}")
    tab.evaluate("history.replaceState(null, '', location.pathname)")
    return len(folds), problems


def open_storeys(visit: Visit, around: str = "") -> None:
    """Open the folded sections, or those around the first such node, as a reader does who looks for it."""
    visit.tab.evaluate(
        """([folds, around]) => document.querySelectorAll(folds).forEach((fold) => {
          if (!around || fold.contains(document.querySelector(around))) fold.open = true; })""",
        [STOREYS, around],
    )


def close_storeys(visit: Visit) -> None:
    """Close the folded sections."""
    visit.tab.evaluate(
        "(folds) => document.querySelectorAll(folds).forEach((n) => (n.open = false))", STOREYS
    )


def questions(visit: Visit) -> tuple[int, list[str]]:
    """Each "predict first": hidden answer, shown by a choice or a button, hidden again, by keyboard."""
    tab, problems = visit.tab, []
    open_storeys(visit)
    boxes = tab.locator(".predict").all()
    answer = """(box) => {
      let node = box.nextElementSibling;
      while (node && !node.matches(".reveal, .tag_reveal")) node = node.nextElementSibling;
      return node ? node.getClientRects().length > 0 : null; }"""
    for i, box in enumerate(boxes):

        def expect(shown: bool, after: str, box: Any = box, i: int = i) -> None:
            state = box.get_attribute("data-state")
            found = box.evaluate(answer)
            if found is not shown or state != ("answered" if shown else "asking"):
                word = {True: "shown", False: "hidden", None: "missing"}[found]
                problems.append(f"question {i + 1}: {after}, its answer is {word} (state {state})")

        if box.get_attribute("data-state") is None:
            problems.append(f"question {i + 1} has no choices or no answer block after it")
            continue
        expect(False, "before any choice")
        radios = box.locator("input[type=radio]")
        radios.first.focus()
        tab.keyboard.press("Space")
        expect(True, "after a choice by the space key")
        if "chose 1" not in (box.locator("[role=status]").text_content() or ""):
            problems.append(f"question {i + 1}: the choice is not announced")
        box.get_by_role("button", name="Ask me again").focus()
        tab.keyboard.press("Enter")
        expect(False, 'after "Ask me again"')
        box.get_by_role("button", name="Show me").focus()
        tab.keyboard.press("Enter")
        expect(True, 'after "Show me"')
    return len(boxes), problems


def solutions(visit: Visit) -> tuple[int, list[str]]:
    """Each solution is folded when the page opens, and its button opens it by keyboard."""
    tab, problems = visit.tab, []
    open_storeys(visit)
    boxes = tab.locator("div.solution").all()
    inside = """(box) => [...box.children].filter((n) => !n.matches(".admonition-title"))
      .some((n) => n.getBoundingClientRect().height > 0 && getComputedStyle(n).visibility !== "hidden" &&
        n.checkVisibility({opacityProperty: true, visibilityProperty: true}))"""
    for box in boxes:
        name = " ".join((box.locator(".admonition-title").first.text_content() or "").split())
        button = box.locator("button.toggle-button").first
        if not button.count():
            problems.append(f"{name}: it cannot be folded")
            continue
        if box.evaluate(inside):
            problems.append(f"{name}: open when the page opens")
        button.focus()
        tab.keyboard.press("Enter")
        for _ in range(40):  # a busy machine may take a while
            if opened := box.evaluate(inside):
                break
            rest(tab, 50)
        if not opened:
            problems.append(f"{name}: its button does not open it by keyboard")
    return len(boxes), problems


# --- live figures


LOOK = f"""(root) => [({DATA})(root), root.querySelector(".se-live")?.textContent || "", root.outerHTML,
  ({TEXTS})(root)]"""


class Figure:
    """One live figure of an open page."""

    def __init__(self, visit: Visit, root: Any) -> None:
        self.tab, self.root = visit.tab, root
        self.name = root.get_attribute("data-se-name")
        self.problems: list[str] = []

    def look(self) -> tuple[str, str]:
        """The plotted data and the sentence; also notes what may never stand in a figure."""
        settle(self.tab)
        data, said, drawn, texts = self.root.evaluate(LOOK)
        found = NOT_A_NUMBER.search(drawn)
        if found:
            self.problems.append(f"figure {self.name}: {found[0]!r} in what is drawn")
        found = UNROUNDED.search(texts)
        if found:
            self.problems.append(f"figure {self.name}: the unrounded number {found[0]}... is shown")
        if len(said) < 20:
            self.problems.append(f"figure {self.name}: its sentence is {said!r}")
        return data, said

    def reset(self) -> None:
        self.root.get_by_role("button", name="Reset").click()

    def slide(self, slider: Any) -> None:
        """One slider from end to end by keyboard."""
        label = f"figure {self.name}, slider {slider.get_attribute('data-trait')}"
        press = self.tab.keyboard.press
        self.reset()
        slider.focus()
        press("Home")
        low, low_value = self.look(), slider.input_value()
        steps = []
        for _ in range(3):
            press("ArrowRight")
            steps.append(slider.input_value())
        near = self.look()
        press("End")
        high, high_value = self.look(), slider.input_value()
        press("ArrowLeft")
        if len({low_value, *steps}) < min(4, 1 + self.positions(slider)) or low_value == high_value:
            values = [low_value, *steps, high_value]
            self.problems.append(f"{label}: the keyboard does not move it: {values}")
        if slider.input_value() == high_value:
            self.problems.append(f"{label}: the left arrow does not move it from its end")
        if low[0] == high[0]:
            self.problems.append(f"{label}: the plotted data do not change")
        if low[1] == high[1]:
            self.problems.append(f"{label}: the sentence does not change")
        if len({low[0], near[0], high[0]}) < 2:
            self.problems.append(f"{label}: the plotted data do not follow")
        if not slider.get_attribute("aria-valuetext"):
            self.problems.append(f"{label}: a screen reader hears no value")
        self.look()

    @staticmethod
    def positions(slider: Any) -> int:
        """How many steps the slider has."""
        return slider.evaluate("(n) => Math.round((n.max - n.min) / (n.step || 1))")

    def choose(self, menu: Any) -> None:
        """Every option of a menu."""
        self.reset()
        data = []
        for i in range(menu.locator("option").count()):
            menu.select_option(index=i)
            data.append(self.look()[0])
        if len(set(data)) < 2:
            label = menu.get_attribute("data-trait")
            self.problems.append(f"figure {self.name}, menu {label}: the plotted data do not change")

    def tick(self, box: Any) -> None:
        """A checkbox, by the space key."""
        self.reset()
        before = self.look()[0]
        box.focus()
        self.tab.keyboard.press("Space")
        if self.look()[0] == before:
            self.problems.append(f"figure {self.name}: a checkbox does not change the plotted data")

    def corners(self) -> None:
        for number, text in self.root.evaluate(CORNERS):
            self.problems.append(f"figure {self.name}, corner {number}: {text}")
        self.reset()


def figures(visit: Visit) -> list[str]:
    """Every control of every figure of the page is tried (open what is folded first)."""
    problems = []
    for root in visit.tab.locator(".sam-edu").all():
        figure = Figure(visit, root)
        sliders = root.locator("input[type=range]").all()
        if not sliders:
            problems.append(f"figure {figure.name} has no slider")
        for slider in sliders:
            figure.slide(slider)
        for menu in root.locator("select").all():
            figure.choose(menu)
        for box in root.locator("input[type=checkbox]").all():
            figure.tick(box)
        figure.corners()
        problems += figure.problems
    return list(dict.fromkeys(problems)) + visit.log


def slow(visit: Visit) -> tuple[list[str], list[str]]:
    """The times of all sliders of the page, and those that are too long."""
    times, problems = [], []
    for slider in visit.tab.locator(".sam-edu input[type=range]").all():
        name = slider.evaluate("(n) => n.closest('.sam-edu').dataset.seName + ' ' + n.dataset.trait")
        slider.scroll_into_view_if_needed()
        draw, paint = slider_times(slider)
        times.append(f"{name}: drawing {draw:.2f} ms, input to painted frame {paint:.1f} ms")
        if draw >= DRAW or paint > PAINT:
            problems.append(f"slow: {times[-1]}")
    return times, problems


# --- colours

# Contrast of texts with the ground on which they stand (WCAG 2, opacity counted).
FAINT = """([least, texts]) => {
  const canvas = Object.assign(document.createElement("canvas"), {width: 1, height: 1});
  const pen = canvas.getContext("2d", {willReadFrequently: true});
  const known = {};
  const rgba = (color) => known[color] ??= (() => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = color;
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  })();
  const over = (top, below, a) => [0, 1, 2].map((i) => a * top[i] + (1 - a) * below[i]);
  const linear = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ground = (node) => {
    const layers = [];
    for (let n = node; n && layers.at(-1)?.[3] !== 1; n = n.parentElement)
      layers.push(rgba(getComputedStyle(n).backgroundColor));
    return layers.reverse().reduce((below, c) => over(c, below, c[3]), [255, 255, 255]);
  };
  const found = [];
  let number = 0;
  for (const node of document.querySelectorAll(texts)) {
    const style = getComputedStyle(node), text = node.textContent.trim();
    if (!text || !node.getClientRects().length || style.visibility === "hidden") continue;
    let opacity = 1;
    for (let n = node; n && !n.matches(".sam-edu, main"); n = n.parentElement)
      opacity *= Number(getComputedStyle(n).opacity);
    if (opacity === 0) continue;
    const ink = rgba(node.closest("svg") ? style.fill : style.color), below = ground(node);
    const [dim, bright] = [light(over(ink, below, ink[3] * opacity)), light(below)].sort((x, y) => x - y);
    const contrast = (bright + 0.05) / (dim + 0.05);
    number++;
    if (contrast < least) found.push(`contrast ${contrast.toFixed(2)}: "${text.slice(0, 40)}"`);
  }
  return [number, [...new Set(found)]]; }"""


FIGURE_TEXTS = ".sam-edu :is(svg text, label, output, .se-say, .se-button, .se-caption)"
FORMULAS = "mjx-container"
CODE = "pre, pre span"
CELLS = "td:not(:has(*))"  # of tables, with a number or a word in them and nothing else
NAMES = (
    "code, dt.sig"  # of functions and their arguments, in a line of text and as the heading of their entry
)


def faint(visit: Visit, least: float = 4.5, texts: str = FIGURE_TEXTS) -> tuple[int, list[str]]:
    """How many such texts the page has, and those that are hard to read."""
    number, found = visit.tab.evaluate(FAINT, [least, texts])
    return number, found


def dark_pictures(visit: Visit) -> list[str]:
    """Pictures of plots in which hardly anything stands out from the ground on which they are shown."""
    import io

    import numpy as np
    from PIL import Image

    problems = []
    for picture in visit.tab.locator("main .cell_output img, main figure img").all():
        if not picture.is_visible():
            continue
        pixels = np.asarray(Image.open(io.BytesIO(picture.screenshot())).convert("RGB")) / 255
        linear = np.where(pixels <= 0.04045, pixels / 12.92, ((pixels + 0.055) / 1.055) ** 2.4)
        light = (linear @ [0.2126, 0.7152, 0.0722]).round(3)
        values, counts = np.unique(light, return_counts=True)
        ground = values[counts.argmax()]
        high, low = np.maximum(light, ground), np.minimum(light, ground)
        share = float(((high + 0.05) / (low + 0.05) >= 4.5).mean())
        if share < 0.003:  # lines and letters cover more than that
            source = (picture.get_attribute("src") or "")[-40:]
            problems.append(f"picture {source}: {100 * share:.2f} % of it can be told from its ground")
    return problems


# --- accessibility

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
COLOURS = ["color-contrast", "link-in-text-block"]  # rules that look at what stands on which ground
BOXES = f"pre, {CELLS}"


# axe-core is as slow as a page has nodes, and nine of ten nodes of a chapter are parts of formulas and of
# code, alike on all pages, and half of the rest are numbers in tables. So formulas are empty boxes of their
# size while it runs, and code and cells are, too, while it looks at colours; `faint` looks at all of them.
# `whole`: everything as it stands. The rules on colours run together, since what stands on which ground is
# found once for all of them. But the pages of the library consist of names: there contrast is asked for
# without them, `faint` sees them, and links are looked at with them: a link needs its text around it.
RUN_AXE = """async ([runOnly, looks, formulas]) => {
  const run = async (options) => (await axe.run(document, {resultTypes: ["violations"], iframes: false,
    preload: false, ...options})).violations;  // preload: it would fetch the style sheets again, from disk
  const emptied = async (selector, look) => {
    const boxes = selector ? [...document.querySelectorAll(selector)] : [];
    // all is read before anything is written: else the page is laid out anew for each box
    const seen = boxes.map((n) => [n.getBoundingClientRect(), getComputedStyle(n).display]);
    const put_back = boxes.map((n, i) => {
      const inside = document.createDocumentFragment(), style = n.style.cssText, [size, display] = seen[i];
      inside.append(...n.childNodes);
      if (display === "inline") n.style.display = "inline-block";
      Object.assign(n.style, {width: `${size.width}px`, height: `${size.height}px`});
      return () => { n.append(inside); n.style.cssText = style; }; });
    const found = await look();
    put_back.forEach((put) => put());
    return found; };
  const found = await emptied(formulas, async () => {
    const all = runOnly ? await run({runOnly, rules: {"color-contrast": {enabled: false},
      "link-in-text-block": {enabled: false}}}) : [];
    for (const [values, texts] of looks)
      all.push(...await emptied(texts, () => run({runOnly: {type: "rule", values}})));
    return all; });
  return found.map((v) => [v.id, v.nodes.length, v.nodes[0].html.slice(0, 99), v.help]); }"""


def barriers(visit: Visit, only: list[str] | None = None, whole: bool = False) -> list[str]:
    """What axe-core finds against WCAG 2.1 A and AA and its best practice; ``only`` names single rules."""
    colours = [name for name in COLOURS if not only or name in only]
    others = [name for name in only or () if name not in COLOURS]
    rules = {"type": "rule", "values": others} if only else {"type": "tag", "values": WCAG}
    looks = [(colours, BOXES)] if colours else []
    if colours == COLOURS[:1] or (colours and visit.tab.locator("dt.sig").count()):
        looks = [([name], f"{BOXES}, {NAMES}" if name == COLOURS[0] else BOXES) for name in colours]
    if whole:
        looks = [(colours, "")]
    visit.tab.evaluate(AXE)
    found = visit.tab.evaluate(
        RUN_AXE, [rules if others or not only else None, looks, "" if whole else FORMULAS]
    )
    problems = [f"{rule} ({count} times), such as {where!r}: {text}" for rule, count, where, text in found]
    texts = f"{FORMULAS}, {CODE}, {CELLS}, {NAMES}, :is({NAMES}) *"
    return problems + (faint(visit, texts=texts)[1] if "color-contrast" in colours else [])


# Of every figure: what it is called, and whether its words are there.
WORDS = """() => [...document.querySelectorAll("figure.se-figure, figure.sam-edu")].map((figure) => {
  const live = figure.matches(".sam-edu"), drawing = figure.querySelector("svg");
  const around = live ? figure.closest(".afm-host")?.parentElement : figure;
  const made = around?.querySelector(".se-made"), data = drawing.querySelector("metadata")?.textContent;
  const long = (panel) => panel.querySelector("desc").textContent.length > 30;
  return {
    live, name: live ? figure.dataset.seName : drawing.getAttribute("aria-label"),
    described: !live || [...figure.querySelectorAll("svg.se-plot")].every(long),
    rows: figure.querySelectorAll(".se-table tbody tr").length,
    saved: [...figure.querySelectorAll("button")].some((b) => b.textContent === "Save as SVG"),
    made: made?.textContent || "", number: made?.dataset.figure, panels: data ? JSON.parse(data) : null,
    sliders: [...figure.querySelectorAll("input, select")].map((n) => [n.labels[0]?.textContent || "",
      n.type === "range" ? n.getAttribute("aria-valuetext") || "" : "-"]) }; })"""


def words(visit: Visit) -> tuple[int, list[str]]:
    """Every figure has a description, its numbers as a table, a button that saves it, and how it was made."""
    problems = []
    seen = visit.tab.evaluate(WORDS)
    for number, figure in enumerate(seen, 1):
        name = f"figure {number} ({(figure['name'] or '')[:40]})"
        if check_book.BAD_ALT.search(figure["name"] or "") or not figure["described"]:
            problems.append(f"{name}: no description")
        elif not figure["live"] and not re.search(r"\d", figure["name"]):
            problems.append(f"{name}: no number in its description")
        if not figure["rows"]:
            problems.append(f"{name}: no table of its numbers")
        if not figure["saved"]:
            problems.append(f"{name}: no button to save it")
        missing = [word for word in ("Commit", "executed on", "author.figure") if word not in figure["made"]]
        if missing or int(figure["number"] or 0) != number:
            problems.append(f"{name}: its line on how it was made lacks {missing or 'the right number'}")
        problems += [
            f"{name}: a control without {what}"
            for label, value in figure["sliders"]
            for what, text in (("name", label), ("spoken value", value))
            if not text
        ]
        problems += [f"{name}: {problem}" for problem in alike(figure["panels"] or [])]
    return len(seen), problems


def alike(panels: list[dict[str, Any]]) -> list[str]:
    """Series of different colour in one panel that nothing but their colour tells apart."""
    problems = []
    for panel in panels:
        drawn = [s for s in panel["series"] if s.get("look") and len(s["x"]) > 0]
        for one, other in itertools.combinations(drawn, 2):
            (colour, *form), (colour2, *form2) = one["look"].split(" "), other["look"].split(" ")
            named = one["labelled"] and other["labelled"]
            named |= any(s["labelled"] and len(s["x"]) == 1 for s in (one, other))  # a point beside its name
            if colour != colour2 and form == form2 and not named:
                problems.append(f"only colour tells {one['name']!r} from {other['name']!r}")
    return problems


# What would move: running animations, and transitions that the style would start.
MOVING = """() => {
  const now = document.getAnimations().map((a) => "animation " + (a.animationName || a.transitionProperty));
  const would = [...document.querySelectorAll("html, body, body *")].filter((n) => {
    const s = getComputedStyle(n), seconds = s.transitionDuration.split(",").map(parseFloat);
    return Math.max(...seconds) > 0 || s.animationName !== "none" || s.scrollBehavior === "smooth"; });
  const named = would.map((n) => `style of ${n.tagName}.${n.getAttribute("class")}`);
  return [...new Set([...now, ...named])].slice(0, 5); }"""


def moving(visit: Visit) -> list[str]:
    """What moves although the reader asked that nothing should (open the page with ``still=True``)."""
    return visit.tab.evaluate(MOVING)


# --- links


class Anchors(HTMLParser):
    """Links and anchors of one HTML file."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.source = source
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        at = dict(attrs)
        self.ids |= {value for key in ("id", "name") if (value := at.get(key))}
        if tag in ("a", "area") and at.get("href"):
            self.links.append(str(at["href"]))


def has_figure(page: Anchors, state: str) -> bool:
    """Whether a link such as ``#se-playground-1--rho_0d1`` sets a live figure that the page has."""
    found = re.fullmatch(r"se-(.+?)-[1-9](--.+)?", state)
    # figures stand in the page as a script inside JSON, where their name is a string
    return found is not None and f'\\"{found[1]}\\"' in page.source


def broken_links(html: Path, pages: list[str]) -> list[str]:
    """Links to files or anchors that do not exist in the book."""
    known: dict[Path, Anchors] = {}

    def read(path: Path) -> Anchors:
        if path not in known:
            known[path] = Anchors(path.read_text(encoding="utf-8", errors="replace"))
        return known[path]

    problems = []
    for name in pages:
        path = (html / f"{name}.html").resolve()
        if not path.is_file():
            problems.append(f"{name}: missing")
            continue
        for link in dict.fromkeys(read(path).links):
            address = urlsplit(link)
            if address.scheme or address.netloc:
                continue
            target = (path.parent / unquote(address.path)).resolve() if address.path else path
            anchor = unquote(address.fragment)
            if not target.is_file():
                problems.append(f"{name}: {link} leads nowhere")
            elif (
                anchor
                and target.suffix == ".html"
                and not (anchor in read(target).ids or has_figure(read(target), anchor))
            ):
                problems.append(f"{name}: {link} has no such anchor")
    return problems
