"""How much of an attack survives being saved as a JPEG.

    python -m benchmarks.jpeg RUN_ID --folder runs   adds to benchmarks/jpeg.json

The run's network is attacked on its test images by PGD-20; the images that it gets wrong are saved (as PNG,
and as JPEG of quality 75) and read again. Says how many of them still fool the network, and how far the JPEG
moves a clean image.
"""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from benchmarks.timing import about
from sam_edu import attacks
from sam_edu.experiments import verify

FILE = Path(__file__).with_name("jpeg.json")
RADII = (2, 8)  # of 255
BATCH = 64


def saved(images: Tensor, form: str) -> Tensor:
    """Images (n, c, h, w) in [0, 1] after being written as files of this form and read again."""
    back = []
    for image in (255 * images).round().byte().permute(0, 2, 3, 1).numpy():
        settings = {"quality": 75} if form == "JPEG" else {}
        Image.fromarray(image.squeeze()).save(file := io.BytesIO(), form, **settings)
        back.append(np.array(Image.open(file)).reshape(image.shape))
    return torch.from_numpy(np.stack(back)).permute(0, 3, 1, 2).float() / 255


def measure(model: nn.Module, x: Tensor, y: Tensor) -> dict[str, Any]:
    """Attacks that succeed at each radius, those left after each form of file, and what JPEG moves."""

    def right(images: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.cat([model(part).argmax(1) for part in images.split(BATCH)]) == y

    clean, found = right(x), {}
    for eps in RADII:
        parts = zip(x.split(BATCH), y.split(BATCH), strict=True)
        moved = torch.cat(
            [attacks.pgd(model, *part, eps / 255, steps=20, random_start=False) for part in parts]
        )
        won = clean & ~right(moved)
        left = {form: int((won & ~right(saved(moved, form))).sum()) for form in ("PNG", "JPEG")}
        found[f"{eps}/255"] = {"won": int(won.sum()), **left}
    again = saved(x, "JPEG")
    strongest = (255 * (again - x).abs()).flatten(1).amax(1)
    share = float((clean & right(again)).sum() / clean.sum())
    return {"images": len(x), "attacks": found, "levels": float(strongest.median()), "still right": share}


def main() -> None:
    """Measure one run and keep it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.jpeg", description=__doc__)
    parser.add_argument("run_id")
    parser.add_argument("--folder", help="record and weights; default: the book's")
    parser.add_argument("--images", type=int)
    options = parser.parse_args()
    torch.set_num_threads(1)
    record, dataset, model = verify.reopened(options.run_id, options.folder)
    x, y = dataset.test_x[: options.images], dataset.test_y[: options.images]
    found = {"dataset": record.config.dataset, "method": record.config.method, **measure(model, x, y)}
    print(json.dumps(found, indent=1))
    kept = json.loads(FILE.read_text()) if FILE.exists() else {}
    FILE.write_text(json.dumps({**kept, **about(), options.run_id: found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
