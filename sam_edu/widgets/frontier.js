import {
  line,
  marker,
  mount,
  move,
  panel,
  percent,
  pixels,
  scale,
  set,
  svg,
  percents,
  tabled,
  ticks,
} from "./kit.js";
import { affordable, bestRow } from "./frontier_math.js";

const style = (row) => [row.style.css, row.style.shape, row.style.dash];
const short = (v) => String(Number(v.toPrecision(3)));
const times = (v) => short(v) + " ×";

function build(root, model) {
  const rows = model.get("rows"),
    eps = rows[0].eps,
    sgd = rows.find((r) => r.method === "SGD");
  const clean = rows.map((r) => r.mean[0]),
    costs = rows.map((r) => r.cost),
    pad = 0.02;
  const top = Math.max(...clean) + pad,
    left = Math.min(...clean) - pad;

  const trade = panel(root, {
    heading: "",
    xLabel: "accuracy without attack",
    yLabel: "",
    height: 300,
    left: 46,
    right: 16,
  });
  const price = panel(root, {
    heading: "What it costs",
    xLabel: "gradient passes of the training, SGD = 1",
    height: 300,
    left: 46,
    right: 16,
  });
  const XA = scale(left, top, trade.x0, trade.x1);
  const low = Math.log(Math.min(...costs) / 1.25),
    high = Math.log(Math.max(...costs) * 1.25),
    XL = scale(low, high, price.x0, price.x1),
    XC = (c) => XL(Math.log(c));
  trade.place(
    "x",
    ticks(left, top, 5).map((v) => [XA(v), Math.round(100 * v) + " %"]),
  );
  price.place(
    "x",
    [0.1, 0.25, 0.5, 1, 2, 4, 6, 8, 12]
      .filter((c) => c >= Math.exp(low) && c <= Math.exp(high))
      .map((c) => [XC(c), short(c)]),
  );

  const joined = rows.filter((r) => !r.style.control && !r.variant);
  const families = [...new Set(joined.map((r) => r.method))]
    .map((method) => ({
      method,
      members: joined
        .filter((r) => r.method === method)
        .sort((a, b) => (a.rho || a.train_eps) - (b.rho || b.train_eps)),
    }))
    .filter((f) => f.members.length > 1);
  for (const f of families)
    f.paths = [trade, price].map((p) =>
      svg(
        "path",
        { class: `se-line se-thin se-data ${style(f.members[0])[0]} ${style(f.members[0])[2]}` },
        p.plot,
      ),
    );
  const limits = [trade, price].map((p) => svg("path", { class: "se-guide se-data" }, p.plot));
  const marks = rows.map((row) =>
    [trade, price].map((p) =>
      marker(p.over, style(row)[1], `${style(row)[0]} se-data`, row.style.control ? 3 : 4.5),
    ),
  );
  const rings = [trade, price].map((p) => svg("circle", { r: 9, class: "se-ring se-data" }, p.over));
  const notes = [trade, price].map((p) => svg("text", { class: "se-note se-strong se-data" }, p.over));
  const sgdNotes = [trade, price].map((p) => svg("text", { class: "se-note se-std" }, p.over, "SGD"));

  const table = (s) => {
    const k = eps.reduce((b, e, i) => (Math.abs(e - s.eps) < Math.abs(eps[b] - s.eps) ? i : b), 0);
    return [
      {
        title: "Every trained method",
        columns: {
          method: rows.map((r) => r.label),
          "without attack": percents(clean, 1),
          [`at ε = ${pixels(eps[k])}`]: percents(rows, 1, (r) => r.mean[k]),
          "passes, SGD = 1": costs.map((v) => String(Number(v.toPrecision(3)))),
          "within the limits": rows.map((r) => (affordable(r, sgd, s.budget, s.loss) ? "yes" : "no")),
        },
      },
    ];
  };

  return tabled(table, (s) => {
    const k = eps.reduce((b, e, i) => (Math.abs(e - s.eps) < Math.abs(eps[b] - s.eps) ? i : b), 0),
      robust = rows.map((r) => r.mean[k]);
    const lowY = Math.max(0, Math.min(...robust) - 0.04),
      highY = Math.min(1, Math.max(...robust) + 0.04);
    const Y = scale(lowY, highY, trade.y0, trade.y1),
      yTicks = ticks(lowY, highY, 5).map((v) => [Y(v), Math.round(100 * v) + " %"]);
    trade.place("y", yTicks);
    price.place("y", yTicks);
    trade.entitle(`The trade: accuracy at ε = ${pixels(eps[k])}`);
    const where = (row) => [
      [XA(row.mean[0]), Y(row.mean[k])],
      [XC(row.cost), Y(row.mean[k])],
    ];
    rows.forEach((row, i) => {
      const dim = affordable(row, sgd, s.budget, s.loss) ? "1" : "0.25";
      where(row).forEach((at, side) => {
        move(marks[i][side], ...at);
        marks[i][side].setAttribute("opacity", dim);
      });
    });
    for (const f of families)
      f.paths.forEach((path, side) => path.setAttribute("d", line(f.members.map((row) => where(row)[side]))));
    const limit = [XA(Math.max(left, sgd.mean[0] - s.loss / 100)), XC(Math.min(s.budget, Math.exp(high)))];
    limits.forEach((path, side) =>
      path.setAttribute("d", `M${limit[side].toFixed(1)},${trade.y0}V${trade.y1}`),
    );
    const best = bestRow(rows, sgd, k, s.budget, s.loss),
      chosen = rows[best];
    where(sgd).forEach((at, side) =>
      set(sgdNotes[side], { x: (at[0] + 8).toFixed(1), y: (at[1] + 14).toFixed(1) }),
    );
    const seen = (node, yes) => node.setAttribute("visibility", yes ? "visible" : "hidden");
    rings.forEach((ring, side) => {
      seen(ring, chosen);
      seen(notes[side], chosen);
      seen(sgdNotes[side], chosen !== sgd);
    });
    if (chosen)
      where(chosen).forEach((at, side) => {
        move(rings[side], ...at);
        const end = at[0] > (trade.x0 + trade.x1) / 2;
        set(notes[side], {
          x: (at[0] + (end ? -12 : 12)).toFixed(1),
          y: (at[1] - 10).toFixed(1),
          "text-anchor": end ? "end" : "start",
        });
        notes[side].textContent = chosen.label;
      });
    const text = sentence(rows, sgd, chosen, k, s, eps[k]);
    trade.describe("Every trained method. " + text);
    price.describe(
      rows.map((r) => `${r.label}: cost ${short(r.cost)}, ${percent(r.mean[k], 1)}`).join("; ") + ".",
    );
    return text;
  });
}

