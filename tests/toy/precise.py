"""The toy model by another route: 50 digits (mpmath), searched perturbations, no formula of toy.

The library compares two classifiers by the logarithm of a ratio of interval masses, in double precision. Here
their accuracies are computed as they are defined, with enough digits for the difference. Optima are
not computed but judged: is the worst perturbation a little below the proposed weight one that gains from a
larger weight, and a little above it one that loses?
"""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
from scipy.special import log_ndtr

from sam_edu import toy

DIGITS = 50


def log_odds(m):
    return mp.log(mp.mpf(m.p) / (1 - mp.mpf(m.p)))


def star(m):
    """Theorem 1, in 50 digits."""
    with mp.workdps(DIGITS):
        return log_odds(m) / (2 * mp.mpf(m.eta))


def difference(high, low):
    """Phi(high) - Phi(low), in the tail where the two are small."""
    if high > 0 and low > 0:
        high, low = -low, -high
    return (mp.erfc(-high / mp.sqrt(2)) - mp.erfc(-low / mp.sqrt(2))) / 2


class Classifier:
    """Weights w_1 and u, given by w_1, the sum of u and the norm of u."""

    def __init__(self, m, w1, total, size):
        self.m, self.tau, self.gamma = m, w1 / size, mp.mpf(m.eta) * total / size

    def gains(self):
        """Does a larger robust weight help? Both normal densities, written out."""
        up, down = self.gamma + self.tau, self.gamma - self.tau
        return mp.mpf(self.m.p) * mp.exp(-up * up / 2) > (1 - mp.mpf(self.m.p)) * mp.exp(-down * down / 2)

    def better_than(self, other):
        p = mp.mpf(self.m.p)
        right = difference(self.gamma + self.tau, other.gamma + other.tau)
        return p * right + (1 - p) * difference(self.gamma - self.tau, other.gamma - other.tau)


def lowest(classifiers):
    worst = classifiers[0]
    for other in classifiers[1:]:
        if worst.better_than(other) > 0:
            worst = other
    return worst


def interval(m, a, rho):
    d = mp.mpf(m.d)
    return [Classifier(m, a + side * rho, d, mp.sqrt(d)) for side in (-1, 1)]


def on_rim(m, a, rho, psi):
    """The direction of w turned by arcsin(rho/|w|), towards e_1 (psi = 0), away from it (pi) or sideways."""
    root = mp.sqrt(m.d)
    angle, turn = mp.atan2(a, root), mp.asin(rho / mp.hypot(a, root))
    x = mp.cos(turn) * mp.sin(angle) + mp.sin(turn) * mp.cos(psi) * mp.cos(angle)
    y = mp.cos(turn) * mp.cos(angle) - mp.sin(turn) * mp.cos(psi) * mp.sin(angle)
    z = mp.sin(turn) * mp.sin(psi) if m.d > 1 else mp.mpf(0)
    return Classifier(m, x, root * y, mp.hypot(y, z))


def badness(m, tau, gamma):
    """Orders classifiers, in double precision: to find the neighbourhoods of the worst, not to decide."""
    wrong = np.logaddexp(math.log(m.p) + log_ndtr(-gamma - tau), math.log1p(-m.p) + log_ndtr(tau - gamma))
    if wrong.max() < math.log1p(-m.p) - 0.7:
        return wrong
    gain, loss = math.log1p(-m.p) + log_ndtr(gamma - tau), math.log(m.p) + log_ndtr(-gamma - tau)
    lead = np.sign(gain - loss) * (1e6 + 1 / (1 - np.maximum(gain, loss)))  # of p, from both sides
    lead = np.where(np.abs(gain - loss) > 1e-3, -lead, 0)
    size = np.maximum(gain, loss) + np.log(-np.expm1(-np.abs(gain - loss)) + 1e-300)
    return np.where(gain > loss, -1e9 - size, np.where(gain < loss, 1e9 + size, lead))


