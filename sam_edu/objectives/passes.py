"""Two passes, one step: what the second needs to be of the same function, and what a backward may not do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager


import torch
from torch import Tensor

from sam_edu.objectives.closures import Closure
from sam_edu.objectives.randomness import RandomState
from sam_edu.objectives.reach import reached
from sam_edu.objectives.state import Kept, State


class FirstPass:
    """Made before the first pass; ``end()`` after it; ``again()`` sets everything back for the second."""

    def __init__(self, state: State, params: Sequence[Tensor], closure: Closure) -> None:
        modules, generators = reached(closure)
        state.add(modules)
        self.state, self.before = state, state.before()
        self.random = RandomState(params, [*generators, *state.generators])

    def end(self) -> Kept:
        """What the first pass has left: the state after the step."""
        return self.state.after(self.before)

    def again(self) -> None:
        self.before.put()
        self.random.restore()


def gradient(loss: Tensor, params: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
    """``torch.autograd.grad``; None where the loss does not depend on a parameter."""
    try:
        return torch.autograd.grad(loss, params, allow_unused=True)
    except RuntimeError as error:
        if "checkpoint" not in str(error).lower():
            raise
        raise RuntimeError(
            "a checkpoint with use_reentrant=True gives no gradient but by filling p.grad: pass "
            "use_reentrant=False to torch.utils.checkpoint.checkpoint (in transformers: "
            "gradient_checkpointing_kwargs), or use SAMOptimizer"
        ) from error


@contextmanager
def weights_stay(params: Sequence[Tensor]) -> Iterator[None]:
    """Raise if the backward pass inside writes the weights: they are elsewhere, and will be put back."""
    versions = [p._version for p in params]
    hooked = any([p._backward_hooks or p._post_accumulate_grad_hooks for p in params])
    copies = [p.detach().clone() for p in params] if hooked else []  # writes through .data have no version
    yield
    if versions != [p._version for p in params] or any(
        not torch.equal(p, was) and bool((p == p).all()) for p, was in zip(params, copies, strict=False)
    ):
        raise RuntimeError(
            "an optimizer has stepped inside the backward pass (in a hook?), where the weights are not yet "
            "back from their climb: step after objective.backward(...); a fused step goes with ERM only"
        )


def no_steps_in_hooks(params: Sequence[Tensor], who: str) -> None:
    if any(p._post_accumulate_grad_hooks for p in params):
        raise RuntimeError(f"{who} adds to p.grad itself, hooks after its accumulation would never be called: "
                           "do there, after objective.backward(...), what they do")  # fmt: skip


