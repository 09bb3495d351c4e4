/**
 * Compares the tokenizer and the decoders with a golden file, in Node.
 *
 *   node check.js character_table.txt cases FILE          compares; exits with 1 on a difference
 *   node check.js character_table.txt sweep LOWERCASE STRIP_ACCENTS SPLIT_CHINESE
 *                                                         digests of all code points, 4096 a line
 *   node check.js character_table.txt bench VOCABULARY TEXT
 *                                                         lines and tokens a second of processor time
 */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

import { decodeAnswers } from "./answer_decoder.js";
import { CharacterTable } from "./character_table.js";
import { decodeChosenTags, decodeTags, findWords, wordMask } from "./tag_decoder.js";
import { bestPlaces, encodeWindows } from "./windows.js";
import { WordPieceTokenizer } from "./word_piece_tokenizer.js";

const TOLERANCE = 1e-5;
const BLOCK = 4096;

const [, , tablePath, mode, ...rest] = process.argv;
const read = (path) => readFileSync(path, "utf-8");
const table = new CharacterTable(read(tablePath));

let compared = 0, different = 0;

function compareAll(golden) {
  const tokenizers = {};
  for (const [kind, options] of Object.entries(golden.options)) {
    const vocabulary = golden.vocabularies[kind] ?? golden.vocabularies.uncased;
    tokenizers[kind] = new WordPieceTokenizer(vocabulary.join("\n"), table, options);
  }
  const windowsOf = ({ kind, text, question, length, stride }) =>
    encodeWindows(tokenizers[kind], text, { length, stride, question: question ?? undefined });
  for (const one of golden.texts) compareText(one, tokenizers[one.kind]);
  for (const one of golden.windows) compareWindows(one, windowsOf(one));
  for (const one of golden.words) comparePlaces(one, pairs(findWords(one.text, table)));
  for (const one of golden.tags) compareTags(one, windowsOf(one));
  for (const one of golden.chosen_tags) compareChosenTags(one, windowsOf(one));
  for (const one of golden.answers) compareAnswers(one, windowsOf(one));
  console.log(`${compared} compared, ${different} different`);
  process.exitCode = different ? 1 : 0;
}

function compareText(golden, tokenizer) {
  const { text, pair, max_length: maxLength, truncation, pad } = golden;
  let row;
  try {
    row = tokenizer.encode(text, { pair: pair ?? undefined, maxLength, truncation, pad });
  } catch (error) {
    return compare(golden, "error", golden.error ?? error.message, true);
  }
  const places = Array.from(row.starts, (start, index) => [start, row.ends[index]]);
  compare(golden, "ids", golden.ids, row.ids);
  compare(golden, "segment_ids", golden.segment_ids, row.segmentIds);
  compare(golden, "mask", golden.mask, row.mask);
  compare(golden, "utf16", golden.utf16, places);
  const textOf = (index) => (row.segmentIds[index] ? pair : text);
  compare(golden, "code_points", golden.code_points, codePoints(places, textOf));
}

function compareWindows(golden, windows) {
  compare(golden, "ids", golden.ids, windows.rows.map(({ ids }) => ids));
  compare(golden, "segment_ids", golden.segment_ids, windows.rows.map(({ segmentIds }) => segmentIds));
  compare(golden, "mask", golden.mask, windows.rows.map(({ mask }) => mask));
  compare(golden, "tokens", golden.tokens, windows.tokens);
  compare(golden, "best", golden.best, bestPlaces(windows).map(({ row, place }) => [row, place]));
  comparePlaces(golden, windows.ofText.starts.map((start, index) => [start, windows.ofText.ends[index]]));
}

function compareTags(golden, windows) {
  const logits = golden.logits.map((row) => Float32Array.from(row.flat()));
  const probabilities = golden.logits.map((row) => row.flatMap(softmax));
  compareSpans(golden, decodeTags(windows, logits, golden.labels, { areLogits: true }));
  compareSpans(golden, decodeTags(windows, probabilities, golden.labels));
}

function compareChosenTags(golden, windows) {
  compare(golden, "word_mask", golden.word_mask, wordMask(windows));
  const spans = decodeChosenTags(windows, golden.tags, golden.labels);
  comparePlaces(golden, pairs(spans));
  compare(golden, "labels_found", golden.labels_found, spans.map(({ label }) => label));
}

