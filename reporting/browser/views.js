"use strict";
// What the page shows of the one text that all views share. A view is a function that fills its part of the document from
// `asked`; whatever a person does changes `asked` and calls `update`.

/** A trained model, unpacked. @typedef {Model & {tokenizer: Tokenizer, classes: string[], ngrams: Ngrams[],
 *   checks: {text: string, ids: number[], expected: any}[]}} Trained */
/** A word or a class, how likely it is, and what else is said of it. @typedef {[string, number, string?]} Guess */

// ------------------------------------------------------------------------------------------------ what is in the file

/** The bytes that base64 and zlib packed. @param {string} packed @returns {Promise<ArrayBuffer>} */
function inflated(packed) {
  const text = atob(packed), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
}

/** The tensors of a model by their names. @param {any} described @returns {Promise<Record<string, any>>} */
async function unpackTensors({tensors, bytes}) {
  const buffer = await inflated(bytes);
  /** @type {Record<string, any>} */
  const weights = {}, arrays = {float32: Float32Array, int32: Int32Array, uint16: Uint16Array};
  for (const [name, [kind, n, size, start]] of Object.entries(tensors)) {
    weights[name] = kind === "int16" ? scaled(buffer, n, size, start) : {n, size, data: new arrays[kind](buffer, start, n * size)};
  }
  return weights;
}

/** @param {any} described @returns {Promise<Linear>} */
async function unpackLinear({words, names, tensors, bytes}) {
  const weights = await unpackTensors({tensors, bytes}), models = names.map((name, i) =>
    ({name, weights: weights[`weights.${i}`], bias: weights[`bias.${i}`].data}));
  const {starts, seconds, idf} = weights, numbers = new Map(words.map((word, i) => [word, i]));
  return {words: numbers, starts: starts.data, seconds: seconds.data, idf: idf.data, models};
}

/** @param {any} described @returns {Promise<Trained>} */
async function unpack({config, vocabulary, classes, tensors, bytes, checks}) {
  const weights = await unpackTensors({tensors, bytes}), ngrams = [];
  for (let i = 0; `ngrams.${i}.base` in weights; i++) {
    const table = (name, k) => weights[`ngrams.${i}.${name}.${k}`].data, levels = [];
    for (let k = 1; `ngrams.${i}.words.${k}` in weights; k++) {
      levels.push({starts: table("starts", k), words: table("words", k), share: table("share", k), backoff: table("backoff", k)});
    }
    ngrams.push({base: weights[`ngrams.${i}.base`].data, levels});
  }
  const {lower, pairs} = weights;
  return {config, weights, lower, pairs, tokenizer: makeTokenizer(vocabulary), classes, ngrams, checks};
}

/** A matrix that is kept as whole numbers and a factor for each row.
 * @param {ArrayBuffer} buffer @param {number} n @param {number} size @param {number} start @returns {Matrix} */
function scaled(buffer, n, size, start) {
  const factors = new Float32Array(buffer, start, n), whole = new Int16Array(buffer, start + 4 * n, n * size);
  const result = zeros(n, size);
  for (let i = 0, k = 0; i < n; i++) for (let j = 0; j < size; j++, k++) result.data[k] = whole[k] * factors[i];
  return result;
}

// ---------------------------------------------------------------------------------------------- what the models answer

/** The probability of every word after each of some ids, which begin with <pad>: by the network and, as far as the
 * configuration says so, by n-grams. @param {Trained} model @param {number[]} ids @param {number} first of the text's ids
 * @param {number[]} all ids of the text, without <pad> @param {any} options as of `decoder` @returns {Float64Array[]} */
function nextWords(model, ids, first, all, options = {}) {
  const logits = decoder(model, ids, options), share = model.config.ngram_share;
  return Array.from({length: logits.n}, (_, i) => {
    const network = softmax(row(logits, i)), end = options.onlyLast ? all.length : first + i;
    if (!share) return Float64Array.from(network);
    const counted = nextWord(model.ngrams[1 + (options.speaker ?? 0)], all.slice(0, end));
    return counted.map((value, word) => (1 - share) * network[word] + share * value);
  });
}

