import { arrow, fixed, line, marker, mount, move, panel, scale, set, svg, tabled } from "./kit.js";
import { familyAxes, familyStep } from "./family_math.js";

const REACH = 1.05; // half width of the map around w
function build(root, model) {
  const HOW = Object.fromEntries(model.get("members")),
    MEMBERS = Object.keys(HOW);
  const map = panel(root, { heading: "", xLabel: "w₁", yLabel: "w₂", height: 300, width: 342, left: 52 });
  const half = (map.x1 - map.x0) / (map.y0 - map.y1); // one unit is as long on both axes
  const X = scale(-REACH * half, REACH * half, map.x0, map.x1),
    Y = scale(-REACH, REACH, map.y0, map.y1),
    at = ([a, b]) => [X(a), Y(b)];
  const region = svg("path", { class: "se-band se-sam se-data" }, map.plot),
    edge = svg("path", { class: "se-line se-sam se-data" }, map.plot),
    ball = svg("path", { class: "se-line se-thin se-std se-dash" }, map.plot);
  const slope = svg("path", { class: "se-line se-std se-arrow se-data" }, map.plot),
    climb = svg("path", { class: "se-line se-sam se-arrow se-data" }, map.plot);
  move(marker(map.over, "circle", "se-theory", 4), ...at([0, 0]));
  const slopeNote = svg("text", { class: "se-note se-std" }, map.over, "gradient"),
    stepNote = svg("text", { class: "se-note se-sam se-strong" }, map.over, "e");
  svg("text", { x: X(0) - 8, y: Y(0) + 16, class: "se-note se-end" }, map.over, "w");

  const bars = panel(root, {
    heading: "First-order rise of the loss, g · e",
    xLabel: "",
    height: 300,
    left: 78,
    right: 44,
  });
  const step = (bars.y0 - bars.y1) / MEMBERS.length,
    L = scale(0, 1.4, bars.x0, bars.x1);
  bars.place(
    "x",
    [0, 0.4, 0.8, 1.2].map((v) => [L(v), v.toFixed(1)]),
  );
  const rows = MEMBERS.map((member, i) => {
    const y = bars.y1 + i * step;
    const name = svg(
      "text",
      { x: bars.x0 - 6, y: y + step / 2 + 4, class: "se-note se-end se-row-name" },
      bars.over,
      member,
    );
    const bar = svg(
      "rect",
      { x: bars.x0, y: y + step * 0.22, height: step * 0.56, class: "se-bar se-data" },
      bars.plot,
    );
    return {
      member,
      name,
      bar,
      value: svg("text", { y: y + step / 2 + 4, class: "se-tick" }, bars.over, ""),
    };
  });
  const ring = (a, b) =>
    Array.from({ length: 73 }, (_, i) =>
      at([a * Math.cos((i * Math.PI) / 36), b * Math.sin((i * Math.PI) / 36)]),
    );

  const table = (s) => {
    const g = [Math.cos((s.turn * Math.PI) / 180), Math.sin((s.turn * Math.PI) / 180)],
      e = familyStep(s.member, s.rho, s.turn, s.w2);
    return [
      {
        title: `Arrows from w, ${s.member}`,
        columns: {
          arrow: ["gradient", "e"],
          "along w₁": [g[0], e[0]],
          "along w₂": [g[1], e[1]],
          length: [1, Math.hypot(...e)],
        },
      },
      {
        title: "First-order rise of the loss",
        columns: {
          method: MEMBERS,
          rise: MEMBERS.map((member) => {
            const v = familyStep(member, s.rho, s.turn, s.w2);
            return g[0] * v[0] + g[1] * v[1];
          }),
        },
      },
    ];
  };

  return tabled(table, (s) => {
    const g = [Math.cos((s.turn * Math.PI) / 180), Math.sin((s.turn * Math.PI) / 180)],
      e = familyStep(s.member, s.rho, s.turn, s.w2),
      [a, b] = familyAxes(s.member, s.rho, s.turn, s.w2);
    map.place("x", [[X(0), "1"]]);
    map.place("y", [[Y(0), s.w2.toFixed(2)]]);
    map.entitle(`Where ${s.member} looks around w = (1, ${s.w2.toFixed(2)})`);
    const box = [
        [a, b],
        [-a, b],
        [-a, -b],
        [a, -b],
        [a, b],
      ].map(at),
      shape = line(s.member === "AWP" ? box : ring(a, b));
    edge.setAttribute("d", shape);
    region.setAttribute("d", shape + "Z");
    ball.setAttribute("d", line(ring(s.rho, s.rho)));
    slope.setAttribute("d", arrow(...at([0, 0]), ...at([0.9 * g[0], 0.9 * g[1]])));
    climb.setAttribute("d", arrow(...at([0, 0]), ...at(e)));
    const tip = at([0.9 * g[0], 0.9 * g[1]]),
      end = at(e);
    set(slopeNote, {
      x: (tip[0] + 4).toFixed(1),
      y: (tip[1] - 6).toFixed(1),
      "text-anchor": s.turn < 30 ? "end" : "start",
    });
    set(stepNote, { x: (end[0] + 6).toFixed(1), y: (end[1] + 14).toFixed(1) });
    for (const row of rows) {
      const v = familyStep(row.member, s.rho, s.turn, s.w2),
        rise = g[0] * v[0] + g[1] * v[1];
      row.bar.setAttribute("width", Math.max(0, L(rise) - bars.x0).toFixed(1));
      row.bar.setAttribute("class", `se-bar se-data ${row.member === s.member ? "se-true" : ""}`);
      set(row.value, { x: (L(rise) + 5).toFixed(1) });
      row.value.textContent = fixed(rise, 2);
    }
    const length = Math.hypot(...e),
      rise = g[0] * e[0] + g[1] * e[1],
      off = length > 0 ? (Math.acos(Math.min(1, rise / length)) * 180) / Math.PI : 0;
    const text =
      `${s.member} looks in ${HOW[s.member]}. Its e = (${fixed(e[0], 2)}, ${fixed(e[1], 2)}) has length ${fixed(length, 2)}, ` +
      `${off < 0.5 ? "points along the gradient" : `turns ${off.toFixed(0)}° away from the gradient`}, and raises the loss by ${fixed(rise, 2)} to first order; SAM’s by ${fixed(s.rho, 2)}.`;
    map.describe(text);
    bars.describe(
      "First-order rise: " + rows.map((r) => `${r.member} ${r.value.textContent}`).join(", ") + ".",
    );
    return text;
  });
}

const controls = (model) => [
  { trait: "member", label: "method", options: model.get("members").map(([m]) => [m, m]) },
  {
    trait: "rho",
    label: "ρ",
    min: 0.05,
    max: 0.6,
    step: 0.01,
    show: (v) => v.toFixed(2),
    speak: (v) => "rho " + v.toFixed(2),
    kind: "se-sam",
  },
  {
    trait: "turn",
    label: "gradient’s angle",
    min: 0,
    max: 90,
    step: 1,
    show: (v) => v.toFixed(0) + "°",
    speak: (v) => v.toFixed(0) + " degrees",
  },
  {
    trait: "w2",
    label: "second weight",
    min: 0,
    max: 1.5,
    step: 0.05,
    show: (v) => v.toFixed(2),
    speak: (v) => "second weight " + v.toFixed(2),
  },
];
export default {
  render: (context) =>
    mount(context, {
      name: "family",
      label: "Explorer: where each member of the SAM family looks",
      controls: controls(context.model),
      build,
    }),
};
