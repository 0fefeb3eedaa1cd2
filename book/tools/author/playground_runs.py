"""Trains the playground's runs of which the text speaks, in the playground itself, and writes their curves.

    python -m book.tools.author.playground_runs [NAME ...]

opens the live figure in Chromium, sets its controls, presses Start, and stores what it measured after each
epoch in sam_edu/widgets/playground_runs.json; runs that are there already stay, unless their name begins with
one of those given. tests/widgets/test_playground.py repeats some. Needs playwright and Chromium.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from book.tools import ROOT
from sam_edu import widgets
from tests.browser import chromium
from tests.widgets.page import page as page_of

FILE = ROOT / "sam_edu/widgets/playground_runs.json"
SEEDS = range(3)
KEPT = ("clean", "robust", "trainRobust", "passes")
DIGITS: dict[str, dict[str, Any]] = {
    "digits-sgd": {"method": "sgd"},
    "digits-sam-0.4": {"method": "sam", "rho": 0.4},
    "digits-sam-0.1": {"method": "sam", "rho": 0.1},
    "digits-at-0.1": {"method": "at", "eps": 0.1},
    "digits-sam-0.6": {"method": "sam", "rho": 0.6},
    "digits-sam-1": {"method": "sam", "rho": 1.0},
}
PLANE: dict[str, dict[str, Any]] = {
    f"features-{name}": {"data": "features", "attack": 0.15, "epochs": 30, **settings}
    for name, settings in {
        "sgd": {"method": "sgd"},
        "sam-0.1": {"method": "sam", "rho": 0.1},
        "sam-0.4": {"method": "sam", "rho": 0.4},
        "sam-1": {"method": "sam", "rho": 1.0},
        "at-0.15": {"method": "at", "eps": 0.15},
    }.items()
}
RUNS = {
    f"{name}/{seed}": {**run, "seed": seed} for name, run in {**PLANE, **DIGITS}.items() for seed in SEEDS
}


def train(tab: Any, settings: dict[str, Any]) -> list[dict[str, float]]:
    """One run in an open figure: press Reset, set the controls, press Start, wait for the end."""
    tab.get_by_role("button", name="Reset").click()
    tab.evaluate(
        "(s) => { for (const name in s) model.set(name, s[name]); model.set('runs', []); }", settings
    )
    tab.get_by_role("button", name="Start", exact=True).click()
    tab.wait_for_function("model.get('runs').length === 1", timeout=600_000)
    points = tab.evaluate("model.get('runs')[0].points")
    return [
        {**{key: round(p[key], 4) for key in KEPT}, "rise": round(p["along"][2] - p["along"][0], 5)}
        for p in points
    ]


def opened(browser: Any, folder: Path, **start: Any) -> Any:
    """A tab that shows the figure."""
    file = folder / "playground.html"
    file.write_text(page_of(widgets.Playground(**start)), encoding="utf-8")
    tab = browser.new_page()
    tab.goto(file.as_uri())
    tab.wait_for_function("window.ready")
    return tab


def main(names: list[str]) -> None:
    known = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    known = {name: known[name] for name in RUNS if name in known}
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        tab = opened(browser, Path(folder))
        for name, settings in RUNS.items():
            if name in known and not any(name.startswith(n) for n in names):
                continue
            known[name] = {"settings": settings, "points": train(tab, settings)}
            last = known[name]["points"][-1]
            print(f"{name:20} {last}", flush=True)
            ordered = {n: known[n] for n in RUNS if n in known}
            FILE.write_text(
                json.dumps(ordered, separators=(",", ":")).replace('{"settings', '\n{"settings') + "\n",
                "utf-8",
            )


if __name__ == "__main__":
    main(sys.argv[1:])
