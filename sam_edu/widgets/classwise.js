import { marker, mount, move, panel, percent, say, scale, set, svg, percents, tabled } from "./kit.js";

const style = (row) => [row.style.css, row.style.shape];
const grey = (e) => {
  const k = 255 * e;
  return e > 0 && Math.abs(k - Math.round(k)) < 1e-6 ? `${Math.round(k)}/255` : String(e);
};
const near = (list, v) =>
  list.reduce((best, w, i) => (Math.abs(w - v) < Math.abs(list[best] - v) ? i : best), 0);
const average = (values) => values.reduce((a, b) => a + b, 0) / values.length;

function build(root, model) {
  const rows = model.get("rows"),
    classes = model.get("class_names"),
    eps = model.get("eps_grid"),
    C = classes.length;
  const base = rows.find((row) => row.kind === "SGD"),
    step = 21,
    H = 70 + step * C;

  // Left: all classes under the chosen method, beside SGD. Right: one class over the strength of AT and of SAM.
  const all = panel(root, {
    heading: "",
    xLabel: "accuracy of the class (hollow: SGD)",
    height: H,
    left: 76,
    right: 44,
  });
  const X = scale(0, 1, all.x0 + 4, all.x1 - 4),
    y = (c) => all.y1 + step * (c + 0.6);
  all.place(
    "x",
    [0, 0.25, 0.5, 0.75, 1].map((v) => [X(v), 100 * v + " %"]),
  );
  const band = svg("rect", {
    x: 2,
    width: all.x1 + 40,
    height: step,
    rx: 3,
    class: "se-band se-sam se-data",
  });
  all.box.insertBefore(band, all.grid);
  const mean = svg("path", { class: "se-guide se-data" }, all.over);
  const items = classes.map((name, c) => {
    svg("text", { x: all.x0 - 8, y: y(c) + 4, class: "se-note se-end se-row-name" }, all.over, name);
    const change = svg("path", { class: "se-line se-data" }, all.over);
    const before = marker(all.over, "circle", "se-hollow se-data se-std", 4),
      seeds = svg("path", { class: "se-line se-thin se-data" }, all.over);
    return {
      change,
      before,
      seeds,
      now: svg("path", {}, all.over),
      note: svg("text", { x: all.x1 + 40, y: y(c) + 4, class: "se-note se-end se-data" }, all.over, ""),
    };
  });

  const one = panel(root, {
    heading: "",
    xLabel: "training, from SGD (left) to the strongest",
    height: H,
    left: 44,
    right: 46,
  });
  const Y = scale(0, 1, one.y0, one.y1 + 6);
  one.place(
    "y",
    [0, 0.25, 0.5, 0.75, 1].map((v) => [Y(v), 100 * v + " %"]),
  );
  const families = ["AT", "SAM"]
    .map((kind) => [kind, [base, ...rows.filter((row) => row.kind === kind)]])
    .filter(([, list]) => list.length > 1);
  const longest = Math.max(2, ...families.map(([, list]) => list.length));
  const XR = scale(0, longest - 1, one.x0 + 10, one.x1 - 10);
  const curves = families.map(([kind, list]) => {
    const { css, shape, dash } = list[1].style;
    const path = svg("path", { class: `se-line se-data ${css} ${dash}` }, one.plot);
    return {
      kind,
      list,
      path,
      dots: list.map((row, i) => marker(one.plot, i ? shape : "circle", `se-data ${i ? css : "se-std"}`, 4)),
      note: svg("text", { class: `se-note se-data ${css}` }, one.over, kind),
    };
  });
  const ring = svg("circle", { r: 9, class: "se-line se-thin se-data" }, one.over);

  const table = (s) => {
    const row = rows[Math.min(s.method, rows.length - 1)],
      k = near(eps, s.eps),
      c = Math.min(s.chosen, C - 1);
    const of = row === base ? {} : { [row.name]: percents(row.mean[k], 1) };
    return [
      {
        title: "Accuracy of each class",
        columns: {
          class: classes,
          SGD: percents(base.mean[k], 1),
          ...of,
          "lowest seed": percents(row.low[k], 1),
          "highest seed": percents(row.high[k], 1),
        },
      },
      ...families.map(([kind, list]) => ({
        title: `Class ${classes[c]}, ${kind}`,
        columns: {
          training: list.map((r) => r.name),
          accuracy: percents(list, 1, (r) => r.mean[k][c]),
        },
      })),
    ];
  };

  return tabled(table, (s) => {
    const row = rows[Math.min(s.method, rows.length - 1)],
      k = near(eps, s.eps),
      c = Math.min(s.chosen, C - 1),
      [css, shape] = style(row);
    items.forEach(({ change, before, seeds, now, note }, i) => {
      const from = base.mean[k][i],
        to = row.mean[k][i];
      change.setAttribute("d", `M${X(from).toFixed(1)},${y(i)}H${X(to).toFixed(1)}`);
      change.setAttribute("class", `se-line se-data se-trail ${css}`);
      seeds.setAttribute("d", `M${X(row.low[k][i]).toFixed(1)},${y(i)}H${X(row.high[k][i]).toFixed(1)}`);
      seeds.setAttribute("class", `se-line se-thin se-data ${css}`);
      move(before, X(from), y(i));
      set(now, { class: `se-marker se-data ${css}`, d: DOTS[shape] });
      move(now, X(to), y(i));
      say(note, percent(to, 0));
    });
    band.setAttribute("y", (y(c) - step / 2).toFixed(1));
    mean.setAttribute("d", `M${X(average(row.mean[k])).toFixed(1)},${all.y1}V${all.y0}`);
    let at = null;
    const ends = [];
    curves.forEach(({ list, path, dots, note }) => {
      const points = list.map((r, i) => [XR(i), Y(r.mean[k][c])]);
      path.setAttribute("d", "M" + points.map(([px, py]) => `${px.toFixed(1)},${py.toFixed(1)}`).join("L"));
      dots.forEach((dot, i) => move(dot, ...points[i]));
      list.forEach((r, i) => {
        if (r === row) at = points[i];
      });
      let py = points[points.length - 1][1] + 4;
      for (const other of ends) if (Math.abs(py - other) < 14) py = other + (py < other ? -14 : 14);
      ends.push(py);
      set(note, { x: (points[points.length - 1][0] + 10).toFixed(1), y: py.toFixed(1) });
    });
    ring.style.opacity = at ? "1" : "0";
    if (at) set(ring, { cx: at[0].toFixed(1), cy: at[1].toFixed(1) });
    const attack = eps[k] === 0 ? "no attack" : `attack of ε = ${grey(eps[k])}`;
    all.entitle(`${row.name}, ${attack}`);
    one.entitle(`Class ${classes[c]}, ${attack}`);
    const text = sentence(row, base, classes, attack, k, c);
    all.describe(
      classes
        .map((name, i) => `${name}: ${percent(row.mean[k][i], 1)}, SGD ${percent(base.mean[k][i], 1)}`)
        .join("; ") + ".",
    );
    one.describe(
      `Class ${classes[c]}. ` +
        families
          .map(
            ([kind, list]) =>
              `${kind}: ` + list.map((r) => `${r.name} ${percent(r.mean[k][c], 1)}`).join(", "),
          )
          .join("; ") +
        ".",
    );
    return text;
  });
}

