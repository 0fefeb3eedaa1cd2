"""Ladders against the official AutoAttack, one run: the quick one, and the standard one with certificates.

    python -m benchmarks.certified              some minutes; adds to benchmarks/certified.json
    python -m benchmarks.certified --cases 5000 a longer search; --network AT: only such networks
    python -m benchmarks.certified --images 300 --cases 0   more images; 0: the quick ladder only
    python -m benchmarks.certified --small      a slice; writes nothing
    python -m benchmarks.certified --only bounds
    python -m benchmarks.certified --only apgd --images 300     the quick ladder with torchattacks' own loop

Networks of the book, digits and Fashion-MNIST. Each row has the processor time of AutoAttack on all images,
that of ``evaluate(ladder="quick")`` and of ``evaluate(ladder="standard", certify=cases)``, and on how many
images the verdicts differ: *missed* are those that AutoAttack breaks and the ladder leaves standing, *found*
those that only the ladder breaks (it has the example). Then the time of CROWN for all images and that of
linear programs that give the same bounds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyautoattack
import torch
import torchattacks
from scipy.optimize import linprog
from torch import Tensor, nn

from benchmarks.timing import about, ratios
from sam_edu import _ladder, attacks, data, models, training
from sam_edu.certify import Region, crown, from_model, lines
from sam_edu.evaluation import evaluate
from sam_edu.experiments import verify
from sam_edu.measured import AtRadius
from sam_edu.objectives import ERM, SAM

HERE = Path(__file__).parent
IMAGES = 100


@dataclass
class Cost:
    """A ladder beside AutoAttack: its time divided by AutoAttack's, and the verdicts that differ."""

    ratio: float
    missed: int
    found: int


@dataclass
class Row:
    """One network at one radius. ``left``: images that were neither proved nor broken before AutoAttack."""

    network: str
    eps: float
    images: int
    cases: int
    robust: int
    seconds: float
    quick: Cost
    certified: Cost | None
    left: int | None


def digits(name: str, width: int = 16, epochs: int = 60) -> nn.Module:
    """SGD, SAM, AT (the MLP of chapter 11) or a convolutional net, trained on digits."""
    found = data.load("digits")
    objective = (lambda m: SAM(m, rho=0.4)) if name == "SAM" else ERM
    attack = attacks.PGD(0.1, steps=3, step_size=0.05) if name == "AT" else None
    model = models.build("cnn" if name == "CNN" else "mlp", found.shape, 10, width=width, seed=0)
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, weight_decay=5e-4)
    training.fit(objective(model), optimizer, found.train_x, found.train_y, epochs, 64, attack, seed=0)
    return model.eval()


def networks(
    small: bool, wanted: str, images: int
) -> Iterator[tuple[str, nn.Module, Tensor, Tensor, list[float]]]:
    """Those whose name contains what is wanted: name, network, images, labels, radii."""
    some = data.load("digits")
    x, y = some.test_x[:images], some.test_y[:images]
    for name in ("SGD",) if small else ("SGD", "SAM", "AT"):
        if wanted in f"digits, MLP, {name}":
            yield f"digits, MLP, {name}", digits(name, epochs=10 if small else 60), x, y, [0.03, 0.06][small:]
    if small:
        return
    for run_id in verify.with_weights():
        record, found, model = verify.reopened(run_id)
        name = f"{record.config.dataset}, {record.config.model.upper()}, {record.config.method.upper()}"
        if wanted in name:
            yield name, model, found.test_x[:images], found.test_y[:images], [8 / 255]
    if wanted in "digits, CNN, SGD":
        yield "digits, CNN, SGD", digits("CNN", epochs=10), x, y, [0.06]


def official(model: nn.Module, x: Tensor, y: Tensor, eps: float) -> Tensor:
    """Which images stand after AutoAttack's own run."""
    whole = pyautoattack.AutoAttack(model, norm="Linf", eps=eps, seed=0, device=x.device)
    whole.verbose = False
    moved = whole.run_standard_evaluation(x, y, batch_size=len(x))[0]
    with torch.no_grad():
        return model(moved).argmax(1) == y


def row(name: str, model: nn.Module, x: Tensor, y: Tensor, eps: float, cases: int) -> Row:
    """Run all three on the same images."""
    started = time.process_time()
    stands = official(model, x, y, eps)
    alone = time.process_time() - started

    def beside(work: Callable[[], AtRadius]) -> tuple[Cost, AtRadius]:
        started = time.process_time()
        entry = work()
        seconds, robust = time.process_time() - started, torch.tensor(entry.robust)
        missed, found = int((robust & ~stands).sum()), int((stands & ~robust).sum())
        return Cost(round(seconds / alone, 4), missed, found), entry

    quick, _ = beside(lambda: evaluate(model, x, y, eps).at[0])
    certified, left = None, None
    if "MLP" in name and cases:  # the proofs of a convolutional net take longer than any attack
        certified, entry = beside(lambda: evaluate(model, x, y, eps, ladder="standard", certify=cases).at[0])
        proved = torch.tensor(entry.proved)
        assert not bool((proved & ~stands).any()), "AutoAttack has broken an image that was proved"
        left = next(rung.attacked for rung in entry.rungs if rung.label.startswith("AutoAttack"))
    return Row(name, eps, len(x), cases, int(stands.sum()), round(alone, 1), quick, certified, left)


