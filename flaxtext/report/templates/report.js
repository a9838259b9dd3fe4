"use strict";
(() => {
  const page = JSON.parse(document.getElementById("page-data").textContent);
  const MINUS = "\u2212";

  const { pieces, tokenize, read } = portable.tokenizer(page.tokenizer);

  // ---- Elements; texts enter as text nodes alone ----

  function element(tag, properties = {}, ...children) {
    const made = document.createElement(tag);
    for (const [key, value] of Object.entries(properties)) {
      if (key.startsWith("--")) made.style.setProperty(key, value);
      else if (key in made) made[key] = value;
      else made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  }

  function signed(weight) {
    return (weight < 0 ? MINUS : "+") + Math.abs(weight).toFixed(3);
  }

  // A text whose words carry weights; weightOf(word) gives undefined for an unknown one.
  function highlighted(text, weightOf) {
    const cut = pieces(text), weights = cut.map(({ word }) => (word ? weightOf(word) : 0));
    const largest = Math.max(1e-9, ...weights.map((weight) => Math.abs(weight ?? 0)));
    const box = element("div", { className: "text", dir: "auto" });
    for (const [index, piece] of cut.entries()) {
      const weight = weights[index];
      if (weight === undefined) {
        box.append(element("span", { className: "unknown", title: "not known" }, piece.text));
      } else if (Math.abs(weight) < Math.max(0.0005, largest / 15)) {
        box.append(piece.text);
      } else {
        const strength = (0.06 + 0.5 * Math.abs(weight) / largest).toFixed(2);
        const side = weight > 0 ? "for" : "against";
        box.append(element("mark", { className: side, title: signed(weight), "--strength": strength }, piece.text));
      }
    }
    return box;
  }

  function swatch(variant) {
    return element("span", { className: "swatch", "--color": page.colors[variant], "aria-hidden": "true" });
  }

  function bars(probabilities, variant) {
    const order = probabilities.map((_, index) => index);
    if (order.length > 8) order.sort((a, b) => probabilities[b] - probabilities[a]);
    const box = element("div", { className: "bars" });
    const largest = Math.max(...probabilities);
    for (const index of order.slice(0, 8)) {
      const top = probabilities[index] === largest ? " top" : "";
      const fraction = (100 * probabilities[index]).toFixed(1) + "%";
      box.append(
        element("bdi", { className: "name" + top }, page.classes[index]),
        element("span", { className: "bar", "aria-hidden": "true" }, element("i", { "--fraction": fraction, "--color": page.colors[variant] })),
        element("span", { className: "number" + top }, probabilities[index].toFixed(3)),
      );
    }
    return box;
  }

  // ---- Try it ----

  async function showBox() {
    const box = document.getElementById("try-text");
    if (!box) return;
    const words = (await portable.unpackText(page.words)).split(" "), known = new Set(words);
    const models = await Promise.all(Object.entries(page.models).map(async ([variant, packed]) =>
      ({ variant, model: await portable.load(packed, words) })));
    const answers = document.getElementById("try-answers");
    const status = document.getElementById("try-status");

    function answer() {
      const text = box.value, tokens = read(text), found = tokens.filter((token) => typeof token === "string");
      const unknown = found.filter((word) => !known.has(word)).length;
      let unweighed = 0;
      answers.replaceChildren(...models.map(({ variant, model }) => {
        const { probabilities, predicted, weights, unweighed: rest } = portable.leaveOneOut(model, tokens);
        unweighed = Math.max(unweighed, rest);
        const card = element("article", { className: "card" },
          element("div", { className: "answer" },
            element("h3", { style: "margin:0" }, swatch(variant), element("bdi", {}, variant)),
            element("bdi", { className: "top" }, page.classes[predicted])),
          bars(probabilities, variant));
        if (found.some(model.reads)) card.append(highlighted(text, (word) => (model.reads(word) ? weights.get(word) ?? 0 : undefined)));
        return card;
      }));
      status.textContent = `${found.length} words` + (unknown ? `, ${unknown} of them unknown` : "") +
        (unweighed ? `; the text is long: the last ${unweighed} distinct words are not weighed` : "");
    }

    let waiting = 0;
    box.addEventListener("input", () => {
      cancelAnimationFrame(waiting);
      waiting = requestAnimationFrame(answer);
    });
    for (const button of document.querySelectorAll("[data-example]")) {
      button.addEventListener("click", () => {
        box.value = page.examples[Number(button.dataset.example)];
        answer();
      });
    }
    answer();

    // For scripts and tests: class probabilities of a text, by variant.
    window.flaxtext = {
      predict: (text) => Object.fromEntries(models.map(({ variant, model }) => [variant, model.predict(read(text))])),
    };
  }

  // ---- Mistakes ----

  async function showMistakes() {
    const list = document.getElementById("mistakes-list");
    const mistakes = JSON.parse(await portable.unpackText(page.mistakes));
    const STEP = 10;
    const controls = Object.fromEntries(["variant", "true", "predicted", "search"].map((name) => [name, document.getElementById(`mistakes-${name}`)]));
    const count = document.getElementById("mistakes-count"), more = document.getElementById("mistakes-more");
    const texts = mistakes.map((mistake) => mistake.text.toLowerCase());
    let shown = [];

    function matches(answer) {
      const { variant, predicted } = controls;
      return (variant.value === "" || answer.variant === Number(variant.value)) &&
        (predicted.value === "" || answer.predicted === Number(predicted.value));
    }

    function card({ mistake, first }) {
      const text = element("div");
      const buttons = mistake.answers.map((answer) => {
        const name = page.variants[answer.variant];
        const button = element("button", { type: "button" }, swatch(name), element("bdi", {}, name), ": ", element("bdi", {}, page.classes[answer.predicted]), ` ${answer.probability.toFixed(3)}`);
        button.addEventListener("click", () => choose(answer, button));
        return button;
      });
      function choose(answer, pressed) {
        for (const button of buttons) button.setAttribute("aria-pressed", String(button === pressed));
        const order = new Map();  // distinct words in order of first appearance, which the weights follow
        for (const word of tokenize(mistake.text)) if (!order.has(word)) order.set(word, order.size);
        text.replaceChildren(highlighted(mistake.text, (word) => {
          const weight = answer.weights ? answer.weights[order.get(word)] : 0;
          return weight === null ? undefined : (weight ?? 0) / 1000;
        }));
        if (mistake.more) text.append(element("span", { className: "soft small" }, `\u2026 and ${mistake.more} more characters`));
      }
      const right = page.variants.filter((_, index) => !mistake.answers.some((answer) => answer.variant === index));
      const made = element("article", { className: "card" },
        element("div", { className: "answer" },
          element("h4", {}, "True class: ", element("bdi", {}, page.classes[mistake.true])),
          element("span", { className: "soft small" }, `row ${mistake.row}` + (right.length ? `; right: ${right.join(", ")}` : "; no variant is right"))),
        element("div", { className: "buttons" }, ...buttons), text);
      const start = mistake.answers.indexOf(first);
      choose(first, buttons[start]);
      return made;
    }

    function extend() {
      const next = shown.slice(list.childElementCount, list.childElementCount + STEP);
      list.append(...next.map(card));
      more.hidden = list.childElementCount >= shown.length;
    }

    function filter() {
      const wanted = controls.search.value.toLowerCase().trim(), truth = controls.true.value;
      shown = [];
      mistakes.forEach((mistake, index) => {
        if (truth !== "" && mistake.true !== Number(truth)) return;
        if (wanted && !texts[index].includes(wanted)) return;
        const first = mistake.answers.find(matches);
        if (first) shown.push({ mistake, first });
      });
      count.textContent = `${shown.length} of ${mistakes.length} documents`;
      list.replaceChildren();
      extend();
    }

    for (const control of Object.values(controls)) control.addEventListener("input", filter);
    for (const link of document.querySelectorAll("a[data-true]")) {  // of a pair of classes that are confused
      link.addEventListener("click", () => {
        for (const name of ["variant", "true", "predicted"]) controls[name].value = link.dataset[name];
        controls.search.value = "";
        filter();
      });
    }
    more.addEventListener("click", extend);
    filter();
  }

  // ---- Charts: `ast` has Vega interpret expressions, so the page needs no eval ----

  const options = { ast: true, actions: false, renderer: "svg", defaultStyle: false, tooltip: { disableDefaultStyle: true } };
  async function drawCharts() {
    const [library, charts] = await Promise.all([page.library, page.charts].map(portable.unpackText));
    document.head.append(element("script", { textContent: library }));  // the policy knows its hash
    const specifications = JSON.parse(charts);
    await Promise.all(Array.from(document.querySelectorAll("[data-chart]"), (place) =>
      window.vegaEmbed(place, specifications[place.dataset.chart], options)));
  }

  Promise.all([showBox(), showMistakes(), drawCharts()]).then(() => { document.documentElement.dataset.ready = "yes"; });
})();
