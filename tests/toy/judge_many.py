"""Judge the optima of many random models in 50 digits; slow, so by hand and not in the tests:

    python -m tests.toy.judge_many 10000 --seed 1 --wide

A third of the models for each worst case. Prints every optimum that is off by more than 1e-6 of its relative
change and more than the last digits of double precision (the 13th where eta*sqrt(d) is above 60), then the
counts; exits with 1 if there is one.
"""

from __future__ import annotations

import argparse
import math
import sys
import time

import numpy as np

from sam_edu import toy
from tests.toy import precise

KEYS = ("l2-worst", "linf-worst", "robust-worst")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split(";")[0])
    parser.add_argument("models", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--wide", action="store_true", help="the wider of the two ranges of precise.draw")
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop after so many")
    args = parser.parse_args()
    rng, stop = np.random.default_rng(args.seed), time.monotonic() + args.seconds
    judged, missed = dict.fromkeys(KEYS, 0), dict.fromkeys(KEYS, 0)
    for i in range(args.models):
        if time.monotonic() > stop:
            break
        key = KEYS[i % 3]
        m, share = precise.draw(rng, 1000 if key == "linf-worst" else 10**5, args.wide)
        rho = share * (1 if key == "linf-worst" else math.sqrt(m.d))
        found = toy.sam_optimum(m, rho, **toy.CONVENTION[key].options)
        judged[key] += 1
        if not (
            math.isfinite(found) and precise.judge(m, rho, key, found, floor=1e-13 if m.c > 60 else 4e-15)
        ):
            missed[key] += 1
            change = found / toy.standard_optimum(m) - 1
            print(f"{key}: {m}, rho = {rho!r}: {found!r}, relative change {change:.3g}", flush=True)
    for key in KEYS:
        print(f"{key}: {judged[key]} judged, {missed[key]} missed")
    return int(any(missed.values()))


if __name__ == "__main__":
    sys.exit(main())
