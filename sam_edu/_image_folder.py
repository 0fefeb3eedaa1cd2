"""Images in folders, one folder per class (torchvision's ImageFolder layout), read and written."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
#: folders that programs leave behind; like names that begin with a dot, they are no classes
_NO_CLASSES = ("__MACOSX", "__pycache__", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found")
BACKGROUND = "white"


def read_image_folder(root: Path) -> tuple[Tensor, Tensor, Tensor, Tensor, tuple[str, ...]]:
    """Read ``root/train/<class>/*`` and ``root/test/<class>/*``; all images must have one size.

    Three channels in any case. Grey levels of 8 and 16 bit are divided by 255 and 65535; numbers with a
    point must lie in [0, 1]; transparent images are shown on white, photographs upright. Hidden files and
    folders are left out, and files of other kinds are, with a warning. The images of each part come in a
    fixed random order: in the files' order the first thousand would all be of one class.

    Returns
    -------
    train_x, train_y, test_x, test_y, classes
        Images (n, channels, height, width), float32 in [0, 1]; labels (n,), int64.

    Raises
    ------
    FileNotFoundError
        If train/ or test/ is missing, or a class has no image.
    ValueError
        If the two have different classes or the images different sizes, or a file is damaged or its range
        is unknown; the message names the file.
    """
    parts, classes = list[Tensor](), list[str]()
    for part in ("train", "test"):
        if not (root / part).is_dir():
            raise FileNotFoundError(f"{root / part} is missing: expected {part}/<class>/<image>")
        found = _files(root / part)
        if part == "test" and list(found) != classes:  # else "dog" might be 1 here and 0 there
            raise ValueError(f"train has the classes {classes}, test {list(found)}; make them equal")
        classes = list(found)
        paths = [path for name in classes for path in found[name]]
        labels = torch.tensor([i for i, name in enumerate(classes) for _ in found[name]])
        order = torch.randperm(len(paths), generator=torch.Generator().manual_seed(0))
        parts += [_stacked(paths, order, root / part), labels[order]]
    return parts[0], parts[1], parts[2], parts[3], tuple(classes)


def write_jpegs(
    root: Path, parts: Mapping[str, tuple[Tensor, Tensor]], classes: Sequence[str], quality: int
) -> Path:
    """Images in [0, 1] and labels of each part as ``root/<part>/<class>/<number>.jpg``, all or nothing."""
    from PIL import Image

    if root.exists():
        raise FileExistsError(f"{root} exists: name a folder that is not there yet")
    made = root.with_name(f".{root.name}.{os.getpid()}")
    try:
        for part, (x, y) in parts.items():
            for label, name in enumerate(classes):
                (made / part / name).mkdir(parents=True)
                for number, image in enumerate(x[y == label]):
                    pixels = (255 * image).round().byte().permute(1, 2, 0).numpy()
                    file = made / part / name / f"{number:04d}.jpg"
                    Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(
                        file, quality=quality, subsampling="4:2:0"
                    )
        made.rename(root)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return root


def _files(folder: Path) -> dict[str, list[Path]]:
    """The images of each class, sorted; says what is left out."""
    found, left_out = dict[str, list[Path]](), list[str]()
    for path in sorted(folder.iterdir()):
        if _hidden(path.name):
            continue
        if not path.is_dir():
            left_out.append(path.name)
            continue
        found[path.name] = []
        for place, names in sorted(_places(path)):
            for name in sorted(n for n in names if not _hidden(n)):
                if name.lower().endswith(SUFFIXES):
                    found[path.name].append(Path(place, name))
                else:
                    left_out.append(f"{path.name}/{name}")
    empty = [name for name, paths in found.items() if not paths]
    if empty or not found:
        what = f"no image for the classes {', '.join(empty)}" if found else "no folder for a class"
        raise FileNotFoundError(f"{folder} has {what}: expected <class>/<image>, of {', '.join(SUFFIXES)}")
    if left_out:
        named = ", ".join(left_out[:3]) + (", ..." if len(left_out) > 3 else "")
        warnings.warn(
            f"{len(left_out)} of the files in {folder} are left out, not being <class>/<image> of "
            f"{', '.join(SUFFIXES)}: {named}",
            stacklevel=4,
        )
    return found


def _places(path: Path) -> Iterator[tuple[str, list[str]]]:
    """The folders in a class with the names of their files; each once, wherever links lead."""
    seen = {os.path.realpath(path)}
    for place, inner, names in os.walk(path, followlinks=True):
        yield place, names
        found = {name: os.path.realpath(Path(place, name)) for name in sorted(inner) if not _hidden(name)}
        inner.clear()
        for name, real in found.items():
            if real not in seen:
                inner.append(name)
                seen.add(real)


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in _NO_CLASSES or name.lower() in ("thumbs.db", "desktop.ini")


def _read(path: Path) -> np.ndarray:
    """One image, (height, width, 3), of bytes, or of numbers in [0, 1]."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            if (frames := getattr(image, "n_frames", 1)) > 1:
                raise ValueError(f"it has {frames} frames")
            image.load()
            return _pixels(image if image.mode[0] in "IF" else ImageOps.exif_transpose(image))
    except (OSError, SyntaxError, EOFError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be used: {error}; remove it, or save it as 8-bit RGB") from error


def _pixels(image: Any) -> np.ndarray:
    from PIL import Image

    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return _grey(np.asarray(image).astype(np.float32) / 65535)
    if image.mode == "F":
        values = np.asarray(image, np.float32)
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise ValueError(f"its numbers reach from {values.min():g} to {values.max():g}, expected [0, 1]")
        return _grey(values)
    if image.mode == "I":
        raise ValueError("it has 32 bits per pixel, whose range is not known")
    if image.has_transparency_data:
        whole = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", whole.size, BACKGROUND), whole)
    return np.asarray(image.convert("RGB"))


def _grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[:, :, None], 3, axis=2)


def _stacked(paths: list[Path], order: Tensor, part: Path) -> Tensor:
    """The images in this order, (n, 3, height, width): each goes to its place at once."""
    first = _read(paths[0]).shape
    whole = np.empty((len(paths), 3, *first[:2]), np.float32)
    for path, place in zip(paths, order.argsort().tolist(), strict=True):
        image = _read(path)
        if image.shape != first:
            pairs = ((first, paths[0]), (image.shape, path))
            sizes = " and ".join(f"{size[1]} x {size[0]} ({file})" for size, file in pairs)
            raise ValueError(f"the images in {part} differ in size: {sizes}; scale them to one size")
        whole[place] = (image / np.float32(255) if image.dtype == np.uint8 else image).transpose(2, 0, 1)
    return torch.from_numpy(whole)
