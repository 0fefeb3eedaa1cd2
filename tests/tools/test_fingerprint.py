"""The fingerprint of files."""

from __future__ import annotations

from book.tools.pages import fingerprint


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
