import { fixed, html, mount, percent, say, signif, tabled } from "./kit.js";
import { best, canvas, curves, gauge } from "./playground_draw.js";

// The figure's own side: buttons, the list of runs, the sentence. All computing is done by the worker.
const KEPT = 3,
  GAUGE = 2,
  USUAL = 5e-4; // runs beside each other; which length the gauge reads: 0.2; the book's decay
const METHODS = ["sgd", "sam", "asam", "at", "both"]; // in this order in the menu: a saved page sorts names
const OF_A_RUN = ["data", "method", "rho", "eps", "decay", "rate", "seed"];
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
const climbs = (m) => m === "sam" || m === "asam" || m === "both",
  attacked = (m) => m === "at" || m === "both";

function settingsOf(model) {
  const s = Object.fromEntries(OF_A_RUN.map((name) => [name, model.get(name)])),
    about = model.get("about")[s.data] || {};
  return {
    ...s,
    name: model.get("names")[s.method],
    attack: model.get("attack"),
    epochs: model.get("epochs"),
    hidden: about.hidden,
    batch: about.batch,
    momentum: 0.9,
    steps: 3,
    size: s.eps / 2,
    box: about.box || null,
  };
}
// Two runs are one where all that their method uses agrees.
const sameRun = (a, b) =>
  OF_A_RUN.every(
    (name) =>
      (name === "rho" && !climbs(a.method)) || (name === "eps" && !attacked(a.method)) || a[name] === b[name],
  );
const settingText = ({ name, method, rho, eps, decay }) =>
  name +
  (climbs(method) ? ` ρ = ${rho}` : "") +
  (attacked(method) ? ` ε = ${eps}` : "") +
  (decay === USUAL ? "" : `, weight decay ${decay}`);

