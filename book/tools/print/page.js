// Makes an open page of the book ready for paper, and says what is in it. Run by make_pdf.py in the page.
//
// Returns {title, sections: [{level, text, id}], strips: [{name, states: [text, ...]}], wide: [what sticks out],
// boxes: whether a font is missing}. What a strip needs of a figure is in sam_edu/widgets/kit.js: `.se-panels`,
// the controls, and the sentence `.se-say`.
// oxlint-disable-next-line no-unused-expressions -- the whole file is one function, which the browser is given
async ({ online, shift }) => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (tag, properties, ...children) => {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  };
  const painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));

  // 1. Formulas typeset, figures started, fonts there.
  await window.MathJax?.startup?.promise;
  const until = performance.now() + 20000;
  while (document.querySelector(".afm-host:not([data-ready]):empty") && performance.now() < until)
    await new Promise((done) => setTimeout(done, 20));
  for (const image of all("img[loading=lazy]")) image.loading = "eager";
  await Promise.all(all("img").map((image) => image.decode().catch(() => {})));

  // 2. Everything open, except folded code and the tables behind figures, which the style sheet for paper leaves out.
  for (const node of all(".reveal[hidden], .tag_reveal[hidden]")) node.hidden = false;
  for (const node of all(".toggle-hidden")) node.classList.remove("toggle-hidden");
  for (const node of all("button.toggle-button")) node.remove();
  for (const node of all("details.toggle-details, details.hide.below-input, details.second-storey")) node.open = true;
  for (const cell of all(".cell")) { // what check() says to an empty answer, and that it returned True
    if (!/\bcheck\(/.test(cell.querySelector(".cell_input")?.textContent)) continue;
    const asked = !cell.closest(".solution");
    for (const output of all(asked ? ".cell_output" : ".cell_output .output.text_plain", cell)) output.remove();
  }

  // 3. Live figures: a strip of small multiples under each.
  const strips = [];
  for (const root of all(".sam-edu")) {
    const states = await strip(root);
    strips.push({ name: root.dataset.seName, states });
  }

  // 4. Nothing but the article, and one invisible link to each of its anchors: Chromium writes destinations
  // into the PDF only for what is linked within the document, and other chapters link here, too.
  const article = document.querySelector("article.bd-article");
  const ids = all("[id]", article).filter((n) => !n.closest("svg, mjx-container, .sam-edu, form")).map((n) => n.id);
  const origin = make("div", { id: "pdf-origin" });
  document.body.replaceChildren(origin, article, make("div", { hidden: true },
    ...["pdf-origin", ...ids].map((id) => make("a", { href: "#" + id }))));
  document.documentElement.style.counterReset = `page ${shift}`;
  document.title = article.querySelector("h1")?.textContent ?? document.title;
  await document.fonts.ready;
  await painted();
  const words = (node) => { // the text of a formula stands in its MathML
    const copy = node.cloneNode(true);
    for (const extra of all(".headerlink", copy)) extra.remove();
    return copy.textContent.replace(/\s+/g, " ").trim();
  };
  const heads = all("h1, h2, h3", article).filter((n) => n.closest("section[id]") && !n.closest(".sam-edu, .admonition"));
  return {
    title: words(article.querySelector("h1")),
    sections: heads.slice(1).map((n) => ({ level: Number(n.tagName[1]), text: words(n), id: n.closest("section[id]").id })),
    strips,
    wide: tooWide(article),
    boxes: document.querySelector("[lang=ko]") && !hasFont("한글"),
  };

  // What sticks out of the column, as the first words of each; the window is as wide as the column.
  function tooWide(root) {
    const edge = document.documentElement.clientWidth + 2;
    const out = all("*", root).filter((n) => n.getClientRects().length && !n.matches("svg *, mjx-container *"))
      .filter((n) => n.getBoundingClientRect().right > edge);
    return out.filter((n) => !out.some((m) => m !== n && n.contains(m))).map((n) => n.textContent.trim().slice(0, 50) || n.tagName);
  }

  // A character that no font has is drawn as a box, the same for all.
  function hasFont([a, b]) {
    const drawn = (text) => {
      const canvas = make("canvas", { width: 40, height: 40 }), pen = canvas.getContext("2d");
      pen.font = "30px " + getComputedStyle(document.body).fontFamily;
      pen.fillText(text, 2, 32);
      return canvas.toDataURL();
    };
    return drawn(a) !== drawn(b);
  }

  async function strip(root) {
    const input = root.querySelector(".se-controls input[type=range]") ?? root.querySelector(".se-controls select");
    const panels = root.querySelector(".se-panels"), sentence = root.querySelector(".se-say");
    if (!input || !panels || !sentence) return [];
    const label = (control) => root.querySelector(`label[for="${control.id}"]`).textContent.trim();
    const value = (control) => control.matches("select") ? control.selectedOptions[0].textContent :
      control.closest(".se-row").querySelector("output").textContent;
    const controls = all(".se-controls input[type=range], .se-controls select", root);
    const set = controls.map((c) => `${label(c)}: ${value(c)}`).join(" · ");
    const link = root.querySelector(".se-foot a[href^='#']")?.getAttribute("href") ?? "";

    const put = async (position) => {
      if (input.matches("select")) input.selectedIndex = position;
      else input.value = position;
      input.dispatchEvent(new Event(input.matches("select") ? "change" : "input", { bubbles: true }));
      await painted();
    };
    const first = input.matches("select") ? input.selectedIndex : input.value;
    const box = make("div", { className: "se-strip-print" }), said = [];
    for (const position of positions(input)) {
      await put(position);
      const name = `${label(input)}: ${value(input)}`;
      box.append(make("div", { className: "se-state" }, make("p", { className: "se-value", textContent: name }),
        still(panels, `s${said.length}`), make("p", { className: "se-sentence", textContent: sentence.textContent })));
      said.push(`${name}. ${sentence.textContent}`);
    }
    await put(first);
    const rest = make("p", { className: "se-set", textContent: `As it opens: ${set}. Below, “${label(input)}” moves and all else stays.` });
    const more = make("p", { className: "se-online" }, make("a", { href: online + link, textContent: "Move this figure online" }));
    root.append(rest, make("div", { className: "se-block" }, box, more));
    return said;
  }

  // The two ends and the middle; of a menu the first three entries.
  function positions(input) {
    if (input.matches("select")) return [...input.options].map((_, i) => i).slice(0, 3);
    const [low, high, step] = [input.min, input.max, input.step || 1].map(Number);
    const middle = low + Math.round((high - low) / 2 / step) * step;
    return [...new Set([low, middle, high])];
  }

  // A copy that no longer moves: its own ids, and pictures with their pixels.
  function still(panels, suffix) {
    const copy = panels.cloneNode(true);
    for (const node of all("[id]", copy)) node.id += suffix;
    for (const node of all("*", copy))
      for (const { name, value } of [...node.attributes])
        if (value.includes("url(#")) node.setAttribute(name, value.replace(/url\(#([^)]+)\)/g, `url(#$1${suffix})`));
    all("canvas", copy).forEach((canvas, i) => canvas.getContext("2d").drawImage(all("canvas", panels)[i], 0, 0));
    return copy;
  }
}