/** The text's tokens window by window, as part 2 scores them, each with what was expected in its place. Between windows
 * the page stays awake. @param {Trained} model @param {number[]} ids @param {number} speaker */
async function* scored(model, ids, speaker = 0) {
  const length = model.config.block_size;
  for (let start = 0; start < ids.length; start += length) {
    const inputs = [PAD, ...ids].slice(start, Math.min(start + length, ids.length));
    for (const [i, shares] of nextWords(model, inputs, start, ids, {speaker}).entries()) {
      yield {shares, counted: nextWord(model.ngrams[0], ids.slice(0, start + i)), id: ids[start + i]};
    }
    await rest();
  }
}

/** The classes, or the likeliest next words. @param {Trained} model @param {number[]} ids @param {Hook} hook
 * @returns {Guess[]} */
function answers(model, ids, hook) {
  if (model.config.pooling) return classify(model, ids, hook).map((share, i) => [model.classes[i], share]);
  return likeliest(softmax(decoder(model, ids, {hook, onlyLast: true}).data), model.tokenizer.words, 5);
}

/** What the next word is drawn by, as in inference/generate.py.
 * @param {ArrayLike<number>} shares @param {{temperature: number, top_k: number, top_p: number}} sampling */
function allowed(shares, {temperature, top_k, top_p}) {
  const logits = Array.from(shares, (share, id) => id === PAD || id === UNK ? -Infinity : Math.log(share));
  const order = logits.map((_, id) => id).sort((a, b) => logits[b] - logits[a] || a - b);
  if (temperature === 0) return logits.map((_, id) => Number(id === order[0]));
  const least = top_k ? logits[order[Math.min(top_k, order.length) - 1]] : -Infinity;
  const probabilities = softmax(logits.map(logit => logit < least ? -Infinity : (logit - logits[order[0]]) / temperature));
  let sum = 0;
  for (const id of order) { // the first token is always inside
    const share = probabilities[id];
    if (sum >= top_p) probabilities[id] = 0;
    sum += share;
  }
  const total = probabilities.reduce((sum, share) => sum + share, 0);
  return probabilities.map(share => share / total);
}

/** The n-th number from 0 to 1 of a seed (mulberry32). @param {number} seed @param {number} n */
function random(seed, n) {
  let x = (seed + Math.imul(n + 1, 0x6d2b79f5)) | 0;
  x = Math.imul(x ^ (x >>> 15), x | 1);
  x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
  return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
}

/** @param {ArrayLike<number>} shares @param {string[]} words @param {number} n @returns {Guess[]} the likeliest */
function likeliest(shares, words, n = 10) {
  const order = Array.from(shares, (_, id) => id).sort((a, b) => shares[b] - shares[a]).slice(0, n);
  return order.filter(id => shares[id] > 0).map(id => [shown(words[id]), shares[id]]);
}

/** A token as it can be shown: of half a character its bytes. @param {string} token */
function shown(token) {
  return token.replace(/[\udc80-\udcff](?![\udc00-\udfff])/g, half => `\\x${(half.charCodeAt(0) - 0xdc00).toString(16)}`);
}

// ------------------------------------------------------------------------------------------------- pieces of a document

const part = id => /** @type {any} */ (document.getElementById(id));
const rest = () => new Promise(resume => setTimeout(resume));
const percent = share => `${(100 * share).toFixed(1)}%`;

/** @param {string} tag @param {Record<string, any>} properties @param {...(Node | string)} children @returns {any} */
function element(tag, properties = {}, ...children) {
  const {data = {}, pressed, ...others} = properties, made = Object.assign(document.createElement(tag), others);
  for (const [name, value] of Object.entries(data)) made.style.setProperty(`--${name}`, value);
  if (pressed !== undefined) made.setAttribute("aria-pressed", String(pressed));
  made.append(...children);
  return made;
}

/** Names and probabilities; with `choose`, each may be chosen.
 * @param {Guess[]} guesses @param {number} [chosen] @param {(i: number) => void} [choose] */
