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
    lag = spread / (v * v) / (root * (1 + root));
  return {
    a,
    shift,
    mean,
    x,
    v,
    lag,
    tau: (x / v / Math.sqrt(m.d)) * (1 - lag),
    gamma: m.eta * Math.sqrt(m.d) * (1 - lag),
  };
}
const lead = (m, w) => (1 - m.p) * Phi(w.gamma - w.tau) - m.p * Phi(-w.gamma - w.tau); // accuracy - p, to draw
const rising = (m, w) => logOdds(m) / 2 - w.tau * w.gamma; // > 0 where a larger w1 would help
function ahead(m, one, two) {
  // > 0 where one is the more accurate: a sign, the accuracies can agree in all digits
  const cross =
      one.a * (two.mean - one.mean) + (one.shift - two.shift) + one.shift * two.mean - two.shift * one.mean,
    lag = one.lag - two.lag;
  const dtau = ((cross / (one.v * two.v)) * (1 - one.lag) - (two.x / two.v) * lag) / Math.sqrt(m.d);
  return rise(m, (one.tau + two.tau) / 2, (one.gamma + two.gamma) / 2, dtau, -m.eta * Math.sqrt(m.d) * lag);
}

function bisect(f, low, high, rounds = 60) {
  // f > 0 at low, not at high
  for (let i = 0; i < rounds && high - low > 1e-14 * Math.abs(high); i++) {
    const mid = (low + high) / 2;
    if (f(mid) > 0) low = mid;
    else high = mid;
  }
  return (low + high) / 2;
}

// Only w1 moves: the worst is at an end.
const interval = (m, a, rho) => [-rho, rho].map((shift) => near(m, a, shift, 0, 0));

function oneMinimum(path, n) {
  // for a curve on the screen, which shows no tie
  for (let i = 2, before = path(1 / n).slope; i < n; i++) {
    const now = path(i / n).slope;
    if (before < 0 && now >= 0) return [bisect((s) => -path(s).slope, (i - 1) / n, i / n, 10)];
    before = now;
  }
  return [];
}
// The first minimum of the accuracy on either side of the ridge of a path, at shares between 0 and 1. On the
// ridge a larger w1 stops to help; with strong weak features the minima are close to it, so cells are dense there.
function innerMinima(m, path, n) {
  if (n < 20) return oneMinimum(path, n);
  const first = rising(m, path(0)),
    last = rising(m, path(1)),
    found = [];
  const ridge = first * last < 0 ? bisect((s) => -Math.sign(last) * rising(m, path(s)), 0, 1, 40) : 1;
  const cells = Math.ceil(n / 2),
    near = (1 - Math.cos(Math.PI / cells)) / 2,
    left = ridge * (1 - near),
    right = ridge + (1 - ridge) * near;
  if (ridge < 1 && path(left).slope < 0 && path(right).slope >= 0)
    found.push(bisect((s) => -path(s).slope, left, right, 50)); // on the ridge
  for (const [low, high] of [
    [0, ridge],
    [ridge, 1],
  ]) {
    const at = (i) => low + ((high - low) * (1 - Math.cos((Math.PI * i) / cells))) / 2;
    for (let i = 2, before = path(at(1)).slope; i < cells; i++) {
      const now = path(at(i)).slope;
      if (before < 0 && now >= 0) {
        found.push(bisect((s) => -path(s).slope, at(i - 1), at(i), 18));
        break;
      }
      before = now;
    }
  }
  return found;
}

// l2 ball: the classifiers at angle psi of the cone's rim (0: tilted towards e_1, π: away from it), with the
// sign of the accuracy's derivative along the rim; between 0 and π the weak weights are unequal.
function onRim(m, a, rho, psi) {
  const root = Math.sqrt(m.d),
    length = Math.hypot(a, root),
    s0 = a / length,
    c0 = root / length,
    sin = rho / length;
  const cos = Math.sqrt((1 - sin) * (1 + sin)),
    tilt = sin * Math.cos(psi),
    out = psi < Math.PI ? sin * Math.sin(psi) : 0;
  const w = near(
    m,
    a,
    length * (tilt * cos * c0 - sin * sin * s0),
    -sin * sin - (tilt * cos * s0) / c0,
    ((out * cos) / c0) ** 2,
  );
  const x = cos * s0 + tilt * c0,
    y = cos * c0 - tilt * s0,
    size = Math.hypot(y, out),
    grow = (out * (y * s0 + tilt)) / size; // derivative of size
  w.slope =
    (Math.tanh(rising(m, w)) * (-out * c0 - (x * grow) / size) +
      m.eta * root * (out * s0 - (y * grow) / size)) /
    size;
  return w;
}
function l2Ball(m, a, rho, n) {
  const inner = innerMinima(m, (s) => onRim(m, a, rho, Math.PI * s), n);
  return [Math.PI, 0, ...inner.map((s) => Math.PI * s)].map((psi) => onRim(m, a, rho, psi));
}

// l-infinity ball: w1 at an end, and a share of the other weights up, the rest down.
function corner(m, a, shift, rho, share) {
  const w = near(m, a, shift, rho * (2 * share - 1), 4 * rho * rho * share * (1 - share));
  w.slope =
    m.eta * Math.sqrt(m.d) * rho * (rho + 2 * share - 1) - (w.x / Math.sqrt(m.d)) * Math.tanh(rising(m, w));
  return w;
}
function linfBall(m, a, rho, n) {
  return [-rho, rho].flatMap((shift) => {
    const inner = innerMinima(m, (s) => corner(m, a, shift, rho, s), n);
    return [0, m.d, ...inner.flatMap((s) => [Math.floor(s * m.d), Math.ceil(s * m.d)])].map((up) =>
      corner(m, a, shift, rho, up / m.d),
    );
  });
}

// The worst classifier around (a, 1, ..., 1), and the worst of either side: [the one that a larger robust
// weight would help, the one that it would harm]. At SAM's optimum the two tie.
const BALLS = {
  "robust-worst": interval,
  "robust-uniform": interval,
  "l2-worst": l2Ball,
  "linf-worst": linfBall,
};
export function worst(m, key, h, a, fine = 32) {
  const all = BALLS[key](m, a, rhoOf(m, key, h), fine),
    sides = [null, null];
  let at = null;
  for (const w of all) {
    w.lead = lead(m, w);
    const side = rising(m, w) > 0 ? 0 : 1;
    if (!sides[side] || ahead(m, sides[side], w) > 0) sides[side] = w;
    if (!at || ahead(m, at, w) > 0) at = w;
  }
  return { accuracy: m.p + at.lead, gains: rising(m, at), sides };
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
  let high = 2 * star;
  while (slope(high) > 0 && high < 1e6 * star) high *= 2;
  return bisect(slope, 0, high, 46);
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
  return (a) => worst(m, key, h, a, 16).accuracy;
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
  const gains = (a) => worst(m, key, h, a).gains;
  let high = 2 * star;
  while (gains(high) > 0) {
    high *= 2;
    if (high > 1e6 * star) return Infinity;
  }
  return bisect(gains, 0, high, 42);
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
