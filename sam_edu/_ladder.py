"""The rungs of the evaluation: attacks of growing strength, ours and other people's.

A rung is called as ``rung(model, x, y, eps)`` and returns attacked inputs. Foreign attacks seed torch's
global generators; they run inside ``fork_rng`` so that nothing outside notices.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sam_edu import attacks
from sam_edu._fit import Scaled
from sam_edu._square import square

LADDERS = ("quick", "standard")
QUERIES = 100  # of the rung without gradients
_FOREIGN_NORM = {"linf": "Linf", "l2": "L2"}


@dataclass(frozen=True)
class Rung:
    """One attack with the label that stands in the record: name, steps, restarts, targets."""

    label: str
    attack: Callable[[nn.Module, Tensor, Tensor, float], Tensor]


def build(ladder: str, norm: str, classes: int, seed: int, factor: float = 1.0) -> list[Rung]:
    """The attacks of a ladder.

    "quick": FGSM, PGD-20, PGD-20 on the margin, APGD-CE-20, APGD-T-20 (needs four classes; with fewer,
    APGD-CE-20 on logits times ``factor``), and a short Square attack, which needs no gradient.
    "standard": the same with five restarts of PGD and, in place of Square, the four parts of the official
    AutoAttack.
    """
    restarts = 5 if ladder == "standard" else 1
    rungs = [] if norm == "l2" else [Rung("FGSM", _own(seed, norm, steps=1, one_step=True))]
    for loss in ("ce", "margin"):
        label = "PGD-20" + (" margin" if loss == "margin" else "")
        label += f" x{restarts}" if restarts > 1 else ""
        rungs.append(Rung(label, _own(seed, norm, steps=20, restarts=restarts, loss=loss)))
    rungs.append(Rung("APGD-CE-20", _apgd_ce(norm, 20, seed)))
    if classes >= 4:
        targets = min(9, classes - 1)
        rungs.append(Rung(f"APGD-T-20 ({targets} targets)", _apgd_t(norm, 20, targets, seed)))
    else:  # the losses of APGD-T do not depend on the scale of the logits; this one need not either
        rungs.append(Rung("APGD-CE-20 scaled", _apgd_ce(norm, 20, seed, factor)))
    if ladder == "quick":  # the official one, below, has 5000 queries
        rungs.append(Rung(f"Square ({QUERIES} queries)", _square(norm, QUERIES, seed)))
    else:
        parts = ["apgd-ce", "apgd-t", "fab-t", "square"] if classes >= 4 else ["apgd-ce", "square"]
        rungs += [_autoattack(part, norm, classes, seed) for part in parts]
    return rungs


def scale(logits: Tensor) -> float:
    """The power of two that brings the median margin between the two likeliest classes near 1."""
    top = logits.double().topk(2, dim=1).values
    margin = float((top[:, 0] - top[:, 1]).median())
    return 2.0 ** -round(min(max(math.log2(margin), -100), 100)) if margin > 0 else 1.0


def _own(seed: int, norm: str, steps: int, one_step: bool = False, **settings: Any):  # type: ignore[no-untyped-def]
    def run(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        if one_step:
            return attacks.fgsm(model, x, y, eps)
        generator = torch.Generator(x.device).manual_seed(seed)
        return attacks.pgd(
            model, x, y, eps, norm, steps, stop_when_fooled=True, generator=generator, **settings
        )

    return run


def _square(norm: str, queries: int, seed: int):  # type: ignore[no-untyped-def]
    def run(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        return square(model, x, y, eps, norm, queries, torch.Generator(x.device).manual_seed(seed))

    return run


def _apgd_ce(norm: str, steps: int, seed: int, factor: float = 1.0):  # type: ignore[no-untyped-def]
    def run(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        apgd = _lean().APGD(Scaled(model, factor), _FOREIGN_NORM[norm], eps, steps, seed=seed)
        return _quietly(lambda: apgd(x, y))

    return run


def _apgd_t(norm: str, steps: int, targets: int, seed: int):  # type: ignore[no-untyped-def]
    def run(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        if norm == "linf":
            apgd = _lean().APGDT(model, "Linf", eps, steps, seed=seed, n_classes=targets + 1)
            return _quietly(lambda: apgd(x, y))
        # torchattacks 3.5.1 gives every sample of an l2 batch the first sample's step size
        official = _official().autopgd_base.APGDAttack_targeted(
            Scaled(model),
            n_iter=steps,
            norm="L2",
            eps=eps,
            seed=seed,
            n_target_classes=targets,
            device=x.device,
        )
        return _quietly(lambda: official.perturb(x, y))

    return run


def _autoattack(part: str, norm: str, classes: int, seed: int) -> Rung:
    """One part of the official AutoAttack (Croce, Hein, ICML 2020, arXiv 2003.01690), 100 steps."""

    def run(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
        if part == "square" and norm == "l2" and min(x.shape[2:]) < 5:  # theirs divides by a fifth of it
            return square(model, x, y, eps, norm, 5000, torch.Generator(x.device).manual_seed(seed))
        scaled = Scaled(model) if part.startswith("apgd") else model  # FAB needs the slopes themselves
        whole = _official().AutoAttack(scaled, norm=_FOREIGN_NORM[norm], eps=eps, seed=seed, device=x.device)
        whole.attacks_to_run, whole.verbose = [part], False
        _lean_loops(whole)
        targets = min(9, classes - 1)
        whole.apgd_targeted.n_target_classes = whole.fab.n_target_classes = targets
        return _quietly(lambda: whole.run_standard_evaluation(x, y, batch_size=len(x))[0])

    steps = "5000 queries" if part == "square" else "100 steps"
    return Rung(f"AutoAttack {part.upper()} ({steps})", run)


def _lean_loops(whole: Any) -> None:
    """The parts that take longest keep their settings and get the loops of classes derived from theirs."""
    from sam_edu import _fab, _search

    whole.fab.__class__, whole.square.__class__ = _fab.FABT, _search.Square


def _quietly(attack: Callable[[], Tensor]) -> Tensor:
    """Run a foreign attack: neither its seeding nor what it logs leaves this function.

    What AutoAttack logs (zero gradients) is among the flags of the evaluation.
    """
    devices = list(range(torch.cuda.device_count()))
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with torch.random.fork_rng(devices=devices):
            return attack().detach()
    finally:
        logging.disable(level)


def _lean() -> Any:
    """The attacks of torchattacks, where it is installed."""
    try:
        from sam_edu import _apgd
    except ImportError:
        raise ImportError(
            "the ladder needs torchattacks; install it without its outdated pins: "
            "pip install --no-deps torchattacks==3.5.1"
        ) from None
    return _apgd


def _official() -> Any:
    try:
        import pyautoattack
        import pyautoattack.autopgd_base
    except ImportError:
        raise ImportError("this rung needs the official AutoAttack: pip install pyautoattack") from None
    return pyautoattack
