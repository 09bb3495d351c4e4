"""Long texts as overlapping rows, each short enough for a model, and the way back from rows to characters."""

import dataclasses

import numpy as np

from keras_bert_suite.errors import check_positive_int
from keras_bert_suite.text.frame import Frame
from keras_bert_suite.text.ragged import Ragged, row_offsets, row_positions

__all__ = ["Windows", "encode_windows"]


@dataclasses.dataclass(frozen=True, eq=False)
class Windows:
    """Texts of any length, encoded as rows that overlap.

    Args:
        encoded: `Ragged` of W rows, special tokens included.
        texts: int64 `(W,)`. The text that each row is of, ascending.
        tokens: int64 `(N,)`. For each of `encoded.token_ids` its index among all
            tokens of all texts, or -1 where it is none: of a question, or special.
        text_offsets: int64 `(B + 1,)`. The tokens of text `i` are
            `text_offsets[i]` to `text_offsets[i + 1]`.
        spans: int32 `(M, 2)`. First and last-plus-one character of each of those
            tokens in its text.
    """

    encoded: Ragged
    texts: np.ndarray
    tokens: np.ndarray
    text_offsets: np.ndarray
    spans: np.ndarray

    def best_places(self):
        """Return where each token has the most context, of all rows that have it.

        Returns:
            int64 `(M,)`: indices into `encoded.token_ids`.
        """
        places = np.flatnonzero(self.tokens >= 0)
        row_of = np.repeat(np.arange(len(self.encoded)), self.encoded.lengths)[places]
        counts = np.bincount(row_of, minlength=len(self.encoded))
        firsts = np.cumsum(counts) - counts
        before = np.arange(len(places)) - firsts[row_of]
        context = np.minimum(before, counts[row_of] - 1 - before)
        order = np.lexsort((places, -context, self.tokens[places]))
        _, best = np.unique(self.tokens[places][order], return_index=True)
        return places[order[best]]


def encode_windows(tokenizer, texts, questions=None, *, max_length, stride):
    """Encode texts as rows of at most `max_length` tokens, with no token left out.

    Neighbouring rows of a text share `stride` tokens, or three quarters of the room that
    it has where that is less. A question stands in front of each row of its
    text; it is cut to half of `max_length`.

    Args:
        tokenizer: `text.Tokenizer`.
        texts: list of str.
        questions: optional list of str, as long.
        max_length: int. Tokens of a row, special ones included.
        stride: int. Tokens that rows of a text share.
    Returns:
        `Windows`.
    Raises:
        TypeError: if an item is not a str.
        ValueError: if lengths differ, or `max_length` has no room for text.
    Example:
    >>> import keras_bert_suite as kbs
    >>> tokenizer = kbs.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"])
    >>> windows = encode_windows(tokenizer, ["a b c"], max_length=4, stride=1)
    >>> windows.encoded.pad()["token_ids"].tolist(), windows.tokens.tolist()
    ([[2, 5, 6, 3], [2, 6, 7, 3]], [-1, 0, 1, -1, -1, 1, 2, -1])
    """
    check_positive_int("encode_windows", max_length=max_length)
    if stride < 0:
        raise ValueError(f"encode_windows: stride must be 0 or above. Received: stride={stride}.")
    paired = questions is not None
    room = max_length - tokenizer.frame.size(paired)
    if room < 2:
        raise ValueError(f"encode_windows: max_length has no room for text. Received: max_length={max_length}.")
    if paired and len(texts) != len(questions):
        raise ValueError(
            f"encode_windows: there must be one question per text. Received: {len(texts)} texts, "
            f"{len(questions)} questions."
        )
    token_ids, offsets, spans = tokenizer.encode_with_offsets(texts)
    question_ids, question_lengths = np.zeros(0, np.int32), np.zeros(len(texts), np.int64)
    if paired:
        question_ids, question_offsets, _ = tokenizer.encode_with_offsets(questions)
        question_lengths = np.minimum(np.diff(question_offsets), room // 2)
    rooms = room - question_lengths  # (B,)
    steps = rooms - np.minimum(stride, rooms * 3 // 4)
    lengths = np.diff(offsets)
    counts = 1 + np.maximum(0, -(-(lengths - rooms) // steps))
    rows = np.repeat(np.arange(len(texts)), counts)  # the text of each window
    starts = row_positions(np.zeros_like(counts), counts) * steps[rows]  # in tokens of its text
    kept = np.minimum(lengths[rows] - starts, rooms[rows])
    tokens = row_positions(offsets[rows] + starts, kept)
    sides = [(token_ids[tokens], row_offsets(kept))]
    places = [(tokens, sides[0][1])]
    kept = [kept]
    if paired:
        before = question_lengths[rows]
        asked = question_ids[row_positions(question_offsets[rows], before)]
        sides.insert(0, (asked, row_offsets(before)))
        places.insert(0, (np.full(len(asked), -1), row_offsets(before)))
        kept.insert(0, before)
    frame = tokenizer.frame
    nowhere = Frame(*(tuple((-1,) * len(part) for part in parts) for parts in (frame.single, frame.pair)), 0)
    return Windows(
        frame.build(sides, kept, tokenizer.pad_token_id),
        rows,
        nowhere.build(places, kept, -1).token_ids.astype(np.int64),
        offsets,
        spans,
    )
