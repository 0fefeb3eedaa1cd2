"""Where the images of ``data.load`` come from: scikit-learn, torchvision, idx files, folders of images."""

from __future__ import annotations

import gzip
import importlib.util
import math
import os
import zlib
from pathlib import Path
from urllib.error import URLError

import numpy as np
import torch
from torch import Tensor

from sam_edu._image_folder import read_image_folder

# training images and labels, test images and labels, names of the classes, words for a caption
Source = tuple[Tensor, Tensor, Tensor, Tensor, tuple[str, ...], str]
_DEBIAN = Path("/usr/share/datasets/fashion-mnist")
_TORCHVISION = {"fashion-mnist": "FashionMNIST", "cifar10": "CIFAR10", "cifar100": "CIFAR100"}
FASHION_CLASSES = ("t-shirt", "trouser", "pullover", "dress", "coat",
                    "sandal", "shirt", "sneaker", "bag", "ankle boot")  # fmt: skip
_IDX = "{}-{}-idx{}-ubyte.gz"


def digits() -> Source:
    images, labels = _digits_of_scikit_learn()
    # One fixed random split: the file is ordered by writer, and its tail is a different population.
    order = np.random.default_rng(0).permutation(len(labels))
    x = torch.from_numpy(images[order].astype(np.float32) / 16).unsqueeze(1)
    y = torch.from_numpy(labels[order].astype(np.int64))
    about = "handwritten digits, 8x8 pixels, shipped with scikit-learn"
    return x[:-500], y[:-500], x[-500:], y[-500:], tuple("0123456789"), about


def _digits_of_scikit_learn() -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of ``load_digits``; its file is read without a second's import of scikit-learn."""
    package = importlib.util.find_spec("sklearn")
    path = Path(package.origin if package and package.origin else "").parent / "datasets/data/digits.csv.gz"
    if path.is_file():
        table = np.loadtxt(path, delimiter=",")
        return table[:, :-1].reshape(-1, 8, 8), table[:, -1]
    from sklearn.datasets import load_digits  # wherever this version keeps it; says it if it is missing

    bunch = load_digits()
    return bunch.images, bunch.target


def _roots(root: str | Path | None) -> list[Path]:
    """Folders to look in, the most specific first."""
    named = [root, os.environ.get("SAM_EDU_DATA"), Path.home() / ".cache" / "sam_edu"]
    return [Path(folder).expanduser() for folder in named if folder]


def from_torchvision(name: str, root: str | Path | None, download: bool) -> Source:
    from torchvision import datasets

    cls = getattr(datasets, _TORCHVISION[name])
    for folder in _roots(root)[:1] if download else _roots(root):
        try:
            train = cls(str(folder), train=True, download=download)
            test = cls(str(folder), train=False, download=download)
        except (RuntimeError, URLError):  # "Dataset not found or corrupted"; no network
            continue
        about = f"{_TORCHVISION[name]} as distributed by torchvision"
        return *_tensors(train), *_tensors(test), tuple(train.classes), about
    searched = ", ".join(str(folder) for folder in _roots(root))
    debian = "; on Debian, `apt-get install dataset-fashion-mnist`" if "fashion" in name else ""
    raise FileNotFoundError(
        f"{name} is not on this machine (looked in {searched}). With a network, "
        f"data.load({name!r}, download=True) fetches it{debian}; or put torchvision's files into a "
        "folder and name it in SAM_EDU_DATA"
    )


def _tensors(dataset) -> tuple[Tensor, Tensor]:  # type: ignore[no-untyped-def]
    """Images (n, h, w) or (n, h, w, c) of a torchvision data set as (n, c, h, w) in [0, 1]."""
    x = torch.as_tensor(dataset.data).float().div(255)
    x = x.unsqueeze(1) if x.dim() == 3 else x.permute(0, 3, 1, 2).contiguous()
    return x, torch.as_tensor(dataset.targets, dtype=torch.int64)


def fashion_from_idx(root: str | Path | None) -> Source | None:
    """Fashion-MNIST from its original files, where they are found."""
    places = [
        folder for folder in [*_roots(root), _DEBIAN] if (folder / _IDX.format("train", "images", 3)).exists()
    ]
    if not places:
        return None
    parts: list[Tensor] = []
    for part, n in (("train", 60_000), ("t10k", 10_000)):
        x = _read_idx(places[0] / _IDX.format(part, "images", 3), (n, 28, 28))
        y = _read_idx(places[0] / _IDX.format(part, "labels", 1), (n,))
        parts += [torch.from_numpy(x).float().div(255).unsqueeze(1), torch.from_numpy(y).long()]
    train_x, train_y, test_x, test_y = parts
    return train_x, train_y, test_x, test_y, FASHION_CLASSES, "Fashion-MNIST, original idx files"


def _read_idx(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read one gzipped idx file of bytes and make sure that it holds what it should."""
    try:
        raw = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is damaged ({error}); install or download it again") from None
    start = 4 + 4 * len(shape)
    expected = np.array([0x800 + len(shape), *shape], ">i4").tobytes()
    if raw[:start] != expected or len(raw) != start + math.prod(shape):
        raise ValueError(f"{path} does not hold bytes of shape {shape}; install or download it again")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape).copy()


def jpeg_copy(root: str | Path | None) -> Source:
    places = [folder / "cifar10-jpeg" for folder in _roots(root)]
    for folder in places:
        if (folder / "train").is_dir():
            return *read_image_folder(folder), "CIFAR-10, a lossy JPEG copy"
    raise FileNotFoundError(
        f"cifar10-jpeg is not on this machine (looked for {', '.join(map(str, places))}): put the images "
        "there as train/<class>/<image> and test/<class>/<image>, or name the folder above in SAM_EDU_DATA. "
        f"data.load('cifar10', download=True).save_jpeg('{places[-1]}') makes such a copy of the originals"
    )