function bars(guesses, chosen, choose) {
  return guesses.map(([name, share, note = ""], i) => element(
    choose ? "button" : "div", {className: "bar", ...(choose && {onclick: () => choose(i), pressed: i === chosen})},
    element("span", {dir: "auto"}, name), element("span", {}, element("i", {data: {share}})), element("b", {}, percent(share) + note),
  ));
}

/** @param {string} title @param {Guess[]} guesses */
function titledBars(title, guesses) {
  return element("div", {}, element("h3", {dir: "auto"}, title), ...bars(guesses));
}

/** A word that may be tapped, with what stands below it. @param {string} text @param {Record<string, any>} properties
 * @param {string} [below] @param {number} [signed] */
function word(text, properties, below = "", signed = 0) {
  const {className = "", ...others} = properties;
  const chip = element("button", {className: `word ${className}`, dir: "auto", ...others}, shown(text), element("small"));
  tell(chip, below, signed);
  return chip;
}

/** Put a number below a word. @param {any} chip @param {string} below @param {number} signed from -1 to 1: how dark the
 * word is, and in which colour */
function tell(chip, below, signed) {
  chip.lastChild.textContent = below;
  chip.style.setProperty("--tone", `var(--${signed < 0 ? "against" : "for"})`);
  chip.style.setProperty("--share", String(Math.min(Math.abs(signed), 1)));
}

/** Replace what a part of the document holds; who stands in it with the keyboard goes on from there.
 * @param {string} id @param {any[]} children */
function fill(id, children) {
  const box = part(id), focused = Array.from(box.children).findIndex(child => child.contains(document.activeElement));
  box.replaceChildren(...children);
  const again = box.children[focused];
  (again?.querySelector("input") ?? again)?.focus({preventScroll: true});
}

/** A button for each name, one of them pressed. @param {string} id @param {string[]} names @param {number} chosen
 * @param {(i: number) => void} choose */
function choice(id, names, chosen, choose) {
  const buttons = names.map((name, i) => element("button", {onclick: () => choose(i), pressed: i === chosen, dir: "auto"}, name));
  fill(id, buttons);
}

// --------------------------------------------------------------------------------------------------------------- views

/** What a person has asked for. */
const asked = {
  left: new Set(), // words left out, by their number
  label: -1, // the class whose points are shown; -1: the likeliest
  reader: "classifier",
  layer: 0, head: 0, from: 0, to: 0, // of the large map
  off: {classifier: new Set(), decoder: new Set()}, // heads, "layer.head"
  speaker: 0,
  scored: 0, // the word whose place is shown
  drawn: [], // ids that go on with the text
  question: 0, right: 0, modelRight: 0,
};
let version = 0; // of the text: what was begun for an older one stops

