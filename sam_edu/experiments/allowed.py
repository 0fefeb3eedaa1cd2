"""Which settings of a run are allowed, alone and together: said before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sam_edu import _check, models
from sam_edu._ladder import LADDERS
from sam_edu.data import NAMES
from sam_edu.methods import METHODS as _METHODS

if TYPE_CHECKING:
    from sam_edu.experiments.config import RunConfig

METHODS = tuple(_METHODS)
#: what the settings that are names may be
CHOICES: dict[str, tuple[str, ...]] = {
    "dataset": NAMES,
    "model": models.NAMES,
    "method": METHODS,
    "augment": ("none", "flip", "crop+flip", "shift+alternate"),
    "schedule": ("steps", "triangle"),
    "ladder": tuple(LADDERS),
    "precision": ("float32", "bfloat16", "float16"),
}
#: the methods for which a radius must be positive; for the others it must be 0
NEEDS = {
    radius: tuple(key for key, method in _METHODS.items() if radius in method.needs)
    for radius in ("rho", "eps", "gamma")
}
#: settings that are l-infinity radii, and their unit
RADII = ("eps", "validation_linf", "eval_linf")
PIXELS = "pixels lie in [0, 1], so 8 grey levels of 255 are 0.0314"


def check(config: RunConfig) -> None:
    """Raise ValueError or TypeError, in one clear line, if a setting is out of range or fits no other."""
    for name, choices in CHOICES.items():
        _check.choice(name, getattr(config, name), choices)
    for name in RADII:
        given = getattr(config, name)
        for radius in given if isinstance(given, tuple) else (given,):
            _check.number(name, radius, low=0, high=1, hint=PIXELS)
    for radius in config.eval_l2:
        _check.number("eval_l2", radius, low=0, high=float("inf"), open_high=True)
    for name in ("validation_linf", "eval_linf", "eval_l2"):
        if len(set(radii := getattr(config, name))) < len(radii):
            raise ValueError(f"{name} = {radii} has a radius twice; each is attacked once")
    for name in ("train_size", "test_size"):
        if getattr(config, name) is not None:
            _check.integer(name, getattr(config, name), low=1)
    for name in ("epochs", "batch_size", "attack_steps", "width", "workers"):
        _check.integer(name, getattr(config, name), low=1)
    _check.integer("seed", config.seed)
    if config.seed >= 2**63:
        raise ValueError(f"seed must be < 2**63, which torch can take, got {config.seed}")
    _check.integer("certify", config.certify)
    if config.certify and config.model not in models.IN_A_ROW:
        raise ValueError(
            f"certify = {config.certify} asks for proofs, which know linear layers, convolutions and "
            f"ReLU in a row, not model {config.model!r}: choose one of {', '.join(models.IN_A_ROW)}, or "
            "certify=0"
        )
    for name in ("validation_size", "plain_epochs"):
        _check.integer(name, getattr(config, name), low=0)
    if config.validation_linf and not config.validation_size:
        raise ValueError(
            f"validation_linf = {config.validation_linf} are radii for images that are set aside, of which "
            "there are none: choose a validation_size > 0"
        )
    for name in ("lr", "bias_lr", "attack_step"):
        _check.number(name, getattr(config, name), low=0, high=float("inf"), open_low=True, open_high=True)
    for name in ("rho", "gamma", "weight_decay"):
        _check.number(name, getattr(config, name), low=0, high=float("inf"), open_high=True)
    _check.number("momentum", config.momentum, low=0, high=1, open_high=True)
    if config.nesterov and not config.momentum:
        raise ValueError(
            "nesterov is about momentum, of which there is none: momentum > 0, or nesterov=False"
        )
    _check.number("label_smoothing", config.label_smoothing, low=0, high=1, open_high=True)
    if config.batch_size % config.workers:
        raise ValueError(f"batch_size = {config.batch_size} does not divide by workers = {config.workers}")
    if config.sync and (config.workers == 1 or not _METHODS[config.method].perturbs):
        raise ValueError(
            "sync is about the ascent directions of several workers: it needs workers > 1 "
            "and a method that perturbs the weights"
        )
    method = _METHODS[config.method]
    if config.plain_epochs and not (method.attacks or (method.perturbs and not method.sees_batch)):
        raise ValueError(
            f"plain_epochs = {config.plain_epochs} delays perturbed weights or attacked "
            f"inputs; method {config.method!r} has neither: leave it at 0"
        )
    if config.plain_epochs >= config.epochs:
        raise ValueError(
            f"plain_epochs = {config.plain_epochs} leaves nothing of epochs = {config.epochs} "
            f"to the method {config.method!r}: at most {config.epochs - 1}"
        )
    if config.schedule == "triangle" and method.averages:
        raise ValueError(
            "schedule='triangle' ends at a learning rate of 0, where the weights of method "
            f"{config.method!r} stand still and their average is one of them: schedule='steps'"
        )
    for name, what in (("rho", "SAM"), ("eps", "AT"), ("gamma", "AWP or Entropy-SGD")):
        if (config.method in NEEDS[name]) != (getattr(config, name) > 0):
            raise ValueError(
                f"{name} = {getattr(config, name)} does not fit method {config.method!r}: "
                f"{what} needs {name} > 0, the other methods {name} = 0"
            )
