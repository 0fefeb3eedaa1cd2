"""Linter and formatters find what is planted; `make lint` asks them about our own files."""

from __future__ import annotations

import ast
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


def tables(source: str) -> set[int]:
    """Lines of statements that hold a table: a literal over several lines with four values, or two rows."""
    rows = ast.List | ast.Tuple | ast.Set | ast.Dict
    found: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.stmt):
            continue
        head = [n for n in ast.iter_child_nodes(node) if not isinstance(n, ast.stmt)]
        for literal in (n for part in head for n in ast.walk(part) if isinstance(n, rows)):
            values = literal.values if isinstance(literal, ast.Dict) else literal.elts
            if literal.end_lineno > literal.lineno:
                if len(values) >= 4 or sum(isinstance(value, rows) for value in values) >= 2:
                    ends = [n.end_lineno for n in head if hasattr(n, "end_lineno")]
                    found.update(range(literal.lineno, max(ends) + 1))
    return found


def without_reason(source: str) -> list[int]:
    """Lines that keep the formatter away from what is no table."""
    lines = enumerate(source.splitlines(), 1)
    return sorted({n for n, line in lines if line.endswith("# fmt: " + "skip")} - tables(source))


def test_only_tables_keep_a_layout_of_their_own():
    skip = "  # fmt: " + "skip"
    assert without_reason(f"a = [1, 2,\n     3, 4]{skip}\nb = [(1, 2),\n     (3, 4)]{skip}\n") == []
    assert without_reason(f"a = f(1,\n      2){skip}\n") == [2]
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    wrong = {name: without_reason((ROOT / name).read_text("utf-8")) for name in listed.stdout.split()}
    assert {name: lines for name, lines in wrong.items() if lines} == {}
