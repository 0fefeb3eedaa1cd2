import { A_WIDTH, B_WIDTH, criticalRho, flattest, wellLoss, wellPrices, wellWorst } from "./flatness_math.js";
import { every, fixed, line, marker, mount, move, panel, say, scale, set, svg, tabled } from "./kit.js";

const LOW = -3.2,
  HIGH = 2.7,
  N = 237,
  RHO = 1.2;
const V = Array.from({ length: N }, (_, i) => LOW + ((HIGH - LOW) * i) / (N - 1));
const R = Array.from({ length: 101 }, (_, i) => (RHO * i) / 100);

function build(root) {
  const land = panel(root, {
    heading: "",
    xLabel: "weight, measured with the ruler of this page",
    yLabel: "loss",
    left: 46,
  });
  const price = panel(root, { heading: "", xLabel: "radius ρ", yLabel: "worst loss within ρ", left: 46 });
  const X = scale(LOW, HIGH, land.x0, land.x1),
    Y = scale(0, 1.12, land.y0, land.y1);
  land.place(
    "x",
    [-3, -2, -1, 0, 1, 2].map((v) => [X(v), fixed(v, 0)]),
  );
  land.place(
    "y",
    [0, 0.25, 0.5, 0.75, 1].map((v) => [Y(v), v.toFixed(2)]),
  );
  const ball = svg(
    "rect",
    { y: land.y1, height: land.y0 - land.y1, class: "se-band se-sam se-data" },
    land.plot,
  );
  const worst = svg("path", { class: "se-line se-sam se-data" }, land.plot),
    loss = svg("path", { class: "se-line se-theory se-thin se-data" }, land.plot);
  const lowest = marker(land.over, "circle", "se-std se-data"),
    best = marker(land.over, "square", "se-sam se-data", 5);
  const nameA = svg("text", { y: land.y1 + 13, class: "se-note se-strong se-mid" }, land.over, "A");
  const nameB = svg(
    "text",
    { x: X(B_WIDTH), y: land.y1 + 13, class: "se-note se-strong se-mid" },
    land.over,
    "B",
  );
  svg(
    "text",
    { x: land.x1, y: land.y1 - 1, class: "se-note se-sam se-end" },
    land.over,
    "worst loss within ρ",
  );

  const XP = scale(0, RHO, price.x0, price.x1),
    YP = scale(0, 1.12, price.y0, price.y1);
  price.place(
    "x",
    [0, 0.3, 0.6, 0.9, 1.2].map((v) => [XP(v), v.toFixed(1)]),
  );
  price.place(
    "y",
    [0, 0.25, 0.5, 0.75, 1].map((v) => [YP(v), v.toFixed(2)]),
  );
  const guide = svg("path", { class: "se-guide se-data" }, price.over);
  const lineA = svg("path", { class: "se-line se-std se-data" }, price.plot),
    lineB = svg("path", { class: "se-line se-sam se-data" }, price.plot);
  const dotA = marker(price.over, "circle", "se-std se-data"),
    dotB = marker(price.over, "square", "se-sam se-data", 4.5);
  const noteA = svg("text", { class: "se-note se-std se-strong se-end" }, price.over, "A"),
    noteB = svg("text", { class: "se-note se-sam se-strong" }, price.over, "B");
  const cross = marker(price.over, "diamond", "se-theory se-data", 4),
    crossNote = svg("text", { class: "se-note" }, price.over, "ρ");

  function names(s) {
    // each name stands beside its curve where the two curves are apart
    const at = (f, level) => R.find((r) => f(r) >= level) ?? RHO;
    const a = at((r) => wellPrices(r, s.alpha, s.floor)[0], 0.5),
      b = at((r) => wellPrices(r, s.alpha, s.floor)[1], 0.78);
    const left = a < at((r) => wellPrices(r, s.alpha, s.floor)[1], 0.5);
    set(noteA, {
      x: XP(a) + (left ? -7 : 9),
      y: YP(0.5) + (left ? 0 : 12),
      "text-anchor": left ? "end" : "start",
    });
    set(noteB, {
      x: XP(b) + (left ? 9 : -7),
      y: YP(0.78) + (left ? 10 : 0),
      "text-anchor": left ? "start" : "end",
    });
  }

  const table = (s) => {
    const v = every(10, V),
      r = every(10, R),
      price = (i) => r.map((q) => wellPrices(q, s.alpha, s.floor)[i]);
    const worst = wellPrices(s.rho, s.alpha, s.floor);
    return [
      {
        title: "The two minima",
        columns: { minimum: ["A", "B"], "loss at the bottom": [0, s.floor], "worst loss within ρ": worst },
      },
      {
        title: "The landscape",
        columns: {
          weight: v,
          loss: v.map((w) => wellLoss(w, s.alpha, s.floor)),
          "worst loss within ρ": v.map((w) => wellWorst(w, s.rho, s.alpha, s.floor)),
        },
      },
      { title: "Worst loss against the radius", columns: { "ρ": r, A: price(0), B: price(1) } },
    ];
  };

  return tabled(table, (s, changed) => {
    const critical = criticalRho(s.alpha, s.floor),
      at = flattest(s.rho, s.alpha, s.floor),
      bottom = -A_WIDTH * s.alpha;
    const [a, b] = wellPrices(s.rho, s.alpha, s.floor);
    if (changed.has("alpha") || changed.has("floor")) {
      loss.setAttribute("d", line(V.map((v) => [X(v), Y(wellLoss(v, s.alpha, s.floor))])));
      lineA.setAttribute("d", line(R.map((r) => [XP(r), YP(wellPrices(r, s.alpha, s.floor)[0])])));
      lineB.setAttribute("d", line(R.map((r) => [XP(r), YP(wellPrices(r, s.alpha, s.floor)[1])])));
      set(nameA, { x: X(bottom) });
      move(lowest, X(bottom), Y(0));
      names(s);
      const shown = critical <= RHO;
      for (const node of [cross, crossNote]) set(node, { visibility: shown ? "visible" : "hidden" });
      if (shown) {
        const y = YP(wellPrices(critical, s.alpha, s.floor)[0]);
        move(cross, XP(critical), y);
        set(crossNote, { x: XP(critical) + 9, y: Math.min(y + 16, price.y0 - 5) });
        say(crossNote, "jump at " + critical.toFixed(2));
      }
    }
    worst.setAttribute("d", line(V.map((v) => [X(v), Y(wellWorst(v, s.rho, s.alpha, s.floor))])));
    move(best, X(at), Y(wellWorst(at, s.rho, s.alpha, s.floor)));
    set(ball, { x: X(at - s.rho).toFixed(1), width: (X(at + s.rho) - X(at - s.rho)).toFixed(1) });
    say(nameA, at < 0 && s.rho > 0.12 ? "A ± ρ" : "A");
    say(nameB, at > 0 && s.rho > 0.12 ? "B ± ρ" : "B");
    guide.setAttribute("d", `M${XP(s.rho).toFixed(1)},${price.y0}V${price.y1}`);
    move(dotA, XP(s.rho), YP(a));
    move(dotB, XP(s.rho), YP(b));
    const inA = at < 0;
    land.entitle(
      s.rho === 0
        ? "With ρ = 0 the lowest loss wins"
        : inA
          ? "The worst loss is lowest in A"
          : "The worst loss is lowest in B",
    );
    price.entitle(
      critical === Infinity
        ? "A is cheaper at every radius"
        : critical > 0
          ? "Beyond the crossing, B is cheaper"
          : "B is never more expensive",
    );
    const text = sentence(s, inA, a, b, critical);
    land.describe(
      "Loss of one weight with two minima, A on the left and B on the right, and the worst loss within ρ of each point. " +
        text,
    );
    price.describe(
      `Worst loss within ρ at the bottom of each minimum: at ρ = ${s.rho.toFixed(2)} ${a.toFixed(2)} for A, ${b.toFixed(2)} for B.`,
    );
    return text;
  });
}

