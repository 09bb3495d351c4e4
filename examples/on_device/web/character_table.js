/**
 * What each code point is to BERT's tokenizer, read from character_table.txt.
 *
 * The table stands in for the Unicode version of the browser, so that every device gives the same ids.
 */

/** Left out by the normalizer: control characters, unassigned and private code points, U+FFFD. */
export const DELETED = 1;
/** Parts words. */
export const SPACE = 1 << 1;
/** A Chinese character, which is a word of its own. */
export const IDEOGRAPH = 1 << 2;
/** An accent that is dropped with stripAccents. */
export const STRIPPED = 1 << 3;
/** A word of its own. */
export const PUNCTUATION = 1 << 4;
/** Goes on the word of a span, for decodeTags. */
export const RUN = 1 << 5;
/** A word of its own, for decodeTags. */
export const ALONE = 1 << 6;
/** Belongs to the character before it, for decodeTags. */
export const ATTACHED = 1 << 7;
/** A combining mark, for decodeAnswers. */
export const MARK = 1 << 8;

const LOWER = 1 << 9;
const DECOMPOSED = 1 << 10;
const ORDERED = 1 << 11;

/** Names of the lines of the file, in the order of the flags above. */
const NAMES = [
  "deleted", "space", "ideograph", "stripped", "punctuation", "run", "alone", "attached", "mark",
  "lower", "decomposed", "order",
];

const FIRST_HANGUL = 0xac00, LAST_HANGUL = 0xd7a3;
const FIRST_LEADING = 0x1100, FIRST_VOWEL = 0x1161, BEFORE_TRAILING = 0x11a7;
const VOWELS = 21, TRAILINGS = 28;

export class CharacterTable {
  #flags = new Uint16Array(0x110000);
  #lower = new Map();
  #decomposed = new Map();
  #orders = new Map();

  /**
   * @param {string} table The content of character_table.txt.
   * @throws {Error} If the text is not a table or lacks a line.
   */
  constructor(table) {
    const seen = new Set();
    for (const line of table.split(/\r?\n/)) {
      if (line.startsWith("#") || !line) continue;
      const [name, ...items] = line.split(" ");
      if (!NAMES.includes(name)) {
        throw new Error(`CharacterTable: not a line of character_table.txt: ${name}`);
      }
      for (const item of items) this.#read(item, 1 << NAMES.indexOf(name));
      seen.add(name);
    }
    if (seen.size !== NAMES.length) {
      throw new Error("CharacterTable: the table is not complete. Copy the file anew.");
    }
    this.#flags.fill(DELETED, 0xd800, 0xe000); // half a character
    for (let point = FIRST_HANGUL; point <= LAST_HANGUL; point++) this.#flags[point] |= DECOMPOSED;
  }

  /** Reads an item, first[-last][:value[,value]]. */
  #read(item, flag) {
    const [range, list] = item.split(":");
    const ends = range.split("-").map((end) => parseInt(end, 16));
    const first = ends[0], last = ends[ends.length - 1];
    for (let point = first; point <= last; point++) this.#flags[point] |= flag;
    if (list === undefined) return;
    const values = list.split(",").map((value) => parseInt(value, 16));
    const map = flag === LOWER ? this.#lower : flag === DECOMPOSED ? this.#decomposed : this.#orders;
    for (let point = first; point <= last; point++) {
      map.set(point, flag === ORDERED ? values[0] : values.map((value) => value + point - first));
    }
  }

  /** The flags of a code point, of which each constant above is one. */
  flags(point) {
    return this.#flags[point];
  }

  /** The lower-case form of a code point, as an array; undefined where that is itself. */
  lower(point) {
    return this.#flags[point] & LOWER ? this.#lower.get(point) : undefined;
  }

  /** The canonical decomposition of a code point (NFD), as an array; undefined where that is itself. */
  decomposed(point) {
    if (!(this.#flags[point] & DECOMPOSED)) return undefined;
    if (point < FIRST_HANGUL || point > LAST_HANGUL) return this.#decomposed.get(point);
    const index = point - FIRST_HANGUL;
    const leading = FIRST_LEADING + Math.floor(index / (VOWELS * TRAILINGS));
    const vowel = FIRST_VOWEL + (Math.floor(index / TRAILINGS) % VOWELS);
    const trailing = index % TRAILINGS;
    return trailing ? [leading, vowel, BEFORE_TRAILING + trailing] : [leading, vowel];
  }

  /** The canonical combining class of a code point; 0 where it is no mark that NFD reorders. */
  order(point) {
    return this.#flags[point] & ORDERED ? this.#orders.get(point) : 0;
  }
}
