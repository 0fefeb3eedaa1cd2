"""The notebooks in JupyterLab, without extensions for MyST: readable, folded, formulas drawn, sliders alive.

    make lab        (python -m pytest tests/lab)

makes .venv/lab the first time (LAB_ENV may name it): an environment with what book/how_to_run.md tells
readers to install beside the book, and nothing of the book's. The kernel is made known as that page says;
screenshots appear in _build/lab.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from book.tools import ROOT
from tests.browser import DATA, chromium

LAB = ["jupyterlab==4.6.6", "anywidget"]
KERNEL = "flat-and-robust"
FOLDER = ROOT / ".venv" / "lab"
CHAPTERS = ["00_welcome", "08_sam_solved", "12_replication_on_two_cores", "13_papers_protocol"]
PORT = 8917
TRACKER = "lab/user-settings/@jupyterlab/notebook-extension/tracker.jupyterlab-settings"
NEWS = "lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
SEEN = """() => {
  const all = (css) => [...document.querySelectorAll(css)];
  const words = (node) => {  // code is no text: two stars may stand in it
    const copy = node.cloneNode(true);
    for (const code of copy.querySelectorAll("code")) code.replaceWith("`code`");
    return copy.textContent; };
  return {
    text: all(".jp-MarkdownOutput").map(words).join("\\n"),
    cells: all(".jp-MarkdownOutput").length, wrong: all("mjx-merror").length,
    formulas: all(".jp-MarkdownOutput mjx-container").length,
    folded: all(".jp-CodeCell .jp-Cell-inputWrapper .jp-Placeholder").length,
    pictures: all(".jp-OutputArea-output img").map((n) => n.complete && n.naturalWidth > 200 && n.alt),
    outputs: all(".jp-OutputArea-output").map((n) => n.innerText).join("\\n"),
    details: all(".jp-MarkdownOutput details:not([open])").length,
  }; }"""


def environment() -> Path:
    """The command `jupyter` of an environment with JupyterLab; made the first time."""
    folder = Path(os.environ.get("LAB_ENV", FOLDER))
    needed = [folder / "bin/jupyter", folder / "share/jupyter/labextensions/anywidget"]
    if not all(path.exists() for path in needed):
        pip = [folder / "bin/python", "-m", "pip", "install", "-q", *LAB]
        for command in ([sys.executable, "-m", "venv", folder], pip):
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
            if done.returncode:
                shutil.rmtree(folder, ignore_errors=True)
                raise RuntimeError(f"no environment with {LAB}: {(done.stderr.splitlines() or ['?'])[-1]}")
    return needed[0]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running JupyterLab on copies of the notebooks."""
    try:
        jupyter = environment()
    except RuntimeError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    home, work = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("work")
    for name in CHAPTERS:
        notebook = json.loads((ROOT / f"notebooks/{name}.ipynb").read_text())
        notebook["metadata"]["kernelspec"] |= {"name": KERNEL, "display_name": KERNEL}  # the reader's choice
        (work / f"{name}.ipynb").write_text(json.dumps(notebook))
    for name, setting in ((TRACKER, {"windowingMode": "none"}), (NEWS, {"fetchNews": "false"})):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(json.dumps(setting))
    known = [sys.executable, "-m", "ipykernel", "install", "--prefix", str(home), "--name", KERNEL]
    subprocess.run(known, check=True, capture_output=True)
    settings = {
        "JUPYTER_PATH": str(home / "share/jupyter"),
        "PYTHONPATH": str(ROOT),
        "JUPYTER_CONFIG_DIR": str(home),
    }
    command = [str(jupyter), "lab", "--no-browser", f"--port={PORT}", "--IdentityProvider.token=",
               "--allow-root", f"--ServerApp.root_dir={work}", "--expose-app-in-browser"]  # fmt: skip
    server = subprocess.Popen(
        command, env=os.environ | settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"http://localhost:{PORT}/api")
                break
            except OSError:
                time.sleep(1)
        yield f"http://localhost:{PORT}/lab/tree"
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened_browser:
        yield opened_browser


def opened(browser: Any, lab: str, name: str) -> Any:
    """The notebook in a tab, with its formulas drawn."""
    tab = browser.new_page(viewport={"width": 1280, "height": 1600})
    tab.set_default_timeout(120_000)
    tab.goto(f"{lab}/{name}.ipynb?reset")
    tab.wait_for_selector(".jp-MarkdownOutput mjx-container, .jp-MarkdownOutput h1")
    cells = json.loads((ROOT / f"notebooks/{name}.ipynb").read_text())["cells"]
    text = [cell for cell in cells if cell["cell_type"] == "markdown"]
    shown = "document.querySelectorAll('.jp-MarkdownOutput').length"
    tab.wait_for_function(f"{shown} >= {len(text)}")
    before = -1
    while before != (now := tab.evaluate(SEEN)["formulas"]):
        before = now
        tab.wait_for_timeout(3000)
    return tab


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_reads_like_its_page(browser: Any, lab: str, name: str) -> None:
    cells = json.loads((ROOT / f"notebooks/{name}.ipynb").read_text())["cells"]
    text = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    hidden = [c for c in cells if c["metadata"].get("jupyter", {}).get("source_hidden")]
    tab = opened(browser, lab, name)
    seen = tab.evaluate(SEEN)
    (ROOT / "_build/lab").mkdir(parents=True, exist_ok=True)
    tab.screenshot(path=ROOT / f"_build/lab/{name}.png")
    tab.close()
    assert not re.search(r"\{[a-z:]+\}`|:::|\$|\\tag|\*\*|</?details", seen["text"], re.M)
    displayed = text.count("$$") // 2
    assert seen["formulas"] == displayed + (text.count("$") - 4 * displayed) // 2 and seen["wrong"] == 0
    drawn = [
        part
        for c in cells
        if not c["metadata"].get("jupyter", {}).get("outputs_hidden")
        for o in c.get("outputs", ())
        for part in ["".join(o.get("data", {}).get("text/html", ""))]
        if "se-figure" in part
    ]
    assert sum(map(bool, seen["pictures"])) == len(drawn) and '"series"' not in seen["outputs"]
    assert seen["folded"] == len(hidden) > 0 and seen["details"] == text.count("<details>")


def test_a_live_figure_moves(browser: Any, lab: str) -> None:
    """A slider changes the drawing, and the button trains: curves and regions appear."""
    tab = opened(browser, lab, "00_welcome")
    tab.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    figure, slider = tab.locator(".sam-edu").first, tab.locator(".sam-edu input[type=range]").first
    failed = tab.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']")
    slider.or_(failed).first.wait_for()
    assert not failed.count(), failed.first.inner_text()
    at_first, value = figure.evaluate(DATA), slider.input_value()
    slider.focus()
    for _ in range(5):
        tab.keyboard.press("ArrowRight")
    tab.wait_for_timeout(1000)
    moved = figure.evaluate(DATA)
    assert slider.input_value() != value and moved != at_first

    figure.get_by_role("button", name="Start").click()
    figure.locator(".se-say", has_text="after 30 epochs").wait_for()
    tab.wait_for_timeout(1000)
    figure.scroll_into_view_if_needed()
    tab.screenshot(path=ROOT / "_build/lab/live.png")
    assert figure.evaluate(DATA) != moved
    tab.close()
