"""The search for the closest images of two classes finds what comparing every pair finds."""

from __future__ import annotations

import pytest
import torch

from benchmarks import closest
from book.tools import ROOT
from sam_edu import data


@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_every_pair(seed, monkeypatch):
    monkeypatch.setattr(closest, "_ROWS", 37)
    draw = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (150, 1, 4, 4), generator=draw)
    labels = torch.randint(0, 3, (150,), generator=draw)
    apart = (images.flatten(1)[:, None] - images.flatten(1)).abs().amax(2)
    apart[labels[:, None] == labels] = 1000
    pair = closest.closest(images, labels, block=2)
    assert pair.steps == apart.min() == apart[pair.first, pair.second]
    assert labels[pair.first] != labels[pair.second] and pair.first < pair.second


def test_an_image_with_two_labels_is_found():
    images = torch.arange(20).reshape(5, 1, 2, 2)
    assert closest.closest(torch.cat([images, images[3:4]]), torch.tensor([0, 0, 0, 0, 0, 1]), 2) == (3, 5, 0)


def test_digits_are_seven_sixteenths_apart():
    digits = data.load("digits")
    images = (16 * torch.cat([digits.train_x, digits.test_x])).round()
    pair = closest.closest(images, torch.cat([digits.train_y, digits.test_y]), block=2)
    assert pair.steps == 7


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="two classes"):
        closest.closest(torch.zeros(3, 1, 2, 2), torch.zeros(3), 2)


def test_the_pair_of_fashion_mnist_is_as_far_apart_as_the_book_says():
    """The pair that the whole search finds (three minutes): no pixel differs by more than 81 levels."""
    try:
        fashion = data.load("fashion-mnist")
    except FileNotFoundError:
        pytest.skip("Fashion-MNIST is not on this machine")
    a, b = 28680, 37753
    steps = (255 * (fashion.train_x[a] - fashion.train_x[b]).abs()).round().max()
    names = {fashion.classes[int(fashion.train_y[k])] for k in (a, b)}
    assert steps == 81 and names == {"pullover", "coat"}
    page = (ROOT / "notebooks/05_adversarial_training.md").read_text(encoding="utf-8")
    assert "a pullover and a coat that are 81/255 apart" in page
