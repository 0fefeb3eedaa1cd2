"""One row against its rivals at several radii: a comparison fixed in advance, whose tests are one family.

::

    found = leads.of(sam, (sgd, control), (1 / 255, 2 / 255))
    found.shown()               # the leads that are beyond chance after the correction
    found.table()
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sam_edu import _check, plots
from sam_edu._text import p_value, pixels
from sam_edu.experiments import comparison
from sam_edu.experiments.row import Row, by_label
from sam_edu.experiments.uncertainty import Estimate
from sam_edu.measured import same_radius


@dataclass(frozen=True)
class Lead:
    """A row minus one rival at one radius of the attack; ``p`` is corrected over the whole family."""

    rival: Row
    eps: float
    difference: Estimate
    p: float


@dataclass(frozen=True)
class Leads:
    """What :func:`of` finds: for each rival one lead at each radius, in the order given."""

    row: Row
    norm: str
    found: tuple[Lead, ...]

    def shown(self, level: float = 0.05) -> list[Lead]:
        """Those that are beyond chance: above the rival on average, with a corrected p below ``level``.

        ValueError if that is not from 0 to 1.
        """
        level = _check.level(level)
        return [lead for lead in self.found if lead.difference.mean > 0 and lead.p < level]

    def table(self) -> plots.Shown:
        """A line per rival and radius: the difference in points, its 95 % interval, the corrected p."""
        name = {"linf": "ℓ∞", "l2": "ℓ2"}[self.norm]
        return plots.show_table(
            {
                "rival": [lead.rival.label for lead in self.found],
                f"ε ({name})": [pixels(lead.eps) for lead in self.found],
                "points": [f"{100 * lead.difference.mean:+.1f}" for lead in self.found],
                "95 % interval": [lead.difference.points() for lead in self.found],
                "p": [p_value(lead.p) for lead in self.found],
            },
            f"{self.row.label} minus its rivals, paired. Intervals are over seeds and test images; p: "
            f"two-sided, Holm-corrected over these {len(self.found)} tests.",
        )


def of(row: Row, rivals: Iterable[Row], radii: Iterable[float], norm: str = "linf") -> Leads:
    """A row minus each rival at each radius, over the seeds that both have; all tests corrected together.

    Raises
    ------
    ValueError
        Without rivals or radii, if two rivals share a label or one is the row itself, if a rival or a radius
        comes twice, and as :meth:`sam_edu.experiments.row.Row.versus`.
    KeyError
        If a row was not attacked at one of the radii.
    TypeError
        If there is a single row or radius in place of several.
    """
    given, radii = _check.listed("rivals", rivals, "write of(row, [rival], [8 / 255])"), _check.radii(radii)
    named = by_label(given)
    if not named or not radii:
        raise ValueError("leads need a rival and a radius at least: of(row, [rival, ...], [8 / 255, ...])")
    if row in named.values():
        raise ValueError(f"{row.label} is among its own rivals")
    twice = [pixels(eps) for n, eps in enumerate(radii) if any(same_radius(eps, e) for e in radii[:n])]
    if twice or len(named) < len(given):
        raise ValueError(f"each lead is tested once: {', '.join(twice) or 'a rival'} comes twice")
    pairs = [(rival, eps) for rival in named.values() for eps in radii]
    tests = [row.versus(rival, eps, norm) for rival, eps in pairs]
    ps = comparison.holm([test.p for test in tests])
    found = (Lead(*pair, test, p) for pair, test, p in zip(pairs, tests, ps, strict=True))
    return Leads(row, norm, tuple(found))