def rim_slope(m, a, rho, psi):
    """The sign of dF/dpsi on the rim in double precision: two densities times the paths of their ends."""
    root = math.sqrt(m.d)
    angle, turn = math.atan2(float(a), root), math.asin(float(rho) / math.hypot(float(a), root))
    x = math.cos(turn) * math.sin(angle) + math.sin(turn) * np.cos(psi) * math.cos(angle)
    y = math.cos(turn) * math.cos(angle) - math.sin(turn) * np.cos(psi) * math.sin(angle)
    z, dx = math.sin(turn) * np.sin(psi), -math.sin(turn) * np.sin(psi) * math.cos(angle)
    dy, dz = math.sin(turn) * np.sin(psi) * math.sin(angle), math.sin(turn) * np.cos(psi)
    size = np.hypot(y, z)
    grow = (y * dy + z * dz) / size
    tau, gamma = x / size, m.c * y / size
    dtau, dgamma = (dx - tau * grow) / size, (m.c * dy - gamma * grow) / size
    half = m.log_odds / 2 - tau * gamma
    return np.exp(half - abs(half)) * (dgamma + dtau) + np.exp(-half - abs(half)) * (dgamma - dtau)


def l2_worst(m, a, rho, cells=1500):
    """The ends of the rim and every minimum inside: where dF/dpsi turns positive, first in double precision.

    The grid is dense at the ends and around the middle, and denser again where the slope comes near 0.
    """
    places = [on_rim(m, a, rho, mp.mpf(0)), on_rim(m, a, rho, mp.pi)]
    if m.d == 1:
        return lowest(places)
    psi = np.pi * (1 - np.cos(np.linspace(0, np.pi, cells))) / 2
    tips = np.geomspace(1e-8, 1e-3, 20)
    psi = np.unique(
        np.concatenate([psi[1:-1], np.pi / 2 + np.linspace(-0.3, 0.3, cells), tips, np.pi - tips])
    )
    for _ in range(5):  # where the slope comes near 0 it may turn twice between two points
        near = np.abs(rim_slope(m, a, rho, psi))
        low = np.flatnonzero((near[1:-1] <= near[:-2]) & (near[1:-1] <= near[2:])) + 1
        cuts = np.unique(np.concatenate([low - 1, low]))
        new = (psi[cuts, None] + (psi[cuts + 1] - psi[cuts])[:, None] * np.arange(1, 10) / 10).ravel()
        psi = np.unique(np.concatenate([psi, new]))
    slope = rim_slope(m, a, rho, psi)
    turns = np.flatnonzero((slope[:-1] < 0) & (slope[1:] >= 0))
    for i in turns[:12]:
        places.append(on_rim(m, a, rho, crossing(lambda q: -rim_rate(m, a, rho, q), psi[i], psi[i + 1])))
    if m.log_odds < 0.02 * m.c or m.c > 60:  # two minima around the ridge, too close for double precision
        places += around_ridge(m, a, rho)
    return lowest(places)


def around_ridge(m, a, rho):
    """Minima around the angle where tau*gamma = L/2: 50 digits, a geometric grid on either side."""

    def lag(q):
        here = on_rim(m, a, rho, q)
        return here.tau * here.gamma - log_odds(m) / 2

    low, high = mp.mpf(0), mp.pi
    if not lag(low) > 0 > lag(high):
        return []
    for _ in range(120):
        middle = (low + high) / 2
        low, high = (middle, high) if lag(middle) > 0 else (low, middle)
    steps = [mp.mpf(10) ** (-10 + mp.mpf(i) / 12) for i in range(126)]
    psi = sorted(q for s in [0, *steps] for q in {low - s, low + s} if 0 < q < mp.pi)
    rates = [rim_rate(m, a, rho, q) for q in psi]
    turns = [i for i in range(len(psi) - 1) if rates[i] < 0 <= rates[i + 1]]
    return [
        on_rim(m, a, rho, crossing(lambda q: -rim_rate(m, a, rho, q), psi[i], psi[i + 1], 30, 0))
        for i in turns
    ]


