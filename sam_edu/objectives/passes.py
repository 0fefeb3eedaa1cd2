"""Two passes, one step: what the second needs to be of the same function, and what a backward may not do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter

import torch
from torch import Tensor

from sam_edu.objectives.closures import Closure, evaluate
from sam_edu.objectives.randomness import RandomState
from sam_edu.objectives.state import After, State
from sam_edu.objectives.trained import VERSION

GRAD = attrgetter("grad")


class FirstPass:
    """Made before the first pass; ``end()`` after it; ``again()`` sets everything back for the second."""

    def __init__(self, state: State, params: Sequence[Tensor], closure: Closure) -> None:
        generators = state.watch(closure)
        self.state, self.before = state, state.before(params)
        self.random = RandomState(params, generators, state.devices)

    def end(self, moving: Iterable[Tensor] = (), again: bool = True) -> After:
        """What the first pass has left: the state after the step. ``moving`` are put back by others.

        With ``again`` the written weights go back at once, so that what is added to them stays.
        """
        after = self.state.after(self.before, moving)
        if again and self.before.weights.then:
            self.before.weights.rewind()
        return after

    def same_inputs(self) -> None:
        """What the first pass has changed of its batch goes back, for a further one."""
        if self.before.given is not None:
            self.before.given.rewind()

    def again(self) -> None:
        self.before.put()
        self.random.restore()


def forward(closure: Closure, params: Sequence[Tensor]) -> Tensor:
    """The closure's loss; one clear line where it has gone backward itself (with ``retain_graph=True``)."""
    held = list(map(GRAD, params))
    versions = {id(g): g._version for g in held if g is not None}
    loss = evaluate(closure)
    for g in map(GRAD, params):
        if g is not None and versions.get(id(g)) != g._version and _any(g):
            raise RuntimeError(
                "the closure has gone backward() itself, so its gradients would be added to the objective's: "
                "let it return the loss alone, objective.backward(closure) does the rest; a closure that "
                "goes backward is for SAMOptimizer.step(closure)"
            )
    return loss


def _any(g: Tensor) -> bool:
    """Whether an entry is not 0 (a closure that clears gradients does no harm)."""
    return bool((g.to_dense() if g.is_sparse else g).ne(0).any())


def gradient(loss: Tensor, params: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
    """``torch.autograd.grad``; None where the loss does not depend on a parameter."""
    try:
        return torch.autograd.grad(loss, params, allow_unused=True)
    except RuntimeError as error:
        _explain(error)
        raise


def descend(loss: Tensor) -> None:
    """``loss.backward()``."""
    try:
        loss.backward()
    except RuntimeError as error:
        _explain(error)
        raise


def _explain(error: RuntimeError) -> None:
    if "use_reentrant=True" in str(error) or "not compatible with .grad()" in str(error):
        raise RuntimeError(
            "a checkpoint with use_reentrant=True gives no gradient but by filling p.grad: pass "
            "use_reentrant=False to torch.utils.checkpoint.checkpoint (in transformers: "
            "gradient_checkpointing_kwargs), or use SAMOptimizer"
        ) from error
    if "backward through the graph a second time" in str(error):
        raise RuntimeError(
            "the loss goes backward through a graph a second time: the closure returns the loss and leaves "
            "backward() to the objective, and computes inside what depends on weights (or detaches it)"
        ) from error


class WeightsStay:
    """Notices that a backward pass has written the weights, which are elsewhere and will be put back."""

    def __init__(self, params: Sequence[Tensor], only_hooked: bool = False) -> None:
        self.params = params
        hooked = any([p._backward_hooks or p._post_accumulate_grad_hooks for p in params])
        self.versions = None if only_hooked else list(map(VERSION, params))
        self.copies = [p.detach().clone() for p in params] if hooked else []  # .data has no version

    def check(self) -> None:
        """Raise if they are no longer what they were."""
        written = self.versions is not None and self.versions != list(map(VERSION, self.params))
        if self.copies and not written:
            pairs = zip(self.params, self.copies, strict=False)
            written = any([bool(((p != copy) & (p == p)).any()) for p, copy in pairs])
        if written:
            raise RuntimeError(
                "an optimizer has stepped inside the backward pass (in a hook?), where the "
                "weights are not yet back from their climb: step after it; a step fused with "
                "the backward pass goes with ERM only"
            )


def no_steps_in_hooks(params: Sequence[Tensor], who: str) -> None:
    if any(p._post_accumulate_grad_hooks for p in params):
        raise RuntimeError(
            f"{who} adds to p.grad itself, hooks after its accumulation would never be "
            "called: do what they do after objective.backward(...)"
        )
