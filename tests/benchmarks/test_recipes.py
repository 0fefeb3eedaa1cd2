"""What an accuracy costs by recipe: counted by hand, and by the runner's own evaluation."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from torch.nn.functional import cross_entropy

from benchmarks import recipes
from book.tools import ROOT
from sam_edu.data import Dataset
from sam_edu.experiments import RunConfig, run

SMALL = RunConfig(dataset="digits", train_size=200, test_size=None, epochs=2, batch_size=50, eval_linf=(0.0,))


def test_the_curve_ends_at_the_accuracy_that_the_runner_finds():
    found = recipes.curve(SMALL)
    record = run(SMALL)
    assert len(found) == 2 and record.linf is not None
    assert found[-1] == record.linf.clean_accuracy != found[0]


def test_operations_are_two_for_each_multiplication_of_a_linear_layer():
    layers = [(64, 128), (128, 128), (128, 10)]
    per_layer = [2 * a * b for a, b in layers]
    # forward, gradient of the weights, and gradient of what comes in, which the images do not need
    assert recipes.operations(SMALL) == 3 * sum(per_layer) - per_layer[0]


def test_a_step_of_sam_is_counted_in_pairs_of_passes(monkeypatch):
    passes = []
    monkeypatch.setattr(recipes, "cross_entropy", lambda *of: passes.append("ideal") or cross_entropy(*of))
    plain = recipes.training.step
    monkeypatch.setattr(recipes.training, "step", lambda *of: passes.append("SAM") or plain(*of))
    found = recipes.sam_step(SMALL, rounds=3)
    assert passes == 3 * [*4 * ["ideal"], "SAM", "SAM"], "each is done once untimed before it is timed"
    assert 0 < found.low <= found.median <= found.high


def test_the_cost_is_that_of_the_epochs_until_the_target():
    rows = {
        "short": {"accuracy": [0.2, 0.9, 0.8], "images": 10, "operations": 4.0, "seconds": 1.0},
        "long": {"accuracy": [0.1, 0.2, 0.85], "images": 20, "operations": 4.0, "seconds": 2.0},
        "never": {"accuracy": [0.1], "images": 20, "operations": 4.0, "seconds": 2.0},
    }
    found = recipes.costs(rows)
    cost = {name: [own[key] for key in ("epochs", "operations", "seconds")] for name, own in found.items()}
    assert cost == {
        "short": [2, 80 / 240, pytest.approx(20 / 120)],
        "long": [3, 1, 1],
        "never": [None, None, None],
    }
    petaflop = {name: [own["petaflop"], own["petaflop in all"]] for name, own in found.items()}
    assert petaflop == {
        "short": pytest.approx([80e-15, 120e-15]),
        "long": pytest.approx([240e-15, 240e-15]),
        "never": [None, pytest.approx(80e-15)],
    }
    assert [own["accuracy"] for own in found.values()] == [0.8, 0.85, 0.1]


def test_the_recipes_are_rows_of_the_protocols_that_train_alike():
    found = recipes.recipes("digits")
    assert [config.epochs for config in found.values()] == [6, 9, 15]
    assert {config.precision for config in found.values()} == {"bfloat16"}
    assert all(config.method == "sgd" and config.test_size is None for config in found.values())


def test_the_readme_says_what_a_step_costs(monkeypatch):
    x, y = torch.rand(8, 3, 32, 32), torch.arange(8)
    noise = Dataset("noise", x, y, x, y, tuple("0123456789"), "random numbers")
    monkeypatch.setattr(recipes.data, "load", lambda name: noise)
    fast, _, quick = (
        recipes.operations(dataclasses.replace(config, batch_size=8, precision="float32")) / 1e6
        for config in recipes.recipes().values()
    )
    assert f"({fast:.0f} and {quick:.0f} million operations" in (ROOT / "benchmarks/README.md").read_text(
        "utf-8"
    )


def test_the_readme_says_what_the_file_has():
    text = " ".join((ROOT / "benchmarks/README.md").read_text("utf-8").split())
    rows = json.loads(recipes.FILE.read_text())["rows"]
    six, nine = (rows[f"{recipes.FAST}, {n} epochs"] for n in (6, 9))
    whole = {
        len(row["accuracy"]): len(row["accuracy"]) * row["images"] * row["operations"] for row in (six, nine)
    }
    for row in (six, nine):
        n = len(row["accuracy"])
        assert f"{n} epochs" in text and f"{row['accuracy'][-1]:.2%} for".replace("%", " %") in text
        assert f"for {whole[n] / 1e15:.3f}" in text
    passed = recipes.epochs_to(recipes.TARGET, nine["accuracy"])
    assert f"the longer one passes 85 %, in epoch {passed}." in text
    assert recipes.epochs_to(recipes.TARGET, six["accuracy"]) is None
    assert list(rows) == list(recipes.recipes())
    quick = rows[f"{recipes.QUICK}, 15 epochs"]
    petaflop = len(quick["accuracy"]) * quick["images"] * quick["operations"] / 1e15
    ends = f"ends at {100 * quick['accuracy'][-1]:.2f} % for {petaflop:.3f} and never passes 85 %."
    assert ends in text
    assert recipes.epochs_to(recipes.TARGET, quick["accuracy"]) is None
    cost = recipes.costs(rows, 0.84)
    assert (
        max(own["operations"] for own in cost.values()) == cost[f"{recipes.QUICK}, 15 epochs"]["operations"]
    )
    first = cost[f"{recipes.FAST}, 6 epochs"]
    operations, seconds = first["operations"], first["seconds"]
    said = f"take {operations:.2f} of the operations of `cifar10-quick`, and {seconds:.2f} of its time."
    assert said in text
    step = json.loads(recipes.FILE.read_text())["SAM step / two passes"]["median"]
    assert f"A step of SAM takes {step:.2f} times two passes." in text
    for name, row in rows.items():
        curve = ", ".join(f"{100 * accuracy:.2f}" for accuracy in row["accuracy"])
        epoch = row["images"] * row["operations"] / 1e15
        assert f"| {name} | {epoch:.4f} | {curve} |" in text


def test_a_row_that_is_there_is_not_trained_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(recipes, "FILE", tmp_path / "recipes.json")
    monkeypatch.setattr(
        recipes, "recipes", lambda: {"one": SMALL, "other": dataclasses.replace(SMALL, epochs=1)}
    )
    recipes.main()
    before = json.loads(recipes.FILE.read_text())
    assert [len(row["accuracy"]) for row in before["rows"].values()] == [2, 1]
    assert {"images", "operations", "seconds"} <= before["rows"]["one"].keys()
    assert before["SAM step / two passes"]["median"] > 0
    monkeypatch.setattr(recipes, "curve", lambda *_, **__: pytest.fail("trained again"))
    recipes.main()
    assert (
        json.loads(recipes.FILE.read_text())["rows"]["other"]["accuracy"]
        == before["rows"]["other"]["accuracy"]
    )
    assert '"one"' in capsys.readouterr().out
