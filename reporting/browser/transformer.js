"use strict";
// Token ids -> vectors -> logits: transformer.py once more, in the same order and with the same names, in plain JavaScript
// for one text at a time. Nothing is trained here, so there is no dropout. Shapes at line ends use
//
//     T tokens    S tokens attended to (keys)    C n_embd    H heads    D = C / H    V vocabulary    K classes
//
// What PyTorch calls a hook point is here a call of `hook`: under its name, what passes can be read or replaced.

/** Rows of numbers, one after the other.
 * @typedef {{n: number, size: number, data: Float32Array}} Matrix  (n, size) */
/** modules/config.py has the meaning of every setting.
 * @typedef {{n_embd: number, n_head: number, n_layer: number, block_size: number, ff_dim: number, positions: string,
 *   alibi_slope_scale: number, window: number | null, norm: string, activation: string, layer_scale: number | null,
 *   pooling: string, head_dim: number, batch_norm: boolean, phrases: boolean, n_members: number, tied: boolean,
 *   ngram_share: number, voices: boolean}} Config */
/** @typedef {(x: Matrix, name: string, head: number) => Matrix} Hook */
/** @typedef {{config: Config, weights: Record<string, Matrix>, lower?: Matrix, pairs?: Matrix}} Model */
/** What all attention layers share: of each head what is added to its scores (T, S), and the angles (T, D / 2) by which
 * queries and keys turn.
 * @typedef {{model: Model, bias: Matrix[], angles: Matrix | null, hook: Hook}} Context */

// ---------------------------------------------------------------------------------------------------------- arithmetic

/** @param {number} n @param {number} size @returns {Matrix} */
function zeros(n, size) {
  return {n, size, data: new Float32Array(n * size)};
}

/** @param {Matrix} x @param {number} i */
function row(x, i) {
  return x.data.subarray(i * x.size, (i + 1) * x.size);
}

/** A matrix of the same shape, each number made from that of x, its row and its column.
 * @param {Matrix} x @param {(value: number, i: number, j: number) => number} make */
function map(x, make) {
  const result = zeros(x.n, x.size);
  for (let i = 0, k = 0; i < x.n; i++) for (let j = 0; j < x.size; j++, k++) result.data[k] = make(x.data[k], i, j);
  return result;
}

/** @param {Matrix} x @param {Matrix} y */
function add(x, y) {
  return map(x, (value, i, j) => value + y.data[i * y.size + j]);
}

/** Some columns of x. @param {Matrix} x (n, size) @param {number} start @param {number} size */
function columns(x, start, size) {
  return map(zeros(x.n, size), (_, i, j) => x.data[i * x.size + start + j]);
}

/** x weight^T + bias. @param {Matrix} x (n, in) @param {Matrix} weight (out, in) @param {Matrix} [bias] (1, out) */
function linear(x, weight, bias) {
  const result = zeros(x.n, weight.n), size = x.size; // (n, out)
  for (let i = 0; i < x.n; i++) {
    for (let j = 0; j < weight.n; j++) {
      let sum = bias ? bias.data[j] : 0;
      for (let k = 0; k < size; k++) sum += x.data[i * size + k] * weight.data[j * size + k];
      result.data[i * weight.n + j] = sum;
    }
  }
  return result;
}

/** @param {ArrayLike<number>} values @returns {number[]} */
function softmax(values) {
  let largest = -Infinity, sum = 0;
  for (let j = 0; j < values.length; j++) largest = Math.max(largest, values[j]);
  const shares = Array.from(values, value => Math.exp(value - largest));
  for (const share of shares) sum += share;
  return shares.map(share => share / sum);
}

/** The error function, within 1.5e-7 (Abramowitz and Stegun 1964, 7.1.26). @param {number} x */
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const sum = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - sum * Math.exp(-x * x));
}

// ----------------------------------------------------------------------------------------------------------- attention

/** Multi-head self-attention: softmax(q k^T / sqrt(D) + bias) v.
 * @param {Matrix} x (T, C) @param {string} path of its weights @param {Context} context @returns {Matrix} (T, C) */