def rim_rate(m, a, rho, psi):
    """dF/dpsi of :func:`on_rim` in 50 digits up to a positive factor: two densities, moved numerically."""
    step = mp.mpf(10) ** -(DIGITS // 3)
    low, high = on_rim(m, a, rho, psi - step), on_rim(m, a, rho, psi + step)
    tau, gamma = (high.tau + low.tau) / 2, (high.gamma + low.gamma) / 2
    dtau, dgamma = high.tau - low.tau, high.gamma - low.gamma
    ratio = mp.exp(log_odds(m) - 2 * tau * gamma)
    return (ratio * (dgamma + dtau) + dgamma - dtau) / (1 + ratio) / step


def crossing(sign, low, high, rounds=12, beyond=1):
    """Where a function falls through 0, by the secant method; the bracket may be a bit off."""
    width = mp.mpf(high) - mp.mpf(low)
    low, high = mp.mpf(low) - beyond * width, mp.mpf(high) + beyond * width
    one, two = sign(low), sign(high)
    if not one > 0 > two:
        return (low + high) / 2
    for _ in range(rounds):  # regula falsi with halving (Illinois)
        mid = (low * two - high * one) / (two - one)
        value = sign(mid)
        if value == 0 or high - low < width * mp.mpf(10) ** -20:
            return mid
        if value > 0:
            low, one, two = mid, value, two / 2
        else:
            high, two, one = mid, value, one / 2
    return mid


def linf_worst(m, a, rho):
    """All corners; those that double precision finds worst are compared with 50 digits."""
    up = np.tile(np.arange(m.d + 1), 2)
    side = np.repeat([-1.0, 1.0], m.d + 1)
    r = float(rho)
    total = m.d * (1 - r) + 2 * r * up
    size = np.sqrt(up * (1 + r) ** 2 + (m.d - up) * (1 - r) ** 2)
    bad = badness(m, (float(a) + side * r) / size, m.eta * total / size)

    def corner(s, k):
        square = k * (1 + rho) ** 2 + (m.d - k) * (1 - rho) ** 2
        return Classifier(m, a + s * rho, m.d * (1 - rho) + 2 * rho * k, mp.sqrt(square))

    places = []
    for s in (-1, 1):
        mine = np.flatnonzero(side == s)
        tops = [0, m.d, *(int(up[i]) for i in mine[np.argsort(-bad[mine])][:2])]
        for k in tops:
            best = corner(s, k)
            for step in (64, 16, 4, 1):  # double precision may be a few weights off
                for way in (-step, step):
                    while 0 <= k + way <= m.d and best.better_than(new := corner(s, k + way)) > 0:
                        k, best = k + way, new
            places.append(best)
    return lowest(places)


WORST = {
    "robust-worst": lambda m, a, rho: lowest(interval(m, a, rho)),
    "l2-worst": l2_worst,
    "linf-worst": linf_worst,
}


def judge(m, rho, convention, found, rel=1e-6, floor=4e-15):
    """Is the optimum of this worst case within rel of the relative change (and rounding) of ``found``?"""
    with mp.workdps(DIGITS):
        rho, found, best = mp.mpf(rho), mp.mpf(found), star(m)
        room = rel * abs(found - best) + floor * best
        below, above = (WORST[convention](m, found + s * room, rho).gains() for s in (-1, 1))
    return below and not above


def between(m, rho, convention, low, high):
    """Does the optimum lie between the relative changes ``low`` and ``high`` of the robust weight?"""
    with mp.workdps(DIGITS):
        best, rho = star(m), mp.mpf(rho)
        sides = [WORST[convention](m, best * (1 + mp.mpf(change)), rho).gains() for change in (low, high)]
    return sides == [True, False]


def survivors_rate(m, a, rho):
    """ln of (gain at s = 1)/(loss at s = -1), in 40 digits: bars by Newton's method, the norms by Simpson.

    A sample with norm k across (1, ..., 1) survives iff g exceeds the bar T; the slopes are phi(T - c)|T'|.
    """
    root, c, df = mp.sqrt(m.d), mp.mpf(m.eta) * mp.sqrt(m.d), m.d - 1

    def bar(k, s):
        g = mp.mpf(0)
        for _ in range(60):
            size = mp.sqrt(1 + g * g + k * k)
            step = (a * s + root * g - rho * size) / (root - rho * g / size)
            g -= step
            if abs(step) < mp.mpf(10) ** -35 * (1 + abs(g)):
                break
        return g, 1 / (root - rho * g / mp.sqrt(1 + g * g + k * k))

    def size_of(k, s):
        g, slope = bar(k, s)
        law = (df - 1) * mp.log(k) - k * k / 2 if df > 1 else -k * k / 2
        return law - (g - c) ** 2 / 2 + mp.log(slope)

    if df == 0:
        gain, loss = (-((g - c) ** 2) / 2 + mp.log(t) for g, t in (bar(mp.mpf(0), 1), bar(mp.mpf(0), -1)))
        return log_odds(m) + gain - loss
    low, high = mp.mpf(10) ** -30, mp.sqrt(m.d) + 60
    for _ in range(5):  # close in on the norms that count
        grid = [low + (high - low) * i / 24 for i in range(25)]
        sizes = [max(size_of(k, 1), size_of(k, -1)) for k in grid]
        kept = [i for i, size in enumerate(sizes) if size > max(sizes) - 60]
        low, high = grid[max(kept[0] - 1, 0)], grid[min(kept[-1] + 1, 24)]
    n = 100
    grid = [low + (high - low) * i / n for i in range(n + 1)]
    weights = [1 if i in (0, n) else 4 if i % 2 else 2 for i in range(n + 1)]
    sums = [mp.fsum(w * mp.exp(size_of(k, s)) for w, k in zip(weights, grid, strict=True)) for s in (1, -1)]
    return log_odds(m) + mp.log(sums[0] / sums[1])


def of(t, c, d):
    """The model with a given t* and c."""
    return toy.NRFModel(1 / (1 + math.exp(-2 * c * t)), c / math.sqrt(d), d)


def robust_lead(m, a, eps):
    """R_eps(a) - p, all features attacked: (1-p) Phi(down) - p Phi(-up)."""
    root, base = mp.sqrt(m.d), m.d * (mp.mpf(m.eta) - eps)
    down, up = (base - (1 + eps) * a) / root, (base + (1 - eps) * a) / root
    p = mp.mpf(m.p)
    return (1 - p) * mp.erfc(-down / mp.sqrt(2)) - p * mp.erfc(up / mp.sqrt(2))


def robust_rise(m, low, high, eps):
    """R_eps(high) - R_eps(low), each term where it is small."""
    root, base, p = mp.sqrt(m.d), m.d * (mp.mpf(m.eta) - eps), mp.mpf(m.p)
    ups, downs = ([(base + (s - eps) * a) / root for a in (low, high)] for s in (1, -1))
    return p * difference(ups[1], ups[0]) + (1 - p) * difference(downs[1], downs[0])


def best_under_attack(m, eps):
    """The larger of R's local maxima at finite a, and its lead over p."""
    odds, k = log_odds(m) - 2 * mp.atanh(eps), mp.mpf(m.eta) - eps
    if k <= 0:
        return None
    if odds <= 0:
        return mp.mpf(0), robust_lead(m, mp.mpf(0), eps)
    root = k * k - 2 * eps * odds / m.d
    if root < 0:
        return None
    a = odds / (k + mp.sqrt(root))
    return a, robust_lead(m, a, eps)


def judge_jump(m, jump, rel=1e-9):
    """Does sgn(x_1) become the best classifier within rel of ``jump``?"""
    with mp.workdps(DIGITS):
        p = mp.mpf(m.p)
        never = mp.erfc(-mp.sqrt(m.d) * (mp.mpf(m.eta) - 1) / mp.sqrt(2)) / 2 >= p
        if math.isinf(jump):
            return never and best_under_attack(m, 1 - mp.mpf(10) ** -12)[1] > 0
        below = best_under_attack(m, mp.mpf(jump) * (1 - mp.mpf(rel)))
        above_at = mp.mpf(jump) * (1 + mp.mpf(rel))
        above = best_under_attack(m, above_at) if above_at < 1 else None
        return not never and below is not None and below[1] > 0 and (above is None or above[1] <= 0)


def draw(rng, most=10**5, wide=False):
    """A model and a radius (in units of its limit), log-spaced: p to 1/2 + 1e-3 and 1 - 1e-8, c to 60.

    ``wide``: p to 1/2 + 1e-6 and 1 - 1e-12, eta from 1e-4 to 30, c to 1000.
    """
    edge, top, small, large, strong = (-6, -12, -4, 1.5, 1000) if wide else (-3, -8, -3, 0.5, 60)
    while True:
        p = (
            0.5 + 10 ** rng.uniform(edge, math.log10(0.49))
            if rng.random() < 0.5
            else 1 - 10 ** rng.uniform(top, -0.4)
        )
        m = toy.NRFModel(p, 10 ** rng.uniform(small, large), int(10 ** rng.uniform(0, math.log10(most))))
        if m.c < strong and 0.5 < p:
            share = 10 ** rng.uniform(-3, 0) if rng.random() < 0.9 else 1 - 10 ** rng.uniform(-4, -1)
            return m, min(share, 0.9999)
