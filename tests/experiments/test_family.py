"""Every method of a run trains, and an interrupted run ends like one that was never interrupted."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from safetensors.torch import load_file

from sam_edu import data
from sam_edu.experiments import run
from sam_edu.experiments.allowed import METHODS, NEEDS
from sam_edu.experiments.config import RunConfig
from sam_edu.experiments.state import Training

RADII = {"rho": 0.2, "eps": 0.05, "gamma": 0.01}


def config(method: str) -> RunConfig:
    radii = {name: value for name, value in RADII.items() if method in NEEDS[name]}
    lr = 0.5 / RADII["gamma"] if method == "entropy-sgd" else 0.05  # its gradient contains gamma
    settings = {"epochs": 4, "batch_size": 32, "attack_steps": 2, "augment": "crop+flip"}
    return RunConfig(method=method, lr=lr, **settings, **radii)


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return data.load("digits").subset(320, 10)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_learns_and_goes_on_where_it_stopped(method, digits):
    torch.set_num_threads(1)
    whole = Training(config(method), digits)
    for _ in range(4):
        whole.train_epoch()
    first, second = Training(config(method), digits), Training(config(method), digits)
    for _ in range(2):
        first.train_epoch()
    second.load(first.to_dict())
    for _ in range(2):
        second.train_epoch()
    for a, b in zip(whole.net.parameters(), second.net.parameters(), strict=True):
        assert torch.equal(a, b)
    assert whole.curves[-1]["loss"] < whole.curves[0]["loss"]


SWA = RunConfig(
    method="swa",
    model="cnn",
    width=4,
    train_size=320,
    test_size=200,
    epochs=8,
    batch_size=32,
    lr=0.2,
    eval_linf=(0.05,),
)


def accuracy(net: torch.nn.Module, dataset: data.Dataset) -> float:
    with torch.no_grad():
        return (net.eval()(dataset.test_x).argmax(1) == dataset.test_y).double().mean().item()


def test_swa_ends_at_the_mean_of_the_late_weights_and_is_judged_there(tmp_path):
    torch.set_num_threads(1)
    dataset = data.load("digits").subset(SWA.train_size, SWA.test_size)
    state, late = Training(SWA, dataset), []
    for epoch in range(1, SWA.epochs + 1):
        state.train_epoch()
        assert state.optimizer.param_groups[0]["lr"] == SWA.lr, "the learning rate is constant"
        if epoch > 0.75 * SWA.epochs:
            late.append([p.detach().clone() for p in state.net.parameters()])
    assert len(late) == 2
    for mean, *each in zip(state.result.parameters(), *late, strict=True):
        torch.testing.assert_close(mean, sum(each) / 2)
    # BatchNorm's statistics are those at the mean: of the first layer, by hand
    convolution, batch_norm, *_ = state.result.children()
    expected = convolution(dataset.train_x).mean((0, 2, 3))
    torch.testing.assert_close(batch_norm.running_mean, expected, atol=1e-5, rtol=1e-5)
    record = run(SWA, tmp_path)
    saved = load_file(tmp_path / f"{SWA.run_id}.safetensors")
    for name, tensor in state.result.state_dict().items():
        assert torch.equal(saved[name], tensor), name
    assert record.clean_accuracy == pytest.approx(accuracy(state.result, dataset))
    assert record.clean_accuracy != pytest.approx(accuracy(state.net, dataset)), "else this test sees nothing"
    (tmp_path / f"{SWA.run_id}.json").unlink()  # only the record is lost: the kept weights are the average
    again = run(SWA, tmp_path)
    assert again.sharpness == record.sharpness and again.linf.at[0].robust == record.linf.at[0].robust


def test_swa_goes_on_in_the_middle_of_the_average(tmp_path):
    torch.set_num_threads(1)
    dataset = data.load("digits").subset(SWA.train_size, SWA.test_size)
    first, second = Training(SWA, dataset), Training(SWA, dataset)
    for _ in range(7):  # one epoch is in the average, one is missing
        first.train_epoch()
    second.load(copy.deepcopy(first.to_dict()))
    first.train_epoch()
    second.train_epoch()
    for name, tensor in first.result.state_dict().items():
        assert torch.equal(second.result.state_dict()[name], tensor), name


def test_a_run_of_one_epoch_has_an_average():
    state = Training(dataclasses.replace(SWA, epochs=1), data.load("digits").subset(320, 10))
    state.train_epoch()
    for mean, last in zip(state.result.parameters(), state.net.parameters(), strict=True):
        assert torch.equal(mean, last)


@pytest.mark.parametrize(
    "settings, hint",
    [
        ({"method": "entropy-sgd"}, "Entropy-SGD needs gamma > 0"),
        ({"method": "swa", "gamma": 0.1}, "gamma = 0"),
        ({"method": "swa", "rho": 0.1}, "rho = 0"),
        ({"method": "swa", "workers": 2, "sync": True}, "perturbs the weights"),
    ],
)
def test_a_setting_of_another_method_is_refused(settings, hint):
    with pytest.raises(ValueError, match=hint):
        RunConfig(**settings)
