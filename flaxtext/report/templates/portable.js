"use strict";
// What a page works out with the models that it carries: texts to class probabilities, and what each word adds.
const portable = (() => {
  // ---- Packed texts and numbers, as flaxtext/report/packing.py writes them ----

  function decode(packed) {
    const binary = atob(packed), bytes = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
    return bytes;
  }

  async function inflate(packed) {
    const stream = new Blob([decode(packed)]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  async function unpackText(packed) {
    return new TextDecoder().decode(await inflate(packed));
  }

  // Numbers of four bytes, all first bytes before all second ones, as a Float32Array or Uint32Array.
  async function unpackNumbers(packed, Numbers) {
    const planes = await inflate(packed), length = planes.length / 4;
    const bytes = new Uint8Array(planes.length);
    for (let plane = 0; plane < 4; plane++) {
      for (let i = 0; i < length; i++) bytes[4 * i + plane] = planes[plane * length + i];
    }
    return new Numbers(bytes.buffer);
  }

  // ---- Words, as flaxtext/text/words.py finds them ----

  // Finds words in texts; `pieces` cuts a text into pieces that join to it, each with its word, "" for what is between.
  function tokenizer({ name, ...rules }) {
    const pieces = { keras: kerasPieces, unicode: unicodePieces }[name](rules);
    return { pieces, tokenize: (text) => pieces(text).map((piece) => piece.word).filter((word) => word) };
  }

  // Separators are characters of one UTF-16 unit each.
  function kerasPieces({ separators }) {
    const ends = new Set(separators);
    function runs(text) {
      const found = [];
      for (let start = 0, end; start < text.length; start = end) {
        const word = !ends.has(text[start]);
        for (end = start + 1; end < text.length && ends.has(text[end]) !== word; end++);
        found.push({ text: text.slice(start, end), word });
      }
      return found;
    }
    return (text) => {
      const lowered = runs(text.toLowerCase());  // as a whole: what a final sigma becomes hangs on what follows it
      return runs(text).map(({ text: piece, word }, i) => ({ text: piece, word: word ? lowered[i].text : "" }));
    };
  }

  // `classes` are the runs of flaxtext/text/word_classes.py; `foldings` are what is not folded to its small letter.
  function unicodePieces({ classes: packed, foldings, apostrophes }) {
    const table = new Uint8Array(0x110000);
    let at = 0;
    for (const [, letter, length] of packed.matchAll(/([A-Z])([0-9a-z]+)/g)) {
      const end = at + parseInt(length, 36);
      table.fill(letter.charCodeAt(0), at, end);
      at = end;
    }
    const quotes = new RegExp(`[${apostrophes}]`, "g");

    function fold(word) {
      const folded = Array.from(word.normalize("NFC"), (one) => foldings[one] ?? one.toLowerCase()).join("");
      return folded.normalize("NFC").replace(quotes, "'");
    }

    // The class of each character, of few as their neighbours have it: S, L, M, C, E, or D.
    function classify(characters) {
      const classes = characters.map((one) => String.fromCharCode(table[one.codePointAt(0)]));
      classes.forEach((own, i) => {
        if (own !== "Q") return;
        const key = classes[i - 1] === "V" ? i - 2 : i - 1;
        if (/^[0-9#*]$/.test(characters[key] ?? "")) classes[key] = "E";
        classes[i] = "M";
      });
      const chosen = classes.map((own, i) => own === "V" && classes[i - 1] === "P");
      chosen.forEach((is, i) => { if (is) classes[i - 1] = "E"; });
      classes.forEach((own, i) => {
        if (own === "V") classes[i] = chosen[i] ? "M" : "D";
        if (own === "P") classes[i] = "S";
      });

      const seen = classes.flatMap((own, i) => (own === "D" ? [] : [i])), before = seen.map((i) => classes[i]);
      const after = before.slice(), isEmoji = (i) => before[i] === "E" || before[i] === "T";
      let first = 0;  // of the run of equal classes
      before.forEach((own, i) => {
        if (own !== before[first]) first = i;
        if (own === "T") after[i] = before[i - 1] === "E" ? "M" : "E";
        if (own === "G") after[i] = isEmoji(first - 1) ? "M" : "D";
        if (own === "R") after[i] = (i - first) % 2 ? "M" : "E";
      });
      before.forEach((own, i) => {
        if (own === "J") {
          const joins = isEmoji(i - 1) && before[i + 1] === "E";
          after[i] = joins ? "M" : "D";
          if (joins) after[i + 1] = "M";
        }
        if (own === "K") {
          after[i] = "M";
          const stacks = before[i - 1] === "C" || (before[i - 1] === "M" && before[i - 2] === "C");
          if (stacks && before[i + 1] === "C") after[i + 1] = "M";
        }
      });
      seen.forEach((i, place) => { classes[i] = after[place]; });
      return classes;
    }

    return (text) => {
      const characters = Array.from(text), classes = classify(characters), found = [];
      let last = "S";  // the class of the character before, of a mark what it is a mark of
      characters.forEach((one, i) => {
        const own = classes[i] === "M" || classes[i] === "D" ? last : classes[i];
        const begins = classes[i] === "C" || classes[i] === "E" || own !== last;
        if (begins || !found.length) found.push({ text: "", word: "" });
        const piece = found[found.length - 1];
        piece.text += one;
        if (own !== "S" && classes[i] !== "D") piece.word += one;
        last = own;
      });
      return found.map((piece) => ({ text: piece.text, word: fold(piece.word) }));
    };
  }

  // ---- Features, as flaxtext/text/features.py lays them out ----

  // MurmurHash3's finalizer
  function mix(key) {
    key = Math.imul(key ^ (key >>> 16), 0x85ebca6b);
    key = Math.imul(key ^ (key >>> 13), 0xc2b2ae35);
    return (key ^ (key >>> 16)) >>> 0;
  }

  // Where `key` stands in ascending `keys`, or -1.
  function search(keys, key) {
    let low = 0, high = keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (keys[middle] < key) low = middle + 1;
      else high = middle;
    }
    return keys[low] === key ? low : -1;
  }

  // ids of words -> rows of the model's tables: of each position the word, its prefix, the n-grams that begin there.
  // Rows are padding, words, prefixes, n-grams; 0 for what is not there or not known. `words` are those known, by id
  // from 1; `first_prefix` is the row of the first prefix in the whole model, whose rows the n-grams' keys are made of.
  function features({ max_len: maxLen, prefix, first_prefix: firstPrefix, ngrams, keys }, words) {
    const prefixes = new Map();  // numbered in order of first appearance
    const prefixOf = prefix === null ? null : words.map((word) => {
      const letters = Array.from(word).slice(0, prefix).join("");
      if (!prefixes.has(letters)) prefixes.set(letters, prefixes.size);
      return prefixes.get(letters);
    });
    const firstRow = words.length + 1, firstNgram = firstRow + prefixes.size;
    return (ids) => {
      const rows = [];
      const bases = ids.slice(0, maxLen).map((id) => (prefixOf ? firstPrefix + prefixOf[id - 1] : id));
      for (let position = 0; position < maxLen; position++) {
        const id = ids[position] ?? 0;
        rows.push(id);
        if (prefixOf) rows.push(id && firstRow + prefixOf[id - 1]);
        let key = bases[position] ?? 0;
        for (let n = 2; n <= ngrams; n++) {
          const following = bases[position + n - 1];
          key = mix(Math.imul(key, 0x9e3779b1) + (following ?? 0));
          const place = following === undefined ? -1 : search(keys, key);
          rows.push(place < 0 ? 0 : firstNgram + place);
        }
      }
      return rows;
    };
  }

  // ---- Models: what flaxtext/model/ computes; a matrix is an object of `columns` and `row(i)` ----

  function layer({ kernel, bias }) {
    return (input) => {
      const output = Array.from(bias);
      for (let i = 0; i < input.length; i++) {
        if (input[i] === 0) continue;
        const weights = kernel.row(i);
        for (let j = 0; j < output.length; j++) output[j] += input[i] * weights[j];
      }
      return output;
    };
  }

  function weighted(vectors, weightOf, size) {
    const total = new Array(size).fill(0);
    vectors.forEach((vector, number) => {
      const weight = weightOf(number);
      for (let i = 0; i < size; i++) total[i] += weight * vector[i];
    });
    return total;
  }

  function largest(vectors, size) {
    if (!vectors.length) return new Array(size).fill(0);
    return Array.from({ length: size }, (_, i) => vectors.reduce((most, vector) => Math.max(most, vector[i]), -Infinity));
  }

  // How the embeddings of a document become one vector: `all` of its positions, padding included, or those present.
  // The names are those of flaxtext/model/poolings.py.
  const POOLINGS = {
    flatten: (all) => all.flatMap((vector) => Array.from(vector)),
    padded_mean: (all, present, size) => weighted(all, () => 1 / all.length, size),
    padded_sum: (all, present, size) => weighted(all, () => 1, size),
    mean: (all, present, size) => weighted(present, () => 1 / present.length, size),
    sum: (all, present, size) => weighted(present, () => 1, size),
    max: (all, present, size) => largest(present, size),
    mean_max: (all, present, size) => [...POOLINGS.mean(all, present, size), ...largest(present, size)],
    attention: (all, present, size) => {
      const weights = present.length ? softmax(present.map((vector) => vector[size - 1])) : [];
      return weighted(present, (number) => weights[number], size);
    },
  };

  function softmax(logits) {
    const most = Math.max(...logits);
    const odds = logits.map((logit) => Math.exp(logit - most));
    const total = odds.reduce((sum, value) => sum + value, 0);
    return odds.map((value) => value / total);
  }

  // rows -> logits, relu between the layers
  function network({ pooling, embedding, layers }) {
    const steps = layers.map(layer);
    return (rows) => {
      const present = rows.filter((row) => row).map(embedding.row);
      const pooled = POOLINGS[pooling](rows.map(embedding.row), present, embedding.columns);
      return steps.reduce((values, step, i) => step(i ? values.map((value) => Math.max(value, 0)) : values), pooled);
    };
  }

  // rows -> margins: TF-IDF of norm 1, times the kernel, plus the bias; `weights` are idf times the kernel
  function linear({ idf, weights, bias }) {
    return (rows) => {
      const counts = new Map();
      for (const row of rows) if (row) counts.set(row, (counts.get(row) ?? 0) + 1);
      let squares = 0;
      const margins = new Array(bias.length).fill(0);
      for (const [row, count] of counts) {
        squares += (count * idf.row(row)[0]) ** 2;
        weights.row(row).forEach((weight, i) => { margins[i] += count * weight; });
      }
      return margins.map((margin, i) => margin / Math.max(Math.sqrt(squares), 1e-12) + bias[i]);
    };
  }

  // Members, functions of rows, as one: rows -> class probabilities, the average of the members'.
  function classifier(members) {
    return (rows) => {
      const answers = members.map((member) => softmax(member(rows)));
      return answers[0].map((_, i) => answers.reduce((sum, answer) => sum + answer[i], 0) / answers.length);
    };
  }

  // ---- Packed models, as flaxtext/report/portable.py lays them out ----

  async function unpackMatrix(...parts) {
    const [{ columns }] = parts;
    const rounded = await Promise.all(parts.map((part) => unpackNumbers(part.values, Uint32Array)));
    const values = new Float32Array(rounded.reduce((length, part) => length + part.length, 0));
    let at = 0;
    rounded.forEach((part, number) => {
      const { step, by_column: byColumn } = parts[number], rows = part.length / columns;
      part.forEach((value, i) => {
        const to = byColumn ? (i % rows) * columns + Math.floor(i / rows) : i;
        values[at + to] = step * (value & 1 ? -(value + 1) / 2 : value / 2);
      });
      at += part.length;
    });
    return { columns, row: (i) => values.subarray(i * columns, (i + 1) * columns) };
  }

  // Rows by feature, padding's first.
  async function unpackTable({ padding: packed, frequent, rest }) {
    const padding = await unpackNumbers(packed, Float32Array), { columns, row } = await unpackMatrix(frequent, rest);
    return { columns, row: (i) => (i ? row(i - 1) : padding) };
  }

  async function unpackLayer({ kernel, bias }) {
    return { kernel: await unpackMatrix(kernel), bias: await unpackNumbers(bias, Float32Array) };
  }

  async function unpackMember({ pooling, embedding, layers, idf, weights, bias }) {
    if (pooling) {
      return network({ pooling, embedding: await unpackTable(embedding), layers: await Promise.all(layers.map(unpackLayer)) });
    }
    return linear({ idf: await unpackTable(idf), weights: await unpackTable(weights), bias: await unpackNumbers(bias, Float32Array) });
  }

  // A packed variant as a function: ids of known words -> class probabilities.
  async function load({ keys: packed, members, ...reads }, words) {
    const keys = await unpackNumbers(packed, Uint32Array);
    for (let i = 1; i < keys.length; i++) keys[i] += keys[i - 1];
    const expand = features({ ...reads, keys }, words), answer = classifier(await Promise.all(members.map(unpackMember)));
    return (ids) => answer(expand(ids));
  }

  // What each word adds to the probability of the predicted class: the drop when all its occurrences are left out.
  // The words that remain close up, and make n-grams with their new neighbours.
  function leaveOneOut(predict, ids, maxLen) {
    const probabilities = predict(ids);
    const predicted = probabilities.indexOf(Math.max(...probabilities));
    const weights = new Map();
    for (const id of new Set(ids.slice(0, maxLen))) {
      weights.set(id, probabilities[predicted] - predict(ids.filter((other) => other !== id))[predicted]);
    }
    return { probabilities, predicted, weights };
  }

  return { unpackText, tokenizer, load, leaveOneOut, features, POOLINGS, network, linear, classifier };
})();