/** @param {Record<string, Trained>} models @param {Linear} linear @param {[string, number][]} quiz */
function start(models, linear, quiz) {
  const {classifier, decoder} = models;
  const tokensOf = model => model.tokenizer.read(part("text").value);
  const marked = (tokens, ids) => tokens.map((token, i) => ids[i] === UNK ? `${token}?` : token);
  const update = async () => {
    const now = ++version;
    const {tokens, ids} = tokensOf(classifier), n = Math.min(ids.length, classifier.config.block_size);
    const unknown = tokens.filter((_, i) => i < n && ids[i] === UNK);
    const notes = [
      ids.length > n && `The classifier reads ${n} of ${ids.length} words; the others are dotted.`,
      unknown.length && `Words that it never met, marked with a question mark: ${[...new Set(unknown)].slice(0, 5).join(", ")}.`,
    ];
    part("reading").textContent = ids.length ? notes.filter(Boolean).join(" ") : "There is no text yet; write at least one word.";
    const address = "#" + encodeURIComponent(part("text").value);
    if (location.hash !== address) history.replaceState(null, "", address);
    for (const view of [who, where, surprise, goOn]) { // each is seen before the next is computed
      if (now === version) view();
      await rest();
    }
  };

  async function who() {
    const {tokens, ids} = tokensOf(classifier), block = classifier.config.block_size, now = version;
    const kept = ids.map((_, i) => i).filter(i => !asked.left.has(i)), readNow = kept.slice(0, block);
    const shares = classify(classifier, orPad(readNow.map(i => ids[i])));
    const label = asked.label < 0 ? shares.indexOf(Math.max(...shares)) : asked.label;
    const choose = label => { asked.label = label; who(); };
    fill("bars", bars(shares.map((share, i) => [classifier.classes[i], share]), label, choose));
    const counting = opponents(linear, uniformText(part("text").value, classifier.tokenizer.characters)).map(({name, label}) => `${name}: ${classifier.classes[label]}`);
    part("opponents").textContent = `Two models that only count words say: ${counting.join("; ")}.`;
    part("chosen").textContent = classifier.classes[label];
    const temperature = classifier.weights.temperature.data[0];
    part("trust").textContent = temperature === 1
      ? "These probabilities are the network's own, and networks are mostly too sure of themselves."
      : "These probabilities are calibrated: of the sentences with 80%, about 80 in 100 should be right.";
    const leave = i => { asked.left.has(i) ? asked.left.delete(i) : asked.left.add(i); who(); };
    const names = marked(tokens, ids), chips = names.map((token, i) => word(token, {
      className: asked.left.has(i) ? "out" : readNow.includes(i) ? ids[i] === UNK ? "unknown" : "" : "unread",
      onclick: () => leave(i), pressed: asked.left.has(i), title: readNow.includes(i) ? "leave it out" : "not read",
    }));
    fill("words", chips);
    for (const i of readNow) {
      await rest();
      if (now !== version || chips[i] !== part("words").children[i]) return;
      const without = classify(classifier, orPad(kept.filter(j => j !== i).slice(0, block).map(j => ids[j])));
      const points = shares[label] - without[label];
      tell(chips[i], signed(100 * points), 3 * points);
    }
  }

  function where() {
    const model = models[asked.reader], isDecoder = asked.reader === "decoder", {config} = model;
    const {tokens, ids} = tokensOf(model), n = Math.min(ids.length, config.block_size), words = marked(tokens, ids).slice(0, n);
    choice("reader", ["classifier", "decoder"], Number(isDecoder), i => { asked.reader = ["classifier", "decoder"][i]; where(); });
    if (!n || !config.n_layer) {
      for (const id of ["maps", "from", "map", "heads", "without"]) fill(id, []);
      part("map-title").textContent = part("looks").textContent = config.n_layer ? "" : "This model has no layers, and so no attention.";
      return;
    }
    const off = asked.off[asked.reader], seen = /** @type {Matrix[][]} */ ([]);
    const all = answers(model, ids.slice(0, n), (x, name, head) => {
      const [, layer] = /** @type {RegExpMatchArray} */ (name.match(/blocks\.(\d+)\.attention\.weights$/) ?? []);
      if (layer !== undefined && !/members\.[1-9]/.test(name)) (seen[layer] ??= [])[head] = withPadding(x, n);
      return x;
    });
    asked.layer = Math.min(asked.layer, config.n_layer - 1);
    asked.head = Math.min(asked.head, config.n_head - 1);
    asked.from = Math.min(asked.from, n - 1);
    const columns = seen[0][0].size > n ? [...words, "padding"] : words;
    const largest = Math.max(...seen.flat().flatMap(x => Array.from(x.data).filter((_, i) => i % x.size < n))); // of words
    part("maps").style.setProperty("--layers", String(config.n_layer));
    fill("maps", seen[0].flatMap((_, head) => seen.map((heads, layer) => {
      const x = heads[head];
      const isOff = off.has(`${layer}.${head}`), name = `layer ${layer + 1}, head ${head + 1}${isOff ? " (off)" : ""}`;
      const show = () => { asked.layer = layer; asked.head = head; where(); };
      const pressed = layer === asked.layer && head === asked.head;
      return element("button", {className: "map-button", onclick: show, pressed}, name, picture(x, largest));
    })));
    part("map-title").textContent = `Layer ${asked.layer + 1}, head ${asked.head + 1}`;
    largeMap(seen[asked.layer][asked.head], words, columns, largest);
    fill("heads", seen.flatMap((heads, layer) => heads.map((_, head) => {
      const name = `${layer}.${head}`, onchange = () => { off.has(name) ? off.delete(name) : off.add(name); where(); };
      return element("label", {}, element("input", {type: "checkbox", checked: !off.has(name), onchange}), ` layer ${layer + 1}, head ${head + 1}`);
    })));
    const what = isDecoder ? "The next word" : "Who said it";
    fill("without", [titledBars(`${what}, all heads on`, all)]);
    if (!off.size) return;
    const changed = answers(model, ids.slice(0, n), (x, name, head) => {
      const [, layer] = name.match(/blocks\.(\d+)\.attention\.heads$/) ?? [], mean = model.weights[`${name}.mean`]; // (H, D)
      return layer !== undefined && off.has(`${layer}.${head}`) ? map(x, (_, i, j) => mean.data[head * mean.size + j]) : x;
    });
    const before = new Map(all.map(([name, share]) => [name, share]));
    part("without").append(titledBars(`${what}, ${off.size} off`, changed.map(([name, share]) =>
      [name, share, before.has(name) ? ` (${signed(100 * (share - before.get(name)))})` : " (new)"])));
  }

  async function surprise() {
    const now = version, {words} = decoder.tokenizer, lines = part("text").value.split("\n").map(decoder.tokenizer.read);
    const tokens = lines.flatMap(line => line.tokens), ids = lines.flatMap(line => line.ids);
    const voices = decoder.config.voices ? ["nobody in particular", ...decoder.classes] : [];
    choice("speakers", voices, asked.speaker, i => { asked.speaker = i; version++; surprise(); });
    const names = marked(tokens, ids), chips = names.map(name => word(name, {})), places = [];
    fill("nats", chips);
    fill("expected", []);
    part("perplexity").textContent = "";
    const show = i => {
      asked.scored = i;
      chips.forEach((chip, j) => chip.setAttribute("aria-pressed", String(i === j)));
      const {shares, counted} = places[i];
      fill("expected", [titledBars(`In place of “${shown(names[i])}”: the decoder`, shares), titledBars("the trigram", counted)]);
    };
    let sum = 0, sumCounted = 0;
    for await (const {shares, counted, id} of scored(decoder, ids, asked.speaker)) {
      if (now !== version) return;
      const i = places.length, nats = -Math.log(shares[id]);
      places.push({shares: likeliest(shares, words), counted: likeliest(counted, words)});
      [sum, sumCounted] = [sum + nats, sumCounted - Math.log(counted[id])];
      tell(chips[i], nats.toFixed(1), -nats / 10);
      chips[i].onclick = () => show(i);
    }
    if (!places.length) return;
    part("perplexity").textContent = `Perplexity: the decoder ${whole(sum, ids.length)}, the trigram ${whole(sumCounted, ids.length)}. ` +
      "That is as unsure as somebody who guesses among so many equally likely words, each time.";
    show(Math.min(asked.scored, places.length - 1));
  }

  function goOn() {
    const {ids} = tokensOf(decoder), {words} = decoder.tokenizer, value = name => Number(part(name).value);
    const sampling = {temperature: value("temperature"), top_p: value("top_p"), top_k: value("top_k")};
    for (const name of Object.keys(sampling)) part(`${name}-now`).textContent = part(name).value;
    const distribution = () => {
      const all = [...ids, ...asked.drawn], limit = decoder.config.positions === "learned" ? decoder.config.block_size : Infinity;
      const [shares] = nextWords(decoder, [PAD, ...all].slice(-limit), 0, all, {speaker: asked.speaker, onlyLast: true});
      return allowed(shares, sampling);
    };
    const show = () => {
      const drawn = asked.drawn.map(id => shown(words[id])), space = decoder.tokenizer.words.includes(" ") ? "" : " ";
      fill("continued", [part("text").value, " ", element("mark", {}, drawn.join(space))]);
      const shares = distribution();
      part("possible").textContent = `The next word, of ${shares.filter(share => share > 0).length.toLocaleString("en")} possible`;
      fill("next", [element("div", {}, ...bars(likeliest(shares, words)))]);
      return shares;
    };
    const draw = shares => {
      let left = random(value("seed"), asked.drawn.length), id = 0;
      while (id < shares.length - 1 && left >= shares[id]) left -= shares[id++];
      while (id > 0 && !shares[id]) id--; // what rounding left over at the end
      asked.drawn.push(id);
      return show();
    };
    let shares = show();
    part("draw").onclick = () => { shares = draw(shares); };
    part("again").onclick = () => { asked.drawn = []; shares = show(); };
    part("finish").onclick = async () => {
      const now = version;
      for (let n = 0; n < 60 && now === version; n++) {
        shares = draw(shares);
        if (/^(?:[.!?]|\.\.\.|[…。！？।])$/u.test(words[asked.drawn.at(-1)])) break;
        await rest();
      }
    };
  }

  function guess() {
    const [text, label] = quiz[asked.question % quiz.length], {ids} = classifier.tokenizer.read(text);
    part("question").textContent = text;
    fill("guesses", classifier.classes.map((name, i) => element("button", {dir: "auto", onclick: () => {
      const shares = classify(classifier, orPad(ids.slice(0, classifier.config.block_size))), said = shares.indexOf(Math.max(...shares));
      asked.question++;
      asked.right += Number(i === label);
      asked.modelRight += Number(said === label);
      part("answer").textContent = `It was ${classifier.classes[label]}. The model says ${classifier.classes[said]} (${percent(shares[said])}). ` +
        `Right so far, of ${asked.question}: you ${asked.right}, the model ${asked.modelRight}.`;
      fill("guesses", [element("button", {onclick: () => { part("answer").textContent = ""; guess(); }}, "Next sentence")]);
    }}, name)));
  }

  const typed = () => {
    asked.left.clear();
    asked.drawn = [];
    update();
  };
  let waiting = 0;
  part("text").oninput = () => { clearTimeout(waiting); waiting = setTimeout(typed, 120); };
  for (const name of ["temperature", "top_p", "top_k", "seed"]) part(name).oninput = () => { asked.drawn = []; goOn(); };
  addEventListener("hashchange", () => { fromAddress(); typed(); });
  fromAddress();
  update();
  guess();
  prove(models);
}

