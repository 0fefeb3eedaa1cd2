// A live figure as one SVG file for slides: white-safe, every style written out, no style sheet needed.

const SAVED = [
  "fill",
  "stroke",
  "stroke-width",
  "stroke-dasharray",
  "stroke-linejoin",
  "stroke-linecap",
  "opacity",
  "paint-order",
];
const SAVED_TEXT = ["font-size", "font-weight", "font-style", "text-anchor"];
const WHITE =
  "position:fixed;left:-9999px;top:0;width:760px;color:#000;font:15px sans-serif;--pst-color-background:#fff;--jp-layout-color0:#fff;--vscode-editor-background:#fff";
const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/"/g, "&quot;");
const lines = (text, most) =>
  text.split(" ").reduce((all, word) => {
    // words, at most so many letters a line
    const last = all.length - 1;
    if (last >= 0 && (all[last] + " " + word).length <= most) all[last] += " " + word;
    else all.push(word);
    return all;
  }, []);
const words = (text, x, y, size, more = "") =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" font-size="${size}" ${more}>${escaped(text)}</text>`;

// Writes the computed style of a drawing into attributes and drops what is hidden.
function written(node) {
  const style = getComputedStyle(node);
  if (style.display === "none" || style.visibility === "hidden" || style.opacity === "0")
    return node.remove();
  [...node.children].forEach(written);
  if (/^(title|desc|defs|clipPath)$/.test(node.tagName)) return undefined;
  const leaf = node.tagName !== "g" && node.tagName !== "svg";
  for (const name of leaf ? [...SAVED, ...(node.tagName === "text" ? SAVED_TEXT : [])] : ["opacity"])
    node.setAttribute(name, style.getPropertyValue(name));
  for (const name of ["class", "style", "role", "aria-labelledby", "aria-describedby"])
    node.removeAttribute(name);
  return undefined;
}

// Pictures and their captions, which stand in the page as canvas and text.
function pictures(strip, original) {
  const from = strip.getBoundingClientRect(),
    canvases = original.querySelectorAll("canvas");
  let body = "",
    bottom = 0;
  strip.querySelectorAll(".se-picture").forEach((box, i) => {
    const at = box.querySelector("canvas").getBoundingClientRect(),
      x = at.left - from.left,
      middle = x + at.width / 2;
    const [above, below] = [...box.querySelectorAll(".se-caption")].map((n) => n.textContent);
    body += words(above || "", middle, 12, 12.5, 'text-anchor="middle"');
    body += `<image x="${x}" y="22" width="${at.width}" height="${at.width}" preserveAspectRatio="none" style="image-rendering:pixelated" href="${canvases[i].toDataURL()}"/>`;
    lines(below || "", 20).forEach((text, k) => {
      body += words(text, middle, 38 + at.width + 13 * k, 11, 'text-anchor="middle"');
    });
    bottom = Math.max(bottom, at.width + 75);
  });
  return [from.width, bottom, body];
}

// The figure as it stands now: its panels side by side in the colours of the light page, the state below.
export function svgOf(root, css, state) {
  const host = Object.assign(document.createElement("div"), { style: WHITE });
  document.body.append(host);
  const shade = host.attachShadow({ mode: "open" }),
    copy = root.cloneNode(true); // no page style reaches inside
  shade.append(Object.assign(document.createElement("style"), { textContent: css }), copy);
  let width = 10,
    height = 0,
    body = "";
  [...copy.querySelector(".se-panels").children].forEach((part, i) => {
    let wide, high, inner;
    if (part.matches("svg")) {
      [, , wide, high] = part.getAttribute("viewBox").split(" ").map(Number);
      written(part);
      inner = [...part.children].map((n) => new XMLSerializer().serializeToString(n)).join("");
    } else [wide, high, inner] = pictures(part, root.querySelector(".se-panels").children[i]);
    body += `<g transform="translate(${width.toFixed(1)} 10)">${inner}</g>`;
    width += wide + 16;
    height = Math.max(height, high);
  });
  host.remove();
  const foot = lines(state, Math.floor(width / 6))
    .map((text, k) => words(text, 12, height + 34 + 15 * k, 12))
    .join("");
  const tall = height + 34 + 15 * lines(state, Math.floor(width / 6)).length;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${width.toFixed(0)}" height="${tall.toFixed(0)}" viewBox="0 0 ${width.toFixed(0)} ${tall.toFixed(0)}" font-family="Arial, Helvetica, sans-serif" fill="#000">` +
    `<title>${escaped(root.getAttribute("aria-label"))}</title><rect width="100%" height="100%" fill="#fff"/>${body}${foot}</svg>`
  );
}

export function download(name, text) {
  const link = Object.assign(document.createElement("a"), {
    href: URL.createObjectURL(new Blob([text], { type: "image/svg+xml" })),
    download: name,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
