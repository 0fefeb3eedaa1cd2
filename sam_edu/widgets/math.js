// Formulas of sam_edu.toy in JavaScript, pure functions without a DOM. tests/widgets/test_formulas.py compares
// every one of them with Python on random and extreme arguments.

// Complementary error function to about 1e-15 absolute: the all-positive series near 0, the continued
// fraction (evaluated from the back) in the tail.
export function erfc(x) {
  if (x < 0) return 2 - erfc(-x);
  if (x > 27) return 0;
  if (x < 2.2) {
    let term = x,
      sum = x;
    for (let n = 1; term > 1e-17 * sum && n < 80; n++) sum += term *= (2 * x * x) / (2 * n + 1);
    return 1 - (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  }
  let tail = x;
  for (let n = Math.ceil(30 + 200 / (x * x)); n > 0; n--) tail = x + n / 2 / tail;
  return Math.exp(-x * x) / (tail * Math.sqrt(Math.PI));
}

export const Phi = (x) => erfc(-x / Math.SQRT2) / 2; // standard normal distribution function

// A toy model is a plain object {p, eta, d}; a weight of Infinity is the classifier sgn(x_1).
export const logOdds = (m) => 2 * Math.atanh(2 * m.p - 1); // exact near p = 1/2, too

function accuracy(m, w1, shift, wear) {
  if (w1 === Infinity) return wear < 1 ? m.p : 1 - m.p;
  const root = Math.sqrt(m.d),
    base = m.d * shift - wear * Math.abs(w1);
  return m.p * Phi((base + w1) / root) + (1 - m.p) * Phi((base - w1) / root);
}

export const naturalAccuracy = (m, w1) => accuracy(m, w1, m.eta, 0);

export const robustAccuracy = (m, w1, eps, attacked = "nonrobust") =>
  accuracy(m, w1, m.eta - eps, attacked === "all" ? eps : 0);

export const standardOptimum = (m) => logOdds(m) / (2 * m.eta); // Theorem 1

// The local maximum at a finite weight (Theorems 2a and 3a), or null where there is none.
function interiorOptimum(m, eps, attacked) {
  const k = m.eta - eps;
  if (k <= 0) return null;
  if (attacked !== "all") return logOdds(m) / (2 * k);
  const odds = logOdds(m) - 2 * Math.atanh(eps);
  if (odds <= 0) return 0;
  const D = k * k - (2 * eps * odds) / m.d;
  return D <= 0 ? null : odds / (k + Math.sqrt(D));
}

// Is the robust accuracy at w1 >= 0 above p? As tail masses on the log scale: far out both agree with p
// to machine precision, and the sign of their difference would be rounding noise.
function beatsRobustFeature(m, w1, eps) {
  const root = Math.sqrt(m.d),
    k = m.eta - eps,
    low = ((1 + eps) * w1) / root - root * k,
    high = ((1 - eps) * w1) / root + root * k;
  if (low < 0) return logPhi(-low) > logOdds(m) + logPhi(-high);
  const tails = Math.log(erfcx(low / Math.SQRT2)) - Math.log(erfcx(high / Math.SQRT2));
  return tails + 2 * w1 * (k - (eps * w1) / m.d) > logOdds(m); // the squares of both ends can be huge
}

// Theorems 2 and 3: {w1, regime, robust, natural}
export function adversarialOptimum(m, eps, attacked = "nonrobust") {
  const w1 = interiorOptimum(m, eps, attacked);
  if (w1 !== null) {
    if (attacked !== "all" || beatsRobustFeature(m, w1, eps))
      return {
        w1,
        regime: "interior",
        robust: robustAccuracy(m, w1, eps, attacked),
        natural: naturalAccuracy(m, w1),
      };
  }
  return { w1: Infinity, regime: "robust-only", robust: m.p, natural: m.p };
}

// The radius from which sgn(x_1) is best: eta itself, or the jump eps_g of Theorem 3.
export function jumpRadius(m, attacked = "nonrobust") {
  if (attacked !== "all") return m.eta;
  let low = 0,
    high = Math.min(m.eta, 1 - 1e-12);
  for (let i = 0; i < 60; i++) {
    const mid = (low + high) / 2;
    if (adversarialOptimum(m, mid, "all").regime === "interior") low = mid;
    else high = mid;
  }
  return high;
}

// exp(x^2) erfc(x) for x >= 0
const erfcx = (x) => {
  if (x < 2.2) return Math.exp(x * x) * erfc(x);
  let tail = x;
  for (let n = Math.ceil(30 + 200 / (x * x)); n > 0; n--) tail = x + n / 2 / tail;
  return 1 / (tail * Math.sqrt(Math.PI));
};

// Gauss's rule, and masses of the normal law around mid >= 0: sam_edu.toy.order
const GAUSS = [
  [0.1488743389816312, 0.2955242247147529],
  [0.4333953941292472, 0.2692667193099963],
  [0.6794095682990244, 0.219086362515982],
  [0.8650633666889845, 0.1494513491505806],
  [0.9739065285171717, 0.0666713443086881],
];
function bent(mid, half) {
  // short intervals: the mass over 2*half times the density at mid
  let sum = 0;
  for (const [t, w] of GAUSS)
    for (const step of [t * half, -t * half]) sum += w * Math.expm1(-step * (mid + step / 2));
  return Math.log1p(sum / 2);
}
const tails = (mid, half) =>
  Math.log(erfcx((mid - half) / Math.SQRT2) - Math.exp(-2 * mid * half) * erfcx((mid + half) / Math.SQRT2));
const logMass = (mid, half) =>
  mid >= half
    ? tails(mid, half) - Math.LN2 - (mid - half) ** 2 / 2
    : Math.log(Phi(mid + half) - Phi(mid - half));

// Has the sign of F(two) - F(one), the accuracies of two classifiers {tau, gamma, rate = L/2 - tau*gamma}; the step
// from one to two is {tau, gamma, slope = gamma/tau}. The accuracies can agree in all digits: their difference is two
// interval masses, compared by the logarithm of their ratio where they oppose; what cancels there is done by hand.
export function rise(m, one, two, step) {
  const { slope } = step,
    half = Math.abs(step.tau) / 2,
    sign = Math.sign(step.tau);
  if (!(Math.abs(slope) < 1)) return step.gamma === 0 ? 0 : Math.sign(step.gamma) * Infinity;
  if (half === 0) return 0;
  const tau = (one.tau + two.tau) / 2,
    gamma = (one.gamma + two.gamma) / 2,
    up = half * (1 + slope),
    down = half * (1 - slope),
    right = Math.abs(gamma + tau),
    left = Math.abs(gamma - tau),
    odds = one.rate + two.rate + (step.tau * step.gamma) / 2; // L - 2*tau*gamma
  if (up * Math.max(1, right) < 0.5 && down * Math.max(1, left) < 0.5)
    return sign * (odds + 2 * Math.atanh(slope) + bent(right, up) - bent(left, down));
  if (right < up || left < down) return sign * (logOdds(m) + logMass(right, up) - logMass(left, down));
  const ends = tails(right, up) - tails(left, down);
  if (Math.abs(tau) <= gamma) return sign * (odds + 2 * half * (tau + slope * (gamma - half)) + ends);
  return sign * (2 * (Math.abs(one.tau) < Math.abs(two.tau) ? one : two).rate + ends);
}

// The same for equal non-robust weights: from tau = low to high at gamma = c.
export function riseOfRatio(m, low, high) {
  const c = m.eta * Math.sqrt(m.d),
    at = (tau) => ({ tau, gamma: c, rate: logOdds(m) / 2 - tau * c });
  return rise(m, at(low), at(high), { tau: high - low, gamma: 0, slope: 0 });
}

// ln Phi(x) without underflow: from x = -8 down the continued fraction's logarithm
export function logPhi(x) {
  if (x > -8) return Math.log(Phi(x));
  const z = -x / Math.SQRT2;
  let tail = z;
  for (let n = 40; n > 0; n--) tail = z + n / 2 / tail;
  return -z * z - Math.log(2 * tail * Math.sqrt(Math.PI));
}

// Theorem 7: only w_1 perturbed by at most rho, exact worst case; the balance A(a+rho) = A(a-rho).
export function samOptimum(m, rho) {
  const best = standardOptimum(m);
  if (!(rho > 0)) return best;
  const root = Math.sqrt(m.d);
  let low = best,
    high = best + rho;
  for (let i = 0; i < 60 && high - low > 1e-15 * high; i++) {
    const mid = (low + high) / 2;
    if (riseOfRatio(m, (mid - rho) / root, (mid + rho) / root) > 0) low = mid;
    else high = mid;
  }
  return (low + high) / 2;
}

// sam_edu.toy.landscape: a valley that is narrow at (-1, 0) and wide at (1, 0)
const BETA = 0.05,
  A_FLAT = 1,
  A_SHARP = 12,
  KAPPA = 3;
const narrow = (w1) => 1 / (1 + Math.exp(KAPPA * w1));
export const valleyCurvature = (w1) => A_FLAT + (A_SHARP - A_FLAT) * narrow(w1);
export const valleyLoss = (w1, w2) => BETA * (w1 * w1 - 1) ** 2 + (valleyCurvature(w1) * w2 * w2) / 2;
export function valleyGradient(w1, w2) {
  const s = narrow(w1);
  return [
    4 * BETA * w1 * (w1 * w1 - 1) - ((A_SHARP - A_FLAT) * KAPPA * s * (1 - s) * w2 * w2) / 2,
    valleyCurvature(w1) * w2,
  ];
}
export function valleyStep(w, rho, stepSize) {
  const g = valleyGradient(...w),
    norm = Math.hypot(...g) || 1;
  const h = rho > 0 ? valleyGradient(w[0] + (rho * g[0]) / norm, w[1] + (rho * g[1]) / norm) : g;
  return [w[0] - stepSize * h[0], w[1] - stepSize * h[1]];
}