/** A text without words is one <pad>. @param {number[]} ids */
function orPad(ids) {
  return ids.length ? ids : [PAD];
}

/** @param {number} points */
function signed(points) {
  return `${points < 0 ? "−" : "+"}${Math.abs(points).toFixed(1)}`;
}

/** @param {number} nats @param {number} n */
function whole(nats, n) {
  return Math.round(Math.exp(nats / n)).toLocaleString("en");
}

/** The text that the address of the page holds. */
function fromAddress() {
  try {
    if (location.hash.length > 1) part("text").value = decodeURIComponent(location.hash.slice(1));
  } catch { /* not an address that this page made */ }
}

/** The rows of the words, and all columns of padding as one. @param {Matrix} x (T, T) @param {number} n words */
function withPadding(x, n) {
  return map(zeros(n, x.n > n ? n + 1 : n), (_, i, j) => j < n ? x.data[i * x.size + j] : row(x, i).slice(n).reduce((sum, share) => sum + share));
}

/** How dark a share of attention is: most shares are small, so their square roots are shown. @param {number} share
 * @param {number} largest */
function shade(share, largest) {
  return Math.min(Math.sqrt(share / largest), 1);
}

/** @param {Matrix} x @param {number} largest */
function picture(x, largest) {
  const canvas = element("canvas", {width: x.size, height: x.n}), context = canvas.getContext("2d");
  const [red, green, blue] = getComputedStyle(document.documentElement).getPropertyValue("--for").trim().split(" ").map(Number);
  const image = context.createImageData(x.size, x.n);
  x.data.forEach((share, i) => image.data.set([red, green, blue, 255 * shade(share, largest)], 4 * i));
  context.putImageData(image, 0, 0);
  return canvas;
}

