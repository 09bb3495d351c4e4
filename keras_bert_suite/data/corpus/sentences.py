"""Documents to sentences, by sentencex or by any function from a str to a list of str."""

import re

from keras_bert_suite.data.corpus.decoding import BLANK_LINE
from keras_bert_suite.errors import require

__all__ = ["LINES", "default_segmenter", "document_sentences"]

#: What a line of a document is: part of a paragraph that goes on in the next line, a paragraph, or a sentence.
LINES = ("wrapped", "paragraphs", "sentences")
#: Segmenters get slow, or fill the memory, on paragraphs without end.
LONGEST_PARAGRAPH = 16_000
#: Characters of writing without spaces, and where its sentences end whatever follows.
UNSPACED = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"
UNSPACED_LINE_END = re.compile(f"\n(?=[{UNSPACED}])(?<=[{UNSPACED}]\n)")
UNSPACED_SENTENCE = re.compile("(?<=[。！？])(?![。！？…”’」』）〉》\"'])")


def default_segmenter(language):
    """Return the function of sentencex that splits text of a language, given by its ISO 639 code, into sentences."""
    segment = require("sentencex", "Finding sentences").segment
    return lambda text: segment(language, text)


def document_sentences(document, lines, segment):
    """Split a document into sentences.

    Args:
        document: str, its lines ended by line feeds.
        lines: str out of `LINES`.
        segment: function from a str, one paragraph, to a list of str.
    Returns:
        list of str; some may be blank, and spaces between sentences stay with them.
    Example:
    >>> document_sentences("A cat;It\\nsat.", "wrapped", lambda text: text.split(";"))
    ['A cat', 'It sat.']
    """
    if lines == "sentences":
        return document.split("\n")
    paragraphs = document.split("\n") if lines == "paragraphs" else _unwrapped(document)
    if "。" in document:  # Segmenters take long over long runs without spaces.
        paragraphs = [part for paragraph in paragraphs for part in UNSPACED_SENTENCE.split(paragraph)]
    sentences = []
    for paragraph in paragraphs:
        if len(paragraph) <= LONGEST_PARAGRAPH:
            sentences += segment(paragraph)
        else:
            for part in _cut(paragraph):
                sentences += segment(part)
    return sentences


def _unwrapped(document):
    """The paragraphs of a document, each on one line: a blank line parts them."""
    if "\n" not in document:
        return [document]
    paragraphs = BLANK_LINE.split(document)
    if not document.isascii():
        paragraphs = [UNSPACED_LINE_END.sub("", text) if "\n" in text else text for text in paragraphs]
    return [text.replace("\n", " ") for text in paragraphs]


def _cut(text):
    """Cut a paragraph where a sentence or at least a word ends."""
    parts, start = [], 0
    while len(text) - start > LONGEST_PARAGRAPH:
        half, full = start + LONGEST_PARAGRAPH // 2, start + LONGEST_PARAGRAPH
        ends = [text.rfind(mark, half, full) + len(mark) for mark in (". ", " ") if mark in text[half:full]]
        parts.append(text[start : ends[0] if ends else full])
        start = ends[0] if ends else full
    return [*parts, text[start:]]
