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
} from "./kit.js";

const style = (row) => [row.style.css, row.style.shape, row.style.dash];
const isControl = (row) => row.style.control;
const short = (v) => String(Number(v.toPrecision(3)));
const name = (row) => row.label;
const near = (list, v) =>
  list.reduce((best, w, i) => (Math.abs(w - v) < Math.abs(list[best] - v) ? i : best), 0);
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const highest = (list, value) => list.reduce((a, b) => (a && value(a) >= value(b) ? a : b), null);
const spread = (values) => {
  const m = mean(values);
  return Math.sqrt(values.reduce((a, b) => a + (b - m) ** 2, 0) / (values.length - 1));
};
const points = (row, k) => (row.points && row.points[k]) || [];
const numbers = (row, k) => row.seeds || points(row, k).map((_, i) => i);
// The seeds that two rows share; without their numbers, those of as many seeds are taken for the same.
const shared = (row, base, k) =>
  row.seeds || base.seeds || points(row, k).length === points(base, k).length
    ? numbers(row, k).filter((seed) => numbers(base, k).includes(seed))
    : [];
// Accuracies of these seeds; null where the row lacks one of them, or there is none.
function over(row, seeds, k) {
  const at = seeds.map((seed) => numbers(row, k).indexOf(seed));
  return at.length && !at.includes(-1) ? at.map((i) => points(row, k)[i]) : null;
}