function selfAttention(x, path, context) {
  const {config, weights} = context.model, size = config.n_embd / config.n_head; // D
  const qkv = linear(x, weights[`${path}.qkv.weight`]); // (T, 3 C)
  const joined = zeros(x.n, config.n_embd); // (T, C)
  for (let head = 0; head < config.n_head; head++) {
    let [q, k, v] = [0, 1, 2].map(part => columns(qkv, part * config.n_embd + head * size, size)); // each (T, D)
    if (context.angles) [q, k] = [rotate(q, context.angles), rotate(k, context.angles)];
    const bias = context.bias[head]; // (T, S)
    const scores = map(linear(q, k), (score, i, j) => score / Math.sqrt(size) + bias.data[i * bias.size + j]); // (T, S)
    let shares = zeros(x.n, x.n); // (T, S)
    for (let i = 0; i < x.n; i++) shares.data.set(softmax(row(scores, i)), i * x.n);
    shares = context.hook(shares, `${path}.weights`, head);
    const read = zeros(x.n, size); // (T, D)
    for (let i = 0; i < x.n; i++) {
      for (let j = 0; j < x.n; j++) {
        const share = shares.data[i * x.n + j];
        for (let d = 0; share && d < size; d++) read.data[i * size + d] += share * v.data[j * size + d];
      }
    }
    const output = context.hook(read, `${path}.heads`, head);
    for (let i = 0; i < x.n; i++) joined.data.set(row(output, i), i * joined.size + head * size);
  }
  return linear(joined, weights[`${path}.projection.weight`], weights[`${path}.projection.bias`]); // (T, C)
}

// ----------------------------------------------------------------------------------------------------------- positions

/** How a model knows where a token stands: vectors to add, angles by which queries and keys turn, or a bias on the
 * scores; what a method does not give stays away.
 * @typedef {{embeddingScale?: number, nPositions?: number, vector?: (position: number, channel: number) => number,
 *   angle?: (position: number, pair: number) => number, bias?: (head: number, distance: number) => number}} Positions */

/** The position method that the configuration names.
 * @param {Config} config @param {Matrix | undefined} table (positions, C) or (buckets, H) @param {boolean} causal
 * @returns {Positions} */
function positionMethod(config, table, causal) {
  const size = config.n_embd / config.n_head; // D
  switch (config.positions) {
    case "learned":
      return {nPositions: table.n, vector: (position, channel) => table.data[position * table.size + channel]};
    case "sinusoidal": {
      const wave = [Math.sin, Math.cos];
      const vector = (position, channel) => wave[channel % 2](angle(position, channel >> 1, config.n_embd));
      return {embeddingScale: Math.sqrt(config.n_embd), vector};
    }
    case "rope":
      return {angle: (position, pair) => angle(position, pair, size)};
    case "alibi": {
      const slopes = alibiSlopes(config.n_head);
      return {bias: (head, distance) => -config.alibi_slope_scale * slopes[head] * Math.abs(distance)};
    }
    case "t5":
      return {bias: (head, distance) => table.data[bucket(distance, !causal) * table.size + head]};
    default:
      return {};
  }
}

/** position / 10000^(2 pair / size). @param {number} position @param {number} pair @param {number} size */
function angle(position, pair, size) {
  return position * 10000 ** (-2 * pair / size);
}

/** Turn each pair (x[i], x[i + D/2]) of x by its angle. @param {Matrix} x (T, D) @param {Matrix} angles (T, D / 2) */
function rotate(x, angles) {
  const half = angles.size;
  return map(x, (value, i, j) => {
    const by = angles.data[i * half + j % half], other = x.data[i * x.size + (j + half) % x.size];
    return value * Math.cos(by) + (j < half ? -other : other) * Math.sin(by);
  });
}

/** Slope of head h = 1 .. n: 2^(-8h/n); the authors' interpolation for n that is no power of two.
 * @param {number} nHead @returns {number[]} */
function alibiSlopes(nHead) {
  const power = 2 ** Math.floor(Math.log2(nHead)), slopes = [];
  for (let h = 1; h <= power; h++) slopes.push(2 ** (-8 * h / power));
  for (let h = 1; h < 2 * (nHead - power); h += 2) slopes.push(2 ** (-4 * h / power));
  return slopes;
}

/** T5's bucket of a distance: half of them hold one distance each, the others grow logarithmically up to 128 tokens.
 * @param {number} distance @param {boolean} bidirectional */
function bucket(distance, bidirectional) {
  const nBuckets = bidirectional ? 16 : 32, exact = nBuckets / 2;
  const offset = bidirectional && distance > 0 ? nBuckets : 0;
  const behind = bidirectional ? Math.abs(distance) : Math.max(-distance, 0);
  if (behind < exact) return offset + behind;
  const growth = Math.fround(Math.fround(Math.log(behind / exact)) / Math.fround(Math.log(128 / exact))); // as float32
  return offset + Math.min(exact + Math.trunc(Math.fround(growth * (nBuckets - exact))), nBuckets - 1);
}

// -------------------------------------------------------------------------------------------------------- block, trunk

/** Attention and a feed-forward network, each on a residual branch, with the norm after ("post") or before it ("pre").
 * @param {Matrix} x (T, C) @param {string} path @param {Context} context @returns {Matrix} (T, C) */
