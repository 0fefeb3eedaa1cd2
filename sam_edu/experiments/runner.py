"""Train, evaluate, record: ``run(config)`` does one run, and continues it if it was interrupted."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm.auto import tqdm

from sam_edu import data
from sam_edu._precision import whole_float32
from sam_edu.experiments import files, further, records, weights
from sam_edu.experiments.checkpoints import Checkpoints
from sam_edu.experiments.config import RunConfig
from sam_edu.experiments.forward import warn_if_slower
from sam_edu.experiments.measuring import measure
from sam_edu.experiments.state import Training
from sam_edu.experiments.workers import Workers, join

# torch's random state and threads belong to the process: runs in two threads would disturb each other
_ONE_AT_A_TIME = threading.RLock()


def run(config: RunConfig, folder: str | Path | None = None, progress: bool = False) -> records.Record:
    """Do the run, or return its record if it is there.

    With a ``folder`` the run writes checkpoints (after each epoch, unless epochs are so short that
    saving would take more than 1 % of them) and, killed at any moment, continues from the last whole one
    to the same final weights; at the end the folder holds the record (``<run_id>.json``) and the weights
    (``.safetensors``). A damaged file is named, renamed and replaced. Two processes that are asked for the
    same run do it once: the second waits. Weights that another run left there serve again if it was trained
    in the same way and only tested in another; so do the verdicts of a run that differs in a shorter search
    only (``certify``): just what it left undecided is searched. Without a folder everything stays in memory.

    Parameters
    ----------
    progress : bool
        Show a bar with loss, accuracy, images per second and the time left.

    Raises
    ------
    FloatingPointError
        If training diverges.
    FileNotFoundError, ValueError
        If the data are missing or a setting is out of range.
    OSError
        If the folder cannot be written; what was saved before stays.
    """
    with _ONE_AT_A_TIME:
        workers = join(config.workers)
        if folder is None:
            return _do(config, None, workers, progress)
        folder = Path(folder).expanduser()
        # the leading process looks, and all do what it says: the others may see the folder later
        if done := workers.lead(_finished, config, folder, True):
            return done
        with files.claimed(folder, config.run_id) if workers.leads else nullcontext():
            return workers.lead(_finished, config, folder) or _do(config, folder, workers, progress)


def _finished(config: RunConfig, folder: Path, look_only: bool = False) -> records.Record | None:
    """The run's record, if it is there and whole; a damaged one is set aside."""
    path = records.find(config.run_id, folder)
    if path is None:
        return None
    try:
        record = records.read(path)
    except records.OtherVersion:  # hours of work, it may be: nothing is written over it
        raise
    except ValueError:
        if not look_only:
            files.set_aside(path, "is not a whole run record, or was changed after it was written")
        return None
    try:
        dataset = _dataset(config)
    except FileNotFoundError:  # nothing to compare with on this machine
        return record
    _same_images(config, record.origin.get("data", {}).get("checksum"), dataset, path)
    return record


def _same_images(config: RunConfig, then: str | None, dataset: data.Dataset, path: Path) -> None:
    """A run over other images is another run: raise, whether it is finished or has only begun."""
    if then is not None and then != (now := _checksum(dataset)):
        raise ValueError(
            f"{path} was made with other images of {config.dataset!r} (checksum {then}, now "
            f"{now}): put those back, or choose another folder"
        )


def _do(config: RunConfig, folder: Path | None, workers: Workers, progress: bool) -> records.Record:
    dataset = _dataset(config)
    state = Training(config, dataset, workers)
    store = None if folder is None else Checkpoints(folder, config.run_id)
    if folder is not None and store is not None:
        if saved := workers.lead(store.load):
            _same_images(config, saved.get("data"), dataset, store.paths[0])
            _go_on(state, saved, store)
        else:
            _from_weights(state, folder)
    if state.epoch < config.epochs:
        _can_be_certified(state)
        if state.device.type == "cpu":
            warn_if_slower(config.precision, (config.epochs - state.epoch) * len(state.x))
    with _bar(config, state.epoch, progress and workers.leads) as bar:
        while state.epoch < config.epochs:
            bar.set_postfix(state.train_epoch())
            bar.update()
            if store is not None and (workers.lead(store.due) or state.epoch == config.epochs):
                started, everything = time.perf_counter(), {**state.to_dict(), "data": _checksum(dataset)}
                workers.lead(store.save, everything, started)
    # proofs refuse shortened products (TF32); the training may have had them
    with whole_float32() if config.certify else nullcontext():
        return workers.lead(_finish, config, dataset, state, store)


