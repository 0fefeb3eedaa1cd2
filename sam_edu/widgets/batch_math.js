// Readings from a grid of measurements: straight lines between the measured radii, nothing in between.

export const nearest = (list, v) =>
  list.reduce((best, w, i) => (Math.abs(w - v) < Math.abs(list[best] - v) ? i : best), 0);

// The value at x of the straight lines through (xs, ys); constant beyond the ends.
export function interpolate(xs, ys, x) {
  if (x <= xs[0]) return ys[0];
  for (let i = 1; i < xs.length; i++)
    if (x <= xs[i]) return ys[i - 1] + ((ys[i] - ys[i - 1]) * (x - xs[i - 1])) / (xs[i] - xs[i - 1]);
  return ys[ys.length - 1];
}

// rows: one list of values (one per sample) for each radius. Mean, lowest and highest at rho.
export function reading(rhos, rows, rho) {
  const at = (f) => interpolate(rhos, rows.map(f), rho);
  return {
    mean: at((v) => v.reduce((a, b) => a + b, 0) / v.length),
    low: at((v) => Math.min(...v)),
    high: at((v) => Math.max(...v)),
    measured: rhos.some((r) => Math.abs(r - rho) < 1e-9),
  };
}
