"""Runs have an identity, survive interruptions, and leave records that can be trusted."""

from __future__ import annotations

import dataclasses
import json
import time

import pytest
from safetensors.torch import load_file

from sam_edu.experiments import RunConfig, load_records, protocols, run, state, summary, sweep
from sam_edu.experiments.__main__ import main
from sam_edu.experiments.config import regroup

QUICK = RunConfig(dataset="digits", epochs=3, train_size=200, test_size=50, eval_linf=(0.05, 0.1), seed=1)
AT = dataclasses.replace(QUICK, method="sam+at", rho=0.1, eps=0.1, attack_steps=2)


class TestRunConfig:
    def test_same_settings_same_identity(self):
        assert QUICK.run_id == RunConfig.from_dict(json.loads(json.dumps(QUICK.to_dict()))).run_id

    @pytest.mark.parametrize("name, value", [("seed", 2), ("lr", 0.1), ("epochs", 4), ("eval_linf", (0.05,))])
    def test_every_setting_counts(self, name, value):
        assert dataclasses.replace(QUICK, **{name: value}).run_id != QUICK.run_id

    def test_identity_is_frozen(self):
        # Shipped records are found by this name: if it changes, they are lost.
        assert RunConfig().run_id == "c9dca30088fb"
        assert RunConfig(method="sam", rho=0.1).run_id == "95baa59a351f"

    @pytest.mark.parametrize(
        "settings, hint",
        [
            ({"dataset": "mnist"}, "fashion-mnist"),
            ({"method": "sam"}, "rho > 0"),
            ({"rho": 0.1}, "SAM needs rho"),
            ({"method": "at"}, "AT needs eps"),
            ({"method": "sam", "rho": -0.1}, ">= 0"),
            ({"lr": 0}, "> 0"),
            ({"epochs": 0}, ">= 1"),
            ({"label_smoothing": 1}, "< 1"),
            ({"model": "typo"}, "model must be one of"),
            ({"model": "preact-resnet", "certify": 100}, "or certify=0"),
        ],
    )
    def test_bad_settings_are_refused_in_one_line(self, settings, hint):
        with pytest.raises((ValueError, TypeError)) as error:
            RunConfig(**settings)
        assert hint in str(error.value) and "\n" not in str(error.value)

    def test_unknown_setting_is_named(self):
        with pytest.raises(ValueError, match="colour"):
            RunConfig.from_dict({"colour": "blue"})


