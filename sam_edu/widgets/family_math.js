// The weight perturbation of each member of the family for two weights w = (1, w2) and a gradient of length 1 at
// the angle `turn` (degrees); the same formulas as in family.py, which the tests hold against sam_edu.objectives.
export const ETA_ASAM = 0.01,
  ETA_FISHER = 4,
  BETA = 0.6,
  MEAN = 0.5; // MEAN: of the earlier gradients, (MEAN, 0)

export function familyAxes(member, rho, turn, w2) {
  // half axes of the set, along w1 and w2
  const g = [Math.cos((turn * Math.PI) / 180), Math.sin((turn * Math.PI) / 180)];
  if (member === "ASAM") return [rho * (1 + ETA_ASAM), rho * (Math.abs(w2) + ETA_ASAM)];
  if (member === "FisherSAM") return g.map((v) => rho / Math.sqrt(1 + ETA_FISHER * v * v));
  if (member === "SparseSAM") return Math.abs(g[0]) >= Math.abs(g[1]) ? [rho, 0] : [0, rho];
  if (member === "ESAM") return [rho / BETA, 0];
  if (member === "AWP") return [rho, rho * Math.abs(w2)];
  return [rho, rho];
}

export function familyStep(member, rho, turn, w2) {
  const g = [Math.cos((turn * Math.PI) / 180), Math.sin((turn * Math.PI) / 180)],
    [a, b] = familyAxes(member, rho, turn, w2);
  if (member === "SparseSAM") return [a * g[0], b * g[1]];
  if (member === "ESAM") return [a * Math.sign(g[0]), 0];
  if (member === "AWP") return [a * Math.sign(g[0]), b * Math.sign(g[1])];
  if (member === "FriendlySAM") g[0] -= MEAN;
  const length = Math.hypot(a * g[0], b * g[1]); // the point of an ellipse furthest along g
  return length > 0 ? [(a * a * g[0]) / length, (b * b * g[1]) / length] : [0, 0];
}
