"""Measures of reliance on models whose reliance is known by construction."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from sam_edu import data, features, models


class Linear(nn.Module):
    """Two logits, 0 and w.x - b."""

    def __init__(self, w, b=0.0):
        super().__init__()
        self.w, self.b = w, b

    def forward(self, x):
        z = (x * self.w).flatten(1).sum(1) - self.b
        return torch.stack([torch.zeros_like(z), z], dim=1)


def noise(n=64, shape=(1, 8, 8), seed=0):
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("height, width", [(8, 8), (5, 7), (1, 4), (28, 28)])
def test_each_wave_has_unit_norm_and_one_frequency(height, width):
    waves = features.fourier_basis(height, width)
    assert waves.shape == (height, width, height, width)
    flat = waves.reshape(height * width, height * width)
    np.testing.assert_allclose(flat @ flat.T, np.eye(height * width), atol=1e-5)
    spectrum = np.abs(np.fft.fft2(waves.double().numpy()))
    for i in range(height):
        for j in range(width):
            found = {tuple(k) for k in np.argwhere(spectrum[i, j] > 1e-4)}
            k = ((i - height // 2) % height, (j - width // 2) % width)
            assert found == {k, (-k[0] % height, -k[1] % width)}


def test_a_model_that_sees_one_frequency_is_fooled_by_that_one():
    wave = features.fourier_basis(8, 8)[6, 5]
    x = noise()
    threshold = (x * wave).flatten(1).sum(1).median().item()
    model = Linear(wave, threshold)
    y = model(x).argmax(1)
    heat = features.fourier_map(model, x, y, size=5.0)
    assert heat[6, 5] > 0.3
    heat[6, 5] = 0
    assert heat.max() <= 0.05  # orthogonal waves do nothing, but for an image on the threshold
    assert features.fourier_map(model, x, y, size=0.0).max() == 0


def test_half_of_the_images_are_pushed_either_way():
    x = noise(400)
    model = Linear(torch.full((1, 8, 8), 1.0), 0.0)
    heat = features.fourier_map(model, x, torch.ones(400, dtype=torch.long), size=1e4)
    assert 0.4 < heat[4, 4] < 0.6
    assert torch.equal(heat, features.fourier_map(model, x, torch.ones(400, dtype=torch.long), size=1e4))


def test_rings_hold_their_frequencies():
    rows = torch.arange(8) - 4
    distance = torch.hypot(rows[:, None].float(), rows[None].float()).round()
    radii, means = features.by_frequency(distance)
    assert radii.tolist() == [0, 1, 2, 3, 4] and means.tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="height, width"):
        features.by_frequency(torch.zeros(3))


def test_alignment_of_linear_models_is_a_cosine():
    x, w = noise(), torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(1))
    predicts_1 = Linear(w, -1e3)
    expected = (x * w).flatten(1).sum(1).abs() / (x.flatten(1).norm(dim=1) * w.norm())
    torch.testing.assert_close(features.alignment(predicts_1, x), expected)
    assert features.alignment(Linear(w, 1e3), x).max() == 0  # the constant logit has no gradient
    means = torch.stack([torch.zeros(1, 8, 8), w])
    torch.testing.assert_close(features.mean_alignment(predicts_1, x, means), torch.ones(64))
    torch.testing.assert_close(features.mean_alignment(predicts_1, x, means.flip(0)), -torch.ones(64))
    with pytest.raises(ValueError, match="one image per class"):
        features.mean_alignment(predicts_1, x, means[:1])


def test_relabelled_images_stay_near_and_approach_their_targets():
    dataset = data.load("digits").subset(200, 50)
    model = models.build("mlp", dataset.shape, 10, seed=0)
    for norm, size in (
        ("l2", lambda t: t.flatten(1).norm(dim=1)),
        ("linf", lambda t: t.flatten(1).abs().amax(1)),
    ):
        moved, target = features.relabelled(model, dataset.train_x, 10, eps=0.3, norm=norm, seed=3)
        assert size(moved - dataset.train_x).max() <= 0.3 + 1e-6 and 0 <= moved.min() <= moved.max() <= 1
        with torch.no_grad():
            loss = [nn.functional.cross_entropy(model(x), target) for x in (dataset.train_x, moved)]
        assert loss[1] < loss[0] - 0.01
        assert target.bincount(minlength=10).min() > 5  # every class is drawn
    same, labels = features.relabelled(model, dataset.train_x, 10, eps=0.0, seed=3)
    assert torch.equal(same, dataset.train_x) and torch.equal(labels, target)


def test_a_fresh_model_learns_what_the_perturbation_plants():
    """All that the source model sees is one pixel; a linear model of its relabelled set finds that pixel."""
    w = torch.zeros(1, 8, 8)
    w[0, 2, 3] = 1.0
    moved, target = features.relabelled(Linear(w), noise(4000), 2, eps=0.2, seed=1)
    signed = (2.0 * target - 1)[:, None] * (moved - moved.mean(0)).flatten(1)
    assert signed.mean(0).argmax() == 2 * 8 + 3 and signed.mean(0)[19] > 5 * signed.mean(0).abs().median()


def test_modes_gradients_and_random_state_are_left_alone():
    model = models.build("cnn", (1, 8, 8), 10, seed=0)
    model.train()
    state, before = torch.get_rng_state(), {k: v.clone() for k, v in model.state_dict().items()}
    x, y = noise(20), torch.zeros(20, dtype=torch.long)
    features.fourier_map(model, x, y, 0.5)
    features.alignment(model, x)
    features.relabelled(model, x, 10, 0.1, steps=2)
    assert model.training and torch.equal(state, torch.get_rng_state())
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_bad_input_is_named():
    x, y, model = noise(4), torch.zeros(4, dtype=torch.long), Linear(torch.ones(1, 8, 8))
    for call, hint in (
        (lambda: features.fourier_map(model, x.flatten(1), y, 1.0), "images of shape"),
        (lambda: features.fourier_map(model, x, y, -1.0), "size"),
        (lambda: features.fourier_map(model, 255 * x, y, 1.0), r"\[0, 1\]"),
        (lambda: features.relabelled(model, x, 1, 0.1), "classes"),
        (lambda: features.relabelled(model, x, 2, math.nan), "eps"),
        (lambda: features.relabelled(model, x, 2, 0.1, norm="l1"), "norm"),
        (lambda: features.fourier_basis(0, 3), "height"),
    ):
        with pytest.raises(ValueError, match=hint) as error:
            call()
        assert "\n" not in str(error.value)
