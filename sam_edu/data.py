"""Image data sets as tensors of pixels in [0, 1], with their provenance.

Nothing is fetched unless ``download=True``. Data are looked for in ``root``, in the folder that the
environment variable SAM_EDU_DATA names, in ``~/.cache/sam_edu`` and, for Fashion-MNIST, where
Debian's package ``dataset-fashion-mnist`` puts it.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import math
import os
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.error import URLError

import numpy as np
import torch
from torch import Tensor

from sam_edu import _check
from sam_edu._image_folder import read_image_folder

NAMES = ("digits", "fashion-mnist", "cifar10", "cifar100", "cifar10-jpeg", "folder")
_DEBIAN = Path("/usr/share/datasets/fashion-mnist")
_TORCHVISION = {"fashion-mnist": "FashionMNIST", "cifar10": "CIFAR10", "cifar100": "CIFAR100"}
_FASHION_CLASSES = ("t-shirt", "trouser", "pullover", "dress", "coat",
                    "sandal", "shirt", "sneaker", "bag", "ankle boot")  # fmt: skip


def class_names(name: str) -> tuple[str, ...]:
    """Names of the classes of a data set that has fixed ones; they are known without the images.

    Raises
    ------
    ValueError
        If the names come with the files.

    Examples
    --------
    >>> class_names("fashion-mnist")[:3]
    ('t-shirt', 'trouser', 'pullover')
    """
    known = {"digits": tuple("0123456789"), "fashion-mnist": _FASHION_CLASSES}
    if name not in known:
        raise ValueError(f"the classes of {name!r} are named by its files: data.load({name!r}).classes")
    return known[name]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test images with labels.

    Attributes
    ----------
    train_x, test_x : Tensor
        Shape (n, channels, height, width), float32 in [0, 1].
    train_y, test_y : Tensor
        Shape (n,), int64.
    classes : tuple of str
    provenance : str
        Where the images come from, in words for a caption.
    validation_x, validation_y : Tensor or None
        Images that :meth:`subset` has set aside from training, to choose settings by.

    Examples
    --------
    >>> small = load("digits").subset(train=100, test=50)
    >>> len(small.train_x), small.classes[:3]
    (100, ('0', '1', '2'))
    """

    name: str
    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    classes: tuple[str, ...]
    provenance: str
    validation_x: Tensor | None = None
    validation_y: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return tuple(self.train_x.shape[1:])  # type: ignore[return-value]

    def checksum(self) -> str:
        """SHA-256 over all images (rounded to grey levels of 1/255) and labels, 16 hex digits."""
        digest = hashlib.sha256()
        for part in (self.train_x, self.train_y, self.test_x, self.test_y):
            if part.is_floating_point():
                part = (part * 255).round().to(torch.uint8)
            digest.update(part.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def subset(
        self, train: int | None = None, test: int | None = None, seed: int = 0, validation: int = 0
    ) -> Dataset:
        """The first ``test`` test images and ``train`` training images drawn without replacement.

        ``validation`` of the training images that were not drawn are kept, to choose settings by.
        """
        train = len(self.train_x) if train is None else _check.integer("train", train, low=1)
        test = len(self.test_x) if test is None else _check.integer("test", test, low=1)
        if train > len(self.train_x) or test > len(self.test_x):
            raise ValueError(
                f"{self.name} has {len(self.train_x)} training and {len(self.test_x)} test images; "
                f"asked for {train} and {test}"
            )
        if train + _check.integer("validation", validation, low=0) > len(self.train_x):
            raise ValueError(
                f"{self.name} has {len(self.train_x)} training images; asked for {train} to train on "
                f"and {validation} others to choose settings by"
            )
        if train == len(self.train_x):
            keep = torch.arange(train)
        else:
            generator = torch.Generator().manual_seed(seed)
            keep = torch.randperm(len(self.train_x), generator=generator)
        keep, aside = keep[:train], keep[train : train + validation]
        held = (self.train_x[aside], self.train_y[aside]) if validation else (None, None)
        return replace(
            self,
            train_x=self.train_x[keep],
            train_y=self.train_y[keep],
            test_x=self.test_x[:test],
            test_y=self.test_y[:test],
            validation_x=held[0],
            validation_y=held[1],
        )


def load(name: str, root: str | Path | None = None, download: bool = False) -> Dataset:
    """Load a data set by name.

    Parameters
    ----------
    name : {"digits", "fashion-mnist", "cifar10", "cifar100", "cifar10-jpeg", "folder"}
        "digits" ships with scikit-learn (8x8, 1797 images, 500 of them for testing). "folder" reads
        ``root/train/<class>/*`` and ``root/test/<class>/*`` (torchvision's ImageFolder layout; without
        ``root``, of the folder that SAM_EDU_DATA names);
        "cifar10-jpeg" does so in a folder of that name, for CIFAR-10 as image files.
    root : path, optional
        Where to look first.
    download : bool
        Let torchvision fetch the files into ``root`` (or ``~/.cache/sam_edu``).

    Raises
    ------
    ValueError
        If the name is unknown or files are damaged.
    FileNotFoundError
        If the data are not on this machine; the message says how to get them.

    Examples
    --------
    >>> digits = load("digits")
    >>> digits.shape, len(digits.train_x), len(digits.test_x)
    ((1, 8, 8), 1297, 500)
    >>> float(digits.train_x.min()), float(digits.train_x.max())
    (0.0, 1.0)
    """
    _check.choice("dataset", name, NAMES)
    if name == "digits":
        return _digits()
    if name == "folder":
        shelf = root or os.environ.get("SAM_EDU_DATA")
        if not shelf:
            raise ValueError(
                'data.load("folder") needs root=..., a folder with train/ and test/ inside; '
                'in a run (dataset="folder"), SAM_EDU_DATA names it'
            )
        folder = Path(shelf).expanduser()
        return _folder("folder", folder, f"images in the folder {folder.name}")
    if name == "cifar10-jpeg":
        return _jpeg_copy(root)
    if name == "fashion-mnist" and not download:
        for folder in [*_roots(root), _DEBIAN]:
            if (folder / "train-images-idx3-ubyte.gz").exists():
                return _fashion_from_idx(folder)
    return _from_torchvision(name, root, download)


def _digits() -> Dataset:
    images, labels = _digits_of_scikit_learn()
    # One fixed random split: the file is ordered by writer, and its tail is a different population.
    order = np.random.default_rng(0).permutation(len(labels))
    x = torch.from_numpy(images[order].astype(np.float32) / 16).unsqueeze(1)
    y = torch.from_numpy(labels[order].astype(np.int64))
    return Dataset(
        "digits",
        x[:-500],
        y[:-500],
        x[-500:],
        y[-500:],
        tuple("0123456789"),
        "handwritten digits, 8x8 pixels, shipped with scikit-learn",
    )


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


def _from_torchvision(name: str, root: str | Path | None, download: bool) -> Dataset:
    from torchvision import datasets

    cls = getattr(datasets, _TORCHVISION[name])
    for folder in _roots(root)[:1] if download else _roots(root):
        try:
            train = cls(str(folder), train=True, download=download)
            test = cls(str(folder), train=False, download=download)
        except (RuntimeError, URLError):  # "Dataset not found or corrupted"; no network
            continue
        return Dataset(
            name,
            *_tensors(train),
            *_tensors(test),
            tuple(train.classes),
            f"{_TORCHVISION[name]} as distributed by torchvision",
        )
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


def _fashion_from_idx(folder: Path) -> Dataset:
    parts: list[Tensor] = []
    for part, n in (("train", 60_000), ("t10k", 10_000)):
        x = _read_idx(folder / f"{part}-images-idx3-ubyte.gz", (n, 28, 28))
        y = _read_idx(folder / f"{part}-labels-idx1-ubyte.gz", (n,))
        parts += [torch.from_numpy(x).float().div(255).unsqueeze(1), torch.from_numpy(y).long()]
    train_x, train_y, test_x, test_y = parts
    return Dataset(
        "fashion-mnist",
        train_x,
        train_y,
        test_x,
        test_y,
        _FASHION_CLASSES,
        "Fashion-MNIST, original idx files",
    )


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


def _folder(name: str, folder: Path, provenance: str) -> Dataset:
    train_x, train_y, test_x, test_y, classes = read_image_folder(folder)
    return Dataset(name, train_x, train_y, test_x, test_y, classes, provenance)


def _jpeg_copy(root: str | Path | None) -> Dataset:
    places = [folder / "cifar10-jpeg" for folder in _roots(root)]
    for folder in places:
        if (folder / "train").is_dir():
            return _folder("cifar10-jpeg", folder, "CIFAR-10, a lossy JPEG copy")
    raise FileNotFoundError(
        f"cifar10-jpeg is not on this machine (looked for {', '.join(map(str, places))}): put the images "
        "there as train/<class>/<image> and test/<class>/<image>, or name the folder above in SAM_EDU_DATA"
    )
