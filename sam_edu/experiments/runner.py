"""Train, evaluate, record: ``run(config)`` does one run, and continues it if it was interrupted."""

from __future__ import annotations

import datetime
import hashlib
import io
import os
import platform
import sys
import time
from dataclasses import asdict
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn
from torch.nn.functional import cross_entropy

from sam_edu import __version__, attacks, data, models, objectives, sharpness, training
from sam_edu.augmentation import Augmentation
from sam_edu.evaluation import EvaluationRecord, evaluate
from sam_edu.experiments import records
from sam_edu.experiments.config import RunConfig

BALL_RHO = 0.1  # radius at which every run's sharpness is reported
SHARPNESS_IMAGES = 1000


def run(config: RunConfig, folder: str | Path | None = None, progress: bool = False) -> records.Record:
    """Do the run, or return its record if it is there.

    With a ``folder`` the run writes a checkpoint after each epoch and, killed at any moment, continues
    from the last whole one to the same final weights; at the end the folder holds the record
    (``<run_id>.json``) and the weights (``.safetensors``). Without, it keeps everything in memory.

    Parameters
    ----------
    progress : bool
        Show a bar with the time left.

    Raises
    ------
    FloatingPointError
        If training diverges.
    FileNotFoundError, ValueError
        If the data are missing or a setting is out of range.
    """
    if folder is not None:
        path = Path(folder) / f"{config.run_id}.json"
        if path.exists():
            return records.read(path)
    dataset = _dataset(config)
    state = _Training(config, dataset)
    store = None if folder is None else _Checkpoints(Path(folder), config.run_id)
    if store is not None and (saved := store.load()) is not None:
        state.load(saved)
    with _bar(config, state.epoch, progress) as bar:
        while state.epoch < config.epochs:
            bar.set_postfix(state.train_epoch())
            bar.update()
            if store is not None:
                store.save(state.to_dict(), state.epoch)
    record = _record(config, dataset, state)
    if folder is not None and store is not None:
        weights = {name: tensor.contiguous() for name, tensor in state.model.state_dict().items()}
        records.write_atomically(Path(folder) / f"{config.run_id}.safetensors", save(weights))
        records.write(record, folder)
        store.remove()
    return record


@lru_cache(maxsize=2)
def _cached(name: str, train: int | None, test: int | None) -> data.Dataset:
    return data.load(name).subset(train, test)


def _dataset(config: RunConfig) -> data.Dataset:
    return _cached(config.dataset, config.train_size, config.test_size)


class _Training:
    """Everything that changes while a run trains; ``to_dict`` and ``load`` carry all of it."""

    def __init__(self, config: RunConfig, dataset: data.Dataset) -> None:
        self.config, self.dataset = config, dataset
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        net = models.build(config.model, dataset.shape, len(dataset.classes), config.width, config.seed)
        convolutional = any(isinstance(m, nn.Conv2d) for m in net.modules())
        # the layout that convolutions are fast in, on CPU and GPU
        layout = torch.channels_last if convolutional else torch.contiguous_format
        self.model: nn.Module = net.to(self.device).to(memory_format=layout)
        self.optimizer = torch.optim.SGD(net.parameters(), config.lr, config.momentum,
                                         weight_decay=config.weight_decay)  # fmt: skip
        self.schedule = training.step_schedule(self.optimizer, config.epochs, (0.75, 0.9))
        self.objective = _objective(config, net)
        self.order = torch.Generator().manual_seed(config.seed)
        self.starts = torch.Generator(self.device).manual_seed(config.seed)
        self.flips = torch.Generator(self.device).manual_seed(config.seed)
        self.augment = None
        if config.augment != "none":
            pad = 4 if config.augment == "crop+flip" else 0
            self.augment = Augmentation(pad, flip=True, generator=self.flips)
        self.attack = None
        if config.eps > 0:
            self.attack = attacks.PGD(config.eps, steps=config.attack_steps, generator=self.starts)
        self.x = dataset.train_x.to(self.device).contiguous(memory_format=layout)
        self.y = dataset.train_y.to(self.device)
        self.epoch, self.seconds = 0, 0.0
        self.curves: list[dict[str, float]] = []

    def train_epoch(self) -> dict[str, str]:
        started, smoothing = time.perf_counter(), self.config.label_smoothing
        result = training.train_epoch(
            self.objective, self.optimizer, self.x, self.y, self.config.batch_size, self.attack,
            loss_of=lambda logits, y: cross_entropy(logits, y, label_smoothing=smoothing),
            augment=self.augment, generator=self.order)  # fmt: skip
        self.schedule.step()
        self.epoch += 1
        self.seconds += time.perf_counter() - started
        self.curves.append(asdict(result))
        return {"loss": f"{result.loss:.3f}", "accuracy": f"{result.accuracy:.1%}"}

    def to_dict(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch, "seconds": self.seconds, "curves": self.curves,
            "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(), "order": self.order.get_state(),
            "starts": self.starts.get_state(), "flips": self.flips.get_state(),
        }  # fmt: skip

    def load(self, saved: dict[str, Any]) -> None:
        self.epoch, self.seconds, self.curves = saved["epoch"], saved["seconds"], saved["curves"]
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        self.order.set_state(saved["order"])
        self.starts.set_state(saved["starts"])
        self.flips.set_state(saved["flips"])


