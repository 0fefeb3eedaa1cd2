"""The other end of an evaluation: what is proved, and what an attack therefore need not try."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sam_edu._ladder import Rung

CASES = 1000  # of the complete search, for an image
GIVE_UP = 0.2  # of the cases open after the first 100, and attacks to come: see certify


@dataclass(frozen=True)
class Proofs:
    """Which images are proved, which have fallen to the search, and what that cost."""

    label: str
    proved: Tensor
    broken: Tensor
    cases: int
    seconds: float


def around_the_proofs(rungs: list[Rung]) -> tuple[list[Rung], list[Rung]]:
    """The rungs before the proofs, and those after, which spare what is proved.

    A ladder with AutoAttack's parts is costly: there proofs follow the first PGD, which breaks most of what
    can be broken. In a short one they come last, and its rungs say what attacks find without them.
    """
    costly = any(rung.label.startswith("AutoAttack") for rung in rungs)
    first = next(i for i, rung in enumerate(rungs) if rung.label.startswith("PGD")) + 1
    return (rungs[:first], rungs[first:]) if costly else (rungs, [])


def prove(
    model: nn.Module, x: Tensor, y: Tensor, eps: float, norm: str, standing: Tensor, cases: int, last: bool
) -> Proofs:
    """Certify the images that are still standing, see :func:`sam_edu.certify.certify`.

    Unless the proofs come last, an image whose search promises little is left to the attacks that follow.
    """
    from sam_edu.certify import certify  # only where it is asked for: it imports SciPy's optimizers

    started = time.perf_counter()
    found = certify(model, x, y, eps, norm, cases, broken=~standing, give_up=1.0 if last else GIVE_UP)
    broken = torch.zeros(len(x), dtype=torch.bool)
    broken[list(found.examples)] = True
    proved, fallen = found.proved.to(standing.device), broken.to(standing.device) & standing
    label = f"complete search ({cases} cases)"
    return Proofs(label, proved, fallen, int(found.cases.sum()), time.perf_counter() - started)
