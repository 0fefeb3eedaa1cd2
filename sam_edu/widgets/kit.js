// What all live figures share: controls, panels with axes, the sentence, reset, link, scheduling.
// No library. Runs unchanged in JupyterLab, Colab, VS Code (with a kernel) and in the built page
// (without one): it needs only model.get/set/save_changes/on/off.
import { download, svgOf } from "./save.js";

const NS = "http://www.w3.org/2000/svg";
const firstState = new WeakMap(); // model -> the state to which "Reset" returns
// Every figure brings its own copy of this module, and an id belongs to one element of the page: count for all.
const newId = () => "se" + (globalThis.samEduIds = (globalThis.samEduIds ?? 0) + 1);

export function svg(name, attrs, parent, text) {
  const node = document.createElementNS(NS, name);
  set(node, attrs);
  if (text !== undefined) node.textContent = text;
  if (parent) parent.appendChild(node);
  return node;
}

export function html(name, attrs, parent, text) {
  const node = document.createElement(name);
  set(node, attrs);
  if (text !== undefined) node.textContent = text;
  if (parent) parent.appendChild(node);
  return node;
}

export function set(node, attrs) {
  for (const key in attrs) if (attrs[key] !== undefined) node.setAttribute(key, attrs[key]);
  return node;
}

// Writes text only where it changed: the DOM is touched once per changed label.
export function say(node, text) {
  if (node.firstChild && node.childNodes.length === 1) {
    if (node.firstChild.data !== text) node.firstChild.data = text;
  } else node.textContent = text;
}

// A line of a sentence must not end inside "ε = 0.1", "(× 2.00)" or "AT ε=4/255".
const unbroken = (text) =>
  text
    .replace(/ ([=<>≥≤×]) /g, "\u00a0$1\u00a0")
    .replace(/(× | (?=\S=)|± )/g, (found) => found.replace(" ", "\u00a0"));

export const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
export const percent = (x, digits = 2) => (100 * x).toFixed(digits) + "\u202f%"; // narrow no-break space
export const minus = (text) => String(text).replace("-", "\u2212");
export const fixed = (x, digits) => minus(x.toFixed(digits));
export const signif = (x, digits = 3) => {
  if (x === Infinity) return "∞";
  if (x === 0) return "0";
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(x))));
  return minus(Math.abs(x) >= 1e5 ? x.toExponential(1) : x.toFixed(Math.min(decimals, 6)));
};
/** A radius in pixel units, exact where it is one of grey levels: "8/255", "0.03". */
export const pixels = (eps) => {
  const levels = Math.round(255 * eps);
  return eps > 0 && Math.abs(255 * eps - levels) < 1e-6
    ? `${levels}/255`
    : String(Number(eps.toPrecision(3)));
};
export const line = (points) =>
  points.length ? "M" + points.map(([x, y]) => x.toFixed(2) + "," + y.toFixed(2)).join("L") : "M0,0";

// Round tick values between low and high, about `count` of them.
export function ticks(low, high, count) {
  const raw = (high - low) / count,
    power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 2.5, 5, 10].find((s) => s * power >= raw) || 10),
    out = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + 1e-9 * step; v += step) out.push(v);
  return out;
}

// A panel: one <svg> that scales with the column, its <title>/<desc>, a plot area and movable axes.
export function panel(
  root,
  { width = 360, height = 260, left = 44, right = 14, top = 26, bottom = 40, heading, xLabel, yLabel },
) {
  const id = newId();
  const box = svg(
    "svg",
    {
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      class: "se-plot",
      "aria-labelledby": id + "t",
      "aria-describedby": id + "d",
    },
    root,
  );
  const title = svg("title", { id: id + "t" }, box, heading),
    desc = svg("desc", { id: id + "d" }, box, "");
  const clip = svg("clipPath", { id: id + "c" }, svg("defs", {}, box));
  svg("rect", { x: left, y: top, width: width - left - right, height: height - top - bottom }, clip);
  const x0 = left,
    x1 = width - right,
    y0 = height - bottom,
    y1 = top;
  const head = svg("text", { x: 2, y: 12, class: "se-heading" }, box, heading);
  const grid = svg("g", { class: "se-axes" }, box);
  svg("path", { d: `M${x0},${y1}V${y0}H${x1}`, class: "se-frame" }, grid);
  if (xLabel) svg("text", { x: (x0 + x1) / 2, y: height - 6, class: "se-label se-mid" }, box, xLabel);
  const yText = yLabel
    ? svg(
        "text",
        { transform: `translate(11 ${(y0 + y1) / 2}) rotate(-90)`, class: "se-label se-mid" },
        box,
        yLabel,
      )
    : null;
  const plot = svg("g", { "clip-path": `url(#${id}c)` }, box),
    over = svg("g", {}, box);
  const pools = { x: [], y: [] };
  const place = (axis, at) => {
    // at: [[position, text], ...]; tick marks are made once and reused
    const pool = pools[axis];
    while (pool.length < at.length)
      pool.push([
        svg("path", { class: "se-grid" }, grid),
        svg("text", { class: axis === "x" ? "se-tick se-mid" : "se-tick se-end" }, grid),
      ]);
    pool.forEach(([mark, text], i) => {
      const shown = i < at.length;
      mark.style.display = text.style.display = shown ? "" : "none";
      if (!shown) return;
      const v = at[i][0];
      mark.setAttribute("d", axis === "x" ? `M${v},${y0}V${y1}` : `M${x0},${v}H${x1}`);
      set(text, axis === "x" ? { x: v, y: y0 + 15 } : { x: x0 - 6, y: v + 4 });
      say(text, at[i][1]);
    });
  };
  return {
    box,
    plot,
    over,
    grid,
    place,
    x0,
    x1,
    y0,
    y1,
    yText,
    describe: (text) => say(desc, text),
    entitle: (text) => {
      say(title, text);
      say(head, text);
    },
  };
}

