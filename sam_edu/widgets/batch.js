import {
  clamp,
  fixed,
  line,
  marker,
  mount,
  move,
  panel,
  percent,
  scale,
  set,
  signif,
  svg,
  percents,
  tabled,
  ticks,
} from "./kit.js";
import { nearest, reading } from "./batch_math.js";

const LOSS = { logistic: "logistic loss", squared: "squared loss" };
const short = (v) => String(Number(v.toPrecision(3)));

function build(root, model) {
  const { batches, rhos, sets, lost, ratio } = model.get("grid"),
    n = batches[batches.length - 1];
  const name = (m) => (m === n ? "all" : String(m));
  const size = panel(root, {
    heading: "The smaller the batch, the larger the effect",
    xLabel: "samples that share a perturbation, m",
    left: 52,
    bottom: 42,
  });
  const radius = panel(root, { heading: "", xLabel: "radius ρ of SAM", left: 52, bottom: 42 });
  const X = scale(0, batches.length - 1, size.x0 + 8, size.x1 - 10),
    R = scale(0, rhos[rhos.length - 1], radius.x0, radius.x1 - 10);
  size.place(
    "x",
    batches.map((m, i) => [
      X(i),
      i % 2 === 0 || batches.length < 7 || i === batches.length - 1 ? name(m) : "",
    ]),
  );
  radius.place(
    "x",
    ticks(0, rhos[rhos.length - 1], 4).map((v) => [R(v), short(v)]),
  );
  const parts = [size, radius].map((p) => ({
    zero: svg("path", { class: "se-guide" }, p.grid),
    band: svg("path", { class: "se-band se-sam se-data" }, p.plot),
    line: svg("path", { class: "se-line se-sam se-data" }, p.plot),
    guide: svg("path", { class: "se-guide se-data" }, p.over),
    mark: marker(p.over, "square", "se-sam se-data", 6),
  }));
  const seeds = lost[0].logistic[0][0].length;
  const dots = batches.map(() =>
    Array.from({ length: seeds }, () =>
      svg("circle", { r: 2.3, class: "se-point se-sam se-data" }, size.over),
    ),
  );
  const points = rhos.map(() =>
    Array.from({ length: seeds }, () =>
      svg("circle", { r: 2.3, class: "se-point se-sam se-data" }, radius.over),
    ),
  );
  const single = svg("path", { class: "se-line se-sam se-thin se-dots se-data" }, radius.plot);
  const singleNote = svg("text", { class: "se-note se-sam se-end" }, radius.over, "m = 1");
  let Y;

  function frame(values) {
    // the vertical axis: all measurements of this loss and these parameters
    const all = values.flat(3),
      low = Math.min(0, ...all),
      high = Math.max(...all, 0.01);
    Y = scale(Math.max(low, -0.3) - 0.04 * high, high * 1.06, size.y0, size.y1);
    const at = ticks(Math.max(low, -0.3), high, 5).map((v) => [Y(v), Math.round(1000 * v) / 10 + " %"]);
    for (const p of [size, radius]) p.place("y", at);
    for (const part of parts) part.zero.setAttribute("d", `M${size.x0},${Y(0).toFixed(2)}H${size.x1}`);
  }
  const dot = (node, x, y, shown) => set(node, { cx: x.toFixed(2), cy: y.toFixed(2), r: shown ? 2.3 : 0 });
  const show = (part, xs, now) => {
    part.line.setAttribute("d", line(now.map((r, i) => [xs[i], Y(r.mean)])));
    part.band.setAttribute(
      "d",
      line(now.map((r, i) => [xs[i], Y(r.high)]).concat(now.map((r, i) => [xs[i], Y(r.low)]).reverse())) +
        "Z",
    );
  };
  let values;

  const table = (s) => {
    const i = nearest(batches, s.batch),
      at = (j, rho) => reading(rhos, values[j], rho),
      part = (list) => ({
        mean: percents(list.map((r) => r.mean)),
        "lowest sample": percents(list.map((r) => r.low)),
        "highest sample": percents(list.map((r) => r.high)),
      });
    return [
      {
        title: `Relative weight lost at ρ = ${short(s.rho)}`,
        columns: { m: batches.map(name), ...part(batches.map((_, j) => at(j, s.rho))) },
      },
      {
        title: `Relative weight lost at m = ${name(batches[i])}`,
        columns: {
          "ρ": rhos,
          ...part(rhos.map((r) => at(i, r))),
          "mean at m = 1": percents(rhos.map((r) => at(0, r).mean)),
        },
      },
    ];
  };

  return tabled(table, (s, changed) => {
    const k = clamp(Math.round(s.parameters), 0, sets.length - 1),
      i = nearest(batches, s.batch);
    if (changed.has("loss") || changed.has("parameters") || !values) {
      values = lost[k][s.loss];
      frame(values);
    }
    const here = values.map((rows) => reading(rhos, rows, s.rho)),
      now = here[i],
      at = here.map((_, j) => X(j));
    show(parts[0], at, here);
    dots.forEach((row, j) =>
      row.forEach((node, q) => {
        const r = nearest(rhos, s.rho);
        dot(node, at[j], Y(now.measured ? values[j][r][q] : here[j].mean), now.measured);
      }),
    );
    parts[0].guide.setAttribute("d", `M${at[i].toFixed(2)},${size.y0}V${size.y1}`);
    move(parts[0].mark, at[i], Y(now.mean));
    const path = rhos.map((r) => reading(rhos, values[i], r)),
      base = rhos.map((r) => reading(rhos, values[0], r)),
      xs = rhos.map(R);
    show(parts[1], xs, path);
    points.forEach((row, j) => row.forEach((node, q) => dot(node, xs[j], Y(values[i][j][q]), true)));
    single.setAttribute("d", line(base.map((r, j) => [xs[j], Y(r.mean)])));
    singleNote.style.display = i === 0 ? "none" : "";
    set(singleNote, {
      x: radius.x1 - 8,
      y: clamp(Y(base[base.length - 1].mean) - 8, radius.y1 + 10, radius.y0 - 6).toFixed(2),
    });
    parts[1].guide.setAttribute("d", `M${R(s.rho).toFixed(2)},${radius.y0}V${radius.y1}`);
    move(parts[1].mark, R(s.rho), Y(now.mean));
    size.entitle(`Relative weight lost at ρ = ${short(s.rho)}`);
    radius.entitle(
      i === batches.length - 1
        ? "One perturbation for all: no effect"
        : `Relative weight lost at m = ${name(batches[i])}`,
    );
    const text = sentence(s, sets[k], ratio[k][s.loss], batches[i], n, now);
    size.describe(
      "Share of their relative weight that SAM takes from the non-robust features, against the batch size. " +
        batches.map((m, j) => `m ${name(m)}: ${percent(here[j].mean, 1)}`).join("; ") +
        ".",
    );
    radius.describe(
      `The same against the radius, m = ${name(batches[i])}. ` +
        rhos.map((r, j) => `ρ ${short(r)}: ${percent(path[j].mean, 1)}`).join("; ") +
        ". " +
        text,
    );
    return text;
  });
}

