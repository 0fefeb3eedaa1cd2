/* Opens the folded sections of a page (book/_ext/second_storey.py) for what leads into them: a link, from this page
 * or another, the state of a live figure in the address, a word that was searched; and all of them for paper. */
(() => {
  "use strict";
  const FOLDS = "details.second-storey";
  const ARRIVAL = 5000; // ms in which figures start and searched words are marked

  // What an address names: an element of the page, or a live figure by name and number (sam_edu/widgets/kit.js).
  function targetOf(hash) {
    const name = window.named(hash);
    const figure = /^se-(.+?)-([1-9])(--|$)/.exec(name);
    if (!figure || document.getElementById(name)) return name ? document.getElementById(name) : null;
    const same = [...document.querySelectorAll(".sam-edu")].filter((n) => n.dataset.seName === figure[1]);
    return same[figure[2] - 1] ?? null;
  }

  // Opens the folds around a node, and the one that a section begins with; whether any was closed.
  function unfold(node) {
    const own = node?.querySelector(`:scope > ${FOLDS}`);
    const closed = [];
    for (let fold = own ?? node?.closest(FOLDS); fold; fold = fold.parentElement.closest(FOLDS))
      if (!fold.open) closed.push(fold);
    for (const fold of closed) fold.open = true;
    return closed.length > 0;
  }

  function follow() {
    const target = targetOf(location.hash);
    if (unfold(target)) target.scrollIntoView({ block: target.matches(".sam-edu") ? "center" : "start" });
  }

  // Before the browser goes there, and where the address stays as it is.
  document.addEventListener(
    "click",
    (event) => {
      const link = event.target.closest?.("a[href]");
      if (link?.hash && link.pathname === location.pathname) unfold(targetOf(link.hash));
    },
    true,
  );
  window.addEventListener("hashchange", follow);

  document.addEventListener("DOMContentLoaded", () => {
    if (!document.querySelector(FOLDS)) return;
    follow();
    const coming = new MutationObserver(() => {
      if (location.hash.startsWith("#se-")) follow();
      document.querySelectorAll(`${FOLDS}:not([open]) span.highlighted`).forEach(unfold);
    });
    coming.observe(document.querySelector("main"), { childList: true, subtree: true });
    setTimeout(() => coming.disconnect(), ARRIVAL);
  });

  let forPaper = [];
  window.addEventListener("beforeprint", () => {
    forPaper = [...document.querySelectorAll(`${FOLDS}:not([open])`)];
    forPaper.forEach((fold) => (fold.open = true));
  });
  window.addEventListener("afterprint", () => {
    forPaper.forEach((fold) => (fold.open = false));
    forPaper = [];
  });
})();
