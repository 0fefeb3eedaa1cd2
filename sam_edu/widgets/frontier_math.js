// Which rows one can afford, and the most robust of them; the same rules as in frontier.py.
const SLACK = 1e-9; // a row exactly at the limit is allowed
export const affordable = (row, sgd, budget, loss) =>
  row.cost <= budget + SLACK && row.mean[0] >= sgd.mean[0] - loss / 100 - SLACK;
// Index of the most robust affordable row at radius number k (the cheaper of two equals), or -1.
export function bestRow(rows, sgd, k, budget, loss) {
  let best = -1;
  rows.forEach((row, i) => {
    if (!affordable(row, sgd, budget, loss)) return;
    const now = rows[best];
    if (best < 0 || row.mean[k] > now.mean[k] || (row.mean[k] === now.mean[k] && row.cost < now.cost))
      best = i;
  });
  return best;
}
