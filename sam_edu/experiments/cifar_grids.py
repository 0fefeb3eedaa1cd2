"""The rows of CIFAR-10 and CIFAR-100 (chapter 13), as `grids` has those of digits and of Fashion-MNIST."""

from __future__ import annotations

from typing import Any

from sam_edu.experiments.grids import STRONGER, Protocol

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
#: The book's rows: half the time, on a CPU that is fast in bfloat16. Decided after seven runs in float32, for
#: the budget of 24 core-hours, together with one row more (36 epochs, one seed: how far does it go?); all
#: else stays.
CIFAR_FAST_CPU_BASE: dict[str, Any] = {**CIFAR_FAST_BASE, "precision": "bfloat16"}
#: The same on a GPU, in minutes: the original images (0.6 GB on the device), float16.
CIFAR_FAST_GPU_BASE: dict[str, Any] = {**CIFAR_FAST_BASE, "dataset": "cifar10", "precision": "float16"}
CIFAR_FAST: Protocol = {
    "SGD": {},
    "SAM ρ=0.1": {"method": "sam", "rho": 0.1},
    "AT ε=2/255": {"method": "at", "eps": 2 / 255},
    "SGD, 3 epochs": {"epochs": 3},
    "SGD, 18 epochs": {"epochs": 18},
    "SGD, 36 epochs": {"epochs": 36},
    "SGD, weight decay 0.002": {"weight_decay": 2e-3},
    **{f"SAM ρ={rho:g}": {"method": "sam", "rho": rho} for rho in (0.2, 0.4, 0.05)},
    "ASAM ρ=1": {"method": "asam", "rho": 1.0},
    "AT ε=8/255": {"method": "at", "eps": 8 / 255},
    "SAM+AT ρ=0.1 ε=2/255": {"method": "sam+at", "rho": 0.1, "eps": 2 / 255},
}
#: Those of the book's rows with a single seed.
CIFAR_FAST_SINGLE = ("ASAM ρ=1", "AT ε=8/255", "SAM+AT ρ=0.1 ε=2/255", "SGD, 36 epochs")

#: Chapter 13: the official AutoAttack against four of the networks of the book's rows, seed 0. Their weights
#: serve again, for the images set aside have no part in them. Decided before the first of these runs: SAM and
#: the control are those of the first comparison, and the radius is 2/255.
CIFAR_FAST_STRONGER_BASE: dict[str, Any] = {
    **CIFAR_FAST_CPU_BASE, **STRONGER, "eval_linf": (2 / 255,), "validation_size": 0, "validation_linf": (),
}  # fmt: skip
CIFAR_FAST_STRONGER: Protocol = {
    label: CIFAR_FAST[label] for label in ("SGD", "SAM ρ=0.4", "SGD, weight decay 0.002", "AT ε=2/255")
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
