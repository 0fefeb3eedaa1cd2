"""Equal settings are one run, other images are another one; errors come before the training."""

from __future__ import annotations

import dataclasses
import enum
import json
import os
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sam_edu.experiments import (
    RunConfig,
    files,
    load_records,
    measuring,
    records,
    report,
    run,
    runner,
    summary,
)
from sam_edu.experiments.state import Training
from sam_edu.experiments.verify import verify
from sam_edu.widgets import ClasswiseExplorer, LadderExplorer

SMALL = {"train_size": 100, "test_size": 20, "epochs": 2}


def test_ids_of_all_shipped_records_are_what_they_were():
    known = records.index()
    for run_id, path in known.items():
        written = json.loads(path.read_text())["record"]["config"]
        assert RunConfig.from_dict(written).run_id == run_id == records._written_id(written)
    assert len(known) >= 447


class Methods(str, enum.Enum):  # noqa: UP042  (its str() is not its text)
    SAM = "sam"


@pytest.mark.parametrize("one, other", [
    ({"method": "sam", "rho": 1}, {"method": "sam", "rho": 1.0}), ({"lr": 1}, {"lr": np.float64(1)}),
    ({"epochs": 5.0}, {"epochs": np.int64(5)}),
    ({"method": "sam", "rho": np.float32(0.1)}, {"method": "sam", "rho": 0.1}),
    ({"method": "sam", "rho": torch.tensor(0.1)}, {"method": "sam", "rho": 0.1}),
    ({"seed": np.arange(3)[1]}, {"seed": 1}), ({"seed": torch.tensor(1)}, {"seed": 1}),
    ({"eval_linf": np.arange(1, 3) / 255}, {"eval_linf": (1 / 255, 2 / 255)}),
    ({"eval_l2": [1, 2]}, {"eval_l2": (1.0, 2.0)}),
    ({"eval_l2": torch.tensor([0.5])}, {"eval_l2": (0.5,)}), ({"compile": np.bool_(True)}, {"compile": 1}),
    ({"weight_decay": -0.0}, {"weight_decay": 0}), ({"eps": -0.0, "eval_l2": (-0.0,)}, {"eval_l2": (0,)}),
    ({"method": Methods.SAM, "rho": 1}, {"method": "sam", "rho": 1}), ({"rho": Fraction(0)}, {"rho": 0}),
    ({"weight_decay": 0}, {"weight_decay": 0.0}), ({"momentum": np.float16(0.5)}, {"momentum": 0.5}),
])  # fmt: skip
def test_equal_settings_are_one_run(one, other):
    a, b = RunConfig(**one), RunConfig(**other)
    assert a == b and a.run_id == b.run_id and a.training_id == b.training_id and hash(a) == hash(b)
    assert RunConfig.from_dict(json.loads(json.dumps(a.to_dict()))) == a


def test_large_seeds_are_kept_to_the_last_digit():
    assert RunConfig(seed=2**53 + 1).run_id != RunConfig(seed=2**53).run_id
    with pytest.raises(ValueError, match="seed must be < "):
        RunConfig(seed=2**63)


@pytest.mark.parametrize("slip, hint", [
    ({"ladder": "quik"}, "ladder must be one of"), ({"eval_linf": (-0.1,)}, "eval_linf must be >= 0"),
    ({"eval_linf": ("a",)}, "eval_linf must be a number"), ({"eval_linf": 0.1}, "several numbers"),
    ({"eval_l2": "0.1"}, "several numbers"), ({"eval_l2": (float("nan"),)}, "eval_l2 must be"),
    ({"eval_l2": (float("inf"),)}, "eval_l2 must be"), ({"lr": float("inf")}, "lr must be"),
    ({"epochs": 2.5}, "whole number"), ({"seed": True}, "whole number"), ({"sync": "no"}, "True or False"),
    ({"train_size": 0}, "train_size must be >= 1"), ({"test_size": 2.5}, "whole number"),
    ({"lr": np.array([0.1, 0.2])}, "must be a number"), ({"width": None}, "must be a number"),
    ({"method": "at", "eps": 8}, "8 grey levels of 255 are 0.0314"), ({"eval_linf": (8,)}, "are 0.0314"),
    ({"validation_linf": (2,), "validation_size": 9}, "of 255 are 0.0314"),
    ({"eval_linf": (0.1, 0.1)}, "a radius twice"), ({"eval_l2": (1, 1.0)}, "a radius twice"),
    ({"bias_lr": float("inf")}, "bias_lr must be"), ({"attack_step": float("inf")}, "attack_step must"),
    ({"nesterov": True, "momentum": 0}, "momentum > 0, or nesterov=False"),
    ({"momentum": 1.0}, "momentum must be >= 0 and < 1"), ({"momentum": 1.5}, "momentum must be"),
])  # fmt: skip
def test_slips_are_found_before_the_training(slip, hint):
    with pytest.raises((ValueError, TypeError)) as error:
        RunConfig(**slip)
    assert hint in str(error.value) and "\n" not in str(error.value)


