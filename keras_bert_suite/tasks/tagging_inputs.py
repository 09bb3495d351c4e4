"""Tagged texts, as users hand them over, brought to words, and words brought to the tokens of a model."""

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_bert_suite.data import TaggedText, check_spans, find_words, read_tagged, read_texts
from keras_bert_suite.data.tag_schemes import (
    OUTSIDE,
    PREFIXES,
    canonical_tags,
    find_break,
    find_scheme,
    has_prefix,
    respelled_tags,
    tags_to_spans,
)
from keras_bert_suite.data.tagging import json_text
from keras_bert_suite.errors import DataError
from keras_bert_suite.text import Ragged, encode_windows

__all__ = ["TaggedTexts", "Words", "check_tags", "place_words", "read_tagged_input", "read_untagged_file"]

logger = logging.getLogger(__name__)


@dataclasses.dataclass
class TaggedTexts:
    """Texts with what is tagged in them.

    Args:
        rows: list of `data.TaggedText`, each of one form or the other.
        path: optional path they were read from.
        scheme: optional str. That of their tags, as `check_tags` finds it.
        plain_tags: tuple of str. What those tags are where they have no prefixes, else none.
    """

    rows: list
    path: Path | None = None
    scheme: str | None = None
    plain_tags: tuple = ()

    def __len__(self):
        return len(self.rows)

    @property
    def texts(self):
        """list of str. Words that came as such are joined by spaces."""
        return [" ".join(row.tokens) if row.text is None else row.text for row in self.rows]

    def where(self, row, word=0):
        """Return the path and line of a word of a text, for errors."""
        found = self.rows[row]
        line = found.line if found.token_lines is None else found.token_lines[word]
        return self.path, (line or None) if self.path else None

    @property
    def given_tags(self):
        """list of lists of str: the tags of each text that came with tags; of others, an empty list."""
        return [row.tags or [] for row in self.rows]


def read_tagged_input(x, y=None, columns=None, labels=True):
    """Read all of `x` into `TaggedTexts`.

    Args:
        x: path of a file, as `data.read_tagged` takes it; a list of str or of
            lists of str, each the words of a text; or a list of dicts as the
            objects of a JSON Lines file are.
        y: the spans of each text, or the tags of its words, where `x` has none:
            a list of lists.
        columns: optional dict, as in `data.read_tagged`.
        labels: bool. Whether spans or tags must be there.
    Raises:
        DataError: if something breaks a rule.
        ValueError: if lengths differ, or labels are needed and missing.
    """
    if isinstance(x, (str, Path)):
        if y is not None:
            raise ValueError(f"fit and evaluate: a file brings its own tags. Received: {x} and more.")
        return TaggedTexts(list(read_tagged(x, labels=labels, columns=columns)), Path(x))
    rows = list(x)
    if y is not None and len(y) != len(rows):
        raise ValueError(f"There must be spans or tags for each text. Received: {len(rows)} texts, {len(y)} of them.")
    if rows and labels and y is None and not isinstance(rows[0], Mapping):
        raise ValueError("Spans or tags are needed. Received: texts alone. Pass them as y, or a file that has them.")
    if labels and not rows:
        raise ValueError("At least one text is needed. Received: none.")
    chosen = dict(columns or {})
    found = []
    for index, row in enumerate(rows):
        try:
            found.append(_as_tagged(row, None if y is None else y[index], chosen, labels))
        except DataError as error:
            raise DataError(f"text {index}: {error}") from error
    return TaggedTexts(found)


def _as_tagged(row, labels, chosen, required):
    if isinstance(row, Mapping):
        return json_text(row, chosen, required)
    if isinstance(row, str):
        return TaggedText(row, None if labels is None else check_spans(labels, row))
    if row is None or isinstance(row, bytes | bytearray):
        raise DataError(f"it must be a str or a list of words. Received: {type(row).__name__}.")
    words = row.tolist() if hasattr(row, "tolist") else list(row)
    wrong = [word for word in words if not isinstance(word, str) or not word.strip(" ")]
    if wrong:
        raise DataError(f"each word must be a str that is not blank. Received: {wrong[0]!r}.")
    return json_text({"tokens": words, "tags": None if labels is None else list(labels)}, {}, labels is not None)


