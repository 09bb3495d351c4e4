"""What a user hands over to be pretrained on: a corpus on disk, or texts, which become one in memory."""

import hashlib
from pathlib import Path

from keras_bert_suite.data import read_texts
from keras_bert_suite.data.corpus import Corpus, Shard
from keras_bert_suite.errors import DataError
from keras_bert_suite.text.windows import encode_windows

__all__ = ["TextCorpus", "open_corpus"]


def open_corpus(data, tokenizer, max_length, longest):
    """Open what was handed over as a corpus.

    Args:
        data: path of a directory that `kbs pretrain-data` made; path of a file of
            texts, as `data.read_texts` takes it; a list of str; or a corpus.
        tokenizer: `text.Tokenizer`.
        max_length: int. Tokens of the rows that texts are cut into.
        longest: int. Tokens that a row may have at most.
    Returns:
        `data.corpus.Corpus` or `TextCorpus`.
    Raises:
        DataError: if it is damaged, or has longer rows.
    """
    if isinstance(data, (list, tuple)):
        found = TextCorpus(data, tokenizer, max_length)
    elif not isinstance(data, (str, Path)):
        found = data
    elif Path(data).is_file():
        texts = [part for example in read_texts(data) for part in (example.text, example.text_b) if part]
        found = TextCorpus(texts, tokenizer, max_length, data)
    else:
        found = Corpus(data)
    if found.max_length > longest:
        raise DataError(
            f"rows must not be longer than the encoder has positions, {longest} tokens. Received: a corpus of rows "
            f"of up to {found.max_length}. Make it with a smaller max_length.",
            found.directory,
        )
    return found


class TextCorpus:
    """Texts that fit into memory, cut into rows; in all else as `data.corpus.Corpus`.

    Args:
        texts: list of str.
        tokenizer: `text.Tokenizer`.
        max_length: int. Tokens of a row at most.
        source: str or path that errors name.
    Raises:
        DataError: if there is no text.
    """

    kind = "documents"

    def __init__(self, texts, tokenizer, max_length, source="the texts"):
        texts = [text for text in texts if text.strip()]
        if not texts:
            raise DataError("there must be text to train on or to score. Received: none.", source)
        encoded = encode_windows(tokenizer, texts, max_length=max_length, stride=0).encoded
        self.directory = source
        self.max_length = max_length
        self.num_rows, self.num_tokens = len(encoded), len(encoded.token_ids)
        self._shard = Shard(encoded.token_ids, encoded.offsets, encoded.second_starts)
        digest = hashlib.sha256(encoded.token_ids.tobytes() + encoded.offsets.tobytes()).hexdigest()
        self.manifest = {"shards": [{"rows": self.num_rows, "tokens": self.num_tokens, "sha256": digest}]}

    def __len__(self):
        return 1

    def shard(self, index):
        """Return the one shard."""
        return self._shard
