import { logOdds, logPhi, naturalAccuracy, Phi, rise, samOptimum, standardOptimum } from "./math.js";

// SAM for the 0-1 risk under every convention of chapter 8, as sam_edu.toy has it (keys: toy.CONVENTION).
// A classifier near (a, 1, ..., 1) is {a, shift, mean, spread}: what is added to a, to the mean of the other
// weights, and their variance; x and v are the results. Differences stay exact, no part is a large number.
// The radius h is the length of the perturbation in units of √d, the length of the weak weights.
export const rhoOf = (m, key, h) => (key === "linf-worst" || key === "gaussian" ? h : h * Math.sqrt(m.d));

function near(m, a, shift, mean, spread) {
  const x = a + shift,
    v = 1 + mean,
    root = Math.sqrt(1 + spread / (v * v)),
    lag = spread / (v * v) / (root * (1 + root)),
    tau = (x / v / Math.sqrt(m.d)) * (1 - lag),
    gamma = m.eta * Math.sqrt(m.d) * (1 - lag);
  return { a, shift, mean, x, v, lag, tau, gamma, rate: logOdds(m) / 2 - tau * gamma };
}
const lead = (m, w) => (1 - m.p) * Phi(w.gamma - w.tau) - m.p * Phi(-w.gamma - w.tau); // accuracy - p, to draw
function ahead(m, one, two) {
  // > 0 where one is the more accurate: a sign, the accuracies can agree in all digits
  if (one.cone) return rise(m, two, one, rimStep(two, one));
  const cross =
      one.a * (two.mean - one.mean) + (one.shift - two.shift) + one.shift * two.mean - two.shift * one.mean,
    lag = one.lag - two.lag;
  const tau = ((cross / (one.v * two.v)) * (1 - one.lag) - (two.x / two.v) * lag) / Math.sqrt(m.d),
    gamma = -m.eta * Math.sqrt(m.d) * lag;
  return rise(m, two, one, { tau, gamma, slope: lag === 0 ? 0 : gamma / tau });
}

// A zero of f, positive at low and not at high, by secants; halving where an end is infinite or secants are slow.
function crossing(f, low, high, atLow, atHigh, tolerance) {
  let side = 0,
    slow = 0;
  for (let i = 0; i < 200; i++) {
    const width = high - low,
      tol = tolerance(low, high);
    if (!(width > tol)) break;
    let mid = (low * atHigh - high * atLow) / (atHigh - atLow);
    if (slow > 2 || !(mid > low && mid < high)) mid = (low + high) / 2;
    else mid = Math.min(Math.max(mid, low + tol / 2), high - tol / 2);
    const value = f(mid);
    if (value > 0) {
      if (side > 0) atHigh /= 2;
      [low, atLow, side] = [mid, value, 1];
    } else {
      if (side < 0) atLow /= 2;
      [high, atHigh, side] = [mid, value, -1];
    }
    slow = slow < 3 && high - low > width / 2 ? slow + 1 : 0;
  }
  return (low + high) / 2;
}

// Only w1 moves: the worst is at an end.
const interval = (m, a, rho) => [-rho, rho].map((shift) => near(m, a, shift, 0, 0));

// Where the slope turns from negative to positive on a grid of places, as [left, right, slope there, slope here];
// finer where it comes near 0 and turns back, for there a minimum that is about to vanish hides. The places are
// kept in two tables: a slider's move asks a hundred times, and what is thrown away has to be collected.
const AT = new Float64Array(128),
  RATES = new Float64Array(128);
function turns(slope, shares, low, high, zooms) {
  let n = 0;
  const put = (i, s) => {
    AT[i] = s;
    RATES[i] = slope(s);
  };
  for (const share of shares) put(n++, low + (high - low) * share);
  for (let round = 0; round < zooms; round++) {
    let best = Infinity,
      k = 0;
    for (let i = 1; i < n - 1; i++) {
      const here = RATES[i],
        up = here >= 0;
      if (up !== RATES[i - 1] >= 0 || up !== RATES[i + 1] >= 0) continue;
      const size = Math.abs(here),
        around = Math.min(Math.abs(RATES[i - 1]), Math.abs(RATES[i + 1]));
      if (size <= around && size / around < best) [best, k] = [size / around, i];
    }
    if (!k) break;
    const left = AT[k - 1],
      here = AT[k],
      right = AT[k + 1];
    for (const table of [AT, RATES]) table.copyWithin(k + 7, k + 1, n);
    n += 6;
    put(k + 3, here);
    for (let i = 1; i < 4; i++) {
      put(k - 1 + i, left + ((here - left) * i) / 4);
      put(k + 3 + i, here + ((right - here) * i) / 4);
    }
  }
  const found = [];
  for (let i = 0; i < n - 1; i++)
    if (RATES[i] < 0 && RATES[i + 1] >= 0) found.push([AT[i], AT[i + 1], RATES[i], RATES[i + 1]]);
  return found;
}
const bottom = (slope, [left, right, before, after], share = 1e-13) =>
  crossing(
    (s) => -slope(s),
    left,
    right,
    -before,
    -after,
    () => share * (right - left),
  );
