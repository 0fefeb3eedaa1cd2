"""Numbers and labels as readers write them."""

from __future__ import annotations

import re
from collections.abc import Iterable


def pixels(eps: float) -> str:
    """A radius in pixel units, exact where it is one of grey levels: "8/255", "0.1".

    Examples
    --------
    >>> pixels(8 / 255), pixels(0.1), pixels(0)
    ('8/255', '0.1', '0')
    """
    levels = round(255 * eps)
    return f"{levels}/255" if eps > 0 and abs(255 * eps - levels) < 1e-6 else f"{eps:.3g}"


def p_value(p: float) -> str:
    """A p-value to three decimals: "0.012", or "< 0.001".

    Examples
    --------
    >>> p_value(0.0123), p_value(0.0004)
    ('0.012', '< 0.001')
    """
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def seeds(counts: Iterable[int]) -> str:
    """How many seeds rows have: "5 seeds", or "3 to 5 seeds" where they differ.

    Examples
    --------
    >>> seeds([5, 5]), seeds([5, 3]), seeds([1])
    ('5 seeds', '3 to 5 seeds', '1 seed')
    """
    said = span(counts)
    return f"{said} seed{'' if said == '1' else 's'}"


def span(counts: Iterable[int]) -> str:
    """The least and the greatest of some counts: "500", or "500 to 2000" where they differ.

    Examples
    --------
    >>> span([500, 500]), span([2000, 500])
    ('500', '500 to 2000')
    """
    fewest, *between = sorted(set(counts))
    return f"{fewest} to {between[-1]}" if between else f"{fewest}"


def short(labels: Iterable[str]) -> dict[str, str]:
    """Label -> what a figure has room for: without AWP's γ, where that leaves no doubt which row is meant.

    Examples
    --------
    >>> short(["AT ε=0.1", "AWP γ=0.005 ε=0.1"])
    {'AT ε=0.1': 'AT ε=0.1', 'AWP γ=0.005 ε=0.1': 'AWP ε=0.1'}
    """
    found = {label: re.sub(r" γ=[\d.]+", "", label) for label in labels}
    return {label: text if [*found.values()].count(text) == 1 else label for label, text in found.items()}
