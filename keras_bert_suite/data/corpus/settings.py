"""What rows a corpus gets, and from what."""

import dataclasses
import re

from keras_bert_suite.data.corpus.decoding import ERRORS
from keras_bert_suite.data.corpus.manifest import PAIR_KINDS
from keras_bert_suite.data.corpus.sentences import LINES
from keras_bert_suite.data.masking import Masking
from keras_bert_suite.errors import check_choice, check_positive_int, check_rate

__all__ = ["DOCUMENTS", "FILE_FORMATS", "CorpusSettings"]

#: What is one document in a file of plain text.
DOCUMENTS = ("block", "line", "file")
#: What shards may be written as.
FILE_FORMATS = ("shards", "tfrecord")


@dataclasses.dataclass(frozen=True)
class CorpusSettings:
    """What rows a corpus gets, and from what.

    Args:
        kind: `"next_sentence"`: pairs, the second text being the next or a
            random one; `"sentence_order"`: pairs in order or swapped; or
            `"documents"`: pieces of one document each.
        max_length: int. Tokens of a row at most, special ones included.
        short_rate: optional float in [0, 1). How often shorter rows are aimed
            at. Defaults to 0.1 for pairs, else 0.
        copies: int. How often each text is used, each time paired anew.
        document: what is a document in plain text: `"block"` between blank
            lines, `"line"`, or `"file"`.
        lines: what a line is: `"wrapped"`, a part of a paragraph that a blank
            line ends; `"paragraphs"`; or `"sentences"`.
        column: str. Where JSON Lines and Parquet, which have one document a row, have its text.
        language: str, ISO 639 code. Whose rules part sentences; those of
            English where sentencex knows none for it.
        errors: `"strict"` to refuse what is not UTF-8, or `"replace"`.
        whole_words: bool. Whether shards tell which tokens begin a word, for
            masking; needed where the ids do not: in Chinese, and in byte-level
            vocabularies.
        masking: optional `data.masking.Masking`. Masks the tokens once and for all.
            Defaults to masking at training time.
        file_format: `"shards"`, or `"tfrecord"`: TFRecords with the features of
            google-research/bert, which are masked.
        seed: int, at least 0.
    """

    kind: str = "next_sentence"
    max_length: int = 128
    short_rate: float | None = None
    copies: int = 1
    document: str = "block"
    lines: str = "wrapped"
    column: str = "text"
    language: str = "en"
    errors: str = "strict"
    whole_words: bool = False
    masking: Masking | None = None
    file_format: str = "shards"
    seed: int = 0

    def __post_init__(self):
        subject = "build_corpus"
        check_choice(subject, "kind", self.kind, PAIR_KINDS)
        check_choice(subject, "document", self.document, DOCUMENTS)
        check_choice(subject, "lines", self.lines, LINES)
        check_choice(subject, "errors", self.errors, ERRORS)
        check_choice(subject, "file_format", self.file_format, FILE_FORMATS)
        check_positive_int(subject, max_length=self.max_length, copies=self.copies)
        if not re.fullmatch(r"[a-z]{2,3}([-_][A-Za-z0-9]+)*", self.language):
            raise ValueError(
                f"{subject}: language must be an ISO 639 code, such as 'en' or 'zh'. Received: "
                f"language={self.language!r}."
            )
        if self.short_rate is None:
            object.__setattr__(self, "short_rate", 0.1 if self.pairs else 0.0)
        check_rate(subject, short_rate=self.short_rate)
        if self.file_format == "tfrecord" and self.masking is None:
            object.__setattr__(self, "masking", Masking())
        if not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(f"{subject}: seed must be an int of at least 0. Received: seed={self.seed!r}.")

    @property
    def pairs(self):
        """bool: whether rows have two texts."""
        return self.kind != "documents"