class TestRun:
    def test_in_memory_and_on_disk_agree(self, tmp_path):
        on_disk = run(QUICK, tmp_path)
        assert _results(run(QUICK)) == _results(on_disk)
        assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
        assert _results(load_records([QUICK], tmp_path)[0]) == _results(on_disk)

    def test_a_finished_run_is_not_done_again(self, tmp_path):
        first = run(QUICK, tmp_path)
        started = time.process_time()
        again = run(QUICK, tmp_path)
        assert time.process_time() - started < 1 and _results(again) == _results(first)
        assert again.origin == first.origin

    def test_the_same_training_tested_in_another_way_is_not_done_again(self, tmp_path, monkeypatch):
        first = run(QUICK, tmp_path)
        harder = dataclasses.replace(QUICK, eval_linf=(0.2,), test_size=40)
        assert harder.run_id != QUICK.run_id and harder.training_id == QUICK.training_id
        alone = run(harder)
        with monkeypatch.context() as patched:
            patched.setattr(state.Training, "train_epoch", lambda *_: pytest.fail("it trains again"))
            again = run(harder, tmp_path)
        assert _results(again) == _results(alone) and again.curves == first.curves
        for other in ({"seed": 2}, {"lr": 0.1}):
            assert dataclasses.replace(QUICK, **other).training_id != QUICK.training_id

    @pytest.mark.parametrize("config", [QUICK, AT], ids=["sgd", "sam+at"])
    def test_resumes_to_the_same_weights(self, config, tmp_path, monkeypatch):
        run(config, tmp_path / "whole")
        from sam_edu.experiments import checkpoints, state

        monkeypatch.setattr(
            checkpoints, "SHARE", float("inf")
        )  # a checkpoint after each of these short epochs
        epochs = []
        train_epoch = state.training.train_epoch

        def interrupted(*args, **kwargs):
            if len(epochs) == 2:
                raise KeyboardInterrupt
            epochs.append(1)
            return train_epoch(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(state.training, "train_epoch", interrupted)
            with pytest.raises(KeyboardInterrupt):
                run(config, tmp_path / "cut")
        assert len(list((tmp_path / "cut").glob("*.ckpt"))) == 2
        record = run(config, tmp_path / "cut")
        assert len(record.curves) == config.epochs
        _same_weights(tmp_path / "whole", tmp_path / "cut", config)

    def test_divergence_is_reported(self):
        with pytest.raises(FloatingPointError, match="learning rate"):
            run(dataclasses.replace(QUICK, lr=1e6))


class TestRecords:
    def test_tampering_and_truncation_are_noticed(self, tmp_path):
        run(QUICK, tmp_path)
        path = tmp_path / f"{QUICK.run_id}.json"
        text = path.read_text()
        path.write_text(text.replace('"seed": 1', '"seed": 2', 1))
        with pytest.raises(ValueError, match="changed"):
            load_records([QUICK], tmp_path)
        path.write_text(text[: len(text) // 2])
        with pytest.raises(ValueError, match="not a whole"):
            load_records([QUICK], tmp_path)

    def test_a_renamed_record_is_noticed(self, tmp_path):
        run(QUICK, tmp_path)
        other = dataclasses.replace(QUICK, seed=2)
        (tmp_path / f"{QUICK.run_id}.json").rename(tmp_path / f"{other.run_id}.json")
        with pytest.raises(ValueError, match="changed"):
            load_records([other], tmp_path)

    def test_a_missing_record_names_the_run(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=QUICK.run_id):
            load_records([QUICK], tmp_path)

    def test_every_shipped_record_is_whole_and_belongs_to_a_protocol(self):
        known = {
            config.run_id
            for name in protocols.PROTOCOLS
            for group in protocols.configs(name, range(5)).values()
            for config in group
        }
        records = load_records()
        assert len(records) >= 54
        for record in records:
            assert record.config.run_id in known
            for evaluation in (record.linf, record.l2):
                if evaluation is not None:
                    last = evaluation.clean_accuracy
                    for entry in evaluation.at:
                        assert entry.accuracy == sum(entry.robust) / evaluation.n <= last
                        last = entry.accuracy


class TestSweepAndSummary:
    def test_a_sweep_equals_single_runs_in_order_and_shape(self, tmp_path):
        groups = {"a": [QUICK], "b": [dataclasses.replace(QUICK, seed=s) for s in (2, 3)]}
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool:
            swept = sweep(groups, tmp_path, executor=pool)
        assert [r.config for r in swept["b"]] == groups["b"] and list(swept) == ["a", "b"]
        assert _results(swept["a"][0]) == _results(run(QUICK))

    def test_regroup(self):
        assert regroup({"a": [QUICK], "b": [QUICK, QUICK]}, [1, 2, 3]) == {"a": [1], "b": [2, 3]}

    def test_gain_is_paired(self):
        a = [run(dataclasses.replace(QUICK, seed=s)) for s in (1, 2)]
        b = [run(dataclasses.replace(QUICK, seed=s, epochs=1)) for s in (1, 2)]
        values = summary.accuracies(a)[:, 1] - summary.accuracies(b)[:, 1]
        gain = summary.gain(a, b, 0.05)
        assert gain.mean == pytest.approx(values.mean()) and gain.sd == pytest.approx(values.std(ddof=1))
        with pytest.raises(ValueError, match="same seeds"):
            summary.gain(a, b[::-1], 0.05)

    def test_grid_rows_feed_the_widget(self):
        from sam_edu.widgets import RhoEpsGrid

        groups = {"SGD": [run(QUICK)], "SAM ρ=0.1": [run(dataclasses.replace(QUICK, method="sam", rho=0.1))]}
        rows = summary.grid_rows(groups)
        assert rows[1]["rho"] == 0.1 and rows[0]["eps"] == [0.0, 0.05, 0.1]
        RhoEpsGrid(rows)


class TestCommandLine:
    def test_run_and_table(self, tmp_path, capsys):
        arguments = ["run", "--epochs", "1", "--train-size", "200", "--test-size", "50",
                     "--eval-linf", "0.05", "0.1", "--folder", str(tmp_path)]  # fmt: skip
        assert main(arguments) == 0
        assert "digits, sgd, seed 0" in capsys.readouterr().out
        assert main(["table", "--folder", str(tmp_path)]) == 0
        assert "0.05" in capsys.readouterr().out

    def test_errors_are_one_line(self, tmp_path, capsys):
        assert main(["run", "--method", "sam", "--folder", str(tmp_path)]) == 1
        assert main(["table", "--folder", str(tmp_path / "none")]) == 1
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 2 and all(line.startswith("error: ") for line in lines)


def _results(record):
    plain = record.to_dict()
    evaluation = plain["linf"]
    return plain["curves"], evaluation["clean_accuracy"], [entry["robust"] for entry in evaluation["at"]]


def _same_weights(a, b, config):
    a, b = (load_file(folder / f"{config.run_id}.safetensors") for folder in (a, b))
    assert a.keys() == b.keys() and all((a[name] == b[name]).all() for name in a)
