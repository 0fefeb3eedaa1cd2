// The two lines around a ReLU on [low, high], as in bracket.py: slopes, lift of the upper one, area between them.
export function around(low, high, slope) {
  if (low >= 0) return { below: 1, above: 1, lift: 0, area: 0 };
  if (high <= 0) return { below: 0, above: 0, lift: 0, area: 0 };
  const above = high / (high - low),
    lift = -low * above,
    width = high - low;
  return { below: slope, above, lift, area: (width * (high - slope * (high + low))) / 2 };
}
// What a bracket [proved, left standing] says about another one.
export function compare(a, b) {
  if (a[0] > b[1]) return "above";
  return a[1] < b[0] ? "below" : "overlap";
}
