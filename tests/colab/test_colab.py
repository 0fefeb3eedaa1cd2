"""The live figures under Google Colab's versions, and the cell through which a notebook starts there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sam_edu.colab import ATTACKS
from tests.colab import environment

ROOT = environment.ROOT
INSIDE = Path(__file__).with_name("inside.py")
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Chapters that compute with the toy model alone: they run where torch is absent.
WITHOUT_TORCH = ["06_robust_and_nonrobust_features", "07_standard_and_adversarial_optima"]
VIEW = "application/vnd.jupyter.widget-view+json"
EACH = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="session")
def colab() -> Path:
    """The Python of the environment like Colab's."""
    try:
        return environment.make()
    except environment.NoEnvironment as error:
        message = f"no environment like Colab's ({error})"
        if os.environ.get("CI"):  # there, nothing may be left out silently
            pytest.fail(message)
        pytest.skip(message)


def run(python: Path | str, *task: object, **variables: str) -> dict[str, Any]:
    """What inside.py finds with that Python; nothing of the caller's environment leaks in."""
    kept = {k: v for k, v in os.environ.items() if k in ("HOME", "LANG", "TMPDIR", "PATH")}
    settings = {"PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg", "JUPYTER_PREFER_ENV_PATH": "1"}
    done = subprocess.run(
        [str(python), "-B", str(INSIDE), *map(str, task)],
        capture_output=True,
        text=True,
        timeout=300,
        env=kept | settings | variables,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def kernel(colab: Path) -> dict[str, Any]:
    return run(colab, "kernel")


@pytest.fixture(scope="session")
def ours() -> dict[str, Any]:
    """The same figures under ipywidgets 8, with which the book is built."""
    return run(sys.executable, "figures")


# --- Colab's versions


def test_the_versions_are_those_of_colab(kernel: dict) -> None:
    about, known = kernel["about"], environment.versions()
    names = set(about) - {"python", "torch", "calls"}
    assert len(names) == 7 and {n: about[n] for n in names} == {n: known[n] for n in names}
    print("Python", about["python"], "beside Colab's", environment.WANTED)
    assert tuple(about["python"]) >= (3, 11)


def test_the_list_names_its_date_and_the_figures_needs() -> None:
    assert re.search(r"\b20\d\d-\d\d-\d\d\b", environment.VERSIONS.read_text().splitlines()[0])
    wanted = {*environment.INSTALLED, *environment.ALONE}
    assert wanted <= set(environment.versions()), "a package of the environment is not pinned"


def test_figures_do_not_import_torch(kernel: dict, ours: dict) -> None:
    assert kernel["about"]["torch"] is False and ours["torch"] is False


def test_every_figure_is_displayed_as_colab_wants_it(kernel: dict, ours: dict) -> None:
    assert set(kernel["figures"]) == set(ours["figures"]) and len(kernel["figures"]) >= 5
    for name, shown in kernel["figures"].items():
        assert {VIEW, "text/plain"} <= set(shown["mimes"]), name
        manager = shown["metadata"][VIEW]["colab"]
        assert manager["custom_widget_manager"]["url"].startswith("https://ssl.gstatic.com/"), name
        assert shown["module"] == "anywidget" and re.match(r"\w+\(.*\)$", shown["text"]), name
    assert kernel["about"]["calls"] == 1  # Colab is asked once for its manager, by anywidget itself


def test_module_style_and_state_are_the_same_under_both_versions(kernel: dict, ours: dict) -> None:
    """The states have gone through a kernel's messages there, and not here."""
    for name, here in ours["figures"].items():
        there = kernel["figures"][name]
        assert there["esm"] == here["esm"] and len(here["esm"]) > 1000, name
        assert there["css"] == here["css"], name
        binary = {k for k, v in here["state"].items() if isinstance(v, list) and v[:1] == ["bytes"]}
        assert set(there["buffers"]) == binary, name
        plain = {k: v for k, v in here["state"].items() if k not in binary}
        assert {k: v for k, v in there["state"].items() if k not in binary} == plain, name


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_a_chapter_on_the_toy_model_runs(colab: Path, name: str) -> None:
    path = ROOT / "notebooks" / f"{name}.ipynb"
    if not path.exists():
        pytest.skip(f"{name} is not written yet")
    found = run(colab, "notebook", path)
    assert found["errors"] == [] and found["cells"] > 3 and found["views"] >= 1


# --- the cell that installs


def code_cells(path: Path) -> list[str]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def installs(source: str) -> list[str]:
    return re.findall(r"^\s*(?:[!%]|%%\w+\s)\s*(.*\binstall\b.*)$", source, re.M)


BOOTSTRAP = code_cells(NOTEBOOKS[0])[0]


@EACH
def test_the_first_cell_is_the_same_everywhere_and_the_only_one_that_installs(path: Path) -> None:
    first, *others = code_cells(path)
    assert first == BOOTSTRAP
    assert not any(installs(source) for source in others)


def test_the_first_cell_replaces_nothing_that_colab_ships() -> None:
    assert 'if "google.colab" in sys.modules:' in BOOTSTRAP
    lines = installs(BOOTSTRAP)
    assert lines
    for line in lines:
        words = line.split()
        assert "--no-deps" in words
        named = [re.split(r"[=<>~!\[]", word)[0].lower() for word in words[2:] if word[0] != "-"]
        assert named and not set(named) & set(environment.versions())
        assert [n for n in named if n.startswith("git+")], "it does not install the library"
    assert not {name.partition("==")[0] for name in ATTACKS} & set(environment.versions())


def test_the_first_cell_runs_in_colab(colab: Path, tmp_path: Path) -> None:
    """With pip replaced by a script that writes down what it was asked for."""
    calls = tmp_path / "pip-calls"
    path = f"{INSIDE.parent / 'stand_in' / 'bin'}:{os.environ['PATH']}"
    found = run(colab, "cell", NOTEBOOKS[0], PATH=path, PIP_CALLS=str(calls))
    assert found["outputs"] == []
    asked = calls.read_text().splitlines()
    attacks = f"pip install -q --no-deps {' '.join(ATTACKS)}"
    assert [f"pip {line}" for line in asked] == [*(" ".join(i.split()) for i in installs(BOOTSTRAP)), attacks]


# --- the environment itself


def test_without_a_network_there_is_one_clear_line() -> None:
    with pytest.raises(environment.NoEnvironment) as caught:
        pip = [sys.executable, "-m", "pip", "install", "--isolated", "--no-index", "-q"]
        environment.run(*pip, "no-such-package-anywhere")
    assert "ERROR" in str(caught.value) and "\n" not in str(caught.value)