export const scale = (low, high, from, to) => (v) => from + ((v - low) / (high - low)) * (to - from);

// Marker shapes of the book: each method has its own, so that colour is never the only sign.
export const shapes = {
  circle: (r) => `M${-r},0A${r},${r} 0 1 1 ${r},0A${r},${r} 0 1 1 ${-r},0Z`,
  square: (r) => `M${-r},${-r}H${r}V${r}H${-r}Z`,
  triangle: (r) => `M0,${-1.2 * r}L${1.1 * r},${0.8 * r}H${-1.1 * r}Z`,
  diamond: (r) => `M0,${-1.3 * r}L${1.3 * r},0L0,${1.3 * r}L${-1.3 * r},0Z`,
  pentagon: (r) =>
    "M" +
    [0, 1, 2, 3, 4]
      .map(
        (i) =>
          `${(1.2 * r * Math.sin(1.2566 * i)).toFixed(2)},${(-1.2 * r * Math.cos(1.2566 * i)).toFixed(2)}`,
      )
      .join("L") +
    "Z",
};
export const marker = (parent, shape, kind, r = 5) =>
  svg("path", { d: shapes[shape](r), class: `se-marker ${kind}` }, parent);
export const move = (node, x, y) =>
  node.setAttribute("transform", `translate(${x.toFixed(2)} ${y.toFixed(2)})`);

// A straight arrow from (a, b) to (c, d) in pixels; the head shrinks with short arrows.
export function arrow(a, b, c, d) {
  const length = Math.hypot(c - a, d - b);
  if (length < 1) return `M${a.toFixed(1)},${b.toFixed(1)}h0`;
  const ux = (c - a) / length,
    uy = (d - b) / length,
    h = Math.min(8, length * 0.6),
    p = (x, y) => `${x.toFixed(1)},${y.toFixed(1)}`;
  return `M${p(a, b)}L${p(c, d)}M${p(c - h * ux + h * 0.5 * uy, d - h * uy - h * 0.5 * ux)}L${p(c, d)}L${p(c - h * ux - h * 0.5 * uy, d - h * uy + h * 0.5 * ux)}`;
}

// Controls. A slider's positions are whole steps where `values` lists what it may take (log scales).
function slider(spec, model, root, onInput) {
  const id = newId(),
    row = html("div", { class: "se-row" }, root);
  html("label", { for: id }, row, spec.label);
  const list = spec.values;
  // For thumbs: one step at a time. Hidden where there is a mouse; the keyboard has the slider itself.
  const nudge = (text, word, go) =>
    html(
      "button",
      { type: "button", class: "se-nudge", tabindex: -1, "aria-label": `${spec.label}, one step ${word}` },
      row,
      text,
    ).addEventListener("click", () => {
      go();
      input.dispatchEvent(new Event("input", { bubbles: true }));
    });
  nudge("\u2212", "down", () => input.stepDown());
  const input = html(
    "input",
    {
      id,
      type: "range",
      "data-lm-suppress-shortcuts": "true",
      "data-trait": spec.trait,
      class: spec.kind || "",
      min: list ? 0 : spec.min,
      max: list ? list.length - 1 : spec.max,
      step: list ? 1 : spec.step,
    },
    row,
  );
  nudge("+", "up", () => input.stepUp());
  const out = html("output", { for: id, "aria-live": "off" }, row, ""); // off: the sentence below speaks
  input.addEventListener("input", () =>
    onInput(spec.trait, list ? list[Number(input.value)] : Number(input.value)),
  );
  const near = (v) => list.reduce((best, w, i) => (Math.abs(w - v) < Math.abs(list[best] - v) ? i : best), 0);
  return () => {
    const v = model.get(spec.trait),
      text = spec.show(v),
      at = String(list ? near(v) : v);
    if (input.value !== at) input.value = at;
    say(out, text);
    input.setAttribute("aria-valuetext", spec.speak ? spec.speak(v) : text);
  };
}

