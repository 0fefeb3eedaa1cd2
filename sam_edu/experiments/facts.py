"""Numbers in prose that only read records: a sentence names the row and the quantity.

``fashion-mnist: SAM ρ=0.2 - SGD at 8/255`` is the paired difference of two rows in points; the book's role
``{fact}`` shows what :func:`resolve` returns. Rows are named by the labels that readers see in the tables.

::

    PROTOCOL[ (N seeds)| (so far)]: ROW[ - ROW] QUANTITY[, FORM]
    PROTOCOL[ (N seeds)| (so far)]: runs, planned or hours[, FORM]

``(so far)`` is for a protocol whose runs are under way: the records that there are; a difference is over the
seeds that both rows have.

======================  =====================================================================================
quantity
======================  =====================================================================================
``clean``               accuracy without attack, per cent
``at 8/255``            accuracy at this radius, l-infinity, per cent; ``at 0.5 in l2`` in the other norm
``proved at 0.03``      share proved robust at this radius, l-infinity, per cent, of runs with proofs
``on shirt``            accuracy on this class without attack, per cent
``training``            accuracy in training, per cent
``eigenvalue``          largest eigenvalue of the Hessian
``passes``              gradient passes, in units of SGD's
``seeds``               number of seeds
``runs``                number of runs of the whole protocol
``planned``             number of runs that it plans
``hours``               hours that all of them took, training and evaluation
======================  =====================================================================================

FORM is a number format such as ``.0f`` (default ``.1f``, of differences ``+.1f``), ``sd`` for the standard
deviation over the seeds, ``spread`` for mean ± standard deviation, ``min`` or ``max`` of the seeds; of a
difference ``p``, and ``interval`` for its 95 % interval, both over seeds and test images, and ``images`` for
its standard error from the test images alone; a number format may follow such a word: ``sd .2f``.

Examples
--------
>>> resolve("fashion-mnist: SAM ρ=0.2 - SGD at 8/255")
'+14.8'
>>> resolve("fashion-mnist: SGD at 8/255, spread")
'52.5 ± 0.8'
>>> resolve("digits: runs")
'100'
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from sam_edu.experiments import comparison, protocols
from sam_edu.experiments.study import Row, Study, study
from sam_edu.experiments.summary import Spread

_OF = r"(?P<protocol>[\w-]+)(?: \((?:(?P<seeds>\d+) seeds?|(?P<so_far>so far))\))?: "
WHOLE = re.compile(_OF + r"(?P<what>runs|planned|hours)(?:, (?P<form>.+))?")
FACT = re.compile(
    _OF + r"(?P<row>.+?)(?: - (?P<other>.+?))?"
    r" (?P<what>(?:proved )?at (?P<eps>\d+/\d+|[\d.]+)(?P<l2> in l2)?|on (?P<on>.+?)|clean"
    r"|training|eigenvalue|passes|seeds)(?:, (?P<form>.+))?"
)
FORM = re.compile(r"(sd|spread|min|max|p|interval|images)? ?(\+?\.\d[fge]|\+?d)?")


def resolve(fact: str) -> str:
    """The number that a fact names, as prose shows it.

    Raises
    ------
    ValueError
        If the text is no fact, or names a protocol, row, radius or form that there is not.
    """
    found = WHOLE.fullmatch(fact.strip()) or FACT.fullmatch(fact.strip())
    if found is None:
        raise ValueError(f'{fact!r} is no fact; write "PROTOCOL: ROW at RADIUS", as "digits: SGD at 0.1"')
    form = FORM.fullmatch(found["form"] or "")
    if form is None:
        raise ValueError(
            f"{fact!r} ends with an unknown form; known: sd, spread, min, max, p, interval, images, .1f"
        )
    try:
        seeds = int(found["seeds"]) if found["seeds"] else None
        if found["what"] == "planned":  # of runs that are yet to be made there is no record to read
            return _one("planned", protocols.planned(found["protocol"], seeds), "d", form)
        table = _study(found["protocol"], seeds, found["so_far"] is not None)
        if found.re is WHOLE:
            return _whole(table, found["what"], form)
        row = table.labelled(found["row"])
        other = table.labelled(found["other"]) if found["other"] else None
        return _shown(table, row, other, found, form)
    except FileNotFoundError as error:
        hint = f'in a sentence "{found["protocol"]} (so far)" does'
        raise ValueError(f"{fact!r}: {error}; {hint}") from None
    except (KeyError, ValueError) as error:
        raise ValueError(f"{fact!r}: {error.args[0] if error.args else error}") from None


@lru_cache(maxsize=32)
def _study(protocol: str, seeds: int | None, so_far: bool) -> Study:
    return study(protocol, seeds, partial=so_far)


def _whole(table: Study, what: str, form: re.Match[str]) -> str:
    return _one(what, table.hours, ".1f", form) if what == "hours" else _one(what, table.runs, "d", form)


def _one(what: str, number: float, usual: str, form: re.Match[str]) -> str:
    if form[1]:
        raise ValueError(f"of {what} there is one number of the whole protocol")
    return format(number, form[2] or usual)


def _shown(table: Study, row: Row, other: Row | None, found: re.Match[str], form: re.Match[str]) -> str:
    what, kind = found["what"].partition(" ")[0], form[1]
    number = form[2] or ("+.1f" if other and kind in (None, "spread") else ".3f" if kind == "p" else ".1f")
    plain: dict[str, Callable[[Row], float]] = {
        "eigenvalue": lambda r: r.eigenvalue,
        "passes": table.cost,
        "seeds": lambda r: len(r.records),
    }
    if what in plain:
        if kind or other:
            raise ValueError(f"of {what} there is one number of one row only")
        return format(plain[what](row), form[2] or ("d" if what == "seeds" else number))
    if what in ("training", "on", "proved"):
        if other or kind not in (None, "sd", "spread"):
            raise ValueError(f"of {found['what']} there is a mean over the seeds of one row only")
        if what == "training":
            return _percent(row.training, kind, number)
        if what == "proved":
            return _percent(row.proved(_radius(found["eps"]), _norm(found)), kind, number)
        at = table.class_index(found["on"])
        own = [row.of([seed]).per_class()[at] for seed in row.seeds]
        return _percent(Spread.of(own), kind, number)
    eps, norm = _radius(found["eps"]), _norm(found)
    if other is not None:
        row, other = row.paired(other)
    if kind in ("min", "max"):
        values = row.values(eps, norm) - (0 if other is None else other.values(eps, norm))
        return format(100 * (values.min() if kind == "min" else values.max()), number)
    if other is None:
        if kind in ("p", "interval", "images"):
            raise ValueError(f"{kind} belongs to a difference: ROW - ROW")
        return _percent(row.at(eps, norm), kind, number)
    if kind == "p":
        return format(row.versus(other, eps, norm).p, number)
    if kind == "interval":
        ends = row.versus(other, eps, norm).interval()
        return " to ".join(format(100 * end, form[2] or "+.1f") for end in ends)
    if kind == "images":
        return format(100 * comparison.image_error(row.records, other.records, eps, norm), number)
    return _percent(row.minus(other, eps, norm), kind, number)


def _norm(found: re.Match[str]) -> str:
    return "l2" if found["l2"] else "linf"


def _percent(value: Spread, kind: str | None, number: str) -> str:
    if kind in ("sd", "spread") and value.n == 1:
        raise ValueError("one seed has no standard deviation")
    mean, sd = format(100 * value.mean, number), format(100 * value.sd, number.removeprefix("+"))
    if kind == "spread":
        return f"{mean} ± {sd}"
    return sd if kind == "sd" else mean


def _radius(text: str | None) -> float:
    if text is None:
        return 0.0
    numerator, _, denominator = text.partition("/")
    if denominator and not float(denominator):
        raise ValueError(f"{text} is no radius")
    return float(numerator) / float(denominator or 1)
