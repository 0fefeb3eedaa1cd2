"""The network as training sees it: compiled, in mixed precision, shared by several processes."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
#: Gradients with respect to pixels pass through float16 multiplied by this. Unscaled, most of them are
#: smaller than the smallest float16, and the attack would see zeros. (Weights have the GradScaler.)
INPUT_SCALE = 256.0
#: Images times epochs from which on it matters how fast a CPU is in a precision.
MANY = 100_000


class Forward(nn.Module):
    """``net`` with its forward pass compiled, or in mixed precision; the weights stay float32.

    Parameters
    ----------
    net : torch.nn.Module
    precision : {"float32", "bfloat16", "float16"}
        Type of the matrix products and convolutions; logits come out as float32.
    compiled : bool
        Run ``torch.compile`` (worth it from some minutes of training on a GPU).
    """

    def __init__(self, net: nn.Module, precision: str = "float32", compiled: bool = False) -> None:
        super().__init__()
        self.net = net
        self.dtype = DTYPES[precision]
        # a plain attribute: the compiled module shares net's weights, which must not be listed twice
        self._call: tuple[Callable[[Tensor], Tensor]] = (torch.compile(net) if compiled else net,)

    def forward(self, x: Tensor) -> Tensor:
        (call,) = self._call
        if self.dtype == torch.float32:
            return call(x)
        attacked = x.requires_grad and self.dtype == torch.float16
        if attacked:
            x = x * 1.0
            x.register_hook(lambda g: g / INPUT_SCALE)
        with torch.autocast(x.device.type, self.dtype):
            logits = call(x).float()
        if attacked:
            logits.register_hook(lambda g: g * INPUT_SCALE)
        return logits


def warn_if_slower(precision: str, images: int) -> None:
    """Warn before ``images`` pass through a network on a CPU to which this precision costs more than float32.

    An AMD EPYC with instructions for bfloat16 took half the time of float32 in it. An Intel Xeon with the
    same instructions (AVX-512), and no matrix units, took a third more. A CPU without them takes many times
    as long.
    """
    if precision == "float32" or images < MANY:
        return
    float32, half = (_seconds(dtype) for dtype in (torch.float32, DTYPES[precision]))
    if half > 1.5 * float32:
        warnings.warn(
            f"{precision} makes the training slower on this CPU: a convolution takes {half / float32:.1f} "
            'times as long as in float32. Choose precision="float32" (the protocol "cifar10-fast-float32" '
            'has the rows of "cifar10-fast-cpu" in it), or a GPU',
            stacklevel=2,
        )


@torch.no_grad()
def _seconds(dtype: torch.dtype) -> float:
    """Of one convolution: the best of three calls, after one that prepares."""
    layout, times = torch.channels_last, []  # ones, since random numbers would shift the seeds of a run
    x, filters = torch.ones(32, 32, 32, 32), torch.ones(32, 32, 3, 3)
    x, filters = x.to(dtype, memory_format=layout), filters.to(dtype, memory_format=layout)
    for _ in range(4):
        started = time.perf_counter()
        conv2d(x, filters, padding=1)
        times.append(time.perf_counter() - started)
    return min(times[1:])