def test_a_record_written_under_the_id_of_a_whole_number_is_read(tmp_path):
    made = run(RunConfig(method="sam", rho=1, **SMALL), tmp_path)
    path = tmp_path / f"{made.config.run_id}.json"
    plain = json.loads(path.read_text())["record"]
    plain["config"]["rho"] = 1
    old = records._written_id(plain["config"])
    assert old != made.config.run_id
    digest = records._digest(json.dumps(plain, sort_keys=True))
    (tmp_path / f"{old}.json").write_text(json.dumps({"sha256": digest, "record": plain}))
    assert records.read(tmp_path / f"{old}.json").config == made.config


@pytest.fixture
def epochs(monkeypatch):
    """How often an epoch was trained."""
    counted, train = [], Training.train_epoch
    monkeypatch.setattr(Training, "train_epoch", lambda self: (counted.append(1), train(self))[1])
    return counted


def test_a_failing_evaluation_does_not_cost_the_training(tmp_path, epochs, monkeypatch):
    def fails(*_, **__):
        raise MemoryError("too many images at once")

    config = RunConfig(eval_linf=(0.1,), **SMALL)
    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(measuring, "evaluate", fails)
        run(config, tmp_path)
    other = dataclasses.replace(config, eval_linf=(0.05,))
    assert run(other, tmp_path).linf and run(config, tmp_path).linf and len(epochs) == 2


