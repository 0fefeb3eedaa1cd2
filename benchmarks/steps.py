"""What a training step costs beside one of SGD, for the chapters that say it.

python -m benchmarks.steps              about three minutes; writes sam_edu/experiments/step_prices.json
python -m benchmarks.steps --rounds 1   a quick look; writes nothing
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch

from benchmarks.timing import Ratio, about, ratios
from sam_edu import attacks, data, models, training
from sam_edu.experiments.prices import FILE
from sam_edu.methods import by_objective
from sam_edu.objectives import AWP, ERM, SAM

ROUNDS = 40
STEPS = 5  # timed together: a whole period of LookSAM
Step = Callable[[], object]


def measure(rounds: int) -> dict[str, Any]:
    """Every case of the book: chapters 2 ("mlp 128", "cnn 128"), 3 ("cnn-nobn 128") and 5 ("mlp 512")."""
    torch.set_num_threads(1)
    digits = data.load("digits")
    x, y = digits.train_x, digits.train_y
    large = x[:128].repeat(1, 1, 2, 2)  # 16 x 16 pixels
    found = {
        "mlp 128": ratios(*_both("mlp", x[:128], y[:128]), rounds, STEPS),
        "cnn 128": ratios(*_both("cnn", x[:128], y[:128]), rounds, STEPS),
        "cnn-nobn 128": ratios(*_members("cnn-nobn", large, y[:128]), rounds, STEPS),
        "mlp 512": ratios(*_attacked("mlp", x[:512], y[:512]), rounds, STEPS),
    }
    return {
        **about(),
        "threads": 1,
        "rounds": rounds,
        "torch": torch.__version__,
        "cases": {case: {name: _plain(ratio) for name, ratio in row.items()} for case, row in found.items()},
    }


def _both(name: str, x: torch.Tensor, y: torch.Tensor) -> tuple[Step, dict[str, Step]]:
    return _step(name, ERM, x, y), {"SAM": _step(name, SAM, x, y)}


def _members(name: str, x: torch.Tensor, y: torch.Tensor) -> tuple[Step, dict[str, Step]]:
    def make(method: Any) -> Callable[[torch.nn.Module], Any]:
        settings = {"rho": 0.1 * method.unit} if method.family else {}
        return lambda model: method.make(model, **settings, **method.fixed)

    members = {method.name: make(method) for method in by_objective()}
    plain = members.pop("SGD")
    return _step(name, plain, x, y), {key: _step(name, value, x, y) for key, value in members.items()}


def _attacked(name: str, x: torch.Tensor, y: torch.Tensor) -> tuple[Step, dict[str, Step]]:
    def pgd(steps: int) -> attacks.PGD:
        return attacks.PGD(0.1, steps=steps, step_size=0.2 / steps)

    return _step(name, ERM, x, y), {
        "SAM": _step(name, SAM, x, y),
        "AT, 3 steps": _step(name, ERM, x, y, pgd(3)),
        "AT, 10 steps": _step(name, ERM, x, y, pgd(10)),
        "AT, 10 steps, with AWP": _step(name, AWP, x, y, pgd(10)),
        "SAM+AT": _step(name, SAM, x, y, pgd(3)),
        "AWP": _step(name, AWP, x, y, pgd(3)),
    }


def _step(
    name: str,
    make: Callable[[torch.nn.Module], Any],
    x: torch.Tensor,
    y: torch.Tensor,
    attack: attacks.PGD | None = None,
) -> Step:
    model = models.build(name, x.shape[1:], classes=10, seed=0).train()
    objective, optimizer = make(model), torch.optim.SGD(model.parameters(), lr=0.01)
    return lambda: training.step(objective, optimizer, x, y, attack)


def _plain(ratio: Ratio) -> dict[str, float]:
    return {name: round(value, 4) for name, value in asdict(ratio).items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steps", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default {ROUNDS}")
    rounds = parser.parse_args().rounds
    results = measure(rounds)
    for case, row in results["cases"].items():
        for name, ratio in row.items():
            print(f"{case:14} {name:24} {Ratio(**ratio)}")
    if rounds >= ROUNDS:
        FILE.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
