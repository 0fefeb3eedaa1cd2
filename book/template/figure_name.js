import { parabolaWorst } from "./figure_name_math.js";
import { every, fixed, line, marker, mount, move, panel, scale, svg, tabled } from "./kit.js";

const HIGH = 1.5,
  TOP = 4;
const W = Array.from({ length: 121 }, (_, i) => -HIGH + (2 * HIGH * i) / 120);

// Called once: makes the panels and everything in them. Nodes that show data have the class `se-data`.
function build(root) {
  const plot = panel(root, { heading: "", xLabel: "weight w", yLabel: "loss" });
  const X = scale(-HIGH, HIGH, plot.x0, plot.x1),
    Y = scale(0, TOP, plot.y0, plot.y1);
  plot.place(
    "x",
    [-1, 0, 1].map((v) => [X(v), fixed(v, 0)]),
  );
  plot.place(
    "y",
    [0, 1, 2, 3, 4].map((v) => [Y(v), fixed(v, 0)]),
  );
  const loss = svg("path", { class: "se-line se-theory se-data" }, plot.plot);
  const worst = svg("path", { class: "se-line se-sam se-dash se-data" }, plot.plot);
  const bottom = marker(plot.over, "square", "se-sam se-data");
  svg("text", { x: X(0), y: plot.y1 + 14, class: "se-note se-sam se-mid" }, plot.over, "worst within ρ");

  // The numbers behind the drawing, for "View as table".
  const table = (s) => {
    const w = every(5, W),
      values = (rho) => w.map((v) => parabolaWorst(v, rho, s.curvature));
    return [
      {
        title: "Loss and worst loss",
        columns: { "weight w": w, loss: values(0), "worst within ρ": values(s.rho) },
      },
    ];
  };

  // Called at every move: moves what depends on the state, returns the sentence under the figure.
  return tabled(table, (s) => {
    const curve = (rho) => line(W.map((w) => [X(w), Y(parabolaWorst(w, rho, s.curvature))]));
    const price = parabolaWorst(0, s.rho, s.curvature);
    loss.setAttribute("d", curve(0));
    worst.setAttribute("d", curve(s.rho));
    move(bottom, X(0), Y(price));
    plot.entitle(s.rho === 0 ? "Without a radius, the loss itself" : "Even the minimum has a price");
    const text = `With ρ = ${s.rho.toFixed(2)} and curvature ${s.curvature.toFixed(1)} the worst loss at the minimum is ${price.toFixed(3)}; the loss there is 0.`;
    plot.describe("A parabola and the highest loss within ρ of each weight, which has a kink at 0. " + text);
    return text;
  });
}

const controls = [
  // at most four; `speak` is what a screen reader says of a value
  {
    trait: "rho",
    label: "ρ, radius",
    min: 0,
    max: 1,
    step: 0.01,
    show: (v) => v.toFixed(2),
    speak: (v) => "rho " + v.toFixed(2),
    kind: "se-sam",
  },
  { trait: "curvature", label: "h, curvature", min: 0.2, max: 4, step: 0.1, show: (v) => v.toFixed(1) },
];
export default {
  render: (context) =>
    mount(context, { name: "figure-name", label: "Explorer: the worst loss of a parabola", controls, build }),
};