function build(root, model, { redraw, figure }) {
  const drawCurves = curves(root),
    drawPicture = canvas(root),
    drawGauge = model.get("small") ? null : gauge(root, GAUGE);
  const bar = html("div", { class: "se-foot se-train" });
  root.after(bar);
  const button = (text) => html("button", { type: "button", class: "se-button" }, bar, text);
  const start = button("Start"),
    step = button("One epoch"),
    clear = button("Clear runs");
  const state = {
    runs: [],
    next: 0,
    running: false,
    lengths: [0, 0.1, 0.2, 0.3, 0.4, 0.5],
    fault: "",
    picture: null,
    drawn: 0,
    loaded: new Set(),
    attack: null,
  };
  const classes = model.get("classes"),
    newest = () => state.runs[state.runs.length - 1];

  let worker = null;
  const tell = (order, more = {}) => {
    worker ||= startWorker();
    worker.postMessage({ order, ...more });
  };
  function startWorker() {
    const url = URL.createObjectURL(new Blob([model.get("worker")], { type: "text/javascript" })),
      made = new Worker(url);
    made.onmessage = ({ data }) => heard(data);
    made.onerror = (event) => {
      state.fault = `The training stopped: ${event.message || "the browser refused it"}.`;
      finish();
    };
    return made;
  }
  function load(name) {
    if (state.loaded.has(name)) return;
    state.loaded.add(name);
    const about = model.get("about")[name];
    if (!about.features) return tell("data", { name });
    const view = model.get("packed");
    return tell("data", {
      name,
      about,
      packed: new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice(),
    });
  }

  function heard(message) {
    if (message.error) {
      state.fault = message.error;
      return finish();
    }
    const run = state.runs.find((r) => r.id === message.id);
    if (message.measured) return finish();
    if (!run) return undefined; // it was dropped meanwhile
    if (message.diverged) {
      state.fault = `Run ${run.letter} diverged: its loss is no number any more. Lower the learning rate or ρ.`;
      return finish();
    }
    run.points[message.epoch] = message.point;
    if (message.picture && run === newest()) state.picture = message.picture;
    if (message.done || !(state.running || message.again)) return finish();
    return paint(run.points.length === 1);
  }
  // With reduced motion the figure moves once a second at most.
  function paint(now = false) {
    if (!now && still() && performance.now() - state.drawn < 1000) return;
    state.drawn = performance.now();
    redraw();
  }
  function finish() {
    state.running = false;
    model.set(
      "runs",
      state.runs.map(({ letter, settings, points }) => ({
        letter,
        ...settings,
        points: points.map((p) => ({ ...p })),
      })),
    );
    model.save_changes();
    paint(true);
  }

  function order(target) {
    const settings = settingsOf(model),
      last = newest();
    state.fault = "";
    state.running = true;
    if (
      last &&
      sameRun(last.settings, settings) &&
      last.points.length &&
      last.points.length - 1 < target(last)
    )
      tell("go", { id: last.id, epochs: target(last) });
    else {
      if (last && sameRun(last.settings, settings)) drop(last);
      if (state.runs.length && state.runs[0].settings.data !== settings.data) [...state.runs].forEach(drop);
      if (state.runs.length === KEPT) drop(state.runs[0]);
      const free = ["A", "B", "C"].find((letter) => !state.runs.some((r) => r.letter === letter));
      const run = { id: ++state.next, letter: free, settings, points: [] };
      state.runs.push(run);
      load(settings.data);
      tell("begin", { id: run.id, settings, epochs: target(run), eps: model.get("attack") });
      state.attack = model.get("attack");
    }
    paint(true);
  }
  function drop(run) {
    state.runs.splice(state.runs.indexOf(run), 1);
    tell("drop", { id: run.id });
  }
  const stop = () => {
    state.running = false;
    tell("stop");
  };
  start.addEventListener("click", () =>
    state.running ? (stop(), finish()) : order(() => model.get("epochs")),
  );
  step.addEventListener("click", () => {
    if (!state.running) order((run) => Math.max(0, run.points.length - 1) + 1);
  });
  const empty = () => {
    if (worker) {
      stop();
      [...state.runs].forEach(drop);
    }
    state.picture = null;
    state.fault = "";
    finish();
  };
  clear.addEventListener("click", empty);
  figure.addEventListener("se-reset", empty);

  let looking = 0;
  const columns = () => {
    const point = (r) => r.points.at(-1),
      rise = (r) => point(r).along[GAUGE] - point(r).along[0],
      runs = state.runs.filter((r) => r.points.length);
    const s = settingsOf(model);
    return [
      {
        title: "The next run",
        columns: {
          data: [model.get("about")[s.data].label],
          method: [s.name],
          "ρ": [String(s.rho)],
          "ε of AT": [String(s.eps)],
          "ε of the test": [String(s.attack)],
          epochs: [String(s.epochs)],
          "weight decay": [String(s.decay)],
          "learning rate": [String(s.rate)],
          seed: [String(s.seed)],
        },
      },
      {
        title: "The runs",
        columns: {
          run: runs.map((r) => r.letter),
          method: runs.map((r) => settingText(r.settings)),
          epochs: runs.map((r) => r.points.length - 1),
          "gradient passes": runs.map((r) => point(r).passes),
          "right, %": runs.map((r) => 100 * point(r).clean),
          "under attack, %": runs.map((r) => 100 * point(r).robust),
          "most robust after epoch": runs.map(best),
          "with, %": runs.map((r) => 100 * r.points[best(r)].robust),
          "training images under attack, %": runs.map((r) => 100 * point(r).trainRobust),
          "rise of the loss within 0.2": runs.map(rise),
        },
      },
      ...runs.map((r) => ({
        title: `Run ${r.letter}, epoch by epoch`,
        columns: {
          epoch: r.points.map((_, i) => i),
          "right, %": r.points.map((p) => 100 * p.clean),
          "under attack, %": r.points.map((p) => 100 * p.robust),
          "rise of the loss": r.points.map((p) => p.along[GAUGE] - p.along[0]),
        },
      })),
    ];
  };

  const release = () => {
    if (worker) worker.terminate();
  };
  return Object.assign(
    tabled(columns, () => {
      const s = settingsOf(model);
      if (state.runs.length && s.attack !== state.attack) {
        // every run is attacked anew with the new radius
        state.attack = s.attack;
        clearTimeout(looking);
        if (state.running) state.running = false;
        looking = setTimeout(
          () =>
            tell("look", { eps: s.attack, ids: state.runs.filter((r) => r.points.length).map((r) => r.id) }),
          150,
        );
      }
      const shown = state.runs.filter((r) => r.points.length),
        last = newest();
      const fresh = last && sameRun(last.settings, settingsOf(model)),
        unfinished = fresh && last.points.length - 1 < s.epochs;
      say(start, state.running ? "Stop" : unfinished ? "Go on" : "Start");
      step.disabled = state.running;
      clear.disabled = !state.runs.length;
      drawCurves(shown, s.epochs, planned(s, model));
      if (drawGauge) drawGauge(shown, state.lengths);
      drawPicture(last ? state.picture : null, last, classes);
      return state.fault || sentence(shown, state, s, fresh, planned(s, model));
    }),
    { release },
  );
}