const cosines = (n) => Array.from({ length: n }, (_, i) => (1 - Math.cos((Math.PI * i) / (n - 1))) / 2);
const geometric = (low, high, n) => Array.from({ length: n }, (_, i) => low * (high / low) ** (i / (n - 1)));

// l2 ball: the rim of a cone, as in sam_edu.toy.rim, where e and g are explained.
function cone(m, a, rho) {
  const root = Math.sqrt(m.d),
    c = m.eta * root,
    length = Math.sqrt(a * a + m.d),
    s0 = a / length,
    c0 = root / length,
    share = rho / root,
    S = share * c0,
    C = Math.sqrt((1 - S) * (1 + S)),
    room = (1 - share) * (1 + share),
    ratio = (share * s0) / C,
    close = room / (C * (C + share * Math.abs(s0))), // 1 - |ratio|
    low = -(ratio < 0 ? close : 1 + ratio),
    high = ratio < 0 ? 1 - ratio : close;
  const drift = a * m.eta - logOdds(m) / 2;
  return { root, c, length, s0, c0, share, S, C, room, low, high, scale: c * S * C, drift };
}
const across2 = (k, e) => k.S * k.S * Math.max(e - k.low, 0) * Math.max(k.high - e, 0);
function onRim(k, e) {
  const X = k.s0 / k.C + k.S * k.c0 * e,
    Y = k.c0 * (k.room / k.C - k.share * k.s0 * e),
    N2 = Y * Y + across2(k, e),
    N = Math.sqrt(N2);
  const x = k.length * k.C * X,
    v = (k.length * k.C * Y) / k.root;
  return { cone: k, e, X, N, x, v, tau: X / N, gamma: (k.c * Y) / N, rate: -(k.drift + (k.scale * e) / N2) };
}
function rimStep(one, two) {
  const k = one.cone,
    half = (k.S * k.c0 * (two.e - one.e)) / (one.N + two.N),
    tau = (2 * half) / ((1 + half * half) * one.N * two.N),
    slope = k.c * k.C * ((k.S * (one.e + two.e)) / 2 + (((one.X + two.X) / 2) * half * half) / k.c0);
  return { tau, gamma: slope * tau, slope };
}
function turn(k, e) {
  // the sign of dF/de
  const X = k.s0 / k.C + k.S * k.c0 * e,
    Y = k.c0 * (k.room / k.C - k.share * k.s0 * e),
    g = k.scale * e,
    g2 = g * g;
  const bend =
    g2 < 9e-4
      ? g * g2 * (1 / 3 + g2 * (1 / 5 + g2 * (1 / 7 + g2 / 9)))
      : Math.atanh(Math.min(Math.max(g, -1), 1)) - g;
  return bend - (g * X * X) / (Y * Y + across2(k, e)) - k.drift;
}
function ridgeOf(k) {
  // where a larger w1 stops to help: a quadratic, without cancelling
  const lean = k.c0 / k.c / k.C,
    square = -k.drift * lean * lean,
    linear = 1 - ((2 * k.drift * k.s0) / k.C) * lean,
    constant = (k.drift * k.c0 ** 2 * k.room) / k.C ** 2,
    root = Math.sqrt(linear * linear - 4 * square * constant);
  return (linear >= 0 ? (-2 * constant) / (linear + root) : (root - linear) / (2 * square)) / k.scale;
}
const FINE = [0, ...geometric(1e-15, 0.02, 34), ...cosines(50).filter((s) => s > 0.02)];
const COARSE = FINE.filter((_, i) => i % 4 === 0 || i === FINE.length - 1); // a curve on the screen shows no tie
function l2Ball(m, a, rho, fine) {
  const k = cone(m, a, rho),
    found = [k.low, k.high];
  if (m.d > 1 && rho > 0) {
    // minima inside: the first and the last on either side of the ridge
    const bound = 1 / k.scale, // there |g| = 1
      ridge = Math.min(Math.max(ridgeOf(k), k.low), k.high);
    const ends = [Math.min(Math.max(k.low, -bound), ridge), Math.max(Math.min(k.high, bound), ridge)];
    ends.forEach((end, i) => {
      const span = end - ridge,
        way = i ? 1 : -1,
        slope = (s) => way * turn(k, ridge + span * s);
      const cells = turns(slope, fine ? FINE : COARSE, 0, 1, fine ? 4 : 0);
      for (const cell of cells.length > 1 ? [cells[0], cells[cells.length - 1]] : cells)
        found.push(ridge + span * bottom(slope, cell, fine ? 1e-13 : 1e-3));
    });
  }
  return found.map((e) => onRim(k, e));
}