function build(root, model) {
  const rows = model.get("rows"),
    eps = rows[0].eps,
    sgd = rows.find((r) => r.method === "SGD");
  const sams = rows.filter((r) => r.method === "SAM").sort((a, b) => a.rho - b.rho);
  const others = rows.filter((r) => r.method !== "SAM" && r !== sgd),
    controls = others.filter(isControl),
    trained = others.filter((r) => !isControl(r));
  const order = [sgd, ...sams, ...trained, ...controls],
    H = Math.max(250, 66 + 17 * order.length);

  // Left: one curve per method against the attack radius.
  const curves = panel(root, {
    heading: "Robust accuracy falls with the attack",
    xLabel: "attack radius ε (measured points, joined by lines)",
    height: H,
    left: 46,
    right: 16,
  });
  const X = scale(eps[0], eps[eps.length - 1], curves.x0 + 6, curves.x1 - 4),
    Y = scale(0, 1, curves.y0, curves.y1);
  curves.place(
    "y",
    [0, 0.25, 0.5, 0.75, 1].map((v) => [Y(v), 100 * v + " %"]),
  );
  const gap = (curves.x1 - curves.x0) / 7; // labels of crowded radii are left out, their ticks stay
  let lastAt = -99;
  curves.place(
    "x",
    eps.map((e) => {
      const at = X(e),
        room = at - lastAt > gap;
      if (room) lastAt = at;
      return [at, room ? pixels(e) : ""];
    }),
  );
  const draw = (row, parent) => {
    const [kind, shape, dash] = style(row);
    svg(
      "path",
      { class: `se-line ${kind} ${dash}`, d: line(eps.map((e, k) => [X(e), Y(row.mean[k])])) },
      parent,
    );
    if (!isControl(row)) eps.forEach((e, k) => move(marker(parent, shape, kind, 3.2), X(e), Y(row.mean[k])));
  };
  [...controls, ...trained, sgd].forEach((row) => draw(row, curves.plot));
  const ribbon = svg("path", { class: "se-band se-sam se-data" }, curves.plot),
    sam = svg("path", { class: "se-line se-sam se-data" }, curves.plot);
  const marks = eps.map(() => marker(curves.plot, "square", "se-sam se-data", 3.6));
  const guide = svg("path", { class: "se-guide se-data" }, curves.plot);
  // Names stand where the curves are furthest apart.
  const wide = eps.reduce(
    (best, _, k) => {
      const v = [sgd, ...trained].map((r) => r.mean[k]);
      const gapK = Math.max(...v) - Math.min(...v);
      return gapK > best[1] ? [k, gapK] : best;
    },
    [eps.length - 1, -1],
  )[0];
  const left = X(eps[wide]) > (curves.x0 + curves.x1) / 2;
  const put = (row, text, below) =>
    svg(
      "text",
      {
        class: `se-note ${style(row)[0]} ${below ? "se-end" : ""}`,
        x: X(eps[wide]) + (below ? -9 : 6),
        y: Y(row.mean[wide]) + (below ? 14 : -9),
      },
      curves.over,
      text,
    );
  put(sgd, "SGD", left || true);
  const count = (row) => points(row, wide).length;
  const most = Math.max(...trained.map(count)); // a row of one seed is not named before one of three
  const best = highest(
    trained.filter((row) => count(row) === most),
    (row) => row.mean[wide],
  );
  if (best)
    set(put(best, name(best), false), {
      "text-anchor": left ? "end" : "start",
      x: X(eps[wide]) - (left ? 2 : -6),
    });
  const samNote = svg("text", { class: "se-note se-sam se-strong" }, curves.over, "SAM");

  // Right: all methods at the chosen radius, each seed a dot.
  const cut = panel(root, {
    heading: "",
    xLabel: "robust accuracy at this ε",
    height: H,
    left: Math.max(90, 16 + 5.8 * Math.max(...order.map((row) => name(row).length))), // room for the names
    right: 12,
  });
  const step = (cut.y0 - cut.y1 - 6) / order.length,
    row0 = cut.y1 + step / 2 + 3;
  const chosen = svg("rect", {
    x: 2,
    width: cut.x1 - 2,
    height: step,
    class: "se-band se-sam se-data",
    rx: 3,
  });
  cut.box.insertBefore(chosen, cut.grid);
  const stdLine = svg("path", { class: "se-guide se-data" }, cut.over);
  const items = order.map((row, i) => {
    const [kind, shape] = style(row),
      y = row0 + i * step;
    svg(
      "text",
      { x: cut.x0 - 8, y: y + 4, class: `se-note se-end se-row-name ${kind}` },
      cut.over,
      name(row),
    );
    const interval = svg("path", { class: `se-line se-data se-thin ${kind}` }, cut.over);
    const most = Math.max(...eps.map((_, k) => points(row, k).length));
    const dots = Array.from({ length: most }, () =>
      svg("circle", { r: 2.2, cy: y + 0.01, class: `se-point se-data ${kind}` }, cut.over),
    );
    return { row, y, interval, dots, mark: marker(cut.over, shape, `${kind} se-data`, 4) };
  });
  let XC;

  function cross(k) {
    const all = order.flatMap((r) => [r.mean[k], r.low[k], r.high[k], ...points(r, k)]);
    const low = Math.max(0, Math.floor(10 * Math.min(...all) - 0.2) / 10),
      high = Math.min(1, Math.ceil(10 * Math.max(...all) + 0.2) / 10);
    XC = scale(low, high, cut.x0 + 4, cut.x1 - 8);
    const apart = (step) => (step * (cut.x1 - cut.x0 - 12)) / (high - low), // in px; a text is some 30 wide
      stepX = [0.1, 0.2, 0.25].find((step) => apart(step) >= 36) ?? 0.5,
      at = [];
    for (let v = Math.ceil(low / stepX - 1e-9) * stepX; v <= high + 1e-9; v += stepX)
      at.push([XC(v), Math.round(100 * v) + " %"]);
    cut.place("x", at);
    for (const { row, y, interval, dots, mark } of items) {
      interval.setAttribute(
        "d",
        `M${XC(row.low[k]).toFixed(1)},${y.toFixed(1)}H${XC(row.high[k]).toFixed(1)}`,
      );
      dots.forEach((dot, i) => {
        const v = points(row, k)[i];
        dot.style.display = v === undefined ? "none" : "";
        if (v !== undefined) dot.setAttribute("cx", XC(v).toFixed(1));
      });
      move(mark, XC(row.mean[k]), y);
    }
    stdLine.setAttribute("d", `M${XC(sgd.mean[k]).toFixed(1)},${cut.y1}V${cut.y0}`);
    guide.setAttribute("d", `M${X(eps[k]).toFixed(1)},${curves.y0}V${curves.y1}`);
    cut.entitle(`At ε = ${pixels(eps[k])}, every method and seed`);
  }

  let drawn = false; // with a single rho there is no slider that would change it
  const table = (s) => {
    const r =
        sams.length > 1
          ? near(
              sams.map((x) => x.rho),
              s.rho,
            )
          : 0,
      k = near(eps, s.eps),
      drawn = [sgd, sams[r], ...controls, ...trained]; // what the figure names first
    const seeds = [...new Set(order.flatMap((row) => numbers(row, k)))].sort((a, b) => a - b);
    return [
      {
        title: "Robust accuracy against the attack radius",
        columns: {
          "ε": eps.map(pixels),
          ...Object.fromEntries(drawn.map((row) => [name(row), percents(row.mean, 1)])),
        },
      },
      {
        title: `Every method at ε = ${pixels(eps[k])}`,
        columns: {
          method: order.map(name),
          mean: percents(order, 1, (row) => row.mean[k]),
          "lowest seed": percents(order, 1, (row) => row.low[k]),
          "highest seed": percents(order, 1, (row) => row.high[k]),
          ...Object.fromEntries(
            seeds.map((seed) => [
              `seed ${seed}`,
              percents(order, 1, (row) => points(row, k)[numbers(row, k).indexOf(seed)]),
            ]),
          ),
        },
      },
    ];
  };

  return tabled(table, (s, changed) => {
    const r =
        sams.length > 1
          ? near(
              sams.map((x) => x.rho),
              s.rho,
            )
          : 0,
      k = near(eps, s.eps),
      row = sams[r];
    if (changed.has("eps")) cross(k);
    if (changed.has("rho") || !drawn) {
      drawn = true;
      const at = eps.map((e, i) => [X(e), Y(row.mean[i])]);
      sam.setAttribute("d", line(at));
      ribbon.setAttribute(
        "d",
        line(
          eps
            .map((e, i) => [X(e), Y(row.high[i])])
            .concat(eps.map((e, i) => [X(e), Y(row.low[i])]).reverse()),
        ) + "Z",
      );
      marks.forEach((mark, i) => move(mark, ...at[i]));
      chosen.setAttribute("y", (row0 + (1 + r) * step - step / 2).toFixed(1));
      set(samNote, { x: at[wide][0] + 7, y: at[wide][1] + (left ? 3 : -4), "text-anchor": "start" });
      if (left && wide === eps.length - 1)
        set(samNote, { x: at[wide][0] - 8, "text-anchor": "end", y: at[wide][1] - 4 });
    }
    const text = sentence(row, sgd, trained, controls, k);
    curves.describe(
      "Robust accuracy of each method against the attack radius; measured points joined by straight lines. " +
        text,
    );
    cut.describe(order.map((o) => `${name(o)}: ${percent(o.mean[k], 1)}`).join("; ") + ".");
    return text;
  });
}

