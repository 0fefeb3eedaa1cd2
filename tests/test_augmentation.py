"""Crops and mirror images: exactly those that are possible, all of them, repeatably."""

from __future__ import annotations

import torch
from torch.nn.functional import pad

from sam_edu.augmentation import Augmentation


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_flips_only():
    x = torch.rand(200, 3, 6, 5)
    out = Augmentation(pad=0, generator=generator())(x)
    same, mirrored = (out == x).flatten(1).all(1), (out == x.flip(3)).flatten(1).all(1)
    assert (same | mirrored).all() and not (same & mirrored).any()
    assert 70 <= int(mirrored.sum()) <= 130  # 4 standard deviations around 100


def test_every_image_is_one_of_its_crops_and_all_places_occur():
    x = torch.rand(600, 1, 4, 4)
    out = Augmentation(pad=1, flip=False, generator=generator())(x)
    padded, places = pad(x, [1] * 4), torch.zeros(3, 3, dtype=torch.long)
    hits = torch.zeros(len(x), dtype=torch.bool)
    for row in range(3):
        for column in range(3):
            here = (out == padded[:, :, row : row + 4, column : column + 4]).flatten(1).all(1)
            places[row, column], hits = here.sum(), hits | here
    assert hits.all()
    assert places.min() > 35  # expected 67 each


def test_the_batch_is_left_alone_and_the_global_random_state_too():
    x = torch.rand(8, 3, 5, 5)
    before, state = x.clone(), torch.get_rng_state()
    first, again = (Augmentation(2, generator=generator())(x) for _ in range(2))
    assert torch.equal(first, again) and torch.equal(x, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert first.is_contiguous(memory_format=torch.channels_last)