function menu(spec, model, root, onInput) {
  const id = newId(),
    row = html("div", { class: "se-row se-menu" }, root);
  html("label", { for: id }, row, spec.label);
  const input = html("select", { id, "data-lm-suppress-shortcuts": "true", "data-trait": spec.trait }, row);
  spec.options.forEach(([, text], i) => html("option", { value: i }, input, text));
  input.addEventListener("change", () => onInput(spec.trait, spec.options[input.selectedIndex][0]));
  return () => {
    input.selectedIndex = Math.max(
      0,
      spec.options.findIndex(([v]) => v === model.get(spec.trait)),
    );
  };
}

// A trait's value as text that is also a valid CSS name (themes look up the page's hash as a selector).
const pack = (v) =>
  (typeof v === "number" ? String(Number(v.toPrecision(6))) : String(v))
    .replace(/-/g, "n")
    .replace(/\./g, "d")
    .replace(/\+/g, "");
const unpack = (text, like) =>
  typeof like === "number" ? Number(text.replace(/n/g, "-").replace(/d/g, ".")) : text;

// The page's address as a state of this figure. A control that it leaves out returns to where it began, so
// that a link gives the same state whatever the reader has tried before.
function readHash(key, model, specs) {
  let hash = "";
  try {
    hash = decodeURIComponent(location.hash.slice(1));
  } catch {} // a %-code cut off
  if (!hash.startsWith(key + "--")) return false;
  const state = { ...firstState.get(model) };
  for (const pair of hash.slice(key.length + 2).split("--")) {
    const cut = pair.indexOf("_"),
      spec = specs.find((s) => s.trait === pair.slice(0, cut));
    if (!spec) continue;
    let v = unpack(pair.slice(cut + 1), model.get(spec.trait));
    if (spec.options) {
      if (!spec.options.some(([o]) => o === v)) continue;
    } else if (!Number.isFinite(v)) continue;
    else
      v = spec.values
        ? clamp(v, spec.values[0], spec.values[spec.values.length - 1])
        : clamp(v, spec.min, spec.max);
    state[spec.trait] = v;
  }
  for (const [t, v] of Object.entries(state)) model.set(t, v);
  return true;
}

// A figure's `update` with the table of what it plots: `table(state)` returns [{ title, columns }], columns
// from their names to values: plotted numbers, or texts. The first column is the argument.
export const tabled = (table, update) => Object.assign(update, { table });
/** Every n-th of a list, the first included: rows of a table of a fine curve. */
export const every = (n, list) => list.filter((_, i) => i % n === 0);
/** Shares as the axes and sentences of the figures say them, in per cent. */
export const percents = (list, digits = 2, of = (v) => v) =>
  Array.from(list, of).map((v) => (typeof v === "number" ? minus(percent(v, digits)) : null));

// How the numbers of a column are written: counts as they are, the argument without idle zeros, others with
// four digits; what is too small for six decimals is 0.
function cells(list, argument) {
  const whole = list.every((v) => typeof v !== "number" || Number.isInteger(v));
  const written = (v) =>
    Math.abs(v) < 5e-7
      ? "0"
      : v !== Infinity && (whole || argument)
        ? minus(+(+v.toPrecision(whole ? 15 : 4)).toFixed(6))
        : signif(v, 4);
  return list.map((v) =>
    typeof v === "number" ? written(v) : v === null || v === undefined ? "–" : String(v),
  );
}

function tableOf({ title, columns }, parent) {
  const table = html(
    "table",
    {},
    html("div", { class: "se-scroll", tabindex: 0, role: "group", "aria-label": "Table: " + title }, parent),
  );
  html("caption", {}, table, title);
  const head = html("tr", {}, html("thead", {}, table)),
    names = Object.keys(columns),
    body = html("tbody", {}, table);
  names.forEach((name) => html("th", { scope: "col" }, head, name));
  const written = names.map((name, k) => cells(columns[name], !k));
  columns[names[0]].forEach((_, i) => {
    const row = html("tr", {}, body);
    written.forEach((column, k) => html(k ? "td" : "th", k ? {} : { scope: "row" }, row, column[i]));
  });
}

