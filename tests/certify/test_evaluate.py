"""An evaluation between proof and attack: both ends, the record of them, and what the ladder need not try."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from sam_edu import attacks, data, evaluation, models, training
from sam_edu.certify import from_model
from sam_edu.evaluation import EvaluationRecord, evaluate
from sam_edu.experiments import RunConfig, run, runner
from sam_edu.objectives import ERM


@pytest.fixture(scope="module")
def digits():
    model, some = models.mlp(64, 10, hidden=(16, 16)), data.load("digits")
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    few = some.train_x[:500], some.train_y[:500]
    training.fit(ERM(model), optimizer, *few, 10, 64, attacks.PGD(0.05, steps=3), seed=0)
    return model, some.test_x[:40], some.test_y[:40]


@pytest.fixture(scope="module")
def measured(digits):
    return evaluate(*digits, eps=[0.03, 0.1], certify=200)


def test_the_bracket_holds_both_ends(digits, measured):
    plain = evaluate(*digits, eps=[0.03, 0.1])
    for entry, old in zip(measured.at, plain.at, strict=True):
        low, high = entry.bracket
        assert 0 <= low <= high == entry.accuracy <= old.accuracy
        assert all(robust for robust, proved in zip(entry.robust, entry.proved, strict=True) if proved)
        before = [(rung.label, rung.accuracy) for rung in entry.rungs[:-1]]
        assert before == [(rung.label, rung.accuracy) for rung in old.rungs] or entry.eps > 0.03
        assert entry.rungs[-1].label == "complete search (200 cases)" and old.proved is None
        assert old.bracket == (0.0, old.accuracy)
    assert measured.at[0].bracket[0] > measured.at[1].bracket[0] > 0


def test_the_table_prints_both_ends(measured):
    low, high = measured.at[1].bracket
    assert f"between {low:.1%} (proved) and {high:.1%} (not broken)" in measured.table()


def test_records_keep_the_proofs_and_old_ones_stay_as_they_are(digits, measured):
    plain = json.loads(json.dumps(measured.to_dict()))
    assert EvaluationRecord.from_dict(plain) == measured
    without = evaluate(*digits, eps=0.1).to_dict()
    assert "proved" not in without["at"][0]
    assert EvaluationRecord.from_dict(without).at[0].proved is None


def test_what_is_proved_is_spared_by_all_rungs_of_a_costly_ladder(digits, monkeypatch):
    """With a stand-in for AutoAttack's four parts: it sees only images that are neither proved nor broken."""
    model, x, y = digits
    seen: list[int] = []

    def costly(net: nn.Module, images: torch.Tensor, labels: torch.Tensor, eps: float) -> torch.Tensor:
        seen.append(len(images))
        return attacks.pgd(net, images, labels, eps, steps=40, loss="margin", generator=torch.Generator())

    build = evaluation._ladder.build

    def ladder(*args, **settings):
        return [
            *build("quick", *args[1:], **settings),
            evaluation._ladder.Rung("AutoAttack STAND-IN", costly),
        ]

    monkeypatch.setattr(evaluation._ladder, "build", ladder)
    plain, spared = evaluate(model, x, y, 0.06), evaluate(model, x, y, 0.06, certify=True)
    assert plain.at[0].robust == spared.at[0].robust
    labels = [rung.label.split()[0] for rung in spared.at[0].rungs]
    assert labels == [
        "FGSM",
        "PGD-20",
        "complete",
        "PGD-20",
        "APGD-CE-20",
        "APGD-T-20",
        "Square",
        "AutoAttack",
    ]
    undecided = sum(spared.at[0].robust) - sum(spared.at[0].proved)
    assert seen[0] == round(40 * plain.at[0].rungs[-2].accuracy) and sum(seen[1:]) == undecided < seen[0] / 2
    assert all(rung.attacked == undecided for rung in spared.at[0].rungs[3:])


def test_a_model_that_cannot_be_read_is_refused_before_any_attack(digits, monkeypatch):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 10))
    monkeypatch.setattr(evaluation._ladder, "build", lambda *args: pytest.fail("the ladder was built"))
    with pytest.raises(ValueError, match="Tanh"):
        evaluate(model, *digits[1:], eps=0.1, certify=True)


def test_a_run_records_its_bracket_under_an_id_of_its_own(tmp_path):
    config = RunConfig(train_size=200, test_size=20, epochs=2, eval_linf=(0.05,), certify=20)
    assert config.run_id != replace(config, certify=0).run_id
    assert config.training_id == replace(config, certify=0).training_id
    record = run(config, tmp_path)
    assert record.linf is not None and record.linf.at[0].proved is not None
    again = run(config, tmp_path)
    assert again.linf is not None and again.linf.at[0].proved == record.linf.at[0].proved


@pytest.mark.parametrize("name", models.NAMES)
def test_settings_know_which_models_can_be_certified(name):
    model = models.build(name, (1, 9, 9), 10, width=4).eval()
    if name in models.IN_A_ROW:
        assert from_model(model, (1, 9, 9)).hidden
        assert RunConfig(model=name, certify=100).certify == 100
        return
    with pytest.raises(ValueError, match="certificates know"):
        from_model(model, (1, 9, 9))
    with pytest.raises(ValueError, match=f"certify = 100 .* not model '{name}': choose one of mlp, cnn"):
        RunConfig(model=name, certify=100)
    assert RunConfig(model=name).model == name


@pytest.mark.parametrize("method", ["sgd", "swa"])
def test_a_network_too_large_for_proofs_is_refused_before_it_is_trained(method, tmp_path, monkeypatch):
    config = RunConfig(
        model="cnn",
        width=300,
        method=method,
        train_size=20,
        test_size=5,
        epochs=1,
        eval_linf=(0.05,),
        certify=9,
    )
    monkeypatch.setattr(runner.Training, "train_epoch", lambda self: pytest.fail("it was trained"))
    for folder in (None, tmp_path):
        with pytest.raises(ValueError, match="nothing was trained: the network is too large") as error:
            run(config, folder)
        assert "\n" not in str(error.value) and "or certify=0" in str(error.value)
    assert not list(tmp_path.glob("*.json"))
