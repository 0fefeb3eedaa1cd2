"""Do the certificates agree with Marabou, another group's complete verifier? Verdicts and bounds, one run.

    pip install --no-deps --target FOLDER maraboupy==2.0.0    it needs nothing else for this
    PYTHONPATH=FOLDER:. python -m benchmarks.marabou [--images 12]     writes benchmarks/marabou.json

A small MLP (64-12-12-10) on digits. For each image and radius Marabou is asked, class by class, whether a
point of the region exists where that class's logit is at least the right one's (Katz et al., The Marabou
framework, CAV 2019; Wu et al., Marabou 2.0, CAV 2024, arXiv 2401.14461). ``certify`` answers with its
own search. Then the bounds of the hidden units: those of Marabou (DeepPoly) against ``crown``.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.honest import fit
from benchmarks.timing import about
from sam_edu import data, models
from sam_edu.certify import Network, Region, certify, crown, from_model

HERE = Path(__file__).parent
HIDDEN, RADII, SECONDS = (12, 12), (0.02, 0.05, 0.1), 30


def core() -> Any:
    """Marabou's Python binding."""
    try:
        from maraboupy import MarabouCore
    except ImportError:
        raise ImportError(
            "this benchmark needs Marabou; install it without its pins: pip install --no-deps "
            "--target FOLDER maraboupy==2.0.0, and put FOLDER on PYTHONPATH"
        ) from None
    return MarabouCore


def query(network: Network, region: Region) -> tuple[Any, list[list[int]], list[int]]:
    """The network over the region of one image: Marabou's query, variables before each ReLU, the logits."""
    marabou, sizes = core(), network.hidden
    found = marabou.InputQuery()
    count, wide = region.low.shape[1], len(network.layers[-1].bias)
    found.setNumberOfVariables(count + 2 * sum(sizes) + wide)
    for i, (low, high) in enumerate(zip(region.low[0].tolist(), region.high[0].tolist(), strict=True)):
        found.setLowerBound(i, low)
        found.setUpperBound(i, high)
        found.markInputVariable(i, i)
    below, free, before = list(range(count)), count, []
    for k, layer in enumerate(network.layers):
        here = list(range(free, free + len(layer.bias)))
        free += len(here)
        for variable, weights, bias in zip(here, layer.weight.tolist(), layer.bias.tolist(), strict=True):
            equation = marabou.Equation()
            for weight, source in zip(weights, below, strict=True):
                equation.addAddend(weight, source)
            equation.addAddend(-1.0, variable)
            equation.setScalar(-bias)
            found.addEquation(equation)
        if k < len(sizes):
            before.append(here)
            below = list(range(free, free + len(here)))
            free += len(here)
            for source, target in zip(here, below, strict=True):
                marabou.addReluConstraint(found, source, target)
    for i, variable in enumerate(here):
        found.markOutputVariable(variable, i)
    return found, before, here


def options() -> Any:
    """Quiet, with a limit of time; DeepPoly is Marabou's default for bounds."""
    chosen = core().Options()
    chosen._verbosity, chosen._timeoutInSeconds = 0, SECONDS
    return chosen


def verdict(network: Network, region: Region, label: int) -> str:
    """Broken where Marabou finds a point for some class, proved where it finds none for any."""
    answers = []
    for other in range(len(network.layers[-1].bias)):
        if other == label:
            continue
        asked, _, logits = query(network, region)
        equation = core().Equation(core().Equation.GE)  # the other logit is at least the right one's
        equation.addAddend(1.0, logits[other])
        equation.addAddend(-1.0, logits[label])
        equation.setScalar(0.0)
        asked.addEquation(equation)
        answers.append(core().solve(asked, options(), "")[0])
        if answers[-1] == "sat":
            return "broken"
    return "proved" if set(answers) == {"unsat"} else "undecided"


def widest_gap(network: Network, region: Region) -> tuple[float, float]:
    """How far a bound of a hidden unit before its ReLU is outside of Marabou's, and how far inside."""
    asked, before, _ = query(network, region)
    theirs = core().calculateBounds(asked, options(), "")[1]
    outside, inside = 0.0, 0.0
    for (low, high), variables in zip(crown(network, region), before, strict=False):
        for j, variable in enumerate(variables):
            least, most = theirs[variable]
            gaps = (least - float(low[0, j]), float(high[0, j]) - most)
            outside, inside = max(outside, *gaps), max(inside, -gaps[0], -gaps[1])
    return outside, inside


def measure(images: int) -> dict[str, Any]:
    """Verdicts and bounds on the first images that the network gets right."""
    digits = data.load("digits")
    torch.manual_seed(0)
    model = fit(models.mlp(64, 10, list(HIDDEN)), digits.train_x, digits.train_y)
    right = (model(digits.test_x).argmax(1) == digits.test_y).nonzero().flatten()[:images]
    x, y = digits.test_x[right], digits.test_y[right]
    network, rows, gaps = from_model(model, x.shape[1:]), [], []
    for eps in RADII:
        started = time.process_time()
        ours = certify(model, x, y, eps, cases=20_000).verdicts()
        seconds, started = time.process_time() - started, time.process_time()
        region: Region = Region.around(x, eps)
        theirs = [verdict(network, region[torch.tensor([i])], int(y[i])) for i in range(len(x))]
        rows.append(_row(eps, ours, theirs, seconds, time.process_time() - started))
        gaps += [widest_gap(network, region[torch.tensor([i])]) for i in range(len(x))]
    outside, inside = (max(gap[i] for gap in gaps) for i in (0, 1))
    return {"images": len(x), "hidden": HIDDEN, "radii": rows, "outside": outside, "inside": inside}


def _row(eps: float, ours: list[str], theirs: list[str], seconds: float, marabou: float) -> dict[str, Any]:
    pairs = list(zip(ours, theirs, strict=True))
    return {
        "eps": eps,
        "proved by both": pairs.count(("proved", "proved")),
        "broken by both": pairs.count(("broken", "broken")),
        "contradictions": sum({a, b} == {"proved", "broken"} for a, b in pairs),
        "undecided here": ours.count("undecided"),
        "undecided by Marabou": theirs.count("undecided"),
        "seconds": round(seconds, 2),
        "seconds of Marabou": round(marabou, 2),
    }


def main() -> None:
    """Print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.marabou", description=__doc__)
    parser.add_argument("--images", type=int, default=12)
    images = parser.parse_args().images
    torch.set_num_threads(1)
    found = measure(images)
    try:
        marabou = version("maraboupy")
    except PackageNotFoundError:
        marabou = "unknown"
    plain = {**about(), "maraboupy": marabou, **found}
    print(json.dumps(plain, indent=1))
    (HERE / "marabou.json").write_text(json.dumps(plain, indent=1) + "\n")


if __name__ == "__main__":
    main()