// l-infinity ball: w1 at an end, and a share of the other weights up, the rest down.
const corner = (m, a, shift, rho, share) =>
  near(m, a, shift, rho * (2 * share - 1), 4 * rho * rho * share * (1 - share));
// Along the shares: L/2 - tau*gamma, and the sign of the accuracy's derivative.
function alongShares(m, a, shift, rho) {
  const half = logOdds(m) / 2,
    root = Math.sqrt(m.d),
    x = a + shift,
    lift = x * m.eta,
    lean = m.eta * root * rho,
    tilt = x / root;
  const rate = (share) => {
    const v = 1 + rho * (2 * share - 1);
    return half - (lift * v) / (v * v + 4 * rho * rho * share * (1 - share));
  };
  const slope = (share) => lean * (rho + 2 * share - 1) - tilt * Math.tanh(rate(share));
  return { rate, slope };
}
const TIPS = geometric(1e-9, 5e-4, 12);
const DENSE = [...TIPS, ...cosines(50).slice(1, -1), ...TIPS.map((s) => 1 - s).reverse()]; // at both ends
const SPARSE = cosines(9).slice(1, -1);
// The first minimum of the accuracy on either side of the ridge, where a larger w1 stops to help, and one on it.
// With strong weak features the minima are close to the ridge.
function splits({ rate, slope }, fine) {
  const [first, last] = [rate(0), rate(1)],
    beyond = (s) => -Math.sign(last) * rate(s),
    found = [];
  const ridge =
    first * last < 0 ? crossing(beyond, 0, 1, beyond(0), beyond(1), () => (fine ? 1e-14 : 1e-6)) : 1;
  const shares = fine ? DENSE : SPARSE;
  if (ridge < 1) {
    const near = shares[0],
      [left, right] = [ridge * (1 - near), ridge + (1 - ridge) * near],
      [before, after] = [slope(left), slope(right)];
    if (before < 0 && after >= 0)
      found.push(bottom(slope, [left, right, before, after], fine ? 1e-13 : 1e-4));
  }
  const cuts = ridge < 1 ? [0, ridge, 1] : [0, 1];
  for (let i = 1; i < cuts.length; i++) {
    const [cell] = turns(slope, shares, cuts[i - 1], cuts[i], fine ? 4 : 0); // the ridge itself: above
    if (cell) found.push(bottom(slope, cell, fine ? 1e-7 : 1e-4));
  }
  return found;
}
function linfBall(m, a, rho, fine) {
  return [-rho, rho].flatMap((shift) => {
    const inner = splits(alongShares(m, a, shift, rho), fine);
    return [0, m.d, ...inner.flatMap((s) => [Math.floor(s * m.d), Math.ceil(s * m.d)])].map((up) =>
      corner(m, a, shift, rho, up / m.d),
    );
  });
}

// The worst classifier around (a, 1, ..., 1), and the worst of either side: [the one that a larger robust
// weight would help, the one that it would harm]. At SAM's optimum the two tie. Gains is positive where the
// first is the worse of the two: there a larger weight helps.
const BALLS = {
  "robust-worst": interval,
  "robust-uniform": interval,
  "l2-worst": l2Ball,
  "linf-worst": linfBall,
};
export function worst(m, key, h, a) {
  const sides = [null, null];
  for (const w of BALLS[key](m, a, rhoOf(m, key, h), true)) {
    const side = w.rate > 0 ? 0 : 1;
    if (!sides[side] || ahead(m, sides[side], w) > 0) sides[side] = w;
  }
  const [up, down] = sides,
    gains = up && down ? ahead(m, down, up) : up ? Infinity : -Infinity;
  for (const w of sides) if (w) w.lead = lead(m, w);
  return { accuracy: m.p + (gains > 0 ? up : down).lead, gains, sides };
}

