/**
 * BERT's tokenizer: text to the numbers of word pieces, with their places in the text.
 *
 * Ids, segments and places are those of Hugging Face tokenizers on the same vocabulary, for every text. Half a
 * surrogate pair, which is no character, is left out.
 */

import { PUNCTUATION } from "./character_table.js";
import { normalize } from "./normalized_text.js";

/** Words of more code points than this are unknown. */
const LONGEST_WORD = 100;
const CONTINUES = "##";
const BLANK = 0x20;

/**
 * A row of tokens, as a model takes it.
 *
 * @typedef {object} Encoding
 * @property {Int32Array} ids Number of each token; at the end that of [PAD].
 * @property {Int32Array} segmentIds 0 for tokens of the first text, 1 for those of the second, 0 for padding.
 * @property {Int32Array} mask 1 for a token, 0 for padding.
 * @property {Int32Array} starts First UTF-16 unit of each token in its own text; 0 for special tokens and padding.
 * @property {Int32Array} ends Last-plus-one UTF-16 unit of each token.
 */

/**
 * Tokens of a text, without special tokens around them.
 *
 * @typedef {{ids: number[], starts: number[], ends: number[]}} Tokens
 */

export class WordPieceTokenizer {
  #options;
  #unkId;
  #clsId;
  #sepId;
  #padId;
  /** Pieces that begin a word, those that go on with one, and special tokens. */
  #first = new Map();
  #rest = new Map();
  #special = new Map();
  #longestPiece = 0;

