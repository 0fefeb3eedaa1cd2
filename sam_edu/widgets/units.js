import { changedLevels, interpolate } from "./units_math.js";
import {
  clamp,
  fixed,
  html,
  line,
  marker,
  mount,
  move,
  panel,
  percent,
  say,
  scale,
  set,
  signif,
  svg,
  percents,
  tabled,
  ticks,
} from "./kit.js";

const N = 91; // points of a curve
const near = (list, v) =>
  list.reduce((best, w, i) => (Math.abs(w - v) < Math.abs(list[best] - v) ? i : best), 0);
const points = (x) =>
  fixed(100 * x, 1) + (Math.abs(x) > 0.0149 || Math.abs(x) < 0.0051 ? " points" : " point");

function build(root, model) {
  const [, nEps, H, W] = model.get("shape"),
    grid = model.get("eps_grid"),
    curves = model.get("accuracy");
  const names = model.get("model_names"),
    mean = model.get("mean"),
    most = grid[nEps - 1];
  const view = model.get("images"); // a DataView in every host; its offset need not be a multiple of 4
  const floats = new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
  const image = (j, k) => floats.subarray((j * nEps + k) * H * W, (j * nEps + k + 1) * H * W);

  const strip = html("div", { class: "se-strip" }, root);
  const canvas = (title) => {
    const box = html("div", { class: "se-picture" }, strip);
    html("div", { class: "se-caption" }, box, title);
    const node = html("canvas", { width: W, height: H, role: "img", class: "se-canvas se-ink se-data" }, box);
    const ctx = node.getContext("2d"),
      data = ctx.createImageData(W, H),
      note = html("div", { class: "se-caption se-small" }, box, "");
    return (j, k, text, alt) => {
      const pixels = image(j, k),
        out = data.data;
      for (let i = 0; i < pixels.length; i++) {
        out[4 * i] = out[4 * i + 1] = out[4 * i + 2] = 0;
        out[4 * i + 3] = 255 * clamp(pixels[i], 0, 1);
      }
      ctx.putImageData(data, 0, 0);
      node.dataset.state = `${j}-${k}`; // what the canvas shows, for tests and styles
      say(note, text);
      node.setAttribute("aria-label", alt);
    };
  };
  const clean = canvas("image"),
    right = canvas("pixel units"),
    script = canvas("script's attack");

  const acc = panel(root, {
    heading: "The script reads the curve too far left",
    xLabel: "ε that is typed",
    height: 280,
    left: 50,
    bottom: 42,
  });
  const X = scale(0, most, acc.x0, acc.x1),
    Y = scale(0, 1, acc.y0, acc.y1 + 6);
  acc.place(
    "x",
    ticks(0, most, 6).map((v) => [X(v), signif(v, 2)]),
  );
  acc.place(
    "y",
    [0, 0.25, 0.5, 0.75, 1].map((v) => [Y(v), 100 * v + " %"]),
  );
  const truth = svg("path", { class: "se-line se-std se-data" }, acc.plot);
  const told = svg("path", { class: "se-line se-theory se-dash se-thin se-data" }, acc.plot);
  const gap = svg("path", { class: "se-guide se-data" }, acc.over),
    back = svg("path", { class: "se-guide se-data" }, acc.over);
  const real = marker(acc.over, "circle", "se-theory se-data"),
    claim = marker(acc.over, "diamond", "se-hollow se-data"),
    source = marker(acc.over, "circle", "se-hollow se-data", 4);
  const toldNote = svg("text", { class: "se-note" }, acc.over, "as the script reports"),
    trueNote = svg("text", { class: "se-note se-end" }, acc.over, "in pixel units");

  const table = (s) => {
    const at = (x) => interpolate(grid, curves[s.model], x),
      typed = Array.from({ length: 11 }, (_, i) => (most * i) / 10);
    return [
      {
        title: "Accuracy under attack",
        columns: {
          "ε that is typed": typed,
          "in pixel units": percents(typed.map(at), 1),
          "as the script reports": percents(typed, 1, (v) => at(s.std * v)),
        },
      },
    ];
  };

  return tabled(table, (s) => {
    const curve = curves[s.model],
      R = (x) => interpolate(grid, curve, x),
      moved = s.eps * s.std;
    const kept = R(s.eps),
      reported = R(moved),
      kind = /AT/.test(names[s.model]) ? "se-at" : "se-std";
    truth.setAttribute("class", `se-line ${kind} se-data`);
    truth.setAttribute(
      "d",
      line(Array.from({ length: N }, (_, i) => [X((most * i) / (N - 1)), Y(R((most * i) / (N - 1)))])),
    );
    told.setAttribute(
      "d",
      line(
        Array.from({ length: N }, (_, i) => [X((most * i) / (N - 1)), Y(R((s.std * most * i) / (N - 1)))]),
      ),
    );
    move(real, X(s.eps), Y(kept));
    move(claim, X(s.eps), Y(reported));
    move(source, X(moved), Y(reported));
    gap.setAttribute("d", `M${X(s.eps).toFixed(2)},${Y(kept).toFixed(2)}V${Y(reported).toFixed(2)}`);
    back.setAttribute("d", `M${X(moved).toFixed(2)},${Y(reported).toFixed(2)}H${X(s.eps).toFixed(2)}`);
    // each curve's name stands where the two are apart: the script's above its curve, the other below
    const where = 0.62 * most,
      high = Y(R(s.std * where)) - 10;
    set(toldNote, { x: X(where), y: (high > acc.y1 + 10 ? high : high + 28).toFixed(1) });
    toldNote.style.display = s.std < 0.95 ? "" : "none";
    let low = 0;
    while (low < nEps - 1 && curve[low] > 0.3) low++;
    set(trueNote, { x: (X(grid[low]) - 14).toFixed(1), y: (Y(0.3) + 16).toFixed(1) });
    clean(s.model, 0, "unchanged", "The unchanged image.");
    right(
      s.model,
      near(grid, s.eps),
      `up to ${signif(255 * s.eps, 3)} of 255 levels`,
      `The image attacked with ε = ${fixed(s.eps, 2)} in pixel units.`,
    );
    script(
      s.model,
      near(grid, moved),
      `up to ${signif(255 * moved, 3)} of 255 levels`,
      `The image as the script attacks it: no pixel moves by more than ${fixed(moved, 3)}.`,
    );
    acc.entitle(
      s.std > 0.995 || s.eps === 0
        ? "The script reads the curve at the right place"
        : "The script reads the curve too far left",
    );
    const text = sentence(s, names[s.model], moved, kept, reported, mean);
    acc.describe(
      "Robust accuracy against the radius that is typed: in pixel units (solid) and as a script with normalised units reports it (dashed). " +
        text,
    );
    return text;
  });
}

