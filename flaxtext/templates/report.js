"use strict";
(() => {
  const page = JSON.parse(document.getElementById("page-data").textContent);
  const MINUS = "\u2212";

  // ---- Words, as flaxtext/tokens.py finds them ----

  const SEPARATORS = new Set(page.separators);  // of one UTF-16 unit each

  function tokenize(text) {
    return pieces(text.toLowerCase()).filter((piece) => piece.word).map((piece) => piece.text);
  }

  // A text as runs of separators and of other characters, in order: they join to the text.
  function pieces(text) {
    const found = [];
    for (let start = 0, end; start < text.length; start = end) {
      const word = !SEPARATORS.has(text[start]);
      for (end = start + 1; end < text.length && SEPARATORS.has(text[end]) !== word; end++);
      found.push({ text: text.slice(start, end), word });
    }
    return found;
  }

  // ---- Networks, as flaxtext/portable.py packs them ----

  function bytes(base64) {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)).buffer;
  }

  function decodeTable({ columns, bits, exact, values, scales }) {
    const first = new Float32Array(bytes(exact));
    const small = bits === 8 ? new Int8Array(bytes(values)) : new Int16Array(bytes(values));
    const steps = new Float32Array(bytes(scales));
    const matrix = new Float32Array(first.length + small.length);
    matrix.set(first);
    for (let i = 0; i < small.length; i++) matrix[first.length + i] = small[i] * steps[Math.floor(i / columns)];
    return { matrix, columns, row: (i) => matrix.subarray(i * columns, (i + 1) * columns) };
  }

  // How the embeddings of a document's positions, padding included, become one vector.
  // A pooling of flaxtext/portable.py is a function of the same name here.
  const POOLINGS = {
    flatten: (rows) => rows.flatMap((row) => Array.from(row)),
    mean: (rows) => POOLINGS.sum(rows).map((value) => value / rows.length),
    sum: (rows) => {
      const total = new Array(rows[0].length).fill(0);
      for (const row of rows) for (let i = 0; i < total.length; i++) total[i] += row[i];
      return total;
    },
  };

  function dense(input, table, bias) {
    const output = Array.from(bias);
    for (let i = 0; i < input.length; i++) {
      if (input[i] === 0) continue;
      const row = table.row(i);
      for (let j = 0; j < output.length; j++) output[j] += input[i] * row[j];
    }
    return output;
  }

  function softmax(logits) {
    const largest = Math.max(...logits);
    const odds = logits.map((logit) => Math.exp(logit - largest));
    const total = odds.reduce((sum, value) => sum + value, 0);
    return odds.map((value) => value / total);
  }

  // ids (of known words) -> class probabilities
  function network(packed) {
    const embedding = decodeTable(packed.embedding);
    const hidden = decodeTable(packed.hidden), hiddenBias = new Float32Array(bytes(packed.hidden_bias));
    const output = decodeTable(packed.output), outputBias = new Float32Array(bytes(packed.output_bias));
    const pool = POOLINGS[packed.pooling];
    return (ids) => {
      const rows = Array.from({ length: packed.max_len }, (_, position) => embedding.row(ids[position] ?? 0));
      const units = dense(pool(rows), hidden, hiddenBias).map((unit) => Math.max(unit, 0));
      return softmax(dense(units, output, outputBias));
    };
  }

  // What each word adds to the probability of the predicted class: the drop when all its occurrences are left out.
  function leaveOneOut(predict, ids, maxLen) {
    const probabilities = predict(ids);
    const predicted = probabilities.indexOf(Math.max(...probabilities));
    const weights = new Map();
    for (const id of new Set(ids.slice(0, maxLen))) {
      weights.set(id, probabilities[predicted] - predict(ids.filter((other) => other !== id))[predicted]);
    }
    return { probabilities, predicted, weights };
  }

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

  // A text whose words carry weights; weightOf(lower-cased words, index) gives undefined for an unknown word.
  function highlighted(text, weightOf) {
    const words = tokenize(text);
    const weights = words.map((word, index) => weightOf(word, index));
    const largest = Math.max(1e-9, ...weights.map((weight) => Math.abs(weight ?? 0)));
    const box = element("div", { className: "text", dir: "auto" });
    let index = 0;
    for (const piece of pieces(text)) {
      const weight = piece.word ? weights[index++] : 0;
      if (weight === undefined) {
        box.append(element("span", { className: "unknown", title: "not in the vocabulary" }, piece.text));
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
      const share = (100 * probabilities[index]).toFixed(1) + "%";
      box.append(
        element("bdi", { className: "name" + top }, page.classes[index]),
        element("span", { className: "bar", "aria-hidden": "true" }, element("i", { "--share": share, "--color": page.colors[variant] })),
        element("span", { className: "number" + top }, probabilities[index].toFixed(3)),
      );
    }
    return box;
  }

  // ---- Try it ----

  const box = document.getElementById("try-text");
  if (box) {
    const words = new Map(page.words.split(" ").map((word, index) => [word, index + 1]));
    const known = Object.entries(page.networks).filter(([, packed]) => packed.pooling in POOLINGS);
    const networks = known.map(([variant, packed]) => ({ variant, maxLen: packed.max_len, predict: network(packed) }));
    const answers = document.getElementById("try-answers");
    const status = document.getElementById("try-status");

    const idsOf = (text) => tokenize(text).map((word) => words.get(word) ?? 0);

    function answer() {
      const text = box.value;
      const all = idsOf(text), ids = all.filter((id) => id);
      const unknown = all.length - ids.length;
      status.textContent = `${all.length} words` + (unknown ? `, ${unknown} of them unknown and dropped` : "");
      answers.replaceChildren(...networks.map(({ variant, predict, maxLen }) => {
        const { probabilities, predicted, weights } = leaveOneOut(predict, ids, maxLen);
        const card = element("article", { className: "card" },
          element("div", { className: "answer" },
            element("h3", { style: "margin:0" }, swatch(variant), element("bdi", {}, variant)),
            element("bdi", { className: "top" }, page.classes[predicted])),
          bars(probabilities, variant));
        if (ids.length) card.append(highlighted(text, (word) => (words.has(word) ? weights.get(words.get(word)) ?? 0 : undefined)));
        return card;
      }));
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
      predict: (text) => Object.fromEntries(networks.map(({ variant, predict }) => [variant, predict(idsOf(text).filter((id) => id))])),
    };
  }

  // ---- Mistakes ----

  const list = document.getElementById("mistakes-list");
  if (list) {
    const STEP = 10;
    const controls = Object.fromEntries(["variant", "true", "predicted", "search"].map((name) => [name, document.getElementById(`mistakes-${name}`)]));
    const count = document.getElementById("mistakes-count"), more = document.getElementById("mistakes-more");
    const texts = page.mistakes.map((mistake) => mistake.text.toLowerCase());
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
          const weight = answer.weights[order.get(word)];
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
      page.mistakes.forEach((mistake, index) => {
        if (truth !== "" && mistake.true !== Number(truth)) return;
        if (wanted && !texts[index].includes(wanted)) return;
        const first = mistake.answers.find(matches);
        if (first) shown.push({ mistake, first });
      });
      count.textContent = `${shown.length} of ${page.mistakes.length} documents`;
      list.replaceChildren();
      extend();
    }

    for (const control of Object.values(controls)) control.addEventListener("input", filter);
    more.addEventListener("click", extend);
    filter();
  }

  // ---- Charts: `ast` has Vega interpret expressions, so the page needs no eval ----

  const options = { ast: true, actions: false, renderer: "svg", defaultStyle: false, tooltip: { disableDefaultStyle: true } };
  document.documentElement.dataset.charts = "drawing";
  Promise.all(Array.from(document.querySelectorAll("[data-chart]"), (place) =>
    window.vegaEmbed(place, page.charts[place.dataset.chart], options)))
    .then(() => { document.documentElement.dataset.charts = "drawn"; });
})();
