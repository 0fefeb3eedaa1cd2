"""Every method of a run trains, and an interrupted run ends like one that was never interrupted."""

from __future__ import annotations

import pytest
import torch

from sam_edu import data
from sam_edu.experiments.config import METHODS, NEEDS, RunConfig
from sam_edu.experiments.state import Training

RADII = {"rho": 0.2, "eps": 0.05, "gamma": 0.01}


def config(method: str) -> RunConfig:
    radii = {name: value for name, value in RADII.items() if method in NEEDS[name]}
    return RunConfig(method=method, epochs=4, batch_size=32, attack_steps=2, augment="crop+flip", **radii)


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
