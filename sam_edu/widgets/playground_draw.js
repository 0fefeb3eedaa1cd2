// What the playground shows: curves over the epochs, the loss along the climb, the plane or a dozen digits.
import { fixed, html, line, marker, move, panel, percent, say, scale, set, svg, ticks } from "./kit.js";

export const KIND = { sgd: "se-std", sam: "se-sam", asam: "se-awp", at: "se-at", both: "se-both" };
const SHAPE = { sgd: "circle", sam: "square", asam: "pentagon", at: "triangle", both: "diamond" };
const LETTERS = ["A", "B", "C"];
const SIDE = 336,
  EDGE = 1.3; // the canvas in CSS pixels; the plane is [-EDGE, EDGE]^2
const CLASS = [
  [0, 114, 178],
  [230, 159, 0],
]; // blue and orange, told apart without colour by the points' shapes
export const best = (run) =>
  run.points.reduce((top, p, i) => (p.robust > run.points[top].robust ? i : top), 0);

// Labels at the ends of curves, pushed apart so that none covers another.
function spread(labels, low, high, gap = 13) {
  labels.sort((a, b) => a.y - b.y);
  for (let i = 1; i < labels.length; i++) labels[i].y = Math.max(labels[i].y, labels[i - 1].y + gap);
  let most = high;
  for (let i = labels.length - 1; i >= 0; i--, most -= gap) labels[i].y = Math.min(labels[i].y, most);
  return labels.map((l) => ({ ...l, y: Math.max(low, l.y) }));
}

function threePaths(plot, classes) {
  return LETTERS.map(() =>
    Object.fromEntries(
      Object.entries(classes).map(([name, kind]) => [
        name,
        svg("path", { class: `se-line se-data ${kind}` }, plot),
      ]),
    ),
  );
}

export function curves(root) {
  const p = panel(root, {
    heading: "Accuracy over the epochs",
    xLabel: "epochs",
    yLabel: "right answers",
    right: 68,
    left: 48,
  });
  const drawn = threePaths(p.plot, { clean: "se-dots", train: "se-thin se-dash", robust: "" });
  const peaks = LETTERS.map(() => marker(p.over, "circle", "se-hollow se-data", 4)),
    notes = LETTERS.map(() => svg("text", { class: "se-note se-data" }, p.over, ""));
  const plan = [0, 1, 2, 3, 4].map((i) =>
    svg(
      "text",
      { x: p.x0 + 14, y: p.y1 + 50 + 20 * i, class: "se-note se-data" + (i ? "" : " se-strong") },
      p.over,
      "",
    ),
  );
  const Y = scale(0, 1, p.y0, p.y1 + 4);
  p.place(
    "y",
    [0, 0.25, 0.5, 0.75, 1].map((v) => [Y(v), 100 * v + "\u202f%"]),
  );
  return (runs, epochs, next) => {
    // before the first run, `next` says in short lines what Start will do
    plan.forEach((text, i) => {
      say(text, runs.length ? "" : next[i]);
      text.style.display = runs.length ? "none" : "";
    });
    const most = Math.max(epochs, ...runs.map((run) => run.points.length - 1), 1),
      X = scale(0, most, p.x0, p.x1);
    p.place(
      "x",
      ticks(0, most, 5)
        .filter(Number.isInteger)
        .map((v) => [X(v), String(v)]),
    );
    const ends = [];
    drawn.forEach((paths, i) => {
      const run = runs[i],
        kind = run ? KIND[run.settings.method] : "",
        shown = !!run && run.points.length > 0;
      for (const [name, key, style] of [
        ["clean", "clean", "se-dots"],
        ["train", "trainRobust", "se-thin se-dash"],
        ["robust", "robust", ""],
      ])
        set(paths[name], {
          d:
            shown && (name !== "train" || i === runs.length - 1)
              ? line(run.points.map((q, t) => [X(t), Y(q[key])]))
              : "M0,0",
          class: `se-line se-data ${kind} ${style}`,
        });
      const top = shown ? best(run) : 0;
      peaks[i].style.display = notes[i].style.display = shown ? "" : "none";
      if (!shown) return;
      set(peaks[i], {
        class: `se-marker se-hollow se-data ${kind}`,
        d: marker(
          document.createElementNS("http://www.w3.org/2000/svg", "g"),
          SHAPE[run.settings.method],
          "",
          4,
        ).getAttribute("d"),
      });
      move(peaks[i], X(top), Y(run.points[top].robust));
      ends.push({
        i,
        y: Y(run.points.at(-1).robust) + 4,
        x: X(run.points.length - 1) + 5,
        kind,
        text: `${run.letter} ${run.settings.name}`,
      });
    });
    for (const { i, x, y, kind, text } of spread(ends, p.y1 + 8, p.y0)) {
      set(notes[i], { x, y, class: `se-note se-data ${kind}` });
      say(notes[i], text);
    }
    p.describe(
      runs.length
        ? "Solid: under attack, test images; dotted: without attack; dashed: training images under attack, newest run only; hollow sign: where a run was most robust. " +
            runs
              .map(
                (run) =>
                  `${run.letter}, ${run.settings.name}: after ${run.points.length - 1} epochs ${percent(run.points.at(-1)?.clean ?? 0, 1)} right, ${percent(run.points.at(-1)?.robust ?? 0, 1)} under attack.`,
              )
              .join(" ")
        : "No run yet: 0 curves. " + next.join("; ") + ".",
    );
  };
}

