/**
 * What a model says of each token, as spans of a text: names, places, slots.
 *
 * The first token of each word speaks for the word. Tags may be of the schemes IO, IOB1, BIO and BIOES, and are read
 * as conlleval reads them.
 */

import { ALONE, ATTACHED, MARK, RUN } from "./character_table.js";
import { bestPlaces } from "./windows.js";

/** The tag of a word that is in no span. */
const OUTSIDE = "O";
/** How prefixes are spelled, and what they are in BIOES; the last four are those of BILOU and BMES. */
const PREFIXES = { B: "B", I: "I", E: "E", S: "S", M: "I", L: "E", U: "S", W: "S" };

/**
 * A part of a text and what it is.
 *
 * @typedef {object} Span
 * @property {number} start First UTF-16 unit.
 * @property {number} end Last-plus-one UTF-16 unit.
 * @property {string} label
 * @property {number} score Mean probability of the tags of its words; NaN where a conditional random field chose them.
 */

/**
 * Reads the spans off the output of a model.
 *
 * @param {Windows} windows The text, as it went into the model.
 * @param {ArrayLike<number>[]} outputs Of each row of the windows, of each place, of each label: probabilities or
 *   logits, flat.
 * @param {string[]} labels The tags, in the order of the outputs.
 * @param {object} [options]
 * @param {boolean} [options.areLogits] Whether the outputs are logits.
 * @returns {Span[]} In the order of the text.
 */
export function decodeTags(windows, outputs, labels, { areLogits = false } = {}) {
  const places = bestPlaces(windows);
  const tags = splitTags(labels);
  const words = joinedWords(windows).map(({ start, end, token }) => {
    const { row, place } = places[token];
    const output = Array.from(outputs[row].slice(place * labels.length, (place + 1) * labels.length));
    const best = output.indexOf(Math.max(...output));
    const certainty = areLogits
      ? 1 / output.reduce((total, logit) => total + Math.exp(logit - output[best]), 0)
      : output[best];
    return { start, end, tag: tags[best], certainty };
  });
  return spansOf(words);
}

/**
 * Reads the spans off the tags that a model with a conditional random field gives.
 *
 * @param {Windows} windows The text, as it went into the model together with `wordMask`.
 * @param {ArrayLike<number>[]} chosen Of each row of the windows, of each place: the number of its tag.
 * @param {string[]} labels The tags by number.
 * @returns {Span[]} In the order of the text.
 */
export function decodeChosenTags(windows, chosen, labels) {
  const places = bestPlaces(windows);
  const tags = splitTags(labels);
  const tagOf = ({ row, place }) => tags[chosen[row][place]];
  return spansOf(
    joinedWords(windows).map(({ start, end, token }) => ({ start, end, tag: tagOf(places[token]), certainty: NaN })),
  );
}

/**
 * What a model with a conditional random field takes beside the tokens: 1 at the first token of each word.
 *
 * A word that several rows have is marked where it has the most context.
 *
 * @param {Windows} windows
 * @returns {Int32Array[]} One for each row.
 */
export function wordMask(windows) {
  const mask = windows.tokens.map((tokens) => new Int32Array(tokens.length));
  const places = bestPlaces(windows);
  for (const { token } of joinedWords(windows)) {
    mask[places[token].row][places[token].place] = 1;
  }
  return mask;
}

/** The spans that tags of words mean. */
function spansOf(words) {
  const spans = [];
  let begin = -1, label = "", before = OUTSIDE, sum = 0;
  for (let index = 0; index <= words.length; index++) {
    const [prefix, found] = words[index]?.tag ?? [OUTSIDE, ""];
    const goesOn = "IE".includes(prefix) && "BI".includes(before) && found === label;
    if (begin >= 0 && !goesOn) {
      spans.push({ start: words[begin].start, end: words[index - 1].end, label, score: sum / (index - begin) });
      begin = -1;
    }
    if (prefix !== OUTSIDE && !goesOn) {
      begin = index;
      sum = 0;
    }
    sum += words[index]?.certainty ?? 0;
    [before, label] = [prefix, found];
  }
  return spans;
}

/** Of each of the tags of a model the prefix, spelled as BIOES has it, and its label. */
function splitTags(tags) {
  const hasPrefix = (tag) => tag === OUTSIDE || Object.hasOwn(PREFIXES, tag.split("-", 1)[0]);
  const plain = !tags.every(hasPrefix); // the plainest form of IO, where "M" is a label too
  return tags.map((tag) => {
    if (tag === OUTSIDE) return [OUTSIDE, ""];
    const dash = tag.indexOf("-");
    if (!hasPrefix(tag) || (plain && dash < 0)) return ["I", tag];
    return [PREFIXES[tag[0]], (dash < 0 ? "" : tag.slice(dash + 1)) || "_"];
  });
}

/** Each word that has a token, with the first one; words that share it are one. */
function joinedWords({ text, table, ofText: { starts, ends } }) {
  const joined = [];
  let at = 0, before = -1;
  for (const { start, end } of findWords(text, table)) {
    // Tokens of nothing, and those that end before the word.
    while (at < starts.length && (starts[at] >= ends[at] || ends[at] <= start)) at++;
    if (at === starts.length || starts[at] >= end) continue; // the normalizer leaves nothing of it
    if (at === before) joined[joined.length - 1].end = end;
    else joined.push({ start, end, token: at });
    before = at;
  }
  return joined;
}

/**
 * Finds the words of a text, by a rule that no tokenizer has a say in.
 *
 * A word is a run of letters and digits. Punctuation, symbols and the letters of scripts without spaces are words
 * alone; accents and other marks belong to the character before them, and so do characters without a form, where more
 * of the word comes after them.
 *
 * @param {string} text
 * @param {CharacterTable} table
 * @returns {{start: number, end: number}[]} First and last-plus-one UTF-16 unit of each.
 */
export function findWords(text, table) {
  const words = [];
  let open, inRun = false; // inRun: whether the last character that is not attached to another goes on a run
  for (let at = 0, after; at < text.length; at = after) {
    const point = text.codePointAt(at);
    const flags = table.flags(point);
    after = at + (point > 0xffff ? 2 : 1);
    if (!(flags & (RUN | ALONE | ATTACHED))) {
      open = undefined;
    } else if (flags & ALONE || (flags & RUN && !inRun) || (flags & ATTACHED && !open)) {
      open = { start: at, end: after };
      words.push(open);
    } else if (flags & (RUN | MARK) || point >= 0xe0000) {
      open.end = after;
    }
    inRun = flags & ATTACHED ? inRun : Boolean(flags & RUN);
  }
  return words;
}
