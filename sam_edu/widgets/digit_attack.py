"""A real image under attack: pixels and class probabilities, computed once by the notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import traitlets
from numpy.typing import ArrayLike

from sam_edu.styles import COLOUR
from sam_edu.widgets.base import Explorer, Number, Whole, WidgetValueError, bundle

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class DigitAttackExplorer(Explorer):
    """One image, its perturbation and the attacked image, with the model's probabilities.

    Parameters
    ----------
    images : array_like, shape (n_images, n_models, n_eps, H, W)
        Attacked images in [0, 1]; those at ``eps_grid[0] = 0`` are the unchanged ones.
    probabilities : array_like, shape (n_images, n_models, n_eps, n_classes)
        What each model believes about them; each sums to 1.
    eps_grid : sequence of float
        Attack radii in pixel units, increasing from 0.
    labels : sequence of int
        True class of each image.
    model_names : sequence of str
    class_names : sequence of str, optional
        "0", "1", ... by default.
    eps, digit, model
        What to begin with: a radius of the grid, and indices.

    Raises
    ------
    WidgetValueError
        If shapes disagree, or pixels or probabilities lie outside [0, 1].
    """

    _esm = bundle("digit_attack.js")
    _shown: ClassVar[tuple[str, ...]] = ("eps", "digit", "model")

    images = traitlets.Bytes().tag(sync=True)
    probabilities = traitlets.Bytes().tag(sync=True)
    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    eps_grid = traitlets.List(traitlets.Float()).tag(sync=True)
    labels = traitlets.List(traitlets.Int()).tag(sync=True)
    model_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    class_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    eps = Number(0, 0, 1)
    digit = Whole(0, 0, 10_000)
    model = Whole(0, 0, 1000)

    def __init__(
        self,
        images: ArrayLike,
        probabilities: ArrayLike,
        eps_grid: ArrayLike,
        labels: ArrayLike,
        model_names: list[str],
        class_names: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        pixels, beliefs = _unit("images", images, 5), _unit("probabilities", probabilities, 4)
        grid = [float(e) for e in np.asarray(eps_grid, dtype=float)]
        truth = [int(y) for y in np.asarray(labels)]
        classes = list(class_names or map(str, range(beliefs.shape[-1])))
        _agree(pixels, beliefs, grid, truth, list(model_names), classes)
        super().__init__(
            images=pixels.tobytes(),
            probabilities=beliefs.tobytes(),
            shape=list(pixels.shape),
            eps_grid=grid,
            labels=truth,
            model_names=list(model_names),
            class_names=classes,
            **({"eps": grid[len(grid) // 2]} | kwargs),
        )

    @traitlets.validate("digit", "model")
    def _exists(self, proposal: Any) -> int:
        name = proposal["trait"].name
        known = self.labels if name == "digit" else self.model_names
        if known and proposal["value"] >= len(known):
            raise WidgetValueError(
                f"DigitAttackExplorer: {name} must be less than {len(known)}, got {proposal['value']!r}"
            )
        return int(proposal["value"])

    def draw_still(self, figure: Figure) -> None:
        pixels = np.frombuffer(self.images, dtype="<f4").reshape(self.shape)
        beliefs = np.frombuffer(self.probabilities, dtype="<f4")
        beliefs = beliefs.reshape(*self.shape[:3], -1)
        k = int(np.abs(np.array(self.eps_grid) - self.eps).argmin())
        clean, seen = pixels[self.digit, self.model, 0], pixels[self.digit, self.model, k]
        axes = figure.subplots(1, 4, width_ratios=[1, 1, 1, 1.6])
        pictures = (("image", clean), (f"attack, ε = {self.eps_grid[k]:g}", seen - clean))
        for ax, (name, picture) in zip(axes, (*pictures, ("attacked", seen)), strict=False):
            change = picture.min() < 0
            most = max(self.eps_grid[-1], 1e-9) if change else 1
            ax.imshow(picture, cmap="PuOr_r" if change else "Greys", vmin=-most * change, vmax=most)
            ax.set_title(name, fontsize=9)
            ax.set_xticks([])
            ax.set_yticks([])
        p = beliefs[self.digit, self.model, k]
        truth = self.labels[self.digit]
        colours = [COLOUR["SAM"] if c == truth else COLOUR["SGD"] for c in range(len(p))]
        axes[3].bar(range(len(p)), p, color=colours)
        axes[3].set(xticks=range(len(p)), ylim=(0, 1))
        axes[3].set_xticklabels([name[:4] for name in self.class_names], fontsize=7)
        axes[3].set_title(f"{self.model_names[self.model]}: probability", fontsize=9)


def _unit(name: str, value: ArrayLike, dimensions: int) -> np.ndarray:
    """``value`` as little-endian float32, checked to lie in [0, 1]."""
    array = np.ascontiguousarray(value, dtype="<f4")
    if array.ndim != dimensions:
        raise WidgetValueError(f"{name} must have {dimensions} axes, got shape {array.shape}")
    if not ((array >= -1e-6) & (array <= 1 + 1e-6)).all():  # NaN fails as well
        raise WidgetValueError(f"{name} must lie in [0, 1] and hold no NaN")
    return array


def _agree(
    pixels: np.ndarray,
    beliefs: np.ndarray,
    grid: list[float],
    labels: list[int],
    models: list[str],
    classes: list[str],
) -> None:
    wanted = (len(labels), len(models), len(grid))
    for name, array in (("images", pixels), ("probabilities", beliefs)):
        if array.shape[:3] != wanted:
            raise WidgetValueError(
                f"{name} must begin with (labels, models, eps_grid) = {wanted}, got {array.shape}"
            )
    if grid[0] != 0 or grid != sorted(set(grid)):
        raise WidgetValueError(f"eps_grid must increase from 0, got {grid}")
    if len(classes) != beliefs.shape[-1]:
        raise WidgetValueError(f"class_names must hold {beliefs.shape[-1]} names, got {classes}")
    if not all(0 <= y < len(classes) for y in labels):
        raise WidgetValueError(f"labels must be classes below {len(classes)}, got {labels}")
