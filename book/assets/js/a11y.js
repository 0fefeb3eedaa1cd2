// Repairs what the theme's pages lack for readers who use a screen reader.

document.addEventListener("DOMContentLoaded", () => {
  const each = (selector, repair) => document.querySelectorAll(selector).forEach(repair);

  // The visible text of the search button is its name; the label "Search" would contradict it.
  each("button.search-button-field", (button) => {
    for (const name of ["aria-label", "title", "data-bs-toggle"]) button.removeAttribute(name);
  });
  each("button.theme-switch-button i[title]", (icon) => {
    icon.setAttribute("aria-hidden", "true");
    icon.removeAttribute("title");
  });
  // "Show code cell source" says more than its label "Toggle hidden content".
  each("summary[aria-label]", (summary) => summary.removeAttribute("aria-label"));
  // The arrow that unfolds a part of the sidebar is named after the link beside it.
  each("summary:has(> .toctree-toggle)", (summary) => {
    summary.setAttribute(
      "aria-label",
      `Pages of: ${summary.parentElement.previousElementSibling?.textContent.trim() ?? ""}`,
    );
  });
  // The empty corner of a table is no header.
  each("th", (cell) => {
    if (cell.textContent.trim() || (cell.children.length && cell.querySelector("img, svg"))) return;
    const corner = document.createElement("td");
    corner.className = cell.className;
    cell.replaceWith(corner);
  });
  // An entry of the bibliography is an item of a list; its own role is deprecated.
  each('[role="doc-biblioentry"]', (entry) => entry.setAttribute("role", "listitem"));

  const sidebar = document.getElementById("pst-primary-sidebar");
  if (sidebar) {
    sidebar.setAttribute("role", "navigation");
    sidebar.setAttribute("aria-label", "Pages of the book");
  }
  // What scrolls must be reachable by keyboard; what is folded gets its size when it opens.
  const reach = (box) => {
    if (box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  };
  const sizes = new ResizeObserver((changes) => changes.forEach(({ target }) => reach(target)));
  each("pre, div.math.notranslate, .pst-scrollable-table-container, .se-results, details.se-table", (box) =>
    sizes.observe(box),
  );
});