function sentence(s, label, standard, m, n, now) {
  const head = `${LOSS[s.loss][0].toUpperCase() + LOSS[s.loss].slice(1)}, ${label}. `;
  if (s.rho === 0)
    return (
      head +
      `At ρ = 0 SAM is standard training: the ratio of the robust to a non-robust weight is ${signif(standard, 3)}.`
    );
  if (m === n)
    return (
      head +
      `One perturbation of length ρ = ${short(s.rho)} for all samples changes nothing: the ratio stays ${signif(standard, 3)}.`
    );
  const who = m === 1 ? "each sample perturbed on its own" : `${m} samples sharing a perturbation`;
  const spread = `${percent(now.low, 1)} to ${percent(now.high, 1)} in the samples${now.measured ? "" : ", read off between measured radii"}`;
  if (now.high - now.low > 2 * Math.abs(now.mean) && now.low < 0)
    return (
      head +
      `With ρ = ${short(s.rho)} and ${who}, the samples do not agree on a sign: ${spread}, ${percent(now.mean, 1)} on average.`
    );
  if (now.mean > 0.97)
    return (
      head +
      `With ρ = ${short(s.rho)} and ${who}, SAM removes the non-robust features: they lose ${percent(now.mean, 0)} of their relative weight.`
    );
  const to = standard / (1 - now.mean);
  const attack =
    s.loss === "logistic" && now.mean > 0
      ? ` Adversarial training does the same with ε = ${fixed(now.mean, 3)} η.`
      : "";
  return (
    head +
    `With ρ = ${short(s.rho)} and ${who}, the non-robust features ${now.mean < 0 ? "gain" : "lose"} ${percent(Math.abs(now.mean), 1)} of their relative weight (${spread}); the ratio goes from ${signif(standard, 3)} to ${signif(to, 3)}.${attack}`
  );
}

const controls = (model) => {
  const { batches, rhos, sets } = model.get("grid"),
    n = batches[batches.length - 1];
  return [
    {
      trait: "batch",
      label: "batch size m",
      values: batches,
      show: (v) => (v === n ? "all" : String(v)),
      speak: (v) => (v === n ? "all samples" : v + " samples"),
      kind: "se-sam",
    },
    {
      trait: "rho",
      label: "radius ρ",
      min: 0,
      max: rhos[rhos.length - 1],
      step: 0.01,
      show: (v) => v.toFixed(2),
      speak: (v) => "rho " + v.toFixed(2),
      kind: "se-sam",
    },
    {
      trait: "loss",
      label: "loss",
      options: [
        ["logistic", "logistic"],
        ["squared", "squared"],
      ],
    },
    { trait: "parameters", label: "model", options: sets.map((text, i) => [i, text]) },
  ];
};
export default {
  render: (context) =>
    mount(context, {
      name: "batch",
      label: "Explorer: SAM between one perturbation per sample and one for all",
      controls: controls(context.model),
      build,
    }),
};