function sentence(rows, sgd, chosen, k, s, eps) {
  const terms = `With at most ${times(s.budget)} SGD’s passes and at most ${s.loss.toFixed(1)} points of clean accuracy to give`;
  if (!chosen) return `${terms}, nothing that was trained qualifies.`;
  const gain = 100 * (chosen.mean[k] - sgd.mean[k]),
    top = rows.reduce((a, b) => (b.mean[k] > a.mean[k] ? b : a));
  let text = `${terms}, ${chosen.label} is the most robust at ε = ${pixels(eps)}: ${percent(chosen.mean[k], 1)}, ${gain < 0 ? "−" : "+"}${Math.abs(gain).toFixed(1)} points against SGD.`;
  text +=
    top === chosen
      ? " Nothing that was trained, at any price, is more robust."
      : ` At any price: ${top.label}, ${percent(top.mean[k], 1)}, ${times(top.cost)} the passes and ${(100 * (sgd.mean[0] - top.mean[0])).toFixed(1).replace("-", "−")} points of clean accuracy lost.`;
  return text;
}

const budgets = (rows) => [...new Set(rows.map((r) => Number(r.cost.toPrecision(3))))].sort((a, b) => a - b);
const controls = (model) => [
  {
    trait: "eps",
    label: "ε of the attack",
    values: model.get("rows")[0].eps.slice(1),
    show: pixels,
    speak: (v) => "epsilon " + pixels(v),
    kind: "se-at",
  },
  {
    trait: "budget",
    label: "compute at most",
    values: budgets(model.get("rows")),
    show: times,
    speak: (v) => short(v) + " times the gradient passes of SGD",
  },
  {
    trait: "loss",
    label: "clean loss at most",
    min: 0,
    max: 10,
    step: 0.5,
    show: (v) => v.toFixed(1),
    speak: (v) => v.toFixed(1) + " points of clean accuracy",
  },
];
export default {
  render: (context) =>
    mount(context, {
      name: "frontier",
      label: "Explorer: what robustness costs",
      controls: controls(context.model),
      build,
    }),
};
