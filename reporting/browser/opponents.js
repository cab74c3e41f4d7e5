"use strict";
// Models that only count words: Kneser-Ney n-grams, as evaluation/ngrams.py counted them, and the linear models over words
// and pairs of words of evaluation/baselines.py.

/** The k-grams of one order k: those of a context (the (k-1)-gram of this number) stand from starts[context] on.
 * @typedef {{starts: Int32Array, words: Int32Array, share: Float32Array, backoff: Float32Array}} Level */
/** @typedef {{base: Float32Array, levels: Level[]}} Ngrams */

/** P of every word after a context: (V,). @param {Ngrams} ngrams @param {number[]} context ids @returns {Float64Array} */
function nextWord({base, levels}, context) {
  const shares = Float64Array.from(base);
  levels.forEach((level, k) => { // the last k words are the context
    const number = k > context.length ? -1 : find(levels, context.slice(context.length - k));
    if (number < 0) return;
    for (let word = 0; word < shares.length; word++) shares[word] *= level.backoff[number];
    for (let gram = level.starts[number]; gram < level.starts[number + 1]; gram++) shares[level.words[gram]] += level.share[gram];
  });
  return shares;
}

/** The number of a k-gram among those of its order; -1 where it was never seen. @param {Level[]} levels
 * @param {number[]} words */
function find(levels, words) {
  return words.reduce((number, word, k) => {
    const {starts, words: known} = levels[k];
    return number < 0 ? -1 : search(known, word, starts[number], starts[number + 1]);
  }, 0);
}

/** Where a value stands in a sorted part of an array; -1 where it does not. @param {Int32Array} array
 * @param {number} value @param {number} start @param {number} end */
function search(array, value, start, end) {
  while (start < end) {
    const middle = (start + end) >> 1;
    if (array[middle] === value) return middle;
    if (array[middle] < value) start = middle + 1;
    else end = middle;
  }
  return -1;
}

/** Words, and pairs of words after each of them; a feature's number is that of the word or, after those, of the pair. How
 * rare each is (idf), and of each model the weights of the features and a bias for each class.
 * @typedef {{words: Map<string, number>, starts: Int32Array, seconds: Int32Array, idf: Float32Array,
 *   models: {name: string, weights: Matrix, bias: Float32Array}[]}} Linear */

const SPACELESS = ["Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar"].map(name => `\\p{Script=${name}}`).join("");
const WORD_OR_SIGN = RegExp(
  String.raw`(?!\p{M})[${SPACELESS}]\p{M}*|(?:(?![${SPACELESS}])[\p{L}\p{M}\p{N}_])+|\P{White_Space}`, "gu");

/** TF-IDF of a text, of length 1, by number of the feature. @param {Linear} linear @param {string} text */
function features({words, starts, seconds, idf}, text) {
  const numbers = (text.toLowerCase().match(WORD_OR_SIGN) ?? []).map(word => words.get(word) ?? -1);
  const pairs = numbers.slice(1).map((second, i) => {
    const pair = numbers[i] < 0 ? -1 : search(seconds, second, starts[numbers[i]], starts[numbers[i] + 1]);
    return pair < 0 ? -1 : words.size + pair;
  });
  /** @type {Map<number, number>} */
  const values = new Map();
  for (const number of [...numbers, ...pairs]) if (number >= 0) values.set(number, (values.get(number) ?? 0) + 1);
  let squares = 0;
  for (const [number, count] of values) {
    const value = (1 + Math.log(count)) * idf[number];
    values.set(number, value);
    squares += value ** 2;
  }
  for (const [number, value] of values) values.set(number, value / Math.sqrt(squares));
  return values;
}

/** The class that each linear model names, by its number. @param {Linear} linear @param {string} text */
function opponents(linear, text) {
  const values = features(linear, text);
  return linear.models.map(({name, weights, bias}) => {
    const scores = Array.from(bias, (score, label) => {
      for (const [number, value] of values) score += value * weights.data[label * weights.size + number];
      return score;
    });
    return {name, label: scores.indexOf(Math.max(...scores))};
  });
}