function sentence(s, name, moved, kept, reported, mean) {
  const sigma = fixed(s.std, 3),
    n = changedLevels(mean, s.std);
  if (s.eps === 0)
    return `At ε = 0 nothing may change. Yet normalising with σ = ${sigma} and going back, in 32-bit numbers, changes ${n} of the 256 grey levels in their last digits: an attack must not take that way. The ${name} network has ${percent(kept, 1)}.`;
  const claim = `ε = ${fixed(s.eps, 2)}, typed for pixels that were divided by σ = ${sigma}, moves no pixel by more than ${fixed(moved, 3)}.`;
  if (s.std > 0.995)
    return `With σ = 1 both units are the same: at ε = ${fixed(s.eps, 2)} the ${name} network keeps ${percent(kept, 1)}, and the script says so.`;
  return `${claim} The script reports ${percent(reported, 1)} for the ${name} network; in pixel units it keeps ${percent(kept, 1)}: ${points(reported - kept)} too many.`;
}

const controls = (model) => {
  const grid = model.get("eps_grid");
  return [
    {
      trait: "eps",
      label: "ε that is typed",
      min: 0,
      max: grid[grid.length - 1],
      step: 0.01,
      show: (v) => v.toFixed(2),
      speak: (v) => "epsilon " + v.toFixed(2),
      kind: "se-at",
    },
    {
      trait: "std",
      label: "σ, divided by",
      min: 0.1,
      max: 1,
      step: 0.005,
      show: (v) => v.toFixed(3),
      speak: (v) => "sigma " + v.toFixed(3),
    },
    { trait: "model", label: "network", options: model.get("model_names").map((n, i) => [i, n]) },
  ];
};
export default {
  render: (context) =>
    mount(context, {
      name: "units",
      label: "Explorer: a radius in the wrong units",
      controls: controls(context.model),
      build,
    }),
};
