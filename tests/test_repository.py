"""The repository itself: its layout, its saved notebooks, its versions."""

import json
import re
import subprocess
import tomllib
from importlib import metadata

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import sam_edu
from book.tools import ROOT
from book.tools.edition import chapter
from book.tools.pages import check_book
from book.tools.publish import address
from tests.colab import environment

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TOP_LEVEL = {
    "book",
    "notebooks",
    "sam_edu",
    "tests",
    "benchmarks",
    "findings",
    ".ci",
    "_config.yml",
    "_toc.yml",
    "requirements.txt",
    "README.md",
    "pyproject.toml",
    "Makefile",
    "LICENSE",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    ".gitignore",
    ".github",
}


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SLUG = address.slug(address.address())
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())


# --- layout and address


def test_nothing_else_at_the_top_level():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    assert {name.split("/")[0] for name in listed.stdout.splitlines()} <= TOP_LEVEL


@pytest.mark.parametrize("name", check_book.toc_pages(TOC))
def test_each_page_of_the_toc_has_a_source(name):
    assert any((ROOT / f"{name}{suffix}").exists() for suffix in (".md", ".ipynb"))


def test_every_chapter_is_in_the_toc_and_has_its_notebook():
    chapters = [path.stem for path in chapter.chapters(ROOT)]
    assert {f"notebooks/{name}" for name in chapters} <= set(check_book.toc_pages(TOC))
    assert chapters == [path.stem for path in NOTEBOOKS], "run `make outputs`"


# --- notebooks as they are saved


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def load(self, path):
        return json.loads(path.read_text())

    def test_is_made_from_its_chapter_as_it_stands(self, path):
        notebook, now = self.load(path), chapter.version_of(path.with_suffix(".md"))
        assert notebook["metadata"]["source"] == now, "run `make outputs`"
        assert set(notebook["metadata"]) == {"kernelspec", "language_info", "made_on", "source"}
        assert not any("execution" in cell["metadata"] for cell in notebook["cells"])

    def test_has_a_badge_that_opens_this_file(self, path):
        text = path.read_text()
        links = re.findall(r"https://colab\.research\.google\.com/github/[^)\s\"\\]+", text)
        assert links, "no link to Colab"
        own = f"https://colab.research.google.com/github/{SLUG}/blob/main/notebooks/{path.name}"
        assert own in links

    def test_has_outputs_and_no_error(self, path):
        cells = [
            cell
            for cell in self.load(path)["cells"]
            if cell["cell_type"] == "code" and "".join(cell["source"]).strip()
        ]
        assert all(cell["execution_count"] for cell in cells), "run `make outputs`"
        outputs = [output for cell in cells for output in cell["outputs"]]
        assert not [o for o in outputs if o["output_type"] == "error"]
        assert not [o for o in outputs if o.get("name") == "stderr"], "the build treats stderr as an error"

    def test_fetches_no_picture_from_elsewhere(self, path):
        sources = "\n".join(
            "".join(cell["source"]) for cell in self.load(path)["cells"] if cell["cell_type"] == "markdown"
        )
        assert not re.search(r"!\[[^\]]*\]\(https?:|<img[^>]+src=[\"']https?:", sources)


# --- versions

# Installing sam-edu on Google Colab must replace none of its packages.
COLAB = {name: number.split("+")[0] for name, number in environment.versions().items()}
COMES_WITH_TORCH = {"filelock"}  # Colab has it, whatever its version; our list names the larger packages


def pins(path):
    """Package versions that a requirements file pins."""
    lines = (line.split("#")[0].split(";")[0].strip() for line in (ROOT / path).read_text().splitlines())
    pairs = (line.split("==") for line in lines if "==" in line)
    result = {}
    for name, version in pairs:
        result.setdefault(name.strip(), set()).add(version.strip())
    return result


def test_the_lock_holds_what_requirements_ask_for():
    lock = pins(".ci/requirements.lock")
    for name, versions in pins("requirements.txt").items():
        assert versions <= lock.get(name, set()), f"{name}: run `make lock`"


@pytest.mark.parametrize("line", [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["data"]])
def test_the_library_asks_for_lower_bounds_that_colab_meets(line):
    requirement = Requirement(line)
    assert [spec.operator for spec in requirement.specifier] == [">="]
    if requirement.name in COMES_WITH_TORCH:
        assert any(re.match(rf"{requirement.name}\b", asked) for asked in metadata.requires("torch"))
    else:
        assert requirement.specifier.contains(Version(COLAB[requirement.name]))


def test_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"] == sam_edu.__version__


def test_the_version_of_the_library_is_that_of_its_installation(monkeypatch):
    """No second place to forget at a release; a folder that was never installed says so."""
    monkeypatch.setattr(metadata, "version", lambda name: {"sam-edu": "9.8.7"}[name])
    assert sam_edu.__version__ == "9.8.7"

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert sam_edu.__version__ == "not installed"


def test_every_public_module_is_named_by_the_library():
    """What a chapter may import can be found with dir() and Tab."""
    found = {path.stem for path in (ROOT / "sam_edu").iterdir() if path.suffix in ("", ".py")}
    public = {name for name in found if name[0] != "_"} - {"records"}
    assert public == set(sam_edu.__all__), "sam_edu/__init__.py: __all__ and the docstring"


def test_every_test_that_measures_times_is_run() -> None:
    lists = re.findall(r"^(?:FRAMED|TIMED) := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    timed = [p for p in (ROOT / "tests").rglob("*.py") if "mark." + "timing" in p.read_text(encoding="utf-8")]
    assert len(timed) >= 5
    assert all(any(p.is_relative_to(ROOT / place) for place in " ".join(lists).split()) for p in timed)