def _objective(config: RunConfig, net: nn.Module) -> objectives.ERM:
    if config.method in ("sam", "sam+at"):
        return objectives.SAM(net, config.rho)
    if config.method == "asam":
        return objectives.ASAM(net, config.rho)
    return objectives.AWP(net, config.gamma) if config.method == "awp" else objectives.ERM(net)


class _Checkpoints:
    """The last two checkpoints of a run: the newer may be cut off by a crash of the machine."""

    def __init__(self, folder: Path, run_id: str) -> None:
        self.paths = [folder / f"{run_id}.{slot}.ckpt" for slot in (0, 1)]

    def save(self, state: dict[str, Any], epoch: int) -> None:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        payload = buffer.getvalue()
        digest = hashlib.sha256(payload).hexdigest().encode()
        records.write_atomically(self.paths[epoch % 2], digest + payload)

    def load(self) -> dict[str, Any] | None:
        """The newest whole checkpoint; a damaged one is renamed to ``*.damaged`` and named."""
        found = []
        for path in self.paths:
            if not path.exists():
                continue
            content = path.read_bytes()
            if hashlib.sha256(content[64:]).hexdigest().encode() == content[:64]:
                # weights_only: a checkpoint is data, loading it must not run code
                found.append(torch.load(io.BytesIO(content[64:]), weights_only=True))
            else:
                path.rename(path.with_suffix(".damaged"))
                print(f"{path} is damaged; set aside, continuing without it", file=sys.stderr)
        return max(found, key=lambda state: state["epoch"], default=None)

    def remove(self) -> None:
        for path in self.paths:
            path.unlink(missing_ok=True)


def _record(config: RunConfig, dataset: data.Dataset, state: _Training) -> records.Record:
    started, model = time.perf_counter(), state.model.eval()
    x, y = dataset.test_x.to(state.device), dataset.test_y.to(state.device)
    evaluations: dict[str, EvaluationRecord | None] = {}
    for norm, radii in (("linf", config.eval_linf), ("l2", config.eval_l2)):
        evaluations[norm] = evaluate(model, x, y, radii, norm, config.ladder) if radii else None
    few = state.x[:SHARPNESS_IMAGES], state.y[:SHARPNESS_IMAGES]
    sharp = {
        "top_eigenvalue": sharpness.top_eigenvalue(model, *few, max_iterations=1000, tol=1e-3),
        "ball": sharpness.worst_loss_in_ball(model, *few, rho=BALL_RHO).sharpness,
        "ball_rho": BALL_RHO,
    }
    seconds = {"train": state.seconds, "evaluate": time.perf_counter() - started}
    return records.Record(config, state.curves[-1]["accuracy"], evaluations["linf"], evaluations["l2"],
                          sharp, state.curves, seconds, _origin(dataset, state))  # fmt: skip


def _origin(dataset: data.Dataset, state: _Training) -> dict[str, Any]:
    """What a reader needs to judge or repeat the numbers."""
    packages = {}
    for name in ("torch", "numpy", "torchattacks", "pyautoattack"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "not installed"
    cuda = state.device.type == "cuda"
    return {
        "data": {"name": dataset.name, "provenance": dataset.provenance,
                 "checksum": dataset.checksum()},
        "versions": {"sam_edu": __version__, "python": platform.python_version(), **packages},
        "hardware": torch.cuda.get_device_name() if cuda else _cpu_name(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
    }  # fmt: skip


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _bar(config: RunConfig, done: int, progress: bool):  # type: ignore[no-untyped-def]
    from tqdm.auto import tqdm

    name = f"{config.dataset} {config.method} seed {config.seed}"
    return tqdm(total=config.epochs, initial=done, desc=name, unit="epoch", disable=not progress)
