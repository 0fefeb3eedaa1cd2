"""The rows of digits and of Fashion-MNIST: label -> the settings in which a run differs from the base."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sam_edu.methods import METHODS, family

Protocol = Mapping[str, Mapping[str, Any]]
_WALKED = METHODS["entropy-sgd"].fixed["steps"]

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
#: All six at 0.06 and 0.1, with as many cases as two cores bound in an hour or two.
DIGITS_SEARCHED_BASE: dict[str, Any] = {
    **DIGITS_CERTIFIED_BASE,
    "eval_linf": (0.06, 0.1),
    "certify": 40_000,
}
#: AT alone at the radius of its training, where the brackets are widest.
DIGITS_LONGEST_BASE: dict[str, Any] = {**DIGITS_CERTIFIED_BASE, "eval_linf": (0.1,), "certify": 120_000}
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
