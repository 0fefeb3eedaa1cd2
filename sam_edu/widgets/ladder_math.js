// The Wilson interval in JavaScript, a pure function without a DOM; tests/widgets/test_ladder.py compares
// it with sam_edu.evaluation.wilson.

// 95 % interval of a share of which `hits` of `n` were seen (Wilson 1927); hits need not be whole.
export function wilson(hits, n, z = 1.959964) {
  const centre = (hits + (z * z) / 2) / (n + z * z);
  const half = (z / (n + z * z)) * Math.sqrt((hits * (n - hits)) / n + (z * z) / 4);
  return [Math.min(Math.max(0, centre - half), hits / n), Math.max(Math.min(1, centre + half), hits / n)];
}
