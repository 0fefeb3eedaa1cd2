import { clamp, html, mount, panel, percent, say, scale, set, signif, svg, percents, tabled } from "./kit.js";

// A float32 array out of a binary trait (a DataView in every host; its offset need not be a multiple of 4).
function floats(view) {
  const bytes = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
  return new Float32Array(bytes);
}
const near = (list, v) =>
  list.reduce((best, w, i) => (Math.abs(w - v) < Math.abs(list[best] - v) ? i : best), 0);
const article = (word) => (/^(8|11|18|[aeiou])/i.test(word) ? "an " : "a ") + word;

function build(root, model) {
  const [, nModels, nEps, H, W] = model.get("shape"),
    nClasses = model.get("class_names").length;
  const names = model.get("class_names"),
    labels = model.get("labels"),
    models = model.get("model_names"),
    eps = model.get("eps_grid");
  const images = floats(model.get("images")),
    probs = floats(model.get("probabilities"));
  const image = (i, j, k) =>
    images.subarray(((i * nModels + j) * nEps + k) * H * W, ((i * nModels + j) * nEps + k + 1) * H * W);
  const prob = (i, j, k) =>
    probs.subarray(((i * nModels + j) * nEps + k) * nClasses, ((i * nModels + j) * nEps + k + 1) * nClasses);
  const top = (p) => p.reduce((best, v, c) => (v > p[best] ? c : best), 0);

  const strip = html("div", { class: "se-strip" }, root);
  const canvas = (title, extra) => {
    const box = html("div", { class: "se-picture" }, strip);
    html("div", { class: "se-caption" }, box, title);
    const node = html("canvas", { width: W, height: H, role: "img", class: "se-canvas " + extra }, box);
    const ctx = node.getContext("2d"),
      data = ctx.createImageData(W, H);
    return {
      node,
      note: html("div", { class: "se-caption se-small" }, box, ""),
      paint: (rgba) => {
        rgba(data.data);
        ctx.putImageData(data, 0, 0);
      },
    };
  };
  const clean = canvas("image", "se-ink"),
    change = canvas("attack", "se-data"),
    seen = canvas("attacked image", "se-ink se-data");
  say(change.note, "orange: more ink, blue: less");

  const bars = panel(root, { heading: "What the model believes", xLabel: "class", height: 250, left: 46 });
  const slot = (bars.x1 - bars.x0) / nClasses,
    Y = scale(0, 1, bars.y0, bars.y1),
    X = (c) => bars.x0 + (c + 0.5) * slot;
  bars.place(
    "y",
    [0, 0.25, 0.5, 0.75, 1].map((v) => [Y(v), 100 * v + " %"]),
  );
  const long = names.some((n) => n.length > 2);
  bars.place(
    "x",
    names.map((n, c) => [X(c), long ? n.slice(0, 5) : n]),
  );
  const rects = names.map((_, c) =>
    svg(
      "rect",
      { x: (X(c) - 0.36 * slot).toFixed(1), width: (0.72 * slot).toFixed(1), class: "se-bar se-data" },
      bars.plot,
    ),
  );
  const tag = svg("text", { class: "se-note se-mid se-data" }, bars.over, ""),
    truth = svg("text", { class: "se-note se-soft se-mid" }, bars.over, "true");

  const ink = (pixels) => (out) => {
    for (let i = 0; i < pixels.length; i++) {
      out[4 * i] = out[4 * i + 1] = out[4 * i + 2] = 0;
      out[4 * i + 3] = 255 * clamp(pixels[i], 0, 1);
    }
  };
  const signed = (now, before, most) => (out) => {
    for (let i = 0; i < now.length; i++) {
      const v = now[i] - before[i],
        more = v > 0; // Okabe-Ito orange and blue
      out[4 * i] = more ? 230 : 0;
      out[4 * i + 1] = more ? 159 : 114;
      out[4 * i + 2] = more ? 0 : 178;
      out[4 * i + 3] = 255 * clamp(Math.abs(v) / most, 0, 1);
    }
  };
  const most = eps[nEps - 1] || 1,
    alike = eps.map(Number);
  let broken = [];

  const table = (s) => [
    {
      title: "What the model believes",
      columns: { class: names, probability: percents(prob(s.digit, s.model, near(alike, s.eps)), 1) },
    },
  ];

  return tabled(table, (s, changed) => {
    const i = s.digit,
      j = s.model,
      k = near(alike, s.eps),
      y = labels[i],
      p = prob(i, j, k),
      guess = top(p);
    if (changed.has("digit")) {
      clean.paint(ink(image(i, 0, 0)));
      clean.node.setAttribute("aria-label", `The unchanged image: ${article(names[y])}.`);
      broken = models.map((_, m) => eps.findIndex((_, e) => top(prob(i, m, e)) !== y));
    }
    change.paint(signed(image(i, j, k), image(i, j, 0), most));
    seen.paint(ink(image(i, j, k)));
    change.node.dataset.state = seen.node.dataset.state = `${i}-${j}-${k}`; // what the canvas shows, for tests and styles
    change.node.setAttribute("aria-label", `The attack's change of each pixel, at most ${eps[k]}.`);
    seen.node.setAttribute(
      "aria-label",
      `The attacked image, which the model calls ${article(names[guess])}.`,
    );
    rects.forEach((rect, c) => {
      const at = Y(p[c]);
      set(rect, {
        y: at.toFixed(1),
        height: Math.max(0.5, bars.y0 - at).toFixed(1),
        class: `se-bar se-data ${c === y ? "se-true" : c === guess ? "se-at" : "se-std"}`,
      });
    });
    set(tag, { x: X(guess).toFixed(1), y: Math.max(Y(p[guess]) - 5, bars.y1 + 11).toFixed(1) });
    say(tag, percent(p[guess], 0));
    set(truth, { x: X(y).toFixed(1), y: Math.min(Y(p[y]) - (guess === y ? 19 : 5), bars.y0 - 5).toFixed(1) });
    truth.style.display = guess === y && p[y] > 0.88 ? "none" : "";
    const rival = Math.max(...p.filter((_, c) => c !== y)),
      margin = Math.log(Math.max(p[y], 1e-12)) - Math.log(Math.max(rival, 1e-12));
    const text = sentence(
      eps[k],
      models[j],
      names[y],
      names[guess],
      p[guess],
      margin,
      models.map((m, q) => [m, broken[q] < 0 ? null : eps[broken[q]]]),
      most,
    );
    bars.describe(text);
    return text;
  });
}

