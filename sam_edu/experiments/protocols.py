"""The protocols of the book: which runs stand behind which chapter.

Each protocol has a base and rows, which map the label that the chapter prints to the settings of a run
(`grids`, `cifar_grids`); ``configs`` makes one RunConfig per label and seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import PurePosixPath
from typing import Any

from sam_edu import _check
from sam_edu.experiments.cifar_grids import (
    CIFAR_FAST,
    CIFAR_FAST_BASE,
    CIFAR_FAST_CPU_BASE,
    CIFAR_FAST_GPU_BASE,
    CIFAR_FAST_SINGLE,
    CIFAR_FAST_STRONGER,
    CIFAR_FAST_STRONGER_BASE,
    CIFAR_SMALL,
    CIFAR_SMALL_BASE,
    PAPER,
    PAPER_BASE,
    QUICK,
    QUICK_BASE,
    TINY,
    TINY_BASE,
)
from sam_edu.experiments.config import RunConfig
from sam_edu.experiments.grids import (
    DIGITS,
    DIGITS_BASE,
    DIGITS_CERTIFIED,
    DIGITS_CERTIFIED_BASE,
    DIGITS_CNN,
    DIGITS_CNN_BASE,
    DIGITS_DECIDED,
    DIGITS_DECIDED_BASE,
    DIGITS_FAMILY,
    DIGITS_FAMILY_BASE,
    DIGITS_LONGEST_BASE,
    DIGITS_SEARCHED_BASE,
    DIGITS_STRONGER,
    FAMILY,
    FAMILY_BASE,
    FASHION,
    FASHION_BASE,
    FASHION_CERTIFIED,
    FASHION_CERTIFIED_BASE,
    FASHION_CNN,
    FASHION_CNN_BASE,
    FASHION_STRONGER,
    STRONGER,
    Protocol,
)

PROTOCOLS: Mapping[str, tuple[dict[str, Any], Protocol]] = {
    "digits": (DIGITS_BASE, DIGITS),
    "fashion-mnist": (FASHION_BASE, FASHION),
    "digits-autoattack": ({**DIGITS_BASE, **STRONGER, "eval_linf": (0.06, 0.1)}, DIGITS_STRONGER),
    "fashion-mnist-autoattack": ({**FASHION_BASE, **STRONGER, "eval_linf": (8 / 255,)}, FASHION_STRONGER),
    "digits-family": (DIGITS_FAMILY_BASE, DIGITS_FAMILY),
    "fashion-mnist-family": (FAMILY_BASE, FAMILY),
    "fashion-mnist-cnn": (FASHION_CNN_BASE, FASHION_CNN),
    "digits-certified": (DIGITS_CERTIFIED_BASE, DIGITS_CERTIFIED),
    "digits-decided": (DIGITS_DECIDED_BASE, DIGITS_DECIDED),
    "digits-searched": (DIGITS_SEARCHED_BASE, DIGITS_CERTIFIED),
    "digits-longest": (DIGITS_LONGEST_BASE, {"AT ε=0.1": DIGITS["AT ε=0.1"]}),
    "fashion-mnist-certified": (FASHION_CERTIFIED_BASE, FASHION_CERTIFIED),
    "digits-cnn": (DIGITS_CNN_BASE, DIGITS_CNN),
    "cifar10-small": (CIFAR_SMALL_BASE, CIFAR_SMALL),
    "cifar10-fast-cpu": (CIFAR_FAST_CPU_BASE, CIFAR_FAST),
    "cifar10-fast-autoattack": (CIFAR_FAST_STRONGER_BASE, CIFAR_FAST_STRONGER),
    "cifar10-fast-float32": (CIFAR_FAST_BASE, CIFAR_FAST),
    "cifar10-fast": (CIFAR_FAST_GPU_BASE, CIFAR_FAST),
    "cifar10": (PAPER_BASE, PAPER),
    "cifar100": ({**PAPER_BASE, "dataset": "cifar100"}, PAPER),
    "cifar10-quick": (QUICK_BASE, QUICK),
    "tiny": (TINY_BASE, TINY),
}


#: How many seeds of a protocol the book has; where none is named: 3.
SEEDS: Mapping[str, int] = {
    "digits": 5,
    "fashion-mnist": 5,
    "digits-autoattack": 1,
    "fashion-mnist-autoattack": 1,
    "cifar10-fast-autoattack": 1,
    "digits-certified": 5,
    "digits-decided": 5,
}

#: Rows of which it has one all the same.
SINGLE: Mapping[str, tuple[str, ...]] = {"cifar10-fast-cpu": CIFAR_FAST_SINGLE}


def seeds_of(name: str) -> int:
    """How many seeds of a protocol the book has, or plans to have; ValueError without such a protocol."""
    _known(name)
    return SEEDS.get(name, 3)


def plan(name: str, seeds: int | None = None) -> dict[str, list[RunConfig]]:
    """The runs of a protocol that the book has or plans to have; with ``seeds`` so many of every row.

    They come as from :func:`configs`. ValueError without such a protocol, or as :func:`count`.
    """
    several = seeds_of(name) if seeds is None else count(seeds)
    single = SINGLE.get(name, ()) if seeds is None else ()
    groups = configs(name, range(several))
    return {label: group[:1] if label in single else group for label, group in groups.items()}


def planned(name: str, seeds: int | None = None) -> int:
    """How many runs :func:`plan` has; errors as there."""
    return sum(map(len, plan(name, seeds).values()))


def count(seeds: Any) -> int:
    """A number of seeds; ValueError if it is less than 1, TypeError if it is no whole number."""
    hint = "" if isinstance(seeds, (int, float)) else "the number of seeds comes first, folders after it"
    return _check.integer("seeds", seeds, low=1, hint=hint)


def _known(name: str) -> None:
    if not isinstance(name, str) or name not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}, got {name!r}")


def configs(name: str, seeds: Iterable[int]) -> dict[str, list[RunConfig]]:
    """Runs of a protocol: label -> one RunConfig per seed.

    Raises
    ------
    ValueError
        If there is no such protocol, or a seed comes twice.
    TypeError
        If ``seeds`` is a single number: write ``range(3)``.
    """
    _known(name)
    base, protocol = PROTOCOLS[name]
    seeds = _check.seeds(seeds)
    return {
        label: [RunConfig(**{**base, **settings, "seed": seed}) for seed in seeds]
        for label, settings in protocol.items()
    }


def place(config: RunConfig) -> PurePosixPath | None:
    """Where the book keeps the record of a run: folder of the protocol, name to read, run id; None: nowhere.

    Examples
    --------
    >>> config = configs("fashion-mnist", seeds=[0])["SAM ρ=0.2"][0]
    >>> print(place(config))
    fashion-mnist/sam-rho0.2-seed0.a5e2182fb58b.json
    """
    return _places(config.seed).get(config.run_id)


@cache
def _places(seed: int) -> dict[str, PurePosixPath]:
    found: dict[str, PurePosixPath] = {}
    for name in PROTOCOLS:
        for label, (config,) in configs(name, [seed]).items():
            words = label.lower().replace(", ", "-").replace(" ", "-").replace("=", "").replace("/", "of")
            for sign, letter in (("ρ", "rho"), ("ε", "eps"), ("γ", "gamma")):
                words = words.replace(sign, letter)
            file = f"{words}-seed{seed}.{config.run_id}.json"
            found.setdefault(config.run_id, PurePosixPath(name, file))
    return found
