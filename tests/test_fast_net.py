"""The fast network, its whitening, and the settings of a run that train it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from sam_edu import data, models, training
from sam_edu.experiments import RunConfig, protocols, records, run
from sam_edu.experiments.runner import _dataset
from sam_edu.experiments.state import Training
from sam_edu.fast_net import SMALLEST, FastNet

SETTINGS = {
    "dataset": "digits", "train_size": 96, "test_size": 40, "validation_size": 30, "model": "cnn",
    "epochs": 4, "batch_size": 32, "schedule": "triangle", "nesterov": True, "bias_lr": 4.0,
}  # fmt: skip


@pytest.fixture
def images():
    """Smooth images: white noise would need no whitening."""
    noise = torch.randn(300, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    smooth = torch.nn.functional.avg_pool2d(noise, 3, stride=1, padding=1)
    return (0.5 + 0.2 * smooth).clamp(0, 1)


def test_whitened_patches_are_uncorrelated_with_variance_one(images):
    model = FastNet(width=4).whiten(images, eps=0.0)
    with torch.no_grad():
        answers = model.first(images - model.mean).permute(0, 2, 3, 1).reshape(-1, 24)
    assert answers[:, :12].T.cov() == pytest.approx(torch.eye(12), abs=2e-3)
    assert torch.equal(answers[:, 12:], -answers[:, :12])
    assert np.allclose(model.mean.flatten(), images.mean((0, 2, 3)), atol=1e-6)


def test_whitening_looks_at_training_images_only(images):
    """Other test images, same filters: the network sees nothing of what judges it."""
    config = RunConfig(**{**SETTINGS, "model": "fast", "width": 4, "dataset": "digits"})
    whole = data.load("digits").subset(96, 40)
    enlarged = [torch.nn.functional.interpolate(x, size=12) for x in (whole.train_x, whole.test_x)]
    one = Training(config, replace(whole, train_x=enlarged[0], test_x=enlarged[1]))
    other = Training(config, replace(whole, train_x=enlarged[0], test_x=1 - enlarged[1]))
    assert torch.equal(one.net.first.weight, other.net.first.weight)
    assert not torch.equal(one.net.first.weight, FastNet(10, 4, 1).first.weight)


def test_only_the_whitening_filters_and_the_scales_of_batchnorm_are_frozen():
    frozen = {name for name, p in FastNet(width=4).named_parameters() if not p.requires_grad}
    assert "first.weight" in frozen and "first.bias" not in frozen
    assert len(frozen) == 1 + 6 and all(name.endswith("weight") for name in frozen)


def test_a_second_convolution_starts_as_the_identity():
    conv = FastNet(width=4).groups[0][5]
    x = torch.randn(2, 4, 6, 6)
    assert torch.equal(conv(x), x)


@pytest.mark.parametrize(("slip", "said"), [
    (lambda x: FastNet(classes=0), "classes must be >= 1"),
    (lambda x: FastNet(channels=2.5), "channels must be a whole number"),
    (lambda x: FastNet(width=4).whiten(x[:, :1]), r"\(n, 3, height, width\) expected, got \(300, 1"),
    (lambda x: FastNet(width=4)(x[:, :1]), r"\(n, 3, height, width\) expected, got \(300, 1, 20, 20\)"),
    (lambda x: FastNet(width=4)(x[0]), r"expected, got \(3, 20, 20\)"),
    (lambda x: FastNet(width=4).whiten(x, eps=-1), "eps must be >= 0"),
    (lambda x: FastNet(width=4).whiten(x[:0]), "images of finite numbers"),
    (lambda x: FastNet(width=4).whiten(x * float("nan")), "images of finite numbers"),
])  # fmt: skip
def test_what_does_not_fit_is_said_at_once(slip, said, images):
    with pytest.raises((ValueError, TypeError), match=said):
        slip(images)


def test_a_refused_whitening_changes_nothing(images):
    model = FastNet(width=4)
    before = {name: t.clone() for name, t in model.state_dict().items()}
    for given in (images[:, :1], images * float("nan")):
        with pytest.raises(ValueError, match="images of"):
            model.whiten(given)
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())


def test_nine_pixels_are_the_smallest_image():
    model = models.build("fast", (1, SMALLEST, SMALLEST), 3, width=2).eval()
    assert model(torch.rand(2, 1, SMALLEST, SMALLEST)).shape == (2, 3)
    with pytest.raises(ValueError, match="at least 9 x 9 pixels, got 8 x 32: choose 'cnn'"):
        models.build("fast", (1, 8, 32), 3)
    with pytest.raises(ValueError, match="at least 9 x 9 pixels, got 8 x 8"):
        run(RunConfig(model="fast", epochs=1))


def test_multiply_adds_of_the_half_width_network():
    """31 to 34 million an image: a quarter of the original's."""
    total = []

    def count(module, _, out):
        per_output = module.weight[0].numel() if isinstance(module, torch.nn.Conv2d) else module.in_features
        total.append(per_output * out[0].numel())

    model = FastNet(width=32).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.register_forward_hook(count)
    model(torch.rand(1, 3, 32, 32))
    assert 31e6 < sum(total) < 34e6


