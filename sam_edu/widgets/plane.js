import { adversarialOptimum, naturalAccuracy, robustAccuracy, standardOptimum } from "./math.js";
import {
  clamp,
  every,
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
import { FOLLOWED, equivalentEps, equivalentRho, samCurve, samWeight } from "./plane_math.js";

const CONVENTIONS = [
  ["robust-worst", "w₁, worst case"],
  ["robust-gaussian", "w₁, normal noise"],
  ["gaussian", "all weights, normal noise"],
  ["per-sample", "all weights, per sample"],
  ["l2-worst", "all weights, worst case"],
  ["one-step", "all weights, one step"],
];
const DATA = [
  ["strong", "0.95, 0.1, 100", { p: 0.95, eta: 0.1, d: 100 }],
  ["few", "0.9, 0.2, 10", { p: 0.9, eta: 0.2, d: 10 }],
  ["weak", "0.75, 0.05, 400", { p: 0.75, eta: 0.05, d: 400 }],
];
const N = 91,
  LOW = 0.01,
  FLOOR = 0.005,
  ROOF = 200;
const U = Array.from({ length: N }, (_, i) => i / (N - 1)); // axis of the weight: u = w1 / (w1 + w1*)
const atU = (u, star) => (u < 1 ? (star * u) / (1 - u) : Infinity);
const place = (w1, star) => (w1 === Infinity ? 1 : w1 / (w1 + star));
const seen = (node, yes) => node.setAttribute("visibility", yes ? "visible" : "hidden");
const put = (node, x, y, anchor) => set(node, { x: x.toFixed(2), y: y.toFixed(2), "text-anchor": anchor });

function build(root) {
  const plane = panel(root, {
    heading: "Which ρ is worth which ε (thin: other conventions)",
    xLabel: "attack radius ε",
    yLabel: "SAM’s radius ρ",
    left: 56,
    bottom: 42,
  });
  const X = scale(Math.log(LOW), 0, plane.x0, plane.x1 - 4),
    Y = scale(Math.log(FLOOR), Math.log(ROOF), plane.y0, plane.y1);
  const toX = (share) => (share > 0 ? X(Math.log(Math.max(share, LOW))) : plane.x0);
  const toY = (rho) => (rho > 0 ? clamp(Y(Math.log(rho)), plane.y1, plane.y0) : plane.y0);
  plane.place(
    "y",
    [0.01, 0.1, 1, 10, 100].map((v) => [toY(v), String(v)]),
  );
  const others = CONVENTIONS.map(() =>
    svg("path", { class: "se-line se-theory se-thin se-trail" }, plane.plot),
  );
  const curve = svg("path", { class: "se-line se-theory se-data" }, plane.plot);
  const epsLine = svg("path", { class: "se-line se-at se-dash se-thin se-data" }, plane.over),
    rhoLine = svg("path", { class: "se-line se-sam se-thin se-data" }, plane.over);
  const equal = marker(plane.over, "circle", "se-theory se-hollow se-data", 5),
    here = marker(plane.over, "diamond", "se-both se-data", 5);
  const above = svg("text", { class: "se-note se-sam" }, plane.over, "SAM does more"),
    below = svg("text", { class: "se-note se-at" }, plane.over, "the attack does more");

  const acc = panel(root, {
    heading: "The two optima",
    xLabel: "robust weight w₁ (every other weight is 1)",
    left: 50,
    bottom: 42,
  });
  const V = scale(0, 1, acc.x0, acc.x1);
  const natural = svg("path", { class: "se-line se-theory se-data" }, acc.plot),
    robust = svg("path", { class: "se-line se-at se-dash se-data" }, acc.plot);
  const marks = Object.fromEntries(
    [
      ["std", "circle", "se-std", 5],
      ["at", "triangle", "se-at", 6],
      ["sam", "square", "se-sam", 4.5],
    ].map(([key, shape, kind, size]) => [
      key,
      {
        join: svg("path", { class: `se-line ${kind} se-thin se-dots se-data` }, acc.over),
        nat: marker(acc.over, shape, `${kind} se-data`, size),
        rob: marker(acc.over, shape, `${kind} se-data`, size),
      },
    ]),
  );
  const notes = {
    std: svg("text", { class: "se-note se-std" }, acc.over, "standard"),
    at: svg("text", { class: "se-note se-at" }, acc.over, "AT"),
    sam: svg("text", { class: "se-note se-sam se-strong" }, acc.over, "SAM"),
  };

  let m, star, curves, W, low, high;

  function data(key) {
    // what depends on the parameter set alone
    m = DATA.find(([k]) => k === key)[2];
    star = standardOptimum(m);
    curves = Object.fromEntries(CONVENTIONS.map(([k]) => [k, samCurve(m, k)]));
    const top = naturalAccuracy(m, star),
      worn = Math.min(robustAccuracy(m, star, m.eta), m.p);
    low = Math.max(0, worn - 0.12 * (top - worn));
    high = Math.min(1, top + 0.25 * (top - worn));
    W = scale(low, high, acc.y0, acc.y1);
    const at = ticks(low, high, 6),
      digits = at.every((v) => Math.abs(100 * v - Math.round(100 * v)) < 1e-6) ? 0 : 1;
    acc.place(
      "y",
      at.map((v) => [W(v), (100 * v).toFixed(digits) + " %"]),
    );
    acc.place(
      "x",
      [
        [0, "0"],
        [0.25, signif(star / 3, 3)],
        [0.5, signif(star, 3)],
        [0.75, signif(3 * star, 3)],
        [1, "∞"],
      ].map(([u, text]) => [V(u), text]),
    );
    natural.setAttribute("d", line(U.map((u) => [V(u), W(naturalAccuracy(m, atU(u, star)))])));
    plane.place(
      "x",
      [0.01, 0.03, 0.1, 0.3, 1].map((v) => [
        toX(v),
        v < 1 ? String(Number((v * m.eta).toPrecision(2))) : `η = ${m.eta}`,
      ]),
    );
    CONVENTIONS.forEach(([k], i) => others[i].setAttribute("d", line(drawn(k))));
  }

  const drawn = (key) =>
    curves[key]
      .map(([rho, w1]) => [equivalentEps(m, w1) / m.eta, rho])
      .filter(([share, rho]) => share >= LOW / 2 && share < 1 && rho > 0)
      .map(([share, rho]) => [X(Math.log(share)), Y(Math.log(rho))]);

  function weights(s, w1, best) {
    // the right panel
    const inside = (v) => clamp(W(v), acc.y1, acc.y0),
      eps = s.share * m.eta;
    robust.setAttribute(
      "d",
      line(U.map((u) => [V(u), clamp(W(robustAccuracy(m, atU(u, star), eps)), -50, acc.y0 + 50)])),
    );
    const found = {};
    for (const [key, a] of [
      ["std", star],
      ["at", best.w1],
      ["sam", w1],
    ]) {
      for (const node of [marks[key].nat, marks[key].rob, marks[key].join]) seen(node, a !== null);
      notes[key].style.display = a === null ? "none" : "";
      if (a === null) continue;
      const x = V(place(a, star)),
        nat = naturalAccuracy(m, a),
        rob = robustAccuracy(m, a, eps),
        mark = marks[key];
      move(mark.nat, x, inside(nat));
      move(mark.rob, x, inside(rob));
      mark.join.setAttribute("d", `M${x.toFixed(2)},${inside(nat).toFixed(2)}V${inside(rob).toFixed(2)}`);
      found[key] = { w1: a, nat, rob, x, y: inside(nat), foot: inside(rob) };
    }
    const { std, at, sam } = found;
    put(notes.std, std.x - 6, Math.max(std.y - 9, acc.y1 + 9), "end");
    const right = (x) => (x > acc.x1 - 34 ? "end" : "start"),
      beside = (x) => (x > acc.x1 - 34 ? acc.x1 : x + 5);
    put(notes.at, beside(at.x), Math.max(at.y - 11, acc.y1 + 9), right(at.x));
    if (sam) put(notes.sam, beside(sam.x), Math.min(sam.foot + 18, acc.y0 - 5), right(sam.x)); // below its lower mark
    notes.at.style.display = s.share > 0 ? "" : "none";
    return found;
  }

  function position(s, wanted) {
    // the left panel
    const x = toX(s.share),
      y = toY(s.rho),
      k = s.convention,
      points = drawn(k);
    curve.setAttribute("d", line(points));
    epsLine.setAttribute("d", `M${x.toFixed(2)},${plane.y0}V${plane.y1}`);
    rhoLine.setAttribute("d", `M${plane.x0},${y.toFixed(2)}H${plane.x1}`);
    move(here, x, y);
    const known = wanted !== null && s.share > 0;
    seen(equal, known);
    if (known) move(equal, x, toY(wanted));
    above.style.display = points.length > 1 ? "" : "none";
    if (points.length > 1) {
      // the names of the two sides stand left above and right below the curve
      const [, py] = points[0],
        up = py > plane.y1 + 46;
      put(above, plane.x0 + 6, up ? Math.max(plane.y1 + 12, py - 40) : plane.y1 + 12, "start");
      put(below, plane.x1 - 6, plane.y0 - 8, "end");
    } else put(below, (plane.x0 + plane.x1) / 2, plane.y0 - 8, "middle");
  }

  const share = (v) => (v === 0.5 ? "half of η" : v === 1 ? "η itself" : signif(v, 2) + " η");
  const accuracies = (o) => `${percent(o.nat)} natural and ${percent(o.rob)} under attack`;

  function sentence(s, o, wanted) {
    const eps = signif(s.share * m.eta, 3),
      at = o.at.w1 === Infinity ? "∞, the robust feature alone" : signif(o.at.w1, 4);
    let first;
    if (s.share === 0) first = `Without an attack w₁ is ${signif(star, 4)}, and ρ = 0 gives the same.`;
    else if (wanted === null) {
      const upTo =
        s.convention === "l2-worst" ? ` up to ${signif(FOLLOWED * Math.sqrt(m.d), 3)} (${FOLLOWED} √d)` : "";
      first = `No ρ${upTo} gives the same w₁ as ε = ${eps} (${share(s.share)}), which is ${at}.`;
    } else first = `ρ = ${signif(wanted, 4)} gives the same w₁ as ε = ${eps} (${share(s.share)}): ${at}.`;
    if (!o.sam)
      return `${first} Your ρ = ${signif(s.rho, 3)} is beyond ${FOLLOWED} √d, where this figure does not follow the worst case. Adversarial training has ${accuracies(o.at)}.`;
    const back = equivalentEps(m, o.sam.w1) / m.eta;
    const worth =
      s.rho === 0
        ? "which is standard training"
        : Math.abs(back) < 1e-9
          ? "the standard value: no attack at all"
          : back < 0
            ? "below the standard value, where no attack leads"
            : back === 1
              ? "the robust feature alone, as at ε = η"
              : `as at ε = ${signif(back * m.eta, 3)}`;
    return `${first} Your ρ = ${signif(s.rho, 3)} gives w₁ = ${signif(o.sam.w1, 4)}, ${worth}. SAM has ${accuracies(o.sam)}, adversarial training ${accuracies(o.at)}.`;
  }

  const table = (s) => {
    const pairs = curves[s.convention]
      .map(([rho, w1]) => [equivalentEps(m, w1), rho])
      .filter(([e, rho]) => e >= (LOW / 2) * m.eta && e < m.eta && rho > 0);
    const some = every(Math.max(1, Math.ceil(pairs.length / 15)), pairs),
      u = every(9, U).map((v) => atU(v, star));
    const marked = [samWeight(m, s.rho, s.convention), adversarialOptimum(m, s.share * m.eta).w1];
    const alone = (f) => percents(marked.map((w) => (w === Infinity ? m.p : f(w))));
    return [
      {
        title: "The two optima",
        columns: {
          training: ["SAM", "adversarial"],
          "robust weight w₁": marked,
          natural: alone((w) => naturalAccuracy(m, w)),
          "under attack": alone((w) => robustAccuracy(m, w, s.share * m.eta)),
        },
      },
      {
        title: "Which ρ is worth which ε",
        columns: { "attack radius ε": some.map(([e]) => e), "SAM’s radius ρ": some.map(([, rho]) => rho) },
      },
      {
        title: "Accuracy",
        columns: {
          "robust weight w₁": u,
          natural: percents(u.map((w) => naturalAccuracy(m, w))),
          "under attack": percents(u.map((w) => robustAccuracy(m, w, s.share * m.eta))),
        },
      },
    ];
  };

  return tabled(table, (s, changed) => {
    if (changed.has("data")) data(s.data);
    const eps = s.share * m.eta,
      best = adversarialOptimum(m, eps);
    const wanted = equivalentRho(m, eps, s.convention, curves[s.convention]);
    const found = weights(s, samWeight(m, s.rho, s.convention), best);
    position(s, wanted);
    const text = sentence(s, found, wanted);
    plane.describe(
      `The plane of the two radii on logarithmic axes; on the curve SAM (${CONVENTIONS.find(([k]) => k === s.convention)[1]}) has the robust weight of adversarial training. Thin: the other conventions. ` +
        text,
    );
    acc.describe(
      "Natural accuracy (solid) and accuracy under attack (dashed) against the robust weight, with the standard, the adversarial and the SAM optimum. " +
        text,
    );
    return text;
  });
}

const RHOS = [0],
  SHARES = [
    0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7,
    0.75, 0.8, 0.85, 0.9, 0.95, 0.99, 1,
  ];
for (const power of [0.01, 0.1, 1, 10, 100])
  for (const v of [0.5, 0.7, 1, 1.5, 2, 3])
    if (power * v <= ROOF) RHOS.push(Number((power * v).toPrecision(3)));
RHOS.sort((a, b) => a - b);
const controls = [
  { trait: "convention", label: "SAM moves", options: CONVENTIONS },
  { trait: "data", label: "p, η, d", options: DATA.map(([key, text]) => [key, text]) },
  {
    trait: "rho",
    label: "ρ, in weights",
    values: RHOS,
    show: (v) => signif(v, 2),
    speak: (v) => "rho " + signif(v, 2),
    kind: "se-sam",
  },
  {
    trait: "share",
    label: "ε, in inputs",
    values: SHARES,
    show: (v) => (v === 0 ? "0" : `${v} η`),
    speak: (v) => `epsilon ${v} eta`,
    kind: "se-at",
  },
];

export default {
  render: (context) =>
    mount(context, { name: "plane", label: "Figure: the plane of the two radii", controls, build }),
};