def _go_on(state: Training, saved: dict[str, Any], store: Checkpoints) -> None:
    try:
        state.load(saved)
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ValueError(
            f"{store.paths[0].parent / store.run_id}.*.ckpt is whole, but of another version of sam_edu, "
            f"which trains otherwise ({type(error).__name__}: {' '.join(str(error).split())}): go on "
            "with that one, or delete it and the run starts anew"
        ) from error


def _can_be_certified(state: Training) -> None:
    """Raise now, not after the training, where the proofs that are asked for cannot be given."""
    config = state.config
    if not (config.certify and (config.eval_linf or config.eval_l2)):
        return
    from sam_edu.certify import from_model  # only where it is asked for: it imports SciPy's optimizers

    try:
        with whole_float32():  # as at the end of _do
            from_model(copy.deepcopy(state.result).eval(), state.dataset.shape)
    except ValueError as error:
        raise ValueError(
            f"certify = {config.certify} does not go with model {config.model!r} of width {config.width} on "
            f"{config.dataset!r}, nothing was trained: {error}; or certify=0"
        ) from error


def _finish(
    config: RunConfig, dataset: data.Dataset, state: Training, store: Checkpoints | None
) -> records.Record:
    """Evaluate and record, after the weights: should that fail, nothing has to be trained again."""
    if store is None:
        return measure(config, dataset, state)
    about = {"run_id": config.run_id, "training_id": config.training_id, "curves": state.curves,
             "seconds": state.seconds, "data": _checksum(_trained_on(dataset))}  # fmt: skip
    folder = store.paths[0].parent
    digest = weights.write(folder / f"{config.run_id}.safetensors", state.result.state_dict(), about)
    before = further.earlier(config, folder, digest, _checksum(dataset))
    record = further.searched(before, config, dataset, state) if before else measure(config, dataset, state)
    record.origin["weights"] = digest
    records.write(record, folder)
    store.remove()
    return record


def _from_weights(state: Training, folder: Path) -> None:
    """Only the record was lost, or the same training was tested in another way: nothing to train."""
    path = _trained(state.config, folder)
    if path is None:
        return
    try:
        found, about = weights.read(path), weights.about(path)
    except ValueError:
        if state.workers.leads:
            files.set_aside(path, "is not whole, or was changed after it was written")
        return
    if state.config.run_id != about.get("run_id") and state.config.training_id != about.get("training_id"):
        return
    if not _fit(found, state.result.state_dict()) or not {"seconds", "curves"} <= about.keys():
        if state.workers.leads:
            files.set_aside(path, "is whole, but of another version of sam_edu")
        return
    if state.config.run_id == about.get("run_id"):
        _same_images(state.config, about.get("data"), _trained_on(state.dataset), path)
    elif about.get("data", _checksum(_trained_on(state.dataset))) != _checksum(_trained_on(state.dataset)):
        return
    state.result.load_state_dict(found)
    state.epoch, state.seconds, state.curves = state.config.epochs, about["seconds"], about["curves"]


def _fit(found: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> bool:
    """Whether the weights are those of such a network: loading others would leave it half changed."""
    return {name: t.shape for name, t in found.items()} == {name: t.shape for name, t in ours.items()}


def _trained(config: RunConfig, folder: Path) -> Path | None:
    own = folder / f"{config.run_id}.safetensors"
    if own.exists():
        return own
    others = sorted(folder.glob("*.safetensors"))
    return next((p for p in others if weights.about(p).get("training_id") == config.training_id), None)


@lru_cache(maxsize=4)
def _trained_on(dataset: data.Dataset) -> data.Dataset:
    """Without the test images, which have no part in the weights."""
    return replace(dataset, test_x=dataset.test_x[:0], test_y=dataset.test_y[:0])


@lru_cache(maxsize=4)
def _checksum(dataset: data.Dataset) -> str:
    return dataset.checksum()


@lru_cache(maxsize=2)
def _cached(name: str, train: int | None, test: int | None, validation: int) -> data.Dataset:
    whole = data.load(name)
    if len(whole.classes) < 2:
        raise ValueError(f"{name} has one class, {whole.classes[0]!r}: two or more are needed to tell apart")
    if test is not None:  # a tenth of a gigabyte of CIFAR-10 goes before its training images are copied
        whole = replace(whole, test_x=whole.test_x[:test].clone(), test_y=whole.test_y[:test].clone())
    return whole.subset(train, test, validation=validation)


def _dataset(config: RunConfig) -> data.Dataset:
    return _cached(config.dataset, config.train_size, config.test_size, config.validation_size)


def _bar(config: RunConfig, done: int, progress: bool) -> tqdm:
    name = f"{config.dataset} {config.method} seed {config.seed}"
    return tqdm(total=config.epochs, initial=done, desc=name, unit="epoch", disable=not progress)
