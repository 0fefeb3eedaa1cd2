import { logOdds, logPhi, riseOfRatio, samOptimum, standardOptimum } from "./math.js";

// The best robust weight under SAM for each convention of the (ρ, ε) plane, and the radii that give the
// same weight as an attack. Pure functions; tests/widgets/test_plane.py compares them with sam_edu.toy.
// Every other weight is 1. Infinity stands for the classifier sgn(x_1).

// Lengths k of x without its part along (1, ..., 1): a chi law with n degrees of freedom. The trapezoidal
// rule is exact to rounding for a smooth bell curve as long as its steps are shorter than its width.
const rules = new Map();
function chi(n) {
  if (!rules.has(n)) {
    const k = [],
      log = [];
    for (let v = Math.max(0.01, Math.sqrt(n) - 5.4); v < Math.sqrt(n) + 5.4; v += 0.4) {
      k.push(v);
      log.push((n - 1) * Math.log(v) - (v * v) / 2);
    }
    const top = Math.max(...log),
      mass = log.map((l) => Math.exp(l - top)),
      sum = mass.reduce((s, v) => s + v);
    rules.set(
      n,
      k.map((v, i) => [v, mass[i] / sum]),
    );
  }
  return rules.get(n);
}

// The first zero of a function that starts above 0 and falls, convex: Newton from the left never steps
// over it. Infinity where the function turns up before it reaches 0.
function firstZero(h, start) {
  let a = start;
  for (let i = 0; i < 60; i++) {
    const value = h(a),
      step = 1e-5 * (1 + a),
      slope = (h(a + step) - value) / step;
    if (!(slope < 0)) return Infinity;
    const next = Math.max(a - value / slope, 0);
    if (Math.abs(next - a) < 1e-11 * (1 + a)) return next;
    a = next;
  }
  return Infinity;
}

// One perturbation per sample, w_2 = ... = 1: a sample survives iff its margin exceeds ρ‖x‖, which is
// g > T_s(k) for the normal variable g = Σ y x_j / √d.
function perSample(m, rho) {
  const d = m.d,
    root = Math.sqrt(d),
    c = m.eta * root,
    odds = logOdds(m),
    room = d - rho * rho;
  if (room <= 0) return Infinity; // the ball around w holds a w without any non-robust weight
  const parts = (a, s, use) =>
    chi(d - 1).reduce((sum, [k, mass]) => {
      const R = Math.sqrt(a * a + room * (1 + k * k)),
        z = c - (rho * R - s * a * root) / room;
      return sum + mass * use(z, root - (s * rho * a) / R);
    }, 0);
  const slope = (a, s) => Math.log(parts(a, s, (z, rate) => Math.exp((-z * z) / 2) * rate));
  const a = firstZero((v) => odds + slope(v, 1) - slope(v, -1), 0);
  if (a === Infinity) return a;
  const kept = Math.log(parts(a, -1, (z) => Math.exp(logPhi(z)))); // minority samples won ...
  const lost = Math.log(parts(a, 1, (z) => Math.exp(logPhi(-z)))); // ... against majority samples lost
  return kept > odds + lost ? a : Infinity;
}

// All weights with independent normal noise of size σ: the margin gets the noise σ‖x‖.
function gaussian(m, sigma) {
  const d = m.d,
    root = Math.sqrt(d),
    c = m.eta * root,
    odds = logOdds(m),
    star = standardOptimum(m);
  const slope = (a, s) => {
    let sum = 0;
    for (const [k, mass] of chi(d - 1)) {
      const near = Math.sqrt(1 + k * k),
        narrow = sigma * near < root;
      const wide = narrow ? (7 * sigma * Math.hypot(near, c + 7)) / root : Infinity;
      const low = Math.max(c - 7, (-s * a) / root - wide),
        high = Math.min(c + 7, (-s * a) / root + wide);
      const step = 0.9 / Math.sqrt(1 + d / (sigma * near) ** 2);
      let inner = 0;
      for (let g = low; g <= high; g += step) {
        const square = 1 + g * g + k * k,
          z = a + s * root * g;
        inner += Math.exp(-(z * z) / (2 * sigma * sigma * square) - (g - c) ** 2 / 2) / Math.sqrt(square);
      }
      sum += mass * inner * step;
    }
    return Math.log(sum);
  };
  const h = (a) => odds + slope(a, 1) - slope(a, -1); // positive below the optimum, nearly linear
  let low = star,
    from = h(low),
    high = star * (1 + 1.1 * sigma * sigma * (1 + m.eta ** 2 + 1 / d)),
    to = h(high);
  while (to > 0 && high < 1e9) {
    low = high;
    from = to;
    high *= 1.5;
    to = h(high);
  }
  return regulaFalsi((v) => -h(v), low, -from, high, -to);
}

