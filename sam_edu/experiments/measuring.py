"""What a run's record says of the trained network: robust accuracies, sharpness, confidence, origin."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from sam_edu import sharpness
from sam_edu.data import Dataset
from sam_edu.evaluation import EvaluationRecord, evaluate
from sam_edu.experiments.config import RunConfig
from sam_edu.experiments.provenance import origin
from sam_edu.experiments.record import Record
from sam_edu.experiments.state import Training

BALL_RHO = 0.1  # radius at which every run's sharpness is reported
ADAPTIVE_RHO = 2.0  # and that of the adaptive ball, which does not change when a network is rescaled
SHARPNESS_IMAGES = 1000
# attacked at once by a CPU: activations that stay in its cache are a third quicker, and 1 GB less
AT_ONCE = {"fast": 64}
LARGE, LARGE_IMAGES = 150_000, 100  # second derivatives of large nets take long: fewer images


def measure(config: RunConfig, dataset: Dataset, state: Training) -> Record:
    """The record of a finished training: accuracies under attack, sharpness, confidence, origin."""
    started, model = time.perf_counter(), state.result.eval()
    x, y = dataset.test_x.to(state.device), dataset.test_y.to(state.device)
    evaluations: dict[str, EvaluationRecord | None] = {}
    batch = AT_ONCE.get(config.model, 512) if state.device.type == "cpu" else 1000
    for norm, radii in (("linf", config.eval_linf), ("l2", config.eval_l2)):
        evaluations[norm] = None
        if radii:
            evaluations[norm] = evaluate(
                model, x, y, radii, norm, config.ladder, batch_size=batch, certify=config.certify
            )
    validation, held = None, (dataset.validation_x, dataset.validation_y)
    choosing = config.validation_linf or config.eval_linf
    if held[0] is not None and held[1] is not None and choosing:
        held_x, held_y = held[0].to(state.device), held[1].to(state.device)
        validation = evaluate(model, held_x, held_y, choosing, "linf", config.ladder, batch_size=batch)
    sharp = _sharpness(state)
    seconds = {"train": state.seconds, "evaluate": time.perf_counter() - started}
    about = {**origin(dataset, state.device), "images_per_second": round(state.images_per_second(), 1)}
    return Record(
        config,
        state.curves[-1]["accuracy"],
        evaluations["linf"],
        evaluations["l2"],
        sharp,
        state.curves,
        seconds,
        about,
        validation,
        _confidence(state, x),
    )


def _large(state: Training) -> bool:
    return sum(p.numel() for p in state.result.parameters()) > LARGE


def _few(state: Training) -> tuple[Tensor, Tensor]:
    """The training images on which sharpness is measured."""
    images = LARGE_IMAGES if _large(state) else SHARPNESS_IMAGES
    return state.x[:images], state.y[:images]


@torch.no_grad()
def _confidence(state: Training, test: Tensor) -> dict[str, float]:
    train, y = _few(state)
    seen, unseen = (
        torch.cat([state.result(part) for part in x.split(500)]).softmax(1).max(1) for x in (train, test)
    )
    return {
        "test": float(unseen.values.mean()),
        "train": float(seen.values.mean()),
        "train_accuracy": float((seen.indices == y).float().mean()),
    }


def _sharpness(state: Training) -> dict[str, float]:
    few = _few(state)
    tol = 1e-2 if _large(state) else 1e-3
    return {
        "top_eigenvalue": sharpness.top_eigenvalue(state.result, *few, max_iterations=1000, tol=tol),
        "ball": sharpness.worst_loss_in_ball(state.result, *few, rho=BALL_RHO).sharpness,
        "ball_rho": BALL_RHO,
        "adaptive": sharpness.worst_loss_in_ball(
            state.result, *few, rho=ADAPTIVE_RHO, adaptive=True
        ).sharpness,
        "adaptive_rho": ADAPTIVE_RHO,
        "images": len(few[0]),
    }
