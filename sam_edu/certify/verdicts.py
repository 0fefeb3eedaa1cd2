"""Proved, broken or undecided: one verdict for each image."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn

from sam_edu import _check
from sam_edu._guards import check_inputs, check_labels, eval_mode
from sam_edu.certify.asked import Asked
from sam_edu.certify.reading import from_model

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
        How many cases of the complete search an image may use; 0 leaves it out.
    seconds : float
        Time for the search of an image, on average over the 16 that are searched together. A number of cases
        gives the same verdicts everywhere, a time does not.
    broken : Tensor, optional
        (n,) bool: images that an attack has broken already; they are left alone.

    Raises
    ------
    ValueError
        If an argument is out of range, a label is none of the classes, or the model is not one that can be
        read.

    Examples
    --------
    >>> import torch
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    >>> model[1].weight.data, model[1].bias.data = torch.eye(2), torch.zeros(2)
    >>> x = torch.tensor([[[[0.9, 0.1]]], [[[0.6, 0.5]]]])
    >>> certify(model, x, torch.tensor([0, 0]), eps=0.2).verdicts()
    ['proved', 'broken']
    """
    _check.number("eps", eps, low=0)
    _check.choice("norm", norm, ("linf", "l2"))
    _check.integer("cases", cases)
    _check.number("seconds", seconds, low=0)
    y = check_inputs(x, y)
    with eval_mode(model):
        network = from_model(model, x.shape[1:])
        if len(y):
            check_labels(y, len(network.layers[-1].bias))
        asked = Asked(model, network, x, y, float(eps), norm)
        asked.look()
        if broken is not None:
            asked.broken |= broken.cpu()
        asked.relax()
        asked.attack()
        if asked.network.hidden and cases:
            asked.search(min(cases, _FIRST), seconds)
            if seconds:
                asked.descend()
            asked.search(cases, seconds)
    return Certificate(asked.eps, norm, asked.proved, asked.broken, asked.margin, asked.examples, asked.cases)
