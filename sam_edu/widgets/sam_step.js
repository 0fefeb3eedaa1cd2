import { valleyCurvature, valleyGradient, valleyLoss, valleyStep } from "./math.js";
import {
  arrow,
  clamp,
  every,
  fixed,
  line,
  marker,
  mount,
  move,
  panel,
  scale,
  set,
  svg,
  tabled,
} from "./kit.js";

const STEPS = 60,
  NX = 96,
  NY = 56;
const LEVELS = [0.012, 0.03, 0.07, 0.15, 0.3, 0.6, 1.2, 2.4, 4.2];

// Level lines of f on a grid: one straight piece for each cell side pair that the level crosses.
function contours(f, X, Y, [x0, x1], [y0, y1]) {
  const xs = Array.from({ length: NX }, (_, i) => x0 + ((x1 - x0) * i) / (NX - 1));
  const ys = Array.from({ length: NY }, (_, j) => y0 + ((y1 - y0) * j) / (NY - 1));
  const z = ys.map((y) => xs.map((x) => f(x, y)));
  return LEVELS.map((level) => {
    let path = "";
    for (let j = 0; j + 1 < NY; j++)
      for (let i = 0; i + 1 < NX; i++) {
        const corner = [
            [i, j],
            [i + 1, j],
            [i + 1, j + 1],
            [i, j + 1],
          ],
          cut = [];
        for (let k = 0; k < 4; k++) {
          const [a, b] = corner[k],
            [c, d] = corner[(k + 1) % 4],
            u = z[b][a] - level,
            v = z[d][c] - level;
          if (u < 0 === v < 0) continue;
          const t = u / (u - v);
          cut.push(
            `${X(xs[a] + t * (xs[c] - xs[a])).toFixed(1)},${Y(ys[b] + t * (ys[d] - ys[b])).toFixed(1)}`,
          );
        }
        for (let k = 0; k + 1 < cut.length; k += 2) path += `M${cut[k]}L${cut[k + 1]}`;
      }
    return path;
  });
}

