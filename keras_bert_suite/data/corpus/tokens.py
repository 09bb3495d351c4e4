"""The documents of one part as flat arrays of token ids, parted into sentences and documents."""

import dataclasses

import numpy as np

from keras_bert_suite.text.ragged import row_offsets

__all__ = ["DocumentTokens", "encode_sentences", "without_frame"]

#: Into how many documents a part is split that is a single one.
SHARES = 16


@dataclasses.dataclass(frozen=True, eq=False)
class DocumentTokens:
    """Sentences of documents, without special tokens. No sentence and no document is empty.

    Args:
        token_ids: int32 `(N,)`.
        sentences: int64 `(S + 1,)`. Sentence `i` is `token_ids[sentences[i]:sentences[i + 1]]`.
        documents: int64 `(D + 1,)`. Document `i` is the sentences from `documents[i]` to `documents[i + 1]`.
        own: int. How many of the documents become rows; those after them lend random texts.
        continues: optional bool `(N,)`. Whether a token goes on with the word of the token before it.
    """

    token_ids: np.ndarray
    sentences: np.ndarray
    documents: np.ndarray
    own: int
    continues: np.ndarray | None = None

    def with_sentences_up_to(self, longest, piece):
        """Return these documents with sentences of more than `longest` tokens cut into pieces of `piece` tokens."""
        lengths = np.diff(self.sentences)
        if lengths.max(initial=0) <= longest:
            return self
        pieces = np.where(lengths > longest, -(-lengths // piece), 1)
        cut = np.full(pieces.sum(), piece, np.int64)
        last = np.cumsum(pieces) - 1
        cut[last] = lengths - (pieces - 1) * piece
        documents = np.append(last + 1 - pieces, len(cut))[self.documents]
        return dataclasses.replace(self, sentences=row_offsets(cut), documents=documents)

    def with_several_documents(self):
        """Return these documents; a single one is split, at ends of sentences, into up to 16 that stand for it."""
        count = len(self.sentences) - 1
        if len(self.documents) != 2 or count < 2:
            return self
        documents = np.linspace(0, count, min(SHARES, count) + 1).astype(np.int64)
        return dataclasses.replace(self, documents=documents, own=len(documents) - 1)


def encode_sentences(tokenizer, sentences, counts, own, continues=None):
    """Encode the sentences of documents.

    Args:
        tokenizer: `text.Tokenizer` that adds no special tokens.
        sentences: list of str, of all documents. Those without tokens are left out.
        counts: list of int. Sentences of each document. Those without tokens are left out.
        own: int. How many of the documents become rows.
        continues: optional function from the sentences and the `Ragged` of their
            tokens to bool `(N,)`, as `DocumentTokens` has it.
    Returns:
        `DocumentTokens`.
    """
    rows = tokenizer.encode(sentences)
    inside = None if continues is None else continues(sentences, rows)
    lengths = rows.lengths
    of_document = np.repeat(np.arange(len(counts)), counts)[lengths > 0]
    counts = np.bincount(of_document, minlength=len(counts))
    return DocumentTokens(
        rows.token_ids,
        row_offsets(lengths[lengths > 0]),
        row_offsets(counts[counts > 0]),
        int(np.count_nonzero(counts[:own])),
        inside,
    )


def without_frame(tokenizer):
    """Return a tokenizer like this one that adds no special tokens."""
    definition = tokenizer.definition
    content = {**definition.content, "post_processor": None}
    return type(tokenizer).from_definition(dataclasses.replace(definition, content=content))