function sentence(e, who, truth, guess, sure, margin, broken, most) {
  const known = truth === guess,
    calls = known ? `still calls this image ${article(truth)}` : `calls this ${truth} ${article(guess)}`;
  const first = broken
    .map(
      ([m, at]) => `${m} ${at === null ? "never up to " + most : at === 0 ? "already at 0" : "from " + at}`,
    )
    .join(", ");
  return `At ε = ${e} the ${who} model ${e === 0 && known ? "calls this image " + article(truth) : calls} (${percent(sure, 0)}); margin ${signif(margin, 2).replace("-", "−")}. Fooled on this image: ${first}.`;
}

const controls = (model) => {
  const names = model.get("class_names"),
    labels = model.get("labels");
  return [
    {
      trait: "eps",
      label: "ε, per pixel",
      values: model.get("eps_grid"),
      show: String,
      speak: (v) => "epsilon " + v,
      kind: "se-at",
    },
    { trait: "model", label: "model", options: model.get("model_names").map((n, i) => [i, n]) },
    { trait: "digit", label: "image", options: labels.map((y, i) => [i, `${i + 1}: ${names[y]}`]) },
  ];
};
export default {
  render: (context) =>
    mount(context, {
      name: "digit",
      label: "Explorer: a real image under attack",
      controls: controls(context.model),
      build,
    }),
};