function build(root) {
  const map = panel(root, {
    heading: "SAM looks uphill, then steps down",
    xLabel: "w₁, along the valley",
    yLabel: "w₂",
    height: 246,
    left: 40,
  });
  const cut = panel(root, {
    heading: "",
    xLabel: "w₂, across the valley at the end",
    yLabel: "loss",
    height: 246,
    left: 44,
  });
  const XR = [-1.8, 1.8],
    YR = [-1.05, 1.05];
  const X = scale(...XR, map.x0, map.x1),
    Y = scale(...YR, map.y0, map.y1);
  map.place(
    "x",
    [-1, 0, 1].map((v) => [X(v), fixed(v, 0)]),
  );
  map.place(
    "y",
    [-1, 0, 1].map((v) => [Y(v), fixed(v, 0)]),
  );
  const lines = svg("g", { class: "se-contours" }, map.plot);
  contours(valleyLoss, X, Y, XR, YR).forEach((d) => svg("path", { d, class: "se-contour" }, lines));
  svg("text", { x: X(-1.72), y: map.y0 - 6, class: "se-note se-soft" }, map.over, "narrow");
  svg("text", { x: X(1.72), y: map.y0 - 6, class: "se-note se-soft se-end" }, map.over, "wide");
  const path = (kind, parent = map.plot) => svg("path", { class: `se-line se-data ${kind}` }, parent);
  const sgdTrail = path("se-std se-thin se-trail"),
    samTrail = path("se-sam se-thin se-trail"),
    look = path("se-sam se-thin se-dots");
  const sgdArrow = path("se-std se-arrow se-under"),
    samArrow = path("se-sam se-arrow");
  const ascent = marker(map.over, "square", "se-sam se-hollow se-data", 3.5);
  const start = marker(map.over, "circle", "se-theory se-data", 4),
    sgdEnd = marker(map.over, "circle", "se-std se-data"),
    samEnd = marker(map.over, "square", "se-sam se-data", 4.5);
  const lookNote = svg("text", { class: "se-note se-sam" }, map.over, "ascent point");
  const startNote = svg("text", { class: "se-note" }, map.over, "w");
  const sgdNote = svg("text", { class: "se-note se-std se-mid" }, map.over, "SGD"),
    samNote = svg("text", { class: "se-note se-sam se-mid" }, map.over, "SAM");

  const TOP = 1.4;
  const XC = scale(-1.05, 1.05, cut.x0, cut.x1),
    YC = scale(0, TOP, cut.y0, cut.y1);
  cut.place(
    "x",
    [-1, -0.5, 0, 0.5, 1].map((v) => [XC(v), fixed(v, 1)]),
  );
  cut.place(
    "y",
    [0, 0.4, 0.8, 1.2].map((v) => [YC(v), v.toFixed(1)]),
  );
  const band = svg("rect", { y: cut.y1, height: cut.y0 - cut.y1, class: "se-band se-sam se-data" }, cut.plot);
  const bandNote = svg("text", { y: cut.y1 + 12, class: "se-note se-soft se-mid" }, cut.over, "± ρ");
  const sgdCurve = path("se-std", cut.plot),
    samCurve = path("se-sam", cut.plot);
  const sgdLow = marker(cut.over, "circle", "se-std se-data"),
    samLow = marker(cut.over, "square", "se-sam se-data", 4.5);
  const sgdName = svg("text", { class: "se-note se-std" }, cut.over, "SGD’s end"),
    samName = svg("text", { class: "se-note se-sam" }, cut.over, "SAM’s end");
  const across = Array.from({ length: 85 }, (_, i) => -1.05 + i * 0.025);

  const run = (from, rho, size) => {
    const trail = [from];
    for (let i = 0, w = from; i < STEPS; i++) trail.push((w = valleyStep(w, rho, size)));
    return trail;
  };
  const px = ([a, b]) => [X(clamp(a, -3, 3)), Y(clamp(b, -3, 3))];
  let sgd;

  function section(end, curve, low, label, level) {
    const a = valleyCurvature(end[0]),
      floor = valleyLoss(end[0], 0);
    curve.setAttribute("d", line(across.map((v) => [XC(v), YC(Math.min(floor + (a * v * v) / 2, 2 * TOP))])));
    move(low, XC(clamp(end[1], -1.05, 1.05)), clamp(YC(valleyLoss(...end)), cut.y1, cut.y0));
    const flat = a < 4; // a wide curve's name stands under its right arm, a narrow one's beside it
    set(label, {
      x: flat ? cut.x1 : (XC(Math.sqrt((2 * level) / a)) + 7).toFixed(1),
      y: (flat ? YC(level > 1 ? 0.24 : 0.1) : YC(level + floor) + 4).toFixed(1),
      "text-anchor": flat ? "end" : "start",
    });
  }

  const table = (s) => {
    const w = [s.start1, s.start2],
      sam = every(5, run(w, s.rho, s.step_size)),
      plain = every(5, sgd),
      v = every(7, across),
      ends = [plain, sam].map((trail) => trail[trail.length - 1]);
    const loss = ([w1]) => v.map((q) => valleyLoss(w1, 0) + (valleyCurvature(w1) * q * q) / 2);
    return [
      {
        title: "The way down",
        columns: {
          step: sam.map((_, i) => 5 * i),
          "SGD, w₁": plain.map((q) => q[0]),
          "SGD, w₂": plain.map((q) => q[1]),
          "SAM, w₁": sam.map((q) => q[0]),
          "SAM, w₂": sam.map((q) => q[1]),
        },
      },
      {
        title: "Loss across the valley at the end",
        columns: { "w₂": v, "SGD’s end": loss(ends[0]), "SAM’s end": loss(ends[1]) },
      },
    ];
  };

  return tabled(table, (s, changed) => {
    const w = [s.start1, s.start2],
      moved = changed.has("start1") || changed.has("start2") || changed.has("step_size");
    const g = valleyGradient(...w),
      norm = Math.hypot(...g),
      up = norm > 0 ? [w[0] + (s.rho * g[0]) / norm, w[1] + (s.rho * g[1]) / norm] : w;
    const a = px(w);
    if (moved) {
      sgd = run(w, 0, s.step_size);
      sgdTrail.setAttribute("d", line(sgd.map(px)));
      sgdArrow.setAttribute("d", arrow(...a, ...px(sgd[1])));
      move(start, ...a);
      set(startNote, { x: a[0] - 14, y: a[1] + 4 });
      const end = sgd[STEPS];
      section(end, sgdCurve, sgdLow, sgdName, 1.15);
      move(sgdEnd, ...px(end));
      const name = px(end);
      set(sgdNote, { x: (name[0] + 12).toFixed(1), y: Math.min(name[1] + 38, map.y0 - 8).toFixed(1) });
    }
    const sam = run(w, s.rho, s.step_size),
      end = sam[STEPS],
      at = px([clamp(end[0], -1.75, 1.75), clamp(end[1], -1, 1)]);
    samTrail.setAttribute("d", line(sam.map(px)));
    samArrow.setAttribute("d", arrow(...a, ...px(sam[1])));
    look.setAttribute(
      "d",
      `M${a[0].toFixed(1)},${a[1].toFixed(1)}L${px(up)
        .map((v) => v.toFixed(1))
        .join(",")}`,
    );
    move(ascent, ...px(up).map((v, i) => (i ? clamp(v, map.y1, map.y0) : clamp(v, map.x0, map.x1))));
    set(lookNote, {
      x: (clamp(px(up)[0], map.x0, map.x1 - 80) + 9).toFixed(1),
      y: (clamp(px(up)[1], map.y1 + 8, map.y0 - 8) + 4).toFixed(1),
    });
    lookNote.style.display = s.rho > 0 && norm > 0 ? "" : "none";
    move(samEnd, ...at);
    set(samNote, { x: at[0].toFixed(1), y: (at[1] - 11).toFixed(1) });
    section(end, samCurve, samLow, samName, 0.5);
    set(band, { x: XC(-s.rho).toFixed(1), width: (XC(s.rho) - XC(-s.rho)).toFixed(1) });
    set(bandNote, { x: XC(0) });
    bandNote.style.display = s.rho > 0.08 ? "" : "none";

    const rest = sgd[STEPS],
      ca = valleyCurvature(rest[0]),
      cb = valleyCurvature(end[0]);
    const wider = cb < 0.6 * ca;
    cut.entitle(wider ? "Where SAM ends, the valley is wider" : "Both end where the valley is about as wide");
    const text = sentence(
      s,
      w,
      norm,
      sgd[1],
      sam[1],
      ca,
      cb,
      valleyLoss(rest[0], s.rho),
      valleyLoss(end[0], s.rho),
      wider,
    );
    map.describe(
      "Level lines of a loss with a narrow and a wide minimum of equal depth, and the steps of SGD and SAM. " +
        text,
    );
    cut.describe(
      `Loss across the valley at the two end points: curvature ${fixed(ca, 1)} for SGD, ${fixed(cb, 1)} for SAM.`,
    );
    return text;
  });
}

