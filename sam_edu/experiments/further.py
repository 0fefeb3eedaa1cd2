"""A longer search for what an earlier record left undecided: what is proved or broken is not done again."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from sam_edu import _proofs
from sam_edu.data import Dataset
from sam_edu.experiments.config import RunConfig
from sam_edu.experiments.provenance import origin
from sam_edu.experiments.record import Record
from sam_edu.experiments.records import index, read
from sam_edu.experiments.state import Training
from sam_edu.measured import AtRadius, EvaluationRecord, RungResult, per_class, same_radius, wilson


def earlier(config: RunConfig, folder: Path, weights: str, images: str) -> Record | None:
    """The record in ``folder`` that this run can go on from: the one with the longest search, or None.

    It is about the same weights and images (by their checksums) and the same ladder; it has every radius, and
    fewer cases.
    """
    found = []
    for path in index(folder).values() if config.certify else ():
        try:
            record = read(path)
        except ValueError:
            continue
        before, same = record.config, replace(record.config, eval_linf=(), eval_l2=(), certify=0)
        if (record.origin.get("weights"), record.origin["data"]["checksum"]) != (weights, images):
            continue
        if not 0 < before.certify < config.certify:
            continue
        if same == replace(config, eval_linf=(), eval_l2=(), certify=0) and _has(record, config):
            found.append(record)
    return max(found, key=lambda record: record.config.certify, default=None)


def _has(record: Record, config: RunConfig) -> bool:
    pairs = ((record.linf, config.eval_linf), (record.l2, config.eval_l2))
    return all(
        any(same_radius(entry.eps, eps) for entry in (evaluation.at if evaluation else ()))
        for evaluation, radii in pairs
        for eps in radii
    )


def searched(record: Record, config: RunConfig, dataset: Dataset, state: Training) -> Record:
    """The record of ``config``: what ``record`` has decided, and a search with more cases for the rest.

    The rungs of ``record`` stay; the new search is one more. To the origin, which is that of this search,
    ``begun`` is added: the run id of ``record``.
    """
    started, model = time.perf_counter(), state.result.eval()
    x, y = dataset.test_x.to(state.device), dataset.test_y.to(state.device)
    ends = [
        _go_on(evaluation, radii, model, x, y, config.certify) if evaluation and radii else None
        for evaluation, radii in ((record.linf, config.eval_linf), (record.l2, config.eval_l2))
    ]
    more = time.perf_counter() - started
    seconds = {**record.seconds, "evaluate": record.seconds["evaluate"] + more}
    about = {**record.origin, **origin(dataset, state.device), "begun": record.config.run_id}
    return replace(record, config=config, linf=ends[0], l2=ends[1], seconds=seconds, origin=about)


def _go_on(
    evaluation: EvaluationRecord,
    radii: tuple[float, ...],
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    cases: int,
) -> EvaluationRecord:
    fallen, entries = torch.zeros(len(x), dtype=torch.bool), []
    for eps in sorted(radii):  # an example stays one in a larger ball
        entries.append(_at(evaluation.entry(eps), evaluation.norm, model, x, y, cases, fallen))
    return replace(evaluation, at=entries)


def _at(
    entry: AtRadius, norm: str, model: nn.Module, x: Tensor, y: Tensor, cases: int, fallen: Tensor
) -> AtRadius:
    """One radius; what falls is added to ``fallen`` in place."""
    robust, proved = torch.tensor(entry.robust) & ~fallen, torch.tensor(entry.proved)
    left = (robust & ~proved).nonzero().flatten()
    open_still = torch.ones(len(left), dtype=torch.bool)
    found = _proofs.prove(model, x[left], y[left], entry.eps, norm, open_still, cases, last=True)
    proved[left] = found.proved
    fallen[left] |= found.broken
    robust &= ~fallen
    hits = int(robust.sum())
    rung = RungResult(found.label, hits / len(x), len(left), found.seconds)
    return replace(
        entry,
        accuracy=hits / len(x),
        interval=wilson(hits, len(x)),
        per_class=per_class(robust, y.cpu(), len(entry.per_class)),
        rungs=[*entry.rungs, rung],
        robust=robust.tolist(),
        proved=proved.tolist(),
    )
