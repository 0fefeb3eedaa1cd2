"""A data set as bytes that travel with the figure, and what the page must know of it."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from sam_edu.widgets.base import WidgetValueError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    Arrays = tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]

PLANE_NET: dict[str, Any] = {"hidden": [32, 32], "batch": 20}
IMAGE_NET: dict[str, Any] = {"hidden": [128, 128], "batch": 64}


def digits() -> Arrays:
    """scikit-learn's digits as the library loads them."""
    from sam_edu.data import load

    loaded = load("digits")
    return loaded.train_x.numpy(), loaded.train_y.numpy(), loaded.test_x.numpy(), loaded.test_y.numpy()


def packed(data: Arrays, box: tuple[float, float] | None) -> tuple[bytes, dict[str, Any], list[str]]:
    """Inputs and labels as zlib bytes, what the page must know of them, and the names of the classes.

    Inputs that are whole multiples of 1/16 or 1/255 travel as one byte each, others as float32.
    """
    if len(data) != 4:
        raise WidgetValueError(
            f"Playground: data must be (train_x, train_y, test_x, test_y), got {len(data)} parts"
        )
    train_x, test_x = (np.asarray(x, np.float32).reshape(len(x), -1) for x in (data[0], data[2]))  # type: ignore[arg-type]
    train_y, test_y = (np.asarray(y) for y in (data[1], data[3]))
    labels = np.concatenate([train_y, test_y])
    if train_x.shape[1] != test_x.shape[1] or len(train_x) != len(train_y) or len(test_x) != len(test_y):
        raise WidgetValueError(
            f"Playground: samples and labels do not fit: {train_x.shape} with {train_y.shape}, "
            f"{test_x.shape} with {test_y.shape}"
        )
    if (
        labels.dtype.kind not in "iu"
        or labels.min(initial=0) < 0
        or not 2 <= labels.max(initial=0) + 1 <= 100
    ):
        raise WidgetValueError(
            "Playground: labels must be whole numbers 0, 1, ..., at least two classes, at most 100"
        )
    x = np.concatenate([train_x, test_x])
    low, high = box or (-np.inf, np.inf)
    if not np.isfinite(x).all() or not (low <= x.min() and x.max() <= high):
        raise WidgetValueError(
            f"Playground: inputs must be finite and inside box = {box}; box=None sets no limits"
        )
    if not 1 <= x.shape[1] <= 1024 or len(x) > 20_000:
        raise WidgetValueError(
            f"Playground: at most 20000 samples of 1024 features, got {x.shape[0]} of {x.shape[1]}"
        )
    levels = next(
        (
            n
            for n in (16, 255)
            if x.min() >= 0 and x.max() <= 1 and np.array_equal(np.float32(x * n) % 1, 0 * x)
        ),
        0,
    )
    inputs = (x * levels).astype(np.uint8).tobytes() if levels else x.astype("<f4").tobytes()
    about = {
        "features": x.shape[1], "classes": int(labels.max()) + 1, "levels": levels, "train": len(train_x),
        "test": len(test_x), "box": None if box is None else [float(low), float(high)],
        **(PLANE_NET if x.shape[1] <= 8 else IMAGE_NET),
    }  # fmt: skip
    sent = zlib.compress(inputs + labels.astype(np.uint8).tobytes(), 9)
    return sent, about, [str(c) for c in range(about["classes"])]
