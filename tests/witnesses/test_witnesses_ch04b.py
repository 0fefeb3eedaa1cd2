"""Witness of page 4b: an attack in normalised units is the attack in pixels, radius and box converted."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sam_edu import attacks
from sam_edu.models import Normalized

MEAN, STD = [0.3, 0.5, 0.6], [0.2, 0.3, 0.6]


def case(seed: int) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """A small random network with a normalisation layer, and images of three channels."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Flatten(), nn.Linear(27, 16), nn.Tanh(), nn.Linear(16, 4))
    model = Normalized(net, MEAN, STD).double()
    x = torch.rand(20, 3, 3, 3, generator=generator, dtype=torch.float64)
    return model, x, torch.randint(0, 4, (20,), generator=generator)


def normalised(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return (x - model.mean) / model.std


def pixels(model: nn.Module, z: torch.Tensor) -> torch.Tensor:
    return z * model.std + model.mean


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.floats(0, 0.5), st.sampled_from([0, 1, 2]))
def test_prop_units_the_two_sets_are_one(seed, eps, channel):
    """Points drawn near the borders of both sets lie in both or in neither."""
    rng = np.random.default_rng(seed)
    mean, std = MEAN[channel], STD[channel]
    x = rng.uniform(size=400)
    moved = rng.choice([x - eps, x + eps, 0 * x, 0 * x + 1], axis=0) + rng.choice([-1e-6, 1e-6], 400)
    in_pixels = (abs(moved - x) <= eps) & (moved >= 0) & (moved <= 1)
    z, z_moved = (x - mean) / std, (moved - mean) / std
    inside = (z_moved >= -mean / std) & (z_moved <= (1 - mean) / std)
    assert ((abs(z_moved - z) <= eps / std) & inside == in_pixels).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 0.3))
def test_prop_units_pgd_visits_the_same_points(seed, eps):
    """PGD written in normalised units, radius and box per channel, against the library's in pixels."""
    model, x, y = case(seed)
    found = attacks.pgd(model, x, y, eps, steps=5, random_start=False)
    z = start = normalised(model, x)
    low, high = -model.mean / model.std, (1 - model.mean) / model.std
    for _ in range(5):
        leaf = z.detach().requires_grad_()
        loss = nn.functional.cross_entropy(model.net(leaf), y, reduction="sum")
        z = z + eps / 4 / model.std * torch.autograd.grad(loss, leaf)[0].sign()
        z = z.clamp(start - eps / model.std, start + eps / model.std).clamp(low, high)
    assert (pixels(model, z) - found).abs().max() < 1e-9


def test_prop_units_needs_the_radius_of_each_channel():
    """One radius for all channels of z is another set: too small in some pixels, too large in others."""
    model, x, y = case(1)
    inner = 0.4 + 0.2 * x  # away from the box, so that only the radius decides
    z = normalised(model, inner)
    moved = pixels(model, attacks.pgd(model.net, z, y, 0.1, random_start=False, clip=None))
    reach = (moved - inner).abs().amax((0, 2, 3))
    torch.testing.assert_close(reach, 0.1 * model.std.flatten(), rtol=0, atol=1e-9)


def test_prop_units_needs_the_box():
    """Without the box, black pixels become darker than black."""
    model, x, y = case(2)
    z = normalised(model, 0 * x)
    moved = pixels(model, attacks.pgd(model.net, z, y, 0.1, random_start=False, clip=None))
    assert moved.min() < -0.01


@pytest.mark.parametrize("seed", range(20))
def test_prop_units_the_two_sets_are_one_in_exact_fractions(seed):
    """Means, deviations and radii over many powers of ten; points on the borders and 1e-40 off them."""
    rng = np.random.default_rng(seed)
    mean, std, eps = (Fraction(float(10 ** rng.uniform(-9, top))) for top in (1, 6, 0.5))
    hair = Fraction(1, 10**40)
    for x in (Fraction(0), Fraction(1), Fraction(float(rng.uniform()))):
        z = (x - mean) / std
        for border in (x - eps, x + eps, Fraction(0), Fraction(1)):
            for moved in (border - hair, border, border + hair):
                in_pixels = abs(moved - x) <= eps and 0 <= moved <= 1
                there = (moved - mean) / std
                inside = abs(there - z) <= eps / std and -mean / std <= there <= (1 - mean) / std
                assert in_pixels == inside
