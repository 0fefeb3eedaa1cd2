/* Predict, then reveal.
 *
 * A page writes
 *
 *     :::{admonition} Predict first
 *     :class: predict answer-1
 *     What happens to the optimum when ... ?
 *
 *     - It grows.
 *     - It shrinks.
 *       - Why this tempts, and why it is wrong.
 *     :::
 *
 *     :::{admonition} What happens
 *     :class: reveal
 *     ...
 *     :::
 *
 * This script turns the list into radio buttons and hides the next `reveal` block (or code cell with the tag
 * `reveal`) until the reader has chosen, or asks to be shown; so are the lines under the options. The guess is kept in this browser only. Without
 * JavaScript nothing is hidden. `answer-1` says that the first choice is right. The first guess on a question is
 * kept apart, so that the page "Where next" can count how many were right (book/_ext/generated.py). */
(() => {
  "use strict";

  // Storage may be forbidden (private windows, some file:// settings): then a guess lasts as long as the page.
  const store = {
    get(key) {
      try {
        return localStorage.getItem(key);
      } catch {
        return null;
      }
    },
    set(key, value) {
      try {
        localStorage.setItem(key, value);
      } catch {
        /* not kept */
      }
    },
    remove(key) {
      try {
        localStorage.removeItem(key);
      } catch {
        /* not kept */
      }
    },
  };

  const make = (tag, properties = {}, ...children) => {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  };

  const keyOf = (page, index, kind = "predict") => `flat-and-robust:${kind}:${page}:${index}`;

  // The reveal block after `box`, with those that follow it directly; none beyond the next question.
  function answersOf(box) {
    const isAnswer = (node) => node.matches(".reveal, .tag_reveal");
    let node = box.nextElementSibling;
    while (node && !isAnswer(node)) {
      if (node.matches(".predict")) return [];
      node = node.nextElementSibling;
    }
    const answers = [];
    for (; node && isAnswer(node); node = node.nextElementSibling) answers.push(node);
    return answers;
  }

  function setUp(box, index) {
    const list = box.querySelector(":scope > ul");
    const answers = answersOf(box);
    if (!list || !answers.length) return;

    const page = location.pathname
      .split("/")
      .pop()
      .replace(/\.html$/, "");
    const key = keyOf(page, index),
      first = keyOf(page, index, "first");
    const right = Number(/(?:^| )answer-(\d+)/.exec(box.className)?.[1]) || 0;
    const name = `predict-${index}`;

    // <fieldset><legend>the question</legend> one labelled radio button a choice </fieldset>
    const legend = make("legend");
    for (const part of [...box.children].filter((c) => c !== list && !c.matches(".admonition-title"))) {
      legend.append(part.matches("p") ? make("span", {}, ...part.childNodes) : part);
      if (part.matches("p")) part.remove();
    }
    const fieldset = make("fieldset", { className: "predict-choices" }, legend);
    const whys = [];
    const radios = [...list.children].map((item, i) => {
      const radio = make("input", { type: "radio", name, value: String(i) });
      const text = make("span");
      const why = item.querySelector(":scope > .predict-why");
      why?.remove();
      for (const part of [...item.childNodes])
        text.append(...(part.nodeName === "P" ? [...part.childNodes] : [part]));
      fieldset.append(make("label", {}, radio, text));
      if (why) {
        whys.push(why);
        fieldset.append(why);
      }
      return radio;
    });
    const show = make("button", { type: "button", textContent: "Show me" });
    const forget = make("button", { type: "button", textContent: "Ask me again", hidden: true });
    const status = make("p", { className: "predict-status" });
    status.setAttribute("role", "status");
    list.replaceWith(fieldset, make("div", { className: "predict-buttons" }, show, forget), status);

    const render = (shown) => {
      answers.forEach((answer) => (answer.hidden = !shown));
      whys.forEach((why) => (why.hidden = !shown));
      box.dataset.state = shown ? "answered" : "asking";
      show.hidden = shown;
      forget.hidden = !shown;
      const guess = radios.findIndex((radio) => radio.checked);
      status.textContent = !shown
        ? ""
        : guess < 0
          ? "The answer is shown below."
          : `You chose ${guess + 1} of ${radios.length}. ${right ? `It is ${right}, as shown below.` : "The answer is shown below."}`;
      if (shown) window.dispatchEvent(new Event("resize")); // a figure in the block can now measure itself
    };
    const choose = (value) => {
      store.set(key, value);
      if (store.get(first) === null) store.set(first, value);
      render(true);
    };

    radios.forEach((radio) => radio.addEventListener("change", () => choose(radio.value)));
    show.addEventListener("click", () => {
      choose("shown");
      forget.focus();
    });
    forget.addEventListener("click", () => {
      store.remove(key);
      radios.forEach((radio) => (radio.checked = false));
      render(false);
      radios[0].focus();
    });

    const kept = store.get(key);
    if (radios[kept]) radios[kept].checked = true;
    render(kept !== null || answers.some((answer) => answer.contains(targetOf(location.hash))));
    // A link to something inside the answer shows it.
    window.addEventListener("hashchange", () => {
      const target = targetOf(location.hash);
      if (target && answers.some((answer) => answer.contains(target))) {
        render(true);
        target.scrollIntoView();
      }
    });
  }

  const targetOf = (hash) => document.getElementById(window.named(hash));

  // What was guessed, chapter by chapter, and how often that was right; a look at the answer is no guess.
  function tally(box) {
    const rows = [...box.querySelectorAll("tr[data-page]")],
      sum = box.querySelector(".predictions-sum");
    const forget = make("button", { type: "button", textContent: "Forget my guesses" });
    const numbers = (row, name) => row.dataset[name].split(",").map(Number);
    const guesses = (row) =>
      numbers(row, "answers").map((right, i) => {
        const value = store.get(keyOf(row.dataset.page, i, "first"));
        return {
          right,
          choices: numbers(row, "choices")[i],
          guess: /^\d+$/.test(value ?? "") ? Number(value) + 1 : 0,
        };
      });
    const render = () => {
      const all = [];
      for (const row of rows) {
        const made = guesses(row).filter(({ guess }) => guess),
          judged = made.filter(({ right }) => right);
        const hits = judged.filter(({ right, guess }) => right === guess).length;
        const [guessed, right] = [...row.cells].slice(-2);
        guessed.textContent = made.length || "–";
        right.textContent = judged.length ? hits : "–";
        all.push(...judged);
      }
      const hits = all.filter(({ right, guess }) => right === guess).length;
      const luck = all.reduce((total, { choices }) => total + 1 / choices, 0);
      sum.textContent = !all.length
        ? "No guess is kept in this browser yet."
        : `${all.length} guessed, ${hits} right. Drawing lots would get ${luck.toFixed(1)} right on average.`;
      forget.hidden = !all.length;
    };
    forget.addEventListener("click", () => {
      for (const row of rows)
        numbers(row, "answers").forEach((_, i) =>
          ["first", "predict"].forEach((kind) => store.remove(keyOf(row.dataset.page, i, kind))),
        );
      render();
      sum.tabIndex = -1;
      sum.focus();
    });
    box.append(forget);
    render();
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(".predict").forEach(setUp);
    document.querySelectorAll(".predictions").forEach(tally);
  });
})();
