"""Linter and formatter of the JavaScript find what is planted; `make lint` asks them about our own files."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from book.tools import ROOT

FAULTS = {
    "no-undef": "export const a = b;",
    "no-unused-vars": "const a = 1, b = 2;\nexport { b };",
    "no-unused-expressions": "let a = 1;\na === 2;\nexport { a };",
    "no-var": "var a = 1;\nexport { a };",
    "prefer-const": "let a = 1;\nexport { a };",
    "eqeqeq": "export const same = (a, b) => a == b;",
}
GOOD = "export const width = (node) => node?.clientWidth ?? window.innerWidth;\n"


def oxlint(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    (folder / "file.js").write_text(source, encoding="utf-8")
    rules = ["--deny-warnings", "-c", str(ROOT / ".ci/oxlintrc.json")]
    command = [str(Path(sys.executable).with_name("oxlint")), *rules, str(folder)]
    return subprocess.run(command, capture_output=True, text=True)


def test_good_code_passes(tmp_path):
    done = oxlint(tmp_path, GOOD)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("rule", FAULTS)
def test_a_fault_is_found(tmp_path, rule):
    done = oxlint(tmp_path, FAULTS[rule])
    assert done.returncode == 1 and f"eslint({rule})" in done.stdout, done.stdout


def test_another_layout_is_found(tmp_path):
    for name, source, status in (("good.js", GOOD, 0), ("bad.js", GOOD.replace("(node) => ", "(node)=>"), 1)):
        (tmp_path / name).write_text(source, encoding="utf-8")
        command = [str(Path(sys.executable).with_name("oxfmt")), "--check"]
        command += ["-c", str(ROOT / ".ci/oxfmtrc.json"), name]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == status and (name in done.stdout) == bool(status), done.stdout + done.stderr


def test_the_layout_of_all_our_scripts_is_asked_for():
    """All but the one that is a single function, which the formatter would end with a semicolon."""
    patterns = re.search(r"^SCRIPTS := (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.M)[1]
    asked = {path for pattern in re.findall(r"'([^']+)'", patterns) for path in ROOT.glob(pattern)}
    listed = subprocess.run(["git", "ls-files", "*.js"], cwd=ROOT, capture_output=True, text=True, check=True)
    ours = {ROOT / name for name in listed.stdout.split() if "/vendor/" not in name}
    assert ours - asked == {ROOT / "book/tools/print/page.js"}
