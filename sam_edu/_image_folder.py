"""Images in folders, one folder per class (torchvision's ImageFolder layout), as tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def read_image_folder(root: Path) -> tuple[Tensor, Tensor, Tensor, Tensor, tuple[str, ...]]:
    """Read ``root/train/<class>/*`` and ``root/test/<class>/*``; all images must have one size.

    The images of each part come in a fixed random order: in the files' order the first thousand would
    all be of one class.

    Returns
    -------
    train_x, train_y, test_x, test_y, classes
        Images (n, channels, height, width), float32 in [0, 1]; labels (n,), int64.

    Raises
    ------
    FileNotFoundError
        If train/ or test/ is missing.
    ValueError
        If the two have different classes or the images different sizes.
    """
    from torchvision.datasets import ImageFolder

    parts, classes = list[Tensor](), list[str]()
    for part in ("train", "test"):
        if not (root / part).is_dir():
            raise FileNotFoundError(f"{root / part} is missing: expected {part}/<class>/<image>")
        folder = ImageFolder(str(root / part))
        if part == "test" and folder.classes != classes:  # else "dog" might be 1 here and 0 there
            raise ValueError(f"train has the classes {classes}, test {folder.classes}; make them equal")
        classes = folder.classes
        images = [np.asarray(image) for image, _ in folder]
        if len({image.shape for image in images}) != 1:
            raise ValueError(f"the images in {root / part} differ in size; scale them to one size")
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
        x = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
        parts += [x[order].float().div(255), torch.tensor(folder.targets)[order]]
    return parts[0], parts[1], parts[2], parts[3], tuple(classes)