def test_the_triangle_rises_for_a_fifth_and_falls_to_nothing():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=2.0)
    schedule, rates = training.triangle_schedule(optimizer, steps=99), []
    for _ in range(99):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert max(rates) == pytest.approx(2.0) and rates.index(max(rates)) == 19
    assert rates[0] == pytest.approx(0.1) and rates[-1] == pytest.approx(2.0 * 0.01 / 0.8)
    assert np.allclose(np.diff(rates[:20]), 0.1) and np.allclose(np.diff(rates[20:]), -2.0 * 0.01 / 0.8)


def test_every_image_is_seen_both_ways_in_two_epochs(monkeypatch):
    config = RunConfig(
        dataset="digits",
        train_size=40,
        model="cnn",
        width=2,
        epochs=2,
        batch_size=40,
        augment="shift+alternate",
    )
    state, seen = Training(config, _dataset(config)), []
    state.augment = lambda batch: seen.append(batch.clone()) or batch
    state.train_epoch()
    state.train_epoch()
    first, second = (batch.flatten(1).tolist() for batch in seen)
    mirrored = [x.flip(2).flatten().tolist() for x in state.x]
    plain = [x.flatten().tolist() for x in state.x]
    for a, b in zip(plain, mirrored, strict=True):
        assert (a in first and b in second) or (b in first and a in second)
    assert 5 < sum(b in first for b in mirrored) < 35  # half of them, at random


def test_biases_move_faster_and_decay_as_much():
    config = RunConfig(**{**SETTINGS, "model": "cnn", "width": 2, "weight_decay": 1e-3})
    slow, fast = Training(config, _dataset(config)).optimizer.param_groups
    share = fast["lr"] / slow["lr"], fast["lr"] * fast["weight_decay"] / (slow["lr"] * slow["weight_decay"])
    assert share == pytest.approx((4.0, 1.0))
    assert {p.ndim for p in fast["params"]} == {1} and min(p.ndim for p in slow["params"]) > 1


