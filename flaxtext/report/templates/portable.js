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
  // `read` lists words and, between them, marks: numbers below 0.
  function tokenizer({ name, ...rules }) {
    const pieces = { keras: kerasPieces, unicode: unicodePieces }[name](rules);
    return {
      pieces,
      tokenize: (text) => pieces(text).map((piece) => piece.word).filter((word) => word),
      read: (text) => pieces(text).flatMap((piece) => piece.word || marksIn(piece.text)),
    };
  }

  // Marks, as flaxtext/text/marks.py finds them: runs of one character that can be seen, by code point and length.
  function marksIn(text) {
    const runs = text.match(/([\p{P}\p{S}])\1*/gu) ?? [];
    return runs.map((run) => {
      const characters = Array.from(run);
      return -(4 * characters[0].codePointAt(0) + Math.min(characters.length, 3));
    });
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

  const MULTIPLIER = 0x9e3779b1;

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

  // Looks hashes up in ascending `keys`: rows from `first` on, 0 for none.
  function finder(keys, first) {
    return (hash) => {
      const place = search(keys, hash);
      return place < 0 ? 0 : first + place;
    };
  }

  // Maps a word to the rows of its n-grams of up to `longest` characters, a space before and after it; alone it is none.
  function characterRows(longest, rowOf) {
    const seen = new Map();
    return (word) => {
      if (seen.has(word)) return seen.get(word);
      const codes = Array.from(` ${word} `, (character) => character.codePointAt(0)), rows = [];
      for (let start = 0; start < codes.length; start++) {
        let key = codes[start];
        for (let n = 1; n <= longest && start + n <= codes.length; n++) {
          if (n > 1) key = mix(Math.imul(key, MULTIPLIER) + codes[start + n - 1]);
          const row = n === 1 && (start === 0 || start === codes.length - 1) ? 0 : rowOf(mix(key + n));
          if (row) rows.push(row);
        }
      }
      seen.set(word, rows);
      return rows;
    };
  }

  // What a model reads. A document is a list of words, which are strings, and of marks, which are numbers below 0; its
  // rows are those of the model's tables: padding, words, prefixes, n-grams of words and marks, n-grams of characters,
  // words as which vectors are read. `words` are those known, by id from 1; the first have rows of their own.
  //
  // - `expand` lists a document's rows: of each position the word or mark, its prefix, the n-grams that begin there and
  //   the word as which its vector is read, 0 for what is not there or not known; at the end the n-grams of characters.
  // - `reads` tells whether a word can matter, and `cut` takes of a document what is read.
  function features(reading, words) {
    const { max_len: maxLen, padded, drops_unknown: dropsUnknown, prefix, ngrams, marks, characters, vectors, n_known: known } = reading;
    const ids = new Map(words.map((word, index) => [word, index + 1]));
    const letters = (word) => Array.from(word).slice(0, prefix).join("");
    const prefixes = new Map();  // numbered from 1, in order of first appearance
    if (prefix !== null) {
      for (const word of words) {
        const own = letters(word);
        if (!prefixes.has(own)) prefixes.set(own, prefixes.size + 1);
      }
    }
    const firstNgram = known + 1 + prefixes.size, firstCharacter = firstNgram + reading.ngram_keys.length;
    const firstVector = firstCharacter + reading.character_keys.length;
    const ngramRow = finder(reading.ngram_keys, firstNgram);
    const vectorRow = finder(reading.vector_ids, firstVector);
    const rowsOfCharacters = characterRows(characters, finder(reading.character_keys, firstCharacter));

    // The row of a word, 0 for none.
    function wordRow(word) {
      const id = ids.get(word) ?? 0;
      return id <= known ? id : 0;
    }

    const reads = (word) => ids.has(word) || (!dropsUnknown && (characters > 0 || prefix !== null));

    function cut(document) {
      let read = 0;  // words
      return document.filter((token) => {
        if (typeof token === "number") return marks && read <= maxLen;  // those that follow the last word, too
        if (dropsUnknown && !ids.has(token)) return false;
        read++;
        return read <= maxLen;
      });
    }

    function expand(document) {
      const tokens = cut(document), rows = [];
      // What n-grams are made of: marks, and the numbers of words or prefixes; no n-gram holds a 0.
      const bases = tokens.map((token) => (typeof token === "number" ? token
        : prefix === null ? wordRow(token) : prefixes.get(letters(token)) ?? 0));
      tokens.forEach((token, position) => {
        const isMark = typeof token === "number";
        rows.push(isMark ? ngramRow(mix(token)) : wordRow(token));
        if (prefix !== null) rows.push(isMark || !bases[position] ? 0 : known + bases[position]);
        let key = bases[position], whole = key !== 0;
        for (let n = 2; n <= ngrams; n++) {
          const following = bases[position + n - 1] ?? 0;
          whole = whole && following !== 0;
          if (whole) key = mix(Math.imul(key, MULTIPLIER) + following);
          rows.push(whole ? ngramRow(key) : 0);
        }
        if (vectors) rows.push(isMark ? 0 : vectorRow(ids.get(token) ?? 0));
      });
      if (padded) {
        const size = maxLen * (ngrams + (prefix !== null));
        while (rows.length < size) rows.push(0);
      }
      if (characters) for (const token of tokens) if (typeof token === "string") rows.push(...rowsOfCharacters(token));
      return rows;
    }

    return { expand, reads, cut, firstCharacter, firstVector };
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

  // How the embeddings of a document become one vector: `all()` of its positions, padding included, or those present,
  // which may have weights. The names are those of flaxtext/model/poolings.py.
  const POOLINGS = {
    flatten: (all) => all().flatMap((vector) => Array.from(vector)),
    padded_mean: (all, present, size) => POOLINGS.mean(all, all(), size),
    padded_sum: (all, present, size) => weighted(all(), () => 1, size),
    mean: (all, present, size) => weighted(present, () => 1 / present.length, size),
    sum: (all, present, size) => weighted(present, () => 1, size),
    max: (all, present, size) => largest(present, size),
    mean_max: (all, present, size) => [...POOLINGS.mean(all, present, size), ...largest(present, size)],
    attention: (all, present, size) => {
      const weights = present.length ? softmax(present.map((vector) => vector[size - 1])) : [];
      return weighted(present, (number) => weights[number], size);
    },
    tfidf: (all, present, size, weights) => weighted(present, (number) => weights[number], size),
  };

  function softmax(logits) {
    const most = Math.max(...logits);
    const odds = logits.map((logit) => Math.exp(logit - most));
    const total = odds.reduce((sum, value) => sum + value, 0);
    return odds.map((value) => value / total);
  }

  // Rows -> distinct rows with their weights by TF-IDF, less the idf: of words, prefixes and their n-grams the weights
  // have norm 1 together, and so have those of n-grams of characters; words as which vectors are read are averaged.
  function weigher(idf, firstCharacter, firstVector) {
    return (rows) => {
      const counts = new Map();
      for (const row of rows) if (row) counts.set(row, (counts.get(row) ?? 0) + 1);
      const sums = [0, 0, 0], blockOf = (row) => Number(row >= firstCharacter) + Number(row >= firstVector);
      for (const [row, count] of counts) {
        const isVector = row >= firstVector, weight = isVector ? count : 1 + Math.log(count), own = weight * idf.row(row)[0];
        counts.set(row, weight);
        sums[blockOf(row)] += isVector ? own : own ** 2;
      }
      const scales = [Math.sqrt(sums[0]), Math.sqrt(sums[1]), sums[2]].map((sum) => (sum ? 1 / sum : 0));
      const distinct = Array.from(counts.keys());
      return { rows: distinct, weights: distinct.map((row) => counts.get(row) * scales[blockOf(row)]) };
    };
  }

  // rows, and weights where they are weighted -> logits, relu between the layers; without layers the bias is added.
  // Where rows are weighted, embeddings are multiplied by the idf.
  function network({ pooling, embedding, layers, bias }) {
    const steps = layers.map(layer);
    return ({ rows, weights }) => {
      const present = rows.filter((row) => row).map(embedding.row);
      const pooled = POOLINGS[pooling](() => rows.map(embedding.row), present, embedding.columns, weights);
      if (bias) return pooled.map((value, i) => value + bias[i]);
      return steps.reduce((values, step, i) => step(i ? values.map((value) => Math.max(value, 0)) : values), pooled);
    };
  }

  // Members as one: rows -> class probabilities, the average of the members'. `weigh` is for rows that are weighted.
  function classifier(members, weigh = (rows) => ({ rows })) {
    return (rows) => {
      const weighed = weigh(rows), answers = members.map((member) => softmax(member(weighed)));
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

  async function unpackMember(pooling, { embedding, layers, bias }) {
    return network({
      pooling,
      embedding: await unpackTable(embedding),
      layers: await Promise.all(layers.map(unpackLayer)),
      bias: bias && await unpackNumbers(bias, Float32Array),
    });
  }

  async function unpackKeys(packed) {
    const keys = await unpackNumbers(packed, Uint32Array);
    for (let i = 1; i < keys.length; i++) keys[i] += keys[i - 1];
    return keys;
  }

  // A packed variant: `predict` maps documents to class probabilities, `reads` and `cut` are those of `features`.
  async function load({ ngram_keys: ngrams, character_keys: characters, vector_ids: vectors, pooling, idf, members, ...reading }, words) {
    const [ngram_keys, character_keys, vector_ids] = await Promise.all([ngrams, characters, vectors].map(unpackKeys));
    const { expand, reads, cut, firstCharacter, firstVector } = features({ ...reading, ngram_keys, character_keys, vector_ids }, words);
    const weigh = idf ? weigher(await unpackTable(idf), firstCharacter, firstVector) : undefined;
    const unpacked = await Promise.all(members.map((member) => unpackMember(pooling, member)));
    const answer = classifier(unpacked, weigh);
    return { predict: (document) => answer(expand(document)), reads, cut };
  }

  // Words of all shortened documents together: of a long one, the first words alone are left out.
  const MAX_WORK = 50_000;

  // What each word adds to the probability of the predicted class: the drop when all its occurrences are left out.
  // The words that remain close up, and make n-grams with their new neighbours.
  function leaveOneOut({ predict, reads, cut }, document) {
    const probabilities = predict(document);
    const predicted = probabilities.indexOf(Math.max(...probabilities));
    const words = Array.from(new Set(cut(document).filter((token) => typeof token === "string" && reads(token))));
    const weights = new Map();
    for (const word of words.slice(0, Math.max(1, Math.floor(MAX_WORK / document.length)))) {
      weights.set(word, probabilities[predicted] - predict(document.filter((other) => other !== word))[predicted]);
    }
    return { probabilities, predicted, weights, unweighed: words.length - weights.size };
  }

  return { unpackText, tokenizer, load, leaveOneOut, features, POOLINGS, weigher, network, classifier };
})();
