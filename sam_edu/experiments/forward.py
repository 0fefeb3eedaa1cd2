"""The network as training sees it: compiled, in mixed precision, shared by several processes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
#: Gradients with respect to pixels pass through float16 multiplied by this. Unscaled, most of them are
#: smaller than the smallest float16, and the attack would see zeros. (Weights have the GradScaler.)
INPUT_SCALE = 256.0


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
