"""What the rungs say, counted anew: from verdicts and from how many images each rung met."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest

from sam_edu.evaluation import wilson
from sam_edu.experiments import Record, RunConfig, Study, ladders, study
from sam_edu.experiments.official import Official
from sam_edu.experiments.row import Row
from sam_edu.measured import AtRadius, EvaluationRecord, RungResult
from sam_edu.plots import Shown
from tests.figure_data import tables

EPS = 0.1
NAMES = ("FGSM", "PGD-20", "Square (100 queries)")


def record(*standing: int, seed: int = 0, names: Sequence[str] = NAMES, flags: Sequence[str] = ()) -> Record:
    """A run on ten images, of which ``standing`` are left after each rung."""
    met = (10, *standing)
    rungs = [RungResult(names[i], met[i + 1] / 10, met[i], 0.0) for i in range(len(standing))]
    robust = [i < standing[-1] for i in range(10)]
    at = AtRadius(EPS, standing[-1] / 10, wilson(standing[-1], 10), [], rungs, robust)
    linf = EvaluationRecord(10, "linf", "quick", 1.0, (0, 1), [], [at], list(flags), 0.0)
    return Record(RunConfig(seed=seed, eval_linf=(EPS,)), 1.0, linf, None, {}, [], {}, {})


def row(label: str, *records: Record) -> Row:
    return Row("made up", label, {}, records[0].config, records)


def columns(shown: Shown) -> dict[str, list[str]]:
    """The columns of a table, with plain spaces and signs."""
    (found,) = tables(shown.markup.replace("\xa0", " ").replace("−", "-"))
    return found


def test_a_table_of_rungs() -> None:
    old = row("old", record(9, 6, names=NAMES[:2]))
    new = row("new", record(9, 6, 5, seed=1), record(8, 5, 3))
    shown = ladders.table([old, new], EPS)
    assert columns(shown) == {
        "after": list(NAMES),
        "old": ["90.0", "60.0", "–"],
        "new": ["80.0", "50.0", "30.0"],
    }
    assert shown.alt.startswith("Accuracy in per cent of seed 0 at 0.1 after each rung of the ladder, on 10")
    assert columns(ladders.table([new], EPS, seed=1))["new"] == ["90.0", "60.0", "50.0"]


def test_what_an_attack_overstates() -> None:
    entry = ladders.met(row("new", record(8, 5, 3)), EPS)
    assert ladders.overstated(entry) == pytest.approx(0.2)
    assert ladders.overstated(entry, "FGSM") == pytest.approx(0.5)
    assert ladders.rung(entry, "Square").label == "Square (100 queries)"


def test_on_the_books_records_each_rung_meets_what_the_one_before_it_left() -> None:
    digits = study("digits", seeds=1)
    shown = columns(ladders.table(digits, EPS))
    for own in digits:
        entry = own.records[0].linf.entry(EPS)
        left = [rung.attacked for rung in entry.rungs[1:]] + [sum(entry.robust)]
        assert shown[own.label] == [f"{n / 5:.1f}" for n in left]  # of 500 images


def test_flags_are_counted_by_row() -> None:
    rows = [
        row("good", record(9, 8, 7)),
        row(
            "bad", record(9, 8, 7, flags=["a long one", "short"]), record(9, 8, 7, seed=1, flags=["another"])
        ),
    ]
    found = ladders.flags(rows)
    assert (found.evaluations, len(found)) == (3, 3) and dict(found.raised) == {
        "bad": ["a long one", "short", "another"]
    }
    assert str(found) == "bad: 3 flags, such as: short"
    assert str(ladders.flags(rows[:1])) == "no flags" and not ladders.flags(rows[:1])


def test_what_the_last_rung_breaks() -> None:
    rows = [row("a", record(9, 8, 8), record(9, 7, 4, seed=1)), row("b", record(5, 5, 5))]
    found = ladders.last_rung(rows, "Square")
    assert (found.met, dict(found.broken)) == (8 + 7 + 5, {"a": 3}) and found.most == pytest.approx(0.3)


def test_what_square_breaks_in_the_books_records() -> None:
    """It broke what it met and what then no longer stands."""
    fashion = study("fashion-mnist", seeds=2)
    found = ladders.last_rung(fashion, "Square")
    met, broken, most = 0, dict.fromkeys((row.label for row in fashion), 0), 0.0
    for own in fashion:
        for entry in (e for r in own.records for norm in (r.linf, r.l2) for e in norm.attacked):
            fallen = entry.rungs[-1].attacked - sum(entry.robust)
            met, broken[own.label] = met + entry.rungs[-1].attacked, broken[own.label] + fallen
            most = max(most, fallen / 2000)
    assert found.met == met and dict(found.broken) == {label: n for label, n in broken.items() if n}
    assert found.most == pytest.approx(most) and most > 0


def test_an_attack_of_several_rungs_is_counted_whole() -> None:
    """The official AutoAttack is four rungs; the last, which needs no gradient, finds nothing in these."""
    names = ("PGD-20", "AutoAttack APGD-CE", "AutoAttack SQUARE")
    found = ladders.last_rung([row("a", record(9, 6, 5, names=names))], "AutoAttack")
    assert (found.met, dict(found.broken)) == (9, {"a": 4}) and found.most == pytest.approx(0.4)
    attacked = study("cifar10-fast-autoattack")
    broken = ladders.last_rung(attacked, "AutoAttack").broken
    assert max(broken.values()) == Official.of((attacked, 2 / 255)).taken == 3
    between = row("a", record(9, 6, 5, names=(names[1], names[0], names[2])))
    with pytest.raises(ValueError, match="a: the ladder must end with 'AutoAttack', after others"):
        ladders.last_rung([between], "AutoAttack")


def test_a_name_that_fits_several_rungs_is_no_name(met: Official) -> None:
    with pytest.raises(ValueError, match="4 rungs begin with 'AutoAttack'; name one of them in full: FGSM, "):
        met.overstated("AutoAttack")
    entry = next(iter(met.met.values()))
    for name in ("PGD-20", "PGD-20 x5"):  # there is "PGD-20 margin x5", too
        assert ladders.rung(entry, name).label == "PGD-20 x5"
    with pytest.raises(ValueError, match="2 rungs begin with 'PGD'"):
        ladders.rung(entry, "PGD")
    assert ladders.rung(entry, "AutoAttack FAB").label == "AutoAttack FAB-T (100 steps)"


def test_what_is_wrong_is_said() -> None:
    new = row("new", record(8, 5, 3))
    with pytest.raises(ValueError, match=r"new has no run with seed 4; its seeds: \[0\]"):
        ladders.met(new, EPS, seed=4)
    with pytest.raises(KeyError, match=r"eps = 0\.2 was not evaluated; measured: 0\.1"):
        ladders.met(new, 0.2)
    with pytest.raises(ValueError, match="no rung begins with 'APGD'; the rungs: FGSM, PGD-20, Square"):
        ladders.rung(ladders.met(new, EPS), "APGD")
    with pytest.raises(ValueError, match="needs a row at least"):
        ladders.table([], EPS)
    other = row("other", record(8, 5, names=("FGSM", "APGD")))
    with pytest.raises(ValueError, match="other met another ladder: FGSM, APGD instead of FGSM, PGD-20, Squ"):
        ladders.table([new, other], EPS)
    with pytest.raises(ValueError, match="old: the ladder must end with 'Square', after others; it is"):
        ladders.last_rung([row("old", record(9, 6, names=NAMES[:2]))], "Square")
    for counted in (ladders.flags, partial(ladders.last_rung, name="Square")):
        with pytest.raises(ValueError, match="two rows are called 'new'"):  # their counts would be one
            counted([new, row("new", record(9, 8, 7))])


# --- the official AutoAttack


@pytest.fixture(scope="module")
def met() -> Official:
    digits, fashion = (study(f"{data}-autoattack", seeds=1) for data in ("digits", "fashion-mnist"))
    return Official.of((digits, 0.1), (fashion, 8 / 255))


def test_autoattack_beside_the_quick_ladder(met: Official) -> None:
    """Five rungs, then four: what stands after the second and the fifth is what the next ones met."""
    shown = met.table("seed 0")
    entries = list(met.met.values())
    pgd, quick = ([entry.rungs[place].attacked for entry in entries] for place in (2, 5))
    end = [sum(entry.robust) for entry in entries]
    found = columns(shown)
    assert found["data, method"] == [f"{data}, {label}" for data, label in met.met] and len(entries) == 33
    assert found["ε"] == ["0.1"] * 16 + ["8/255"] * 17
    for title, counts in (("PGD-20, 5 restarts", pgd), ("quick rungs", quick), ("with AutoAttack", end)):
        assert found[title] == [f"{n / 500:.1%}" for n in counts]
    intervals = [wilson(n, 500) for n in end]
    assert found["95 % interval"] == [f"{low:.1%} to {high:.1%}" for low, high in intervals]
    assert met.taken == max(np.subtract(quick, end)) > 0 and met.images == 500
    flattered = dict(zip(met.met, np.subtract(pgd, end) / 500, strict=True))
    overstated = met.overstated()
    assert overstated == pytest.approx(flattered)
    assert list(overstated.values()) == sorted(overstated.values(), reverse=True)
    assert shown.alt.startswith("Accuracy on 500 images, seed 0: after PGD")


def test_leads_are_paired_over_the_images(met: Official) -> None:
    sam, sgd = (np.array(met.met["digits", label].robust) for label in ("SAM ρ=0.4", "SGD"))
    low, high = met.ahead("digits", "SAM ρ=0.4", "SGD")
    won, lost = (sam & ~sgd).sum(), (sgd & ~sam).sum()
    assert (low + high) / 2 == pytest.approx((won - lost) / 502)  # one image more of each kind
    shown = columns(met.table("seed 0"))
    minus = dict(zip(shown["data, method"], shown["minus SGD"], strict=True))
    assert minus["digits, SAM ρ=0.4"] == f"{100 * low:+.1f} to {100 * high:+.1f}"
    assert minus["digits, SGD"] == minus["fashion-mnist, SGD"] == ""
    other = columns(met.table("seed 0", reference="SWA"))
    assert other["minus SWA"] != shown["minus SGD"] and other["quick rungs"] == shown["quick rungs"]


def test_what_official_cannot_do_is_said(met: Official) -> None:
    quick = study("digits", seeds=1)
    with pytest.raises(ValueError, match="digits, SGD: the ladder must end with 'AutoAttack', after others"):
        Official.of((quick, 0.1))
    with pytest.raises(ValueError, match="there is no network"):
        Official.of((Study("digits", []), 0.1))
    attacked = study("digits-autoattack", seeds=1)
    with pytest.raises(
        ValueError, match=r"\('digits', 'SGD'\) is there twice; each of the studies needs data of its"
    ):
        Official.of((attacked, 0.06), (attacked, 0.1))
    with pytest.raises(
        KeyError, match="no network is called 'digits, SAM'; there are digits, SGD; digits, S"
    ):
        met.ahead("digits", "SAM", "SGD")


def test_rows_of_one_label_or_other_images_are_not_passed_over() -> None:
    one, other = row("SGD", record(8, 5, 3)), row("SGD", record(9, 6, 5))
    with pytest.raises(ValueError, match=r"two rows are called 'SGD' \(made up, made up\)"):
        ladders.table([one, other], EPS)
    (half,) = other.records
    assert half.linf is not None
    entry = dataclasses.replace(half.linf.at[0], robust=half.linf.at[0].robust[:5])
    fewer = row("few", dataclasses.replace(half, linf=dataclasses.replace(half.linf, at=[entry])))
    assert "on 5 to 10 images" in ladders.table([one, fewer], EPS).alt


def test_nothing_that_was_measured_is_not_nothing_found() -> None:
    with pytest.raises(ValueError, match="flags are those of evaluations, and these rows have none"):
        ladders.flags([])
    with pytest.raises(ValueError, match="there is no ladder: these rows were not attacked"):
        ladders.last_rung([], "Square")


def test_autoattack_ends_the_ladder_after_other_rungs() -> None:
    attacked = ("AutoAttack APGD-CE", "AutoAttack SQUARE")
    for names in (attacked, ("PGD-20", *attacked, "Square (100 queries)")):
        table = Study("made up", [row("SGD", record(*(8, 5, 3, 2)[: len(names)], names=names))])
        with pytest.raises(
            ValueError, match="SGD: the ladder must end with 'AutoAttack', after others; it is"
        ):
            Official.of((table, EPS))


def test_official_says_how_many_images_there_are(met: Official) -> None:
    (name, entry), *_ = met.met.items()
    fewer = dataclasses.replace(entry, robust=entry.robust[:100])
    assert Official({**met.met, (name[0], "few"): fewer}).images == 500
    other = Official({(name[0], "SGD"): entry, ("mine", "SGD"): fewer})
    assert other.table("seed 0").alt.startswith("Accuracy on 100 to 500 images, seed 0")


def test_official_without_a_radius() -> None:
    table: Any = Study("made up", [row("SGD", record(8, 5, 3))])
    with pytest.raises(
        ValueError, match=r"Study\('made up', 1 rows, 1 runs\): a radius to judge at is missing"
    ):
        Official.of(table)
    two: Any = table, EPS, 0.2
    with pytest.raises(ValueError, match=r"one radius of each study is judged, got \[0\.1, 0\.2\]"):
        Official.of(two)