  /**
   * @param {string} vocabulary The content of vocab.txt: a token a line, the first one being number 0.
   * @param {CharacterTable} table
   * @param {object} [options] How the vocabulary was made; as they are, those of bert-base-uncased.
   * @param {boolean} [options.lowercase] Lower-case the text.
   * @param {boolean} [options.stripAccents] Drop accents; follows `lowercase` where it is left out, as in BERT.
   * @param {boolean} [options.splitChinese] Make each Chinese character a word.
   * @param {object} [options.specialTokens] Spellings that differ of `unk`, `cls`, `sep`, `pad` and `mask`.
   * @param {string[]} [options.extraTokens] More tokens of the vocabulary that are matched whole in a text.
   * @throws {Error} If the vocabulary repeats a token or lacks a special one.
   */
  constructor(vocabulary, table, options = {}) {
    const { lowercase = true, splitChinese = true, specialTokens = {}, extraTokens = [] } = options;
    const { unk = "[UNK]", cls = "[CLS]", sep = "[SEP]", pad = "[PAD]", mask = "[MASK]" } = specialTokens;
    this.table = table;
    this.#options = { lowercase, stripAccents: options.stripAccents ?? lowercase, splitChinese };
    const all = new Map();
    vocabulary.replace(/^\ufeff/, "").split("\n").forEach((line, id) => {
      const token = line.endsWith("\r") ? line.slice(0, -1) : line;
      if (!token) return;
      if (all.has(token)) throw new Error(`WordPieceTokenizer: the vocabulary has a token twice: ${token}`);
      all.set(token, id);
      const continues = token.startsWith(CONTINUES);
      const piece = continues ? token.slice(CONTINUES.length) : token;
      (continues ? this.#rest : this.#first).set(piece, id);
      this.#longestPiece = Math.max(this.#longestPiece, piece.length);
    });
    for (const token of [unk, cls, sep, pad, ...extraTokens]) {
      if (!all.has(token)) {
        throw new Error(
          `WordPieceTokenizer: the vocabulary lacks ${token}. Use the model's own vocab.txt, ` +
            "or name its special tokens in the options.",
        );
      }
      this.#special.set(token, all.get(token));
    }
    if (all.has(mask)) this.#special.set(mask, all.get(mask));
    [this.#unkId, this.#clsId, this.#sepId, this.#padId] = [unk, cls, sep, pad].map((token) => all.get(token));
  }

  /**
   * Encodes a text as [CLS] text [SEP], or two as [CLS] text [SEP] pair [SEP].
   *
   * @param {string} text
   * @param {object} options
   * @param {number} options.maxLength Tokens of the row at most, special ones included.
   * @param {string} [options.pair] The second text.
   * @param {"longest_first"|"only_first"|"only_second"} [options.truncation] Which text is cut.
   * @param {boolean} [options.pad] Whether the row is padded to `maxLength`.
   * @returns {Encoding}
   * @throws {Error} If `maxLength` has no room for the special tokens, or cutting as asked is not enough.
   */
  encode(text, { maxLength, pair, truncation = "longest_first", pad = true }) {
    const sides = (pair === undefined ? [text] : [text, pair]).map((side) => this.tokenize(side));
    const kept = keptLengths(sides.map(({ ids }) => ids.length), maxLength, truncation);
    const cut = sides.map((side, index) => slice(side, 0, kept[index]));
    const length = kept.reduce((sum, count) => sum + count + 1, 1);
    return this.frame(cut, pad ? maxLength : length);
  }

  /**
   * Puts special tokens around one text or two, and padding after them.
   *
   * @param {Tokens[]} sides
   * @param {number} length
   * @returns {Encoding}
   */
  frame(sides, length) {
    const [ids, segmentIds, mask, starts, ends] = Array.from({ length: 5 }, () => new Int32Array(length));
    ids.fill(this.#padId);
    ids[0] = this.#clsId;
    let at = 1;
    sides.forEach((side, index) => {
      const begin = at;
      ids.set(side.ids, at);
      starts.set(side.starts, at);
      ends.set(side.ends, at);
      at += side.ids.length;
      ids[at++] = this.#sepId;
      segmentIds.fill(index, begin, at);
    });
    mask.fill(1, 0, at);
    return { ids, segmentIds, mask, starts, ends };
  }

  /**
   * Cuts a text into tokens, all of them, without special tokens around them.
   *
   * @param {string} text
   * @returns {Tokens}
   */
  tokenize(text) {
    const tokens = { ids: [], starts: [], ends: [] };
    let begin = 0;
    for (let at = 0; at < text.length; ) {
      const found = this.#specialAt(text, at);
      if (found === undefined) {
        at++;
        continue;
      }
      for (const word of this.words(text, begin, at)) this.#addPieces(word, tokens);
      add(tokens, this.#special.get(found), at, at + found.length);
      begin = at += found.length;
    }
    for (const word of this.words(text, begin, text.length)) this.#addPieces(word, tokens);
    return tokens;
  }

  /** The longest special token that stands at a place. */
  #specialAt(text, at) {
    let found;
    for (const token of this.#special.keys()) {
      if (token.length > (found?.length ?? 0) && text.startsWith(token, at)) found = token;
    }
    return found;
  }

  /**
   * The words and punctuation marks, normalized, of a part of a text that has no special token.
   *
   * @param {string} text
   * @param {number} begin First UTF-16 unit.
   * @param {number} end Last-plus-one UTF-16 unit.
   * @returns {{normalized: object, first: number, end: number}[]} Code points `first` to `end` of a normalized text.
   */
  words(text, begin, end) {
    const normalized = normalize(text, begin, end, this.table, this.#options);
    const words = [];
    let first = 0;
    for (let at = 0; at <= normalized.points.length; at++) {
      const point = normalized.points[at] ?? BLANK;
      const alone = this.table.flags(point) & PUNCTUATION;
      if (!alone && point !== BLANK) continue;
      if (first < at) words.push({ normalized, first, end: at });
      if (alone) words.push({ normalized, first: at, end: at + 1 });
      first = at + 1;
    }
    return words;
  }

  /** Adds the longest piece that begins the word, then the longest that begins the rest of it, and so on. */
  #addPieces({ normalized: { points, starts, ends }, first, end }, tokens) {
    const before = tokens.ids.length;
    let known = end - first <= LONGEST_WORD;
    for (let from = first, to; known && from < end; from = to) {
      const pieces = from === first ? this.#first : this.#rest;
      let id;
      for (to = Math.min(end, from + this.#longestPiece); to > from; to--) {
        id = pieces.get(String.fromCodePoint(...points.slice(from, to)));
        if (id !== undefined) break;
      }
      known = id !== undefined;
      if (known) add(tokens, id, starts[from], ends[to - 1]);
    }
    if (!known) {
      for (const list of [tokens.ids, tokens.starts, tokens.ends]) list.length = before;
      add(tokens, this.#unkId, starts[first], ends[end - 1]);
    }
  }
}

/** Tokens `from` to `to` of a text. */
export function slice({ ids, starts, ends }, from, to) {
  return { ids: ids.slice(from, to), starts: starts.slice(from, to), ends: ends.slice(from, to) };
}

function add(tokens, id, start, end) {
  tokens.ids.push(id);
  tokens.starts.push(start);
  tokens.ends.push(end);
}

/** Tokens that each text keeps. */
function keptLengths(lengths, maxLength, truncation) {
  const budget = maxLength - lengths.length - 1;
  if (!(budget >= 0)) throw new Error(`encode: maxLength has no room for special tokens: ${maxLength}`);
  const [one, two = 0] = lengths;
  const excess = one + two - budget;
  if (excess <= 0) return lengths;
  if (budget === 0) return lengths.map(() => 0);
  if (truncation === "longest_first") {
    const shorter = Math.min(one, two, Math.floor(budget / 2));
    return one > two ? [budget - shorter, shorter] : [shorter, budget - shorter];
  }
  const shortened = ["only_first", "only_second"].indexOf(truncation);
  if (shortened < 0) throw new Error(`encode: there is no truncation "${truncation}". Use "longest_first".`);
  if (!(lengths[shortened] > excess)) {
    throw new Error(`encode: "${truncation}" cannot cut ${excess} tokens. Use "longest_first".`);
  }
  return lengths.map((length, index) => (index === shortened ? length - excess : length));
}
