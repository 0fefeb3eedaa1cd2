"""What must hold around an attack: the model in eval mode and given back as it was, inputs in their box."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

Model = Callable[[Tensor], Tensor]
Clip = tuple[float, float] | None
WITHOUT_A_SLOPE = (
    "the logits do not depend on x in a way that can be differentiated (rounding, argmax, no_grad, detach or "
    "numpy inside?); attack a differentiable twin of the model, then classify with this one"
)


@contextmanager
def eval_mode(model: Model) -> Iterator[None]:
    """Eval mode with gradients enabled; every submodule gets its own mode back, also on an error."""
    if not callable(model) or isinstance(model, type):
        raise TypeError(
            f"model must be a torch.nn.Module or a function that returns logits (n, classes), got "
            f"{'a class' if isinstance(model, type) else type(model).__name__}; of what is not torch "
            "(scikit-learn, ONNX) make a differentiable twin"
        )
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    training = [m for m in modules if getattr(m, "training", False)]  # frozen scripted modules have no mode
    if torch.is_inference_mode_enabled():
        raise RuntimeError("an attack needs gradients: call it outside torch.inference_mode()")
    try:
        for m in training:
            m.training = False
        with torch.enable_grad():
            yield
    finally:
        for m in training:
            m.training = True


def on_cpu() -> AbstractContextManager[Any]:
    """Tensors are made on the CPU, wherever ``torch.set_default_device`` puts them; free if that is there."""
    return nullcontext() if torch.get_default_device().type == "cpu" else torch.device("cpu")


def check_inputs(x: Tensor, y: Tensor, clip: Clip = (0.0, 1.0), hint: str = "") -> Tensor:
    """The labels as int64; raise with one clear line unless x is a finite batch inside ``clip`` that fits y.

    ``hint`` says what else the caller's reader can do about values outside of the box.
    """
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        raise TypeError(
            f"x and y must be torch tensors, got {type(x).__name__} and {type(y).__name__}; "
            "torch.as_tensor makes them from arrays and lists"
        )
    if not x.is_floating_point():
        raise ValueError(f"x must be a floating-point tensor, got {x.dtype}; divide images by 255")
    if x.dim() < 2 or y.shape != (len(x),) or y.is_floating_point() or y.is_complex():
        raise ValueError(
            f"x must have shape (n, ...) and y shape (n,) with whole-number classes, "
            f"got {tuple(x.shape)} and {tuple(y.shape)} of {y.dtype}"
        )
    if x.numel() == 0:
        return y.long()
    low, high = (value.item() for value in torch.aminmax(x.detach()))
    if not (abs(low) < float("inf") and abs(high) < float("inf")):  # false for NaN as well
        raise ValueError("x contains NaN or infinity; look at the data before attacking it")
    if clip is not None and (low < clip[0] - 1e-5 or high > clip[1] + 1e-5):
        raise ValueError(
            f"x must lie in [{clip[0]:g}, {clip[1]:g}], got [{low:.3g}, {high:.3g}]; put the "
            f"normalisation into the model (models.Normalized){hint}"
        )
    return y.long()


def check_logits(logits: Any, n: int) -> Tensor:
    """Return what a model returned for n inputs if it is rows of logits; one clear line otherwise."""
    if not isinstance(logits, Tensor):
        if type(logits).__module__ == "numpy":
            raise TypeError(
                f"the model returns an object of type {type(logits).__name__}, which is NumPy's and has no "
                "gradient; make a twin of torch operations that returns the logits, a tensor (n, classes)"
            )
        inside = f" of {len(logits)} entries" if isinstance(logits, tuple | list | dict) else ""
        raise TypeError(
            f"the model returns an object of type {type(logits).__name__}{inside}; it must return the logits "
            "alone, a tensor (n, classes): wrap it in a function that picks them out"
        )
    if logits.dim() != 2 or len(logits) != n or not logits.is_floating_point() or logits.shape[1] < 2:
        if not logits.is_floating_point() and len(logits) == n:
            raise ValueError(
                f"the model returns whole numbers ({logits.dtype}, shape {tuple(logits.shape)}), which have "
                "no slope; expected (n, classes) of floating-point numbers: the logits before an argmax"
            )
        one = "; from one logit z make two: torch.stack([-z, z], 1)" if logits[:1].numel() == 1 else ""
        raise ValueError(
            f"the model returns {logits.dtype} logits of shape {tuple(logits.shape)} for {n} inputs; "
            f"expected (n, classes) of floating-point numbers{one}"
        )
    return logits


def check_labels(y: Tensor, classes: int) -> None:
    """Raise unless every label is one of the classes."""
    low, high = (int(value) for value in torch.aminmax(y))
    if low < 0 or high >= classes:
        raise ValueError(
            f"the model returns logits for {classes} classes, labels run from {low} to {high}; "
            "expected (n, classes) with labels from 0 to classes - 1"
        )


def hits(logits: Tensor, y: Tensor) -> Tensor:
    """Which samples are classified right; a row with NaN is no answer, though ``argmax`` names its first."""
    return (logits.argmax(1) == y) & ~logits.isnan().any(1)


def unmasked(logits: Tensor) -> Tensor:
    """Logits with those of classes that are ruled out raised to the :func:`floor` of their row."""
    return torch.maximum(logits, floor(logits))


def floor(logits: Tensor) -> Tensor:
    """Below this number, (n, 1), a class counts as ruled out, by -1e9 there or by less a large number.

    Such logits say nothing about how large logits are, and ``z - 1e6`` is z to two digits. The floor lies a
    thousand times further below the highest logit of a row than two first classes usually lie apart.
    """
    top = logits.topk(2, dim=1).values
    lead = (top[:, 0] - top[:, 1]).median()
    return top[:, :1] - 1000 * (lead if lead > 0 else torch.inf)


def input_gradient(outputs: Tensor, x: Tensor, weights: Tensor) -> Tensor:
    """Gradient of the weighted sum of ``outputs``; one clear line where x does not reach them."""
    if outputs.requires_grad:
        try:
            gradient = torch.autograd.grad(outputs, x, weights, allow_unused=True)[0]
        except RuntimeError as error:
            if "use_reentrant=True" not in str(error) and "not compatible with .grad()" not in str(error):
                raise
            raise ValueError(
                "a checkpoint with use_reentrant=True gives no input gradient alone: pass "
                "use_reentrant=False to torch.utils.checkpoint.checkpoint"
            ) from error
        if gradient is not None:
            return gradient
    raise ValueError(WITHOUT_A_SLOPE)


def at_leaf(model: Model, leaf: Tensor) -> Tensor:
    """The model at a leaf of the graph; models whose first layer works in place get a copy."""
    try:
        return model(leaf)
    except RuntimeError as error:
        if "numpy() on Tensor that requires grad" in str(error):
            raise ValueError(WITHOUT_A_SLOPE) from error
        if "in-place" not in str(error):
            raise
        return model(leaf.clone())
