"""What it costs to classify 85 % of CIFAR-10's test images correctly, by recipe.

    python -m benchmarks.recipes            adds what is missing to benchmarks/recipes.json, times the steps

Each recipe is a row of a protocol, trained here in bfloat16 on the JPEG copy with seed 0. After every epoch
the network is judged on the 10,000 test images, so that a row is a curve of accuracy against compute. The
cost is counted in operations (two for each multiply-add, forward and backward, by torch's own counter) and in
processor time of steps of all recipes, taken in turn. A step of SAM is timed against two of its passes.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode
from tqdm.auto import tqdm

from benchmarks.timing import Ratio, about, ratios
from sam_edu import data, training
from sam_edu.experiments import RunConfig, files, protocols
from sam_edu.experiments.forward import Forward
from sam_edu.experiments.state import Training

FILE = Path(__file__).with_name("recipes.json")
TARGET = 0.85
FAST, QUICK = "cifar10-fast", "cifar10-quick"


def recipes(dataset: str = "cifar10-jpeg") -> dict[str, RunConfig]:
    """The fast network, with its own schedule and a shorter one; and the narrow ResNet."""
    here: dict[str, Any] = {"dataset": dataset, "precision": "bfloat16", "test_size": None, "compile": False}
    fast, quick = (protocols.configs(name, [0])["SGD"][0] for name in (FAST, QUICK))
    fast = dataclasses.replace(fast, **here)
    return {
        f"{FAST}, 6 epochs": dataclasses.replace(fast, epochs=6),
        f"{FAST}, 9 epochs": fast,
        f"{QUICK}, 15 epochs": dataclasses.replace(quick, **here),
    }


def curve(config: RunConfig, progress: bool = False) -> list[float]:
    """Accuracy on all test images after each epoch."""
    dataset = data.load(config.dataset)
    state = Training(config, dataset.subset(config.train_size, None, validation=config.validation_size))
    found = []
    for _ in tqdm(range(config.epochs), desc=config.model, unit="epoch", disable=not progress):
        state.train_epoch()
        found.append(_accuracy(state))
    return found


@torch.no_grad()
def _accuracy(state: Training) -> float:
    model, test = state.result.eval(), state.dataset
    parts = zip(test.test_x.split(500), test.test_y.split(500), strict=True)
    hits = sum(int((model(x.to(state.device)).argmax(1).cpu() == y).sum()) for x, y in parts)
    return hits / len(test.test_y)


def step(config: RunConfig) -> Callable[[], None]:
    """A forward and a backward pass of the recipe's network, as its training makes them."""
    _, model, x, y = _one_batch(config)

    def work() -> None:
        cross_entropy(model(x), y).backward()

    return work


def _one_batch(config: RunConfig) -> tuple[Training, Forward, Tensor, Tensor]:
    """A training of one batch, its network in the recipe's precision, and the batch."""
    dataset = data.load(config.dataset).subset(config.batch_size, 1)
    state = Training(config, dataset)
    model = Forward(state.net, config.precision).train()
    return state, model, dataset.train_x.to(state.device), dataset.train_y.to(state.device)


def operations(config: RunConfig) -> float:
    """Of a training step, for one image."""
    work = step(config)
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / config.batch_size


def epochs_to(target: float, accuracies: Sequence[float]) -> int | None:
    """Epochs until the network is as accurate as that; None if it never is."""
    return next((n for n, accuracy in enumerate(accuracies, 1) if accuracy >= target), None)


def seconds(configs: Mapping[str, RunConfig], rounds: int = 9) -> dict[str, float]:
    """Processor time of a training step for one image, as a ratio to that of the first recipe."""
    first = next(iter(configs))
    found = ratios(step(configs[first]), {name: step(config) for name, config in configs.items()}, rounds)
    batch = configs[first].batch_size
    return {name: found[name].median * batch / config.batch_size for name, config in configs.items()}


def sam_step(config: RunConfig, rounds: int = 9) -> Ratio:
    """Processor time of a step of SAM as the training makes it, as a ratio to what it cannot do without.

    That is two forward and backward passes of the same network, and one step of the optimizer.
    """
    state, model, x, y = _one_batch(dataclasses.replace(config, method="sam", rho=0.1, lr=1e-4))
    optimizer = state.optimizer

    def ideal() -> None:
        for _ in range(2):
            optimizer.zero_grad()
            cross_entropy(model(x), y).backward()
        optimizer.step()

    return ratios(ideal, {"SAM": lambda: training.step(state.objective, optimizer, x, y)}, rounds)["SAM"]


def costs(
    rows: Mapping[str, Mapping[str, Any]], target: float = TARGET
) -> dict[str, dict[str, float | None]]:
    """Operations and time until ``target``, as ratios to the recipe that takes most of each; and petaflop.

    A petaflop is 10^15 operations; those of the training are counted, until ``target`` and in all.
    """
    reached = {name: epochs_to(target, row["accuracy"]) for name, row in rows.items()}
    found: dict[str, dict[str, float | None]] = {}
    for name, row in rows.items():
        n, epoch = reached[name], row["images"] * row["operations"] / 1e15
        found[name] = {"epochs": n, "petaflop": None if n is None else n * epoch}
        found[name] |= {"petaflop in all": len(row["accuracy"]) * epoch, "accuracy": row["accuracy"][-1]}
    for what in ("operations", "seconds"):
        spent = {n: e * rows[n]["images"] * rows[n][what] for n, e in reached.items() if e is not None}
        for name in rows:
            found[name][what] = spent[name] / max(spent.values()) if name in spent else None
    return found


def main() -> None:
    """Train what is missing, time the steps, and keep both."""
    torch.set_num_threads(1)
    configs = recipes()
    rows: dict[str, dict[str, Any]] = json.loads(FILE.read_text())["rows"] if FILE.exists() else {}
    for name, config in configs.items():
        if name not in rows:
            found = {"images": config.train_size or 50_000, "operations": operations(config)}
            rows[name] = {**found, "accuracy": curve(config, progress=True)}
            _keep(rows)  # the next one takes half an hour
    for name, value in seconds(configs).items():
        rows[name]["seconds"] = value
    step_of_sam = sam_step(next(iter(configs.values())))
    _keep(rows, {"SAM step / two passes": dataclasses.asdict(step_of_sam)})
    print(json.dumps(costs(rows), indent=1))
    print(f"a step of SAM: {step_of_sam} times two passes and a step of the optimizer")


def _keep(rows: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> None:
    found = {**about(), **(more or {}), "rows": rows}
    files.write_atomically(FILE, (json.dumps(found, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
