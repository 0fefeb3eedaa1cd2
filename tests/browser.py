"""Chromium for the tests: how it is started, what is noted while a page is open, how figures are tried."""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from sam_edu.widgets.base import bundle

NOT_A_NUMBER = re.compile(r"NaN|undefined|Infinity|\[object")
UNROUNDED = re.compile(r"\d\.\d{7,}")
REST = 260  # ms after which a figure speaks: it waits 200 ms for the slider to rest
DRAW, PAINT = 4.0, 34.0  # ms: drawing; an input event to the painted frame (two frames at 60 Hz)
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def rest(tab: Any, ms: float = REST) -> None:
    """Wait ``ms`` by the page's own clock, after what it still had to do.

    Timers and events of one page come in order. So a figure's timer of 200 ms has ended before one of REST,
    and a fold has told that it was opened, on the busiest machine; a clock outside the page knows neither.
    """
    tab.evaluate(RESTED, ms)


RESTED = """(ms) => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() =>
  setTimeout(done, ms))))"""


def settle(tab: Any, ms: float = REST) -> None:
    """As `rest`, for what waits for a timer of the page: nobody sits through the time.

    After what the page still had to do, all timers of the next ``ms`` ring at once, in their order; one that
    would ring later does not. The page must have been opened with TIMERS in it. What waits for a message of a
    worker or of the browser (a new hash, an opened fold) needs `rest`.
    """
    tab.evaluate(SETTLE, ms)


SETTLE = """(ms) => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() =>
  done(window.ringWithin(ms)))))"""

# Keeps the timers that a page sets, so that they can be rung before their time, each once and in their order.
# What a timer sets while it is rung early counts from the moment at which that one would have rung.
TIMERS = """(() => {
  const set = window.setTimeout, clear = window.clearTimeout, waiting = new Map();
  let ahead = 0;
  window.setTimeout = (what, ms, ...words) => {
    const id = set(() => ring(id), ms);
    const call = typeof what === "function" ? () => what(...words) : () => (0, eval)(what);
    waiting.set(id, [performance.now() + ahead + Math.max(Number(ms) || 0, 1), call]);
    return id;
  };
  window.clearTimeout = (id) => {
    waiting.delete(id);
    clear(id);
  };
  const ring = (id) => {
    const [, call] = waiting.get(id);
    window.clearTimeout(id);
    call();
  };
  window.ringWithin = (ms) => {
    const end = performance.now() + ms;
    for (;;) {
      const [first] = [...waiting].filter(([, [due]]) => due <= end).sort(([, [a]], [, [b]]) => a - b);
      if (!first) break;
      ahead = Math.max(first[1][0] - performance.now(), 0);
      ring(first[0]);
    }
    ahead = 0;
  };
})();"""


@contextmanager
def chromium() -> Iterator[Any]:
    """The system's Chromium (or $CHROMIUM). Absent: skip, or fail in continuous integration.

    The headless shell is the same engine without the windows around it, and a sixth faster.
    """
    names = ("chromium-headless-shell", "chromium", "chrome")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if not path or not Path(path).exists():
        message = "no Chromium: install it, or set CHROMIUM to its path"
        if os.environ.get("CI"):  # there, nothing may be left out silently
            pytest.fail(message)
        pytest.skip(message)
    if os.environ.get("CI"):
        import playwright.sync_api as sync_api
    else:
        sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def formulas_tab(browser: Any, file: str) -> Any:
    """A tab whose ``window.math`` is a module of formulas in sam_edu/widgets, with all that it imports."""
    tab = browser.new_page()
    source = json.dumps(bundle(file))
    tab.evaluate(f"""async () => {{ const blob = new Blob([{source}], {{type: "text/javascript"}});
        window.math = await import(URL.createObjectURL(blob)); }}""")
    return tab


class Visit:
    """A page opened from disk with the network refused, and everything that happens to it.

    ``log`` has one line for each console error, uncaught exception and failed request, and for each
    request to another host; ``files`` the files that the page has loaded, with their kind.
    """

    def __init__(
        self, browser: Any, *, width: int = 1280, height: int = 900, dark: bool = False, still: bool = False
    ) -> None:
        self.context = browser.new_context(
            offline=True,
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce" if still else "no-preference",
        )
        self.context.add_init_script(TIMERS)
        self.context.set_default_navigation_timeout(120_000)  # six hundred formulas on a busy machine
        self.tab = self.context.new_page()
        self.log: list[str] = []
        self.files: dict[Path, str] = {}
        self.context.route(re.compile(r"^(https?|wss?|ftp):"), lambda route: route.abort())
        self.tab.on("console", self._said)
        self.tab.on("pageerror", lambda error: self.log.append(f"uncaught: {error}"))
        self.tab.on("request", self._asked)
        self.tab.on("requestfailed", lambda r: self.log.append(f"failed request: {r.url[:200]}"))
        self.tab.on("requestfinished", self._loaded)

    def _said(self, message: Any) -> None:
        if message.type in ("error", "assert"):
            self.log.append(f"console: {message.text[:300]}")

    def _asked(self, request: Any) -> None:
        if urlsplit(request.url).scheme not in ("file", "data", "blob", "about"):
            self.log.append(f"request to another host: {request.url[:200]}")

    def _loaded(self, request: Any) -> None:
        address = urlsplit(request.url)
        if address.scheme == "file":
            self.files[Path(unquote(address.path))] = request.resource_type

    def open(self, path: Path, after: str = "") -> Visit:
        """Open the page; wait until its formulas are typeset and its figures drawn."""
        self.log.clear()
        self.files.clear()
        self.tab.goto("about:blank")  # a mere change of the hash would not load the page anew
        self.tab.goto(path.resolve().as_uri() + after)
        self.tab.evaluate(SETTLED)
        return self

    def close(self) -> None:
        self.context.close()


