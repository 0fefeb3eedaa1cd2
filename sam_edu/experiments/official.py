"""The official AutoAttack after the quick ladder: what it takes, whom PGD flatters, and who stays ahead.

Protocols whose names end in ``-autoattack`` train one network of each way of training and attack it with the
ladder "standard" (:func:`sam_edu.evaluation.evaluate`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sam_edu import plots
from sam_edu._text import pixels, span
from sam_edu.experiments import ladders
from sam_edu.experiments.elsewhere import with_radii
from sam_edu.experiments.study import Study
from sam_edu.experiments.uncertainty import in_points, paired_interval
from sam_edu.measured import AtRadius

NAME = "AutoAttack"  # the labels of its four rungs begin with it


@dataclass(frozen=True)
class Official:
    """Networks that met the official AutoAttack after the quick ladder, one of each way of training.

    Attributes
    ----------
    met : dict
        What each met, by data and label: ``("digits", "SAM ρ=0.4")``.
    """

    met: Mapping[tuple[str, str], AtRadius]

    @classmethod
    def of(cls, *studies: tuple[Study, float], seed: int = 0) -> Official:
        """From studies with the ladder "standard", each with its radius (l-infinity), on different data.

        Raises
        ------
        ValueError, KeyError, TypeError
            As :func:`sam_edu.experiments.ladders.met` and :func:`~sam_edu.experiments.elsewhere.with_radii`;
            ValueError without rows or a radius, if a ladder does
            not end with AutoAttack after other rungs, or if two networks share data and label.

        Examples
        --------
        >>> from sam_edu.experiments import study
        >>> digits = Official.of((study("digits-autoattack", seeds=1), 0.1))
        >>> digits.taken, next(iter(digits.overstated()))
        (0, ('digits', 'SGD, label smoothing 0.1'))
        """
        found: dict[tuple[str, str], AtRadius] = {}
        for given in studies:
            study, (eps, *more) = with_radii(given)
            if more:
                raise ValueError(f"{study!r}: one radius of each study is judged, got {[eps, *more]}")
            for row in study:
                name = row.config.dataset, row.label
                if name in found:
                    raise ValueError(f"{name} is there twice; each of the studies needs data of its own")
                found[name] = ladders.met(row, eps, seed=seed)
        if not found:
            raise ValueError("there is no network: the studies have no rows")
        for name, entry in found.items():
            ladders.ending(entry, NAME, ", ".join(name))
        return cls(found)

    @property
    def images(self) -> int:
        """Number of test images, the largest where the data differ in it."""
        return max(len(entry.robust) for entry in self.met.values())

    @property
    def taken(self) -> int:
        """The largest number of images that AutoAttack took from one network."""
        return max(
            round(len(entry.robust) * (_quick(entry) - entry.rungs[-1].accuracy))
            for entry in self.met.values()
        )

    def overstated(self, name: str = ladders.PGD) -> dict[tuple[str, str], float]:
        """By how much a rung overstates each network, from the largest down.

        Raises
        ------
        ValueError
            If a ladder has no rung of this name, or several (:func:`sam_edu.experiments.ladders.rung`).
        """
        found = [(ladders.overstated(entry, name), network) for network, entry in self.met.items()]
        return {network: value for value, network in sorted(found, reverse=True)}

    def ahead(self, data: str, one: str, other: str) -> tuple[float, float]:
        """95 % interval of the lead of one row over another, paired over the images and over these alone.

        Raises
        ------
        KeyError
            If one of the two is not there.
        """
        for label in (one, other):
            if (data, label) not in self.met:
                there = "; ".join(", ".join(name) for name in self.met)
                raise KeyError(f"no network is called '{data}, {label}'; there are {there}")
        return paired_interval(self.met[data, one].robust, self.met[data, other].robust)

    def table(self, about: str, reference: str = "SGD") -> plots.Shown:
        """Accuracy after PGD, after the quick ladder and after AutoAttack; and paired with a row.

        Parameters
        ----------
        about : str
            Which networks, for the caption: "seed 0".
        reference : str
            Label of the row that is subtracted, of the same data.

        Raises
        ------
        KeyError
            If some data have no such row.
        ValueError
            If a ladder has no PGD with five restarts.
        """
        columns: dict[str, list[str]] = {"data, method": [", ".join(name) for name in self.met]}
        columns["ε"] = [pixels(entry.eps) for entry in self.met.values()]
        for title, after in (
            ("PGD-20, 5 restarts", lambda entry: ladders.rung(entry, "PGD-20 x5").accuracy),
            ("quick rungs", _quick),
            ("with AutoAttack", lambda entry: entry.rungs[-1].accuracy),
        ):
            columns[title] = [f"{after(entry):.1%}" for entry in self.met.values()]
        intervals = [entry.interval for entry in self.met.values()]
        columns["95 % interval"] = [f"{low:.1%} to {high:.1%}" for low, high in intervals]
        columns[f"minus {reference}"] = [
            "" if label == reference else in_points(self.ahead(data, label, reference))
            for data, label in self.met
        ]
        images = span(len(entry.robust) for entry in self.met.values())
        return plots.show_table(
            columns,
            f"Accuracy on {images} images, {about}: after PGD with the cross-entropy, after the first five "
            "rungs of the quick ladder (here with five restarts of PGD), and after the four attacks of the "
            f"official AutoAttack on top, with Wilson's interval. Last column: points above {reference}, "
            "95 % interval, paired over the images. Both intervals are over the images alone: one network "
            "each.",
        )


def _quick(entry: AtRadius) -> float:
    """Accuracy after the rungs before AutoAttack's."""
    before, _ = ladders.ending(entry, NAME, "this network")
    return before.accuracy
