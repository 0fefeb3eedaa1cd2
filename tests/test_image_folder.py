"""What is read from a folder of images is what lies there, or the file is named."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from sam_edu import data

RAMP = np.linspace(0, 1, 64).reshape(8, 8)


def folder(root, name, image, classes=("cat", "dog"), parts=("train", "test")):
    for part in parts:
        for c in classes:
            (root / part / c).mkdir(parents=True, exist_ok=True)
            image.save(root / part / c / name)
    return root


def plain(root):
    return folder(root, "0.png", Image.fromarray(np.zeros((8, 8, 3), np.uint8)))


def load(root):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return data.load("folder", root=root)


@pytest.mark.parametrize(
    "name, make",
    [
        ("0.png", lambda r: Image.fromarray((r * 65535).astype(np.uint16))),
        ("0.tiff", lambda r: Image.fromarray((r * 65535).astype(np.uint16))),
        ("0.tiff", lambda r: Image.fromarray((r * 65535).astype(">u2"))),
        ("0.pgm", lambda r: Image.fromarray((r * 65535).astype(np.uint16))),
        ("0.tiff", lambda r: Image.fromarray(r.astype(np.float32))),
        ("0.png", lambda r: Image.fromarray((r * 255).astype(np.uint8))),
        ("0.webp", lambda r: Image.fromarray(np.repeat((r * 255).astype(np.uint8)[..., None], 3, 2))),
    ],
)
def test_grey_levels_of_any_depth_keep_their_places(tmp_path, name, make):
    kw = {"lossless": True} if name.endswith("webp") else {}
    for part in ("train", "test"):
        (tmp_path / part / "a").mkdir(parents=True)
        make(RAMP).save(tmp_path / part / "a" / name, **kw)
    x = load(tmp_path).train_x
    assert x.shape == (1, 3, 8, 8) and x.dtype == torch.float32 and x.is_contiguous()
    assert torch.allclose(x[0, 0], torch.from_numpy(RAMP).float(), atol=1 / 255)
    assert x.unique().numel() == 64


@pytest.mark.parametrize(
    "image, hint",
    [
        (Image.fromarray((RAMP * 3000).astype(np.int32)), "32 bits per pixel"),
        (Image.fromarray((RAMP * 255).astype(np.float32)), "expected [0, 1]"),
        (Image.fromarray(np.full((8, 8), np.nan, np.float32)), "expected [0, 1]"),
    ],
)
def test_an_unknown_range_is_refused_by_name(tmp_path, image, hint):
    with pytest.raises(ValueError) as error:
        load(folder(tmp_path, "x.tiff", image))
    assert hint in str(error.value) and "x.tiff" in str(error.value) and "\n" not in str(error.value)


def test_depths_may_be_mixed(tmp_path):
    plain(tmp_path)
    folder(tmp_path, "1.png", Image.fromarray((RAMP * 65535).astype(np.uint16)))
    x = load(tmp_path).train_x
    assert len(x) == 4 and sorted(round(float(i.mean()), 2) for i in x) == [0, 0, 0.5, 0.5]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB key"])
def test_transparent_pixels_are_white_not_what_is_hidden_under_them(tmp_path, mode):
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:4, :, 3] = 255  # the upper half is opaque and black
    image = Image.fromarray(pixels)
    if mode == "P":
        image = image.convert("RGBA").quantize(4)
    elif mode == "LA":
        image = image.convert("LA")
    elif mode == "RGB key":
        shown = np.zeros((8, 8, 3), np.uint8)
        shown[4:] = (1, 2, 3)
        image = Image.fromarray(shown)
        image.info["transparency"] = (1, 2, 3)
    for part in ("train", "test"):
        (tmp_path / part / "a").mkdir(parents=True)
        more = {"transparency": (1, 2, 3)} if mode == "RGB key" else {}
        image.save(tmp_path / part / "a" / "0.png", **more)
    x = load(tmp_path).train_x[0]
    assert x[:, :4].max() == 0 and x[:, 4:].min() == 1


def test_a_photograph_is_upright(tmp_path):
    pixels = np.zeros((6, 4, 3), np.uint8)
    pixels[0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees
    for part in ("train", "test"):
        (tmp_path / part / "a").mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / part / "a" / "0.png", exif=exif)
    x = load(tmp_path).train_x[0]
    assert x.shape == (3, 4, 6) and x[:, :, -1].min() == 1 and x[:, :, 0].max() == 0


@pytest.mark.parametrize("name", [".ipynb_checkpoints", ".cache", "__MACOSX", "@eaDir", ".Trash-1000"])
def test_hidden_folders_are_no_classes(tmp_path, name):
    plain(tmp_path)
    folder(tmp_path, "0.png", Image.fromarray(np.zeros((8, 8, 3), np.uint8)), classes=(name,))
    folder(tmp_path, "0.png", Image.fromarray(np.zeros((8, 8, 3), np.uint8)), classes=(f"cat/{name}",))
    (tmp_path / "train" / ".empty").mkdir()
    for hidden in ("._0.png", ".DS_Store", "Thumbs.db"):
        (tmp_path / "train" / "cat" / hidden).write_bytes(b"\0")
        (tmp_path / "train" / hidden).write_bytes(b"\0")
    d = load(tmp_path)
    assert d.classes == ("cat", "dog") and len(d.train_x) == 2


def test_nested_folders_belong_to_their_class(tmp_path):
    folder(plain(tmp_path), "1.png", Image.fromarray(np.zeros((8, 8, 3), np.uint8)), classes=("cat/more",))
    assert len(load(tmp_path).train_x) == 3


def test_links_that_lead_back_are_followed_once(tmp_path):
    cat = plain(tmp_path) / "train" / "cat"
    (cat / "again").symlink_to(cat)
    (cat / "up").symlink_to(tmp_path / "train")
    assert len(load(tmp_path).train_x) == 3  # by "up" come the dog and no cat once more


@pytest.mark.parametrize("name", ["1.gif", "notes.txt", "1.npy", "1.jp2"])
def test_files_that_are_left_out_are_said(tmp_path, name):
    plain(tmp_path)
    (tmp_path / "train" / "cat" / name).write_bytes(b"GIF89a")
    (tmp_path / "test" / "stray.png").write_bytes(b"")
    with pytest.warns(UserWarning, match="left out") as said:
        d = data.load("folder", root=tmp_path)
    assert len(d.train_x) == 2 and any(f"cat/{name}" in str(w.message) for w in said)
    assert any("stray.png" in str(w.message) for w in said)


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "frames"])
def test_damaged_files_are_named(tmp_path, damage):
    plain(tmp_path)
    path = tmp_path / "train" / "dog" / ("bad.webp" if damage == "frames" else "bad.jpg")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8))
    if damage == "cut":
        noise.save(path)
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "frames":
        noise.save(path, save_all=True, append_images=[noise.rotate(90)])
    else:
        path.write_bytes(b"" if damage == "empty" else b"<html>404</html>")
    with pytest.raises(ValueError) as error:
        load(tmp_path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_file_of_another_size_is_named(tmp_path):
    plain(tmp_path)
    Image.fromarray(np.zeros((9, 8, 3), np.uint8)).save(tmp_path / "train" / "dog" / "tall.png")
    with pytest.raises(ValueError, match=r"8 x 8 \(.*0.png\) and 8 x 9 \(.*tall.png\)"):
        load(tmp_path)


def test_classes_without_images(tmp_path):
    plain(tmp_path)
    (tmp_path / "train" / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no image for the classes empty"):
        load(tmp_path)


def test_the_folder_of_a_run_is_named_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    plain(tmp_path / "pictures")
    monkeypatch.setenv("SAM_EDU_DATA", "~/pictures")
    assert data.load("folder").checksum() == load(tmp_path / "pictures").checksum()
    monkeypatch.delenv("SAM_EDU_DATA")
    with pytest.raises(ValueError, match="SAM_EDU_DATA names it"):
        data.load("folder")
