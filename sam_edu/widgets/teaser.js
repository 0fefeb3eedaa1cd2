import { adversarialOptimum, naturalAccuracy, robustAccuracy, samOptimum, standardOptimum } from "./math.js";
import {
  every,
  line,
  marker,
  mount,
  move,
  panel,
  percent,
  scale,
  set,
  svg,
  percents,
  tabled,
  ticks,
} from "./kit.js";

const N = 81;

function build(root, model) {
  const m = { p: model.get("p"), eta: model.get("eta"), d: model.get("d") };
  const fig = panel(root, {
    heading: "Accuracy under attack: standard, SAM, adversarial",
    xLabel: "attack radius ε",
    yLabel: "accuracy under attack",
    width: 400,
    height: 250,
    left: 50,
    right: 78,
  });
  const wide = 2 * m.eta,
    star = standardOptimum(m),
    EPS = Array.from({ length: N }, (_, i) => (wide * i) / (N - 1));
  const low = Math.floor(20 * robustAccuracy(m, star, wide)) / 20,
    high = Math.ceil(100 * naturalAccuracy(m, star) + 1) / 100;
  const X = scale(0, wide, fig.x0, fig.x1),
    Y = scale(low, high, fig.y0, fig.y1);
  fig.place(
    "x",
    ticks(0, wide, 4).map((v) => [X(v), Number(v.toPrecision(3))]),
  );
  fig.place(
    "y",
    ticks(low, high, 4).map((v) => [Y(v), Math.round(100 * v) + " %"]),
  );
  const std = EPS.map((e) => [X(e), Y(robustAccuracy(m, star, e))]);
  const gain = svg("path", { class: "se-band se-sam se-data" }, fig.plot);
  svg(
    "path",
    { d: line(EPS.map((e) => [X(e), Y(adversarialOptimum(m, e).robust)])), class: "se-line se-at se-dash" },
    fig.plot,
  );
  svg("path", { d: line(std), class: "se-line se-std" }, fig.plot);
  const curve = svg("path", { class: "se-line se-sam se-data" }, fig.plot);
  const guide = svg("path", { class: "se-guide se-data" }, fig.over);
  const dots = {
    std: marker(fig.over, "circle", "se-std se-data"),
    at: marker(fig.over, "triangle", "se-at se-data", 6),
    sam: marker(fig.over, "square", "se-sam se-data", 4.5),
  };
  svg(
    "text",
    { x: fig.x1 + 6, y: Y(adversarialOptimum(m, wide).robust) + 4, class: "se-note se-at" },
    fig.over,
    "adversarial",
  );
  svg(
    "text",
    { x: fig.x1 + 6, y: Y(robustAccuracy(m, star, wide)) + 4, class: "se-note se-std" },
    fig.over,
    "standard",
  );
  const note = svg("text", { x: fig.x1 + 6, class: "se-note se-sam se-strong" }, fig.over, "SAM");
  const lowest = Y(robustAccuracy(m, star, wide)) - 12,
    highest = Y(adversarialOptimum(m, wide).robust) + 18;
  let a = star;

  const table = () => {
    const eps = every(8, EPS);
    return [
      {
        title: "Accuracy under attack",
        columns: {
          "attack radius ε": eps,
          standard: percents(eps.map((e) => robustAccuracy(m, star, e))),
          SAM: percents(eps.map((e) => robustAccuracy(m, a, e))),
          adversarial: percents(eps.map((e) => adversarialOptimum(m, e).robust)),
        },
      },
    ];
  };

  return tabled(table, (s, changed) => {
    if (changed.has("rho")) {
      a = samOptimum(m, s.rho);
      const points = EPS.map((e) => [X(e), Y(robustAccuracy(m, a, e))]);
      curve.setAttribute("d", line(points));
      gain.setAttribute("d", line(points.concat([...std].reverse())) + "Z");
      set(note, { y: Math.min(lowest, Math.max(highest, points[N - 1][1] + 4)).toFixed(1) });
    }
    const at = adversarialOptimum(m, s.eps),
      kept = robustAccuracy(m, star, s.eps),
      sam = robustAccuracy(m, a, s.eps),
      x = X(s.eps);
    move(dots.std, x, Y(kept));
    move(dots.at, x, Y(at.robust));
    move(dots.sam, x, Y(sam));
    guide.setAttribute("d", `M${x.toFixed(1)},${fig.y0}V${fig.y1}`);
    const cost = 100 * (naturalAccuracy(m, star) - naturalAccuracy(m, a));
    const text =
      s.rho === 0
        ? `With ρ = 0 SAM is standard training: ${percent(kept, 1)} under an attack of radius ε = ${s.eps.toFixed(3)}; the best possible is ${percent(at.robust, 1)}.`
        : `In the toy model, SAM on the robust weight alone with ρ = ${s.rho.toFixed(1)} keeps ${percent(sam, 1)} under an attack of radius ε = ${s.eps.toFixed(3)}. Standard training keeps ${percent(kept, 1)}, adversarial training ${percent(at.robust, 1)}. Without attack SAM gives up ${cost.toFixed(2)} points.`;
    const short = at.robust - sam,
      gained = sam - kept,
      alike = (v) => Math.abs(v) < 5e-4;
    fig.entitle(
      s.rho === 0
        ? "With ρ = 0 SAM is standard training"
        : alike(gained)
          ? "Here SAM keeps what standard training keeps"
          : alike(short)
            ? "Here SAM keeps what adversarial training keeps"
            : gained > 0
              ? "SAM stands between standard and adversarial training"
              : "Here SAM keeps less than standard training",
    );
    fig.describe(
      "Accuracy under attack against the attack radius, for standard training, SAM and adversarial training in the toy model. " +
        text,
    );
    return text;
  });
}

const controls = (model) => [
  {
    trait: "rho",
    label: "ρ, in weights",
    min: 0,
    max: 25,
    step: 0.5,
    show: (v) => v.toFixed(1),
    speak: (v) => "rho " + v.toFixed(1),
    kind: "se-sam",
  },
  {
    trait: "eps",
    label: "ε, in inputs",
    min: 0,
    max: Number((2 * model.get("eta")).toPrecision(4)),
    step: Number((model.get("eta") / 50).toPrecision(4)),
    show: (v) => v.toFixed(3),
    speak: (v) => "epsilon " + v.toFixed(3),
    kind: "se-at",
  },
];
export default {
  render: (context) =>
    mount(context, {
      name: "teaser",
      label: "Figure: what flatness buys in the toy model",
      controls: controls(context.model),
      build,
    }),
};
