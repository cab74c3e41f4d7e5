"use strict";
// Text to tokens to ids, as tokenizer.py does it: NLTK's words (Punkt's sentences first, then the words of each), subwords
// or characters. What is white space, a letter or the edge of a word in Python (and, in NLTK, in the package regex) is
// spelled out here, for JavaScript's \s, \w and \b know little of Unicode.

/** @typedef {{kind: "word" | "bpe" | "character", words: string[], merges?: [string, string][]}} Vocabulary */
/** @typedef {{words: string[], characters: Set<string>, read: (text: string) => {tokens: string[], ids: number[]}}} Tokenizer */

const PAD = 0, UNK = 1;
const SPACE = String.raw`[\s\x1c-\x1f\x85]`, SOLID = String.raw`[^\s\x1c-\x1f\x85]`;
const GAP = String.raw`\p{White_Space}`, VISIBLE = String.raw`\P{White_Space}`; // in NLTK
const LETTER = String.raw`[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200c\u200d]`; // in NLTK
const EDGE = ((letter) => `(?:(?<=${letter})(?!${letter})|(?<!${letter})(?=${letter}))`)(String.raw`[\p{L}\p{N}_]`);

const SIGNS = "\u2018\u2019\u201a\u2039\u203a\u201c\u201d\u201e\xab\xbb\u2026\u2012\u2013\u2014\u2015"; // that typists choose

/** A text as somebody typed it, written as the training files are (inference/texts.py): signs that stand in no token of
 * the vocabulary become plain ones. @param {string} text @param {Set<string>} characters of the vocabulary */
function uniformText(text, characters) {
  text = singleSpaced(text.replace(/\ufeff/g, "").normalize("NFC"));
  const lacking = Array.from(SIGNS).filter(sign => text.includes(sign) && !characters.has(sign)).join("");
  if (lacking) text = text.replace(RegExp(`\\p{Nd}?(?:[${lacking}]\\p{Nd}?)+`, "gu"), run => spacedDashes(straight(run)));
  return singleSpaced(text);
}

/** @param {string} text */
function singleSpaced(text) {
  return (text.match(RegExp(`${SOLID}+`, "gu")) ?? []).join(" ");
}

/** Straight quotation marks, and three dots for an ellipsis. @param {string} text */
function straight(text) {
  return text.replace(/[\u2018\u2019\u201a\u2039\u203a]/g, "'").replace(/[\u201c\u201d\u201e\xab\xbb]|''/g, '"').replace(/\u2026/g, "...");
}

/** " -- " for every dash, but a hyphen between figures. @param {string} text */
function spacedDashes(text) {
  return text.replace(/(?<=\p{Nd})\u2013(?=\p{Nd})/gu, "-").replace(/[-\u2012-\u2015]+/g, run => /[\u2012-\u2015]|--/.test(run) ? " -- " : run);
}

/** How typed text falls into tokens, and their numbers. @param {Vocabulary} vocabulary @returns {Tokenizer} */
function makeTokenizer({kind, words, merges = []}) {
  const split = kind === "word" ? splitWords : kind === "bpe" ? subwords(words, merges) : text => Array.from(withSpace(text));
  const number = new Map(words.map((word, id) => [word, id])), characters = new Set(words.flatMap(word => Array.from(word)));
  return {words, characters, read: text => {
    const tokens = split(uniformText(text, characters));
    return {tokens, ids: tokens.map(token => number.get(token) ?? UNK)};
  }};
}

/** A text as it stands after another; nothing if it is blank. @param {string} text */
function withSpace(text) {
  return RegExp(SOLID, "u").test(text) ? " " + text : "";
}

// ---------------------------------------------------------------------------------------------------- words (NLTK's)

// <unk>, </s> and @-@ of prepared corpora stay whole, as in tokenizer.py
const PREPARED = RegExp(String.raw`(?<!${SOLID})(?:</?(?!pad>)[a-zA-Z_]+>|@[\-,.:/]@)(?!${SOLID})|\ue000`, "gu");

/** The words of a text. @param {string} text */
function splitWords(text) {
  const prepared = text.match(PREPARED) ?? [];
  const words = sentences(text.replace(PREPARED, "\ue000")).flatMap(wordsOfSentence);
  return words.map(word => word.replace(/\ue000/g, () => prepared.shift() ?? ""));
}

