"""A chapter made from the template: complete, without leftovers, and right when it is run."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest
import yaml

from book.tools import ROOT
from book.tools.author import new_chapter
from book.tools.edition import chapter

NAME = "97_blind_spots"
FRAME = [
    "After this chapter you can", ":class: predict", ":class: reveal", "{prf:proposition}", "## Limits",
    "**The answer.**", ":class: key-ideas", "## Exercises", "## Further reading",
]  # fmt: skip
LEFT = re.compile(r"NN|figure_name|figure-name|FigureName|OWNER/REPO|parabolaWorst")


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    """Path -> text of all that a new chapter writes."""
    return {path.relative_to(ROOT).as_posix(): text for path, text in new_chapter.plan(ROOT, NAME).items()}


def test_every_part_of_the_chapter_is_there(files):
    assert {
        "notebooks/97_blind_spots.md",
        "sam_edu/widgets/blind_spots.py",
        "sam_edu/widgets/blind_spots.js",
        "sam_edu/widgets/blind_spots_math.js",
        "sam_edu/exercises/ch97.py",
        "tests/widgets/test_blind_spots.py",
        "tests/witnesses/test_witnesses_ch97.py",
    } <= set(files)
    new = [text for name, text in files.items() if not (ROOT / name).exists()]
    templates = {path.name for path in new_chapter.TEMPLATE.iterdir() if path.suffix in (".md", ".py", ".js")}
    assert templates == set(new_chapter.FILES) and len(new) == len(templates)
    for text in new:
        assert not LEFT.search(text), LEFT.search(text)


def test_the_chapter_is_entered_where_it_must_be_known(files):
    parts = yaml.safe_load(files["_toc.yml"])["parts"]
    assert parts[-2]["chapters"][-1] == {"file": f"notebooks/{NAME}"}
    assert parts[-1] == yaml.safe_load((ROOT / "_toc.yml").read_text())["parts"][-1]
    module = ast.parse(files["sam_edu/widgets/__init__.py"])
    imported = [n.module for n in module.body if isinstance(n, ast.ImportFrom) and n.module != "__future__"]
    assert "sam_edu.widgets.blind_spots" in imported and imported == sorted(imported)
    listed = ast.literal_eval(module.body[-1].value)
    assert "BlindSpotsExplorer" in listed and listed == sorted(listed)
    assert '"blind-spots": widgets.BlindSpotsExplorer,' in files["tests/figures.py"]


def test_the_text_has_the_frame_of_a_chapter(files, tmp_path):
    path = tmp_path / f"{NAME}.md"
    path.write_text(files[f"notebooks/{NAME}.md"], "utf-8")
    nbformat.validate(chapter.read(path))
    text = chapter.text_of(path)
    assert text.startswith("# 97 ") and f"blob/main/notebooks/{NAME}.ipynb" in text
    for part in FRAME:
        assert part in text, part
    asked, solved = re.findall(r"\{exercise\} 97\.", text), re.findall(r"solution-start\} ex-97-", text)
    assert len(asked) == len(solved) >= 4


@pytest.mark.parametrize(
    "name", ["", "15", "blind_spots", "5_spots", "15_Blind", "15_blind-spots", "15__x", "15_" + "x" * 31]
)
def test_a_bad_name_is_refused(name):
    with pytest.raises(ValueError, match="the name must be like 15_my_topic"):
        new_chapter.plan(ROOT, name)


def test_nothing_is_written_over():
    with pytest.raises(ValueError, match=r"exercises/ch01\.py exists already; choose another number"):
        new_chapter.plan(ROOT, "01_another_topic")
    with pytest.raises(ValueError, match=r"sam_edu/widgets/flatness\.py exists already"):
        new_chapter.plan(ROOT, "97_flatness")


def test_a_mistake_ends_in_one_line():
    command = [sys.executable, "-m", "book.tools.author.new_chapter", "x"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1 and done.stderr.startswith("No chapter: the name must be like 15_my_topic")
    assert done.stderr.count("\n") == 1


# All code cells of the notebook in their order, then every exercise: the stub fails, the solution passes.
RUN = """
import sys
from pathlib import Path
from book.tools.edition import chapter
from sam_edu import exercises
from sam_edu.book import check
space = {}
for source in chapter.code_of(Path(sys.argv[1])):
    exec(source, space)
ours = [n for n in exercises.numbers() if n.startswith("97.")]
assert len(ours) >= 4
for n in ours:
    assert not check(n, ...) and check(n, exercises.get(n).solution())
"""


@pytest.mark.slow
def test_the_chapter_works_as_it_is_made(files, tmp_path):
    """In a copy of the library and of what the tests need: its own tests, and its notebook."""
    skip = shutil.ignore_patterns("records", "__pycache__")
    shutil.copytree(ROOT / "sam_edu", tmp_path / "sam_edu", ignore=skip)
    for room in ("witnesses", "widgets"):
        (tmp_path / "tests" / room).mkdir(parents=True)
    for name in ("__init__.py", "browser.py", "conftest.py", "widgets/conftest.py"):
        shutil.copy(ROOT / "tests" / name, tmp_path / "tests" / name)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    notebook = subprocess.run(
        [sys.executable, "-c", RUN, f"notebooks/{NAME}.md"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert notebook.returncode == 0, notebook.stderr
    assert notebook.stdout.count("correct.") == 8 and "not yet" not in notebook.stdout
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "pythonpath=.", "tests"]
    tests = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert tests.returncode == 0, tests.stdout
    assert "passed" in tests.stdout
