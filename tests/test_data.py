"""Data: what is loaded, what is checked, and what is said where nothing is found."""

from __future__ import annotations

import dataclasses
import gzip
import os
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch

from sam_edu import _sources, data


def one_line(error, *hints):
    message = str(error.value)
    assert "\n" not in message
    for hint in hints:
        assert hint in message, message


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """A machine without any data."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SAM_EDU_DATA", raising=False)
    monkeypatch.setattr(_sources, "_DEBIAN", tmp_path / "debian")
    return tmp_path


def check(d: data.Dataset) -> None:
    for x, y in ((d.train_x, d.train_y), (d.test_x, d.test_y)):
        assert x.dtype == torch.float32 and y.dtype == torch.int64
        assert x.shape == (len(y), *d.shape) and x.min() >= 0 and x.max() <= 1 and x.is_contiguous()
        assert y.min() >= 0 and y.max() < len(d.classes)
    assert d.provenance


# --- digits ---------------------------------------------------------------------------------------------


def test_digits():
    d = data.load("digits")
    check(d)
    assert d.shape == (1, 8, 8) and len(d.train_x) == 1297 and len(d.test_x) == 500
    assert d.train_x.max() == 1 and d.train_x.min() == 0 and set(d.test_y.tolist()) == set(range(10))
    assert d.checksum() == data.load("digits").checksum() == "dcf259943d265624"


def test_digits_are_scikit_learns_each_exactly_once():
    from sklearn.datasets import load_digits

    d, bunch = data.load("digits"), load_digits()
    x, y = torch.cat([d.train_x, d.test_x]), torch.cat([d.train_y, d.test_y])
    ours = sorted(zip((x * 16).round().to(torch.uint8).flatten(1).tolist(), y.tolist(), strict=True))
    theirs = sorted(zip(bunch.data.astype(np.uint8).tolist(), bunch.target.tolist(), strict=True))
    assert ours == theirs  # hence training and test images are disjoint


def test_digits_are_found_wherever_scikit_learn_keeps_them(monkeypatch):
    usual = data.load("digits").checksum()
    monkeypatch.setattr(_sources.importlib.util, "find_spec", lambda name: None)
    assert data.load("digits").checksum() == usual


def test_the_checksum_notices_one_grey_level_and_one_label():
    d = data.load("digits").subset(train=20, test=10)
    x, y = d.train_x.clone(), d.test_y.clone()
    x[3, 0, 4, 4] = 1 - x[3, 0, 4, 4]
    y[0] = (y[0] + 1) % 10
    sums = {
        d.checksum(),
        dataclasses.replace(d, train_x=x).checksum(),
        dataclasses.replace(d, test_y=y).checksum(),
    }
    assert len(sums) == 3


def test_subset():
    d = data.load("digits")
    small = d.subset(train=100, test=50, seed=1)
    check(small)
    assert len(small.train_x) == 100 and torch.equal(small.test_x, d.test_x[:50])
    assert small.checksum() == d.subset(train=100, test=50, seed=1).checksum()
    assert small.checksum() != d.subset(train=100, test=50, seed=2).checksum()
    everything = {tuple(row) for row in d.train_x.flatten(1).tolist()}
    assert all(tuple(row) in everything for row in small.train_x.flatten(1).tolist())
    assert d.subset().checksum() == d.checksum()


@pytest.mark.parametrize("sizes, hint", [({"train": 1298}, "has 1297 training and 500 test images"),
                                         ({"test": 501}, "asked for"), ({"train": 0}, "train must be >= 1"),
                                         ({"test": 2.5}, "whole number")])  # fmt: skip
def test_bad_subsets(sizes, hint):
    with pytest.raises((ValueError, TypeError)) as error:
        data.load("digits").subset(**sizes)
    one_line(error, hint)


# --- nothing there --------------------------------------------------------------------------------------


def test_unknown_name():
    with pytest.raises(ValueError) as error:
        data.load("mnist")
    one_line(error, "'digits'", "'fashion-mnist'", "'mnist'")


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10", "cifar100"])
def test_missing_data_say_what_to_do(name, nowhere):
    with pytest.raises(FileNotFoundError) as error:
        data.load(name)
    one_line(error, f"{name} is not on this machine", "download=True", "SAM_EDU_DATA", str(nowhere / "home"))
    assert ("apt-get install dataset-fashion-mnist" in str(error.value)) == (name == "fashion-mnist")
    assert not (nowhere / "home").exists()  # looking creates nothing


def test_the_named_folders_are_looked_in(nowhere, monkeypatch):
    monkeypatch.setenv("SAM_EDU_DATA", str(nowhere / "shelf"))
    with pytest.raises(FileNotFoundError) as error:
        data.load("cifar10", root=nowhere / "mine")
    one_line(error, str(nowhere / "mine"), str(nowhere / "shelf"))


@pytest.mark.parametrize(
    "failure", [urllib.error.URLError("no route to host"), RuntimeError("all mirrors failed")]
)
def test_no_network(nowhere, monkeypatch, failure):
    def offline(*_, **__):
        raise failure

    monkeypatch.setattr("torchvision.datasets.CIFAR10", offline)
    with pytest.raises(FileNotFoundError) as error:
        data.load("cifar10", download=True)
    one_line(error, "cifar10", "network", "SAM_EDU_DATA")


# --- Fashion-MNIST --------------------------------------------------------------------------------------


def idx(path: Path, array: np.ndarray, magic: int | None = None, cut: int = 0) -> None:
    header = np.array([magic or 0x800 + array.ndim, *array.shape], ">i4").tobytes()
    body = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(body[: len(body) - cut] if cut else body, 1))


@pytest.fixture
def tiny_fashion(nowhere, monkeypatch):
    """idx files of the right layout; the sizes are checked against 60 000 and 10 000 only in shape."""
    real = _sources._read_idx

    def few(path, shape):
        return real(path, ({60_000: 30, 10_000: 20}[shape[0]], *shape[1:]))

    monkeypatch.setattr(_sources, "_read_idx", few)
    rng, folder = np.random.default_rng(0), nowhere / "fashion"
    folder.mkdir()
    for part, n in (("train", 30), ("t10k", 20)):
        idx(folder / f"{part}-images-idx3-ubyte.gz", rng.integers(0, 256, (n, 28, 28)))
        idx(folder / f"{part}-labels-idx1-ubyte.gz", rng.integers(0, 10, n))
    return folder


@pytest.mark.parametrize("how", ["root", "SAM_EDU_DATA", "cache", "debian"])
def test_idx_files_are_found(tiny_fashion, how, monkeypatch, nowhere):
    if how == "SAM_EDU_DATA":
        monkeypatch.setenv("SAM_EDU_DATA", str(tiny_fashion))
    elif how == "cache":
        (nowhere / "home/.cache").mkdir(parents=True)
        (nowhere / "home/.cache/sam_edu").symlink_to(tiny_fashion)
    elif how == "debian":
        monkeypatch.setattr(_sources, "_DEBIAN", tiny_fashion)
    d = data.load("fashion-mnist", root=tiny_fashion if how == "root" else None)
    check(d)
    assert d.shape == (1, 28, 28) and len(d.train_x) == 30 and len(d.test_x) == 20 and len(d.classes) == 10


@pytest.mark.parametrize(
    "damage", ["not gzip", "cut gzip", "empty", "short header", "wrong magic", "wrong size", "short body"]
)
def test_damaged_idx_files_are_named(tiny_fashion, damage):
    path, zeros = tiny_fashion / "t10k-images-idx3-ubyte.gz", np.zeros((20, 28, 28))
    if damage == "not gzip":
        path.write_bytes(b"<html>404 not found</html>")
    elif damage == "cut gzip":
        path.write_bytes(path.read_bytes()[:2000])
    elif damage == "empty":
        path.write_bytes(gzip.compress(b""))
    elif damage == "short header":
        path.write_bytes(gzip.compress(b"\0\0\x08\x03\0\0"))
    elif damage == "wrong magic":
        idx(path, zeros, magic=0x801)
    elif damage == "wrong size":
        idx(path, zeros[:19])
    else:
        idx(path, zeros, cut=100)
    with pytest.raises(ValueError) as error:
        data.load("fashion-mnist", root=tiny_fashion)
    one_line(error, str(path))


def test_a_file_that_is_missing_is_named(tiny_fashion):
    (tiny_fashion / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        data.load("fashion-mnist", root=tiny_fashion)
    one_line(error, "t10k-labels-idx1-ubyte.gz")


def test_fashion_mnist_itself():
    try:
        d = data.load("fashion-mnist")
    except FileNotFoundError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("Fashion-MNIST is not on this machine")
    check(d)
    assert d.train_x.shape == (60_000, 1, 28, 28) and d.test_x.shape == (10_000, 1, 28, 28)
    assert torch.equal(d.train_y.bincount(), torch.full((10,), 6000))
    assert torch.equal(d.test_y.bincount(), torch.full((10,), 1000))
    # mean and standard deviation as published with the data
    assert float(d.train_x.mean()) == pytest.approx(0.2860, abs=1e-4)
    assert float(d.train_x.std()) == pytest.approx(0.3530, abs=1e-4)
    assert d.classes[int(d.test_y[0])] == "ankle boot"  # the first test image


# --- a folder of images ---------------------------------------------------------------------------------


def pictures(root, classes=("cat", "dog"), n=3, size=(6, 5), parts=("train", "test")):
    from PIL import Image

    rng = np.random.default_rng(0)
    for part in parts:
        for name in classes:
            (root / part / name).mkdir(parents=True)
            for i in range(n):
                pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{i}.png")
    return root


def test_folder(tmp_path):
    from PIL import Image

    d = data.load("folder", root=pictures(tmp_path))
    check(d)
    assert d.classes == ("cat", "dog") and d.shape == (3, 5, 6) and len(d.train_x) == 6
    for label, name in enumerate(d.classes):  # in a fixed random order, each image with its label
        files = [np.asarray(Image.open(tmp_path / f"train/{name}/{i}.png")) for i in range(3)]
        read = (d.train_x[d.train_y == label] * 255).round().byte().permute(0, 2, 3, 1).numpy()
        assert sorted(map(bytes, files)) == sorted(image.tobytes() for image in read)


def test_a_part_of_a_folder_has_all_classes(tmp_path):
    d = data.load("folder", root=pictures(tmp_path, n=40)).subset(test=40)
    assert 8 <= int(d.test_y.sum()) <= 32, "the first images would all be cats"


def test_cifar10_as_jpeg_files(tmp_path, monkeypatch):
    monkeypatch.setenv("SAM_EDU_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError) as missing:
        data.load("cifar10-jpeg")
    one_line(missing, "cifar10-jpeg", "SAM_EDU_DATA", str(tmp_path))
    pictures(tmp_path / "cifar10-jpeg")
    assert "lossy" in data.load("cifar10-jpeg").provenance


def test_a_jpeg_copy_is_made_and_read(tmp_path):
    from PIL import Image

    digits = data.load("digits").subset(train=100, test=100)
    folder = digits.save_jpeg(tmp_path / "cifar10-jpeg")
    copy = data.load("cifar10-jpeg", root=tmp_path)
    assert copy.classes == digits.classes and copy.shape == (3, 8, 8)
    for label in range(10):  # each file is near the image that it was made from, and in its place
        originals = digits.train_x[digits.train_y == label]
        assert (
            len(list((folder / f"train/{label}").iterdir()))
            == len(originals)
            == int((copy.train_y == label).sum())
        )
        for number, image in enumerate(originals):
            read = np.asarray(Image.open(folder / f"train/{label}/{number:04d}.jpg")) / 255
            assert 0 < np.abs(read - image[0].numpy()).mean() < 0.05
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cifar10-jpeg"]
    with pytest.raises(FileExistsError) as error:
        digits.save_jpeg(folder)
    one_line(error, "exists", "not there yet")
    for quality in (0, 96):
        with pytest.raises(ValueError, match="quality must be >= 1 and <= 95"):
            digits.save_jpeg(tmp_path / "other", quality)
    assert digits.save_jpeg(tmp_path / "small", 1).stat() and not (tmp_path / "other").exists()


def test_a_jpeg_copy_of_colours_has_the_colours(tmp_path):
    x = torch.zeros(4, 3, 16, 16)
    x[:2, 0], x[2:, 2] = 1.0, 1.0  # red and blue
    y = torch.tensor([0, 0, 1, 1])
    data.Dataset("toy", x, y, x, y, ("red", "blue"), "").save_jpeg(tmp_path / "cifar10-jpeg")
    read = data.load("cifar10-jpeg", root=tmp_path)
    assert read.classes == ("blue", "red")  # folders come by name
    means = {name: read.test_x[read.test_y == i].mean((0, 2, 3)) for i, name in enumerate(read.classes)}
    assert means["red"][0] > 0.98 and means["red"][2] < 0.02 and means["blue"][2] > 0.98


def test_folders_that_do_not_fit(tmp_path, monkeypatch):
    monkeypatch.delenv("SAM_EDU_DATA", raising=False)
    with pytest.raises(ValueError) as error:
        data.load("folder")
    one_line(error, "needs root=", "train/ and test/")
    with pytest.raises(FileNotFoundError) as missing:
        data.load("folder", root=pictures(tmp_path / "a", parts=("train",)))
    one_line(missing, "test is missing", "test/<class>/<image>")
    with pytest.raises(FileNotFoundError) as missing:
        data.load("folder", root=tmp_path / "absent")
    one_line(missing, "train is missing")
    mixed = pictures(tmp_path / "b", classes=("cat",))
    pictures(mixed, classes=("dog",), size=(9, 9))
    with pytest.raises(ValueError) as error:
        data.load("folder", root=mixed)
    one_line(error, "differ in size")


def test_a_test_folder_with_other_classes_is_not_silently_relabelled(tmp_path):
    pictures(tmp_path, classes=("cat", "dog"), parts=("train",))
    pictures(tmp_path, classes=("dog",), parts=("test",))
    with pytest.raises(ValueError) as error:
        data.load("folder", root=tmp_path)
    one_line(error, "cat", "train", "test")


def test_a_part_does_not_keep_the_whole_in_memory():
    small = data.load("digits").subset(10, 20, validation=5)
    for part in (small.train_x, small.test_x, small.test_y, small.validation_x):
        assert part.untyped_storage().nbytes() == part.nbytes


def test_a_checksum_is_that_of_all_bytes_in_their_order(monkeypatch):
    """However many images are summed together."""
    digits = data.load("digits").subset(100, 30)
    whole = digits.checksum()
    monkeypatch.setattr(data, "_AT_ONCE", 7)
    assert digits.checksum() == whole