def read_untagged_file(path, columns=None):
    """Yield `data.TaggedText` without spans and tags: of a .txt file, each line is a text."""
    suffixes = [suffix for suffix in Path(path).suffixes if suffix.lower() != ".gz"]
    if suffixes and suffixes[-1].lower() == ".txt":
        yield from (TaggedText(row.text, line=row.line) for row in read_texts(path))
    else:
        yield from read_tagged(path, labels=False, columns=columns)


def check_tags(found, labels=None):
    """Find the scheme of the tags that texts came with, and spell them as the schemes do.

    Args:
        found: `TaggedTexts`, whose `scheme` and `plain_tags` are set, if it has
            tags, and the tags of its rows replaced.
        labels: optional list of str, the tags of a tagger.
    Raises:
        DataError: if some tags have a prefix and others have none.
    """
    sequences = found.given_tags
    if not any(sequences):
        return
    tags = {tag for sequence in sequences for tag in sequence}
    if respelled := respelled_tags(sorted(tags), labels or ()):
        one = next(tag for tag in sorted(tags) if tag != respelled[tag])
        logger.info("%stags such as %s are read as %s.", f"{found.path}: " if found.path else "", one, respelled[one])
        found.rows = [row._replace(tags=row.tags and [respelled[tag] for tag in row.tags]) for row in found.rows]
        sequences, tags = found.given_tags, set(respelled.values())
    plain = {tag for tag in tags if not has_prefix(tag)}
    if plain and tags - plain - {OUTSIDE, *PREFIXES}:
        row, word, tag = next(
            (row, word, tag)
            for row, sequence in enumerate(sequences)
            for word, tag in enumerate(sequence)
            if tag in plain
        )
        raise DataError(
            "tags must be O or have a prefix, as B-PER, where any has one. "
            f"Received: {tag!r}. Correct it, or name the column of the tags.",
            *found.where(row, word),
        )
    spelled = canonical_tags(tags.union(labels or ()))
    found.plain_tags = tuple(sorted(tags)) if plain else ()
    found.rows = [
        row if row.tags is None else row._replace(tags=[spelled[tag] for tag in row.tags]) for row in found.rows
    ]
    found.scheme = find_scheme(found.given_tags)
    broken = find_break(found.given_tags, found.scheme)
    if broken is not None:
        path, line = found.where(*broken)
        where = f"{path}:{line}" if path else f"text {broken[0]}, word {broken[1]}"
        logger.warning(
            "%s: the tag %s breaks the scheme %s, and others may; they are read as conlleval reads them.",
            where,
            sequences[broken[0]][broken[1]],
            found.scheme,
        )


class TrueSpans(NamedTuple):
    """What is tagged in some texts, in two forms.

    Args:
        in_words: list of lists of `(first, end, label)`, what is learnt: spans in
            characters are widened to whole words, and left out where these are
            taken or there are none.
        in_characters: list of lists of `(start, end, label)`, what is scored:
            spans begin and end with words or, where they cut one, as they were
            written: nothing that a tagger finds is equal to these.
        widened: int. Spans that were widened.
        lost: int. Spans that were left out.
    """

    in_words: list
    in_characters: list
    widened: int
    lost: int


@dataclasses.dataclass(frozen=True, eq=False)
class Words:
    """Words of some texts, and the tokens that stand for them.

    Words of which normalisation leaves nothing are not among them: no token
    tells what they are.

    Args:
        encoded: `text.Ragged`, rows that may overlap.
        offsets: int64 `(B + 1,)`. Text `i` has the words from `offsets[i]` to `offsets[i + 1]`.
        spans: int64 `(W, 2)`. First and last-plus-one character of each word in its text.
        places: int64 `(W,)`. For each word the first of its tokens, an index
            into `encoded.token_ids`, in the row where it has the most context.
        numbers: int64 `(W,)`. Of a text that came in words, which of them each
            is, from 0.
    """

    encoded: Ragged
    offsets: np.ndarray
    spans: np.ndarray
    places: np.ndarray
    numbers: np.ndarray

    def of(self, row):
        """Return the words of a text, as a slice."""
        return slice(self.offsets[row], self.offsets[row + 1])

    def in_characters(self, spans, row):
        """Return spans in words of a text as spans in its characters."""
        starts, ends = self.spans[self.of(row)].T
        return [(int(starts[first]), int(ends[end - 1]), label) for first, end, label in spans]

    def over(self, row, start, end):
        """Return the first and last-plus-one of the words of a text that have some of these characters."""
        starts, ends = self.spans[self.of(row)].T
        return int(np.searchsorted(ends, start, side="right")), int(np.searchsorted(starts, end, side="left"))

    def true_spans(self, found):
        """Return the `TrueSpans` of texts. Tags are read without those of words that no token stands for."""
        in_words, in_characters, widened, lost = [], [], 0, 0
        for row, text in enumerate(found.rows):
            if text.tags is not None:
                in_words.append(tags_to_spans([text.tags[number] for number in self.numbers[self.of(row)].tolist()]))
                in_characters.append(self.in_characters(in_words[-1], row))
                continue
            spans, written, free = [], [], 0
            for start, end, label in text.spans or ():
                first, after = self.over(row, start, end)
                [whole] = self.in_characters([(first, after, label)], row) if first < after else [(-1, -1, label)]
                cut = not start <= whole[0] < whole[1] <= end
                written.append((start, end, label) if cut else whole)
                first = max(first, free)
                if first >= after:  # nothing but spaces, or in a word that is taken
                    lost += 1
                    continue
                widened += cut
                spans.append((first, after, label))
                free = after
            in_words.append(spans)
            in_characters.append(written)
        return TrueSpans(in_words, in_characters, widened, lost)


