import { adversarialOptimum, jumpRadius, naturalAccuracy, robustAccuracy, standardOptimum } from "./math.js";
import {
  clamp,
  every,
  fixed,
  line,
  marker,
  mount,
  move,
  panel,
  percent,
  scale,
  signif,
  svg,
  percents,
  tabled,
  ticks,
} from "./kit.js";

const N = 121; // points of a curve
// The axis of the robust weight is u = w1 / (w1 + w1*): 0 at the left, the standard optimum w1* in the
// middle, and the classifier that uses the robust feature alone (w1 = ∞) at the right end.
const U = Array.from({ length: N }, (_, i) => i / (N - 1));
const place = (w1, star) => (w1 === Infinity ? 1 : w1 / (w1 + star));

function build(root) {
  const acc = panel(root, {
    heading: "Under attack, the best weight is larger",
    xLabel: "robust weight w₁ (every other weight is 1)",
    left: 50,
    bottom: 42,
  });
  const opt = panel(root, {
    heading: "It grows without bound as ε nears η",
    xLabel: "attack radius ε",
    left: 50,
    bottom: 42,
  });
  const X = scale(0, 1, acc.x0, acc.x1);
  acc.plot.classList.add("se-curves");
  const pLine = svg("path", { class: "se-guide" }, acc.grid);
  const natural = svg("path", { class: "se-line se-theory se-data" }, acc.plot);
  const robust = svg("path", { class: "se-line se-at se-dash se-data" }, acc.plot);
  const naturalNote = svg("text", { class: "se-note", "text-anchor": "start" }, acc.over, "natural");
  const robustNote = svg(
    "text",
    { class: "se-note se-at", "text-anchor": "start" },
    acc.over,
    "under attack",
  );
  const link1 = svg("path", { class: "se-guide se-data" }, acc.over),
    link2 = svg("path", { class: "se-guide se-data" }, acc.over);
  const stdNat = marker(acc.over, "circle", "se-std se-data"),
    stdRob = marker(acc.over, "circle", "se-std se-data");
  const atNat = marker(acc.over, "triangle", "se-at se-data", 6),
    atRob = marker(acc.over, "triangle", "se-at se-data", 6);
  const stdNote = svg("text", { class: "se-note se-std se-end" }, acc.over, "standard");
  const atNote = svg("text", { class: "se-note se-at" }, acc.over, "adversarial");

  const xo = scale(0, 2, opt.x0, opt.x1),
    yo = scale(-0.12, 2, opt.y0, opt.y1 + 26); // log10 of w1 / w1*
  const infinite = opt.y1 + 10;
  svg("path", { d: `M${opt.x0},${infinite}H${opt.x1}`, class: "se-guide" }, opt.grid);
  svg("text", { x: opt.x0 - 6, y: infinite + 4, class: "se-tick se-end" }, opt.grid, "∞");
  svg("path", { d: `M${xo(1)},${opt.y0}V${opt.y1}`, class: "se-guide" }, opt.grid);
  const curve = svg("path", { class: "se-line se-at se-dash se-data" }, opt.plot);
  const alone = svg("path", { class: "se-line se-at se-dash se-data" }, opt.over);
  const aloneNote = svg("text", { class: "se-note se-at se-mid" }, opt.over, "robust feature alone");
  svg("path", { d: `M${opt.x0},${yo(0)}H${opt.x1}`, class: "se-line se-std se-thin" }, opt.grid);
  svg("text", { x: opt.x1, y: yo(0) - 6, class: "se-note se-std se-end" }, opt.over, "standard");
  svg("text", { x: xo(1) + 4, y: opt.y0 - 44, class: "se-note" }, opt.over, "ε = η");
  const now = marker(opt.over, "triangle", "se-at se-data", 6);

  let Y, star, low, high, gate, m;

  function frame() {
    // what does not depend on eps
    star = standardOptimum(m);
    const top = naturalAccuracy(m, star),
      worn = Math.min(robustAccuracy(m, star, m.eta), m.p),
      gap = top - worn;
    low = Math.max(0, worn - 0.4 * gap - 0.004);
    high = Math.min(1, top + 0.3 * gap + 0.004);
    Y = scale(low, high, acc.y0, acc.y1);
    const at = ticks(low, high, 6),
      digits = at.every((v) => Math.abs(100 * v - Math.round(100 * v)) < 1e-6) ? 0 : 1;
    acc.place(
      "y",
      at.map((v) => [Y(v), (100 * v).toFixed(digits) + " %"]),
    );
    acc.place(
      "x",
      [
        [0, "0"],
        [0.25, signif(star / 3, 3)],
        [0.5, signif(star, 3)],
        [0.75, signif(3 * star, 3)],
        [1, "∞"],
      ].map(([u, t]) => [X(u), t]),
    );
    const curveA = U.map((u) => [X(u), Y(u < 1 ? naturalAccuracy(m, (star * u) / (1 - u)) : m.p)]);
    natural.setAttribute("d", line(curveA));
    pLine.setAttribute("d", `M${acc.x0},${Y(m.p).toFixed(2)}H${acc.x1}`);
    move(stdNat, X(0.5), Y(top));
    set2(stdNote, X(0.5) - 4, Math.max(Y(top) - 9, acc.y1 + 10));
  }
  const set2 = (node, x, y) => {
    node.setAttribute("x", x.toFixed(2));
    node.setAttribute("y", y.toFixed(2));
  };

  function optimumCurve(attacked) {
    // eps -> best weight, on (0, gate)
    gate = jumpRadius(m, attacked);
    const points = [];
    for (let i = 0; i <= 80; i++) {
      const eps = gate * (1 - (1 - i / 80) ** 2) * (1 - 1e-9),
        best = adversarialOptimum(m, eps, attacked);
      if (best.w1 === Infinity) break;
      points.push([
        xo(eps / m.eta),
        clamp(yo(best.w1 > 0 ? Math.log10(best.w1 / star) : -9), infinite, opt.y0),
      ]);
    }
    const last = points[points.length - 1];
    curve.setAttribute("d", line(points));
    const from = xo(gate / m.eta);
    alone.setAttribute(
      "d",
      (last && attacked === "all"
        ? `M${last[0].toFixed(2)},${last[1].toFixed(2)}V${infinite}`
        : `M${from.toFixed(2)},${infinite}`) + `H${opt.x1}`,
    );
    opt.entitle(
      attacked === "all" ? "It jumps to infinity before ε reaches η" : "It grows without bound as ε nears η",
    );
    set2(aloneNote, (from + opt.x1) / 2, infinite - 5 + 20);
    opt.place(
      "x",
      [0, 0.5, 1, 1.5, 2].map((r) => [xo(r), signif(r * m.eta, 2)]),
    );
    opt.place(
      "y",
      [1, 3, 10, 30, 100].map((r) => [yo(Math.log10(r)), signif(r * star, 3)]),
    );
  }

  function attack(s) {
    // what depends on eps
    const best = adversarialOptimum(m, s.eps, s.attacked),
      u = place(best.w1, star);
    robust.setAttribute(
      "d",
      line(
        U.map((v) => [
          X(v),
          clamp(
            Y(v < 1 ? robustAccuracy(m, (star * v) / (1 - v), s.eps, s.attacked) : m.p),
            -50,
            acc.y0 + 50,
          ),
        ]),
      ),
    );
    const kept = robustAccuracy(m, star, s.eps, s.attacked),
      inside = (v) => clamp(Y(v), acc.y1, acc.y0);
    move(stdRob, X(0.5), inside(kept));
    move(atNat, X(u), inside(best.natural));
    move(atRob, X(u), inside(best.robust));
    link1.setAttribute(
      "d",
      `M${X(0.5)},${inside(naturalAccuracy(m, star)).toFixed(2)}V${inside(kept).toFixed(2)}`,
    );
    link2.setAttribute(
      "d",
      `M${X(u).toFixed(2)},${inside(best.natural).toFixed(2)}V${inside(best.robust).toFixed(2)}`,
    );
    const apart = u > 0.56 && s.eps > 0;
    atNote.style.display = apart ? "" : "none";
    set2(atNote, u < 0.78 ? X(u) + 4 : acc.x1, inside(best.natural) - 10);
    atNote.setAttribute("text-anchor", u < 0.78 ? "start" : "end");
    // the curves' names stand where the curves are apart: at the left, or below the standard optimum
    set2(robustNote, X(0.5) + 9, clamp(inside(kept) + 14, acc.y1 + 30, acc.y0 - 6));
    robustNote.style.display = s.eps > 0 ? "" : "none";
    let at = 0;
    while (at < N - 1 && naturalAccuracy(m, (star * U[at]) / (1 - U[at])) < low + 0.45 * (high - low)) at++;
    set2(
      naturalNote,
      at < 50 ? X(U[at]) - 6 : X(0.04),
      at < 50 && at > 0
        ? Y(low + 0.45 * (high - low))
        : Math.max(Y(naturalAccuracy(m, star * 0.04)) - 8, acc.y1 + 16),
    );
    naturalNote.setAttribute("text-anchor", at > 20 && at < 50 ? "end" : "start");
    if (at > 0 && at <= 20) naturalNote.setAttribute("x", X(U[at]) + 8);
    move(
      now,
      clamp(xo(s.eps / m.eta), opt.x0, opt.x1),
      best.w1 === Infinity
        ? infinite
        : clamp(yo(best.w1 > 0 ? Math.log10(best.w1 / star) : -9), infinite, opt.y0),
    );
    acc.entitle(
      `Under attack, the best weight is ${s.eps === 0 ? "the standard one" : best.w1 < star ? "smaller" : "larger"}`,
    );
    return sentence(s, best, kept);
  }

  function sentence(s, best, kept) {
    const nat = percent(naturalAccuracy(m, star)),
      eps = "ε = " + fixed(s.eps, 3),
      ratio = s.eps / m.eta;
    const share =
      Math.abs(ratio - 0.5) < 1e-9
        ? "half of η"
        : Math.abs(ratio - 1) < 1e-9
          ? "equal to η"
          : signif(ratio, 2) + " η";
    if (s.eps === 0)
      return `At ε = 0 nothing is attacked: adversarial training is standard training. The best robust weight is ${signif(star)}, with ${nat} accuracy.`;
    if (best.regime === "robust-only") {
      const why =
        s.eps >= m.eta
          ? "the attack can erase every non-robust feature"
          : `the optimum has jumped (at ε = ${signif(gate, 3)}, before η)`;
      return `At ${eps} (${share}) ${why}: the best classifier uses the robust feature alone, w₁ → ∞. Its accuracy is ${percent(m.p)} with and without attack; the standard classifier has ${nat}, and ${percent(kept)} under attack.`;
    }
    if (best.w1 === 0)
      return `At ${eps} (${share}) an attack on the robust feature costs more than the feature is worth: adversarial training drops it, w₁ = 0. Natural accuracy falls from ${nat} to ${percent(best.natural)}; under attack it changes from ${percent(kept)} to ${percent(best.robust)}.`;
    const times = best.w1 / star,
      moved = times >= 1 ? "raises" : "lowers";
    return `At ${eps} (${share}) adversarial training ${moved} the robust weight from ${signif(star)} to ${signif(best.w1)} (× ${signif(times, 3)}). Natural accuracy goes from ${nat} to ${percent(best.natural)}, accuracy under attack from ${percent(kept)} to ${percent(best.robust)}.`;
  }

  const table = (s) => {
    const w = every(12, U).map((u) => (u < 1 ? (star * u) / (1 - u) : Infinity)),
      alone = (v, f) => (v === Infinity ? m.p : f(v));
    const eps = Array.from({ length: 11 }, (_, i) => gate * (1 - (1 - i / 10) ** 2));
    const marked = [star, adversarialOptimum(m, s.eps, s.attacked).w1];
    return [
      {
        title: "The two optima",
        columns: {
          training: ["standard", "adversarial"],
          "robust weight w₁": marked,
          natural: percents(marked.map((v) => alone(v, (a) => naturalAccuracy(m, a)))),
          "under attack": percents(
            marked.map((v) => alone(v, (a) => robustAccuracy(m, a, s.eps, s.attacked))),
          ),
        },
      },
      {
        title: "Accuracy",
        columns: {
          "robust weight w₁": w,
          natural: percents(w.map((v) => alone(v, (a) => naturalAccuracy(m, a)))),
          "under attack": percents(w.map((v) => alone(v, (a) => robustAccuracy(m, a, s.eps, s.attacked)))),
        },
      },
      {
        title: "The best robust weight under attack",
        columns: {
          "attack radius ε": eps,
          "best w₁": eps.map((e) => adversarialOptimum(m, e, s.attacked).w1),
        },
      },
    ];
  };

  return tabled(table, (s, changed) => {
    const model = changed.has("p") || changed.has("eta") || changed.has("d");
    m = { p: s.p, eta: s.eta, d: s.d };
    if (model) frame();
    if (model || changed.has("attacked")) optimumCurve(s.attacked);
    const text = attack(s);
    acc.describe(
      "Natural accuracy (solid) and accuracy under attack (dashed) of the toy classifier. " + text,
    );
    opt.describe(
      `The best robust weight is ${signif(star)} without attack and grows without bound as ε approaches ${signif(gate, 3)}; from there on only the robust feature is used.`,
    );
    return text;
  });
}

const counts = [1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 400, 500, 700, 1000];
const controls = [
  {
    trait: "eps",
    label: "ε, attack radius",
    min: 0,
    max: 0.3,
    step: 0.001,
    show: (v) => v.toFixed(3),
    speak: (v) => "epsilon " + v.toFixed(3),
    kind: "se-at",
  },
  { trait: "p", label: "p, reliability", min: 0.55, max: 0.995, step: 0.005, show: (v) => v.toFixed(3) },
  { trait: "eta", label: "η, weak signal", min: 0.01, max: 0.3, step: 0.005, show: (v) => v.toFixed(3) },
  { trait: "d", label: "d, weak features", values: counts, show: String },
  {
    trait: "attacked",
    label: "attacked",
    options: [
      ["nonrobust", "non-robust features"],
      ["all", "all features"],
    ],
  },
];

export default {
  render: (context) =>
    mount(context, { name: "nrf", label: "Explorer: the toy model under attack", controls, build }),
};
