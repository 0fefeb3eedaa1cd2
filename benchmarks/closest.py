"""How robust can any classifier of these images be? The two closest images of different classes, exactly.

    python -m benchmarks.closest [digits | fashion-mnist]

Two images of different classes at a distance d in l-infinity share a point from eps = d / 2 on, and one of
the two answers there is wrong: from that radius no classifier is right on both under every attack. The
search is exact. A mean over a block of pixels differs by no more than the largest pixel does, so pairs whose
block means lie far apart are passed over without a look at their pixels. Fashion-MNIST, all 70,000 images
against each other, takes some minutes.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from sam_edu import data

_ROWS = 500  # images compared with all others at once


class Pair(NamedTuple):
    """The places of two images, the smaller one first, and the largest difference of a pixel in steps."""

    first: int
    second: int
    steps: int


def closest(images: Tensor, labels: Tensor, block: int) -> Pair:
    """The closest pair of different labels in l-infinity.

    Parameters
    ----------
    images : Tensor
        Shape (n, 1, height, width), whole numbers (grey levels), any dtype.
    labels : Tensor
        Shape (n,).
    block : int
        Side of the blocks whose means are compared first; it divides height and width.

    Raises
    ------
    ValueError
        If all labels are the same: no pair has different ones.
    """
    if len(labels.unique()) < 2:
        raise ValueError(f"all {len(labels)} labels are {labels[:1].tolist()}: a pair needs two classes")
    flat, means = images.flatten(1).short(), avg_pool2d(images.float(), block).flatten(1)
    best = Pair(0, 0, int(flat.max() - flat.min()) + 1)
    for start in range(0, len(flat), _ROWS):
        rows = slice(start, start + _ROWS)
        least = torch.cdist(means[rows], means[start:], p=torch.inf)
        least[labels[rows, None] == labels[None, start:]] = torch.inf
        i, j = (least < best.steps - 1e-3).nonzero(as_tuple=True)
        for part in least[i, j].argsort().split(20_000):  # the likeliest first
            if len(part) == 0 or least[i[part[0]], j[part[0]]] >= best.steps:
                break
            steps = (flat[start + i[part]] - flat[start + j[part]]).abs().amax(1)
            if int(steps.min()) < best.steps:
                k = part[steps.argmin()]
                best = Pair(*sorted((start + int(i[k]), start + int(j[k]))), int(steps.min()))
    return best


def main() -> None:
    """Search, and print the pair with what follows from it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="?", choices=("digits", "fashion-mnist"), default="fashion-mnist")
    name = parser.parse_args().name
    found, levels = data.load(name), 16 if name == "digits" else 255
    labels = torch.cat([found.train_y, found.test_y])
    images = (levels * torch.cat([found.train_x, found.test_x])).round()
    pair = closest(images, labels, block=2 if name == "digits" else 4)
    for where in pair[:2]:
        part, k = ("training", where) if where < len(found.train_y) else ("test", where - len(found.train_y))
        print(f"{part} image {k}: {found.classes[labels[where]]}")
    print(f"largest difference of a pixel: {pair.steps}/{levels}")
    print(f"no classifier is right on both from eps = {pair.steps / levels / 2:.4f} on")


if __name__ == "__main__":
    main()