// All weights in an l2 ball of radius ρ, one perturbation for all samples: the worst ones tilt w towards
// e_1 or away from it by the angle arcsin(ρ/‖w‖), and at the optimum both do the same harm. Further out the
// worst perturbation makes the weak weights unequal; Python follows it there, this file stops (null).
export const FOLLOWED = 0.65; // in units of √d
function tilted(m, rho) {
  const root = Math.sqrt(m.d),
    star = standardOptimum(m);
  if (rho > FOLLOWED * root * (1 + 1e-9)) return null;
  const excess = (a) => {
    // has the sign of A(far side) - A(near side)
    const length = Math.hypot(a, root),
      angle = Math.atan2(a, root),
      tilt = Math.asin(rho / length);
    const low = Math.tan(angle - tilt),
      high = Math.tan(angle + tilt);
    return riseOfRatio(m, low, high);
  };
  let low = 0,
    high = star + rho;
  while (excess(high) > 0 && high < 1e9) high *= 2;
  for (let i = 0; i < 100 && high - low > 1e-13 * high; i++) {
    const mid = (low + high) / 2;
    if (excess(mid) > 0) low = mid;
    else high = mid;
  }
  return (low + high) / 2;
}

// The best robust weight under SAM with radius ρ; null where the shared worst case is not followed.
export function samWeight(m, rho, convention) {
  const star = standardOptimum(m);
  if (!(rho > 0) || convention === "one-step") return star; // small steps of one-step SAM stay there
  if (convention === "robust-worst") return samOptimum(m, rho);
  if (convention === "robust-gaussian") return star * (1 + (rho * rho) / m.d);
  return { gaussian, "per-sample": perSample, "l2-worst": tilted }[convention](m, rho);
}

// The attack on the non-robust features that gives the weight w1: adversarial training read backwards.
// Negative where w1 is below the standard optimum: no attack lowers the robust weight.
export const equivalentEps = (m, w1) => m.eta * (1 - standardOptimum(m) / w1);

// Radii from small to large with the weights that SAM gives: [[ρ, w1], ...], the first one ρ = 0.
export function samCurve(m, convention) {
  const d = m.d,
    root = Math.sqrt(d),
    curve = [[0, standardOptimum(m)]];
  const [low, high] = {
    "one-step": [0.01, 10 * root],
    "robust-worst": [0.05 * root, 200 * root],
    "robust-gaussian": [0.05 * root, 12 * root],
    gaussian: [0.05, 12],
    "per-sample": [0.005 * m.eta * root, root],
    "l2-worst": [0.01 * root, FOLLOWED * root],
  }[convention];
  for (let i = 0; i <= 60; i++) {
    const rho = low * (high / low) ** (i / 60);
    curve.push([rho, samWeight(m, rho, convention)]);
    if (curve[curve.length - 1][1] === Infinity) break;
  }
  return curve;
}

// The smallest ρ that gives the same weight as an attack of radius ε, or null where none is found.
export function equivalentRho(m, eps, convention, curve = samCurve(m, convention)) {
  if (eps === 0) return 0;
  if (eps >= m.eta || convention === "one-step") return null;
  const odds = eps / (m.eta - eps),
    star = standardOptimum(m); // odds: the relative gain of w1 that is wanted
  if (convention === "robust-gaussian") return Math.sqrt(m.d * odds);
  const gap = (rho) => samWeight(m, rho, convention) / star - 1 - odds;
  const at = curve.findIndex(([, w1]) => w1 / star - 1 >= odds);
  if (at < 0) return null;
  let low = curve[at - 1][0],
    high = curve[at][0],
    to = gap(high);
  for (let i = 0; i < 60 && to === Infinity; i++) {
    // the optimum jumps: approach the jump from below
    const mid = (low + high) / 2,
      there = gap(mid);
    if (there >= 0) {
      high = mid;
      to = there;
    } else low = mid;
  }
  return to < Infinity ? regulaFalsi(gap, low, gap(low), high, to) : null;
}

// A zero in a bracket: false position that halves the weight of an end which does not move (Illinois).
function regulaFalsi(f, low, atLow, high, atHigh) {
  let side = 0,
    x = high;
  for (let i = 0; i < 60; i++) {
    x = (low * atHigh - high * atLow) / (atHigh - atLow);
    const at = f(x);
    if (Math.abs(at) < 1e-10 || high - low < 1e-12 * high) return x;
    if (at > 0) {
      high = x;
      atHigh = at;
      if (side === 1) atLow /= 2;
      side = 1;
    } else {
      low = x;
      atLow = at;
      if (side === -1) atHigh /= 2;
      side = -1;
    }
  }
  return x;
}
