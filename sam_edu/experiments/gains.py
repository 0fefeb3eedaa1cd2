"""The figure of gains: what families of rows gain over SGD, in one experiment beside another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from sam_edu import plots
from sam_edu.experiments.study import Study
from sam_edu.experiments.summary import Spread

MARK: dict[str, dict[str, Any]] = {"control": {"marker": "x"}}  # a dot would be overlooked


def gains(
    found: Mapping[str, Mapping[str, Spread]],
    studies: Iterable[Study],
    title: str,
    caption: str,
    seeds: bool = False,
    columns: Mapping[str, Sequence[Any]] | None = None,
    **size: Any,
) -> plots.Shown:
    """What families of rows gain over SGD in several experiments, one line per experiment.

    Parameters
    ----------
    found : mapping from experiments to what :meth:`~sam_edu.experiments.study.Study.gains` says
    studies : where that was read
    seeds : whether the table says how many there are
    columns : mapping, optional
        Further columns of the table.

    Raises
    ------
    ValueError
        Without experiments, or if one has other families than the first, or such as no figure has a look for;
        if a further column has no cell for each experiment, or the name of one that is there.
    TypeError
        If what was found is no gain of families.
    """
    if not all(isinstance(own, Mapping) for own in found.values()):
        raise TypeError('found maps experiments to what study.gains(eps) says: {"digits": digits.gains(0.1)}')
    if len({tuple(sorted(kinds)) for kinds in found.values()}) != 1:
        said = "; ".join(f"{place}: {', '.join(kinds)}" for place, kinds in found.items()) or "none"
        raise ValueError(f"a figure of gains needs experiments with the same families, got {said}")
    places, kinds = list(found), list(next(iter(found.values())))
    unknown = [kind for kind in kinds if kind not in plots.STYLES]
    if unknown:
        raise ValueError(f"a family must be one of {', '.join(plots.STYLES)}, got {unknown[0]!r}")
    for name, cells in (columns or {}).items():
        if name in ("experiment", "seeds", *kinds) or len(cells) != len(places):
            raise ValueError(
                f"column {name!r} needs a name of its own and {len(places)} cells, one for each experiment; "
                f"got {len(cells)}"
            )
    fig, ax = plots.figure(title, "points above SGD under attack", **size)
    for kind, dy in zip(kinds, np.linspace(0.15, -0.15, len(kinds)), strict=True):
        look = plots.STYLES[kind] | {"linestyle": "none"} | MARK.get(kind, {})
        for height, place in enumerate(reversed(places)):
            gain = found[place][kind]
            ax.errorbar(100 * gain.mean, height + dy, xerr=100 * gain.sd, **look)
        plots.end_label(ax, 100 * found[places[0]][kind].mean, len(places) - 1 + dy, kind)
    ax.set_yticks(range(len(places)), places[::-1])
    ax.axvline(0, color=plots.INK, linewidth=0.8)
    said = "; ".join(
        f"{place}: " + ", ".join(f"{kind} {100 * gain.mean:+.1f}" for kind, gain in all_.items())
        for place, all_ in found.items()
    )
    table: dict[str, Any] = {"experiment": places}
    if seeds:
        table["seeds"] = [all_[kinds[0]].n for all_ in found.values()]
    table |= {kind: [all_[kind].percent(signed=True) for all_ in found.values()] for kind in kinds}
    alt = f"Points above SGD under attack: {said}."
    return plots.show(fig, alt, caption, table | dict(columns or {}), made_from=list(studies))