def test_an_interrupted_run_goes_on_to_the_same_weights():
    config = RunConfig(**{**SETTINGS, "model": "cnn", "width": 2, "augment": "shift+alternate"})
    whole, first, second = (Training(config, _dataset(config)) for _ in range(3))
    for _ in range(4):
        whole.train_epoch()
    first.train_epoch()
    second.load(first.to_dict())
    for _ in range(3):
        second.train_epoch()
    for a, b in zip(whole.net.state_dict().values(), second.net.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert whole.optimizer.param_groups[0]["lr"] < 0.01 * config.lr


def test_validation_images_are_training_images_that_were_not_drawn():
    digits = data.load("digits")
    part = digits.subset(train=1000, test=10, validation=200)
    assert torch.equal(part.train_x, digits.subset(train=1000).train_x)  # as without it
    rows = {tuple(x.flatten().tolist()) for x in part.train_x}
    held = [tuple(x.flatten().tolist()) for x in part.validation_x]
    everything = {tuple(x.flatten().tolist()) for x in digits.train_x}
    assert not rows & set(held) and set(held) <= everything and len(part.validation_y) == 200
    with pytest.raises(ValueError, match="1297 training images; asked for 1200 to train on and 200 others"):
        digits.subset(train=1200, validation=200)


def test_a_record_holds_the_validation_and_the_clean_verdicts(tmp_path):
    config = RunConfig(**{**SETTINGS, "model": "cnn", "width": 2, "eval_linf": (0.05, 0.1)})
    choosing = replace(config, validation_linf=(0.05,))
    record = run(choosing, tmp_path)
    assert [entry.eps for entry in record.validation.at] == [0.05] and len(record.linf.at) == 2
    again = records.read(next(tmp_path.rglob("*.json")))
    assert again.validation.at[0].robust == record.validation.at[0].robust and again.validation.n == 30
    assert again.linf.clean == record.linf.clean and len(record.linf.clean) == 40
    assert np.mean(record.linf.clean) == pytest.approx(record.linf.clean_accuracy)
    robust = np.array(record.linf.at[0].robust)
    assert not (robust & ~np.array(record.linf.clean)).any()  # a robust image is a right one


def test_old_records_have_neither_and_stay_as_they_are():
    record = records.load_records(protocols.configs("digits-cnn", [0]))["SGD"]
    plain = record[0].to_dict()
    assert record[0].linf.clean is None and "clean" not in plain["linf"] and "validation" not in plain


@pytest.mark.parametrize(
    ("setting", "message"),
    [({"schedule": "cosine"}, "schedule"), ({"bias_lr": 0}, "bias_lr"), ({"attack_step": 0}, "attack_step"),
     ({"validation_size": -1}, "validation_size"), ({"validation_linf": (0.1,)}, "validation_size > 0"),
     ({"validation_linf": (-0.1,), "validation_size": 9}, "validation_linf")],
)  # fmt: skip
def test_settings_are_checked(setting, message):
    with pytest.raises(ValueError, match=message):
        RunConfig(**setting)


def test_the_training_is_another_one_but_the_evaluation_is_not():
    base = RunConfig(**protocols.CIFAR_FAST_BASE)
    assert replace(base, validation_size=500).training_id == base.training_id
    assert replace(base, validation_linf=()).training_id == base.training_id
    assert replace(base, schedule="steps").training_id != base.training_id


def test_autoattack_meets_the_networks_of_the_books_rows():
    attacked = protocols.configs("cifar10-fast-autoattack", [0])
    rows = protocols.configs("cifar10-fast-cpu", [0])
    for label, (config,) in attacked.items():
        (row,) = rows[label]
        assert config.training_id == row.training_id and config.run_id != row.run_id
        assert (config.ladder, config.test_size, config.eval_linf) == ("standard", 500, (2 / 255,))
    for label, (record,) in records.available(attacked).items():
        (row,) = records.load_records(rows[label])
        assert record.origin["weights"] == row.origin["weights"], label
        assert record.linf.clean == row.linf.clean[:500], label


def test_the_network_trains_in_half_precision_too():
    """On a GPU the protocol is float16's; bfloat16 takes the same road on a CPU."""
    config = RunConfig(**{
        **protocols.CIFAR_FAST_GPU_BASE, "dataset": "fashion-mnist", "train_size": 128, "validation_size": 0,
        "test_size": 20, "width": 4, "epochs": 3, "batch_size": 32, "precision": "bfloat16", "method": "sam",
        "rho": 0.1, "validation_linf": (), "eval_linf": (0.0,), "eval_l2": (),
    })  # fmt: skip
    record = run(config)
    assert record.curves[-1]["loss"] < record.curves[0]["loss"]


def test_a_cpu_spares_a_second_copy_of_the_images():
    digits = data.load("digits").subset(96, 10)
    state = Training(RunConfig(**{**SETTINGS, "validation_size": 0, "test_size": 10}), digits)
    assert torch.cuda.is_available() or state.x is digits.train_x