const ABBREVIATIONS = new Set((
  "mr mrs ms dr prof rev hon jr sr st gov sen rep gen col maj capt lt sgt adm pres u.s u.n d.c u.s.a a.m p.m e.g i.e " +
  "vs etc inc ltd co corp jan feb mar apr jun jul aug sept oct nov dec"
).split(" "));
const QUOTES = "\u2018\u2019\u201c\u201d\xab\xbb";
const NON_WORD = String.raw`[)";}\]*:@'({\[${QUOTES}?!]`, MULTIPLE = String.raw`(?:-{2,}|\.{2,}|(?:\.${GAP}){2,}\.)`;
const PUNKT_WORD = RegExp(
  String.raw`${MULTIPLE}|(?=[^("\x60{\[:;&#*@)}\]\-,])${VISIBLE}+?` +
  `(?=${GAP}|$|${NON_WORD}|${MULTIPLE}|,(?=$|${GAP}|${NON_WORD}|${MULTIPLE}))|${VISIBLE}`, "gu");
const PERIOD = RegExp(`[.?!](?=(?<after>${NON_WORD}|${GAP}+(?<next>${VISIBLE}+)))`, "gu");
const CLOSING = RegExp(String.raw`["')\]}${QUOTES}]+?(?:${GAP}+|(?=--)|$)`, "muy");

/** The sentences of a text, as Punkt (Kiss and Strunk 2006) finds them with these abbreviations and nothing learned.
 * @param {string} text @returns {string[]} */
function sentences(text) {
  /** @type {[number, number][]} */
  const parts = [];
  let begin = 0;
  for (const {match, context} of possibleEnds(text)) {
    if (!hasBreak(context)) continue;
    const {after, next} = match.groups, end = match.index + 1;
    parts.push([begin, end]);
    begin = next ? end + after.length - next.length : end;
  }
  parts.push([begin, trimEnd(text).length]);
  const found = [];
  let moved = 0; // characters that close the sentence before
  parts.forEach(([start, end], i) => {
    CLOSING.lastIndex = 0;
    const closing = i + 1 < parts.length ? CLOSING.exec(text.slice(...parts[i + 1])) : null;
    found.push(text.slice(start + moved, closing ? parts[i + 1][0] + trimEnd(closing[0]).length : end));
    moved = closing ? closing[0].length : 0;
  });
  return found;
}

/** @param {string} text */
function trimEnd(text) {
  return text.replace(RegExp(`${SPACE}+$`, "u"), "");
}

/** Signs that may end a sentence, each with the word before and what comes after it. @param {string} text */
function* possibleEnds(text) {
  let previous = null, start = 0, stop = 0;
  const context = () => text.slice(start, stop) + previous[0] + previous.groups.after;
  for (const match of text.matchAll(PERIOD)) {
    const last = text.slice(stop, match.index).search(/[ \t\n\r\v\f][^ \t\n\r\v\f]*$/);
    const word = last > 0 ? stop + last + 1 : start;
    if (previous && stop <= word) yield {match: previous, context: context()};
    [previous, start, stop] = [match, word, match.index];
  }
  if (previous) yield {match: previous, context: context()};
}

/** Whether a sentence ends inside a few words. @param {string} context */
function hasBreak(context) {
  const tokens = context.split("\n").flatMap(line => line.match(PUNKT_WORD) ?? []);
  return tokens.slice(0, -1).some((token, i) => endsSentence(token, tokens[i + 1]));
}

/** @param {string} token @param {string} next */
function endsSentence(token, next) {
  if (token === "?" || token === "!" || token === ".") return true;
  if (!token.endsWith(".") || token.endsWith("..")) return false;
  const word = token.slice(0, -1).toLowerCase();
  if (ABBREVIATIONS.has(word) || ABBREVIATIONS.has(word.split("-").pop())) return false;
  const isInitial = /^[\p{Alphabetic}\p{M}\p{Pc}\u200c\u200d]\.$/u.test(token), isNumber = /^-?[.,]?\p{Nd}[\p{Nd},.-]*$/u.test(token);
  const goesOn = /^(?:[;:,.!?]$|\p{Lowercase})/u.test(next) || (isInitial && /^\p{Uppercase}/u.test(next));
  return !((isInitial || isNumber) && goesOn);
}

