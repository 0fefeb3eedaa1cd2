/* What a reference to a statement or an equation means, shown where it is used: on hover, on focus by keyboard,
 * on a first tap (the second follows the link). Escape closes it. What stands on the same page is copied from
 * there, formulas included; what stands on another page is carried by the link itself, its formulas as TeX
 * (book/_ext/statements.py). */
(() => {
  "use strict";
  const WAIT = 150,
    GAP = 8; // ms before a card comes or goes; px between card and edge of the window
  const card = document.createElement("div");
  Object.assign(card, { id: "ref-card", className: "ref-card", hidden: true });
  card.setAttribute("role", "tooltip");
  let shown = null,
    timer = 0,
    touched = false;

  function formula(tex) {
    const box = document.createElement("div");
    box.className = "math";
    box.textContent = tex.includes("\\\\") ? `\\[\\begin{split}${tex}\\end{split}\\]` : `\\[${tex}\\]`;
    return box;
  }

  function paragraph(text, number) {
    const box = document.createElement("p");
    box.className = "mathjax_process"; // MathJax sets formulas only where it is asked to
    box.append(number ? text : Object.assign(document.createElement("strong"), { textContent: text }));
    return box;
  }

  function contentOf(link) {
    const hash = link.getAttribute("href").startsWith("#") ? window.named(link.hash) : "";
    const target = hash ? document.getElementById(hash) : null;
    if (target && target.matches("div.math, div.proof")) {
      const copy = target.cloneNode(true);
      copy.querySelectorAll(".headerlink, .witness, script, button").forEach((node) => node.remove());
      [copy, ...copy.querySelectorAll("[id]")].forEach((node) => node.removeAttribute("id"));
      copy.querySelectorAll("a").forEach((node) => node.replaceWith(...node.childNodes));
      return [copy];
    }
    if (link.matches(".eq-card")) return [formula(link.dataset.card)];
    return link.dataset.card ? link.dataset.card.split("\u2029").map(paragraph) : null;
  }

  function place(link) {
    const at = link.getClientRects()[0] ?? link.getBoundingClientRect(),
      width = document.documentElement.clientWidth;
    card.style.left = "0px";
    const left = Math.max(GAP, Math.min(at.left, width - card.offsetWidth - GAP));
    const below = at.bottom + 4,
      above = at.top - card.offsetHeight - 4;
    const top = below + card.offsetHeight > innerHeight && above > 0 ? above : below;
    Object.assign(card.style, { left: `${left + scrollX}px`, top: `${top + scrollY}px` });
  }

  function open(link) {
    clearTimeout(timer);
    const content = contentOf(link);
    if (shown === link || !content) return;
    close();
    card.replaceChildren(...content);
    card.hidden = false;
    place(link);
    link.setAttribute("aria-describedby", card.id);
    shown = link;
    if (link.matches(".eq-card, .prf-card"))
      window.MathJax?.typesetPromise?.([card]).then(() => {
        if (shown === link) place(link);
      });
  }

  function close() {
    clearTimeout(timer);
    shown?.removeAttribute("aria-describedby");
    card.hidden = true;
    shown = null;
  }

  const later = (what) => {
    clearTimeout(timer);
    timer = setTimeout(what, WAIT);
  };

  document.addEventListener("DOMContentLoaded", () => {
    document.body.append(card);
    for (const link of document.querySelectorAll("article a.reference.internal")) {
      if (link.title && link.matches(".prf-card, .eq-card")) {
        link.dataset.card = link.title;
        link.removeAttribute("title");
      }
      if (!contentOf(link)) continue;
      link.addEventListener("mouseenter", () => later(() => open(link)));
      link.addEventListener("mouseleave", () => later(close));
      link.addEventListener("focus", () => {
        if (!touched) open(link);
      });
      link.addEventListener("blur", close);
      link.addEventListener("pointerdown", (event) => {
        touched = event.pointerType === "touch";
      });
      link.addEventListener("click", (event) => {
        if (touched && shown !== link) {
          event.preventDefault();
          open(link);
        } else close();
      });
    }
    card.addEventListener("mouseenter", () => clearTimeout(timer));
    card.addEventListener("mouseleave", () => later(close));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") close();
    });
    document.addEventListener("pointerdown", (event) => {
      if (shown && !card.contains(event.target) && event.target.closest("a") !== shown) close();
    });
  });
})();
