/* Runs the book's live figures in a built page: no kernel, no network, no widget manager.
 *
 * While the book is built, myst-nb writes the state of every widget into the page. Each of our widgets is an
 * anywidget: its state carries its own JavaScript module (`_esm`) and style (`_css`). This script gives each
 * module the small model that the anywidget contract promises (get, set, save_changes, on, off, and an abort
 * signal) and calls its initialize and render. Other kinds of widgets are left alone. */
(() => {
  "use strict";
  const STATE = 'script[type="application/vnd.jupyter.widget-state+json"]';
  const VIEW = 'script[type="application/vnd.jupyter.widget-view+json"]';
  const models = new Map(); // model id -> Model, shared by all views of the page
  const leaving = new AbortController();

  class Model {
    #state;
    #listeners = new Map();
    constructor(state) {
      this.#state = state;
    }

    get(name) {
      return this.#state[name];
    }

    // set("rho", 0.1) or set({rho: 0.1, eps: 0.2}); listeners hear only real changes.
    set(name, value) {
      const changes = typeof name === "object" ? name : { [name]: value };
      let changed = false;
      for (const [key, now] of Object.entries(changes)) {
        if (Object.is(this.#state[key], now)) continue;
        this.#state[key] = now;
        changed = true;
        this.#emit(`change:${key}`, now);
      }
      if (changed) this.#emit("change");
    }

    save_changes() {} // there is no kernel to tell
    send() {} // nor to talk to

    on(names, callback) {
      for (const name of names.split(/\s+/)) {
        if (!this.#listeners.has(name)) this.#listeners.set(name, new Set());
        this.#listeners.get(name).add(callback);
      }
    }

    // off(): all; off("change:rho"): all of one name; off(null, f): f everywhere.
    off(names, callback) {
      for (const name of names ? names.split(/\s+/) : [...this.#listeners.keys()]) {
        if (callback) this.#listeners.get(name)?.delete(callback);
        else this.#listeners.delete(name);
      }
    }

    #emit(name, value) {
      for (const callback of [...(this.#listeners.get(name) ?? [])]) callback({ name }, value);
    }

    get widget_manager() {
      return { get_model: async (id) => models.get(String(id).replace("IPY_MODEL_", "")) };
    }
  }

  // Binary traits travel as base64 beside the state; a module receives them as DataView, as from a kernel.
  function putBuffers(state, buffers = []) {
    for (const { path, data } of buffers) {
      const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
      const parent = path.slice(0, -1).reduce((node, key) => node[key], state);
      parent[path.at(-1)] = new DataView(bytes.buffer);
    }
    return state;
  }

  const modules = new Map(); // source -> promise of the module's default export
  function load(source) {
    if (!modules.has(source)) {
      const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
      modules.set(
        source,
        import(url)
          .then(async ({ default: widget }) => (typeof widget === "function" ? widget() : widget))
          .finally(() => URL.revokeObjectURL(url)),
      );
    }
    return modules.get(source);
  }

  const styles = new Set();
  function addStyle(css) {
    if (!css || styles.has(css)) return;
    styles.add(css);
    document.head.append(Object.assign(document.createElement("style"), { textContent: css }));
  }

  const initialized = new Map(); // model -> promise: once for a model, however many views it has
  async function show(model, el) {
    const { signal } = leaving;
    const experimental = { invoke: () => Promise.reject(new Error("This page has no Python to ask.")) };
    const cleanUp = (result) => {
      if (typeof result === "function") signal.addEventListener("abort", () => result());
    };
    addStyle(model.get("_css"));
    const widget = await load(model.get("_esm"));
    if (!initialized.has(model))
      initialized.set(
        model,
        Promise.resolve(widget.initialize?.({ model, signal, experimental })).then(cleanUp),
      );
    await initialized.get(model);
    cleanUp(await widget.render?.({ model, el, signal, experimental }));
  }

  function main() {
    for (const tag of document.querySelectorAll(STATE))
      for (const [id, entry] of Object.entries(JSON.parse(tag.textContent).state))
        models.set(id, new Model(putBuffers(entry.state, entry.buffers)));

    for (const tag of document.querySelectorAll(VIEW)) {
      const model = models.get(JSON.parse(tag.textContent).model_id);
      if (model?.get("_model_module") !== "anywidget") continue;
      const el = Object.assign(document.createElement("div"), { className: "afm-host" });
      tag.before(el);
      show(model, el).then(
        () => (el.dataset.ready = "true"),
        (error) => {
          console.error("afm-host:", error);
          el.textContent =
            "This figure could not start in your browser. The notebook shows it too: open it in Colab.";
        },
      );
    }
    // Let modules stop their timers when the page goes for good (not when it may come back from the cache).
    window.addEventListener("pagehide", (event) => {
      if (!event.persisted) leaving.abort();
    });
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", main);
  else main();
})();
