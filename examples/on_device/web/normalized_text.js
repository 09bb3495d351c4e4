/** BERT's normalizer, step by step as Hugging Face's BertNormalizer has them. */

import { DELETED, IDEOGRAPH, SPACE, STRIPPED } from "./character_table.js";

const BLANK = 0x20;
/** Below it, nothing decomposes and nothing is a mark. */
const FIRST_ACCENTED = 0xc0;

/** Code points, and first and last-plus-one UTF-16 unit, in the text, of what each one comes from. */
class NormalizedText {
  points = [];
  starts = [];
  ends = [];

  add(point, start, end) {
    this.points.push(point);
    this.starts.push(start);
    this.ends.push(end);
  }
}

/**
 * Normalizes the UTF-16 units `begin` to `end` of a text.
 *
 * @param {string} text
 * @param {number} begin
 * @param {number} end
 * @param {CharacterTable} table
 * @param {{lowercase: boolean, stripAccents: boolean, splitChinese: boolean}} options
 * @returns {NormalizedText}
 */
export function normalize(text, begin, end, table, { lowercase, stripAccents, splitChinese }) {
  const cleaned = clean(text, begin, end, table, splitChinese);
  const stripped = stripAccents ? withoutAccents(cleaned, table) : cleaned;
  return lowercase ? lowered(stripped, table) : stripped;
}

/** Drops control characters, makes every white space a space, and puts spaces around Chinese characters. */
function clean(text, begin, end, table, splitChinese) {
  const out = new NormalizedText();
  for (let at = begin, after; at < end; at = after) {
    const point = text.codePointAt(at);
    const flags = table.flags(point);
    after = at + (point > 0xffff ? 2 : 1);
    if (flags & DELETED) continue;
    if (flags & IDEOGRAPH && splitChinese) {
      out.add(BLANK, at, after);
      out.add(point, at, after);
      out.add(BLANK, at, after);
    } else {
      out.add(flags & SPACE ? BLANK : point, at, after);
    }
  }
  return out;
}

/** Decomposes every character, puts neighbouring marks into canonical order (NFD), and drops accents. */
function withoutAccents(text, table) {
  if (text.points.every((point) => point < FIRST_ACCENTED)) return text;
  const parts = [];
  for (const whole of text.points) {
    const values = table.decomposed(whole);
    if (values === undefined) {
      parts.push({ point: whole, order: table.order(whole), replaces: true });
    } else {
      values.forEach((point, index) => parts.push({ point, order: table.order(point), replaces: index === 0 }));
    }
  }
  for (let first = 0, last; first < parts.length; first = last) {
    last = first + 1;
    if (parts[first].order === 0) continue;
    while (last < parts.length && parts[last].order > 0) last++;
    const marks = parts.slice(first, last).sort((one, other) => one.order - other.order); // stable
    marks.forEach((mark, index) => (parts[first + index] = mark));
  }
  const out = new NormalizedText();
  let source = -1; // A decomposed character is replaced by the first of its parts, wherever that is now.
  for (const { point, replaces } of parts) {
    if (replaces) source++;
    if (!(table.flags(point) & STRIPPED)) out.add(point, text.starts[source], text.ends[source]);
  }
  return out;
}

function lowered(text, table) {
  const out = new NormalizedText();
  text.points.forEach((point, index) => {
    for (const value of table.lower(point) ?? [point]) out.add(value, text.starts[index], text.ends[index]);
  });
  return out;
}
