import { around, compare } from "./bracket_math.js";
import {
  clamp,
  fixed,
  line,
  mount,
  panel,
  percent,
  say,
  scale,
  set,
  signif,
  svg,
  percents,
  tabled,
} from "./kit.js";

const shares = [0, 0.25, 0.5, 0.75, 1];

function build(root, model) {
  const rows = model.get("rows"),
    grid = model.get("eps_grid"),
    [value, reach] = model.get("unit");
  const near = (v) => grid.reduce((best, w, i) => (Math.abs(w - v) < Math.abs(grid[best] - v) ? i : best), 0);
  const seen = (s) => rows.filter((row) => !row.rho || row.rho === s.rho),
    most = rows.filter((row) => !row.rho).length + 1;
  const ends = (row, k) => [row.proved[k], row.standing[k]];
  const unit = (s) => {
    const e = grid[near(s.eps)],
      low = value - reach * e,
      high = value + reach * e;
    return { low, high, ...around(low, high, s.slope) };
  };

  // Left: one unit; ε moves the ends of its interval. Right: the brackets at this ε.
  const relu = panel(root, {
    heading: "One ReLU between two lines",
    xLabel: "input of the unit",
    yLabel: "its output",
    height: 270,
    left: 46,
    right: 16,
  });
  const bars = panel(root, {
    heading: "",
    xLabel: "share of the test images",
    height: 270,
    left: 16,
    right: 16,
  });
  const far = Math.abs(value) + reach * grid[grid.length - 1],
    X = scale(-far, far, relu.x0, relu.x1),
    Y = scale(-far, far, relu.y0, relu.y1);
  const marks = [-far, 0, far].map((v) => Number(v.toPrecision(2)));
  relu.place(
    "x",
    marks.map((v) => [X(v), fixed(v, 1)]),
  );
  relu.place(
    "y",
    marks.map((v) => [Y(v), fixed(v, 1)]),
  );
  const between = svg("path", { class: "se-band se-at se-data" }, relu.plot);
  svg(
    "path",
    {
      d: line([
        [X(-far), Y(0)],
        [X(0), Y(0)],
        [X(far), Y(far)],
      ]),
      class: "se-line",
    },
    relu.plot,
  );
  const above = svg("path", { class: "se-line se-thin se-data se-at" }, relu.plot),
    below = svg("path", { class: "se-line se-thin se-data se-sam" }, relu.plot);
  const edges = [0, 1].map(() => svg("path", { class: "se-guide se-data" }, relu.plot));

  const XB = scale(0, 1, bars.x0, bars.x1),
    step = (bars.y0 - bars.y1) / most;
  bars.place(
    "x",
    shares.map((v) => [XB(v), 100 * v + " %"]),
  );
  const lines = Array.from({ length: most }, (_, i) => {
    const y = bars.y1 + step * i + step / 2;
    return {
      y,
      unknown: svg("rect", { y: y - 4, height: 20 }, bars.over),
      proved: svg("rect", { y: y - 4, height: 20 }, bars.over),
      note: svg("text", { x: bars.x0 + 2, y: y - 10, class: "se-note se-data" }, bars.over, ""),
    };
  });

  const table = (s) => {
    const k = near(s.eps),
      here = seen(s);
    return [
      {
        title: `Brackets at ε = ${grid[k]}`,
        columns: {
          network: here.map((r) => r.name),
          proved: percents(here, 1, (r) => r.proved[k]),
          "left standing by all attacks": percents(here, 1, (r) => r.standing[k]),
        },
      },
      {
        title: "The lines around the unit",
        columns: (({ low, high, above: a, lift, below: b }) => ({
          line: ["upper", "lower"],
          slope: [a, b],
          "at the lowest input": [a * low + lift, b * low],
          "at the highest input": [a * high + lift, b * high],
        }))(unit(s)),
      },
    ];
  };

  return tabled(table, (s) => {
    const k = near(s.eps),
      u = unit(s),
      here = seen(s);
    const up = (z) => u.above * z + u.lift,
      down = (z) => u.below * z;
    between.setAttribute(
      "d",
      line([
        [X(u.low), Y(up(u.low))],
        [X(u.high), Y(up(u.high))],
        [X(u.high), Y(down(u.high))],
        [X(u.low), Y(down(u.low))],
      ]) + "Z",
    );
    above.setAttribute("d", line([u.low, u.high].map((z) => [X(z), Y(up(z))])));
    below.setAttribute("d", line([u.low, u.high].map((z) => [X(z), Y(down(z))])));
    [u.low, u.high].forEach((z, i) =>
      edges[i].setAttribute("d", `M${X(z).toFixed(1)},${relu.y0}V${relu.y1}`),
    );
    lines.forEach(({ unknown, proved, note }, i) => {
      const row = here[i];
      for (const node of [unknown, proved, note]) node.style.display = row ? "" : "none";
      if (!row) return;
      const [low, high] = ends(row, k);
      set(proved, {
        x: XB(0).toFixed(1),
        width: (XB(low) - XB(0)).toFixed(1),
        class: `se-bar se-data ${row.style.css}`,
        style: "fill: var(--se, currentColor)",
      });
      set(unknown, {
        x: XB(low).toFixed(1),
        width: (XB(high) - XB(low)).toFixed(1),
        class: `se-bar se-data ${row.style.css}`,
        style:
          "fill: var(--se, currentColor); fill-opacity: 0.25; stroke: var(--se, currentColor); stroke-dasharray: 3 2",
      });
      note.setAttribute("class", `se-note se-data ${row.style.css}`);
      say(note, `${row.name}: ${percent(low, 1)} proved, ${percent(1 - high, 1)} broken`);
    });
    bars.entitle(`Between proof and attack, ε = ${grid[k]}`);
    const text = sentence(here, grid[k], k, u);
    relu.describe(
      `Input between ${fixed(u.low, 2)} and ${fixed(u.high, 2)}; upper line with slope ${signif(u.above)} and lift ${signif(u.lift)}, lower line with slope ${signif(u.below)}.`,
    );
    bars.describe(
      "Full: proved. Pale: neither proved nor broken. " +
        here.map((r) => `${r.name}: ${percent(r.proved[k], 1)} to ${percent(r.standing[k], 1)}`).join("; ") +
        ".",
    );
    return text;
  });
}