/** One map as a table: by pointer, tap or arrow keys each number is told.
 * @param {Matrix} x @param {string[]} words @param {string[]} columns @param {number} largest */
function largeMap(x, words, columns, largest) {
  const table = part("map"), cells = /** @type {any[][]} */ ([]);
  const showFrom = () => fill("from", columns.map((name, j) => {
    const share = x.data[asked.from * x.size + j], isWord = j < words.length;
    const tap = isWord ? {onclick: () => point(j, j), pressed: j === asked.from} : {disabled: true};
    return word(name, tap, percent(share), shade(share, largest));
  }));
  const point = (i, j) => {
    cells[asked.from]?.[asked.to]?.classList.remove("here");
    asked.from = Math.max(0, Math.min(i, words.length - 1));
    asked.to = Math.max(0, Math.min(j, columns.length - 1));
    cells[asked.from][asked.to].classList.add("here");
    part("looks").textContent = `“${shown(words[asked.from])}” looks at “${shown(columns[asked.to])}”: ${percent(x.data[asked.from * x.size + asked.to])}`;
    showFrom();
  };
  const head = element("tr", {}, element("td"), ...columns.map(name => element("th", {scope: "col"}, shown(name))));
  const rows = words.map((name, i) => {
    cells[i] = columns.map((_, j) => element("td", {
      data: {share: shade(x.data[i * x.size + j], largest)}, onpointermove: () => point(i, j), onclick: () => point(i, j),
    }));
    return element("tr", {}, element("th", {scope: "row", dir: "auto"}, shown(name)), ...cells[i]);
  });
  table.replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
  const steps = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]};
  table.onkeydown = event => {
    if (!(event.key in steps)) return;
    event.preventDefault();
    point(asked.from + steps[event.key][0], asked.to + steps[event.key][1]);
  };
  point(asked.from, asked.to);
}

