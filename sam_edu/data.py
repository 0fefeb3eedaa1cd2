"""Image data sets as tensors of pixels in [0, 1], with their provenance.

Nothing is fetched unless ``download=True``. Data are looked for in ``root``, in the folder that the
environment variable SAM_EDU_DATA names, in ``~/.cache/sam_edu`` and, for Fashion-MNIST, where
Debian's package ``dataset-fashion-mnist`` puts it.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from sam_edu import _check, _sources
from sam_edu._image_folder import read_image_folder, write_jpegs

NAMES = ("digits", "fashion-mnist", "cifar10", "cifar100", "cifar10-jpeg", "folder")
_AT_ONCE = 4096  # images whose bytes are summed together


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
    known = {"digits": tuple("0123456789"), "fashion-mnist": _sources.FASHION_CLASSES}
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
            for some in part.split(_AT_ONCE):  # two copies of all of CIFAR-10 would be a gigabyte
                if some.is_floating_point():
                    some = (some * 255).round().to(torch.uint8)
                digest.update(some.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def save_jpeg(self, folder: str | Path, quality: int = 75) -> Path:
        """Write all images as ``folder/train/<class>/<number>.jpg`` and ``folder/test/...``; returns folder.

        JPEG is lossy. ``load("cifar10").save_jpeg("data/cifar10-jpeg")`` makes a copy such as the one that
        the book's records of "cifar10-jpeg" come from, which ``load("cifar10-jpeg", "data")`` reads. Another
        program that writes JPEG makes other bytes, and the copy another checksum.

        Parameters
        ----------
        quality : int
            1 to 95, on Pillow's scale; colours are kept at half the resolution (4:2:0).

        Raises
        ------
        FileExistsError
            If the folder exists: nothing is mixed with what is in it.
        ValueError
            If quality is out of range.
        """
        quality = int(_check.number("quality", _check.integer("quality", quality), low=1, high=95))
        return write_jpegs(
            Path(folder).expanduser(),
            {"train": (self.train_x, self.train_y), "test": (self.test_x, self.test_y)},
            self.classes,
            quality,
        )

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
            test_x=self.test_x[:test].clone(),  # a view would keep the others in memory
            test_y=self.test_y[:test].clone(),
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
        return Dataset(name, *_sources.digits())
    if name == "folder":
        shelf = root or os.environ.get("SAM_EDU_DATA")
        if not shelf:
            raise ValueError(
                'data.load("folder") needs root=..., a folder with train/ and test/ inside; '
                'in a run (dataset="folder"), SAM_EDU_DATA names it'
            )
        folder = Path(shelf).expanduser()
        return Dataset(name, *read_image_folder(folder), f"images in the folder {folder.name}")
    if name == "cifar10-jpeg":
        return Dataset(name, *_sources.jpeg_copy(root))
    if name == "fashion-mnist" and not download and (found := _sources.fashion_from_idx(root)):
        return Dataset(name, *found)
    return Dataset(name, *_sources.from_torchvision(name, root, download))
