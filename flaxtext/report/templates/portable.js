"use strict";
// What a page works out with the models that it carries: texts to class probabilities, and what each word adds.
const portable = (() => {
  // ---- Packed texts and numbers, as flaxtext/report/packing.py writes them ----

  const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%.()*+-;,=:?@^_`{|}~";
  const digits = new Uint8Array(128);
  for (let digit = 0; digit < DIGITS.length; digit++) digits[DIGITS.charCodeAt(digit)] = digit;

  // Base 85: five characters are four bytes, the last ones cut short together.
  function decode(packed) {
    const missing = (5 - packed.length % 5) % 5, whole = packed + "~".repeat(missing);
    const bytes = new DataView(new ArrayBuffer(whole.length / 5 * 4));
    for (let at = 0, to = 0; at < whole.length; to += 4) {
      let number = 0;
      for (const end = at + 5; at < end; at++) number = 85 * number + digits[whole.charCodeAt(at)];
      bytes.setUint32(to, number);
    }
    return new Uint8Array(bytes.buffer, 0, bytes.byteLength - missing);
  }

  async function inflate(packed) {
    const bytes = decode(packed);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
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

  const floats = (packed) => unpackNumbers(packed, Float32Array);

  // ---- Words, as flaxtext/text/tokens.py finds them ----

  // Finds words in texts; separators are characters of one UTF-16 unit each.
  function tokenizer(separators) {
    const ends = new Set(separators);

    // A text as runs of separators and of other characters, in order: they join to the text.
    function pieces(text) {
      const found = [];
      for (let start = 0, end; start < text.length; start = end) {
        const word = !ends.has(text[start]);
        for (end = start + 1; end < text.length && ends.has(text[end]) !== word; end++);
        found.push({ text: text.slice(start, end), word });
      }
      return found;
    }

    const tokenize = (text) => pieces(text.toLowerCase()).filter((piece) => piece.word).map((piece) => piece.text);
    return { pieces, tokenize };
  }

  // ---- Features, as flaxtext/models/features.py lays them out ----

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

  // ids of words -> rows of the model's tables: of each position the word, its stem, the n-grams that begin there.
  // Rows are padding, words, stems, n-grams; 0 for what is not there or not known.
  async function features({ max_len: maxLen, stem, first_stem: firstStem, ngrams, keys: packed }, words) {
    const keys = await unpackNumbers(packed, Uint32Array);
    for (let i = 1; i < keys.length; i++) keys[i] += keys[i - 1];
    const stems = new Map();  // numbered in order of first appearance
    const stemOf = stem === null ? null : words.map((word) => {
      const letters = Array.from(word).slice(0, stem).join("");
      if (!stems.has(letters)) stems.set(letters, stems.size);
      return stems.get(letters);
    });
    const firstRow = words.length + 1, firstNgram = firstRow + stems.size;
    return (ids) => {
      const rows = [];
      const bases = ids.slice(0, maxLen).map((id) => (stemOf ? firstStem + stemOf[id - 1] : id));
      for (let position = 0; position < maxLen; position++) {
        const id = ids[position] ?? 0;
        rows.push(id);
        if (stemOf) rows.push(id && firstRow + stemOf[id - 1]);
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

  // ---- Models, as flaxtext/report/portable.py packs them ----

  async function matrix(...parts) {
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
  async function table({ padding: packed, frequent, rest }) {
    const padding = await floats(packed), { columns, row } = await matrix(frequent, rest);
    return { columns, row: (i) => (i ? row(i - 1) : padding) };
  }

  async function layer({ kernel: packed, bias: bytes }) {
    const kernel = await matrix(packed), bias = await floats(bytes);
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
  // A pooling of flaxtext/report/portable.py is a function of the same name here.
  const POOLINGS = {
    flatten: (all) => all.flatMap((vector) => Array.from(vector)),
    mean: (all, present, size) => weighted(all, () => 1 / all.length, size),
    sum: (all, present, size) => weighted(all, () => 1, size),
    masked_mean: (all, present, size) => weighted(present, () => 1 / present.length, size),
    max: (all, present, size) => largest(present, size),
    mean_max: (all, present, size) => [...POOLINGS.masked_mean(all, present, size), ...largest(present, size)],
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

  // rows -> logits
  async function network({ pooling, embedding: packed, layers: packedLayers }) {
    const embedding = await table(packed), layers = await Promise.all(packedLayers.map(layer));
    return (rows) => {
      const present = rows.filter((row) => row).map(embedding.row);
      const pooled = POOLINGS[pooling](rows.map(embedding.row), present, embedding.columns);
      return layers.reduce((values, next, i) => next(i ? values.map((value) => Math.max(value, 0)) : values), pooled);
    };
  }

  async function linear({ idf: packedIdf, weights: packedWeights, bias: packedBias }) {
    const idf = await table(packedIdf), weights = await table(packedWeights), bias = await floats(packedBias);
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

  // A packed variant as a function: ids of known words -> class probabilities, the average of its members'.
  async function load(packed, words) {
    const expand = await features(packed, words);
    const members = await Promise.all(packed.members.map((member) => (member.pooling ? network : linear)(member)));
    return (ids) => {
      const rows = expand(ids), answers = members.map((member) => softmax(member(rows)));
      return answers[0].map((_, i) => answers.reduce((sum, answer) => sum + answer[i], 0) / answers.length);
    };
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

  return { unpackText, tokenizer, load, leaveOneOut };
})();