// The rise of the loss along SAM's climb direction; the guide stands at the gauge's radius.
export function gauge(root, at) {
  const p = panel(root, {
    heading: "Sharpness: the loss along the climb",
    xLabel: "distance from the weights, ρ",
    yLabel: "rise of the loss",
    right: 68,
    left: 58,
  });
  const drawn = threePaths(p.plot, { rise: "" }),
    notes = LETTERS.map(() => svg("text", { class: "se-note se-data" }, p.over, ""));
  const guide = svg("path", { class: "se-guide" }, p.plot);
  return (runs, lengths) => {
    const known = runs.filter((run) => run.points.length),
      rises = known.map((run) => run.points.at(-1).along.map((v) => v - run.points.at(-1).along[0]));
    const top = Math.max(0.1, ...rises.flat().filter(Number.isFinite)),
      X = scale(0, lengths.at(-1), p.x0, p.x1),
      Y = scale(0, top * 1.05, p.y0, p.y1);
    p.place(
      "x",
      lengths.map((v) => [X(v), String(v)]),
    );
    p.place(
      "y",
      ticks(0, top, 4).map((v) => [Y(v), String(Number(v.toPrecision(3)))]),
    );
    guide.setAttribute("d", `M${X(lengths[at])},${p.y0}V${p.y1}`);
    const ends = [];
    drawn.forEach(({ rise }, i) => {
      const shown = i < known.length,
        kind = shown ? KIND[known[i].settings.method] : "";
      set(rise, {
        d: shown ? line(rises[i].map((v, t) => [X(lengths[t]), Y(v)])) : "M0,0",
        class: `se-line se-data ${kind}`,
      });
      notes[i].style.display = shown ? "" : "none";
      if (shown)
        ends.push({
          i,
          x: p.x1 + 4,
          y: Y(rises[i].at(-1)) + 4,
          kind,
          text: `${known[i].letter} ${known[i].settings.name}`,
        });
    });
    for (const { i, x, y, kind, text } of spread(ends, p.y1 + 8, p.y0)) {
      set(notes[i], { x, y, class: `se-note se-data ${kind}` });
      say(notes[i], text);
    }
    p.describe(
      known.length
        ? known
            .map(
              (run, i) =>
                `${run.letter}, ${run.settings.name}: within ${lengths[at]} the loss rises by ${fixed(rises[i][at], 3)}, within ${lengths.at(-1)} by ${fixed(rises[i].at(-1), 3)}.`,
            )
            .join(" ")
        : "No run yet: 0 curves; each run will have one.",
    );
  };
}

export function canvas(root) {
  const strip = html("div", { class: "se-strip se-one" }, root),
    box = html("div", { class: "se-picture" }, strip);
  const title = html("div", { class: "se-caption se-strong" }, box, ""),
    node = html("canvas", { class: "se-canvas se-sharp", role: "img", "aria-label": "" }, box);
  const ratio = Math.min(3, window.devicePixelRatio || 1),
    pen = node.getContext("2d"),
    small = document.createElement("canvas");
  node.width = node.height = SIDE * ratio;
  let painted,
    inPaint = "";
  return (picture, run, classes) => {
    const ink = getComputedStyle(strip).color;
    if (picture === painted && ink === inPaint) return;
    [painted, inPaint] = [picture, ink];
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, SIDE, SIDE);
    if (!picture) {
      pen.fillStyle = ink;
      pen.textAlign = "center";
      pen.font = "14px sans-serif";
      pen.fillText("Press Start", SIDE / 2, SIDE / 2);
      say(title, "Nothing trained yet");
      node.setAttribute("aria-label", "Nothing trained yet: 0 samples attacked.");
      return;
    }
    const who = run ? `${run.letter}, ${run.settings.name}` : "";
    const [heading, words] = picture.regions
      ? plane(pen, small, picture, ink)
      : images(pen, small, picture, ink, classes);
    say(title, `${heading} (${who})`);
    node.setAttribute("aria-label", `${who}: ${words}`);
  };
}

