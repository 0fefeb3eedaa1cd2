"""Numbers as readers write them."""

from __future__ import annotations


def pixels(eps: float) -> str:
    """A radius in pixel units, exact where it is one of grey levels: "8/255", "0.1".

    Examples
    --------
    >>> pixels(8 / 255), pixels(0.1), pixels(0)
    ('8/255', '0.1', '0')
    """
    levels = round(255 * eps)
    return f"{levels}/255" if eps > 0 and abs(255 * eps - levels) < 1e-6 else f"{eps:.3g}"
