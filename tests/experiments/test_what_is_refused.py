"""A slip in what is asked of the records is said in words: what was wrong, what was expected, what to do."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sam_edu.experiments import (
    RunConfig,
    combinations,
    elsewhere,
    ladders,
    leads,
    protocols,
    run,
    study,
    sweep,
    verify,
)
from sam_edu.experiments.__main__ import main, number
from sam_edu.experiments.gains import gains
from sam_edu.experiments.records import load_records
from sam_edu.experiments.study import Study

EPS = 0.1
TINY = RunConfig(train_size=40, test_size=10, epochs=1, eval_linf=())


@pytest.fixture(scope="module")
def digits() -> Study:
    return study("digits", seeds=3)


def refused(call: Callable[[], object], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said) as error:
        call()
    assert error.type is kind


@pytest.mark.parametrize("level", [5, -0.01, float("nan")])
def test_a_level_in_per_cent_makes_nothing_sure(digits: Study, level: float) -> None:
    sam, sgd = digits.row("sam", rho=0.4), digits.row("sgd")
    places = elsewhere.compare({"digits": (digits, EPS)})
    one = combinations.against_sgd({"digits": (digits, EPS)}).found[0]
    said = r"level must be >= 0 and <= 1, got (5|-0\.01|nan); 5 % is 0\.05"
    refused(lambda: leads.of(sam, [sgd], [EPS]).shown(level), ValueError, said)
    refused(lambda: places.sure(places.places, level), ValueError, said)
    refused(lambda: one.verdict(level), ValueError, said)


def test_each_lead_is_tested_once(digits: Study) -> None:
    sam, sgd = digits.row("sam", rho=0.4), digits.row("sgd")
    refused(lambda: leads.of(sam, [sgd], [EPS, 0.06, EPS + 1e-9]), ValueError, r"once: 0\.1 comes twice")
    refused(lambda: leads.of(sam, [sgd, sgd], [EPS]), ValueError, "once: a rival comes twice")
    refused(lambda: leads.of(sam, [sgd], [0.11]), KeyError, r"eps = 0\.11 was not evaluated; measured: 0\.03")


def test_one_row_or_radius_in_place_of_several(digits: Study) -> None:
    sam, sgd = digits.row("sam", rho=0.4), digits.row("sgd")
    rows = r"(rows|rivals) must be several, as in a list, got Row\('SAM ρ=0\.4', 3 seeds\); (take|write)"
    calls: list[Callable[[Any], object]] = [
        lambda given: leads.of(sgd, given, [EPS]),
        lambda given: digits.select(given),
        lambda given: digits.chosen(given, EPS),
        lambda given: digits.against(sgd, EPS, given),
        lambda given: ladders.table(given, EPS),
        lambda given: ladders.flags(given),
        lambda given: sgd.matched(given, EPS),
    ]
    for call in calls:
        refused(lambda call=call: call(sam), TypeError, rows)
    refused(lambda: leads.of(sam, ["SGD"], [EPS]), TypeError, "rows must be rows, got 'SGD' among them; take")  # type: ignore[list-item]
    radii = r"radii must be several, as in a list, got 0\.1; write \[8 / 255\]"
    refused(lambda: leads.of(sam, [sgd], EPS), TypeError, radii)  # type: ignore[arg-type]
    refused(lambda: digits.table("x", radii=EPS), TypeError, radii)  # type: ignore[arg-type]
    refused(lambda: digits.table("x", radii=["a"]), TypeError, "a radius must be a number, got 'a'")  # type: ignore[list-item]
    refused(lambda: sam.at("8/255"), TypeError, "eps must be a number, got '8/255'")  # type: ignore[arg-type]
    refused(lambda: protocols.configs("digits", 3), TypeError, r"seeds must be several.* range\(3\)")  # type: ignore[arg-type]


def test_the_same_seed_in_two_spellings_is_one() -> None:
    for seeds in ([0, "0"], [1, 1.0]):
        refused(lambda s=seeds: protocols.configs("tiny", s), ValueError, "counts once")
    refused(
        lambda: protocols.configs("digits", "01"), TypeError, "seeds must be several, as in a list, got '01'"
    )  # type: ignore[arg-type]
    refused(lambda: protocols.configs("digits", [0.5]), TypeError, "a seed must be a whole number, got 0.5")  # type: ignore[list-item]


def test_names_that_there_are_not(digits: Study) -> None:
    known = r"protocol must be one of digits, .*, got \['digits'\]"
    refused(lambda: study(["digits"]), ValueError, known)  # type: ignore[arg-type]
    refused(lambda: protocols.planned(["digits"]), ValueError, known)  # type: ignore[arg-type]
    places = elsewhere.compare({"here": (digits, 0.06, EPS)})
    refused(lambda: places["here"], KeyError, r"no place is called 'here'; there are here, 0\.06, here, 0\.1")
    refused(lambda: places.sure(["b"]), KeyError, "no place is called 'b'")
    refused(lambda: digits.row("sam", rho="0.4"), KeyError, "no rows of digits are sam, rho='0.4'; rows of")
    refused(lambda: digits.rows("sgd", seed=1), ValueError, "a setting must be one of .*, got 'seed'")
    for call in (elsewhere.compare, combinations.against_sgd):
        refused(lambda call=call: call([(digits, EPS)]), TypeError, "experiments is a mapping, ")


def test_a_study_under_way_says_how_to_have_what_is_there(digits: Study) -> None:
    lacking = "the book has 100 of these 120 runs of digits, 6 of each row; with partial=True study"
    refused(lambda: study("digits", 6), FileNotFoundError, lacking)
    refused(
        lambda: load_records(protocols.configs("digits", [77])),
        FileNotFoundError,
        r"no record of run \w+ \(digits, sgd, seed 77\) in ",
    )
    first, *others = digits.controls
    uneven = Study("digits", [first.of([1]), *others, *digits.rows("sgd", "sam", "at")])
    said = r"Study\.paired\(\) keeps .*, Study\.complete\(2\) the largest table with two or more"
    refused(lambda: elsewhere.compare({"a": (uneven, EPS)}), ValueError, said)
    whole = uneven.complete(2)
    assert elsewhere.compare({"a": (whole, EPS)})["a"].lead.seeds >= 2, "what the message says to do works"
    single = digits.row("sgd").of([0])
    said = (
        r"SAM ρ=0\.4 and SGD \(digits\) share one seed, and a test needs two at least; Study\.complete\(2\)"
    )
    refused(lambda: leads.of(digits.row("sam", rho=0.4), [single], [EPS]), ValueError, said)
    few = Study("digits", [single, digits.row("sam", rho=0.4)])
    refused(lambda: combinations.against_sgd({"a": (few, EPS)}), ValueError, said)


def test_the_book_s_plan_is_what_the_command_line_asks_for(tmp_path, capsys) -> None:
    plan = protocols.plan("cifar10-fast-cpu")
    assert len(plan["SGD, 36 epochs"]) == 1 and len(plan["SGD"]) == 3
    assert protocols.plan("cifar10-fast-cpu", 2)["SGD, 36 epochs"] == plan["SGD"][:0] + [
        *protocols.configs("cifar10-fast-cpu", range(2))["SGD, 36 epochs"]
    ]
    assert main(["status", "cifar10-fast-cpu", "--folder", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{protocols.planned('cifar10-fast-cpu')} waiting"
    assert main(["status", "cifar10-fast-cpu", "--seeds", "3", "--folder", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "39 waiting"


def test_a_plan_of_unequal_rows_is_whole_when_each_row_has_its_own() -> None:
    """Rows that are planned with one seed need one; asked for by number, every row needs so many."""
    assert study("cifar10-fast-cpu").runs == protocols.planned("cifar10-fast-cpu") == 31
    refused(lambda: study("cifar10-fast-cpu", 3), FileNotFoundError, "of these 39 runs .*, 3 of each row")


@pytest.mark.parametrize("text, value", [("8/255", 8 / 255), ("0.1", 0.1), ("1e-3", 1e-3), ("1/2", 0.5)])
def test_the_command_line_takes_fractions(text: str, value: float) -> None:
    assert number(text) == value


@pytest.mark.parametrize("text", ["8/0", "8/", "/8", "a", "1/2/3"])
def test_what_is_no_number_is_refused_at_the_command_line(text: str, capsys) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--eval-linf", text])
    assert f"invalid number value: '{text}'" in capsys.readouterr().err


def test_a_folder_of_other_runs_and_a_file_are_told_apart(tmp_path, capsys) -> None:
    run(TINY, tmp_path)
    assert main(["table", "tiny", "--folder", str(tmp_path)]) == 1
    said = f"no records of tiny in {tmp_path} (others: 1); `sweep tiny` makes them"
    assert said in capsys.readouterr().err
    file = tmp_path / f"{TINY.run_id}.json"
    assert main(["run", "--folder", str(file)]) == 1
    assert f"{file} is a file, not a folder of records" in capsys.readouterr().err


def test_a_run_that_failed_is_not_counted_as_done(tmp_path, capsys, monkeypatch) -> None:
    missing = RunConfig(dataset="cifar10-jpeg", test_size=10)
    monkeypatch.setenv("SAM_EDU_DATA", str(tmp_path))
    with ThreadPoolExecutor(1) as pool, pytest.raises(FileNotFoundError):
        sweep([missing, TINY], tmp_path, pool, progress=True)
    assert "1/2" in capsys.readouterr().err.split("\r")[-1]


@pytest.mark.parametrize("images", [0, -5])
def test_a_check_of_no_images_is_no_check(images: int, capsys) -> None:
    run_id = verify.with_weights()[0]
    refused(lambda: verify.verify(run_id, images=images), ValueError, f"images must be >= 1, got {images}")
    assert main(["verify", run_id, "--images", str(images)]) == 1
    assert "error: images must be >= 1" in capsys.readouterr().err


def test_a_figure_of_gains_takes_gains(digits: Study) -> None:
    found = {"a": digits.gains(EPS)}
    refused(lambda: gains({"a": digits}, [digits], "x", "y"), TypeError, r"what study\.gains\(eps\) says")  # type: ignore[dict-item]
    strange = {"a": {"foo": found["a"]["SAM"]}}
    refused(lambda: gains(strange, [digits], "x", "y"), ValueError, "a family must be one of .*, got 'foo'")
    for columns in ({"SAM": ["1"]}, {"p": ["1", "2"]}):
        call = lambda c=columns: gains(found, [digits], "x", "y", columns=c)  # noqa: E731
        refused(call, ValueError, "needs a name of its own and 1 cells")
