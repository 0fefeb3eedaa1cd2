"""Records lie where a reader finds them: a folder for each protocol, a name that says which run it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sam_edu.experiments import (
    RunConfig,
    __main__,
    available,
    load_records,
    protocols,
    records,
    report,
    study,
)

Some = tuple[RunConfig, Path]


def test_every_shipped_record_lies_at_its_place_under_one_id() -> None:
    files = sorted(path for path in records.SHIPPED.rglob("*.json"))
    read = [records.read(path).config for path in files]
    assert len(files) >= 447 and len({config.run_id for config in read}) == len(files)
    wrong = [
        str(path)
        for path, config in zip(files, read, strict=True)
        if path != records.SHIPPED / str(protocols.place(config))
    ]
    assert not wrong, f"`python -m sam_edu.experiments keep` knows the right place; wrong: {wrong}"


def test_no_two_rows_of_the_book_share_a_name() -> None:
    for seed in (0, 1):
        places = list(protocols._places(seed).values())
        assert len(places) == len(set(places)) > 100
        assert all(str(place).isascii() and str(place).count("/") == 1 for place in places)
    assert protocols.place(RunConfig(epochs=3, seed=77)) is None


@pytest.fixture
def some() -> Some:
    config = protocols.configs("digits", [0])["SGD"][0]
    path = records.find(config.run_id)
    assert path is not None and path.name.startswith("sgd-seed0.")
    return config, path


def test_a_folder_of_runs_with_bare_ids_is_read_as_before(tmp_path: Path, some: Some) -> None:
    config, path = some
    shutil.copy(path, tmp_path / f"{config.run_id}.json")
    assert load_records([config], tmp_path) == load_records([config]) == load_records(folder=tmp_path)
    assert available({"a": [config]}, tmp_path, None)["a"] == load_records([config])
    assert report.status(config, tmp_path) == "finished" and report.contents(tmp_path)[0] == "1 finished"


def test_loading_reads_the_files_that_are_asked_for_and_no_others(tmp_path: Path, some: Some) -> None:
    config, path = some
    (tmp_path / "digits").mkdir()
    shutil.copy(path, tmp_path / "digits")
    (tmp_path / "digits" / "another.0123456789ab.json").write_text("{")  # damaged, and nobody asks for it
    assert load_records([config], tmp_path) == load_records([config])
    listed = report.contents(tmp_path)
    assert listed[0] == "1 finished" and listed[-1] == "damaged: another.0123456789ab.json"
    with pytest.raises(ValueError, match="not a whole run record"):
        load_records(folder=tmp_path)


def test_a_renamed_record_is_refused(tmp_path: Path, some: Some) -> None:
    other = protocols.configs("digits", [1])["SGD"][0]
    shutil.copy(some[1], tmp_path / f"sgd-seed1.{other.run_id}.json")
    with pytest.raises(ValueError, match="was changed after it was written"):
        load_records(folder=tmp_path)


def test_keep_puts_records_at_their_places(
    tmp_path: Path, some: Some, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, path = some
    runs, book = tmp_path / "runs", tmp_path / "book"
    runs.mkdir()
    shutil.copy(path, runs / f"{config.run_id}.json")
    kept, others = records.keep(runs, book)
    assert kept == [book / "digits" / path.name] and kept[0].read_bytes() == path.read_bytes() and not others
    assert records.keep(runs, book) == ([], [])
    monkeypatch.setattr(protocols, "place", lambda config: None)
    assert records.keep(runs, book) == ([], [config.run_id])
    assert __main__.main(["keep", "--folder", str(runs)]) == 0
    assert "1 belong to no protocol" in capsys.readouterr().out
    assert __main__.main(["keep", "--folder", str(tmp_path / "none")]) == 1


def test_a_folder_that_is_not_there_is_not_an_empty_one(tmp_path: Path, some: Some) -> None:
    config, path = some
    none, groups = tmp_path / "nofolder", {"a": [config]}
    calls: list[Callable[[Path], object]] = [
        lambda folder: load_records(folder=folder),
        lambda folder: load_records([config], folder),
        lambda folder: available(groups, folder, None),
        lambda folder: study("digits", 1, folder, None),
        lambda folder: records.index(folder),
        records.keep,
    ]
    for call in calls:
        with pytest.raises(
            FileNotFoundError, match=r"there is no folder .*nofolder; `run` and `sweep` make it"
        ):
            call(none)
        with pytest.raises(NotADirectoryError, match="is a file, not a folder of records; name the folder"):
            call(path)
    assert records.find(config.run_id, none) is None, "a run that will make the folder may ask"
    assert available(groups) == available(groups, None) == {"a": load_records([config])}


@pytest.mark.parametrize("command", ["status", "table"])
def test_the_command_line_says_so(tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    for protocol in ([], ["digits"]):
        assert __main__.main([command, *protocol, "--folder", str(tmp_path / "none")]) == 1
        assert "error: there is no folder" in capsys.readouterr().err
    for seeds in ("0", "-1"):
        assert __main__.main([command, "digits", "--seeds", seeds, "--folder", str(tmp_path)]) == 1
        assert capsys.readouterr() == ("", f"error: seeds must be >= 1, got {seeds}\n")


def test_other_json_files_are_left_alone(tmp_path: Path, some: Some) -> None:
    config, path = some
    shutil.copy(path, tmp_path)
    for name in ("results.json", "notes.a.json", f"{config.run_id}.old.json", "0123456789AB.json"):
        (tmp_path / name).write_text("[1, 2]")
    assert load_records(folder=tmp_path) == load_records([config])
    (tmp_path / "0123456789ab.json").write_text("[1, 2]")  # named as a record of ours
    with pytest.raises(ValueError, match="not a whole run record"):
        load_records(folder=tmp_path)
