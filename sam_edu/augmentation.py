"""Random crops and mirror images, for a whole batch at once on its own device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad


@dataclass(frozen=True, eq=False)
class Augmentation:
    """Random crops and mirror images of a whole batch at once, on the batch's device.

    Each image is padded by ``pad`` black pixels, cropped to its size at a random place and, with
    ``flip``, mirrored with probability 1/2.

    Examples
    --------
    >>> shift = Augmentation(pad=1, generator=torch.Generator().manual_seed(0))
    >>> shift(torch.rand(5, 3, 8, 8)).shape
    torch.Size([5, 3, 8, 8])
    """

    pad: int = 4
    flip: bool = True
    generator: torch.Generator | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Map images (n, c, h, w) to images of the same shape."""
        n, _, height, width = x.shape

        def draw(high: int, size: tuple[int, ...]) -> Tensor:
            return torch.randint(high, size, generator=self.generator, device=x.device)

        rows = torch.arange(height, device=x.device).expand(n, -1)
        columns = torch.arange(width, device=x.device).expand(n, -1)
        if self.flip:
            columns = torch.where(draw(2, (n, 1)) == 1, columns.flip(1), columns)
        if self.pad:
            x = pad(x, [self.pad] * 4)
            rows = rows + draw(2 * self.pad + 1, (n, 1))
            columns = columns + draw(2 * self.pad + 1, (n, 1))
        # channels last: one gather moves whole pixels
        pixels = x.permute(0, 2, 3, 1)[
            torch.arange(n, device=x.device)[:, None, None], rows[:, :, None], columns[:, None, :]
        ]
        return pixels.permute(0, 3, 1, 2)
