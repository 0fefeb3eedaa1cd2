"""The repository itself: its address, its saved notebooks, its versions, and its tools."""

import importlib.util
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TOP_LEVEL = {
    "book",
    "notebooks",
    "sam_edu",
    "tests",
    "benchmarks",
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


def tool(name):
    """Import a script of book/tools or book/_ext."""
    path = next(ROOT.glob(f"book/*/{name}.py"))
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


address, check_book, clean_notebooks, fingerprint, icons = map(
    tool, ["address", "check_book", "clean_notebooks", "fingerprint", "icons"]
)
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


def test_every_notebook_is_in_the_toc():
    assert {f"notebooks/{path.stem}" for path in NOTEBOOKS} <= set(check_book.toc_pages(TOC))


def test_the_address_is_the_same_everywhere():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert config["repository"]["url"] == citation["repository-code"] == address.address()
    for path in address.files():
        text = path.read_text()
        assert address.rewrite(text, SLUG, SLUG) == text, (
            f"run `make address`: {path.name} shows another address"
        )


def test_a_new_address_reaches_links_badges_and_installs():
    old, new = "flat-and-robust/flat-and-robust", "someone/their.book"
    before = [
        "https://colab.research.google.com/github/O/blob/main/notebooks/a.ipynb",
        '"%pip install -q --no-deps git+https://github.com/O\\n"',
        "!git clone -q --depth 1 https://github.com/O.git",
        "  url: https://github.com/O   # written by `make address`",
        'Repository = "https://github.com/O"',
        "see https://github.com/O/issues, and https://github.com/weizeming/SAM_AT",
    ]
    for line in before:
        assert address.rewrite(line.replace("O", old), old, new) == line.replace("O", new)
    # what always means this book is corrected even when it has drifted away from the old address
    drifted = "https://colab.research.google.com/github/x/y/blob/main/a.ipynb"
    assert address.rewrite(drifted, old, new) == drifted.replace("x/y", new)


@pytest.mark.parametrize(
    "bad",
    ["http://github.com/a/b", "https://github.com/a", "github.com/a/b", "https://gitlab.com/a/b"],
)
def test_a_bad_address_is_refused_in_one_line(bad):
    with pytest.raises(SystemExit, match=r"expected https://github.com/owner/repo"):
        address.slug(bad)


# --- notebooks as they are saved


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def load(self, path):
        return json.loads(path.read_text())

    def test_is_saved_without_state_and_timings(self, path):
        saved = path.read_text()
        assert json.loads(saved) == clean_notebooks.clean(json.loads(saved)), "run `make outputs`"

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
        assert not [o for o in outputs if o.get("name") == "stderr"], (
            "the build treats stderr as an error"
        )

    def test_fetches_no_picture_from_elsewhere(self, path):
        sources = "\n".join(
            "".join(cell["source"])
            for cell in self.load(path)["cells"]
            if cell["cell_type"] == "markdown"
        )
        assert not re.search(r"!\[[^\]]*\]\(https?:|<img[^>]+src=[\"']https?:", sources)


# --- versions

# Google Colab's own versions, 2026-08-19 (googlecolab/backend-info). Installing sam-edu there must
# replace none of them.
COLAB = {
    "torch": "2.11.0",
    "torchvision": "0.26.0",
    "numpy": "2.1.3",
    "scipy": "1.16.3",
    "scikit-learn": "1.6.1",
    "matplotlib": "3.10.0",
    "tqdm": "4.67.3",
    "anywidget": "0.9.21",
    "traitlets": "5.7.1",
    "safetensors": "0.8.0",
}


def pins(path):
    """Package versions that a requirements file pins."""
    lines = (
        line.split("#")[0].split(";")[0].strip() for line in (ROOT / path).read_text().splitlines()
    )
    pairs = (line.split("==") for line in lines if "==" in line)
    result = {}
    for name, version in pairs:
        result.setdefault(name.strip(), set()).add(version.strip())
    return result


def test_the_lock_holds_what_requirements_ask_for():
    lock = pins(".ci/requirements.lock")
    for name, versions in pins("requirements.txt").items():
        assert versions <= lock.get(name, set()), f"{name}: run `make lock`"


@pytest.mark.parametrize(
    "line", [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["data"]]
)
def test_the_library_asks_for_lower_bounds_that_colab_meets(line):
    requirement = Requirement(line)
    assert [spec.operator for spec in requirement.specifier] == [">="]
    assert requirement.specifier.contains(Version(COLAB[requirement.name]))


def test_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]


# --- the check of the built book

GOOD = (
    "<html><body><main><h1>A page</h1><p>"
    + "It says something. " * 20
    + "</p>{}</main></body></html>"
)


def book_of(tmp_path, body="", **files):
    """A built book of one page with `body` in it, and other files beside it."""
    for name, content in {"index.html": "", "a.html": GOOD.format(body), **files}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return check_book.check_book(
        tmp_path, {"format": "jb-book", "root": "a"}, report=lambda line: None
    )


