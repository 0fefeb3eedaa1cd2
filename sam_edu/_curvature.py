"""Second derivatives of a network: where torch has them, whether they are right, the largest eigenvalue."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def twice_differentiable(model: nn.Module) -> Iterator[None]:
    """Attention and recurrent layers by torch's own formulas: the fast kernels have no second derivative.

    Raises
    ------
    RuntimeError
        If a part of the model has none all the same.

    Examples
    --------
    >>> x = torch.rand(1, 2, 4, requires_grad=True)
    >>> layer = nn.MultiheadAttention(4, 1, batch_first=True)
    >>> with twice_differentiable(layer):
    ...     (g,) = torch.autograd.grad(layer(x, x, x)[0].pow(2).sum(), x, create_graph=True)
    ...     torch.autograd.grad(g.sum(), x)[0].shape
    torch.Size([1, 2, 4])
    """
    recurrent = any(isinstance(m, nn.RNNBase) for m in model.modules())
    slow = torch.backends.cudnn.flags(enabled=False) if recurrent else nullcontext()
    with sdpa_kernel(SDPBackend.MATH), slow:
        try:
            yield
        except RuntimeError as error:
            if "is not implemented" not in str(error) and "once_differentiable" not in str(error):
                raise
            raise RuntimeError(
                f"a part of the model has no second derivative in torch ({error}): use "
                "another kernel for it, or the sharpness in a ball"
            ) from error


def power_iteration(
    times: Callable[[Tensor], Tensor], like: Tensor, max_iterations: int, tol: float, seed: int
) -> tuple[float, float]:
    """v.Av and |Av| once v.Av has settled; they differ where v is not an eigenvector."""
    generator = torch.Generator().manual_seed(seed)
    v = torch.randn(len(like), generator=generator).to(like)
    v, before = v / v.norm(), torch.inf
    for _ in range(max_iterations):
        product = times(v)
        value, norm = float(v @ product), product.norm()
        if abs(value - before) <= tol * max(abs(value), 1e-12) or norm == 0:
            return value, float(norm)
        before = value
        v = product / norm
    raise RuntimeError(
        f"the top eigenvalue has not settled to {tol:g} in {max_iterations} iterations; "
        "raise max_iterations or tol"
    )


def warn_unless_symmetric(times: Callable[[Tensor], Tensor], like: Tensor) -> None:
    """|Hv|^2 is v.HHv, unless a part of the model keeps its own derivative from being differentiated.

    (torch.autograd.grad leaves such parts out without a word, ``once_differentiable`` ones, too.)
    """
    v = torch.randn(len(like), generator=torch.Generator().manual_seed(1)).to(like)
    along = times(v)
    square, product = float(along @ along), float(v @ times(along))
    if abs(square - product) > (0.02 + 4 * torch.finfo(like.dtype).eps ** 0.5) * square:
        warnings.warn(
            "the Hessian is not symmetric, so a part of the model has no second derivative (a custom "
            "autograd.Function, NumPy in a backward pass?): the eigenvalue is not that of the loss",
            RuntimeWarning,
            stacklevel=3,
        )