// Puts a figure together and keeps it in step with the model. `build(root, model)` makes the panels once
// and returns update(state, changed), which moves what depends on the changed traits and returns the
// sentence. Update runs at once for the first change in a frame, at most once more per frame after that.
export function mount({ model, el }, { name, label, controls, build }) {
  const root = html(
    "figure",
    { class: "sam-edu", "data-se-name": name, role: "group", "aria-label": label },
    el,
  );
  const key = `se-${name}-${[...document.querySelectorAll(`.sam-edu[data-se-name="${name}"]`)].indexOf(root) + 1}`;
  const onPage = el.classList.contains("afm-host") || !!el.closest(".afm-host");
  const traits = controls.map((c) => c.trait);
  const read = () => Object.fromEntries(traits.map((t) => [t, model.get(t)]));
  if (!firstState.has(model)) firstState.set(model, read());
  if (onPage) readHash(key, model, controls);

  let saving = 0;
  const save = () => {
    clearTimeout(saving);
    saving = setTimeout(() => model.save_changes(), 60);
  }; // no-op without a kernel
  const onInput = (trait, value) => {
    model.set(trait, value);
    save();
  };
  const panels = html("div", { class: "se-panels" }, root),
    bar = html("div", { class: "se-controls" }, root);
  const show = Object.fromEntries(
    controls.map((c) => [c.trait, (c.options ? menu : slider)(c, model, bar, onInput)]),
  );

  // What the eye reads changes at once; what is spoken waits until the slider rests.
  const seen = html("p", { class: "se-say", "aria-hidden": "true" }, root, "");
  const live = html("p", { class: "se-live se-hidden", "aria-live": "polite" }, root, "");
  const foot = html("p", { class: "se-foot" }, root);
  const reset = html("button", { type: "button", class: "se-button" }, foot, "Reset");
  reset.addEventListener("click", () => {
    for (const [t, v] of Object.entries(firstState.get(model))) model.set(t, v);
    save();
    root.dispatchEvent(new Event("se-reset"));
  });
  const link = onPage ? html("a", { class: "se-button", href: "#" }, foot, "Link to this state") : null;

  const store = html("button", { type: "button", class: "se-button" }, foot, "Save as SVG");
  store.addEventListener("click", () => {
    const state = controls.map(
      (c) =>
        `${c.label}: ${c.options ? c.options.find(([v]) => v === model.get(c.trait))?.[1] : c.show(model.get(c.trait))}`,
    );
    download(key + ".svg", svgOf(root, model.get("_css") || "", state.join("  ·  ")));
  });

  const update = build(panels, model, { figure: root, redraw: () => onChange("")() }); // for figures that change by themselves
  // The table is made when it is unfolded, and anew when a slider rests: sliding costs nothing.
  const fold = update.table && html("details", { class: "se-table" }, root);
  if (fold) html("summary", {}, fold, "View as table");
  const numbers = fold && html("div", {}, fold);
  const tell = () => {
    if (!fold || !fold.open) return;
    numbers.replaceChildren();
    for (const part of update.table(read())) tableOf(part, numbers);
  };
  if (fold) fold.addEventListener("toggle", tell);
  let changed = new Set(traits),
    busy = false,
    spoken = 0,
    text = "";
  const settle = () => {
    say(live, text);
    tell();
    if (link)
      link.setAttribute("href", "#" + key + traits.map((t) => `--${t}_${pack(model.get(t))}`).join(""));
  };
  const draw = () => {
    const now = changed;
    changed = new Set();
    for (const t of now) show[t]?.();
    text = update(read(), now);
    say(seen, unbroken(text));
    clearTimeout(spoken);
    spoken = setTimeout(settle, 200);
  };
  const onChange = (trait) => () => {
    changed.add(trait);
    if (busy) return;
    busy = true;
    draw();
    requestAnimationFrame(() => {
      busy = false;
      if (changed.size) draw();
    });
  };
  const listeners = traits.map((t) => ["change:" + t, onChange(t)]);
  listeners.forEach(([event, f]) => model.on(event, f));
  const onHash = () => {
    if (readHash(key, model, controls)) {
      save();
      root.scrollIntoView({ block: "nearest" });
    }
  };
  // A second click on the same link changes no address, and should set the controls all the same.
  const onClick = ({ target }) => {
    const a = target.closest?.('a[href^="#"]');
    if (a && a.hash === location.hash) onHash();
  };
  if (onPage) {
    window.addEventListener("hashchange", onHash);
    document.addEventListener("click", onClick);
  }
  draw();
  settle();
  let arriving = 0;
  if (onPage && location.hash.startsWith("#" + key + "--")) {
    root.scrollIntoView({ block: "center" });
    arriving = setTimeout(() => root.scrollIntoView({ block: "center" }), 400); // figures above have grown meanwhile
  }
  return () => {
    clearTimeout(spoken);
    clearTimeout(saving);
    clearTimeout(arriving);
    window.removeEventListener("hashchange", onHash);
    document.removeEventListener("click", onClick);
    update.release?.();
    listeners.forEach(([event, f]) => model.off(event, f));
  };
}
