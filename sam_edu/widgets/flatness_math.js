// sam_edu.toy.wells in JavaScript: a sharp well A on the left, a wide well B on the right, touching at 0.
export const A_WIDTH = 0.3,
  B_WIDTH = 1.2;

const rise = (u, depth) => depth + (1 - depth) * (1 - Math.max(1 - u * u, 0) ** 2);

export function wellLoss(v, alpha, floor) {
  const a = A_WIDTH * alpha;
  return v < 0 ? rise((v + a) / a, 0) : rise((v - B_WIDTH) / B_WIDTH, floor);
}

export const wellWorst = (v, rho, alpha, floor) =>
  Math.abs(v) < rho ? 1 : Math.max(wellLoss(v - rho, alpha, floor), wellLoss(v + rho, alpha, floor));

export const wellPrices = (rho, alpha, floor) => [
  rise(rho / (A_WIDTH * alpha), 0),
  rise(rho / B_WIDTH, floor),
];

export function criticalRho(alpha, floor) {
  const a = A_WIDTH * alpha,
    keep = Math.sqrt(1 - floor);
  return a >= B_WIDTH ? Infinity : Math.sqrt((1 - keep) / (a ** -2 - keep * B_WIDTH ** -2));
}

export const flattest = (rho, alpha, floor) =>
  rho <= criticalRho(alpha, floor) ? -A_WIDTH * alpha : B_WIDTH;
