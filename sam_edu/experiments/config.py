"""A run's identity: everything that decides its result, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from sam_edu._settings import plain
from sam_edu.experiments import allowed

T = TypeVar("T")
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
    eps, attack_steps, attack_step : l-infinity radius in the units of the pixels (8/255 of [0, 1]), PGD steps
        and the size of a step as a share of eps, for "at", "sam+at" and "awp"
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
        allowed.check(self)

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