// All its numbers are of the same seeds, where the rows have any in common.
function sentence(row, sgd, trained, controls, k) {
  const own = points(row, k).length,
    seeds = shared(row, sgd, k),
    some = seeds.length > 0 && seeds.length < Math.max(own, points(sgd, k).length); // one has others as well
  const value = (r) => mean(over(r, seeds, k) ?? [r.mean[k]]);
  const gain = 100 * (value(row) - value(sgd)),
    sign = (gain < 0 ? "−" : "+") + Math.abs(gain).toFixed(1);
  let text = `At ε = ${pixels(row.eps[k])}, SAM with ρ = ${short(row.rho)} keeps ${percent(value(row), 1)}, SGD ${percent(value(sgd), 1)}: ${sign} points`;
  if (seeds.length > 1) {
    const gains = over(row, seeds, k).map((v, i) => 100 * (v - over(sgd, seeds, k)[i]));
    text += ` (± ${spread(gains).toFixed(1)}, standard deviation over ${some ? "the " : ""}${gains.length} seeds${some ? " that both have" : ""}).`;
  } else if (some) text += " on the one seed that both have.";
  else text += own ? ` (${own} seed${own > 1 ? "s" : ""}).` : ".";
  const comparable = (list) => {
    const whole = list.filter((r) => over(r, seeds, k));
    return whole.length ? whole : list;
  };
  const control = highest(comparable(controls), value),
    other = highest(comparable(trained), value);
  const fewer = some || comparable(controls).length < controls.length,
    which = seeds.length > 1 ? "these seeds" : "this seed";
  if (control && value(control) === 0) text += " No control keeps anything.";
  else if (control)
    text += ` The best control${fewer ? ` with ${which}` : ""}, ${name(control)}, keeps ${percent(value(control), 1)}.`;
  if (other) text += ` ${name(other)} keeps ${percent(value(other), 1)}.`;
  return text;
}

const controls = (model) => {
  const rows = model.get("rows"),
    rhos = rows
      .filter((r) => r.method === "SAM")
      .map((r) => r.rho)
      .sort((a, b) => a - b);
  const rho = {
    trait: "rho",
    label: "ρ of SAM",
    values: rhos,
    show: short,
    speak: (v) => "rho " + short(v),
    kind: "se-sam",
  };
  return [
    ...(rhos.length > 1 ? [rho] : []),
    {
      trait: "eps",
      label: "ε of the attack",
      values: rows[0].eps,
      show: pixels,
      speak: (v) => "epsilon " + pixels(v),
      kind: "se-at",
    },
  ];
};
export default {
  render: (context) =>
    mount(context, {
      name: "rho-eps",
      label: "Explorer: measured robust accuracy over ρ and ε",
      controls: controls(context.model),
      build,
    }),
};
