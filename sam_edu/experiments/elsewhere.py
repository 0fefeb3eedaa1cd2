"""Does it hold elsewhere? The same comparison in several experiments, corrected for their number together.

Experiments are a mapping from a name to a study and the radii of the attack to judge at::

    experiments = {
        "digits, MLP": (study("digits", seeds=5), 0.1),
        "CIFAR-10": (study("cifar10-small", seeds=3), 2 / 255, 8 / 255),
    }
    families = elsewhere.compare(experiments)       # SAM, SGD's other settings and AT, at each of these radii

One more experiment is one more line.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sam_edu import _check, plots
from sam_edu._text import p_value, pixels
from sam_edu.experiments import comparison
from sam_edu.experiments.gains import gains
from sam_edu.experiments.study import Study
from sam_edu.experiments.summary import Spread
from sam_edu.experiments.uncertainty import Estimate
from sam_edu.measured import same_radius

Experiments = Mapping[str, tuple[Study, *tuple[float, ...]]]


@dataclass(frozen=True)
class Place:
    """The families of one experiment, at one radius of the attack.

    Attributes
    ----------
    gains : family -> what it gains over SGD at ``eps`` (:meth:`~sam_edu.experiments.study.Study.gains`)
    clean : family -> how the two rows that the halves of the images choose change clean accuracy, on average;
        nan where rows tie, so that nothing is chosen
    lead : one family minus another at ``eps``, each half of the images judged by what the other half chose
    p : of that lead, Holm-corrected over all places
    """

    experiment: str
    eps: float
    gains: Mapping[str, Spread]
    clean: Mapping[str, float]
    lead: Estimate
    p: float


@dataclass(frozen=True)
class Families:
    """What :func:`compare` finds: families of rows at several places, ``families[name]`` is one of these.

    The difference that is tested is that of ``pair``, first minus second.
    """

    places: Mapping[str, Place]
    studies: tuple[Study, ...]
    pair: tuple[str, str]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, name: str) -> Place:
        if name not in self.places:
            raise KeyError(f"no place is called {name!r}; there are {', '.join(self.places)}")
        return self.places[name]

    def ahead(self, margin: float = 0.0) -> list[str]:
        """Places where the first of the pair leads by more than ``margin`` (0.01 is one point)."""
        return [name for name, place in self.places.items() if place.lead.mean > margin]

    def behind(self, margin: float = 0.0) -> list[str]:
        """Places where it trails by more than ``margin``."""
        return [name for name, place in self.places.items() if place.lead.mean < -margin]

    def sure(self, names: Iterable[str], level: float = 0.05) -> list[str]:
        """Those of the places where the difference is beyond chance after the correction.

        ValueError if ``level`` is not from 0 to 1, KeyError if there is no such place.
        """
        level = _check.level(level)
        return [name for name in names if self[name].p < level]

    def experiments(self, names: Iterable[str]) -> set[str]:
        """The experiments that the places belong to: one that is judged at two radii counts once."""
        return {self[name].experiment for name in names}

    def figure(self, title: str, **size: Any) -> plots.Shown:
        """The gains of all families as :func:`~sam_edu.experiments.gains.gains` draws them.

        The table has the differences, too.
        """
        first, second = self.pair
        found, leads = self.places.values(), [place.lead for place in self.places.values()]
        return gains(
            {name: place.gains for name, place in self.places.items()},
            self.studies,
            title,
            "Each family's row, where it has several, was chosen on one half of the test images and judged "
            "on the other. Bars: standard deviation over the seeds; the table has their number, the change "
            f"of clean accuracy, and {first} minus {second} with its interval over seeds and images and p-"
            f"values, Holm-corrected over these {len(leads)}. –: nothing is left to compare or choose by.",
            seeds=True,
            columns={
                f"{first} minus {second}": [f"{100 * lead.mean:+.1f}" for lead in leads],
                "95 % interval": [lead.points() for lead in leads],
                "p": [p_value(place.p) for place in found],
                f"clean: {', '.join(next(iter(found)).clean)}": [
                    ", ".join("–" if math.isnan(c) else f"{100 * c:+.1f}" for c in place.clean.values())
                    for place in found
                ],
            },
            **size,
        )


def compare(experiments: Experiments, pair: tuple[str, str] = ("SAM", "control")) -> Families:
    """The families of each experiment (:attr:`~sam_edu.experiments.study.Study.families`) against each other.

    Parameters
    ----------
    experiments : mapping from names to (study, radius, ...)
        With several radii each is a place of its own, called ``"name, 8/255"``.
    pair : (str, str)
        The families whose difference is tested, first minus second.

    Raises
    ------
    ValueError
        Without experiments or radii, if two places have the same name or are the same runs at the same
        radius, if ``pair`` is not two families, if a family has no row, or if rows of a study have different
        seeds or a single one.
    TypeError
        If they are no mapping, or an experiment is not a study and then numbers.
    KeyError
        If a study has no row SGD.
    """
    if isinstance(experiments, Mapping) and not experiments:
        raise ValueError("there is nothing to compare: experiments is empty")
    found: dict[str, tuple[str, Study, float]] = {}
    for experiment, study, radii in judged(experiments):
        _can_be_judged(experiment, study, pair)
        for eps in radii:
            name = experiment if len(radii) == 1 else f"{experiment}, {pixels(eps)}"
            if name in found:
                raise ValueError(f"two places are called {name!r}; give each a name and a radius of its own")
            found[name] = experiment, study, eps
    leads = [_lead(study, eps, pair) for _, study, eps in found.values()]
    ps = comparison.holm([lead.p for lead in leads])
    places = {
        name: Place(experiment, eps, study.gains(eps), _clean(study, eps), lead, p)
        for (name, (experiment, study, eps)), lead, p in zip(found.items(), leads, ps, strict=True)
    }
    return Families(places, tuple(dict.fromkeys(study for _, study, _ in found.values())), pair)


def with_radii(given: Any, name: str = "") -> tuple[Study, tuple[float, ...]]:
    """What stands for one experiment, ``(study, radius, ...)``: its study and the radii to judge at.

    The message of an error begins with ``name`` (default: the study).

    Raises
    ------
    ValueError
        Without a radius, or if one is negative.
    TypeError
        If the first is no study, or a radius is no number.
    """
    study, *radii = given if isinstance(given, (tuple, list)) and given else (given,)
    where, write = name or repr(study), 'write (study("digits"), 2 / 255, 8 / 255)'
    if not isinstance(study, Study):
        raise TypeError(f"{where}: a study comes first and its radii after it, got {given!r}; {write}")
    if not radii:
        raise ValueError(f"{where}: a radius to judge at is missing; write (study, 8 / 255)")
    return study, tuple(_check.number(f"{where}: a radius", eps, low=0, hint=write) for eps in radii)


def judged(experiments: Experiments, every: bool = False) -> list[tuple[str, Study, tuple[float, ...]]]:
    """Name, study and radii of each experiment; with ``every`` all that its study was attacked at.

    Raises
    ------
    ValueError, TypeError
        As :func:`with_radii`; ValueError, too, if two experiments judge the same runs at the same radius:
        one difference would count as two.
    """
    if not isinstance(experiments, Mapping):
        raise TypeError(f'experiments is a mapping, {{"digits": (digits, 0.1)}}, got {experiments!r}')
    found: list[tuple[str, Study, tuple[float, ...]]] = []
    for name, given in experiments.items():
        study, radii = with_radii(given, name)
        radii = tuple(study.radii()) if every else radii
        for other, before, theirs in found:
            same = [eps for eps in radii if any(same_radius(eps, their) for their in theirs)]
            if same and _runs(study) == _runs(before):
                raise ValueError(
                    f"{other} and {name} are the same runs at the same radius, {pixels(same[0])}: each "
                    "difference is tested once; leave one of them out"
                )
        found.append((name, study, radii))
    return found


def _runs(study: Study) -> set[str]:
    return {record.config.run_id for row in study for record in row.records}


def _can_be_judged(name: str, study: Study, pair: tuple[str, str]) -> None:
    families = study.families
    if isinstance(pair, str) or len(pair) != 2:
        raise ValueError(f"pair must name two families of {', '.join(families)}, got {pair!r}")
    unknown = [kind for kind in pair if kind not in families]
    if pair[0] == pair[1]:
        raise ValueError(f"pair must name two families, got {pair[0]!r} twice")
    if unknown:
        raise ValueError(f"pair must name two of {', '.join(families)}, got {unknown[0]!r}")
    for kind, rows in families.items():
        if not rows:
            raise ValueError(f"{name}: no row of the family {kind}; a comparison needs one of each")
    compared = [study.row("sgd"), *(row for rows in families.values() for row in rows)]
    comparison.check_seeds({row.label: row.records for row in compared}, name)
    if len(study.row("sgd").records) < 2:
        raise ValueError(f"{name}: a comparison needs two seeds at least, got one")


def _lead(study: Study, eps: float, pair: tuple[str, str]) -> Estimate:
    first, second = (study.held_out_verdicts(study.families[kind], eps, eps) for kind in pair)
    return Estimate.of(first - second)


def _clean(study: Study, eps: float) -> dict[str, float]:
    sgd = study.row("sgd")
    found = {}
    for kind, rows in study.families.items():
        halves = comparison.choose({row.label: row.records for row in rows}, eps)
        changes = [study.labelled(half.label).minus(sgd, 0).mean for half in halves]
        found[kind] = math.nan if any(half.tied for half in halves) else float(np.mean(changes))
    return found