function block(x, path, context) {
  const {config, weights} = context.model;
  const branch = (x, number, sublayer) => {
    const norm = x => layerNorm(x, `${path}.norm${number}`, context.model);
    const scale = weights[`${path}.branch${number}.scale`]; // (1, C)
    const scaled = update => scale ? map(update, (value, _, j) => value * scale.data[j]) : update;
    return config.norm === "post" ? norm(add(x, scaled(sublayer(x)))) : add(x, scaled(sublayer(norm(x))));
  };
  x = branch(x, 1, x => selfAttention(x, `${path}.attention`, context));
  return config.ff_dim ? branch(x, 2, x => feedForward(x, `${path}.feed_forward`, context.model)) : x;
}

/** @param {Matrix} x (T, C) @param {string} path @param {Model} model @returns {Matrix} (T, C) */
function feedForward(x, path, {config, weights}) {
  const relu = value => Math.max(value, 0), gelu = value => 0.5 * value * (1 + erf(value / Math.SQRT2));
  const hidden = linear(x, weights[`${path}.0.weight`], weights[`${path}.0.bias`]); // (T, ff_dim)
  return linear(map(hidden, config.activation === "relu" ? relu : gelu), weights[`${path}.3.weight`], weights[`${path}.3.bias`]);
}

/** Layer norm over the channels, or nothing where there are no weights of this name.
 * @param {Matrix} x (T, C) @param {string} path @param {Model} model @returns {Matrix} (T, C) */
function layerNorm(x, path, {weights}) {
  const weight = weights[`${path}.weight`], bias = weights[`${path}.bias`]; // (1, C)
  if (!weight) return x;
  const result = zeros(x.n, x.size);
  for (let i = 0; i < x.n; i++) {
    const values = row(x, i);
    let mean = 0, variance = 0;
    for (const value of values) mean += value / x.size;
    for (const value of values) variance += (value - mean) ** 2 / x.size;
    const spread = Math.sqrt(variance + 1e-5);
    for (let j = 0; j < x.size; j++) result.data[i * x.size + j] = (values[j] - mean) / spread * weight.data[j] + bias.data[j];
  }
  return result;
}

const MASKED = -1.7e38; // finite: a row that may attend to nothing is uniform, not NaN

/** Word vectors, positions and a stack of blocks: the vectors (T, C) after the last block.
 * @param {Matrix} tokens (T, C) their vectors @param {string} path @param {Model} model @param {boolean} causal
 * @param {number} length tokens that are not padding @param {Hook} hook @returns {Matrix} */
function read(tokens, path, model, causal, length, hook) {
  const {config, weights} = model, positions = positionMethod(config, weights[`${path}positions.table.weight`], causal);
  const {embeddingScale = 1, vector = () => 0} = positions;
  let x = map(tokens, (value, i, j) => value * embeddingScale + vector(i, j)); // (T, C)
  const angles = positions.angle ? map(zeros(x.n, config.n_embd / config.n_head / 2), (_, i, j) => positions.angle(i, j)) : null;
  const bias = [];
  for (let head = 0; head < config.n_head; head++) bias.push(attentionBias(head, x.n, length, config, positions, causal));
  for (let i = 0; i < config.n_layer; i++) x = block(x, `${path}blocks.${i}`, {model, bias, angles, hook});
  return layerNorm(x, `${path}final_norm`, model);
}

/** What is added to the scores of a head: the position method's bias, or MASKED where a token may not see another (the
 * future if causal, past the window, padding). @param {number} head @param {number} n @param {number} length
 * @param {Config} config @param {Positions} positions @param {boolean} causal @returns {Matrix} (T, S) */
function attentionBias(head, n, length, config, positions, causal) {
  return map(zeros(n, n), (_, i, j) => {
    const distance = j - i, isFar = config.window !== null && Math.abs(distance) > config.window;
    if ((causal && distance > 0) || isFar || j >= length) return MASKED;
    return positions.bias ? positions.bias(head, distance) : 0;
  });
}

/** @param {Matrix} table (V, C) @param {number[]} ids @returns {Matrix} (T, C) */
function embedding(table, ids) {
  return map(zeros(ids.length, table.size), (_, i, j) => table.data[ids[i] * table.size + j]);
}

// ---------------------------------------------------------------------------------------------------------- classifier

/** The probability of each class for a text: of several members the mean.
 * @param {Model} model @param {number[]} ids at least one, at most a block @param {Hook} [hook] @returns {number[]} (K,) */