def test_radius_zero_is_a_radius_for_a_run_as_it_is_for_evaluate(tmp_path):
    """It measures without attack; whatever speaks of attacks has the clean accuracy once."""
    config = RunConfig(**{**SMALL, "test_size": 60})
    radii = {"eval_linf": (0,)}, {"eval_linf": (0, 0.1), "eval_l2": (0.0,)}, {"eval_linf": (0.1,)}
    only, both, plain = (run(dataclasses.replace(config, **some), tmp_path) for some in radii)
    assert len({record.config.run_id for record in (only, both, plain)}) == 3
    for record in (only, both):
        assert record.linf.at[0].eps == 0 and record.linf.robust_accuracy(0) == record.clean_accuracy
        assert record.clean_accuracy == plain.clean_accuracy and record.linf.clean == record.linf.at[0].robust
    assert summary.radii([both]) == [0.1] and summary.radii([only]) == summary.radii([both], "l2") == []
    assert (summary.accuracies([both]) == summary.accuracies([plain])).all()
    assert report.table({"a": [both]}) == report.table({"a": [plain]})
    assert "linf" not in report.line(only) and report.line(both).count("clean") == 2
    classes = ClasswiseExplorer.from_records({"a": [both]}, {"a": "SGD"}, list("0123456789"))
    assert classes.eps_grid == [0, 0.1] and LadderExplorer.from_records({"SGD": both.linf}).eps_grid == [0.1]
    assert [v.eps for v in verify(both.config.run_id, tmp_path)] == [0, 0.1]
    assert [v.eps for v in verify(only.config.run_id, tmp_path)] == [0]


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A folder of images and a function that replaces them."""
    root = tmp_path / "pictures"
    monkeypatch.setenv("SAM_EDU_DATA", str(root))

    def draw(seed, parts=("train", "test")):
        rng = np.random.default_rng(seed)
        for part in parts:
            for name in ("a", "b"):
                (root / part / name).mkdir(parents=True, exist_ok=True)
                for i in range(6):
                    image = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
                    image.save(root / part / name / f"{i}.png")
        runner._cached.cache_clear()

    draw(0)
    yield draw
    runner._cached.cache_clear()


OWN = RunConfig(dataset="folder", epochs=3, batch_size=4, eval_linf=(0.1,))


def test_a_run_over_own_images_and_over_other_ones(tmp_path, pictures):
    first = run(OWN, tmp_path / "runs")
    assert run(OWN, tmp_path / "runs") == first
    pictures(1)
    with pytest.raises(ValueError, match="was made with other images of 'folder'") as error:
        run(OWN, tmp_path / "runs")
    assert "\n" not in str(error.value) and OWN.run_id in str(error.value)
    assert run(OWN, tmp_path / "others").origin["data"] != first.origin["data"]
    pictures(0)
    assert run(OWN, tmp_path / "runs") == first


def test_images_of_one_class_are_refused_before_the_training(tmp_path, monkeypatch, epochs):
    for part in ("train", "test"):
        (tmp_path / part / "cat").mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / part / "cat" / "0.png")
    monkeypatch.setenv("SAM_EDU_DATA", str(tmp_path))
    runner._cached.cache_clear()
    with pytest.raises(ValueError, match="folder has one class, 'cat': two or more") as error:
        run(OWN, tmp_path / "runs")
    assert "\n" not in str(error.value) and not epochs
    runner._cached.cache_clear()


def test_an_interrupted_run_does_not_go_on_with_other_images(tmp_path, pictures, monkeypatch):
    train = Training.train_epoch

    def once(self):
        if self.epoch == 1:
            raise KeyboardInterrupt
        return train(self)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Training, "train_epoch", once)
        run(OWN, tmp_path / "runs")
    pictures(1)
    with pytest.raises(ValueError, match="was made with other images"):
        run(OWN, tmp_path / "runs")
    pictures(0)
    assert run(OWN, tmp_path / "runs").config == OWN


def test_weights_serve_again_only_for_the_same_training_images(tmp_path, pictures, epochs):
    other = dataclasses.replace(OWN, eval_linf=(0.05,))
    run(OWN, tmp_path / "runs")
    pictures(1, parts=("test",))
    run(other, tmp_path / "runs")
    assert len(epochs) == 3  # other test images: another evaluation of the same weights
    pictures(2)
    run(dataclasses.replace(OWN, eval_linf=(0.2,)), tmp_path / "runs")
    assert len(epochs) == 6


def test_records_are_json_and_not_a_number_comes_back(tmp_path):
    record = run(RunConfig(epochs=1, train_size=100, test_size=3, eval_linf=(0.1,)), tmp_path)
    path = tmp_path / f"{record.config.run_id}.json"

    def refuse(word):
        raise AssertionError(word)

    json.loads(path.read_text(), parse_constant=refuse)
    found = load_records([record.config], tmp_path)[0]
    before, after = record.linf.clean_per_class, found.linf.clean_per_class
    assert np.isnan(before).any() and np.array_equal(before, after, equal_nan=True)
    assert found.config.train_size == 100 and found.l2 is None and found.config.dataset == "digits"


def test_the_home_folder_is_meant_by_its_sign(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    record = run(RunConfig(**SMALL), "~/runs")
    assert (tmp_path / "runs" / f"{record.config.run_id}.json").exists() and not Path("~").exists()
    assert load_records([record.config], "~/runs")[0].config == record.config


def test_a_file_that_is_being_written_is_left_alone_where_there_are_no_locks(tmp_path, monkeypatch):
    young, old = tmp_path / ".abc.json.x1", tmp_path / ".abc.json.x2"
    for path in (young, old):
        path.write_text("half")
    os.utime(old, (time.time() - 2 * files.ABANDONED,) * 2)
    monkeypatch.setattr(files, "_wait", lambda *_: False)
    with files.claimed(tmp_path, "abc"):
        assert young.exists() and not old.exists()
    monkeypatch.undo()
    with files.claimed(tmp_path, "abc"):
        assert not young.exists()


def test_a_script_without_a_guard_is_told(tmp_path):
    script = tmp_path / "plain.py"
    script.write_text(
        "from sam_edu.experiments import RunConfig, sweep\n"
        f"sweep([RunConfig(epochs=1)], {str(tmp_path / 'runs')!r})\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        check=False,
    )
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1].startswith("RuntimeError: a worker process ended")
    assert 'if __name__ == "__main__":' in done.stderr
