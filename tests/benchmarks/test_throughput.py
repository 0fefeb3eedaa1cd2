"""The benchmark of the data pipelines runs and says what it measured."""

from __future__ import annotations

from benchmarks import throughput


def test_both_pipelines_are_measured():
    found = throughput.measure(images=32, width=2, rounds=1)
    assert len(found) == 3 and all(a > 0 and b > 0 for a, b in found.values())
    lines = throughput.table(found).splitlines()
    assert len(lines) == 5 and lines[2].startswith("| sam_edu: one tensor | ")


def test_the_usual_pipeline_augments_and_keeps_the_range():
    import numpy as np
    import torch

    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    x, y = throughput.Images(pixels, torch.arange(4))[2]
    assert x.shape == (3, 32, 32) and 0 <= x.min() and x.max() <= 1 and int(y) == 2
