"""Checks around an evaluation: is the model fit to be attacked, and is the attack the limit?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from sam_edu import _border, _slope, attacks
from sam_edu._fit import Fitted
from sam_edu._guards import at_leaf, check_labels, floor, hits, input_gradient

BOX = (0.0, 1.0)  # of images
PROBE = 200  # samples that the extra attacks behind the flags look at
LINES_PROBE = 64  # and those on which gradients are compared with differences


def checked_logits(model: Fitted, x: Tensor, y: Tensor, batch_size: int, order: Tensor) -> Tensor:
    """Logits of all images; raise unless they are finite, the same twice, and fit the labels.

    All images are classified twice in the same batches; a few, the first in ``order``, also alone.
    """
    few = order[:4]
    with torch.no_grad():
        logits = torch.cat([model(part) for part in x.split(batch_size)])
        check_labels(y, logits.shape[1])
        if not torch.isfinite(logits).all():
            masked = not bool((logits.isnan() | (logits == torch.inf)).any())
            cause = (
                "are classes ruled out by -inf? Leave their columns out, or write a finite number there"
                if masked
                else "did training diverge?"
            )
            raise ValueError(f"the model's logits contain NaN or infinity; {cause}")
        again = torch.cat([model(part) for part in x.split(batch_size)])
        single = torch.cat([_alone(model, image[None]) for image in x[few]])
    # Only differences between logits mean anything; a common offset costs digits, nothing else.
    low = floor(logits)
    ruling = torch.maximum(logits, low)
    spread = float((ruling.double() - ruling.double().mean(1, keepdim=True)).abs().amax())
    half = model.dtype.itemsize < 4
    rounding = float(ruling.abs().amax()) * 8 * torch.finfo(model.dtype if half else torch.float32).eps
    second = float((torch.maximum(again, low) - ruling).abs().amax())
    lone = float((torch.maximum(single, low[few]) - ruling[few]).abs().amax())
    if not (second <= 1e-4 * spread + rounding and lone <= 1e-3 * spread + rounding):  # NaN is another answer
        raise ValueError(
            "the model's logits change from call to call or with the batch; switch off randomness "
            "and batch statistics (eval mode) before evaluating"
        )
    return logits


def _alone(model: nn.Module, image: Tensor) -> Tensor:
    try:
        return model(image)
    except Exception as error:
        raise ValueError(
            "the model takes the batch but not one image alone; an evaluation needs batches of any size "
            f"(was it exported or compiled for one size?): {type(error).__name__}"
        ) from error


def check_differentiable(model: Fitted, image: Tensor) -> None:
    """Raise at the door what the first attack would only find out later."""
    leaf = image.clone().requires_grad_()
    logits = at_leaf(model, leaf)
    input_gradient(logits, leaf, torch.ones_like(logits))


def inwards(model: Fitted, images: Tensor) -> float:
    """How far from 0 and 1 gradients must be taken: 0, unless they vanish just at the border."""
    return _border.width(BOX, model.dtype) if _border.vanishes(model, images, BOX, model.dtype) else 0.0


def check_in_ball(label: str, x: Tensor, attacked: Tensor, eps: float, norm: str) -> None:
    """Raise unless the attacked images are finite, in [0, 1] and within eps up to float rounding."""
    delta = (attacked.double() - x.double()).flatten(1)
    size = delta.abs().amax(1) if norm == "linf" else delta.norm(dim=1)
    # foreign attacks round x + delta once more: up to half an ulp of 1 per pixel
    rounding = 2**-23 * (1 if norm == "linf" else delta.shape[1] ** 0.5)
    ok = (size <= eps * (1 + 1e-6) + rounding) & torch.isfinite(attacked).flatten(1).all(1)
    inside = attacked.amin() >= 0 and attacked.amax() <= 1
    if not (ok.all() and inside):
        raise ValueError(
            f"{label} left its ball or the image range: {norm} distance up to {size.amax():.6g} "
            f"for eps = {eps:.6g}, pixels in [{attacked.amin():.4g}, {attacked.amax():.4g}]"
        )


def flags(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    logits: Tensor,
    eps: float,
    norm: str,
    seed: int,
    batch_size: int,
    order: Tensor,
) -> list[str]:
    """Signs of gradient masking or of an attack that is too weak, in words.

    Looks at up to 200 correctly classified samples, the first in ``order``; see Carlini et al. (2019).
    """
    found = []
    if _like_probabilities(logits):
        found.append("the outputs look like probabilities; attack logits, softmax hides gradients")
    right = probe(logits, y, order)
    if len(right) == 0 or eps == 0:
        return found
    x, y = x[right], y[right]
    parts = list(zip(x.split(batch_size), y.split(batch_size), strict=True))
    zero = sum(_zero_gradients(model, *part) for part in parts) / len(x)
    if zero > 0.01:
        found.append(f"the input gradient is exactly 0 on {zero:.0%} of the samples probed")

    def accuracy(
        attack: Callable[[Tensor, Tensor, torch.Generator], Tensor], besides: int | None = None
    ) -> float:
        held, tried = 0, 0
        for part, labels in parts:
            attacked = attack(part, labels, torch.Generator(x.device).manual_seed(seed))
            with torch.no_grad():
                survivors = hits(model(attacked), labels)
            counted = labels != besides if besides is not None else torch.ones_like(survivors)
            held, tried = held + int((survivors & counted).sum()), tried + int(counted.sum())
        return held / max(tried, 1)

    def pgd(radius: float, loss: str = "ce", besides: int | None = None) -> float:
        return accuracy(
            lambda part, labels, g: attacks.pgd(
                model, part, labels, radius, norm, 20, stop_when_fooled=True, generator=g, loss=loss
            ),
            besides,
        )

    strong, one_step = pgd(eps), 1.0
    if norm == "linf":
        one_step = accuracy(lambda part, labels, _: attacks.fgsm(model, part, labels, eps))
    if one_step < strong - 0.02:
        found.append(f"one step beats twenty: FGSM leaves {one_step:.0%}, PGD-20 {strong:.0%}")
    if one_step - strong > 0.3 and strong < 0.1 and norm == "linf":
        found.append(f"catastrophic overfitting: FGSM leaves {one_step:.0%}, PGD-20 {strong:.0%}")
    noise = accuracy(lambda part, _, g: attacks.Ball(norm, part, eps, (0.0, 1.0)).random_point(g))
    if noise < min(strong, 0.98):
        found.append(f"random noise beats PGD-20: {noise:.0%} against {strong:.0%}")
    wide = 0.5 * (1 if norm == "linf" else x[0].numel() ** 0.5)
    with torch.no_grad():  # plain grey lies within this radius of every image: only its own class can survive
        grey = int(model(torch.full_like(parts[0][0], 0.5)).argmax(1)[0])
    survivors = min(pgd(wide, besides=grey), pgd(wide, loss="margin", besides=grey))
    if survivors > 0.1:
        found.append(
            f"{survivors:.0%} survive an attack of eps = {wide:.3g}, though it reaches plain grey, which the "
            "model calls something else"
        )
    return found


def gradient_flags(
    model: Fitted,
    x: Tensor,
    y: Tensor,
    logits: Tensor,
    eps: float,
    norm: str,
    batch_size: int,
    order: Tensor,
    met: tuple[float, float] | None,
) -> list[str]:
    """Is the gradient finite, and is it the slope of the function? ``met``: what attacks saw on their way."""
    right = probe(logits, y, order)[:LINES_PROBE]
    if len(right) == 0 or eps == 0:
        return []
    seen = [_slope.measure(model, part, eps, norm) for part in x[right].split(batch_size)]
    spoiled, error = torch.cat([s.not_finite for s in seen]), torch.cat([s.error for s in seen])
    found, images = [], spoiled > 0
    if images.any():
        met = float(images.double().mean()), float(spoiled[images].mean())
    if met is not None:
        found.append(
            f"the input gradient is not finite on {met[0]:.0%} of the images, at {met[1]:.1%} of "
            "their pixels; attacks cannot follow it there"
        )
    finite = error[~images]
    if _slope.doubtful(finite):
        share = float((finite > _slope.DOUBT).double().sum()) / len(error)
        found.append(
            f"the input gradient is not the slope of the model on {share:.0%} of the images probed: "
            "differences along straight lines disagree with it, attacks go astray"
        )
    return found


def black_box_flags(radii: Iterable[Iterable[Any]], standing: int, n: int) -> list[str]:
    """``radii``: the results of the rungs at each. Without gradients little should be left to break."""
    most, worst = max(1, 0.005 * n), ""
    for rung in (rung for rungs in radii for rung in rungs):
        left = round(rung.accuracy * n)
        if "square" in rung.label.lower() and standing - left > most:
            most, worst = standing - left, rung.label
        standing = left
    if not worst:
        return []
    return [f"{worst}, which needs no gradient, breaks images that attacks with gradients left"]


def probe(logits: Tensor, y: Tensor, order: Tensor) -> Tensor:
    """Positions of up to 200 correctly classified samples, the first in ``order``."""
    return order[(logits.argmax(1) == y)[order]][:PROBE]


def _like_probabilities(logits: Tensor) -> bool:
    """Rows that sum to 1, or outputs between 0 and 1 that reach both ends (a sigmoid per class)."""
    low, high = float(logits.amin()), float(logits.amax())
    if low < 0 or high > 1:
        return False
    return bool((logits.sum(1) - 1).abs().amax() < 1e-3) or (low < 0.01 and high > 0.99)


def _zero_gradients(model: nn.Module, x: Tensor, y: Tensor) -> int:
    """How many samples have a cross-entropy whose input gradient is exactly 0."""
    inputs = x.detach().requires_grad_()
    losses = attacks.LOSSES["ce"](model(inputs), y)
    gradient = input_gradient(losses, inputs, torch.ones_like(losses))
    return int((gradient.flatten(1).abs().amax(1) == 0).sum())