function classify(model, ids, hook = x => x) {
  const {config, weights} = model, temperature = weights.temperature.data[0];
  if (config.n_members === 1) return softmax(classifier(model, "", ids, hook).map(logit => logit / temperature));
  const votes = Array.from({length: config.n_members}, (_, i) => softmax(classifier(model, `members.${i}.`, ids, hook)));
  const mean = votes[0].map((_, label) => votes.reduce((sum, shares) => sum + shares[label], 0) / votes.length);
  return softmax(mean.map(share => Math.log(share) / temperature));
}

/** An encoder, a pooling of its vectors, and a head of two linear layers or one: logits.
 * @param {Model} model @param {string} path @param {number[]} ids @param {Hook} hook @returns {number[]} (K,) */
function classifier(model, path, ids, hook) {
  const {config, weights} = model, isPadded = config.pooling === "mean", length = ids.length;
  const padded = isPadded ? [...ids, ...Array(config.block_size - length).fill(0)] : ids; // (T,)
  const vectors = embedding(weights[`${path}encoder.embedding.weight`], padded);
  const tokens = config.phrases ? add(vectors, phrases(model, path, padded)) : vectors; // (T, C)
  const hidden = read(tokens, `${path}encoder.`, model, false, padded.length, hook); // (T, C)
  const pooled = pool(hidden, config.pooling === "mean-max"); // (1, C) or (1, 2 C)
  const last = config.head_dim ? "4" : "1";
  let x = pooled;
  if (config.head_dim) {
    x = linear(x, weights[`${path}head.0.weight`], weights[`${path}head.0.bias`]); // (1, head_dim)
    if (config.batch_norm) x = batchNorm(x, `${path}head.1`, weights);
    x = map(x, value => Math.max(value, 0));
  }
  return Array.from(linear(x, weights[`${path}head.${last}.weight`], weights[`${path}head.${last}.bias`]).data);
}

/** The mean of the vectors, and beside it their largest value in each channel.
 * @param {Matrix} hidden (T, C) @param {boolean} withLargest @returns {Matrix} (1, C) or (1, 2 C) */
function pool(hidden, withLargest) {
  const size = hidden.size, pooled = zeros(1, withLargest ? 2 * size : size);
  pooled.data.fill(-Infinity, size);
  for (let i = 0; i < hidden.n; i++) {
    row(hidden, i).forEach((value, j) => {
      pooled.data[j] += value / hidden.n;
      if (withLargest) pooled.data[size + j] = Math.max(pooled.data[size + j], value);
    });
  }
  return pooled;
}

/** @param {Matrix} x (1, head_dim) @param {string} path @param {Record<string, Matrix>} weights @returns {Matrix} */
function batchNorm(x, path, weights) {
  const [weight, bias, mean, variance] = ["weight", "bias", "running_mean", "running_var"].map(name => weights[`${path}.${name}`].data);
  return map(x, (value, _, j) => (value - mean[j]) / Math.sqrt(variance[j] + 1e-5) * weight[j] + bias[j]);
}

/** The vectors of the pairs that words are with their left neighbours; of pairs that training lacks, nothing.
 * @param {Model} model @param {string} path @param {number[]} ids @returns {Matrix} (T, C) */
function phrases({weights, lower, pairs}, path, ids) {
  const table = weights[`${path}encoder.embedding.phrases.weight`], nForms = Math.max(...lower.data) + 1;
  const rows = ids.map((id, i) => pairs.data.indexOf((i ? lower.data[ids[i - 1]] : 0) * nForms + lower.data[id]));
  return map(zeros(ids.length, table.size), (_, i, j) => rows[i] < 0 ? 0 : table.data[rows[i] * table.size + j]);
}

// ------------------------------------------------------------------------------------------------------------- decoder

/** The logits of the next token, after each of some ids, as one speaker says them; 0 is nobody in particular.
 * @param {Model} model @param {number[]} ids @param {{speaker?: number, hook?: Hook, onlyLast?: boolean}} [options]
 * @returns {Matrix} (T, V), or (1, V) if only the last is asked for */
function decoder(model, ids, {speaker = 0, hook = x => x, onlyLast = false} = {}) {
  const {config, weights} = model, words = weights["embedding.weight"]; // (V, C)
  let tokens = embedding(words, ids), bias = weights["head.bias"]; // (T, C), (1, V)
  if (config.voices) {
    const voice = row(weights["voices.vectors.weight"], speaker), biases = row(weights["voices.biases"], speaker);
    tokens = map(tokens, (value, _, j) => value + voice[j]);
    bias = map(bias, (value, _, j) => value + biases[j]);
  }
  const hidden = read(tokens, "", model, true, ids.length, hook); // (T, C)
  const kept = onlyLast ? {n: 1, size: hidden.size, data: row(hidden, hidden.n - 1)} : hidden;
  return linear(kept, config.tied ? words : weights["head.weight"], bias); // (T, V)
}
