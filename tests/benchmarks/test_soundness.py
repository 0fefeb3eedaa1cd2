"""No attack enters what was proved; bounds that claim too much would be noticed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmarks import soundness
from sam_edu.certify import Region, asked, relaxation


def test_no_attack_enters_a_proved_region():
    found = soundness.measure(small=True)
    every = soundness.total(found)
    assert every.triples == sum(tally.triples for tally in found.values()) > 1_000
    assert every.entered == 0 and every.proved > 0.5 * every.triples and every.by_search > 0
    assert every.entered_at_twice > 0.1 * every.tried_at_twice > 0


def shrunk(around: Callable[..., Region]) -> Callable[..., Region]:
    """A region of two thirds of the radius: its proofs say too much."""
    return lambda x, eps, norm, **more: around(x, eps / 1.5, norm, **more)


def flat(lines: Callable[..., relaxation.Lines]) -> Callable[..., relaxation.Lines]:
    """Upper lines that are too low by their lift, so that they cut off the ReLU at its upper end."""

    def found(*args, **settings):
        both = lines(*args, **settings)
        return replace(both, lift=0 * both.lift)

    return found


@pytest.mark.parametrize("fault", ["region", "lines"])
def test_unsound_bounds_would_be_noticed(monkeypatch, fault):
    if fault == "region":
        monkeypatch.setattr(Region, "around", shrunk(Region.around))
    else:
        monkeypatch.setattr(relaxation, "lines", flat(relaxation.lines))
        monkeypatch.setattr(asked, "lines", relaxation.lines)
    monkeypatch.setattr(soundness, "NORMS", ("linf",))
    monkeypatch.setattr(soundness, "FEW", (0.65,))
    monkeypatch.setattr(soundness, "TWICE", None)
    every = soundness.total(soundness.measure(small=True))
    assert every.entered > 0.01 * every.proved
