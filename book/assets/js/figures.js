/* What every figure of a page offers: its drawing as an SVG file for slides (black on white). Live figures bring
 * their own button; this script gives one to the drawings, and makes wide tables reachable by keyboard. */
(() => {
  "use strict";
  const NS = "http://www.w3.org/2000/svg";

  function forSlides(drawing) {
    const copy = drawing.cloneNode(true),
      box = copy.viewBox.baseVal;
    copy.removeAttribute("style");
    for (const [name, value] of [
      ["width", `${box.width}pt`],
      ["height", `${box.height}pt`],
      ["xmlns", NS],
    ])
      copy.setAttribute(name, value);
    const ground = document.createElementNS(NS, "rect"),
      title = document.createElementNS(NS, "title");
    for (const [name, value] of [
      ["width", "100%"],
      ["height", "100%"],
      ["fill", "#ffffff"],
    ])
      ground.setAttribute(name, value);
    title.textContent = drawing.getAttribute("aria-label");
    copy.prepend(title, ground);
    return new XMLSerializer()
      .serializeToString(copy)
      .replaceAll("currentColor", "#000000")
      .replaceAll("system-ui", "Arial, Helvetica");
  }

  function download(name, text) {
    const link = Object.assign(document.createElement("a"), {
      href: URL.createObjectURL(new Blob([text], { type: "image/svg+xml" })),
      download: name,
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function offer(figure, index) {
    const drawing = figure.querySelector(":scope > svg");
    if (!drawing) return;
    const page = location.pathname
      .split("/")
      .pop()
      .replace(/\.html$/, "");
    const number = figure.querySelector(".se-made")?.dataset.figure ?? index + 1;
    const button = Object.assign(document.createElement("button"), {
      type: "button",
      className: "se-save",
      textContent: "Save as SVG",
    });
    button.addEventListener("click", () => download(`${page}-${number}.svg`, forSlides(drawing)));
    drawing.nextElementSibling?.matches("figcaption")
      ? figure.querySelector("figcaption").after(button)
      : drawing.after(button);
  }

  document.addEventListener("DOMContentLoaded", () =>
    document.querySelectorAll("figure.se-figure").forEach(offer),
  );
})();