def test_a_good_page_passes(tmp_path):
    body = (
        '<a href="https://example.org">a link to click</a><img src="x.png" alt="A rising line.">'
        '<script src="s.js"></script>'
        '<img src="data:image/png;base64,AAAA" alt="" role="presentation">'
    )
    assert book_of(tmp_path, body, **{"x.png": "", "s.js": "let a = 'https://example.org'"}) == []


@pytest.mark.parametrize(
    "body, problem",
    [
        ("<pre>Traceback (most recent call last):</pre>", "a traceback"),
        ("<pre>&lt;class 'ValueError'&gt;</pre>", "an exception"),
        ('<div class="output error">boom</div>', "an error output"),
        ('<script src="https://unpkg.com/x.js"></script>', "another host: https://unpkg.com/x.js"),
        ('<script src="//unpkg.com/x.js"></script>', "another host"),
        ('<link rel="stylesheet" href="https://fonts.example/a.css">', "another host"),
        ('<link rel="preconnect" href="https://fonts.example">', "another host"),
        ('<img src="https://example.org/a.png" alt="A picture of a curve.">', "another host"),
        ("<style>@import 'https://example.org/a.css';</style>", "another host"),
        ('<p style="background: url(https://example.org/a.png)">x</p>', "another host"),
        ('<script type="module">import x from "https://esm.sh/x"</script>', "another host"),
        ('<script>fetch("https://example.org/data.json")</script>', "another host"),
        ('<link rel="stylesheet" href="far.css">', "another host: https://example.org/font.woff2"),
        ('<iframe src="https://example.org"></iframe>', "another host"),
        ('<img src="x.png">', "no useful alt text"),
        ('<img src="x.png" alt=" ">', "no useful alt text"),
        ('<img src="x.png" alt="_images/0123456789abcdef0123.png">', "no useful alt text"),
        ('<script src="missing.js"></script>', "does not exist"),
        ("<p>" + "x" * 1_200_000 + "</p>", "the limit is 1.1 MB"),
    ],
)
def test_a_bad_page_is_caught(tmp_path, body, problem):
    files = {"x.png": "", "far.css": "@font-face { src: url('https://example.org/font.woff2') }"}
    found = book_of(tmp_path, body, **files)
    assert len(found) == 1 and problem in found[0]
    assert "\n" not in found[0]


def test_a_missing_and_an_empty_page_are_caught(tmp_path):
    toc = {"root": "a", "parts": [{"chapters": [{"file": "b", "sections": [{"file": "c"}]}]}]}
    (tmp_path / "a.html").write_text("<html><main>short</main></html>")
    found = check_book.check_book(tmp_path, toc, report=lambda line: None)
    assert [line.split(":")[0] for line in found] == ["index.html", "a", "b", "c"]
    assert "says less than" in found[1] and "missing" in found[2]


def test_pictures_do_not_count_and_mathematics_may_weigh_more(tmp_path):
    mathjax = {"v/tex-chtml.js": "x" * 1_200_000}
    assert book_of(tmp_path, '<script src="v/tex-chtml.js"></script>', **mathjax) == []
    assert (
        book_of(tmp_path, '<img src="x.png" alt="A large picture.">', **{"x.png": "x" * 3_000_000})
        == []
    )


# --- the other tools


def test_the_fingerprint_sees_contents_and_names_only(tmp_path):
    file = tmp_path / "a" / "b.txt"
    file.parent.mkdir()
    file.write_text("1")
    (tmp_path / "a" / "__pycache__").mkdir()
    before = fingerprint.fingerprint([tmp_path / "a"])
    (tmp_path / "a" / "__pycache__" / "b.pyc").write_text("x")
    file.touch()
    assert fingerprint.fingerprint([tmp_path / "a"]) == before
    file.write_text("2")
    assert fingerprint.fingerprint([tmp_path / "a"]) != before


def test_unused_icons_go_and_used_ones_stay():
    css = (
        '.fa-sun:before{content:"\\f185"}.fa-moon:before,.fa-night:before{content:"\\f186"}'
        ".fa-solid{font-weight:900}"
    )
    assert icons.drop_rules(css, {"fa-night"}) == css.replace(
        '.fa-sun:before{content:"\\f185"}', ""
    )
    assert icons.codepoints('a{content:"\\f185"} b{--x:"\uf0f3"}') == {0xF185, 0xF0F3}


def test_the_book_has_its_own_mathjax():
    vendor = ROOT / "book/assets/vendor/mathjax"
    assert (vendor / "tex-chtml.js").stat().st_size > 1_000_000
    assert (vendor / "LICENSE").exists()
    assert len(check_book.mathjax_fonts(vendor / "tex-chtml.js")) == 9