// Shades from class 0 (blue) to class 1 (orange), a line where the answer changes; test points with their balls.
function plane(pen, small, { regions, x, y, moved, after, eps }, ink) {
  const size = Math.sqrt(regions.length),
    to = (v) => ((v + EDGE) / (2 * EDGE)) * SIDE,
    up = (v) => SIDE - to(v),
    r = (eps / (2 * EDGE)) * SIDE;
  small.width = small.height = size;
  const flat = small.getContext("2d"),
    pixels = flat.createImageData(size, size);
  regions.forEach((p, i) =>
    pixels.data.set([...CLASS[p > 0.5 ? 1 : 0], 40 + 150 * Math.abs(p - 0.5)], 4 * i),
  );
  flat.putImageData(pixels, 0, 0);
  pen.imageSmoothingEnabled = true;
  pen.drawImage(small, 0, 0, SIDE, SIDE);
  pen.strokeStyle = pen.fillStyle = ink;
  let fell = 0;
  for (let i = 0; i < y.length; i++) {
    const [a, b, c, d] = [to(x[2 * i]), up(x[2 * i + 1]), to(moved[2 * i]), up(moved[2 * i + 1])];
    pen.globalAlpha = 0.35;
    pen.lineWidth = 1;
    pen.strokeRect(a - r, b - r, 2 * r, 2 * r);
    pen.globalAlpha = 1;
    pen.beginPath();
    pen.moveTo(a, b);
    pen.lineTo(c, d);
    pen.stroke();
    pen.beginPath();
    if (y[i]) pen.rect(a - 3.5, b - 3.5, 7, 7);
    else pen.arc(a, b, 4, 0, 7);
    pen.fillStyle = `rgb(${CLASS[y[i]]})`;
    pen.fill();
    pen.stroke();
    if (after[i] === y[i]) continue;
    fell += 1;
    pen.lineWidth = 2.2;
    pen.beginPath();
    pen.moveTo(c - 4, d - 4);
    pen.lineTo(c + 4, d + 4);
    pen.moveTo(c + 4, d - 4);
    pen.lineTo(c - 4, d + 4);
    pen.stroke();
  }
  return [
    "The plane",
    `regions of the two answers; ${y.length} test points (circles and squares) with balls of radius ${eps.toFixed(2)}; a line leads to where the attack ends, a cross marks a point that it turns: ${fell} of ${y.length}.`,
  ];
}

function images(pen, small, { x, y, moved, after, eps }, ink, classes) {
  const k = x.length / y.length,
    side = Math.sqrt(k),
    cell = SIDE / 4,
    size = cell - 28;
  if (!Number.isInteger(side))
    return [
      "Test samples",
      `${after.filter((a, i) => a === y[i]).length} of ${y.length} right under attack.`,
    ];
  small.width = small.height = side;
  const flat = small.getContext("2d");
  pen.imageSmoothingEnabled = false;
  pen.textAlign = "center";
  for (let i = 0; i < y.length; i++) {
    const left = (i % 4) * cell + 14,
      top = Math.floor(i / 4) * (cell + 22) + 6,
      pixels = flat.createImageData(side, side);
    for (let q = 0; q < k; q++) {
      const v = 255 * (1 - moved[i * k + q]);
      pixels.data.set([v, v, v, 255], 4 * q);
    }
    flat.putImageData(pixels, 0, 0);
    pen.drawImage(small, left, top, size, size);
    pen.strokeStyle = pen.fillStyle = ink;
    pen.lineWidth = after[i] === y[i] ? 0.5 : 2.5;
    pen.strokeRect(left, top, size, size);
    pen.font = `${after[i] === y[i] ? "" : "bold "}13px sans-serif`;
    pen.fillText(
      after[i] === y[i] ? `${classes[y[i]]} ✓` : `${classes[y[i]]} → ${classes[after[i]]}`,
      left + size / 2,
      top + size + 15,
    );
  }
  return [
    "What the attack makes of test images",
    `a dozen test images, moved by at most ${eps.toFixed(2)}: ` +
      Array.from(y, (v, i) =>
        after[i] === v ? `${classes[v]} stays` : `${classes[v]} is called ${classes[after[i]]}`,
      ).join(", ") +
      ".",
  ];
}