# Formulas typeset, figures started (or failed, which other checks notice), fonts there.
SETTLED = """async () => {
  await window.MathJax?.startup?.promise;
  const until = performance.now() + 10000;
  const waiting = () => document.querySelector(".afm-host:not([data-ready]):empty");
  while (waiting() && performance.now() < until) await new Promise((done) => setTimeout(done, 20));
  await document.fonts.ready;
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)));
}"""

# What the plotted data of a figure say: all attributes and the text of its `se-data` nodes.
DATA = """(root) => [...root.querySelectorAll(".se-data")].map((n) => [...n.attributes]
  .map((a) => a.value).join(" ") + n.textContent).join("|")"""

# Every text of a figure, and what its sliders tell a screen reader.
TEXTS = """(root) => {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT), texts = [];
  while (walker.nextNode()) texts.push(walker.currentNode.data);
  for (const n of root.querySelectorAll("[aria-valuetext]")) texts.push(n.getAttribute("aria-valuetext"));
  return texts.join(" | "); }"""

# Puts every combination of the ends of all controls of a figure; returns what is drawn wrongly.
CORNERS = """async (root) => {
  const inputs = [...root.querySelectorAll("input[type=range]")], bad = [];
  const menus = [...root.querySelectorAll("select")];
  for (let k = 0; k < 2 ** (inputs.length + menus.length); k++) {
    inputs.forEach((input, i) => {
      input.value = (k >> i) & 1 ? input.max : input.min;
      input.dispatchEvent(new Event("input"));
    });
    menus.forEach((menu, i) => {
      const last = (k >> (inputs.length + i)) & 1;
      menu.selectedIndex = last ? menu.options.length - 1 : 0;
      menu.dispatchEvent(new Event("change"));
    });
    await new Promise(requestAnimationFrame);
    await new Promise(requestAnimationFrame);
    const found = root.outerHTML.match(/.{60}(NaN|undefined|Infinity).{20}/);
    if (found) bad.push([k, found[0]]);
  }
  return bad; }"""

# Moves the slider: how long the input event takes (drawing included), and until it is painted. Asked is the
# median of 30 moves. It lies below its limit as soon as 16 of them do, whatever others take: then it ends.
MOVES = 30
TIME_A_SLIDER = f"""async (input, [draw_limit, paint_limit]) => {{
  const draw = [], paint = [], low = Number(input.min), high = Number(input.max);
  const clear = (times, limit) => times.filter((t) => t < limit).length > {MOVES} / 2;
  await new Promise(requestAnimationFrame);
  for (let k = 0; k < {MOVES} && !(clear(draw, draw_limit) && clear(paint, paint_limit)); k++) {{
    await new Promise((done) => setTimeout(done, 3));
    input.value = low + ((high - low) * ((k * 7) % {MOVES})) / {MOVES - 1};
    const start = performance.now();
    input.dispatchEvent(new Event("input", {{bubbles: true}}));
    draw.push(performance.now() - start);
    await new Promise((done) => requestAnimationFrame(() => {{
      const channel = new MessageChannel();
      channel.port1.onmessage = done;
      channel.port2.postMessage(0);
    }}));
    paint.push(performance.now() - start);
  }}
  return [draw, paint]; }}"""


def time_moves(slider: Any) -> tuple[float, float]:
    """Median ms of drawing and of input to painted frame, from as many moves as settle the two limits."""
    draw, paint = slider.evaluate(TIME_A_SLIDER, [DRAW, PAINT])
    return statistics.median(draw), statistics.median(paint)


def slider_times(slider: Any, tries: int = 5) -> tuple[float, float]:
    """What `time_moves` finds; a busy machine gets more tries."""
    best = (float("inf"), float("inf"))
    for _ in range(tries):
        best = min(best, time_moves(slider), key=lambda t: (t[0] >= DRAW or t[1] >= PAINT, t[1]))
        if best[0] < DRAW and best[1] < PAINT:
            break
    return best