// Lengths of what x or the noise has across (1, ..., 1): a chi law, summed by the trapezoidal rule.
const rules = new Map();
function chi(n) {
  if (!rules.has(n)) {
    const k = [],
      top = ((n - 1) * Math.log(Math.max(n - 1, 1)) - (n - 1)) / 2;
    for (let v = Math.max(0.05, Math.sqrt(n) - 4.9); v < Math.sqrt(n) + 6.9; v += 0.5)
      k.push([v, Math.exp((n - 1) * Math.log(v) - (v * v) / 2 - top)]);
    const sum = k.reduce((s, [, mass]) => s + mass, 0);
    rules.set(
      n,
      k.map(([v, mass]) => [v, mass / sum]),
    );
  }
  return rules.get(n);
}

// All weights with normal noise of size s. The slope sums positive terms (Lemma 0 for each noise); the
// accuracy of a curve comes from the characteristic function of the noisy margin, which needs no Phi.
function gaussianOptimum(m, s) {
  const root = Math.sqrt(m.d),
    c = m.eta * root,
    half = logOdds(m) / 2,
    star = standardOptimum(m),
    nodes = [];
  for (let g = -7.2; g < 9.7; g += 0.8)
    for (const [k, mass] of chi(m.d - 1)) {
      const along = root + s * g,
        variance = along * along + s * s * (k * k + 1);
      nodes.push([c * along, variance, (mass * Math.exp((-g * g) / 2)) / Math.sqrt(variance)]);
    }
  const slope = (a) =>
    nodes.reduce((sum, [mean, variance, mass]) => {
      const q = -(a * a + mean * mean) / (2 * variance),
        b = half - (a * mean) / variance;
      return sum + mass * (Math.exp(q + b) - Math.exp(q - b));
    }, 0);
  let [low, above, high, below] = [0, slope(0), 2 * star, slope(2 * star)];
  while (below > 0 && high < 1e6 * star) [low, above, high, below] = [high, below, 2 * high, slope(2 * high)];
  return crossing(slope, low, high, above, below, (_, top) => 1e-14 * top);
}
function gaussianAccuracy(m, s) {
  const { p, eta, d } = m,
    du = 0.25,
    terms = [];
  for (let u = du / 2; u < 14; u += du) {
    // midpoints: no term at 0
    const t = u / Math.sqrt(d),
      b = s * s * t * t;
    const size = Math.exp(
      (-d / 2) * Math.log1p(b) - (d * t * t * (1 + s * s * eta * eta)) / (2 * (1 + b)) - b / 2,
    );
    if (size > 1e-12) terms.push([t, (d * eta * t) / (1 + b), (size * du) / (u * Math.PI)]);
  }
  return (a) =>
    0.5 +
    terms.reduce(
      (sum, [t, psi, mass]) => sum + mass * (p * Math.sin(psi + t * a) + (1 - p) * Math.sin(psi - t * a)),
      0,
    );
}

// One perturbation per sample: it survives iff g > T_s(k), g the normal part of x along (1, ..., 1).
function survivors(m, rho, a, s, use) {
  const root = Math.sqrt(m.d),
    room = m.d - rho * rho;
  let sum = 0;
  for (const [k, mass] of chi(m.d - 1)) {
    const R = Math.sqrt(a * a + room * (1 + k * k));
    sum += mass * use(m.eta * root - (rho * R - s * a * root) / room, root - (s * rho * a) / R);
  }
  return sum;
}
function perSampleOptimum(m, rho) {
  const part = (a, s) => Math.log(survivors(m, rho, a, s, (z, rate) => Math.exp((-z * z) / 2) * rate));
  const h = (a) => logOdds(m) + part(a, 1) - part(a, -1); // falls, convex, until it turns up
  let a = 0;
  for (let i = 0; i < 80; i++) {
    // Newton's method from the left does not step over the first zero
    const value = h(a),
      step = 1e-5 * (1 + a),
      slope = (h(a + step) - value) / step;
    if (!(slope < 0)) return Infinity;
    const next = a - value / slope;
    if (!(Math.abs(next - a) > 1e-10 * (1 + a))) {
      const kept = survivors(m, rho, next, -1, (z) => Math.exp(logPhi(z))),
        lost = survivors(m, rho, next, 1, (z) => Math.exp(logPhi(-z)));
      return (1 - m.p) * kept > m.p * lost ? next : Infinity;
    }
    a = next;
  }
  return Infinity;
}

