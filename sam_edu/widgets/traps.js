import {
  clamp,
  every,
  line,
  marker,
  minus,
  mount,
  move,
  panel,
  percent,
  say,
  scale,
  set,
  svg,
  percents,
  tabled,
  ticks,
} from "./kit.js";

const LOWEST = 0.002; // the error axis is logarithmic and ends here; no error at all is drawn on its floor
const mean = (runs) => runs[0].map((_, i) => runs.reduce((sum, run) => sum + run[i], 0) / runs.length);
const number = (v) => minus(v >= 0.1 || v === 0 ? v.toFixed(2) : v.toFixed(3));
const WAYS = [
  ["right", "se-sam", "square", ""],
  ["wrong", "se-at", "triangle", "se-dash"],
];

function build(root, model) {
  const rows = model.get("rows"),
    epochs = rows[0].error_right[0].length,
    seeds = Math.max(...rows.map((r) => r.error_right.length));
  const error = panel(root, { heading: "", xLabel: "epoch", yLabel: "test error (logarithmic)", left: 54 });
  const sign = panel(root, { heading: "", xLabel: "epoch", yLabel: "-", left: 54 });
  const X = scale(1, epochs, error.x0 + 6, error.x1 - 8),
    log = scale(Math.log(LOWEST), 0, error.y0, error.y1);
  const Y = (v) => log(Math.log(Math.max(v, LOWEST)));
  const at = ticks(1, epochs, 5).filter(Number.isInteger);
  for (const p of [error, sign])
    p.place(
      "x",
      [...new Set([1, ...at])].map((e) => [X(e), String(e)]),
    );
  error.place(
    "y",
    [0.01, 0.03, 0.1, 0.3, 1].map((v) => [Y(v), 100 * v + " %"]),
  );
  const guides = [error, sign].map((p) => svg("path", { class: "se-guide se-data" }, p.over));
  const parts = WAYS.map(([way, kind, shape, dash]) => ({
    way,
    on: [error, sign].map((p) => ({
      seeds: Array.from({ length: seeds }, () => svg("path", { class: `se-line se-trail ${kind}` }, p.plot)),
      curve: svg("path", { class: `se-line se-data ${kind} ${dash}` }, p.plot),
      mark: marker(p.over, shape, `${kind} se-data`, shape === "square" ? 4.5 : 5.5),
      name: svg("text", { class: `se-note se-strong se-data ${kind}` }, p.over, way),
    })),
  }));
  let row, curves, YS;

  function load(name) {
    // everything that depends on the trap alone
    row = rows.find((r) => r.name === name) || rows[0];
    const values = [...row.symptom_right, ...row.symptom_wrong].flat();
    let low = Math.min(...values),
      high = Math.max(...values);
    if (high - low < 0.02) [low, high] = [low - 0.02, high + 0.02];
    const pad = 0.08 * (high - low);
    YS = scale(low - pad, high + pad, sign.y0, sign.y1);
    const scaleTicks = ticks(low, high, 5),
      digits = scaleTicks.length > 1 && scaleTicks[1] - scaleTicks[0] < 0.05 ? 2 : 1;
    sign.place(
      "y",
      scaleTicks.map((v) => [YS(v), minus(v.toFixed(digits))]),
    );
    if (sign.yText) say(sign.yText, row.symptom);
    curves = {};
    for (const { way, on } of parts)
      on.forEach((o, i) => {
        const runs = row[(i ? "symptom_" : "error_") + way],
          y = i ? YS : Y,
          values = (curves[way + i] = mean(runs));
        o.curve.setAttribute("d", line(values.map((v, e) => [X(e + 1), y(v)])));
        o.seeds.forEach((path, k) =>
          path.setAttribute("d", line(runs[k] ? runs[k].map((v, e) => [X(e + 1), y(v)]) : [])),
        );
      });
  }

  const table = () => {
    const step = Math.ceil(epochs / 20),
      thin = (list) => every(step, list),
      epoch = thin(curves.right0.map((_, i) => i + 1));
    return [
      ["test error", 0],
      [row.symptom, 1],
    ].map(([title, i]) => ({
      title: `${row.title}: ${title}`,
      columns: Object.fromEntries([
        ["epoch", epoch],
        ...["right", "wrong"].map((way) => [
          way,
          i ? thin(curves[way + i]) : percents(thin(curves[way + i])),
        ]),
      ]),
    }));
  };

  return tabled(table, (s, changed) => {
    if (changed.has("trap")) load(s.trap);
    const e = clamp(Math.round(s.epoch), 1, epochs) - 1;
    for (const { way, on } of parts)
      on.forEach((o, i) => {
        const y = (i ? YS : Y)(curves[way + i][e]),
          other = (i ? YS : Y)(curves[(way === "right" ? "wrong" : "right") + i][e]);
        move(o.mark, X(e + 1), y);
        const side = e > epochs / 2,
          up = way === s.switch ? y <= other : y < other;
        set(o.name, {
          x: (X(e + 1) + (side ? -9 : 9)).toFixed(1),
          y: clamp(y + (up ? -8 : 16), error.y1 + 9, error.y0 - 4).toFixed(1),
          "text-anchor": side ? "end" : "start",
        });
        const strong = way === s.switch;
        set(o.curve, { style: `stroke-width: ${strong ? 2.6 : 1.3}`, opacity: strong ? 1 : 0.6 });
        set(o.mark, { opacity: strong ? 1 : 0.55 });
        set(o.name, { opacity: 1 });
      });
    guides.forEach((g) => g.setAttribute("d", `M${X(e + 1).toFixed(1)},${error.y0}V${error.y1}`));
    const text = sentence(s, row, curves, e);
    error.entitle(`${row.title}: the test error`);
    sign.entitle(`${row.title}: the symptom`);
    error.describe("Test error over the epochs, right and wrong setting. " + text);
    sign.describe(
      `${row.symptom}: right ${number(curves.right1[e])}, wrong ${number(curves.wrong1[e])} after epoch ${e + 1}.`,
    );
    return text;
  });
}

function sentence(s, row, curves, e) {
  const other = s.switch === "right" ? "wrong" : "right",
    here = (way, i) => curves[way + i][e];
  const ratio = here("wrong", 0) / Math.max(here("right", 0), 1e-9);
  const verdict =
    ratio > 1.5
      ? "The test error tells."
      : ratio < 0.67
        ? "By the test error, the wrong way looks better."
        : "The test error does not tell.";
  return `${row.title}, the ${s.switch} way (${row[s.switch]}): after epoch ${e + 1} the test error is ${percent(here(s.switch, 0), 1)}; the ${other} way (${row[other]}) has ${percent(here(other, 0), 1)}. The ${row.symptom} is ${number(here(s.switch, 1))} against ${number(here(other, 1))}. ${verdict}`;
}

const controls = (model) => {
  const rows = model.get("rows"),
    epochs = rows[0].error_right[0].length;
  return [
    { trait: "trap", label: "trap", options: rows.map((r) => [r.name, r.title]) },
    {
      trait: "switch",
      label: "switch",
      options: [
        ["wrong", "wrong"],
        ["right", "right"],
      ],
    },
    {
      trait: "epoch",
      label: "epoch",
      min: 1,
      max: epochs,
      step: 1,
      show: (v) => String(Math.round(v)),
      speak: (v) => "epoch " + Math.round(v),
    },
  ];
};
export default {
  render: (context) =>
    mount(context, {
      name: "traps",
      label: "Explorer: six ways to get SAM wrong",
      controls: controls(context.model),
      build,
    }),
};
