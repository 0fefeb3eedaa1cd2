"""How a figure was made: what is written under it, and the command that makes it again."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from book._ext import provenance
from book.tools.pages import made
from tests import figure_data
from tests.figure_data import ROOT, tool


def notebook(name: str) -> Any:
    return json.loads((ROOT / f"notebooks/{name}.ipynb").read_text(encoding="utf-8"))


# ---- the command ----------------------------------------------------------------------------


def again(page: str, number: int, out: Path) -> str:
    """Runs the command that stands under a figure, as it stands there; returns what it prints."""
    (line,) = [x for x in provenance.lines_for(page, number, "abc", {}, 0, []) if x.startswith("Again")]
    command = shlex.split(re.search(r"<code>(.*)</code>", line)[1])
    assert command[:3] == ["python", "-m", "book.tools.author.figure"]
    words = [sys.executable, *command[1:], "--out", str(out)]
    alone = {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "JUPYTER_PREFER_ENV_PATH": "1",
        "HOME": str(out),
    }
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=os.environ | alone)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


CHEAP = [
    ("06_robust_and_nonrobust_features", 2),
    ("07_standard_and_adversarial_optima", 2),
    ("04_adversarial_examples", 1),
]


@pytest.mark.parametrize("name, number", CHEAP)
def test_the_command_makes_the_figure_of_the_page(name: str, number: int, tmp_path: Path) -> None:
    said = again(f"notebooks/{name}", number, tmp_path)
    stem = f"{name}-{number}"
    assert f"{stem}.svg" in said and sorted(p.name for p in tmp_path.glob(f"{stem}.*")) == [
        f"{stem}.csv",
        f"{stem}.json",
        f"{stem}.svg",
    ]
    pages = notebook(name)
    index, kind, data = list(tool.figures(pages))[number - 1]
    saved = tool.data_of("".join(data["text/html"]))
    fresh = json.loads((tmp_path / f"{stem}.json").read_text(encoding="utf-8"))
    assert kind == "static" and saved
    assert not figure_data.too_far(pages["cells"][index], saved, fresh)
    rows = list(csv.reader((tmp_path / f"{stem}.csv").open(encoding="utf-8")))
    assert len(rows) - 1 == sum(len(s.get("x", [])) for panel in fresh for s in panel["series"])
    svg = (tmp_path / f"{stem}.svg").read_text(encoding="utf-8")
    assert "currentColor" not in svg and 'fill="#ffffff"' in svg and "width:100%" not in svg


def test_the_command_makes_a_still_of_a_live_figure(tmp_path: Path) -> None:
    again("notebooks/08_sam_solved", 1, tmp_path)
    assert (tmp_path / "08_sam_solved-1.png").read_bytes().startswith(b"\x89PNG")
    values = json.loads((tmp_path / "08_sam_solved-1.json").read_text(encoding="utf-8"))
    assert {"radius", "p", "eta", "d"} <= set(values) and not any(name.startswith("_") for name in values)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["notebooks/99_none", "1"], "there is no notebooks/99_none.ipynb"),
        (["notebooks/00_welcome", "7"], "00_welcome has figures 1 to 2, not 7"),
    ],
)
def test_a_wrong_name_is_one_line(arguments: list[str], message: str, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["figure.py", *arguments])
    with pytest.raises(SystemExit):
        tool.main()
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_figures_of_hidden_cells_are_not_counted() -> None:
    drawing = {"output_type": "display_data", "data": {"text/html": ['<figure class="se-figure">']}}
    cells = [
        {"cell_type": "code", "metadata": {"tags": tags}, "outputs": [drawing]}
        for tags in ([], ["remove-cell"])
    ]
    assert [index for index, _, _ in tool.figures({"cells": cells * 2})] == [0, 2]


# ---- the lines ------------------------------------------------------------------------------


def test_the_lines_say_all_that_is_known() -> None:
    known = {"date": "2026-11-24", "python": "3.11.7", "torch": "2.14.1", "machine": "A <CPU>, Linux",
             "lock": "0123", "seconds": [None, 12.34], "page_seconds": 61.0}  # fmt: skip
    lines = provenance.lines_for("notebooks/x", 2, "abc + changes", known, 1, [("fashion-mnist", 72, 3)])
    text = provenance.details(2, lines)
    assert (
        "Commit <code>abc + changes</code>, executed on 2026-11-24, this cell in 12 s, the page in 61 s."
        in text
    )
    assert "Python 3.11.7, torch 2.14.1, A &lt;CPU&gt;, Linux; packages: lock <code>0123</code>" in text
    assert "From 72 run records" in text and "sweep fashion-mnist --seeds 3" in text
    assert "python -m book.tools.author.figure notebooks/x 2" in text and 'data-figure="2"' in text
    fast = " ".join(provenance.lines_for("notebooks/x", 2, "abc", known, 1, [("cifar10-fast-cpu", 23, 3)]))
    assert "sweep cifar10-fast-cpu</code>" in fast  # the book's plan: one seed of some rows, three of others
    bare = " ".join(provenance.lines_for("notebooks/x", 1, "unknown", {}, 0, []))
    assert "Commit <code>unknown</code>, execution date not recorded." in bare and "records" not in bare


def test_commit_of_a_tree(tmp_path: Path) -> None:
    assert made.commit(tmp_path) == "unknown"  # an unpacked archive, even inside another repository
    run = lambda *words: subprocess.run(  # noqa: E731
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    run("init")
    (tmp_path / "a").write_text("1")
    run("add", "a")
    run("commit", "-m", "a")
    name = made.commit(tmp_path)
    assert re.fullmatch(r"[0-9a-f]{10}", name)
    (tmp_path / "a").write_text("2")
    assert made.commit(tmp_path) == f"{name} + changes"


def test_times_are_kept_beside_the_results_and_not_in_the_notebook(tmp_path: Path) -> None:
    times = {
        "iopub.status.busy": "2026-11-24T04:00:01.000000Z",
        "shell.execute_reply": "2026-11-24T04:00:03.500000Z",
    }
    code = {"cell_type": "code", "source": ["1 + 1"], "metadata": {"tags": ["x"], "execution": dict(times)}}
    other = {"cell_type": "code", "source": "2", "metadata": {}}
    page = {"cells": [{"cell_type": "markdown", "source": "a"}, code, other]}
    made.note(tmp_path, page)
    assert code["metadata"] == {"tags": ["x"]}
    known = made.read(tmp_path, {"cells": [code | {"source": "1 + 1"}, other]})  # prose does not count
    assert known["seconds"] == [2.5, None] and known["python"] and known["torch"] and len(known["lock"]) == 12
    assert made.read(tmp_path, {"cells": [other]}) == {}


# ---- the committed notebooks ----------------------------------------------------------------


def test_the_tables_of_the_saved_figures_hold_plotted_numbers() -> None:
    problems, looked = [], 0
    for name in sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb")):
        for number, (_, kind, data) in enumerate(tool.figures(notebook(name)), 1):
            markup = "".join(data.get("text/html", ""))
            if kind == "static" and tool.data_of(markup):
                looked += 1
                problems += [f"{name}, figure {number}, {column}" for column in figure_data.strangers(markup)]
    assert looked and not problems, "\n".join(problems)


def test_a_strange_number_in_a_table_is_found() -> None:
    from sam_edu import plots

    fig, ax = plots.figure("", "ε", "accuracy")
    plots.line(ax, [0, 1, 2], [0.9, 0.5, 0.1234567], "SAM")
    good = {"ε": [0, 1, 2], "accuracy": [0.9, 0.5, 0.1234567], "runs": [7, 7, 7]}
    assert list(figure_data.strangers(plots.show(fig, "x", table=good).markup)) == []
    percent = {"ε": [0, 1, 2], "accuracy, %": [90, 50, 12.34567]}
    assert list(figure_data.strangers(plots.show(fig, "x", table=percent).markup)) == []
    wrong = {"ε": [0, 1, 2], "accuracy": [0.9, 0.5, 0.2]}
    assert len(list(figure_data.strangers(plots.show(fig, "x", table=wrong).markup))) == 1
