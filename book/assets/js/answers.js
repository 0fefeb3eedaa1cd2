/* Answers in the page: exercises that ask for a number or a choice.
 *
 * book/_ext/answers.py writes <form class="answer" data-exercise="4.2" data-rules="(base64)"> before the cell
 * with check(); the rules are those of sam_edu.exercises. The messages are those of check(), word for word
 * (tests/book/test_answers.py compares them). An answer is kept in this browser only. */
(() => {
  "use strict";

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
  };

  const make = (tag, properties = {}, ...children) => {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  };

  const rulesOf = (form) =>
    JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(form.dataset.rules), (c) => c.charCodeAt(0))));

  // "0,194", "−3", "1 000" and "2/255" are numbers as people write them; "1/0", "1e999" and NaN are none.
  function number(text) {
    const plain = text
      .trim()
      .replace(/\u2212/g, "-")
      .replace(/(\d)[\s\u00a0\u202f](?=\d{3})/g, "$1")
      .replace(/^(-?\d*),(\d+)$/, "$1.$2");
    const one = (part) => (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(part.trim()) ? Number(part) : NaN);
    const parts = plain.split("/");
    const value = parts.length === 2 ? one(parts[0]) / one(parts[1]) : parts.length === 1 ? one(plain) : NaN;
    return Number.isFinite(value) ? value : NaN;
  }

  // six significant digits, as Python's format "g" writes them
  function short(value) {
    const exponent = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(Number(value.toPrecision(6)))));
    if (exponent < -4 || exponent >= 6) {
      const [digits, power] = value.toExponential(5).split("e");
      const sign = power[0] === "-" ? "-" : "+",
        size = power.replace(/^[+-]/, "").padStart(2, "0");
      return `${digits.replace(/\.?0+$/, "")}e${sign}${size}`;
    }
    return String(Number(value.toPrecision(6)));
  }

  const close = (value, target, within) => Math.abs(value - target) < within * (1 - 1e-9);

  // [right, message] by the rules of a number or of a choice
  function judge(rules, answer) {
    if (rules.kind === "choice") {
      const right = answer === rules.expected;
      return [right, `${right ? "correct" : "not yet"}. ${rules.feedback[answer]}`];
    }
    const value = number(answer);
    if (Number.isNaN(value)) return [false, `a number is wanted, got '${answer}'.`];
    if (close(value, rules.value, rules.within)) return [true, `correct. ${rules.right}`];
    for (const slip of rules.mistakes)
      if (close(value, slip.value, slip.within)) return [false, `not yet. ${slip.hint}`];
    const near = Math.abs(value - rules.value) < 0.02 * Math.abs(rules.value) && !rules.steps;
    const side = value > rules.value ? "too large" : "too small";
    return [
      false,
      `not yet: ${short(value)} is ${side}${near ? `; it is close: give ${rules.digits} digits` : ""}.`,
    ];
  }

  function setUp(form) {
    const rules = rulesOf(form),
      name = form.dataset.exercise,
      key = `flat-and-robust:answer:${name}`;
    const status = make("p", { className: "answer-status" });
    status.setAttribute("role", "status");
    const button = make("button", { type: "submit", textContent: "Check" });
    const title = `Your answer to exercise ${name}`;
    let given;
    if (rules.kind === "choice") {
      const box = make("fieldset", { className: "answer-choices" }, make("legend", { textContent: title }));
      for (const option of Object.keys(rules.feedback))
        box.append(
          make("label", {}, make("input", { type: "radio", name: `answer-${name}`, value: option }), option),
        );
      form.append(box, button, status);
      const chosen = () => box.querySelector("input:checked");
      given = {
        read: () => chosen()?.value ?? "",
        write: (value) => [...box.querySelectorAll("input")].forEach((i) => (i.checked = i.value === value)),
      };
    } else {
      const input = make("input", {
        type: "text",
        inputMode: "decimal",
        autocomplete: "off",
        id: `answer-${name}`,
      });
      form.append(make("label", { htmlFor: input.id, textContent: title }), input, button, status);
      given = { read: () => input.value.trim(), write: (value) => (input.value = value) };
    }
    const show = () => {
      const answer = given.read();
      const [right, message] = answer ? judge(rules, answer) : [false, "give an answer first."];
      form.dataset.state = right ? "right" : "open";
      status.textContent = message[0].toUpperCase() + message.slice(1);
      return answer;
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      store.set(key, show());
    });
    const kept = store.get(key);
    if (kept) {
      given.write(kept);
      show();
    }
    form.hidden = false;
    // the cell of the notebook says the same, and cannot be run here
    const cell = form.nextElementSibling;
    if (cell?.matches(".answer-cell")) cell.hidden = true;
  }

  window.judgeAnswer = (form, answer) => judge(rulesOf(form), answer); // for the test
  document.addEventListener("DOMContentLoaded", () =>
    document.querySelectorAll("form.answer").forEach(setUp),
  );
})();
