"""Proved, broken or undecided: one verdict for each image."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from sam_edu import _check
from sam_edu._guards import check_inputs, check_labels, eval_mode, on_cpu
from sam_edu.certify.asked import Asked
from sam_edu.certify.reading import EXACT, from_model

_FIRST = 100  # cases of each image, before the descent


@dataclass(frozen=True)
class Certificate:
    """What is known of n images at one radius.

    Attributes
    ----------
    eps, norm : the region
    proved : Tensor
        (n,) bool: no point of the region is classified wrongly.
    broken : Tensor
        (n,) bool: ``examples`` has a point that is.
    margin : Tensor
        (n,) the proved lower bound of right logit minus any other, by CROWN alone; NaN where nothing was
        asked.
    examples : dict
        Number of the image -> its adversarial example.
    cases : Tensor
        (n,) cases of the complete search.
    """

    eps: float
    norm: str
    proved: Tensor = field(repr=False)
    broken: Tensor = field(repr=False)
    margin: Tensor = field(repr=False)
    examples: dict[int, Tensor] = field(repr=False)
    cases: Tensor = field(repr=False)

    @property
    def bracket(self) -> tuple[float, float]:
        """Robust accuracy lies between these two: proved, and not broken."""
        return float(self.proved.double().mean()), 1 - float(self.broken.double().mean())

    def verdicts(self) -> list[str]:
        """``"proved"``, ``"broken"`` or ``"undecided"`` for each image."""
        pairs = zip(self.proved.tolist(), self.broken.tolist(), strict=True)
        return ["proved" if good else "broken" if bad else "undecided" for good, bad in pairs]


def certify(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: str = "linf",
    cases: int = 1000,
    seconds: float = float("inf"),
    broken: Tensor | None = None,
    give_up: float = 1.0,
) -> Certificate:
    """Decide for each image whether any point of its region is classified wrongly.

    CROWN first, then an attack on what it leaves (20 steps of PGD on the margin), then a complete search. For
    l-infinity a descent over linear pieces (:mod:`sam_edu.certify.descent`) tries what its first 100 cases
    leave open. *Proved* is said of the model as float32 computes it, rounding included
    (:mod:`sam_edu.certify.rounding`), and of every image that :func:`sam_edu.evaluation.evaluate` would
    accept from an attack.

    Parameters
    ----------
    model : torch.nn.Module
        A ReLU network, see ``sam_edu.certify.from_model``; it is judged in eval mode.
    x, y : Tensor
        Images (n, channels, height, width) in [0, 1], labels (n,).
    eps : float
        Radius >= 0 in pixel units.
    norm : {"linf", "l2"}
    cases : int
        After how many cases of the complete search an image is left (a batch that has begun is finished); 0
        leaves it out.
    seconds : float
        Time for the search of an image, on average over the 16 that are searched together. A number of cases
        gives the same verdicts everywhere, a time does not.
    broken : Tensor, optional
        (n,) bool: images that an attack has broken already; they are left alone.

    give_up : float
        Leave an image undecided if more than this share of its cases is open after the first 100; a case that
        k splits have led to counts :math:`2^{-k}`. 1: never. For those who have attacks to fall back upon.

    Raises
    ------
    ValueError
        If an argument is out of range, a label is none of the classes, x is of another dtype than the model
        or coarser than float32, ``broken`` does not fit, or the model is not one that can be read.

    Examples
    --------
    >>> import torch
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    >>> model[1].weight.data, model[1].bias.data = torch.eye(2), torch.zeros(2)
    >>> x = torch.tensor([[[[0.9, 0.1]]], [[[0.6, 0.5]]]])
    >>> certify(model, x, torch.tensor([0, 0]), eps=0.2).verdicts()
    ['proved', 'broken']
    """
    eps = _check.number("eps", eps, low=0, high=float("inf"), open_high=True)
    _check.choice("norm", norm, ("linf", "l2"))
    cases = _check.integer("cases", cases)
    seconds = _check.number("seconds", seconds, low=0)
    y = check_inputs(x, y)
    give_up = _check.number("give_up", give_up, low=0, high=1)
    known = _flags(broken, len(y))
    with eval_mode(model), on_cpu():
        network = from_model(model, x.shape[1:])
        _check_kind(x, model)
        if len(y):
            check_labels(y, len(network.layers[-1].bias))
        asked = Asked(model, network, x.detach().clamp(0, 1), y, eps, norm)  # what rounding has left outside
        asked.look()
        asked.broken |= known
        asked.relax()
        asked.attack()
        if asked.network.hidden and cases:
            asked.search(min(cases, _FIRST), seconds)
            if seconds:
                asked.descend()
            asked.give_up(give_up)
            asked.search(cases, seconds)
    return Certificate(asked.eps, norm, asked.proved, asked.broken, asked.margin, asked.examples, asked.cases)


def _check_kind(x: Tensor, model: nn.Module) -> None:
    """Raise unless the model can take numbers of x's kind, and these are fine enough."""
    if x.dtype not in EXACT:
        raise ValueError(f"proofs know how float32 and float64 round, not {x.dtype}; call x.float()")
    others = {weight.dtype for weight in model.parameters()} - {x.dtype}
    if others:
        raise ValueError(f"x is {x.dtype} and the model has weights of {others.pop()}; call x.to with that")


def _flags(broken: Tensor | None, n: int) -> Tensor:
    """``broken`` as a tensor (n,) bool on the CPU."""
    if broken is None:
        return torch.zeros(n, dtype=torch.bool, device="cpu")
    if not isinstance(broken, Tensor) or broken.shape != (n,) or broken.dtype != torch.bool:
        what = (
            f"{tuple(broken.shape)} of {broken.dtype}"
            if isinstance(broken, Tensor)
            else type(broken).__name__
        )
        raise ValueError(f"broken must be a torch tensor ({n},) of bool, one for each image; got {what}")
    return broken.cpu()