function compareSpans(golden, spans) {
  comparePlaces(golden, pairs(spans));
  compare(golden, "labels_found", golden.labels_found, spans.map(({ label }) => label));
  compare(golden, "scores", golden.scores, spans.map(({ score }) => score));
}

function softmax(logits) {
  const sum = logits.reduce((total, logit) => total + Math.exp(logit), 0);
  return logits.map((logit) => Math.exp(logit) / sum);
}

function compareAnswers(golden, windows) {
  const single = (rows) => rows.map((row) => Float32Array.from(row));
  const [starts, ends] = [golden.start_logits, golden.end_logits].map(single);
  const answers = decodeAnswers(windows, starts, ends, {
    longest: golden.longest,
    nullThreshold: golden.null_threshold,
  });
  comparePlaces(golden, pairs(answers));
  compare(golden, "answers", golden.answers, answers.map(({ text }) => text));
  compare(golden, "scores", golden.scores, answers.map(({ score }) => score));
}

function comparePlaces(golden, places) {
  compare(golden, "utf16", golden.utf16, places);
  compare(golden, "code_points", golden.code_points, codePoints(places, () => golden.text));
}

function pairs(spans) {
  return spans.map(({ start, end }) => [start ?? 0, end ?? 0]);
}

/** Places in UTF-16 units as places in code points; `textOf` gives the text of each. */
function codePoints(places, textOf) {
  const before = new Map(); // text -> code points that begin before each unit
  return places.map((place, index) => {
    const text = textOf(index) ?? "";
    if (!before.has(text)) {
      const counts = [0];
      for (const char of text) {
        const count = counts[counts.length - 1] + 1;
        for (let unit = 0; unit < char.length; unit++) counts.push(count);
      }
      before.set(text, counts);
    }
    return place.map((unit) => before.get(text)[unit]);
  });
}

function compare(golden, name, expected, found) {
  compared++;
  if (equal(expected, found)) return;
  different++;
  console.log(`${name}: expected ${JSON.stringify(expected)}, found ${JSON.stringify(found)}, of ${golden.text}`);
}

function equal(expected, found) {
  if (typeof expected === "number") return Math.abs(expected - found) <= TOLERANCE;
  if (!Array.isArray(expected)) return expected !== undefined && expected === found;
  return expected.length === found.length && expected.every((item, index) => equal(item, found[index]));
}

function sweep(flags) {
  const [lowercase, stripAccents, splitChinese] = flags.map((flag) => flag === "true");
  const options = { lowercase, stripAccents, splitChinese };
  const tokenizer = new WordPieceTokenizer("[PAD]\n[UNK]\n[CLS]\n[SEP]", table, options);
  for (let first = 0; first < 0x110000; first += BLOCK) {
    let text = "";
    for (let point = first; point < first + BLOCK; point++) {
      if (point < 0xd800 || point > 0xdfff) text += `a${String.fromCodePoint(point)}b `;
    }
    const lines = tokenizer.words(text, 0, text.length).map(({ normalized: { points, starts, ends }, first, end }) => {
      const word = String.fromCodePoint(...points.slice(first, end));
      return `${word}\t${starts[first]}\t${ends[end - 1]}\n`;
    });
    console.log(createHash("sha256").update(lines.join(""), "utf-8").digest("hex"));
  }
}

function bench(vocabularyPath, lines) {
  const cpuTime = () => process.cpuUsage().user / 1e6; // in seconds
  let before = cpuTime();
  const tokenizer = new WordPieceTokenizer(read(vocabularyPath), new CharacterTable(read(tablePath)));
  console.log(`opened in ${Math.round(1000 * (cpuTime() - before))} ms`);
  for (let round = 0; round < 5; round++) {
    before = cpuTime();
    const tokens = lines.reduce((sum, line) => sum + tokenizer.tokenize(line).ids.length, 0);
    const seconds = cpuTime() - before;
    console.log(`${Math.round(lines.length / seconds)} lines/s, ${Math.round(tokens / seconds)} tokens/s`);
  }
}

if (mode === "sweep") sweep(rest);
else if (mode === "bench") bench(rest[0], read(rest[1]).split("\n"));
else compareAll(JSON.parse(read(rest[0])));
