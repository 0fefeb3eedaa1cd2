// The smallest host that runs a widget's module: a model with get/set/on/off/save_changes, one element.
class Model {
  constructor(state) {
    this.state = state;
    this.listeners = {};
    this.saved = 0;
  }
  get(name) {
    return this.state[name];
  }
  set(name, value) {
    if (this.state[name] === value) return;
    this.state[name] = value;
    for (const f of [...(this.listeners["change:" + name] || [])]) f();
  }
  save_changes() {
    this.saved++;
  }
  on(event, f) {
    (this.listeners[event] = this.listeners[event] || new Set()).add(f);
  }
  off(event, f) {
    if (this.listeners[event]) this.listeners[event].delete(f);
  }
}

export async function show(esm, css, state, buffers) {
  for (const [name, text] of Object.entries(buffers)) {
    state[name] = new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  }
  document.head.appendChild(Object.assign(document.createElement("style"), { textContent: css }));
  const module = await import(URL.createObjectURL(new Blob([esm], { type: "text/javascript" })));
  const el = document.body.appendChild(document.createElement("div"));
  el.className = "afm-host";
  window.model = new Model(state);
  window.cleanup = await module.default.render({ model: window.model, el });
}
