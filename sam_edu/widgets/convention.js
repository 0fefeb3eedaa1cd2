import { naturalAccuracy, standardOptimum } from "./math.js";
import { leading, objective, rhoOf, samWeight, togetherFrom, worst } from "./convention_math.js";
import {
  clamp,
  every,
  fixed,
  line,
  marker,
  minus,
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

const N = 61;
const options = [
  ["robust-worst", "w₁: worst case"],
  ["robust-uniform", "w₁: uniform average"],
  ["robust-gaussian", "w₁: Gaussian average"],
  ["l2-worst", "all: ℓ₂ worst case"],
  ["linf-worst", "all: ℓ∞ worst case"],
  ["gaussian", "all: Gaussian average"],
  ["per-sample", "each sample: worst case"],
  ["one-step", "one gradient step"],
  ["free-scale", "scale left free"],
];
const TIED = ["robust-worst", "robust-uniform", "l2-worst", "linf-worst"]; // two classifiers balance
const TURN = { "l2-worst": Math.SQRT2 };

// The picture's ruler: where all weights move in a ball, the ball is symmetric in the angle of w, not in w1.
const ruler = (key, d) =>
  key === "l2-worst" || key === "linf-worst"
    ? { to: (a) => Math.atan2(a, Math.sqrt(d)), from: (u) => Math.sqrt(d) * Math.tan(u), angle: true }
    : { to: (a) => a, from: (u) => u };
const change = (x) =>
  minus((x >= 0 ? "+" : "") + (100 * x).toFixed(Math.abs(x) >= 0.0995 ? 1 : Math.abs(x) >= 0.00995 ? 2 : 3)) +
  "\u202f%";

function build(root, model) {
  const hill = panel(root, {
    heading: "",
    xLabel: "robust weight w₁ (every other weight is 1)",
    left: 54,
    bottom: 42,
  });
  const turn = panel(root, { heading: "", xLabel: "t* = w₁*/√d", left: 54, bottom: 42, top: 40 });
  hill.plot.classList.add("se-curves");
  const path = (parent, kind) => svg("path", { class: `se-line se-data ${kind}` }, parent);
  const natural = path(hill.plot, "se-theory"),
    seen = path(hill.plot, "se-sam se-thin");
  const bar = path(hill.plot, "se-sam se-dots"),
    drop = svg("path", { class: "se-guide se-data" }, hill.plot),
    from = svg("path", { class: "se-guide se-data" }, hill.plot);
  const ends = [0, 1].map(() => marker(hill.over, "square", "se-sam se-hollow se-data", 3.5));
  const std = marker(hill.over, "circle", "se-std se-data"),
    sam = marker(hill.over, "square", "se-sam se-data", 4.5);
  const stdNote = svg("text", { class: "se-note se-std" }, hill.over, "standard"),
    samNote = svg("text", { class: "se-note se-sam" }, hill.over, "SAM");
  const endNotes = [0, 1].map(() => svg("text", { class: "se-note se-sam se-mid" }, hill.over, "worst"));

  svg(
    "text",
    { x: 2, y: 30, class: "se-tick" },
    turn.box,
    "relative change of w₁; curve: leading order, square: exact",
  );
  const zero = svg("path", { class: "se-guide" }, turn.grid),
    root2 = svg("path", { class: "se-guide" }, turn.grid);
  const rootNote = svg("text", { class: "se-note se-mid" }, turn.over);
  const curve = path(turn.plot, "se-theory"),
    now = marker(turn.over, "square", "se-sam se-data", 4.5),
    nowNote = svg("text", { class: "se-note se-sam" }, turn.over);
  const at = (node, x, y, anchor) => set(node, { x: x.toFixed(2), y: y.toFixed(2), "text-anchor": anchor });
  const show = (node, yes) =>
    node.tagName === "text"
      ? (node.style.display = yes ? "" : "none")
      : node.setAttribute("visibility", yes ? "visible" : "hidden");

  const plotted = []; // the two tables

  function drawHill(m, s, star, best) {
    const r = ruler(s.convention, m.d),
      W = objective(m, s.convention, s.radius),
      rho = rhoOf(m, s.convention, s.radius),
      finite = best < Infinity;
    const tie =
      TIED.includes(s.convention) && s.radius > 0 && finite
        ? worst(m, s.convention, s.radius, best).sides
        : [null, null];
    const place = (w) => r.to(w.v > 0 ? w.x / w.v : w.x),
      u0 = r.to(star),
      uBest = finite ? r.to(best) : u0;
    const reach = [...tie.filter(Boolean).map(place), ...(r.angle ? [] : [star + Math.min(rho, star)])].map(
      (u) => Math.abs(u - u0),
    );
    const half = Math.max(
      2 * Math.max(0, ...reach),
      1.6 * Math.abs(uBest - u0),
      finite ? 0 : 0.8 * u0,
      0.04 * u0,
    );
    const low = r.angle ? Math.max(u0 - half, -1.4) : u0 - half,
      high = r.angle ? Math.min(u0 + half, 1.5) : u0 + half;
    const X = scale(low, high, hill.x0, hill.x1),
      us = Array.from({ length: N }, (_, i) => low + ((high - low) * i) / (N - 1)),
      top = naturalAccuracy(m, star);
    const A = us.map((u) => naturalAccuracy(m, r.from(u)));
    const foot = Math.min(finite ? W(best) : 1, A[0], A[N - 1], top - 1e-7),
      Y = scale(foot - 0.25 * (top - foot), top + 0.22 * (top - foot), hill.y0, hill.y1);
    const inside = (v) => clamp(Y(v), hill.y1 - 40, hill.y0 + 40);
    natural.setAttribute("d", line(us.map((u, i) => [X(u), inside(A[i])])));
    const B = us.map((u) => W(r.from(u))),
      below = us.map((u, i) => [X(u), inside(B[i])]),
      cut = us.findIndex((u) => r.from(u) >= star);
    seen.setAttribute(
      "d",
      s.convention === "one-step" && s.radius > 0
        ? line(below.slice(0, cut)) + line(below.slice(cut))
        : line(below),
    );
    const where = clamp(finite ? X(uBest) : hill.x1, hill.x0, hill.x1),
      height = finite ? (s.convention === "one-step" ? top : W(best)) : m.p;
    move(std, X(u0), Y(top));
    move(sam, where, clamp(Y(height), hill.y1, hill.y0));
    drop.setAttribute(
      "d",
      `M${where.toFixed(2)},${hill.y0}V${clamp(Y(finite ? naturalAccuracy(m, best) : m.p), hill.y1, hill.y0).toFixed(2)}`,
    );
    from.setAttribute("d", `M${X(u0).toFixed(2)},${hill.y0}V${Y(top).toFixed(2)}`);
    const points = tie.map((w) =>
      w ? [clamp(X(place(w)), hill.x0, hill.x1), clamp(Y(m.p + w.lead), hill.y1, hill.y0)] : null,
    );
    points.forEach((q, i) => {
      show(ends[i], q);
      show(endNotes[i], q);
      if (q) {
        move(ends[i], ...q);
        at(endNotes[i], clamp(q[0], hill.x0 + 18, hill.x1 - 18), Math.min(q[1] + 17, hill.y0 - 4), "middle");
      }
    });
    show(bar, points[0] && points[1]);
    if (points[0] && points[1]) bar.setAttribute("d", line(points));
    plotted[0] = {
      title: "Accuracy",
      columns: {
        "robust weight w₁": every(6, us).map(r.from),
        natural: every(6, A),
        "what SAM maximises": every(6, B),
      },
    };
    const right = where >= X(u0);
    at(stdNote, X(u0) + (right ? -7 : 7), Y(top) - 8, right ? "end" : "start");
    at(
      samNote,
      where > hill.x1 - 45 ? where - 8 : where + (right ? 8 : -8),
      clamp(Y(height) + (s.radius > 0 ? 15 : -8), hill.y1 + 12, hill.y0 - 6),
      right && where <= hill.x1 - 45 ? "start" : "end",
    );
    hill.place(
      "x",
      [low + 0.1 * (high - low), u0, high - 0.1 * (high - low)].map((u) => [X(u), signif(r.from(u), 3)]),
    );
    const marks = ticks(foot, top, 4),
      digits = clamp(Math.ceil(-Math.log10(100 * (marks[1] - marks[0] || 0.01)) - 1e-9), 0, 5);
    hill.place(
      "y",
      marks.map((v) => [Y(v), (100 * v).toFixed(digits) + (digits < 3 ? " %" : "")]),
    );
    hill.entitle(
      !finite || best === star
        ? finite
          ? "The optimum stays"
          : "SAM drops every weak feature"
        : `SAM ${best > star ? "raises" : "lowers"} the robust weight`,
    );
  }

  function drawTurn(m, s, star, best) {
    const t = star / Math.sqrt(m.d),
      far = Math.max(3, 1.2 * t),
      h = Math.max(s.radius, 0.002);
    const linf = s.convention === "linf-worst",
      begin = linf ? togetherFrom(m.d) : 0.05; // below it, a sawtooth
    const values = Array.from({ length: 41 }, (_, i) => begin + ((far - begin) * i) / 40).map((q) => {
      const k = leading(m, s.convention, q);
      return [q, k.coefficient * h ** k.order];
    });
    const exact = best / star - 1,
      ys = values.map(([, y]) => y),
      high = Math.max(...ys, Math.min(exact, 4 * Math.max(...ys)), 0.3 * h * h),
      low = Math.min(...ys, Math.max(exact, -1), -0.15 * high);
    const X = scale(0, far, turn.x0, turn.x1),
      Y = scale(low - 0.08 * (high - low), high + 0.12 * (high - low), turn.y0, turn.y1);
    curve.setAttribute("d", line(values.map(([q, y]) => [X(q), Y(y)])));
    plotted[1] = {
      title: "Relative change of w₁, leading order",
      columns: {
        "t*": every(4, values).map(([q]) => q),
        change: every(4, values).map(([, y]) => y),
      },
    };
    zero.setAttribute("d", `M${turn.x0},${Y(0).toFixed(2)}H${turn.x1}`);
    const sign =
      TURN[s.convention] ||
      (s.convention === "linf-worst" ? (Math.sqrt(1 + 12 * m.d) - 1) / (2 * Math.sqrt(m.d)) : 0);
    show(root2, sign);
    show(rootNote, sign);
    if (sign) {
      root2.setAttribute("d", `M${X(sign).toFixed(2)},${turn.y0}V${turn.y1}`);
      at(rootNote, X(sign), turn.y1 + 12, "middle");
      rootNote.textContent = s.convention === "l2-worst" ? "√2" : signif(sign, 3);
    }
    const x = X(t),
      y = clamp(Y(Math.min(exact, 1e9)), turn.y1, turn.y0);
    move(now, x, y);
    at(
      nowNote,
      x > turn.x1 - 70 ? x - 9 : x + 9,
      clamp(y + (s.convention.startsWith("robust") || y < turn.y1 + 30 ? 18 : -8), turn.y1 + 14, turn.y0 - 6),
      x > turn.x1 - 70 ? "end" : "start",
    );
    nowNote.textContent = exact === 0 ? "0" : exact < 1e9 ? change(exact) : "∞";
    turn.place(
      "x",
      ticks(0, far, 4).map((v) => [X(v), signif(v, 2)]),
    );
    turn.place(
      "y",
      ticks(low, high, 5).map((v) => [
        Y(v),
        minus(Math.abs(v) < 1e-12 ? "0" : Number((100 * v).toPrecision(3)).toString()) + " %",
      ]),
    );
    turn.entitle(
      linf
        ? `Up from t* = ${signif(sign, 3)}; below ${signif(begin, 2)} rounding decides`
        : sign
          ? `The sign turns at t* = ${s.convention === "l2-worst" ? "√2" : signif(sign, 3)}`
          : leading(m, s.convention).coefficient
            ? "Upwards for every model"
            : "No change for any model",
    );
    return sign;
  }

  function sentence(m, s, star, best, sign) {
    const t = star / Math.sqrt(m.d),
      rho = rhoOf(m, s.convention, s.radius),
      exact = best / star - 1,
      k = leading(m, s.convention);
    const where =
      `t* = ${fixed(t, 2)}` +
      (sign ? (t > sign ? " > " : " < ") + (s.convention === "l2-worst" ? "√2" : signif(sign, 3)) : "") +
      ", ";
    const name = s.convention.includes("gaussian") ? "σ" : "ρ",
      size = `${name} = ${signif(rho, 3)}`;
    const together = s.convention !== "linf-worst" || t >= togetherFrom(m.d);
    if (s.radius === 0)
      return `With ${name} = 0 nothing is perturbed: SAM is standard training, w₁ = ${signif(star)}, whatever the convention (here ${where.replace(", ", "")}).`;
    if (s.convention === "one-step")
      return `${where}${size}: no change. The gradient vanishes at the standard optimum w₁ = ${signif(star)} and points towards it from both sides, also after a step of length ρ; with small steps one-step SAM ends there.`;
    if (s.convention === "free-scale")
      return `${where}${size}: no change. Whoever may choose the length of w makes it so long that a ball of radius ρ is nothing; the best ratio stays ${signif(star)}, and no finite w is best.`;
    if (best === Infinity)
      return `${where}${size}: hardly any sample that needs the weak features survives its own worst perturbation, so the best classifier uses the robust feature alone: w₁ → ∞, accuracy ${percent(m.p)}.`;
    const move =
      Math.abs(exact) < 5e-7
        ? "leaves w₁ where it is"
        : `${exact > 0 ? "raises" : "lowers"} w₁ by ${change(Math.abs(exact)).slice(1)}, from ${signif(star, 4)} to ${signif(best, 4)}`;
    const cause = {
      "robust-worst": "Always upwards (theorem): the hill is flatter on the side of the robust feature.",
      "robust-uniform": "Exactly the optimum of the worst case.",
      "robust-gaussian": "Exactly σ²/d, for every model.",
      gaussian: "Noise in many weak weights blurs them together.",
      "per-sample": "First order in ρ; it acts like an attack on the inputs.",
      "l2-worst": "Where t* < √2 small radii lower it.",
      "linf-worst": together
        ? `Small radii ${t > sign ? "raise" : "lower"} it where w₁*(1 + w₁*) ${t > sign ? "> 3d" : "lies between d and 3d"}.`
        : "Part of the weak weights goes up, part down: how that split is rounded decides the sign, and another d or radius can turn it.",
    }[s.convention];
    return `${where}${size}: SAM ${move}${together ? ` (leading order ${change(k.coefficient * s.radius ** k.order)})` : ""}. ${cause}`;
  }

  const table = (s) => {
    const m = { p: s.p, eta: model.get("eta"), d: s.d },
      marked = [standardOptimum(m), samWeight(m, s.convention, s.radius)];
    const natural = marked.map((w) => (w === Infinity ? m.p : naturalAccuracy(m, w)));
    const columns = {
      training: ["standard", "SAM"],
      "robust weight w₁": marked,
      natural: percents(natural),
      change: [null, marked[1] === Infinity ? "∞" : change(marked[1] / marked[0] - 1)],
    };
    const [accuracy, turning] = plotted.map((part) => ({ ...part, columns: { ...part.columns } }));
    for (const name of ["natural", "what SAM maximises"])
      accuracy.columns[name] = percents(accuracy.columns[name]);
    turning.columns.change = turning.columns.change.map((v) => signif(100 * v, 3) + "\u202f%");
    return [{ title: "The two optima", columns }, accuracy, turning];
  };

  return tabled(table, (s) => {
    const m = { p: s.p, eta: model.get("eta"), d: s.d },
      star = standardOptimum(m),
      best = samWeight(m, s.convention, s.radius);
    drawHill(m, s, star, best);
    const text = sentence(m, s, star, best, drawTurn(m, s, star, best));
    hill.describe("Accuracy against the robust weight (black) and what SAM maximises (blue). " + text);
    turn.describe(
      `Relative change of the robust weight to leading order against t*. At t* = ${fixed(star / Math.sqrt(m.d), 2)} the exact change is ${best < Infinity ? change(best / star - 1) : "infinite"}.`,
    );
    return text;
  });
}

const radii = [0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5];
const counts = [10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 400, 500, 700, 1000];
const controls = [
  { trait: "convention", label: "who is perturbed", options },
  {
    trait: "radius",
    label: "radius, in √d",
    values: radii,
    show: String,
    speak: (v) => `radius ${v} times root d`,
    kind: "se-sam",
  },
  { trait: "p", label: "p, reliability", min: 0.55, max: 0.99, step: 0.005, show: (v) => v.toFixed(3) },
  { trait: "d", label: "d, weak features", values: counts, show: String },
];
export default {
  render: (context) =>
    mount(context, {
      name: "convention",
      label: "Explorer: which SAM raises the robust weight",
      controls,
      build,
    }),
};
