"""Is a record true? Its weights are attacked again, with another package's attacks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sam_edu import _check, data, models
from sam_edu._guards import eval_mode, hits
from sam_edu.evaluation import EvaluationRecord
from sam_edu.experiments import weights
from sam_edu.experiments.record import Record
from sam_edu.experiments.records import SHIPPED, find, index, read

TOLERANCE = 0.005  # half a point
SEED = 1  # the ladder's attacks start from seed 0
BATCH = 500


@dataclass(frozen=True)
class Verdict:
    """Accuracy at one radius (0: clean) as recorded and as found again, on the same ``n`` images."""

    run_id: str
    norm: str
    eps: float
    n: int
    recorded: float
    found: float

    @property
    def ok(self) -> bool:
        return abs(self.found - self.recorded) <= TOLERANCE + 1e-9

    def __str__(self) -> str:
        where = f"{self.norm} {self.eps:.4f}" if self.eps else "clean"
        return (
            f"{self.run_id}  {where:<12} {self.n} images: recorded {self.recorded:6.2%}, found again "
            f"{self.found:6.2%}  {'ok' if self.ok else 'DIFFERENT'}"
        )


def verify(
    run_id: str,
    folder: str | Path | None = None,
    images: int | None = None,
    norms: tuple[str, ...] = ("linf", "l2"),
) -> list[Verdict]:
    """Attack the weights of a recorded run again and compare, radius by radius.

    The attacks are torchattacks' (PGD with 40 steps, APGD on cross-entropy with 2 restarts and, for linf,
    targeted APGD); an image counts as robust if it survives all of them.

    Parameters
    ----------
    folder : path, optional
        Where record and weights are; default: those shipped with the book.
    images : int, optional
        Compare on the first so many test images of the record only; it has a verdict for each.

    Raises
    ------
    FileNotFoundError
        If there is no such record, or no weights beside it.
    ValueError
        If a file is damaged, the weights are not the record's, the images are not those of the record, or
        ``images`` is less than 1.
    """
    if images is not None:
        images = _check.integer("images", images, low=1)
    record, dataset, model = reopened(run_id, folder)
    x, y = dataset.test_x[:images], dataset.test_y[:images]
    verdicts: list[Verdict] = []
    with eval_mode(model):
        clean = _standing(model, x, y)
        for norm, evaluation in (("linf", record.linf), ("l2", record.l2)):
            if evaluation is not None and norm in norms:
                if not verdicts and images is None:
                    verdicts.append(
                        Verdict(
                            run_id, norm, 0.0, len(x), evaluation.clean_accuracy, float(clean.double().mean())
                        )
                    )
                verdicts += _radii(run_id, model, x, y, clean, evaluation)
    return verdicts


def reopened(run_id: str, folder: str | Path | None = None) -> tuple[Record, data.Dataset, nn.Module]:
    """The record of a run, its images, and its network in evaluation mode, as :func:`verify` attacks it.

    Raises what :func:`verify` raises.
    """
    record, path = _files(run_id, folder)
    config, dataset = record.config, _dataset(record)
    found = weights.read(path)
    if record.origin.get("weights", (own := weights.checksum(found))) != own:
        raise ValueError(f"{path} does not hold the weights that the record of run {run_id} is about")
    model = models.build(config.model, dataset.shape, len(dataset.classes), config.width)
    model.load_state_dict(found)
    return record, dataset, model.eval()


def _files(run_id: str, folder: str | Path | None) -> tuple[Record, Path]:
    place = SHIPPED if folder is None else Path(folder)
    path = find(run_id, place)
    if path is None:
        raise FileNotFoundError(f"no record of run {run_id} in {place}")
    for candidate in (place / f"{run_id}.safetensors", place / "weights" / f"{run_id}.safetensors"):
        if candidate.exists():
            return read(path), candidate
    raise FileNotFoundError(
        f"{place} has the record of run {run_id} but not its weights; have: "
        f"{', '.join(with_weights(folder)) or 'none'}"
    )


def with_weights(folder: str | Path | None = None) -> list[str]:
    """The runs in a folder that have both a record and weights."""
    place = SHIPPED if folder is None else Path(folder)
    found = {path.stem for path in [*place.glob("*.safetensors"), *place.glob("weights/*.safetensors")]}
    return sorted(found & index(place).keys())


def _dataset(record: Record) -> data.Dataset:
    config = record.config
    dataset = _loaded(config.dataset).subset(config.train_size, config.test_size)
    if dataset.checksum() != record.origin["data"]["checksum"]:
        recorded = record.origin["data"]["checksum"]
        raise ValueError(
            f"the images of {config.dataset} here are not those of run {config.run_id}: "
            f"checksum {dataset.checksum()}, recorded {recorded}"
        )
    return dataset


@lru_cache(maxsize=1)
def _loaded(name: str) -> data.Dataset:
    return data.load(name)


def _radii(
    run_id: str, model: nn.Module, x: Tensor, y: Tensor, clean: Tensor, evaluation: EvaluationRecord
) -> list[Verdict]:
    verdicts, standing = [], clean.clone()
    for entry in evaluation.attacked:
        for attack in _attacks(model, evaluation.norm, entry.eps):
            for chosen in standing.nonzero().squeeze(1).split(BATCH):
                if len(chosen):
                    standing[chosen] = _standing(model, attack(x[chosen], y[chosen]), y[chosen])
        recorded = torch.tensor(entry.robust[: len(x)]).double().mean()
        verdicts.append(
            Verdict(
                run_id, evaluation.norm, entry.eps, len(x), float(recorded), float(standing.double().mean())
            )
        )
    return verdicts


def _attacks(model: nn.Module, norm: str, eps: float) -> list[Any]:
    try:
        import torchattacks
    except ImportError:
        raise ImportError("verify needs torchattacks: pip install --no-deps torchattacks==3.5.1") from None
    if norm == "linf":
        return [
            torchattacks.PGD(model, eps, eps / 10, 40),
            torchattacks.APGD(model, "Linf", eps, 40, n_restarts=2, seed=SEED),
            torchattacks.APGDT(model, "Linf", eps, 20, seed=SEED, n_classes=10),
        ]
    return [
        torchattacks.PGDL2(model, eps, eps / 10, 40),
        torchattacks.APGD(model, "L2", eps, 40, n_restarts=2, seed=SEED),
        torchattacks.APGD(model, "L2", eps, 40, n_restarts=2, seed=SEED, loss="dlr"),
    ]


def _standing(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        return hits(torch.cat([model(part) for part in x.split(BATCH)]), y)
