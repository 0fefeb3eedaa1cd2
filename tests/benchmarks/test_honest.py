"""The table of honest networks: a run that was stopped goes on, and no row is lost."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from benchmarks import honest


def case(name, made, measured=(0,)):
    def make():
        made.append(name)
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 3))

    return name, make, torch.rand(6, 1, 4, 4), None, measured


def test_rows_are_written_one_by_one_and_a_stopped_run_goes_on(tmp_path):
    path, made = tmp_path / "honest.md", []

    def stopped():
        yield case("one", made)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        honest.table(path, stopped())
    first = path.read_text()
    assert first.count("\n") == 3 and first.splitlines()[2].startswith("| one | ")
    lines = honest.table(path, [case("one", made), case("two", made, (0, 2))])
    assert made == ["one", "two"] and path.read_text() == "\n".join(lines) + "\n"
    assert lines[3].startswith("| two | ") and lines[3].endswith(" | none |")
    path.write_text("| another table |\n|---|\n| one | 1 |\n")
    honest.table(path, [case("one", made)])
    assert made == ["one", "two", "one"] and not list(tmp_path.glob("*.half"))


def test_every_family_meets_every_radius_and_keeps_its_name():
    names, radii = [], {}
    for name, _, x, y, measured in honest.nets(quick=False):
        names.append(name)
        if y is None:
            radii.setdefault(name.split(" classes")[0].rsplit(", ", 1)[0], []).extend(measured)
            assert len(x) == honest.FEW
    assert len(names) == len(set(names))
    assert len(radii) >= 10 and all(sorted(r) == [0, 1, 2] for r in radii.values())


def test_no_honest_network_of_the_last_run_has_a_flag():
    head, _, *rows = (honest.HERE / "honest.md").read_text("utf-8").splitlines()
    assert head.startswith("| network |") and len(rows) > 40
    assert [row for row in rows if not row.endswith(" none |")] == []
    for family in ("attention", "PreActResNet", "CNN, GroupNorm", "cosine head", "shipped: mlp, at"):
        assert any(row.startswith(f"| {family}") for row in rows), family
