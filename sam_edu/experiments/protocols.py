"""The protocols of the book: which runs stand behind which chapter.

Each protocol maps the label that the chapter prints to the settings of a run; ``configs`` makes one
RunConfig per label and seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import PurePosixPath
from typing import Any

from sam_edu.experiments.config import WALK, RunConfig
from sam_edu.methods import family

Protocol = Mapping[str, Mapping[str, Any]]
_WALKED = WALK["steps"]

#: Chapter 12: an MLP on scikit-learn's digits, in minutes.
DIGITS_BASE: dict[str, Any] = {
    "dataset": "digits", "model": "mlp", "epochs": 60, "batch_size": 64, "lr": 0.05,
    "eval_linf": (0.03, 0.06, 0.1, 0.15),
}  # fmt: skip
DIGITS: Protocol = {
    "SGD": {},
    **{f"SAM ρ={rho:g}": {"method": "sam", "rho": rho} for rho in (0.05, 0.1, 0.2, 0.4, 0.8)},
    **{f"AT ε={eps:g}": {"method": "at", "eps": eps} for eps in (0.05, 0.1)},
    "SGD, 8 epochs": {"epochs": 8},
    "SGD, weight decay 0.02": {"weight_decay": 2e-2},
    **{f"ASAM ρ={rho:g}": {"method": "asam", "rho": rho} for rho in (1.0, 2.0, 4.0)},
    **{f"AT ε={eps:g}": {"method": "at", "eps": eps} for eps in (0.02, 0.15)},
    "AWP γ=0.005 ε=0.1": {"method": "awp", "eps": 0.1, "gamma": 5e-3},
    "SAM+AT ρ=0.1 ε=0.1": {"method": "sam+at", "rho": 0.1, "eps": 0.1},
    "SGD, 120 epochs": {"epochs": 120},
    "SGD, 20 epochs": {"epochs": 20},
    "SGD, label smoothing 0.1": {"label_smoothing": 0.1},
}

#: Chapter 12: an MLP on 10,000 images of Fashion-MNIST, from records.
FASHION_BASE: dict[str, Any] = {
    "dataset": "fashion-mnist", "train_size": 10_000, "test_size": 2_000, "model": "mlp",
    "epochs": 30, "batch_size": 128, "lr": 0.05,
    "eval_linf": (2 / 255, 4 / 255, 8 / 255, 16 / 255), "eval_l2": (0.25, 0.5),
}  # fmt: skip
FASHION: Protocol = {
    "SGD": {},
    **{f"SAM ρ={rho:g}": {"method": "sam", "rho": rho} for rho in (0.05, 0.1, 0.2, 0.4, 0.8)},
    **{f"ASAM ρ={rho:g}": {"method": "asam", "rho": rho} for rho in (0.5, 1.0, 2.0)},
    **{f"AT ε={n}/255": {"method": "at", "eps": n / 255} for n in (2, 4, 8, 16, 32)},
    "AWP γ=0.005 ε=8/255": {"method": "awp", "eps": 8 / 255, "gamma": 5e-3},
    "SAM+AT ρ=0.1 ε=8/255": {"method": "sam+at", "rho": 0.1, "eps": 8 / 255},
    "SGD, 60 epochs": {"epochs": 60},
    **{f"SGD, {epochs} epochs": {"epochs": epochs} for epochs in (3, 8, 15)},
    **{f"SGD, weight decay {decay:g}": {"weight_decay": decay} for decay in (5e-3, 2e-2)},
    "SGD, label smoothing 0.1": {"label_smoothing": 0.1},
    # AT with no more gradient passes than SAM: fewer epochs, or fewer steps of its attack (1.25 eps in all)
    **{f"Short AT ε={n}/255, 10 epochs": {"method": "at", "eps": n / 255, "epochs": 10}
       for n in (4, 8, 2, 3)},
    **{f"AT ε={n}/255, attack steps {steps}": {"method": "at", "eps": n / 255, "attack_steps": steps,
                                               "attack_step": 1.25 / steps}
       for n, steps in ((2, 1), (4, 1), (2, 2), (2, 3))},
    # a warm start: does it cure what SAM loses at its largest radius?
    "SAM ρ=0.8 after 10 epochs of SGD": {"method": "sam", "rho": 0.8, "plain_epochs": 10},
}  # fmt: skip

#: Chapter 3: SAM's family and its two elder relatives on Fashion-MNIST, each with the epochs of the others.
FAMILY_BASE: dict[str, Any] = {**FASHION_BASE, "test_size": 1_000, "eval_linf": (8 / 255,), "eval_l2": ()}
FAMILY: Protocol = {
    "SGD": {},
    **{member.name: {"method": member.key, "rho": 0.2 * member.unit} for member in family()},
    "SWA": {"method": "swa"},
    # a step walks over _WALKED batches: as many passes as SGD. Its gradient contains gamma; lr undoes that,
    # and weight_decay makes lr * weight_decay that of _WALKED of SGD's steps. As in chapter 1; nothing was
    # tuned, only the training loss of seed 0 looked at: it falls.
    "Entropy-SGD": {"method": "entropy-sgd", "gamma": 0.03, "batch_size": _WALKED * 128, "lr": 0.5 / 0.03,
                    "weight_decay": _WALKED * 0.05 * 5e-4 / (0.5 / 0.03)},
}  # fmt: skip

#: Chapter 3, too: the same on digits.
DIGITS_FAMILY_BASE: dict[str, Any] = {**DIGITS_BASE, "eval_linf": (0.1,)}
DIGITS_FAMILY: Protocol = {**FAMILY, "Entropy-SGD": {**FAMILY["Entropy-SGD"], "batch_size": _WALKED * 64}}

#: Chapter 12: one run of each method against the official AutoAttack, on 500 images.
STRONGER: dict[str, Any] = {"ladder": "standard", "test_size": 500, "eval_l2": ()}
# these have other rows; FriendlySAM has not met AutoAttack yet
_RELATIVES = [label for label in FAMILY if label not in ("SGD", "SAM", "ASAM", "FriendlySAM")]
DIGITS_STRONGER: Protocol = {label: {**DIGITS, **DIGITS_FAMILY}[label] for label in (
    "SGD", "SAM ρ=0.4", "ASAM ρ=2", "AT ε=0.1", "AWP γ=0.005 ε=0.1", "SAM+AT ρ=0.1 ε=0.1", "SGD, 8 epochs",
    "SGD, 120 epochs", "SGD, weight decay 0.02", "SGD, label smoothing 0.1", *_RELATIVES)}  # fmt: skip
FASHION_STRONGER: Protocol = {label: {**FASHION, **FAMILY}[label] for label in (
    "SGD", "SAM ρ=0.2", "ASAM ρ=2", "AT ε=4/255", "AT ε=8/255", "AWP γ=0.005 ε=8/255",
    "SAM+AT ρ=0.1 ε=8/255", "SGD, 8 epochs", "SGD, 60 epochs", "SGD, weight decay 0.02",
    "SGD, label smoothing 0.1", *_RELATIVES)}  # fmt: skip

#: Chapter 11: the same networks between proof and attack, on 500 and on 200 images. A search with more
#: cases is another run; the weights of this one serve again.
DIGITS_CERTIFIED_BASE: dict[str, Any] = {**DIGITS_BASE, "eval_linf": (0.03, 0.06, 0.1), "certify": 300}
DIGITS_CERTIFIED: Protocol = {
    label: DIGITS[label]
    for label in ("SGD", "SAM ρ=0.4", "AT ε=0.05", "AT ε=0.1", "SGD, 8 epochs", "SGD, weight decay 0.02")
}
#: More cases where 300 leave one image in fifty open. A folder that has records and weights of
#: digits-certified gives it their verdicts, and only the rest is searched.
DIGITS_DECIDED_BASE: dict[str, Any] = {**DIGITS_CERTIFIED_BASE, "eval_linf": (0.06,), "certify": 5_000}
DIGITS_DECIDED: Protocol = {label: DIGITS[label] for label in ("SGD", "SAM ρ=0.4", "AT ε=0.1")}
FASHION_CERTIFIED_BASE: dict[str, Any] = {
    **FASHION_BASE, "test_size": 200, "eval_linf": (2 / 255, 8 / 255), "eval_l2": (), "certify": 300,
}  # fmt: skip
FASHION_CERTIFIED: Protocol = {
    label: FASHION[label]
    for label in ("SGD", "SAM ρ=0.2", "AT ε=4/255", "SGD, 8 epochs", "SGD, weight decay 0.005")
}

#: Chapter 12: a convolutional net (24 thousand parameters, no BatchNorm) on the same images.
FASHION_CNN_BASE: dict[str, Any] = {
    **FASHION_BASE, "model": "cnn-nobn", "test_size": 500, "epochs": 20, "attack_steps": 3,
    "eval_linf": (2 / 255, 4 / 255, 8 / 255), "eval_l2": (),
}  # fmt: skip
FASHION_CNN: Protocol = {
    "SGD": {},
    **{f"SAM ρ={rho:g}": {"method": "sam", "rho": rho} for rho in (0.05, 0.1, 0.2, 0.4)},
    "ASAM ρ=1": {"method": "asam", "rho": 1.0},
    **{f"AT ε={n}/255": {"method": "at", "eps": n / 255} for n in (2, 4, 8)},
    "AWP γ=0.005 ε=4/255": {"method": "awp", "eps": 4 / 255, "gamma": 5e-3},
    "SAM+AT ρ=0.1 ε=4/255": {"method": "sam+at", "rho": 0.1, "eps": 4 / 255},
    **{f"SGD, {epochs} epochs": {"epochs": epochs} for epochs in (40, 3, 8)},
    **{f"SGD, weight decay {decay:g}": {"weight_decay": decay} for decay in (5e-3, 2e-2)},
    "SGD, label smoothing 0.1": {"label_smoothing": 0.1},
    # the best control's decay and SAM together
    "SAM ρ=0.2, weight decay 0.005": {"method": "sam", "rho": 0.2, "weight_decay": 5e-3},
    # as in FASHION: AT cut down to SAM's passes, and a warm start for the largest radius
    "Short AT ε=2/255, 10 epochs": FASHION["Short AT ε=2/255, 10 epochs"],
    "SAM ρ=0.8 after 10 epochs of SGD": FASHION["SAM ρ=0.8 after 10 epochs of SGD"],
}

#: Chapter 12: a convolutional net with BatchNorm (24 thousand parameters) on digits.
DIGITS_CNN_BASE: dict[str, Any] = {**DIGITS_BASE, "model": "cnn"}
DIGITS_CNN: Protocol = DIGITS

#: Chapter 13: CIFAR-10 at the scale of a CPU, a PreActResNet-18 an eighth as wide on 5,000 images.
CIFAR_SMALL_BASE: dict[str, Any] = {
    "dataset": "cifar10-jpeg", "train_size": 5_000, "test_size": 500, "model": "preact-resnet", "width": 8,
    "epochs": 30, "batch_size": 128, "lr": 0.1, "attack_steps": 3,
    "eval_linf": (1 / 255, 2 / 255, 8 / 255),
}  # fmt: skip
CIFAR_SMALL: Protocol = {
    "SGD": {},
    **{f"SAM ρ={rho:g}": {"method": "sam", "rho": rho} for rho in (0.1, 0.2, 0.05)},
    "AT ε=2/255": {"method": "at", "eps": 2 / 255},
    "SGD, 10 epochs": {"epochs": 10},
    "SGD, weight decay 0.005": {"weight_decay": 5e-3},
    "SGD, 60 epochs": {"epochs": 60},
}

#: Chapter 13: all 50,000 training images of CIFAR-10 (a JPEG copy) in core-minutes. Decided before the first
#: run: 1,000 of them are set aside and choose rho, the epochs and the decay at 2/255; the first 1,000 test
#: images judge. The first comparison is of SAM with the chosen rho against SGD, and against the best of
#: the controls whose clean accuracy is at most one point below SAM's, at 1/255 and at 2/255. Three seeds; one
#: of ASAM, AT 8/255 and SAM+AT. AT takes two PGD steps of 3/4 of its radius.
CIFAR_FAST_BASE: dict[str, Any] = {
    "dataset": "cifar10-jpeg", "train_size": 49_000, "validation_size": 1_000, "test_size": 1_000,
    "model": "fast", "width": 32, "augment": "shift+alternate", "epochs": 9, "batch_size": 512, "lr": 0.4,
    "schedule": "triangle", "nesterov": True, "bias_lr": 16.0, "attack_steps": 2, "attack_step": 0.75,
    "validation_linf": (2 / 255,),
    "eval_linf": (1 / 255, 2 / 255, 4 / 255, 8 / 255), "eval_l2": (16 / 255, 32 / 255, 128 / 255),
}  # fmt: skip
#: The same on a GPU, in minutes: the original images (0.6 GB on the device), float16.
CIFAR_FAST_GPU_BASE: dict[str, Any] = {**CIFAR_FAST_BASE, "dataset": "cifar10", "precision": "float16"}
CIFAR_FAST: Protocol = {
    "SGD": {},
    "SAM ρ=0.1": {"method": "sam", "rho": 0.1},
    "AT ε=2/255": {"method": "at", "eps": 2 / 255},
    "SGD, 3 epochs": {"epochs": 3},
    "SGD, 18 epochs": {"epochs": 18},
    "SGD, weight decay 0.002": {"weight_decay": 2e-3},
    **{f"SAM ρ={rho:g}": {"method": "sam", "rho": rho} for rho in (0.2, 0.4, 0.05)},
    "ASAM ρ=1": {"method": "asam", "rho": 1.0},
    "AT ε=8/255": {"method": "at", "eps": 8 / 255},
    "SAM+AT ρ=0.1 ε=2/255": {"method": "sam+at", "rho": 0.1, "eps": 2 / 255},
}

#: Chapter 13: the paper's protocol (PreActResNet-18, 100 epochs) with the controls that it lacks. float16 is
#: what every GPU of Colab is fast in; evaluation is float32 and adds the usual 8/255 to the paper's radii.
PAPER_BASE: dict[str, Any] = {
    "dataset": "cifar10", "test_size": 2_000, "model": "preact-resnet18", "augment": "crop+flip",
    "epochs": 100, "batch_size": 128, "lr": 0.1, "precision": "float16",
    "eval_linf": (1 / 255, 2 / 255, 8 / 255), "eval_l2": (16 / 255, 32 / 255),
}  # fmt: skip
PAPER: Protocol = {
    "SGD": {},
    **{f"SAM ρ={rho:g}": {"method": "sam", "rho": rho} for rho in (0.05, 0.1, 0.2, 0.4)},
    "AT ε=8/255": {"method": "at", "eps": 8 / 255},
    "AT ε=8/255, PGD-10": {"method": "at", "eps": 8 / 255, "attack_steps": 10},
    "AT ε=2/255": {"method": "at", "eps": 2 / 255},
    "SAM+AT ρ=0.05 ε=8/255": {"method": "sam+at", "rho": 0.05, "eps": 8 / 255},
    "SGD, 30 epochs": {"epochs": 30},
    "SGD, 200 epochs": {"epochs": 200},
    "SGD, weight decay 0.002": {"weight_decay": 2e-3},
}

#: Chapter 13, in minutes on Colab's free GPU: a quarter of the width, 15 epochs, one row of each kind.
QUICK_BASE: dict[str, Any] = {
    **PAPER_BASE, "model": "preact-resnet", "width": 16, "epochs": 15, "test_size": 500,
}  # fmt: skip
QUICK: Protocol = {
    "SGD": {},
    "SAM ρ=0.1": {"method": "sam", "rho": 0.1},
    "AT ε=8/255": {"method": "at", "eps": 8 / 255},
    "SGD, 5 epochs": {"epochs": 5},
}

#: Chapter 13, as its page is built: the same code on digits, in seconds on a CPU. No experiment.
TINY_BASE: dict[str, Any] = {
    **PAPER_BASE, "dataset": "digits", "train_size": 600, "test_size": 100, "model": "cnn", "width": 8,
    "augment": "flip", "epochs": 10, "batch_size": 64, "precision": "bfloat16",
}  # fmt: skip
TINY: Protocol = {
    **{label: QUICK[label] for label in ("SGD", "SAM ρ=0.1", "AT ε=8/255")},
    "SGD, 2 epochs": {"epochs": 2},
}

PROTOCOLS: Mapping[str, tuple[dict[str, Any], Protocol]] = {
    "digits": (DIGITS_BASE, DIGITS),
    "fashion-mnist": (FASHION_BASE, FASHION),
    "digits-autoattack": ({**DIGITS_BASE, **STRONGER, "eval_linf": (0.06, 0.1)}, DIGITS_STRONGER),
    "fashion-mnist-autoattack": ({**FASHION_BASE, **STRONGER, "eval_linf": (8 / 255,)}, FASHION_STRONGER),
    "digits-family": (DIGITS_FAMILY_BASE, DIGITS_FAMILY),
    "fashion-mnist-family": (FAMILY_BASE, FAMILY),
    "fashion-mnist-cnn": (FASHION_CNN_BASE, FASHION_CNN),
    "digits-certified": (DIGITS_CERTIFIED_BASE, DIGITS_CERTIFIED),
    "digits-decided": (DIGITS_DECIDED_BASE, DIGITS_DECIDED),
    "fashion-mnist-certified": (FASHION_CERTIFIED_BASE, FASHION_CERTIFIED),
    "digits-cnn": (DIGITS_CNN_BASE, DIGITS_CNN),
    "cifar10-small": (CIFAR_SMALL_BASE, CIFAR_SMALL),
    "cifar10-fast-cpu": (CIFAR_FAST_BASE, CIFAR_FAST),
    "cifar10-fast": (CIFAR_FAST_GPU_BASE, CIFAR_FAST),
    "cifar10": (PAPER_BASE, PAPER),
    "cifar100": ({**PAPER_BASE, "dataset": "cifar100"}, PAPER),
    "cifar10-quick": (QUICK_BASE, QUICK),
    "tiny": (TINY_BASE, TINY),
}


#: How many seeds of a protocol the book has; where none is named: 3.
SEEDS: Mapping[str, int] = {
    "digits": 5,
    "fashion-mnist": 5,
    "digits-autoattack": 1,
    "fashion-mnist-autoattack": 1,
    "digits-certified": 5,
    "digits-decided": 5,
}


def configs(name: str, seeds: Iterable[int]) -> dict[str, list[RunConfig]]:
    """Runs of a protocol: label -> one RunConfig per seed."""
    if name not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}, got {name!r}")
    base, protocol = PROTOCOLS[name]
    seeds = list(seeds)
    return {
        label: [RunConfig(**{**base, **settings, "seed": seed}) for seed in seeds]
        for label, settings in protocol.items()
    }


def place(config: RunConfig) -> PurePosixPath | None:
    """Where the book keeps the record of a run: folder of the protocol, name to read, run id; None: nowhere.

    Examples
    --------
    >>> config = configs("fashion-mnist", seeds=[0])["SAM ρ=0.2"][0]
    >>> print(place(config))
    fashion-mnist/sam-rho0.2-seed0.a5e2182fb58b.json
    """
    return _places(config.seed).get(config.run_id)


@cache
def _places(seed: int) -> dict[str, PurePosixPath]:
    found: dict[str, PurePosixPath] = {}
    for name in PROTOCOLS:
        for label, (config,) in configs(name, [seed]).items():
            words = label.lower().replace(", ", "-").replace(" ", "-").replace("=", "").replace("/", "of")
            for sign, letter in (("ρ", "rho"), ("ε", "eps"), ("γ", "gamma")):
                words = words.replace(sign, letter)
            file = f"{words}-seed{seed}.{config.run_id}.json"
            found.setdefault(config.run_id, PurePosixPath(name, file))
    return found