def show(found: Row) -> str:
    """One line of the table."""
    both = [found.quick] + ([found.certified] if found.certified else [])
    costs = "".join(f"{1 / c.ratio:12.1f}{c.missed:7d}{c.found:6d}" for c in both)
    return f"{found.network:26}{found.eps:8.4f}{found.robust:5d}/{found.images}{found.seconds:8.1f}" + costs


def ladder(small: bool, cases: int, wanted: str, images: int) -> None:
    """All rows that the file lacks, printed and written as they come."""
    heads = "".join(f"{head:>12} missed found" for head in ("quick: 1/", "certified: 1/"))
    print(f"{'network':26}{'eps':>8}{'robust':>9}{'AA, s':>8}{heads}", flush=True)
    path = HERE / "certified.json"
    rows = json.loads(path.read_text())["rows"] if path.exists() and not small else []
    warm: Row | None = None
    known = {(row["network"], row["eps"], row["cases"], row["images"]) for row in rows}
    for name, model, x, y, radii in networks(small, wanted, images):
        for eps in radii:
            if (name, eps, cases, images) not in known:
                if not warm:  # what is imported at the first call counts for nobody
                    warm = row(name, model, x[:8], y[:8], eps, cases)
                found = row(name, model, x, y, eps, cases)
                print(show(found), flush=True)
                rows.append(asdict(found))
                if not small:
                    write(rows)


def write(rows: list[dict[str, Any]]) -> None:
    """certified.json: where and when, and the rows."""
    versions = {name: version(name) for name in ("torch", "torchattacks", "pyautoattack")}
    plain = {**about(), "versions": versions, "rows": rows}
    (HERE / "certified.json").write_text(json.dumps(plain, indent=1) + "\n")


def bounds(images: int, units: int = 20) -> None:
    """CROWN's time for a unit's bound, against a linear program for the same bound."""
    digits = data.load("digits")
    network = from_model(models.build("mlp", digits.shape, 10, seed=0).eval(), digits.shape)
    region = Region.around(digits.test_x[:images], 0.06)
    crown(network, region[torch.arange(2)])
    started = time.process_time()
    found = crown(network, region)
    ours = time.process_time() - started
    low, high = (end[:1] for end in found[0])
    both = lines(low, high)
    below, above, lift = (t[0, 0].numpy() for t in (both.below, both.above, both.lift))
    first, second = network.layers[0], network.layers[1]
    W, b, d = first.weight.numpy(), first.bias.numpy(), first.weight.shape[1]
    eye = np.eye(len(b))
    A = np.vstack([np.hstack([below[:, None] * W, -eye]), np.hstack([-above[:, None] * W, eye])])
    rhs = np.concatenate([-below * b, above * b + lift])
    ends = [*zip(region.low[0].tolist(), region.high[0].tolist(), strict=True), *[(None, None)] * len(b)]
    started, worst = time.process_time(), 0.0
    for j in range(units):
        cost = np.concatenate([np.zeros(d), second.weight[j].numpy()])
        value = linprog(cost, A, rhs, bounds=ends, method="highs").fun + float(second.bias[j])
        worst = max(worst, float(found[1][0][0, j]) - value)
    program = (time.process_time() - started) / units
    per_unit = ours / images / 2 / (len(second.bias) + len(network.layers[2].bias))
    print(
        f"CROWN, {images} images: {ours:.2f} s; for one bound {1e6 * per_unit:.0f} us, by a linear program "
        f"{1e6 * program:.0f} us: 1/{program / per_unit:.0f}; bounds differ by {worst:.1e}"
    )


def apgd(images: int, rounds: int) -> None:
    """The quick ladder, in turn with itself on torchattacks' own loop of APGD: time, and every verdict."""
    run_id = next(iter(verify.with_weights()))
    record, found, model = verify.reopened(run_id)
    x, y = found.test_x[:images], found.test_y[:images]
    seen = []

    def ours() -> None:
        seen.append(evaluate(model, x, y, 8 / 255).at[0].robust)

    def theirs() -> None:
        with mock.patch.object(_ladder, "_lean", lambda: torchattacks):
            ours()

    ratio = ratios(theirs, {"ours": ours}, rounds)["ours"]
    assert all(verdicts == seen[0] for verdicts in seen), "an image has another verdict"
    name = f"{record.config.dataset}, {record.config.method.upper()}, {images} images"
    print(f"{name}: the quick ladder takes {ratio} of its time with torchattacks' own loop")


def main() -> None:
    """Print both comparisons, write that of the ladders."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.certified", description=__doc__)
    parser.add_argument("--small", action="store_true", help="a slice; writes nothing")
    parser.add_argument("--only", choices=("ladder", "bounds", "apgd"))
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--network", default="")
    parser.add_argument("--images", type=int, default=IMAGES)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.only == "apgd":
        apgd(options.images, rounds=2 if options.small else 8)
        return
    if options.only != "ladder":
        bounds(100 if options.small else 500)
    if options.only != "bounds":
        ladder(options.small, options.cases, options.network, 20 if options.small else options.images)


if __name__ == "__main__":
    main()
