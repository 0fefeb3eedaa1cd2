"""A release, tried in a small repository; the changelog; the workflows of GitHub Actions."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from book.tools import ROOT
from book.tools.publish import release

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.M))

CHANGELOG = """# Changelog

## [Unreleased]

### Added

- Something.

[Unreleased]: https://github.com/o/r/commits/main
"""


# --- a release in a small repository


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository at version 0.1.0 whose commands only note that they were called."""
    files = {
        "pyproject.toml": '[project]\nname = "x"\nversion = "0.1.0"\n',
        "CITATION.cff": "cff-version: 1.2.0\nversion: 0.1.0\ndate-released: 2020-01-01\n",
        "CHANGELOG.md": CHANGELOG,
        ".gitignore": "called\n",
        "Makefile": ".PHONY: test zip pdf\ntest zip pdf:\n\t@echo $@ >> called\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "config", "user.email", "a@example.org")
    git(tmp_path, "config", "user.name", "A")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "start")
    return tmp_path


def quiet(text: str) -> None:
    """Says nothing."""


def test_a_release_sets_the_version_builds_commits_and_tags(repository: Path) -> None:
    said: list[str] = []
    release.release(repository, "0.2.0", "2026-12-01", say=said.append)
    assert (repository / "called").read_text().split() == ["test", "zip", "pdf"]
    assert 'version = "0.2.0"' in (repository / "pyproject.toml").read_text()
    citation = yaml.safe_load((repository / "CITATION.cff").read_text())
    assert (citation["version"], str(citation["date-released"])) == ("0.2.0", "2026-12-01")
    assert citation["cff-version"] == "1.2.0"
    log = (repository / "CHANGELOG.md").read_text()
    assert "## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n\n### Added\n\n- Something.\n" in log
    assert "[Unreleased]: https://github.com/o/r/compare/v0.2.0...HEAD\n" in log
    assert "[0.2.0]: https://github.com/o/r/releases/tag/v0.2.0" in log
    assert git(repository, "status", "--porcelain") == ""
    assert git(repository, "log", "-1", "--format=%s") == "Release 0.2.0"
    assert git(repository, "describe", "--exact-match") == "v0.2.0"
    assert git(repository, "remote") == "" and "git push origin HEAD v0.2.0" in " ".join(said)


def test_the_next_release_needs_something_new(repository: Path) -> None:
    release.release(repository, "0.1.0", "2026-12-01", say=quiet)  # the first one keeps its number
    with pytest.raises(release.ReleaseError, match="nothing stands under"):
        release.release(repository, "0.2.0", "2026-12-02", say=quiet)
    path = repository / "CHANGELOG.md"
    path.write_text(path.read_text().replace("## [Unreleased]\n", "## [Unreleased]\n\n- New.\n", 1))
    git(repository, "commit", "-q", "-am", "new")
    with pytest.raises(release.ReleaseError, match=r"has a section 0\.1\.0 already"):
        release.release(repository, "0.1.0", "2026-12-02", say=quiet)
    release.release(repository, "0.2.0", "2026-12-02", say=quiet)
    assert path.read_text().index("## [0.2.0]") < path.read_text().index("## [0.1.0]")
    assert git(repository, "tag").split() == ["v0.1.0", "v0.2.0"]


def test_a_dry_run_changes_nothing(repository: Path) -> None:
    said: list[str] = []
    release.release(repository, "1.0.0", "2026-12-01", dry=True, say=said.append)
    text = "\n".join(said)
    assert '+version = "1.0.0"' in text and "would run: make test zip pdf" in text
    assert "would run: git tag -a v1.0.0" in text
    assert not (repository / "called").exists()
    assert git(repository, "status", "--porcelain") == "" and git(repository, "tag") == ""


def test_a_build_that_fails_leaves_everything_as_it_was(repository: Path) -> None:
    (repository / "Makefile").write_text("test zip pdf:\n\t@exit 1\n")
    git(repository, "commit", "-q", "-am", "broken")
    before = git(repository, "rev-parse", "HEAD")
    with pytest.raises(release.ReleaseError, match="make test zip pdf: failed; the files are as they were"):
        release.release(repository, "0.2.0", "2026-12-01", say=quiet)
    assert git(repository, "status", "--porcelain") == "" and git(repository, "rev-parse", "HEAD") == before


@pytest.mark.parametrize("bad", ["", "1.2", "v1.2.3", "1.2.3rc1", "01.2.3"])
def test_a_version_is_three_numbers(repository: Path, bad: str) -> None:
    with pytest.raises(release.ReleaseError, match=r"three numbers like 1\.2\.3, got"):
        release.release(repository, bad, "2026-12-01", say=quiet)


def test_no_release_backwards_from_changes_or_without_a_branch(repository: Path) -> None:
    with pytest.raises(release.ReleaseError, match=r"0\.0\.9 comes before the present one, 0\.1\.0"):
        release.release(repository, "0.0.9", "2026-12-01", say=quiet)
    (repository / "new.txt").write_text("x")
    with pytest.raises(release.ReleaseError, match=r"not committed, new\.txt first"):
        release.release(repository, "0.2.0", "2026-12-01", say=quiet)
    (repository / "new.txt").unlink()
    git(repository, "tag", "v0.2.0")
    with pytest.raises(release.ReleaseError, match=r"the tag v0\.2\.0 exists"):
        release.release(repository, "0.2.0", "2026-12-01", say=quiet)
    git(repository, "checkout", "-q", "--detach")
    with pytest.raises(release.ReleaseError, match="no branch is checked out"):
        release.release(repository, "0.3.0", "2026-12-01", say=quiet)


