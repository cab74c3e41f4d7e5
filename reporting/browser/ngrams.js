"use strict";
// Kneser-Ney n-grams, as evaluation/ngrams.py counted them.

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
