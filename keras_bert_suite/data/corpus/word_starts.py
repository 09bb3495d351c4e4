"""Which tokens begin a word, where their ids alone do not tell: in Chinese, and in byte-level vocabularies."""

import itertools

import numpy as np

from keras_bert_suite.data.words import find_words
from keras_bert_suite.errors import require
from keras_bert_suite.text.ragged import row_offsets, row_positions

__all__ = ["find_continuations"]

#: Sentences that are cut into words at a time.
SENTENCES = 4096
#: Languages whose words jieba knows.
CHINESE = ("zh", "yue", "wuu")


def find_continuations(tokenizer, language, sentences, rows):
    """Find the tokens that go on with the word of the token before them.

    Chinese is parted into words by jieba; elsewhere a word is a run of letters and digits.

    Args:
        tokenizer: `text.Tokenizer` that adds no special tokens.
        language: str, ISO 639 code.
        sentences: list of str.
        rows: `text.Ragged`. Their tokens.
    Returns:
        bool `(N,)`.
    """
    if language.split("-")[0] not in CHINESE:
        return _by_characters(tokenizer, sentences, find_words(sentences))
    cut = require("rjieba", "Finding the words of Chinese").cut
    if not sentences:
        return np.zeros(0, bool)
    words, word_sentences = _number_words(cut, sentences)
    lengths = tokenizer.encode(list(words)).lengths[word_sentences[0]]
    totals = np.bincount(word_sentences[1], lengths, len(sentences)).astype(np.int64)
    alone = np.ones(totals.sum(), bool)
    alone[row_offsets(lengths)[:-1][lengths > 0]] = False
    # Where words have as many tokens alone as in their sentence, they are the same.
    same = totals == rows.lengths
    continues = np.zeros(len(rows.token_ids), bool)
    here, there = (row_positions(starts[:-1][same], totals[same]) for starts in (rows.offsets, row_offsets(totals)))
    continues[here] = alone[there]
    if same.all():
        return continues | _continuing(tokenizer)[rows.token_ids]
    others = np.flatnonzero(~same)
    again = row_positions(rows.offsets[others], rows.lengths[others])
    texts = [sentences[index] for index in others]
    continues[again] = _by_characters(tokenizer, texts, _joined(find_words(texts), list(map(cut, texts))))
    return continues | _continuing(tokenizer)[rows.token_ids]


def _number_words(cut, sentences):
    """Cut sentences into words.

    Returns:
        `(words, found)`: a dict from each word to its number, and int `(2, W)`,
        the number and the sentence of every word.
    """
    words, numbers, counts = {}, [], []
    for first in range(0, len(sentences), SENTENCES):
        batch = sentences[first : first + SENTENCES]
        found = cut("\n".join(batch))  # faster than one by one
        ends = [place for place, word in enumerate(found) if word == "\n"]
        if len(ends) != len(batch) - 1:  # There are line ends in the sentences.
            parted = list(map(cut, batch))
            found = list(itertools.chain.from_iterable(parted))
            counts += map(len, parted)
        else:
            counts += np.diff([-1, *ends, len(found)]).tolist()
            found.append("\n")
        numbers.append(np.array([words.setdefault(word, len(words)) for word in found], np.int64))
    return words, np.stack([np.concatenate(numbers), np.repeat(np.arange(len(sentences)), counts)])


def _continuing(tokenizer):
    """bool `(V,)`: whether a token goes on with a word wherever it stands, as those of WordPiece that begin with ##."""
    prefix = tokenizer.definition.content["model"].get("continuing_subword_prefix")
    return np.array([bool(prefix) and token.startswith(prefix) for token in tokenizer.vocabulary])


def _joined(words, parted):
    """Words found by rule that are joined where jieba, which gave `parted`, has them together."""
    spans, offsets = words
    bases = row_offsets([sum(map(len, sentence)) + 1 for sentence in parted])[:-1]
    ends = [base + end for base, sentence in zip(bases, parted, strict=True) for end in _ends(sentence)]
    starts = spans[:, 0] + np.repeat(bases, np.diff(offsets))
    kept = np.isin(starts, np.append(bases, ends))
    counts = np.bincount(np.repeat(np.arange(len(parted)), np.diff(offsets))[kept], minlength=len(parted))
    first = np.flatnonzero(kept)
    last = np.append(first[1:], len(spans)) - 1
    return np.stack([spans[first, 0], spans[last, 1]], axis=1), row_offsets(counts)


def _ends(words):
    return itertools.accumulate(map(len, words))


def _by_characters(tokenizer, sentences, words):
    """A token goes on with a word where its characters are of one and none of them begins it."""
    spans, word_offsets = words
    _, offsets, token_spans = tokenizer.encode_with_offsets(sentences)
    bases = row_offsets([len(sentence) + 1 for sentence in sentences])[:-1]  # characters of all sentences in a row
    starts, ends = (spans + np.repeat(bases, np.diff(word_offsets))[:, None]).T
    first, last = (token_spans + np.repeat(bases, np.diff(offsets))[:, None]).T
    before = np.searchsorted(starts, last)  # words that begin before the end of the token
    blank = np.append(0, ends)[before] <= first
    continues = ~blank & (np.searchsorted(starts, first) == before)
    continues[1:] |= blank[:-1] & ~blank[1:]  # A space belongs to the word after it.
    continues[offsets[:-1][np.diff(offsets) > 0]] = False
    return continues
