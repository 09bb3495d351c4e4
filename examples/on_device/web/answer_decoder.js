/** What a model says of each token of a context, as the answer to a question. */

import { MARK } from "./character_table.js";

/** Spans that the answer is chosen from, and that share its probability. */
const CANDIDATES = 20;
const JOINER = 0x200d, FIRST_SKIN = 0x1f3fb, LAST_SKIN = 0x1f3ff;

/**
 * Reads the answer off the output of a model.
 *
 * @param {Windows} windows The context and its question, as they went into the model.
 * @param {ArrayLike<number>[]} starts Logits of the first token, of each row of the windows, of each place.
 * @param {ArrayLike<number>[]} ends Logits of the last token.
 * @param {object} [options]
 * @param {number} [options.longest] Tokens of an answer at most.
 * @param {number|null} [options.nullThreshold] No answer is given where the logits speak for none by more than this;
 *   null always gives one.
 * @returns {{text: string, start: number|null, end: number|null, score: number}[]} The candidates, the answer itself
 *   first, then the others by their score, which is a probability. Places are UTF-16 units of the context. No answer
 *   has an empty text and no places.
 */
export function decodeAnswers(windows, starts, ends, { longest = 30, nullThreshold = null } = {}) {
  const { text, ofText } = windows;
  const candidates = windows.tokens.flatMap((tokens, row) => best(tokens, starts[row], ends[row], longest));
  candidates.sort((one, other) => other.logit - one.logit);
  const unique = new Map(); // several windows may have the same span
  for (const one of candidates) {
    const key = `${one.first} ${one.last}`;
    if (unique.size < CANDIDATES && !unique.has(key)) unique.set(key, one);
  }
  const answers = [...unique.values()].map(({ logit, first, last }) => {
    const [start, end] = wholeCharacters(windows, ofText.starts[first], ofText.ends[last]);
    return { text: text.slice(start, end), start, end, logit };
  });
  const nullLogit = Math.min(...starts.map((ofRow, row) => Math.fround(ofRow[0] + ends[row][0]))); // at [CLS]
  const none = !answers.length || (nullThreshold !== null && nullLogit - answers[0].logit > nullThreshold);
  if (none || nullThreshold !== null) {
    answers.push({ text: "", start: null, end: null, logit: nullLogit });
    answers.sort((one, other) => other.logit - one.logit);
  }
  const weights = answers.map(({ logit }) => Math.exp(logit - answers[0].logit));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  const scored = answers.map(({ logit, ...answer }, index) => ({ ...answer, score: weights[index] / sum }));
  const chosen = scored.find(({ start }) => (start === null) === none);
  return [chosen, ...scored.filter((answer) => answer !== chosen)];
}

/** The spans of one row with the highest sums, the highest first. */
function best(tokens, starts, ends, longest) {
  const found = [];
  for (let first = 0; first < tokens.length; first++) {
    for (let last = first; last < Math.min(first + longest, tokens.length); last++) {
      if (tokens[first] < 0 || tokens[last] < 0) continue;
      const logit = Math.fround(starts[first] + ends[last]);
      if (found.length === CANDIDATES && logit <= found[CANDIDATES - 1].logit) continue;
      let at = found.length;
      while (at > 0 && found[at - 1].logit < logit) at--;
      found.splice(at, 0, { logit, first: tokens[first], last: tokens[last] });
      found.length = Math.min(found.length, CANDIDATES);
    }
  }
  return found;
}

/** Widens a span so that it ends in no reader's character: an accent, an emoji's colour. */
function wholeCharacters(windows, start, end) {
  const { text } = windows;
  while (start > 0 && start < text.length && isInside(windows, start)) start -= sizeBefore(text, start);
  while (end > 0 && end < text.length && isInside(windows, end)) end += text.codePointAt(end) > 0xffff ? 2 : 1;
  return [start, end];
}

/** Whether the text before and after a place is one character to its reader. */
function isInside({ text, table }, at) {
  const point = text.codePointAt(at);
  const extendsIt = point === JOINER || (point >= FIRST_SKIN && point <= LAST_SKIN) || table.flags(point) & MARK;
  return Boolean(extendsIt) || text.charCodeAt(at - 1) === JOINER;
}

function sizeBefore(text, at) {
  return at > 1 && text.codePointAt(at - 2) > 0xffff ? 2 : 1;
}