// What the convention maximises, as a function of w1.
export function objective(m, key, h) {
  const rho = rhoOf(m, key, h),
    star = standardOptimum(m);
  if (h === 0 || key === "free-scale") return (a) => naturalAccuracy(m, a);
  if (key === "one-step") return (a) => naturalAccuracy(m, a + (a < star ? -rho : rho));
  if (key === "robust-gaussian") return (a) => Phi2(m, a, Math.sqrt(m.d + rho * rho));
  if (key === "robust-uniform") return (a) => (primitive(m, a + rho) - primitive(m, a - rho)) / (2 * rho);
  if (key === "gaussian") return gaussianAccuracy(m, rho);
  if (key === "per-sample")
    return (a) => m.p * survivors(m, rho, a, 1, Phi) + (1 - m.p) * survivors(m, rho, a, -1, Phi);
  return (a) => m.p + Math.min(...BALLS[key](m, a, rho, false).map((w) => lead(m, w)));
}
const Phi2 = (m, a, sd) => m.p * Phi((m.d * m.eta + a) / sd) + (1 - m.p) * Phi((m.d * m.eta - a) / sd);
function primitive(m, a) {
  // of the natural accuracy
  const root = Math.sqrt(m.d),
    I = (z) => z * Phi(z) + Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
  return root * (m.p * I(m.eta * root + a / root) - (1 - m.p) * I(m.eta * root - a / root));
}

export function samWeight(m, key, h) {
  const star = standardOptimum(m),
    rho = rhoOf(m, key, h);
  if (h === 0 || key === "one-step" || key === "free-scale") return star;
  if (key === "robust-worst" || key === "robust-uniform") return samOptimum(m, rho);
  if (key === "robust-gaussian") return star * (1 + h * h);
  if (key === "gaussian") return gaussianOptimum(m, rho);
  if (key === "per-sample") return perSampleOptimum(m, rho);
  const gains = (a) => worst(m, key, h, a).gains,
    guess = leading(m, key, star / Math.sqrt(m.d)).coefficient * h * h;
  const first = gains(star),
    way = first > 0 ? 1 : -1;
  let [from, before, step] = [star, first, star * Math.min(Math.max(1.5 * Math.abs(guess), 1e-7), 0.5)],
    to,
    after;
  for (;;) {
    to = Math.max(star + way * step, 0);
    if (to > 1e6 * star) return Infinity;
    after = to > 0 ? gains(to) : Infinity;
    if (after > 0 !== first > 0) break;
    [from, before, step] = [to, after, 4 * step];
  }
  const room = (low, high) =>
    Math.max(2e-16 * high, 1e-9 * Math.min(Math.abs(low - star), Math.abs(high - star)));
  return way > 0
    ? crossing(gains, from, to, before, after, room)
    : crossing(gains, to, from, after, before, room);
}

// In the l-infinity ball all weak weights move together from this t* on; below, part goes up and part down, and
// how that split is rounded to whole weights decides the sign.
export const togetherFrom = (d) => (Math.sqrt(1 + 4 * d) - 1) / (2 * Math.sqrt(d));

// Leading order: the relative change of w1 is coefficient * h ** order, at t* = w1*/√d.
export function leading(m, key, t = standardOptimum(m) / Math.sqrt(m.d)) {
  const d = m.d,
    a = t * Math.sqrt(d);
  if (key === "per-sample") {
    const mean = chi(d - 1).reduce(
      (sum, [k, mass]) => sum + (mass * (t * t + k * k)) / Math.sqrt(1 + t * t + k * k),
      0,
    );
    return { coefficient: mean / (m.eta * Math.sqrt(d)), order: 1 };
  }
  const even = d % 2,
    share =
      a * (1 + a) >= d ? 1 : Math.min(d, 2 * Math.floor(((a * d) / (d - a * a) - even) / 2 + 0.5) + even) / d;
  const pull = (1 + a * share) / Math.sqrt(d),
    linf =
      (pull * pull) / 3 +
      1 -
      2 * share * share -
      share / a -
      (share * (1 - share * share) * Math.sqrt(d)) / (a * pull);
  const coefficient =
    {
      "robust-worst": 1 / 3,
      "robust-uniform": 1 / 3,
      "robust-gaussian": 1,
      "l2-worst": (t * t - 2) / 3,
      "linf-worst": linf,
      gaussian: 1 + (t * t - 2) / d,
    }[key] || 0;
  return { coefficient, order: 2 };
}