/** The largest difference between what this page computes and what PyTorch did, over the sentences in the file.
 * @param {Record<string, Trained>} models */
async function largestDifference({classifier, decoder}) {
  let largest = 0;
  const compare = (found, expected) => {
    largest = Math.max(largest, found.length === expected.length ? 0 : 1, ...found.map((share, i) => Math.abs(share - expected[i])));
  };
  const sameIds = (model, {text, ids}) => compare(model.tokenizer.read(text).ids, ids);
  for (const check of classifier.checks) {
    sameIds(classifier, check);
    compare(classify(classifier, check.ids.slice(0, classifier.config.block_size)), check.expected);
    await rest();
  }
  for (const check of decoder.checks) {
    const network = [], trigram = [];
    for await (const {shares, counted, id} of scored(decoder, check.ids)) {
      network.push(shares[id]);
      trigram.push(counted[id]);
    }
    sameIds(decoder, check);
    compare(network, check.expected[0]);
    compare(trigram, check.expected[1]);
  }
  return largest;
}

/** Show that the page computes what PyTorch does. @param {Record<string, Trained>} models */
async function prove(models) {
  const largest = await largestDifference(models), isRight = largest <= 1e-3, n = models.classifier.checks.length;
  part("proof").className = isRight ? "" : "wrong";
  part("proof").textContent = isRight
    ? `Yes: this page has just read ${n} sentences, and its probabilities are those that PyTorch computed for them, within ${largest.toExponential(0)}.`
    : `No: of ${n} sentences, a probability differs from PyTorch's by ${largest.toFixed(3)}. This browser reads or computes otherwise: do not trust the numbers above.`;
}

if (typeof document !== "undefined") {
  const {classifier, decoder, linear, quiz} = JSON.parse(part("contents").textContent);
  Promise.all([unpack(classifier), unpack(decoder), unpackLinear(linear)]).then(
    ([classifier, decoder, linear]) => start({classifier, decoder}, linear, quiz)).catch(
    error => { part("reading").textContent = `This browser cannot compute the page (${error}); take one of 2023 or newer.`; });
}
