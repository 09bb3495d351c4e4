"""One part of a corpus made into shards: decoded, parted into sentences, encoded, paired, shuffled, written."""

import functools
from pathlib import Path

import numpy as np

from keras_bert_suite.data.corpus.decoding import documents_of
from keras_bert_suite.data.corpus.framing import build_shard, mask_shard
from keras_bert_suite.data.corpus.rows import plan_rows
from keras_bert_suite.data.corpus.sentences import default_segmenter, document_sentences
from keras_bert_suite.data.corpus.shard import write_shard
from keras_bert_suite.data.corpus.tfrecords import write_tfrecord
from keras_bert_suite.data.corpus.tokens import encode_sentences, without_frame
from keras_bert_suite.data.corpus.word_starts import find_continuations
from keras_bert_suite.data.masking import MaskingVocabulary
from keras_bert_suite.text.ragged import row_offsets

__all__ = ["PartBuilder"]


class PartBuilder:
    """Makes the shards of one part after the other; any process makes the same ones.

    Args:
        settings: `CorpusSettings`.
        tokenizer: `text.Tokenizer`.
        directory: str or path. Where shards go.
        segmenter: optional function from a str to a list of str, its sentences.
            Defaults to sentencex.
    """

    def __init__(self, settings, tokenizer, directory, segmenter=None):
        self.settings, self.tokenizer, self.segmenter = settings, tokenizer, segmenter
        self.directory = Path(directory)
        self.segment()  # A missing module is told of now, by the main process.
        self.vocabulary = None if settings.masking is None else MaskingVocabulary.from_tokenizer(tokenizer)
        self.budget = settings.max_length - tokenizer.frame.size(settings.pairs)
        if self.budget < 2:
            raise ValueError(
                f"build_corpus: max_length must hold the {tokenizer.frame.size(settings.pairs)} special tokens of a "
                f"row and 2 others. Received: max_length={settings.max_length}."
            )

    def __call__(self, part):
        """Write the shards of a part.

        Args:
            part: `Part`.
        Returns:
            dict: its `name`, the `sha256` of its text, the number of its
            `documents` and `sentences`, whether random texts had to come from a
            `single_document`, and the records of its `shards`.
        Raises:
            DataError: if the text is not UTF-8 or JSON.
        """
        tokens = self.encode(part)
        records = []
        for copy in range(self.settings.copies if tokens.own else 0):
            place = [self.settings.seed, part.group, part.number, copy]
            rng = np.random.default_rng(place)
            rows = plan_rows(self.settings.kind, tokens, self.budget, self.settings.short_rate, rng).shuffled(rng)
            if rows.starts.shape[-1]:
                name = f"{part.name}-{copy:02d}" if self.settings.copies > 1 else part.name
                shard = build_shard(tokens, rows, self.tokenizer)
                if self.settings.masking is not None:
                    shard = mask_shard(shard, self.vocabulary, self.settings.masking, [*place, 1])
                records.append(self.write(name, shard))
        sentences = int(tokens.documents[tokens.own])
        alone = self.settings.kind == "next_sentence" and len(tokens.documents) == 2
        counts = {"documents": tokens.own, "sentences": sentences, "single_document": alone}
        return {"name": part.name, "sha256": part.sha256, **counts, "shards": records}

    def segment(self):
        """Return the function that parts a paragraph into sentences; None where lines are sentences."""
        if self.segmenter is not None or self.settings.lines == "sentences":
            return self.segmenter
        return default_segmenter(self.settings.language)

    def encode(self, part):
        """Return the `DocumentTokens` of a part."""
        segment = self.segment()
        sentences, counts, own = [], [], 0
        for pieces in (part.pieces, part.others):
            own = len(counts)
            for piece in pieces:
                for document in documents_of(piece, self.settings.column, self.settings.errors):
                    found = document_sentences(document, self.settings.lines, segment)
                    sentences += found
                    counts.append(len(found))
        if self.tokenizer.kind != "WordPiece":  # which sees no spaces
            sentences = _spaced(sentences, counts, " " if self.tokenizer.kind == "BPE" else "")
        find = functools.partial(find_continuations, self.plain, self.settings.language)
        return encode_sentences(self.plain, sentences, counts, own, find if self.settings.whole_words else None)

    @functools.cached_property
    def plain(self):
        """The tokenizer, without special tokens."""
        return without_frame(self.tokenizer)

    def write(self, name, shard):
        """Write a shard and return its record."""
        if self.settings.file_format == "shards":
            return write_shard(self.directory / f"{name}.safetensors", shard)
        length = self.settings.max_length
        num_predictions = self.settings.masking.num_predictions(length)
        path = self.directory / f"{name}.tfrecord"
        return write_tfrecord(path, shard, length, num_predictions, self.tokenizer.pad_token_id)


def _spaced(sentences, counts, space):
    """Put `space`, and no other, before every sentence but the first of each document."""
    first = set(row_offsets(counts)[:-1].tolist())
    return [text.strip() if index in first else space + text.strip() for index, text in enumerate(sentences)]
