"""Does any attack enter a region that was proved? A hundred thousand of them and more are tried.

python -m benchmarks.soundness          some minutes; writes benchmarks/soundness.json
python -m benchmarks.soundness --small  a slice in seconds; writes nothing

A triple is an image, a radius and a network; the radii of a network are shares of the distance at which the
median image falls if the network were linear there. What is proved meets every attack of the quick ladder,
random points and corners. The same attacks at twice the radius show that they are no toys.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.honest import fit
from benchmarks.timing import about
from sam_edu import _ladder, _sanity, attacks, data, models
from sam_edu._balls import Ball
from sam_edu.certify import certify

HERE = Path(__file__).parent
SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8)
FEW = (0.2, 0.5, 0.65)  # for the slower networks, and for a slice
SEARCHED, TWICE = 0.5, 0.65  # here the complete search helps; here the radius is doubled afterwards
CASES = 10  # of that search, for an image
NORMS = ("linf", "l2")
POINTS = 20  # random ones, and as many corners


@dataclass
class Tally:
    """What happened to the triples of one family of networks."""

    networks: int = 0
    triples: int = 0
    proved: int = 0
    by_search: int = 0
    entered: int = 0
    tried_at_twice: int = 0
    entered_at_twice: int = 0


def plane(seed: int, images: int) -> tuple[nn.Module, Tensor, Tensor]:
    """An untrained MLP on two to seven pixels, some of them black or white; right by definition."""
    torch.manual_seed(seed)
    pixels, depth = 2 + seed % 6, 1 + seed % 3
    model = models.mlp(pixels, 3 + seed % 3, [8 + 4 * (seed % 4)] * depth).eval()
    x = (1.4 * torch.rand(images, 1, 1, pixels) - 0.2).clamp(0, 1)
    return model, x, model(x).detach().argmax(1)


def untrained(name: str, seed: int, images: int) -> tuple[nn.Module, Tensor, Tensor]:
    """A network of the book with random weights, on digits."""
    digits = data.load("digits")
    model, x = models.build(name, digits.shape, 10, width=3, seed=seed), digits.test_x[:images]
    with torch.no_grad():
        model.train()(digits.train_x[:200])  # BatchNorm gets statistics
    return model.eval(), x, model(x).detach().argmax(1)


def trained(name: str, attack: attacks.PGD | None, images: int) -> tuple[nn.Module, Tensor, Tensor]:
    """The same, trained on digits, plainly or on attacked images."""
    digits = data.load("digits")
    model, x, y = models.build(name, digits.shape, 10, width=3, seed=0), digits.train_x, digits.train_y
    fit(model, x, y)
    if attack is not None:
        fit(model, attack(model, x, y), y)
    return model.eval(), digits.test_x[:images], digits.test_y[:images]


def networks(small: bool) -> Iterator[tuple[str, nn.Module, Tensor, Tensor]]:
    """Family, network, images, labels."""
    for seed in range(2 if small else 12):
        yield "random MLP, 2 to 7 pixels", *plane(seed, 100 if small else 650)
    if small:
        yield "random cnn, 64 pixels", *untrained("cnn", 0, 10)
        return
    for name in ("mlp", "cnn", "cnn-nobn"):
        yield f"random {name}, 64 pixels", *untrained(name, 0, 60)
        for attack in (None, attacks.PGD(0.1, steps=3)):
            yield f"trained {name}, digits", *trained(name, attack, 60)


def typical(model: nn.Module, x: Tensor, y: Tensor, norm: str) -> float:
    """The median, over images, of margin over the dual norm of its gradient."""
    x = x.clone().requires_grad_()
    margin = -attacks.margin_loss(model(x), y)
    (slope,) = torch.autograd.grad(margin.sum(), x)
    size = slope.flatten(1).norm(p=1 if norm == "linf" else 2, dim=1)
    return float((margin.detach() / size.clamp_min(1e-12))[margin > 0].median())


def entered(model: nn.Module, x: Tensor, y: Tensor, eps: float, norm: str, seed: int) -> Tensor:
    """Which balls some attack enters: (n,) bool."""
    fallen = torch.zeros(len(x), dtype=torch.bool)
    logits = model(x).detach()
    for rung in _ladder.build("quick", norm, logits.shape[1], seed, _ladder.scale(logits)):
        left = ~fallen
        if left.any():
            moved = rung.attack(model, x[left], y[left], eps).detach()
            _sanity.check_in_ball(rung.label, x[left], moved, eps, norm)
            fallen[left] = model(moved).detach().argmax(1) != y[left]
    ball, draw = Ball(norm, x, eps, (0.0, 1.0)), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for i in range(2 * POINTS):
            point = ball.random_point(draw)
            if i % 2:  # a corner of the cube; a point of the sphere
                away = point - x
                away = away.sign() if norm == "linf" else away / away.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
                point = ball.project(x + 2 * eps * torch.nan_to_num(away))
            fallen |= model(point).argmax(1) != y
    return fallen


def measure(small: bool = False) -> dict[str, Tally]:
    """Certify, attack, count."""
    found: dict[str, Tally] = {}
    for number, (family, model, x, y) in enumerate(networks(small)):
        tally = found.setdefault(family, Tally())
        tally.networks += 1
        for norm in NORMS:
            unit = typical(model, x, y, norm)
            for share in FEW if small or x[0].numel() > 7 else SHARES:
                _one(tally, model, x, y, share, share * unit, norm, number)
    return found


def _one(
    tally: Tally, model: nn.Module, x: Tensor, y: Tensor, share: float, eps: float, norm: str, seed: int
) -> None:
    """One radius of one network, added to its family's tally."""
    verdict = certify(model, x, y, eps, norm, CASES if share == SEARCHED else 0)
    safe = verdict.proved
    tally.triples += len(x)
    tally.proved += int(safe.sum())
    tally.by_search += int((safe & (verdict.cases > 0)).sum())
    if safe.any():
        tally.entered += int(entered(model, x[safe], y[safe], eps, norm, seed).sum())
    if safe.any() and share == TWICE:
        tally.tried_at_twice += int(safe.sum())
        tally.entered_at_twice += int(entered(model, x[safe], y[safe], 2 * eps, norm, seed).sum())


def total(found: dict[str, Tally]) -> Tally:
    """All families together."""
    rows = [asdict(tally) for tally in found.values()]
    return Tally(**{name: sum(row[name] for row in rows) for name in rows[0]})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soundness", description=__doc__)
    parser.add_argument("--small", action="store_true", help="a slice; writes nothing")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.process_time()
    found = measure(options.small)
    rows = {**found, "all": total(found)}
    print(f"{'':28}" + "".join(f"{name:>17}" for name in asdict(Tally())))
    for family, tally in rows.items():
        print(f"{family:28}" + "".join(f"{value:17,}" for value in asdict(tally).values()))
    if not options.small:
        head = {
            **about(),
            "torch": torch.__version__,
            "minutes": round((time.process_time() - started) / 60, 1),
            "cases": CASES,
        }
        plain = {**head, "families": {name: asdict(tally) for name, tally in rows.items()}}
        (HERE / "soundness.json").write_text(json.dumps(plain, indent=1) + "\n")


if __name__ == "__main__":
    main()