def test_a_mistake_ends_in_one_line() -> None:
    command = [sys.executable, "-m", "book.tools.publish.release", "one"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1 and done.stderr.startswith("No release: the version must be three numbers")
    assert done.stderr.count("\n") == 1


# --- this repository


def test_this_repository_can_be_released() -> None:
    """The three files have the form that a release needs (whether all is committed is asked at its time)."""
    after = {name: new for name, (_, new) in release.plan(ROOT, "99.0.0", "2030-01-01").items()}
    assert 'version = "99.0.0"' in after["pyproject.toml"]
    assert "## [99.0.0] - 2030-01-01" in after["CHANGELOG.md"]
    assert yaml.safe_load(after["CITATION.cff"])["date-released"].year == 2030
    assert set(release.BUILD[1:]) <= TARGETS


def test_the_changelog_keeps_its_form() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[([^\]]+)\]", text, re.M)
    assert versions[0] == "Unreleased" and len(set(versions)) == len(versions)
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.M)) <= kinds
    for version in versions:
        assert re.search(rf"^\[{re.escape(version)}\]: https://github\.com/", text, re.M), version


# --- workflows


def steps(path: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


def test_there_are_workflows_for_checks_the_week_and_the_pages() -> None:
    assert [path.stem for path in WORKFLOWS] == ["ci", "pages", "weekly"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
class TestWorkflow:
    def test_has_the_form_of_a_workflow(self, path: Path) -> None:
        flow = yaml.safe_load(path.read_text(encoding="utf-8"))
        events = flow[True]  # YAML 1.1 reads `on` as a truth value
        known = {"push", "pull_request", "schedule", "workflow_dispatch"}
        assert set(events) <= known and flow["name"]
        assert flow["permissions"]["contents"] == "read"
        for job in flow["jobs"].values():
            assert job["runs-on"] and 0 < job["timeout-minutes"] <= 180
            assert all(("uses" in step) != ("run" in step) for step in job["steps"])

    def test_pins_its_actions_by_major_version(self, path: Path) -> None:
        used = [step["uses"] for step in steps(path) if "uses" in step]
        assert used and all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in used)

    def test_runs_only_commands_that_exist(self, path: Path) -> None:
        commands = [step["run"] for step in steps(path) if "run" in step]
        for command in commands:
            checked = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True)
            assert checked.returncode == 0, checked.stderr
            for called in re.findall(r"(?:^|&& |; )make ((?:[a-z-]+ ?)+)", command, re.M):
                assert set(called.split()) <= TARGETS, called
            for script in re.findall(r"\bpython3? ([\w/.-]+\.py)", command):
                assert (ROOT / script).is_file(), script
            for module in re.findall(r"\bpython3? -m ((?:book|tests)\.[\w.]+)", command):
                assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), module
            for script in re.findall(r"(?:^|\s)(\.ci/\w+)", command):
                assert (ROOT / script).stat().st_mode & 0o100, f"{script} cannot be run"
        assert any("make " in command or ".ci/run" in command for command in commands)

    def test_names_files_that_the_makefile_makes(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"_build/[\w./-]+", text):
            file = name.removeprefix("_build/").rstrip("/")
            made = {"html", ".jupyter_cache", ".inputs", "html/flat-and-robust.zip"}
            assert file in made or f"_build/$(NAME_OF_BOOK){Path(file).suffix}" in MAKEFILE, name
        for name in re.findall(r"hashFiles\(([^)]*)\)", text):
            for pattern in re.findall(r"'([^']+)'", name):
                assert list(ROOT.glob(pattern)), f"{pattern} matches nothing"


def test_the_kept_environment_depends_on_the_lock() -> None:
    for path in WORKFLOWS:
        for step in steps(path):
            if step.get("uses", "").startswith("actions/cache") and ".venv" in step["with"]["path"]:
                assert ".ci/requirements.lock" in step["with"]["key"]


def test_make_test_runs_every_check() -> None:
    """Tests that measure times are left out where others run beside them, and run once, at the end."""
    said = subprocess.run(["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    parts = [
        "ruff check",
        "ruff format --check",
        "oxfmt --check",
        "bin/mypy",
        "--ignore=tests/book",
        "tests/colab",
        "pages.execute",
        "tests/book",
    ]
    for part in parts:
        assert part in said, part
    assert said.count('-m "not timing"') == 2 and len(re.findall("-m timing tests/book ", said)) == 1
    assert said.index("-m timing") > said.index("tests/book\n") > said.index("check_book")


def test_continuous_integration_runs_on_pushes_and_requests() -> None:
    flow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert {"push", "pull_request"} <= set(flow[True])
    assert any(".ci/run" in step.get("run", "") for step in steps(ROOT / ".github/workflows/ci.yml"))
    weekly = yaml.safe_load((ROOT / ".github/workflows/weekly.yml").read_text())
    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", weekly[True]["schedule"][0]["cron"])
    assert not any("cache" in step.get("uses", "") for step in steps(ROOT / ".github/workflows/weekly.yml"))