function sentence(rows, e, k, u) {
  const open = u.low < 0 && u.high > 0,
    ends = (r) => [r.proved[k], r.standing[k]];
  let text = open
    ? `At ε = ${e} the unit’s input lies between ${fixed(u.low, 2)} and ${fixed(u.high, 2)}; between its two lines is an area of ${u.area.toFixed(2)}.`
    : `At ε = ${e} the unit is ${u.low >= 0 ? "on" : "off"} for every image in the ball: both lines are the ReLU.`;
  const wide = rows.reduce((a, b) => (b.standing[k] - b.proved[k] > a.standing[k] - a.proved[k] ? b : a));
  text += ` Widest is the bracket of ${wide.name}: ${percent(wide.proved[k], 1)} proved, ${percent(1 - wide.standing[k], 1)} broken, ${percent(wide.standing[k] - wide.proved[k], 1)} unknown.`;
  const base = rows.find((r) => r.kind === "SGD"),
    sam = rows.find((r) => r.rho);
  if (!base || !sam) return text;
  text += ` ${sam.name}: between ${percent(sam.proved[k], 1)} and ${percent(sam.standing[k], 1)}; SGD: between ${percent(base.proved[k], 1)} and ${percent(base.standing[k], 1)}.`;
  const words = {
    above: `${sam.name}’s floor lies above SGD’s ceiling: the gain is proved on these images.`,
    below: `${sam.name}’s ceiling lies below SGD’s floor.`,
    overlap: `The brackets of ${sam.name} and SGD overlap: which is more robust is not proved.`,
  };
  return `${text} ${words[compare(ends(sam), ends(base))]}`;
}

const controls = (model) => [
  {
    trait: "eps",
    label: "ε of the attack",
    values: model.get("eps_grid"),
    show: String,
    speak: (v) => "epsilon " + v,
    kind: "se-at",
  },
  {
    trait: "rho",
    label: "ρ of SAM",
    values: [
      ...new Set(
        model
          .get("rows")
          .map((r) => r.rho)
          .filter(Boolean),
      ),
    ].sort((a, b) => a - b),
    show: String,
    speak: (v) => "rho " + v,
  },
  {
    trait: "slope",
    label: "lower line",
    min: 0,
    max: 1,
    step: 0.05,
    show: (v) => clamp(v, 0, 1).toFixed(2),
    speak: (v) => "slope " + v.toFixed(2),
  },
];
export default {
  render: (context) =>
    mount(context, {
      name: "bracket",
      label: "Explorer: between proof and attack",
      controls: controls(context.model),
      build,
    }),
};
