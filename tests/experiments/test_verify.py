"""Records can be checked with other people's attacks; folders, tables and the state of a sweep."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
import types

import pytest
import torch
from safetensors.torch import load_file, save_file

from sam_edu import data
from sam_edu.experiments import (
    RunConfig,
    available,
    load_records,
    protocols,
    report,
    results_folder,
    run,
    weights,
)
from sam_edu.experiments.__main__ import main
from sam_edu.experiments.places import DRIVE
from sam_edu.experiments.records import SHIPPED, index
from sam_edu.experiments.verify import Verdict, verify, with_weights

QUICK = RunConfig(
    dataset="digits", epochs=20, train_size=400, test_size=100, eval_linf=(0.05, 0.1), eval_l2=(0.5,), seed=1
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return folder, run(QUICK, folder)


@pytest.fixture
def folder(finished, tmp_path):
    """A copy to do harm to."""
    shutil.copytree(finished[0], tmp_path / "runs")
    return tmp_path / "runs"


class TestVerify:
    def test_a_true_record(self, finished):
        verdicts = verify(QUICK.run_id, finished[0])
        assert [(v.norm, v.eps) for v in verdicts] == [
            ("linf", 0),
            ("linf", 0.05),
            ("linf", 0.1),
            ("l2", 0.5),
        ]
        assert all(v.ok and v.n == 100 for v in verdicts) and verdicts[2].found < verdicts[0].found

    def test_the_first_images_only(self, finished):
        record = finished[1]
        verdicts = verify(QUICK.run_id, finished[0], images=40)
        assert [v.n for v in verdicts] == [40] * 3 and all(v.ok for v in verdicts)
        assert verdicts[0].recorded == sum(record.linf.at[0].robust[:40]) / 40

    def test_a_record_that_claims_too_much(self, folder):
        path = folder / f"{QUICK.run_id}.json"
        outer = json.loads(path.read_text())
        for entry in outer["record"]["linf"]["at"]:
            entry["robust"] = f"{int('1' * 101, 2):x}"  # every image survives
        from sam_edu.experiments.records import _digest

        outer["sha256"] = _digest(json.dumps(outer["record"], sort_keys=True))  # a careful forger
        path.write_text(json.dumps(outer))
        assert not any(v.ok for v in verify(QUICK.run_id, folder) if v.norm == "linf" and v.eps)
        assert main(["verify", QUICK.run_id, "--folder", str(folder)]) == 1

    def test_weights_of_another_run(self, folder):
        path = folder / f"{QUICK.run_id}.safetensors"
        whole = load_file(path)
        save_file({name: w + 0.01 for name, w in whole.items()}, path)
        with pytest.raises(ValueError, match="does not hold the weights"):
            verify(QUICK.run_id, folder)

    def test_changed_weights_of_an_honest_file(self, folder):
        path = folder / f"{QUICK.run_id}.safetensors"
        content = bytearray(path.read_bytes())
        content[-5] ^= 1
        path.write_bytes(content)
        with pytest.raises(ValueError, match="was changed"):
            verify(QUICK.run_id, folder)
        path.write_bytes(content[:-50])
        with pytest.raises(ValueError, match="not a whole file"):
            verify(QUICK.run_id, folder)

    def test_other_images(self, folder, monkeypatch):
        from sam_edu.experiments import verify as module  # the module: the package exports no function

        def mirrored(name):
            d = data.load(name)
            return dataclasses.replace(d, test_x=d.test_x.flip(-1))

        monkeypatch.setattr(module, "_loaded", mirrored)
        with pytest.raises(ValueError, match="are not those of run"):
            verify(QUICK.run_id, folder)

    def test_missing_files_are_named(self, folder, capsys):
        with pytest.raises(FileNotFoundError, match="no record of run abc"):
            verify("abc", folder)
        (folder / f"{QUICK.run_id}.safetensors").unlink()
        with pytest.raises(FileNotFoundError, match="not its weights"):
            verify(QUICK.run_id, folder)
        assert main(["verify", "--folder", str(folder)]) == 1
        assert "no run with weights" in capsys.readouterr().err

    def test_half_a_point_is_the_limit(self):
        assert Verdict("x", "linf", 0.1, 200, 0.500, 0.505).ok
        assert not Verdict("x", "linf", 0.1, 1000, 0.500, 0.506).ok


class TestShippedWeights:
    def test_they_are_few_small_and_whole(self):
        runs = with_weights()
        assert len(runs) >= 3
        files = [SHIPPED / "weights" / f"{name}.safetensors" for name in runs]
        assert sum(path.stat().st_size for path in files) < 2_000_000
        for path in files:
            assert all(torch.isfinite(w).all() for w in weights.read(path).values())

    def test_one_of_each_kind(self):
        configs = {name: json.loads(index()[name].read_text())["record"]["config"] for name in with_weights()}
        assert {"sgd", "sam", "at"} <= {config["method"] for config in configs.values()}

    @pytest.mark.parametrize("name", with_weights())
    def test_their_records_are_true(self, name):
        """On a sample; ``python -m sam_edu.experiments verify`` takes all images and both norms."""
        if json.loads(index()[name].read_text())["record"]["config"]["dataset"] != "digits":
            _needs_fashion()
        verdicts = verify(name, images=400, norms=("linf",))
        assert len(verdicts) >= 4 and all(v.ok for v in verdicts), "\n".join(map(str, verdicts))


def _needs_fashion():
    import os

    try:
        data.load("fashion-mnist")
    except FileNotFoundError as error:
        if os.environ.get("CI"):  # there, nothing may be left out silently
            raise
        pytest.skip(str(error))


class TestFolders:
    def test_own_records_beside_the_books(self, finished):
        other = dataclasses.replace(QUICK, seed=2)
        fashion = protocols.configs("fashion-mnist", [0])
        groups = {"mine": [QUICK, other], "SGD": fashion["SGD"], "nobody's": [other]}
        found = available(groups, finished[0], None)
        assert list(found) == ["mine", "SGD"] and [r.config for r in found["mine"]] == [QUICK]
        assert available(groups, None).keys() == {"SGD"}
        assert found["SGD"][0].to_dict() == load_records(fashion["SGD"])[0].to_dict()

    def test_a_damaged_record_is_not_left_out_silently(self, folder):
        (folder / f"{QUICK.run_id}.json").write_text("{")
        with pytest.raises(ValueError, match="not a whole"):
            available({"mine": [QUICK]}, folder)

    def test_of_a_notebook(self, tmp_path):
        one, two = results_folder(), results_folder()
        assert one != two and one.is_dir() and not list(one.iterdir())
        assert results_folder(str(tmp_path / "a" / "b")).is_dir()
        for path in (one, two):
            path.rmdir()

    def test_drive_is_for_colab(self):
        with pytest.raises(RuntimeError, match="name a folder"):
            results_folder("drive")

    def test_drive_in_colab(self, monkeypatch, tmp_path):
        mounted = []
        drive = types.SimpleNamespace(mount=mounted.append)
        module = types.ModuleType("google.colab")
        module.drive = drive
        monkeypatch.setitem(sys.modules, "google.colab", module)
        monkeypatch.setattr("sam_edu.experiments.places.DRIVE", tmp_path)
        with pytest.raises(RuntimeError, match="allow the access"):
            results_folder("drive")
        (tmp_path / "MyDrive").mkdir()
        folder = results_folder("drive")
        assert folder == tmp_path / "MyDrive" / "flat-and-robust" and folder.is_dir()
        assert mounted == [str(tmp_path)] * 2 and str(DRIVE) == "/content/drive"
        # the same cell again, as after a disconnect: what was finished is there
        run(QUICK, folder)
        assert available({"mine": [QUICK]}, results_folder("drive"))


class TestStatusAndTable:
    def test_status(self, folder, monkeypatch, capsys):
        from sam_edu.experiments import checkpoints

        begun, damaged, waiting, lost = (dataclasses.replace(QUICK, seed=s) for s in (2, 3, 4, 5))
        checkpoints.Checkpoints(folder, begun.run_id).save({"epoch": 7})
        (folder / f"{damaged.run_id}.json").write_text("{}")
        (folder / f"{lost.run_id}.0.ckpt").write_text("half")
        groups = {"a": [QUICK, begun], "bb": [damaged, waiting, lost]}
        monkeypatch.setattr(protocols, "configs", lambda name, seeds: groups)
        assert main(["status", "digits", "--folder", str(folder)]) == 0
        lines = capsys.readouterr().out.strip().splitlines()
        assert [line.split("  ")[-1] for line in lines[:-1]] == [
            "finished", "epoch 7 of 20", f"damaged: {damaged.run_id}.json", "waiting", "damaged: checkpoints",
        ]  # fmt: skip
        assert lines[-1] == "1 finished, 1 begun, 2 damaged, 1 waiting"
        assert main(["status", "--folder", str(folder)]) == 0
        assert "2 begun" in capsys.readouterr().out
        assert main(["status", "--folder", str(folder / "none")]) == 1

    def test_table_of_a_protocol(self, finished, monkeypatch, capsys):
        monkeypatch.setattr(protocols, "configs", lambda name, seeds: {"SGD": [QUICK], "SAM": []})
        assert main(["table", "digits", "--folder", str(finished[0])]) == 0
        head, row = capsys.readouterr().out.strip("\n").splitlines()
        assert head.split("  ")[-1].strip() == "l2 0.5" and row.startswith("SGD  1")
        assert row.split()[2] == f"{100 * finished[1].clean_accuracy:.1f}" and "±" not in row  # one seed

    def test_one_line_of_summary(self, finished):
        line = report.line(finished[1])
        assert line.startswith(f"{QUICK.run_id}, digits, sgd, seed 1, train ") and "images/s" in line
        assert "\n" not in line and "clean" in line and "at 0.05" in line


class TestProtocols:
    def test_the_papers(self):
        for name in ("cifar10", "cifar100"):
            groups = protocols.configs(name, range(3))
            for config, *_ in groups.values():
                assert (config.dataset, config.model, config.batch_size) == (name, "preact-resnet18", 128)
                assert (config.lr, config.momentum, config.augment) == (0.1, 0.9, "crop+flip")
                assert {1 / 255, 2 / 255, 8 / 255} == set(config.eval_linf)
                assert {16 / 255, 32 / 255} == set(config.eval_l2)
            at = groups["AT ε=8/255, PGD-10"][0]
            assert at.attack_steps == 10 and groups["AT ε=8/255"][0].attack_steps == 5
            assert groups["SAM ρ=0.05"][0].rho == 0.05 and groups["SGD"][0].epochs == 100

    def test_no_two_runs_are_the_same(self):
        for name in protocols.PROTOCOLS:
            ids = [c.run_id for group in protocols.configs(name, range(3)).values() for c in group]
            assert len(set(ids)) == len(ids), name

    def test_the_tiny_one_needs_no_data_and_takes_the_same_way(self, tmp_path):
        (config,) = protocols.configs("tiny", [0])["SAM ρ=0.1"]
        assert config.dataset == "digits" and config.precision == "bfloat16" and config.augment != "none"
        record = run(dataclasses.replace(config, epochs=1, eval_l2=(), eval_linf=(2 / 255,)), tmp_path)
        assert record.linf is not None