function sentence(s, w, norm, b, c, ca, cb, lossA, lossB, wider) {
  const from = `From (${fixed(w[0], 2)}, ${fixed(w[1], 2)})`;
  if (norm < 1e-9) return `${from} nothing moves: the gradient is zero, so there is no direction to climb.`;
  if (s.rho === 0)
    return `${from} with ρ = 0 SAM looks nowhere: every step is SGD’s step. After ${STEPS} steps both rest where the curvature across the valley is ${fixed(ca, 1)}.`;
  const long = (v) => Math.hypot(v[0] - w[0], v[1] - w[1]),
    ratio = long(c) / long(b);
  const first = `SAM takes the gradient uphill of w, which makes its first step ${ratio.toFixed(2)} times SGD’s.`;
  const ends = wider
    ? `After ${STEPS} steps SGD rests at curvature ${fixed(ca, 1)}, while SAM has left for curvature ${fixed(cb, 1)}.`
    : `After ${STEPS} steps SGD is at curvature ${fixed(ca, 1)} and SAM at ${fixed(cb, 1)}: ${ca < 4 ? "both found the wide part" : "SAM has not left the narrow part"}.`;
  return `${from} with ρ = ${s.rho.toFixed(2)}: ${first} ${ends} At distance ρ across the valley the loss is ${lossA.toFixed(2)} there for SGD, ${lossB.toFixed(2)} for SAM.`;
}

const two = (v) => fixed(v, 2);
const controls = [
  {
    trait: "rho",
    label: "ρ, look-ahead",
    min: 0,
    max: 1,
    step: 0.01,
    show: two,
    speak: (v) => "rho " + v.toFixed(2),
    kind: "se-sam",
  },
  { trait: "step_size", label: "step size", min: 0.01, max: 0.12, step: 0.005, show: (v) => v.toFixed(3) },
  { trait: "start1", label: "start, w₁", min: -1.6, max: 1.6, step: 0.05, show: two },
  { trait: "start2", label: "start, w₂", min: -0.9, max: 0.9, step: 0.05, show: two },
];
export default {
  render: (context) =>
    mount(context, {
      name: "sam-step",
      label: "Explorer: one SAM step on a loss landscape",
      controls,
      build,
    }),
};