const DOTS = {
  circle: "M-4,0A4,4 0 1 1 4,0A4,4 0 1 1 -4,0Z",
  square: "M-3.6,-3.6H3.6V3.6H-3.6Z",
  triangle: "M0,-4.8L4.4,3.2H-4.4Z",
  diamond: "M0,-5L5,0L0,5L-5,0Z",
  pentagon: "M0,-4.8L4.6,-1.5L2.8,3.9H-2.8L-4.6,-1.5Z",
};

function sentence(row, base, classes, attack, k, c) {
  const values = row.mean[k],
    worst = values.indexOf(Math.min(...values)),
    best = values.indexOf(Math.max(...values));
  const points = (v) => (v < 0 ? "−" : "+") + Math.abs(100 * v).toFixed(1);
  const text = `${row.name}, ${attack}: ${percent(average(values), 1)} on average over the classes; the worst is ${classes[worst]} with ${percent(values[worst], 1)}, the best ${classes[best]} with ${percent(values[best], 1)}.`;
  if (row === base) return text + ` Class ${classes[c]} keeps ${percent(values[c], 1)}.`;
  const mean = average(values) - average(base.mean[k]);
  return (
    text +
    ` Against SGD the average changes by ${points(mean)} points, class ${classes[c]} by ${points(values[c] - base.mean[k][c])}.`
  );
}

const controls = (model) => [
  { trait: "method", label: "training", options: model.get("rows").map((row, i) => [i, row.name]) },
  {
    trait: "eps",
    label: "ε of the attack",
    values: model.get("eps_grid"),
    show: grey,
    speak: (v) => "epsilon " + grey(v),
    kind: "se-at",
  },
  { trait: "chosen", label: "class", options: model.get("class_names").map((name, i) => [i, name]) },
];
export default {
  render: (context) =>
    mount(context, {
      name: "classwise",
      label: "Explorer: accuracy of each class under training and attack",
      controls: controls(context.model),
      build,
    }),
};
