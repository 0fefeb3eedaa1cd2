"""The linter of the JavaScript finds what is planted; `make lint` asks it about our own files."""

from __future__ import annotations

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
