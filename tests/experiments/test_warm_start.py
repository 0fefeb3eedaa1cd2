"""A warm start is plain SGD, then the method; records keep how confident and how flat the result is."""

import dataclasses

import pytest

from sam_edu.experiments import RunConfig, records, run, summary
from sam_edu.experiments.runner import _dataset
from sam_edu.experiments.state import Training

SMALL = {"dataset": "digits", "train_size": 200, "test_size": 50, "epochs": 6, "eval_linf": (0.1,), "lr": 0.1}


@pytest.mark.parametrize("method", [{"method": "sam", "rho": 0.2}, {"method": "at", "eps": 0.1}])
def test_the_first_epochs_are_those_of_sgd_and_the_others_are_not(method):
    plain = run(RunConfig(**SMALL)).curves
    warm = run(RunConfig(**SMALL, **method, plain_epochs=3)).curves
    assert warm[:3] == plain[:3] and warm[3]["loss"] != plain[3]["loss"]


def test_a_warm_start_goes_on_where_it_was_stopped():
    config = RunConfig(**SMALL, method="sam", rho=0.2, plain_epochs=3)
    whole, begun, resumed = (Training(config, _dataset(config)) for _ in range(3))
    for _ in range(5):
        whole.train_epoch()
    for _ in range(2):
        begun.train_epoch()
    resumed.load(begun.to_dict())
    for _ in range(3):
        resumed.train_epoch()
    assert resumed.curves == whole.curves


def test_its_price_counts_one_pass_for_each_plain_epoch():
    assert summary.gradient_passes(RunConfig(method="sam", rho=0.1, epochs=30, plain_epochs=10)) == 50
    assert summary.gradient_passes(RunConfig(method="at", eps=0.1, epochs=30, plain_epochs=10)) == 130


@pytest.mark.parametrize("settings, message", [
    ({"plain_epochs": 3}, "has neither"), ({"method": "swa", "plain_epochs": 3}, "has neither"),
    ({"method": "sam", "rho": 0.1, "epochs": 5, "plain_epochs": 5}, "at most 4"),
    ({"method": "sam", "rho": 0.1, "plain_epochs": -1}, "plain_epochs"),
    ({"method": "swa", "schedule": "triangle"}, "stand still"),
])  # fmt: skip
def test_what_cannot_be_is_refused_before_the_training(settings, message):
    with pytest.raises(ValueError, match=message):
        RunConfig(**settings)


def test_records_keep_confidence_and_adaptive_sharpness_and_old_ones_stay_what_they_were(tmp_path):
    record = run(RunConfig(**SMALL), tmp_path)
    assert 0.1 < record.confidence["test"] <= 1 and 0.1 < record.confidence["train"] <= 1
    assert 0 <= record.confidence["train_accuracy"] <= 1 and record.sharpness["adaptive"] > 0
    assert records.read(records.find(record.config.run_id, tmp_path)) == record
    old = dataclasses.replace(record, confidence={})
    assert "confidence" not in old.to_dict() and records.Record.from_dict(old.to_dict()) == old