function sentence(s, inA, a, b, critical) {
  const ruler =
    s.alpha === 1
      ? ""
      : ` A’s side of the axis is drawn ${s.alpha.toFixed(1)} times as wide; A and B compute what they computed before.`;
  const rho = `ρ = ${s.rho.toFixed(2)}`;
  if (s.rho === 0)
    return `With ρ = 0 only the loss itself counts: A with 0.00 ${s.floor > 0 ? "beats" : "equals"} B with ${s.floor.toFixed(2)}.${ruler}`;
  if (a >= 1 && b >= 1)
    return `With ${rho} the ball is as wide as both minima: the worst loss is 1 wherever one stands.${ruler}`;
  const duel = `Within ${rho} the worst loss is ${a.toFixed(2)} at A (0.00 at the bottom) and ${b.toFixed(2)} at B (${s.floor.toFixed(2)} at the bottom), so ${inA ? "A" : "B"} is the better choice.`;
  const jump =
    critical === Infinity
      ? "On this ruler A is at least as wide as B, and the jump to B never comes."
      : `The choice jumps from A to B at ρ = ${critical.toFixed(2)}.`;
  return `${duel} ${jump}${ruler}`;
}

const controls = [
  {
    trait: "rho",
    label: "ρ, radius",
    min: 0,
    max: 1.2,
    step: 0.01,
    show: (v) => v.toFixed(2),
    speak: (v) => "rho " + v.toFixed(2),
    kind: "se-sam",
  },
  {
    trait: "alpha",
    label: "α, ruler of A",
    min: 0.5,
    max: 5,
    step: 0.1,
    show: (v) => v.toFixed(1),
    speak: (v) => "alpha " + v.toFixed(1),
  },
  { trait: "floor", label: "loss at B", min: 0, max: 0.6, step: 0.02, show: (v) => v.toFixed(2) },
];
export default {
  render: (context) =>
    mount(context, {
      name: "flatness",
      label: "Explorer: the flattest point depends on the radius and on the ruler",
      controls,
      build,
    }),
};
