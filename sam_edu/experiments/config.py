"""A run's identity: everything that decides its result, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from sam_edu import _check, models
from sam_edu._ladder import LADDERS
from sam_edu._settings import plain
from sam_edu.data import NAMES
from sam_edu.methods import METHODS as _METHODS

T = TypeVar("T")
METHODS = tuple(_METHODS)
FAMILY = tuple(key for key, method in _METHODS.items() if method.family)  # at their authors' other settings
AUGMENTATIONS = ("none", "flip", "crop+flip", "shift+alternate")
SCHEDULES = ("steps", "triangle")
PRECISIONS = ("float32", "bfloat16", "float16")
WALK: Mapping[str, Any] = _METHODS["entropy-sgd"].fixed  # mini-batches of a step, step size of its walk
#: the methods for which a radius must be positive; for the others it must be 0
NEEDS = {
    radius: tuple(key for key, method in _METHODS.items() if radius in method.needs)
    for radius in ("rho", "eps", "gamma")
}
Groups = Mapping[str, Sequence["RunConfig"]]  # label -> one run per seed
#: fields that say how a run is tested, not how it is made
_EVALUATION = ("test_size", "validation_size", "validation_linf", "eval_linf", "eval_l2", "ladder", "certify")
SCHEMA = 1  # raise when the meaning of a field changes: old records then stop matching


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Settings of one training run and of its evaluation.

    Parameters
    ----------
    dataset, train_size, test_size : data set, number of training images (None: all) and of test images
    model, width : name for :func:`sam_edu.models.build`, channels of the first stage
    method : a key of :data:`sam_edu.methods.METHODS`: "sgd", "swa" (stochastic weight averaging),
        "entropy-sgd", "sam" and its family, "at" (PGD adversarial training), "sam+at" or "awp" (AT with
        adversarial weight perturbation)
    rho : radius in weight space, for the family and "sam+at"
    eps, attack_steps, attack_step : l-infinity radius in pixel units, PGD steps and the size of a step as a
        share of eps, for "at", "sam+at" and "awp"
    gamma : relative size of AWP's perturbation of each layer; for "entropy-sgd" the strength that pulls its
        walk back (each step of the optimizer walks over five parts of the batch)
    augment : "none", "flip", "crop+flip" (pad by 4 pixels, crop at random, mirror half of the images) or
        "shift+alternate" (pad by 2, crop; each image is mirrored in every other epoch)
    epochs, batch_size, lr, momentum, weight_decay, label_smoothing : the optimizer's settings; the
        learning rate is divided by 10 at 75 % and 90 % of the epochs; with "swa" it is constant, and the
        result is the mean of the weights after each epoch from 75 % on
    schedule : "steps", or "triangle": the learning rate rises for a fifth of all steps, then falls to 0
    nesterov, bias_lr : Nesterov's momentum; factor of the learning rate of biases and BatchNorm (their decay
        per step stays)
    plain_epochs : epochs of plain SGD before the method's perturbations and attack begin: a warm start
    validation_size : training images set aside (not among ``train_size``), on which the trained model is
        evaluated, too: to choose settings by
    validation_linf : the radii there, if not all of ``eval_linf`` (a choice needs one; attacks take long)
    eval_linf, eval_l2 : radii at which the trained model is attacked; 0 alone measures it without attack
    ladder : "quick" or "standard"
    certify : cases of the complete search that an image may use, see :func:`sam_edu.evaluation.evaluate`;
        0: no proofs
    precision : "float32", "bfloat16" or "float16" in training; evaluation is always float32
    compile : whether to train with ``torch.compile``
    workers : processes that do the run together, started by ``torchrun``; each takes its part of every batch
        and, with SAM, climbs on its own part (m-sharpness) unless ``sync``
    seed : initial weights, order of the batches, random starts of the training attack

    Numbers may be Python's, NumPy's or torch's: each setting is converted to the type that it is declared
    with, so that equal settings make equal runs (1 and 1.0; a float32 counts as the decimal number that it
    prints as).

    Raises
    ------
    ValueError, TypeError
        If a setting is out of range or does not belong to the method: before anything is trained.

    Examples
    --------
    >>> config = RunConfig(dataset="digits", method="sam", rho=0.2, seed=1)
    >>> config.method, config.rho
    ('sam', 0.2)
    """

    dataset: str = "digits"
    train_size: int | None = None
    test_size: int | None = None
    model: str = "mlp"
    width: int = 16
    method: str = "sgd"
    rho: float = 0.0
    eps: float = 0.0
    attack_steps: int = 5
    attack_step: float = 0.25
    gamma: float = 0.0
    augment: str = "none"
    epochs: int = 30
    batch_size: int = 128
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    schedule: str = "steps"
    nesterov: bool = False
    bias_lr: float = 1.0
    plain_epochs: int = 0
    validation_size: int = 0
    validation_linf: tuple[float, ...] = ()
    eval_linf: tuple[float, ...] = ()
    eval_l2: tuple[float, ...] = ()
    ladder: str = "quick"
    certify: int = 0
    precision: str = "float32"
    compile: bool = False
    workers: int = 1
    sync: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for f in fields(self):
            object.__setattr__(self, f.name, plain(f.name, getattr(self, f.name), str(f.type)))
        _check.choice("dataset", self.dataset, NAMES)
        _check.choice("model", self.model, models.NAMES)
        _check.choice("ladder", self.ladder, LADDERS)
        for name in ("validation_linf", "eval_linf", "eval_l2"):
            for radius in getattr(self, name):
                _check.number(name, radius, low=0, high=float("inf"), open_high=True)
        for name in ("train_size", "test_size"):
            if getattr(self, name) is not None:
                _check.integer(name, getattr(self, name), low=1)
        _check.choice("method", self.method, METHODS)
        for name in ("epochs", "batch_size", "attack_steps", "width", "workers"):
            _check.integer(name, getattr(self, name), low=1)
        _check.integer("seed", self.seed)
        if self.seed >= 2**63:
            raise ValueError(f"seed must be < 2**63, which torch can take, got {self.seed}")
        _check.integer("certify", self.certify)
        if self.certify and self.model not in models.IN_A_ROW:
            raise ValueError(
                f"certify = {self.certify} asks for proofs, which know linear layers, convolutions and "
                f"ReLU in a row, not model {self.model!r}: choose one of {', '.join(models.IN_A_ROW)}, or "
                "certify=0"
            )
        _check.choice("augment", self.augment, AUGMENTATIONS)
        _check.choice("schedule", self.schedule, SCHEDULES)
        for name in ("validation_size", "plain_epochs"):
            _check.integer(name, getattr(self, name), low=0)
        if self.validation_linf and not self.validation_size:
            raise ValueError(
                f"validation_linf = {self.validation_linf} are radii for images that are set aside, of which "
                "there are none: choose a validation_size > 0"
            )
        _check.number("bias_lr", self.bias_lr, low=0, open_low=True)
        _check.number("attack_step", self.attack_step, low=0, open_low=True)
        _check.choice("precision", self.precision, PRECISIONS)
        for name in ("rho", "eps", "gamma", "weight_decay", "momentum"):
            _check.number(name, getattr(self, name), low=0, high=float("inf"), open_high=True)
        _check.number("lr", self.lr, low=0, high=float("inf"), open_low=True, open_high=True)
        _check.number("label_smoothing", self.label_smoothing, low=0, high=1, open_high=True)
        if self.batch_size % self.workers:
            raise ValueError(f"batch_size = {self.batch_size} does not divide by workers = {self.workers}")
        if self.sync and (self.workers == 1 or not _METHODS[self.method].perturbs):
            raise ValueError(
                "sync is about the ascent directions of several workers: it needs workers > 1 "
                "and a method that perturbs the weights"
            )
        method = _METHODS[self.method]
        if self.plain_epochs and not (method.attacks or (method.perturbs and not method.sees_batch)):
            raise ValueError(
                f"plain_epochs = {self.plain_epochs} delays perturbed weights or attacked "
                f"inputs; method {self.method!r} has neither: leave it at 0"
            )
        if self.plain_epochs >= self.epochs:
            raise ValueError(
                f"plain_epochs = {self.plain_epochs} leaves nothing of epochs = {self.epochs} "
                f"to the method {self.method!r}: at most {self.epochs - 1}"
            )
        if self.schedule == "triangle" and method.averages:
            raise ValueError(
                "schedule='triangle' ends at a learning rate of 0, where the weights of method "
                f"{self.method!r} stand still and their average is one of them: schedule='steps'"
            )
        for name, what in (("rho", "SAM"), ("eps", "AT"), ("gamma", "AWP or Entropy-SGD")):
            if (self.method in NEEDS[name]) != (getattr(self, name) > 0):
                raise ValueError(
                    f"{name} = {getattr(self, name)} does not fit method {self.method!r}: "
                    f"{what} needs {name} > 0, the other methods {name} = 0"
                )

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> RunConfig:
        """Inverse of :meth:`to_dict`."""
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(plain) - known)
        if unknown:
            raise ValueError(f"unknown settings {', '.join(unknown)}; known: {', '.join(sorted(known))}")
        settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()}
        return cls(**settings)

    @property
    def run_id(self) -> str:
        """Twelve hex digits that name the run.

        Fields at their default are left out of the hash, so that a new field with a neutral default
        keeps the identity of old runs.
        """
        return self._hash()

    @property
    def training_id(self) -> str:
        """Twelve hex digits that name the trained weights: runs that only test them otherwise share it."""
        return self._hash(without=_EVALUATION)

    def _hash(self, without: tuple[str, ...] = ()) -> str:
        set_fields = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name not in without and getattr(self, f.name) != f.default
        }
        return settings_id(set_fields)


def settings_id(settings: Mapping[str, Any]) -> str:
    """The hash of those settings that are not at their default."""
    text = json.dumps({"schema": SCHEMA, **settings}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def regroup(groups: Groups, results: Iterable[T]) -> dict[str, list[T]]:
    """Deal the results of all runs, in order, back to the labels of their groups."""
    dealer = iter(results)
    return {label: [next(dealer) for _ in group] for label, group in groups.items()}
