"""Perturbed classifiers, and the worst among them: what all balls of :mod:`sam_edu.toy.worst` share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from sam_edu.toy.model import NRFModel
from sam_edu.toy.order import Place, Step, rise


class Family(ABC):
    """Classifiers among which the worst is, held in parts of one shape (..., candidates)."""

    @abstractmethod
    def parts(self) -> list[NDArray]: ...

    @abstractmethod
    def of(self, parts: list[NDArray]) -> Self:
        """The same family with other parts."""

    def __getitem__(self, at: Any) -> Self:
        return self.of([part[at] for part in self.parts()])

    @abstractmethod
    def place(self, model: NRFModel) -> Place:
        """tau, gamma, and L/2 - tau*gamma."""

    @abstractmethod
    def step_to(self, model: NRFModel, other: Self) -> Step:
        """The differences of tau and gamma, exact where they are small."""

    @property
    @abstractmethod
    def x(self) -> NDArray:
        """The robust weight."""

    @property
    @abstractmethod
    def v(self) -> NDArray:
        """The mean of the non-robust weights."""

    def accuracy(self, model: NRFModel) -> NDArray:
        tau, gamma, _ = self.place(model)
        return model.p * ndtr(gamma + tau) + (1 - model.p) * ndtr(gamma - tau)

    def rising(self, model: NRFModel) -> NDArray:
        """L/2 - tau*gamma: positive where a larger robust weight would help this classifier."""
        return self.place(model).rising

    def worst(self, model: NRFModel, among: NDArray | None = None) -> Self:
        """The worst on the last axis, which is removed, of those where ``among``; a knock-out in pairs."""
        parts = self.parts()
        valid = np.ones(parts[0].shape, dtype=bool) if among is None else among
        while (n := valid.shape[-1]) > 1:
            half = n // 2
            pairs = [(part[..., :half], part[..., half : 2 * half], part[..., 2 * half :]) for part in parts]
            one, other = (self.of([pair[i] for pair in pairs]) for i in (0, 1))
            ok, ok_other = valid[..., :half], valid[..., half : 2 * half]
            change = ok_other & (~ok | (ahead(model, one, other) > 0))
            parts = [np.concatenate([np.where(change, b, a), c], -1) for a, b, c in pairs]
            valid = np.concatenate([ok | ok_other, valid[..., 2 * half :]], -1)
        return self.of(parts)[..., 0]


F = TypeVar("F", bound=Family)


def ahead(model: NRFModel, one: F, other: F) -> NDArray:
    """Has the sign of accuracy(one) - accuracy(other); of two that tie it is 0 up to rounding."""
    return rise(model.log_odds, other.place(model), one.place(model), other.step_to(model, one))
