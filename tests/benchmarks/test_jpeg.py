"""What a file leaves of an attack: counted on the shipped digits network, and on a network that is blind."""

from __future__ import annotations

import json

import torch
from torch import nn

from benchmarks import jpeg
from book.tools import ROOT


def test_a_png_rounds_and_a_jpeg_loses():
    smooth = torch.linspace(0, 1, 3 * 16 * 16).reshape(1, 3, 16, 16)
    assert (jpeg.saved(smooth, "PNG") - smooth).abs().max() <= 0.5 / 255 + 1e-6
    noise = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert (jpeg.saved(noise, "JPEG") - noise).abs().max() > 20 / 255
    assert jpeg.saved(noise[:, :1], "PNG").shape == (2, 1, 16, 16)


def test_successes_are_counted_and_what_is_left_of_them():
    """The sign of the mean of a checkerboard: a JPEG discards the finest wave, and the attack with it."""
    torch.manual_seed(0)
    board = ((torch.arange(16)[:, None] + torch.arange(16)) % 2 * 2 - 1).float()
    model = nn.Sequential(nn.Flatten(), nn.Linear(256, 2, bias=False)).eval()
    with torch.no_grad():
        model[1].weight.copy_(torch.stack([board.flatten(), -board.flatten()]))
    x = (0.5 + 0.004 * board).expand(40, 1, 16, 16).contiguous()  # one level of 255, to the side of class 0
    found = jpeg.measure(model, x, torch.zeros(40, dtype=torch.long))
    assert found["attacks"]["2/255"]["won"] == found["attacks"]["2/255"]["PNG"] == 40
    assert found["images"] == 40 and found["attacks"]["8/255"]["JPEG"] <= 40


def test_the_readme_says_what_the_last_run_found():
    found = json.loads(jpeg.FILE.read_text())["2999c16aa7c9"]
    text = " ".join((ROOT / "benchmarks/README.md").read_text("utf-8").split())
    two, eight = found["attacks"]["2/255"], found["attacks"]["8/255"]
    assert f"{two['JPEG']} of {two['won']} attacks at 2/255 survive that" in text
    assert (
        f"and {eight['JPEG']} of {eight['won']} at 8/255" in text and f"{found['images']} test images" in text
    )
    assert (two["PNG"], eight["PNG"], found["levels"]) == (two["won"], eight["won"], 0)
