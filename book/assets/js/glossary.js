// Hover text of glossary terms: kept on the screen, closed by Escape, opened by a first tap (the second follows the link).
// Showing and hiding by pointer and focus is the style sheet's work, so that it needs no script.
(() => {
  "use strict";
  const GAP = 8; // px between hover text and the edge of the window

  function place(box) {
    const tip = box.querySelector(".gloss-tip");
    box.style.setProperty("--gloss-shift", "0px");
    const at = tip.getBoundingClientRect(),
      width = document.documentElement.clientWidth;
    const right = at.right + GAP - width;
    if (right > 0) box.style.setProperty("--gloss-shift", `${-Math.min(right, at.left - GAP)}px`);
    else if (at.left < GAP) box.style.setProperty("--gloss-shift", `${GAP - at.left}px`);
  }

  function close(box) {
    box.classList.remove("gloss-open");
    box.classList.add("gloss-off");
  }

  document.addEventListener("DOMContentLoaded", () => {
    const boxes = [...document.querySelectorAll(".gloss")];
    const open = () =>
      boxes.filter(
        (box) => box.matches(":hover, :focus-within, .gloss-open") && !box.classList.contains("gloss-off"),
      );
    let touched = false;

    for (const box of boxes) {
      const link = box.querySelector(".gloss-term");
      box.addEventListener("mouseenter", () => {
        box.classList.remove("gloss-off");
        place(box);
      });
      link.addEventListener("focus", () => {
        box.classList.remove("gloss-off");
        place(box);
      });
      link.addEventListener("pointerdown", (event) => {
        touched = event.pointerType === "touch";
      });
      link.addEventListener("click", (event) => {
        if (!touched || box.classList.contains("gloss-open")) return;
        event.preventDefault();
        boxes.filter((other) => other !== box).forEach(close);
        box.classList.remove("gloss-off");
        box.classList.add("gloss-open");
        place(box);
      });
    }
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") open().forEach(close);
    });
    document.addEventListener("pointerdown", (event) => {
      boxes
        .filter((box) => box.classList.contains("gloss-open") && !box.contains(event.target))
        .forEach(close);
    });
  });
})();
