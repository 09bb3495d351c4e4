/** A text of any length as rows that overlap, each short enough for a model. */

import { slice } from "./word_piece_tokenizer.js";

/**
 * @typedef {object} Windows
 * @property {string} text The text that the rows are of.
 * @property {Encoding[]} rows The rows, each padded to the length.
 * @property {Int32Array[]} tokens Of each place in each row, which token of the text stands there; -1 at any other.
 * @property {Tokens} ofText Where the text's own tokens are in it.
 * @property {CharacterTable} table
 */

/**
 * Encodes a text as windows.
 *
 * @param {WordPieceTokenizer} tokenizer
 * @param {string} text The text to be read in windows.
 * @param {object} options
 * @param {number} options.length Tokens of each row, special ones included.
 * @param {number} options.stride Tokens that neighbouring rows share; three quarters of the room at most.
 * @param {string} [options.question] Stands in front of each window, cut to half of the row.
 * @returns {Windows} With at least one row.
 * @throws {Error} If the length has no room for text.
 */
export function encodeWindows(tokenizer, text, { length, stride, question }) {
  const whole = length - (question === undefined ? 2 : 3);
  if (!(whole >= 2 && stride >= 0)) {
    throw new Error(
      `encodeWindows: the length must have room for text, and stride be 0 or above. Received: ${length}, ${stride}.`,
    );
  }
  const ofText = tokenizer.tokenize(text);
  const count = ofText.ids.length;
  const asked = question === undefined ? [] : [slice(tokenizer.tokenize(question), 0, Math.floor(whole / 2))];
  const before = asked.length ? asked[0].ids.length : 0;
  const room = whole - before;
  const step = room - Math.min(stride, Math.floor((room * 3) / 4));
  const numRows = 1 + Math.max(0, Math.ceil((count - room) / step));
  const rows = [];
  const tokens = [];
  for (let row = 0; row < numRows; row++) {
    const from = row * step;
    const to = Math.min(count, from + room);
    rows.push(tokenizer.frame([...asked, slice(ofText, from, to)], length));
    const begin = asked.length ? before + 2 : 1;
    const places = new Int32Array(length).fill(-1);
    for (let token = from; token < to; token++) places[begin + token - from] = token;
    tokens.push(places);
  }
  return { text, rows, tokens, ofText, table: tokenizer.table };
}

/**
 * Finds where each token of the text has the most context, of all rows that have it.
 *
 * @param {Windows} windows
 * @returns {{row: number, place: number}[]} One for each token.
 */
export function bestPlaces({ tokens, ofText }) {
  const places = new Array(ofText.ids.length);
  tokens.forEach((ofRow, row) => {
    const begin = ofRow.findIndex((token) => token >= 0);
    const count = ofRow.reduce((sum, token) => sum + (token >= 0), 0);
    for (let index = 0; index < count; index++) {
      const token = ofRow[begin + index];
      const context = Math.min(index, count - 1 - index);
      if (!places[token] || context > places[token].context) places[token] = { row, place: begin + index, context };
    }
  });
  return places;
}
