"""The script that makes the most of some minutes on a GPU, tried on a CPU."""

from __future__ import annotations

import dataclasses
import multiprocessing
import time

from benchmarks import minutes
from sam_edu.experiments import RunConfig, protocols

QUICK = RunConfig(dataset="digits", epochs=1, train_size=64, test_size=8, eval_linf=(0.1,), eval_l2=())


def test_every_row_comes_once_before_the_second_seed_and_the_large_network_last():
    runs = minutes.plan("cifar10-jpeg")
    rows = len(protocols.configs("cifar10-fast", [0]))
    assert len(runs) == len({run.run_id for run in runs}) == 3 * rows + 2
    assert [run.seed for run in runs[: 3 * rows]] == [seed for seed in range(3) for _ in range(rows)]
    assert {run.model for run in runs[:-2]} == {"fast"} and {run.dataset for run in runs} == {"cifar10-jpeg"}
    assert [(run.method, run.precision, run.compile) for run in runs[-2:]] == [
        (method, "bfloat16", True) for method in ("sgd", "sam")
    ]
    sliced = minutes.plan("cifar10", rehearse=True)
    assert {run.method for run in sliced} == {run.method for run in runs}
    assert all(run.train_size == 64 and not run.compile for run in sliced)


def test_it_goes_on_after_an_error_and_begins_nothing_when_the_time_is_up(tmp_path, monkeypatch, capsys):
    runs = [dataclasses.replace(QUICK, seed=seed) for seed in range(3)]
    begun = multiprocessing.get_context("spawn").Value("i", 0)
    minutes.work(runs, begun, tmp_path, until=time.monotonic() - 1)
    assert begun.value == 0 and not list(tmp_path.iterdir())
    whole = minutes.run

    def breaks(config: RunConfig, folder: object) -> object:
        if config.seed == 1:
            raise FloatingPointError("training diverged")
        return whole(config, folder)

    monkeypatch.setattr(minutes, "run", breaks)
    minutes.work(runs, begun, tmp_path, until=time.monotonic() + 600)
    done = [(tmp_path / f"{run.run_id}.json").exists() for run in runs]
    assert done == [True, False, True]
    said = capsys.readouterr().out.splitlines()
    assert "training diverged" in said[1] and said[2].endswith("robust")


def test_it_says_what_is_left(tmp_path):
    assert minutes.spend([QUICK], tmp_path, 0, together=0) == (0, 1)
