import { wilson } from "./ladder_math.js";
import { clamp, marker, mount, move, panel, percent, say, scale, set, svg, percents, tabled } from "./kit.js";

const style = (row) => [row.style.css, row.style.shape];
const short = (label) => label.replace("AutoAttack ", "AA: ").replace(/ \(.*\)/, ""); // the step counts stand in the sentence
const counted = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, "\u202f");
const tickShares = [0, 0.25, 0.5, 0.75, 1];
const interval = (share, n) => wilson(share * n, n);
const range = ([low, high]) => `${percent(low, 1).replace("\u202f%", "")} to ${percent(high, 1)}`;

function build(root, model) {
  const rows = model.get("rows"),
    rungs = model.get("rungs"),
    eps = model.get("eps_grid"),
    measured = model.get("measured_n");
  const near = (v) => eps.reduce((best, w, i) => (Math.abs(w - v) < Math.abs(eps[best] - v) ? i : best), 0);
  const names = ["no attack", ...rungs.map(short)];
  const step = 20,
    H = 66 + step * Math.max(names.length, rows.length + 3);

  // Left: one network, rung by rung. Right: all networks, at the rung where one stops.
  const ladder = panel(root, {
    heading: "",
    xLabel: "accuracy after this rung and all before it",
    height: H,
    left: 112,
    right: 16,
  });
  const table = panel(root, {
    heading: "",
    xLabel: "accuracy you would report",
    height: H,
    left: 84,
    right: 16,
  });
  const X = scale(0, 1, ladder.x0 + 5, ladder.x1 - 5),
    XT = scale(0, 1, table.x0 + 5, table.x1 - 5);
  ladder.place(
    "x",
    tickShares.map((v) => [X(v), 100 * v + " %"]),
  );
  table.place(
    "x",
    tickShares.map((v) => [XT(v), 100 * v + " %"]),
  );

  const band = svg("rect", {
    x: 2,
    width: ladder.x1 - 2,
    height: step,
    rx: 3,
    class: "se-band se-sam se-data",
  });
  ladder.box.insertBefore(band, ladder.grid);
  const y = (i) => ladder.y1 + step * (i + 0.6);
  const path = svg("path", { class: "se-line se-thin se-data" }, ladder.plot);
  const steps = names.map((name, i) => {
    const text = svg(
      "text",
      { x: ladder.x0 - 8, y: y(i) + 4, class: "se-note se-end se-row-name" },
      ladder.over,
      name,
    );
    const bar = svg("path", { class: "se-line se-thin se-data" }, ladder.over);
    return { text, bar, dot: svg("path", {}, ladder.over) };
  });

  const yT = (i) =>
    table.y1 + 30 + (table.y0 - table.y1 - 44) * (rows.length > 1 ? i / (rows.length - 1) : 0.5);
  const lines = rows.map((row, i) => {
    const [kind, shape] = style(row);
    svg(
      "text",
      { x: table.x0 - 8, y: yT(i) + 4, class: `se-note se-end se-row-name ${kind}` },
      table.over,
      row.name,
    );
    const fall = svg("path", { class: `se-guide se-data` }, table.over),
      bar = svg("path", { class: `se-line se-thin se-data ${kind}` }, table.over);
    const end = marker(table.over, shape, `se-hollow se-data ${kind}`, 4);
    return {
      fall,
      bar,
      end,
      dot: marker(table.over, shape, `se-data ${kind}`, 5),
      note: svg("text", { y: yT(i) - 9, class: `se-note se-mid se-data ${kind}` }, table.over, ""),
    };
  });

  const numbers = (s) => {
    const k = near(s.eps),
      r = Math.min(s.rung, rungs.length - 1),
      row = rows[Math.min(s.model, rows.length - 1)],
      last = rungs.length - 1;
    const ends = (shares) => {
      const pairs = shares.map((v) => interval(v, s.n));
      return {
        "95 % from": percents(pairs, 1, ([a]) => a),
        to: percents(pairs, 1, ([, b]) => b),
      };
    };
    const shares = [row.clean, ...row.after[k]],
      here = rows.map((w) => w.after[k][r]);
    return [
      {
        title: `${row.name} at ε = ${eps[k]}`,
        columns: { after: ["no attack", ...rungs], accuracy: percents(shares, 1), ...ends(shares) },
      },
      {
        title: `All networks after ${rungs[r]}`,
        columns: {
          network: rows.map((w) => w.name),
          accuracy: percents(here, 1),
          ...ends(here),
          "at the end": percents(rows, 1, (w) => w.after[k][last]),
        },
      },
    ];
  };

  return tabled(numbers, (s) => {
    const k = near(s.eps),
      r = Math.min(s.rung, rungs.length - 1),
      m = Math.min(s.model, rows.length - 1),
      n = s.n,
      row = rows[m],
      [kind, shape] = style(row);
    const shares = [row.clean, ...row.after[k]],
      last = rungs.length - 1;
    path.setAttribute("d", "M" + shares.map((v, i) => `${X(v).toFixed(1)},${y(i).toFixed(1)}`).join("L"));
    path.setAttribute("class", `se-line se-thin se-data ${kind}`);
    steps.forEach(({ bar, dot }, i) => {
      const [low, high] = interval(shares[i], n),
        faded = i > r + 1 ? "0.35" : "1";
      bar.setAttribute("d", `M${X(low).toFixed(1)},${y(i)}H${X(high).toFixed(1)}`);
      bar.setAttribute("class", `se-line se-thin se-data ${kind}`);
      set(dot, { class: `se-marker se-data ${kind}`, d: DOTS[shape] });
      dot.style.opacity = bar.style.opacity = faded;
      move(dot, X(shares[i]), y(i));
    });
    band.setAttribute("y", (y(r + 1) - step / 2).toFixed(1));
    lines.forEach(({ fall, bar, end, dot, note }, i) => {
      const after = rows[i].after[k],
        at = XT(after[r]),
        rest = XT(after[last]),
        [low, high] = interval(after[r], n);
      bar.setAttribute("d", `M${XT(low).toFixed(1)},${yT(i)}H${XT(high).toFixed(1)}`);
      fall.setAttribute("d", `M${rest.toFixed(1)},${yT(i)}H${at.toFixed(1)}`);
      move(dot, at, yT(i));
      move(end, rest, yT(i));
      end.style.opacity = r === last ? "0" : "1";
      note.setAttribute("x", clamp(at, table.x0 + 24, table.x1 - 24).toFixed(1));
      say(note, percent(after[r], 0));
    });
    ladder.entitle(`${row.name} at ε = ${eps[k]}, rung by rung`);
    table.entitle(
      r === last
        ? "All networks, at the end of the ladder"
        : `All networks, if you stop after ${short(rungs[r])}`,
    );
    const text = sentence(rows, rungs, eps[k], k, r, m, n, measured);
    ladder.describe(
      `${row.name}: ` +
        shares.map((v, i) => `${i ? "after " + rungs[i - 1] : "no attack"} ${percent(v, 1)}`).join("; ") +
        ".",
    );
    table.describe(
      (r === last ? "" : "Hollow: what the whole ladder leaves. ") +
        rows
          .map((w) => `${w.name}: ${percent(w.after[k][r], 1)}, in the end ${percent(w.after[k][last], 1)}`)
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

function sentence(rows, rungs, e, k, r, m, n, measured) {
  const last = rungs.length - 1,
    own = rows[m].after[k],
    top = (q) => rows.reduce((a, b) => (b.after[k][q] > a.after[k][q] ? b : a));
  const many =
    n === measured ? `n = ${counted(n)} images, as measured` : `if ${counted(n)} images had given this share`;
  let text = `At ε = ${e}, after ${rungs[r]}, ${rows[m].name} keeps ${percent(own[r], 1)} (95 % interval ${range(interval(own[r], n))}; ${many}).`;
  if (r < last)
    text +=
      own[last] < own[r] - 1e-9
        ? ` The rungs above it leave ${percent(own[last], 1)}.`
        : " The rungs above it break nothing more.";
  const now = top(r),
    end = top(last),
    second = rows
      .filter((w) => w !== now)
      .reduce((a, b) => (!a || b.after[k][r] > a.after[k][r] ? b : a), null);
  text += ` Here ${now.name} leads`;
  if (second)
    text +=
      interval(now.after[k][r], n)[0] > interval(second.after[k][r], n)[1]
        ? `, clearly`
        : `, with an interval that overlaps the next one’s`;
  return text + (now === end ? "." : `; at the end of the ladder ${end.name} does.`);
}

const controls = (model) => {
  const rungs = model.get("rungs"),
    values = [...new Set([50, 100, 200, 500, 1000, 2000, 5000, 10000, model.get("measured_n")])].sort(
      (a, b) => a - b,
    );
  return [
    { trait: "model", label: "network", options: model.get("rows").map((row, i) => [i, row.name]) },
    {
      trait: "rung",
      label: "stop after",
      min: 0,
      max: rungs.length - 1,
      step: 1,
      show: (v) => `${v + 1} of ${rungs.length}`,
      speak: (v) => rungs[Math.min(v, rungs.length - 1)],
    },
    {
      trait: "eps",
      label: "ε of the attack",
      values: model.get("eps_grid"),
      show: String,
      speak: (v) => "epsilon " + v,
      kind: "se-at",
    },
    { trait: "n", label: "images, n", values, show: counted, speak: (v) => v + " images" },
  ];
};
export default {
  render: (context) =>
    mount(context, {
      name: "ladder",
      label: "Explorer: networks on the ladder of attacks",
      controls: controls(context.model),
      build,
    }),
};