def place_words(tokenizer, found, max_length, stride):
    """Find the words of texts, and their places among the tokens of overlapping rows.

    Where a token reaches over several words of a text that came as a whole,
    these are one word.

    Args:
        tokenizer: `text.Tokenizer`.
        found: `TaggedTexts`.
        max_length: int. Tokens of a row at most.
        stride: int. Tokens that neighbouring rows of a long text share.
    Returns:
        `Words`.
    """
    texts = found.texts
    windows = encode_windows(tokenizer, texts, max_length=max_length, stride=stride)
    whole = np.array([row.text is not None for row in found.rows], bool)
    spans, offsets = _word_spans(found, whole)
    bases = np.cumsum([0, *(len(text) + 1 for text in texts)])[:-1]  # of each text among all characters
    text_of = np.repeat(np.arange(len(texts)), np.diff(offsets))
    numbers = np.arange(len(spans)) - offsets[text_of]
    pieces = _first_pieces(windows, spans + bases[text_of, None], bases)
    placed = pieces >= 0
    spans, pieces, text_of, numbers = spans[placed], pieces[placed], text_of[placed], numbers[placed]
    joined = np.zeros(len(spans), bool)  # to the word before
    joined[1:] = (pieces[1:] == pieces[:-1]) & (text_of[1:] == text_of[:-1]) & whole[text_of[1:]]
    kept = np.flatnonzero(~joined)
    last = np.append(kept, len(spans))[1:] - 1
    spans = np.stack([spans[kept, 0], spans[last, 1]], axis=1)
    text_of = text_of[kept]
    places = windows.best_places()[pieces[kept]]
    return Words(windows.encoded, np.searchsorted(text_of, np.arange(len(texts) + 1)), spans, places, numbers[kept])


def _word_spans(found, whole):
    """Words of every text: those that it came in, or those that `find_words` finds."""
    spans, offsets = find_words([row.text for row in found.rows if row.text is not None])
    if whole.all():
        return spans, offsets
    parts, counts, seen = [], [], 0
    for row in found.rows:
        if row.text is not None:
            parts.append(spans[offsets[seen] : offsets[seen + 1]])
            seen += 1
        else:
            ends = np.cumsum([len(word) + 1 for word in row.tokens]) - 1
            parts.append(np.stack([ends - [len(word) for word in row.tokens], ends], axis=1))
        counts.append(len(parts[-1]))
    return np.concatenate(parts).astype("int64"), np.cumsum([0, *counts]).astype("int64")


def _first_pieces(windows, words, bases):
    """Return the first token that each word has a part of, or -1; words in characters of all texts together."""
    pieces = windows.spans + np.repeat(bases, np.diff(windows.text_offsets))[:, None]
    real = np.flatnonzero(pieces[:, 0] < pieces[:, 1])
    if not len(real) or not len(words):
        return np.full(len(words), -1)
    ends = np.maximum.accumulate(pieces[real, 1])
    found = np.minimum(np.searchsorted(ends, words[:, 0], side="right"), len(real) - 1)
    hit = (pieces[real[found], 0] < words[:, 1]) & (pieces[real[found], 1] > words[:, 0])
    return np.where(hit, real[found], -1)
