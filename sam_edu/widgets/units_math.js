// Radii and rounding of sam_edu.widgets.units, in the browser.
/** The value at `x` of the straight lines through (grid, values); constant beyond the ends, as numpy.interp. */
export function interpolate(grid, values, x) {
  const last = grid.length - 1;
  if (x <= grid[0]) return values[0];
  if (x >= grid[last]) return values[last];
  let k = 0;
  while (grid[k + 1] < x) k++;
  return values[k] + ((values[k + 1] - values[k]) / (grid[k + 1] - grid[k])) * (x - grid[k]);
}

/** How many of the 256 grey levels k/255 are changed by (x - mean) / std * std + mean in 32-bit floats. */
export function changedLevels(mean, std) {
  const f = Math.fround,
    m = f(mean),
    s = f(std);
  let changed = 0;
  for (let k = 0; k < 256; k++) {
    const x = f(k / 255),
      back = f(f(f(f(x - m) / s) * s) + m);
    if (back !== x) changed++;
  }
  return changed;
}