// What the next run will be, in short lines.
const planned = (s, model) => [
  `Start: ${s.name}, ${s.epochs} epochs`,
  model.get("about")[s.data].label,
  `learning rate ${s.rate}, seed ${s.seed}`,
  `weight decay ${s.decay}, test ε = ${s.attack.toFixed(2)}`,
  `ρ = ${s.rho}${climbs(s.method) ? "" : " (not used)"}, ε of AT = ${s.eps.toFixed(2)}${attacked(s.method) ? "" : " (not used)"}`,
];

function sentence(runs, { running }, s, fresh, plan) {
  if (!runs.length)
    return (running ? "It begins. " : "Nothing has been trained yet. ") + plan.join("; ") + ".";
  const run = runs[runs.length - 1],
    now = run.points.at(-1),
    top = best(run),
    epochs = run.points.length - 1;
  let text =
    `Run ${run.letter}, ${settingText(run.settings)}, ${running ? "training" : "after"} ${running ? "epoch" : epochs === 1 ? "1 epoch" : epochs + " epochs"}${running ? " " + epochs : ""}: ` +
    `${percent(now.clean, 1)} of the test samples right, ${percent(now.robust, 1)} under attack (ε = ${now.attack}), for ${now.passes} gradient passes over the training set. Within 0.2 the loss rises by ${fixed(now.along[GAUGE] - now.along[0], 3)}.`;
  if (top < epochs && run.points[top].robust > now.robust)
    text += ` It was most robust after epoch ${top}: ${percent(run.points[top].robust, 1)}.`;
  const other = runs
    .slice(0, -1)
    .reduce((a, b) => (!a || b.points.at(-1).robust > a.points.at(-1).robust ? b : a), null);
  if (other) {
    const gap = 100 * (now.robust - other.points.at(-1).robust),
      ratio = now.passes / Math.max(1, other.points.at(-1).passes);
    text += ` Compared with run ${other.letter} (${settingText(other.settings)}) that is ${gap >= 0 ? "+" : "\u2212"}${Math.abs(gap).toFixed(1)} points under attack, ${ratio === 1 ? "for as many passes" : `for ${signif(ratio, 2)} times its passes`}.`;
  }
  return running || fresh ? text : text + " The settings have changed: Start makes a new run beside it.";
}

const LISTS = {
  rho: [0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1, 1.5, 2, 3],
  decay: [0, 1e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2],
  rate: [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1],
  epochs: [1, 2, 5, 10, 15, 20, 30, 40, 60, 80, 100],
};
const controls = (model) => {
  const sets = Object.entries(model.get("about")).map(([name, { label }]) => [name, label]),
    small = model.get("small"),
    two = (v) => v.toFixed(2);
  const all = [
    { trait: "data", label: "data", options: sets },
    { trait: "method", label: "method", options: METHODS.map((m) => [m, model.get("names")[m]]) },
    { trait: "rho", label: "ρ (SAM, ASAM)", values: LISTS.rho, show: String, speak: (v) => "rho " + v },
    {
      trait: "eps",
      label: "ε of AT",
      min: 0,
      max: 0.5,
      step: 0.01,
      show: two,
      speak: (v) => "epsilon " + two(v),
      kind: "se-at",
    },
    {
      trait: "attack",
      label: "ε of the test",
      min: 0,
      max: 0.5,
      step: 0.01,
      show: two,
      speak: (v) => "epsilon " + two(v),
      kind: "se-at",
    },
    { trait: "epochs", label: "epochs", values: LISTS.epochs, show: String },
    { trait: "decay", label: "weight decay", values: LISTS.decay, show: String },
    { trait: "rate", label: "learning rate", values: LISTS.rate, show: String },
    { trait: "seed", label: "seed", min: 0, max: 9, step: 1, show: String },
  ];
  return all.filter(
    (c) => (c.trait !== "data" || sets.length > 1) && (!small || ["method", "rho", "eps"].includes(c.trait)),
  );
};
export default {
  render: (context) =>
    mount(context, {
      name: context.model.get("small") ? "playground-small" : "playground",
      label: "Playground: train a network and attack it",
      controls: controls(context.model),
      build,
    }),
};
