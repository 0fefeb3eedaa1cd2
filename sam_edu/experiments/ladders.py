"""What the rungs of the ladder say: by how much one attack flatters, what the last one breaks, and doubts.

:func:`~sam_edu.evaluation.evaluate` attacks with a ladder; a rung meets the images that all rungs before it
left standing. The records keep the accuracy after each rung, and the sanity checks' flags.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sam_edu import plots
from sam_edu._text import pixels, span
from sam_edu.experiments import summary
from sam_edu.experiments.row import Row, by_label
from sam_edu.measured import AtRadius, EvaluationRecord, RungResult

PGD = "PGD-20"  # the attack that many papers stop at
TRIES = re.compile(r" (x\d+|\(.*\))$")  # at the end of a label: restarts, queries, steps


def met(row: Row, eps: float, norm: str = "linf", seed: int = 0) -> AtRadius:
    """What the network of one seed met at radius ``eps``: rungs, verdicts, interval.

    Raises
    ------
    ValueError
        If the row has no run with this seed, or this was not attacked in this norm.
    KeyError
        If the run was not attacked at this radius.
    """
    return summary.evaluation(row.of([seed]).records[0], norm).entry(eps)


def rung(entry: AtRadius, name: str) -> RungResult:
    """The rung of this label, in full or without its number of tries; or the only one that begins with it.

    ``"PGD-20"`` is the rung "PGD-20" or "PGD-20 x5", whether or not there is a "PGD-20 margin x5".

    Raises
    ------
    ValueError
        If there is none, or if several begin with ``name`` and it is the label of none.
    """
    called: tuple[Callable[[str], bool], ...] = (
        lambda label: label == name,
        lambda label: TRIES.sub("", label) == name,
        lambda label: label.startswith(name),
    )
    for fits in called:
        found = [step for step in entry.rungs if fits(step.label)]
        if len(found) == 1:
            return found[0]
    there = ", ".join(step.label for step in entry.rungs) or "none"
    if not found:
        raise ValueError(f"no rung begins with {name!r}; the rungs: {there}")
    raise ValueError(f"{len(found)} rungs begin with {name!r}; name one of them in full: {there}")


def ending(entry: AtRadius, name: str, where: str) -> tuple[RungResult, list[RungResult]]:
    """The rungs at the end whose labels begin with ``name``, and before them the last one of the others.

    Raises
    ------
    ValueError
        If the ladder does not end with such a rung, if all are such, or one stands before others; the
        message begins with ``where``.
    """
    last = [step for step in entry.rungs if step.label.startswith(name)]
    before = len(entry.rungs) - len(last)
    if not last or not before or entry.rungs[before:] != last:
        labels = [step.label for step in entry.rungs]
        raise ValueError(f"{where}: the ladder must end with {name!r}, after others; it is {labels}")
    return entry.rungs[before - 1], last


def overstated(entry: AtRadius, name: str = PGD) -> float:
    """By how much a rung overstates robust accuracy: after it, minus after the whole ladder.

    It is named, and errors are, as in :func:`rung`.
    """
    return rung(entry, name).accuracy - entry.rungs[-1].accuracy


def table(rows: Iterable[Row], eps: float, norm: str = "linf", seed: int = 0) -> plots.Shown:
    """Accuracy of one seed in per cent after each rung at radius ``eps``, one column per row.

    Raises
    ------
    ValueError, KeyError
        As :func:`met`; ValueError without rows, if two have the same label, or if they met ladders of
        different attacks.
    """
    found = {label: met(row, eps, norm, seed) for label, row in by_label(rows).items()}
    if not found:
        raise ValueError("a table of rungs needs a row at least, got none")
    after = {
        label: {step.label: f"{100 * step.accuracy:.1f}" for step in entry.rungs}
        for label, entry in found.items()
    }
    longest = max((list(own) for own in after.values()), key=len)
    for label, own in after.items():
        if not set(own) <= set(longest):
            raise ValueError(f"{label} met another ladder: {', '.join(own)} instead of {', '.join(longest)}")
    columns = {"after": longest}
    columns |= {label: [own.get(name, "–") for name in longest] for label, own in after.items()}
    images = span(len(entry.robust) for entry in found.values())
    return plots.show_table(
        columns,
        f"Accuracy in per cent of seed {seed} at {pixels(eps)} after each rung of the ladder, on {images} "
        "images. –: the record is older than this rung.",
    )


def _evaluations(rows: Iterable[Row]) -> list[tuple[str, EvaluationRecord]]:
    """Label and evaluation of every run, in both norms; ValueError if two rows share a label."""
    runs = [(label, run) for label, row in by_label(rows).items() for run in row.records]
    return [(label, e) for label, run in runs for e in (run.linf, run.l2) if e]


@dataclass(frozen=True)
class Flags:
    """What the sanity checks raised, by row; rows without a flag are left out. As text, a line per row."""

    evaluations: int
    raised: Mapping[str, list[str]]

    def __len__(self) -> int:
        return sum(map(len, self.raised.values()))

    def __str__(self) -> str:
        lines = [
            f"{label}: {len(found)} flags, such as: {min(found, key=len)}"
            for label, found in self.raised.items()
        ]
        return "\n".join(lines) or "no flags"


def flags(rows: Iterable[Row]) -> Flags:
    """Flags of all evaluations of these rows.

    Raises
    ------
    ValueError
        If there is none: nobody looked for doubts. If two rows have the same label.

    Examples
    --------
    >>> from sam_edu.experiments import study
    >>> found = flags(study("digits", seeds=2))
    >>> found.evaluations, len(found)
    (40, 1)
    """
    evaluations = _evaluations(rows)
    if not evaluations:
        raise ValueError("flags are those of evaluations, and these rows have none")
    raised: dict[str, list[str]] = {}
    for label, evaluation in evaluations:
        if evaluation.flags:
            raised.setdefault(label, []).extend(evaluation.flags)
    return Flags(len(evaluations), raised)


@dataclass(frozen=True)
class LastRung:
    """What the end of the ladder does after all other rungs: one rung, or several of one name together.

    Attributes
    ----------
    met : int
        Images that stood before it, over all runs, norms and radii.
    broken : dict
        How many of them it broke, by row; rows where it broke none are left out.
    most : float
        The largest share of the test images that it broke at one radius of one run.
    """

    met: int
    broken: Mapping[str, int]
    most: float


def last_rung(rows: Iterable[Row], name: str) -> LastRung:
    """What the rungs whose labels begin with ``name`` break together; every ladder has to end with them.

    ``"Square"`` is one rung, ``"AutoAttack"`` the four of the official AutoAttack.

    Raises
    ------
    ValueError
        If a ladder does not end so, after other rungs (:func:`ending`); if there is no ladder; if two rows
        have the same label.

    Examples
    --------
    >>> from sam_edu.experiments import study
    >>> last_rung(study("cifar10-fast-autoattack"), "AutoAttack").broken["SGD"]
    3
    """
    images, broken, most = 0, dict[str, int](), 0.0
    ladders = [(label, e.n, entry) for label, e in _evaluations(rows) for entry in e.attacked]
    if not ladders:
        raise ValueError("there is no ladder: these rows were not attacked")
    for label, n, entry in ladders:
        before, last = ending(entry, name, label)
        share = before.accuracy - last[-1].accuracy
        images, most = images + last[0].attacked, max(most, share)
        broken[label] = broken.get(label, 0) + round(share * n)
    return LastRung(images, {label: count for label, count in broken.items() if count}, most)
