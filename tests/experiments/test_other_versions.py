"""Files that are whole and of another version, or foreign: told apart from damaged ones, and never lost."""

from __future__ import annotations

import hashlib
import io
import json

import pytest
import torch
from safetensors.torch import save

from sam_edu.experiments import RunConfig, records, report, run, runner, weights

CONFIG = RunConfig(dataset="digits", model="mlp", epochs=2, train_size=100, test_size=20, eval_linf=(0.1,))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished run: its record, and the text of its file."""
    folder = tmp_path_factory.mktemp("done")
    return run(CONFIG, folder), (folder / f"{CONFIG.run_id}.json").read_text()


def rewritten(text, change):
    """The record after ``change``, with the checksum that belongs to it."""
    record = json.loads(text)["record"]
    record = change(record) or record
    body = json.dumps(record, sort_keys=True)
    return json.dumps({"sha256": hashlib.sha256(body.encode()).hexdigest(), "record": record})


RECORDS = {
    "an entry too many": lambda r: r.update(later=1),
    "a setting too many": lambda r: r["config"].update(later=1),
    "an entry too few": lambda r: r["linf"].pop("seconds") and None,
    "no settings": lambda r: r.pop("config") and None,
    "a list": lambda r: [1, 2],
    "a text": lambda r: "x",
}


@pytest.mark.parametrize("what", RECORDS)
def test_a_whole_record_of_another_version_is_named_and_stays(what, done, tmp_path):
    path = tmp_path / f"{CONFIG.run_id}.json"
    path.write_text(rewritten(done[1], RECORDS[what]))
    before = path.read_bytes()
    for ask in (lambda: records.read(path), lambda: run(CONFIG, tmp_path)):
        with pytest.raises(records.OtherVersion, match="whole, but of another version of sam_edu"):
            ask()
    assert path.read_bytes() == before
    assert report.status(CONFIG, tmp_path) == f"unknown: {path.name} is of another version"
    assert report.contents(tmp_path)[-1] == report.status(CONFIG, tmp_path)


@pytest.mark.parametrize(
    "content", ["", "[]", "3", "null", '"x"', "\0" * 50, '{"record": {}}', "[" * 5000 + "]" * 5000]
)
def test_what_is_no_record_is_damaged(content, tmp_path):
    path = tmp_path / f"{CONFIG.run_id}.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="not a whole run record") as caught:
        records.read(path)
    assert not isinstance(caught.value, records.OtherVersion)
    assert report.contents(tmp_path) == [
        "0 finished", "0 with weights", "0 begun", "0 set aside as damaged", f"damaged: {path.name}",
    ]  # fmt: skip


def test_a_folder_of_a_records_name_is_no_record(tmp_path):
    (tmp_path / f"{CONFIG.run_id}.json").mkdir()
    assert report.contents(tmp_path)[0] == "0 finished" and report.status(CONFIG, tmp_path) == "waiting"


def checkpoint(folder, change):
    """A whole checkpoint of the first epoch, after ``change``."""
    state = runner.Training(CONFIG, runner._dataset(CONFIG))
    state.train_epoch()
    saved = {**state.to_dict(), "run_id": CONFIG.run_id}
    buffer = io.BytesIO()
    torch.save(change(saved) or saved, buffer)
    content = buffer.getvalue()
    digest = hashlib.sha256(content).hexdigest().encode()
    (folder / f"{CONFIG.run_id}.0.ckpt").write_bytes(digest + content)


OTHER = {
    "no schedule": lambda s: s.pop("schedule") and None,
    "another network": lambda s: s["model"].update({next(iter(s["model"])): torch.zeros(1)}),
    "groups of an optimizer": lambda s: s["optimizer"]["param_groups"].append({}),
}


@pytest.mark.parametrize("what", OTHER)
def test_a_whole_checkpoint_of_another_version_is_named_and_stays(what, tmp_path):
    checkpoint(tmp_path, OTHER[what])
    with pytest.raises(ValueError, match=r"of another version of sam_edu.*delete it and the run starts anew"):
        run(CONFIG, tmp_path)
    assert (tmp_path / f"{CONFIG.run_id}.0.ckpt").exists()


@pytest.mark.parametrize("change", [lambda s: [1, 2], lambda s: s.update(x=CONFIG)])
def test_a_checkpoint_that_is_no_state_is_set_aside(change, done, tmp_path, capsys):
    checkpoint(tmp_path, change)
    assert run(CONFIG, tmp_path).train_accuracy == done[0].train_accuracy
    assert "set aside" in capsys.readouterr().err and list(tmp_path.glob("*.damaged"))


def test_foreign_weights_in_the_folder_do_no_harm(done, tmp_path):
    (tmp_path / "empty.safetensors").write_bytes(b"")
    (tmp_path / "text.safetensors").write_bytes(b"x" * 1000)
    (tmp_path / "folder.safetensors").mkdir()
    for name, text in {"no": "no json", "list": "[]"}.items():
        (tmp_path / f"{name}.safetensors").write_bytes(save({"a": torch.zeros(1)}, {"sam_edu": text}))
    assert run(CONFIG, tmp_path).train_accuracy == done[0].train_accuracy


@pytest.mark.parametrize("short", [True, False])
def test_weights_of_another_network_are_set_aside(short, done, tmp_path, capsys):
    """Under the run's own id: nothing of them is loaded."""
    about = {"run_id": CONFIG.run_id, "seconds": 1.0, "curves": [{"loss": 0.0, "accuracy": 0.0}]}
    state = runner.Training(CONFIG, runner._dataset(CONFIG)).net.state_dict()
    if short:
        del about["curves"]
    else:
        state.pop(list(state)[-1])
    weights.write(tmp_path / f"{CONFIG.run_id}.safetensors", state, about)
    assert run(CONFIG, tmp_path).train_accuracy == done[0].train_accuracy
    assert "of another version of sam_edu; set aside" in capsys.readouterr().err