// NLTKWordTokenizer's substitutions, in its order
/** @type {[RegExp, string][]} */
const SUBSTITUTIONS = [
  [/([\xab\u201c\u2018\u201e]|`+)/gu, " $1 "],
  [/^"/gu, "``"],
  [/(``)/gu, " $1 "],
  [/([ (\[{<])("|'{2})/gu, "$1 `` "],
  [RegExp(`(?<!${LETTER})(')(?!(?:re|ve|ll|m|t|s|d|n)(?!${LETTER}))(?=${LETTER})`, "giu"), "$1 "],
  [RegExp(String.raw`([^.])(\.)([\])}>"' \xbb\u201d\u2019]*)${GAP}*$`, "gu"), "$1 $2 $3 "],
  [/([:,])(\P{Nd})/gu, " $1 $2"],
  [/([:,])$/gu, " $1 "],
  [/\.{2,}/gu, " $& "],
  [/[;@#$%&]/gu, " $& "],
  [/[\u2012-\u2015]/gu, " $& "],
  [RegExp(String.raw`([^.])(\.)([\])}>"']*)${GAP}*$`, "gu"), "$1 $2$3 "],
  [/[?!]/gu, " $& "],
  [/([^'])' /gu, "$1 ' "],
  [/[*]/gu, " $& "],
  [/[\]\[(){}<>]/gu, " $& "],
  [/--/gu, " -- "],
  [/^[^]*$/gu, " $& "],
  [/([\xbb\u201d\u2019])/gu, " $1 "],
  [/''/gu, " '' "],
  [/"/gu, " '' "],
  [RegExp(`${GAP}+`, "gu"), " "],
  [/([^' ])('[sS]|'[mM]|'[dD]|') /gu, "$1 $2 "],
  [/([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) /gu, "$1 $2 "],
  ...[["can", "not"], ["d", "'ye"], ["gim", "me"], ["gon", "na"], ["got", "ta"], ["lem", "me"], ["more", "'n"]].map(
    ([first, second]) => /** @type {[RegExp, string]} */ ([RegExp(`${EDGE}(${first})(${second})${EDGE}`, "giu"), " $1 $2 "])),
  [RegExp(`${EDGE}(wan)(na)(?=${SPACE})`, "giu"), " $1 $2 "],
  [RegExp(` ('t)(is)${EDGE}`, "giu"), " $1 $2 "],
  [RegExp(` ('t)(was)${EDGE}`, "giu"), " $1 $2 "],
];

/** @param {string} sentence */
function wordsOfSentence(sentence) {
  const spaced = SUBSTITUTIONS.reduce((text, [pattern, replacement]) => text.replace(pattern, replacement), sentence);
  return spaced.match(RegExp(`${SOLID}+`, "gu")) ?? [];
}

// ------------------------------------------------------------------------------------------ subwords (byte pairs)

const PIECES = RegExp(
  String.raw`['\u2019](?:[sdmt\u017f]|ll|ve|re)(?![\p{L}\p{M}])| ?[\p{L}\p{M}]{1,64}| ?\p{N}{1,64}` +
  String.raw`| ?[^\s\p{L}\p{M}\p{N}]{1,64}|\s{1,64}(?!\S)|\s{1,64}`, "giu");

/** The tokens of a text: its bytes, joined pair by pair in the order in which the pairs were learned.
 * @param {string[]} words @param {[string, string][]} merges @returns {(text: string) => string[]} */
function subwords(words, merges) {
  const isSeen = byte => (byte >= 0x21 && byte < 0x7f) || (byte >= 0xa1 && byte < 0x100 && byte !== 0xad);
  let others = 0; // a character for each byte, as in the merges of GPT-2
  const alphabet = Array.from({length: 256}, (_, byte) => String.fromCharCode(isSeen(byte) ? byte : 256 + others++));
  const number = new Map([...alphabet].sort().map((character, i) => [character, i + 2]));
  const rank = new Map(merges.map(([left, right], i) => [`${left} ${right}`, i]));
  for (const [left, right] of merges) if (!number.has(left + right)) number.set(left + right, number.size + 2);

  const merged = piece => {
    const parts = Array.from(new TextEncoder().encode(piece), byte => alphabet[byte]);
    for (;;) {
      const ranks = parts.slice(1).map((part, i) => rank.get(`${parts[i]} ${part}`) ?? Infinity), best = Math.min(...ranks);
      if (best === Infinity) return parts.map(part => words[number.get(part)]);
      const i = ranks.indexOf(best);
      parts.splice(i, 2, parts[i] + parts[i + 1]);
    }
  };
  return text => (withSpace(text).match(PIECES) ?? []).flatMap(merged);
}
