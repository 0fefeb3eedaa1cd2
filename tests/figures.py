"""One example of every live figure, with small made-up data; needs NumPy and the figures only.

The tests of the figures use them, and so does the run under Colab's versions, where torch, pytest
and playwright are absent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sam_edu import widgets


def digit_arrays() -> dict[str, Any]:
    """Two small images, two 'models', four radii; the second model is never fooled."""
    rng = np.random.default_rng(0)
    eps = [0.0, 0.05, 0.1, 0.2]
    clean = rng.random((2, 1, 1, 8, 8))
    change = np.sign(rng.standard_normal((2, 2, 1, 8, 8))) * np.reshape(eps, (1, 1, 4, 1, 1))
    images = np.clip(clean + change, 0, 1)
    right = np.reshape([0.9, 0.6, 0.3, 0.1], (1, 1, 4)) * np.reshape([1, 1], (1, 2, 1))
    right = np.where(np.arange(2)[None, :, None] == 1, 0.8, right).repeat(2, axis=0)
    probabilities = np.zeros((2, 2, 4, 3))
    probabilities[0, ..., 2], probabilities[1, ..., 0] = right[0], right[1]
    probabilities[..., 1] = 1 - probabilities.sum(-1)
    return {
        "images": images,
        "probabilities": probabilities,
        "eps_grid": eps,
        "labels": [2, 0],
        "model_names": ["SGD", "SAM"],
    }


def grid_rows() -> list[dict[str, Any]]:
    """Accuracies of five 'runs' at three radii."""

    def row(method: str, mean: list[float], **more: Any) -> dict[str, Any]:
        seeds = [[m - 0.01, m, m + 0.01] for m in mean]
        low, high = [m - 0.02 for m in mean], [m + 0.02 for m in mean]
        return {
            "method": method, "eps": [0, 12 / 255, 0.1], "mean": mean, "low": low, "high": high,
            "points": seeds, **more,
        }  # fmt: skip

    return [
        row("SGD", [0.97, 0.8, 0.5]),
        row("SAM", [0.97, 0.82, 0.55], rho=0.1),
        row("SAM", [0.96, 0.85, 0.63], rho=0.4),
        row("AT", [0.97, 0.92, 0.86], train_eps=0.1),
        row("weight decay 2e-2", [0.96, 0.84, 0.64]),
    ]


def frontier_rows(rng: np.random.Generator, n: int = 6) -> list[dict[str, Any]]:
    """SGD and ``n`` other 'runs' with clean accuracy, two radii and a cost."""

    def row(method: str, label: str, cost: float, **more: Any) -> dict[str, Any]:
        mean = np.round([rng.uniform(0.75, 0.9), rng.uniform(0.5, 0.8), rng.uniform(0.1, 0.6)], 2).tolist()
        return {"method": method, "label": label, "cost": cost, "eps": [0, 4 / 255, 8 / 255], "mean": mean,
                "low": mean, "high": mean, **more}  # fmt: skip

    kinds = ["SAM", "AT", "SAM+AT", "SGD, early", "ASAM", "AWP"]
    return [row("SGD", "SGD", 1.0)] + [
        row(
            kind,
            f"{kind} {i}",
            float(rng.choice([0.1, 2, 2.5, 6])),
            rho=0.1 * (i + 1),
            train_eps=0.01 * (i + 1),
        )
        for i, kind in enumerate((kinds * n)[:n])
    ]


def bracket_arguments() -> dict[str, Any]:
    """Brackets of three 'networks', one of them with two radii, at four radii of attack."""

    def row(kind: str, proved: list[float], standing: list[float], **more: Any) -> dict[str, Any]:
        name = f"{kind} ρ={more['rho']}" if more else kind
        return {"name": name, "kind": kind, "proved": proved, "standing": standing, **more}

    return {
        "rows": [
            row("SGD", [0.93, 0.7, 0.2, 0.0], [0.93, 0.8, 0.5, 0.2]),
            row("SAM", [0.95, 0.75, 0.2, 0.0], [0.96, 0.85, 0.6, 0.3], rho=0.1),
            row("SAM", [0.96, 0.82, 0.3, 0.0], [0.97, 0.88, 0.7, 0.4], rho=0.4),
            row("AT", [0.97, 0.9, 0.2, 0.0], [0.97, 0.95, 0.9, 0.6]),
        ],
        "eps_grid": [0.03, 0.06, 0.1, 0.15],
        "unit": (0.2, 4.0),
        "eps": 0.06,
        "rho": 0.4,
    }


def ladder_arguments() -> dict[str, Any]:
    """Three 'networks', two radii, four rungs; the last network falls at the last rung."""
    return {
        "rows": [
            {"name": "SGD", "kind": "SGD", "clean": 0.97,
             "after": [[0.8, 0.7, 0.7, 0.69], [0.5, 0.3, 0.3, 0.28]]},
            {"name": "AT", "kind": "AT", "clean": 0.98,
             "after": [[0.95, 0.94, 0.94, 0.93], [0.9, 0.8, 0.8, 0.79]]},
            {"name": "hot", "kind": "masked", "clean": 0.96,
             "after": [[0.96, 0.95, 0.95, 0.5], [0.96, 0.94, 0.9, 0.1]]},
        ],
        "rungs": ["FGSM", "PGD-20", "APGD-CE-20", "AutoAttack APGD-T (100 steps)"],
        "eps_grid": [0.05, 0.1],
        "measured_n": 100,
    }  # fmt: skip


def trap_rows() -> list[dict[str, Any]]:
    """Two 'traps', two 'seeds', six 'epochs'; the second trap breaks the network."""
    fall, steady = [0.6, 0.2, 0.08, 0.04, 0.02, 0.0], [0.9] * 6

    def row(title: str, wrong: list[float], symptom: list[float]) -> dict[str, Any]:
        return {
            "name": title, "title": title, "symptom": "cosine",
            "right": "as it should be", "wrong": "as it should not",
            "error_right": [fall, [v * 0.9 for v in fall]], "error_wrong": [wrong, wrong],
            "symptom_right": [[1.0] * 6] * 2, "symptom_wrong": [symptom, symptom],
        }  # fmt: skip

    cosine = [0.9, 0.8, 0.85, 0.7, 0.6, 0.5]
    return [row("statistics", fall[::-1], cosine), row("overflow", steady, [0.0] * 6)]


def batch_grid() -> dict[str, Any]:
    """Made-up shares of two sets, four batch sizes (the last is the full batch), three radii, two samples."""
    rhos, shares = [0.0, 0.1, 0.3], np.array([0.5, 0.3, 0.1, 0.0])[:, None, None]
    some = (shares * np.reshape(rhos, (3, 1)) * [1.0, 1.2]).round(4)
    lost = [
        {"logistic": (k * some).tolist(), "squared": (k * some**0.7).round(4).tolist()} for k in (1.0, -0.1)
    ]
    sets = ["p = 0.95, η = 0.1, d = 100", "p = 0.9, η = 0.2, d = 10"]
    ratio = [{"logistic": 14.7, "squared": 47.4}, {"logistic": 5.5, "squared": 11.1}]
    return {"batches": [1, 4, 16, 4096], "rhos": rhos, "sets": sets, "ratio": ratio, "lost": lost}


def classwise_arguments() -> dict[str, Any]:
    """SGD, two strengths of AT, one of SAM; three classes, two radii; strong AT gives up the last class."""

    def row(name: str, kind: str, *mean: list[float]) -> dict[str, Any]:
        values = np.array(mean)
        return {"name": name, "kind": kind, "mean": values, "low": values - 0.01, "high": values + 0.01}

    return {
        "rows": [
            row("SGD", "SGD", [0.9, 0.95, 0.7], [0.5, 0.6, 0.2]),
            row("AT ε=8/255", "AT", [0.9, 0.95, 0.6], [0.8, 0.9, 0.4]),
            row("AT ε=32/255", "AT", [0.8, 0.9, 0.2], [0.78, 0.88, 0.15]),
            row("SAM ρ=0.2", "SAM", [0.9, 0.95, 0.68], [0.6, 0.7, 0.3]),
        ],
        "class_names": ["coat", "bag", "shirt"],
        "eps_grid": [0.0, 8 / 255],
    }


def units_arguments() -> dict[str, Any]:
    """Two made-up networks, seven radii, one small image that grows darker under attack."""
    eps = [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3]
    clean = np.random.default_rng(3).random((1, 1, 6, 6)) * 0.7
    return {
        "eps_grid": eps,
        "accuracy": [[0.98, 0.9, 0.55, 0.2, 0.05, 0.01, 0.0], [0.99, 0.97, 0.9, 0.65, 0.3, 0.1, 0.02]],
        "images": np.clip(clean + np.reshape(eps, (1, 7, 1, 1)), 0, 1).repeat(2, axis=0),
        "model_names": ["SGD", "AT"],
    }


MAKE: dict[str, Callable[[], widgets.Explorer]] = {
    "nrf": widgets.NRFExplorer,
    "convention": widgets.ConventionExplorer,
    "flatness": widgets.FlatnessExplorer,
    "sam-step": widgets.SAMStepExplorer,
    "teaser": widgets.Teaser,
    "batch": lambda: widgets.BatchExplorer(batch_grid(), batch=4),
    "traps": lambda: widgets.TrapsExplorer(trap_rows()),
    "classwise": lambda: widgets.ClasswiseExplorer(**classwise_arguments(), method=2, chosen=2),
    "ladder": lambda: widgets.LadderExplorer(**ladder_arguments(), model=2, rung=1, eps=0.1),
    "family": widgets.FamilyExplorer,
    "bracket": lambda: widgets.BracketExplorer(**bracket_arguments()),
    "frontier": lambda: widgets.FrontierExplorer(frontier_rows(np.random.default_rng(4), 12)),
    "plane": widgets.RhoEpsPlane,
    "rho-eps": lambda: widgets.RhoEpsGrid(grid_rows(), rho=0.4, eps=0.1),
    "one-rho": lambda: widgets.RhoEpsGrid([r for r in grid_rows() if r.get("rho") != 0.1], rho=0.4, eps=0.1),
    "digit": lambda: widgets.DigitAttackExplorer(**digit_arrays()),
    "units": lambda: widgets.UnitsExplorer(**units_arguments(), mean=0.3, std=0.4, eps=0.1),
}
