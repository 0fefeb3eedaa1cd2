"""Checks around an evaluation: is the model fit to be attacked, and is the attack the limit?"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sam_edu import attacks

PROBE = 200  # samples that the extra attacks behind the flags look at


def checked_logits(model: nn.Module, x: Tensor, y: Tensor, batch_size: int) -> Tensor:
    """Logits of all samples; raise unless they are finite, deterministic and fit the labels."""
    with torch.no_grad():
        logits = torch.cat([model(part) for part in x.split(batch_size)])
        again = model(x[:batch_size])
        single = torch.cat([model(image[None]) for image in x[:4]])
    if logits.dim() != 2 or int(y.max()) >= logits.shape[1] or int(y.min()) < 0:
        raise ValueError(
            f"the model returns logits of shape {tuple(logits.shape)}, labels run from "
            f"{int(y.min())} to {int(y.max())}; expected (n, classes)"
        )
    if not torch.isfinite(logits).all():
        raise ValueError("the model's logits contain NaN or infinity; did training diverge?")
    scale = logits.abs().amax().clamp_min(1e-12)
    if ((again - logits[:batch_size]).abs().amax() / scale > 1e-4
            or (single - logits[:4]).abs().amax() / scale > 1e-3):  # fmt: skip
        raise ValueError(
            "the model's logits change from call to call or with the batch; switch off randomness "
            "and batch statistics (eval mode) before evaluating"
        )
    return logits


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


def flags(model: nn.Module, x: Tensor, y: Tensor, logits: Tensor, eps: float, norm: str,
          seed: int) -> list[str]:  # fmt: skip
    """Signs of gradient masking or of an attack that is too weak, in words.

    Looks at up to 200 correctly classified samples; see Carlini et al. (2019) for the reasons.
    """
    found = []
    sums = logits.sum(1)
    if logits.amin() >= 0 and logits.amax() <= 1 and (sums - 1).abs().amax() < 1e-3:
        found.append("the outputs look like probabilities; attack logits, softmax hides gradients")
    right = (logits.argmax(1) == y).nonzero().squeeze(1)[:PROBE]
    if len(right) == 0 or eps == 0:
        return found
    x, y = x[right], y[right]
    zero = _zero_gradient_share(model, x, y)
    if zero > 0.01:
        found.append(f"the input gradient is exactly 0 on {zero:.0%} of the samples probed")

    def accuracy(attacked: Tensor) -> float:
        with torch.no_grad():
            return float((model(attacked).argmax(1) == y).double().mean())

    def pgd(radius: float, **settings: object) -> float:
        generator = torch.Generator(x.device).manual_seed(seed)
        return accuracy(attacks.pgd(model, x, y, radius, norm, 20, stop_when_fooled=True,
                                    generator=generator, **settings))  # type: ignore[arg-type]  # fmt: skip

    strong, one_step = pgd(eps), accuracy(attacks.fgsm(model, x, y, eps)) if norm == "linf" else 1.0
    if one_step < strong - 0.02:
        found.append(f"one step beats twenty: FGSM leaves {one_step:.0%}, PGD-20 {strong:.0%}")
    if one_step - strong > 0.3 and strong < 0.1 and norm == "linf":
        found.append(f"catastrophic overfitting: FGSM leaves {one_step:.0%}, PGD-20 {strong:.0%}")
    generator = torch.Generator(x.device).manual_seed(seed)
    noise = accuracy(attacks.Ball(norm, x, eps, (0.0, 1.0)).random_point(generator))
    if noise < min(strong, 0.98):
        found.append(f"random noise beats PGD-20: {noise:.0%} against {strong:.0%}")
    wide = 0.5 * (1 if norm == "linf" else x[0].numel() ** 0.5)
    survivors = min(pgd(wide), pgd(wide, loss="margin"))
    if survivors > 0.1:
        found.append(f"{survivors:.0%} survive an attack of eps = {wide:.3g}, which nothing should")
    return found


def _zero_gradient_share(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of samples whose cross-entropy has an input gradient of exactly 0."""
    inputs = x.detach().requires_grad_()
    loss = attacks.LOSSES["ce"](model(inputs), y).sum()
    gradient = torch.autograd.grad(loss, inputs, allow_unused=True)[0]
    if gradient is None:
        return 1.0
    return float((gradient.flatten(1).abs().amax(1) == 0).double().mean())
