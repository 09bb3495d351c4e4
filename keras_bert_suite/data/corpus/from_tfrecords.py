"""A corpus from TFRecords that were made elsewhere."""

import os

import numpy as np

from keras_bert_suite.data.corpus.manifest import PAIR_KINDS, Corpus, tokenizer_record, write_manifest
from keras_bert_suite.data.corpus.shard import write_shard
from keras_bert_suite.data.corpus.tfrecords import read_tfrecord
from keras_bert_suite.errors import DataError, check_choice
from keras_bert_suite.files import check_free, replaced_directory

__all__ = ["convert_tfrecords"]


def convert_tfrecords(files, tokenizer, directory, kind="next_sentence", overwrite=False):
    """Turn files of TFRecords, of google-research/bert or of `build_corpus`, into a corpus of shards.

    Args:
        files: sequence of str or path. One shard is made of each.
        tokenizer: `text.Tokenizer` that they were made with. It is saved beside the shards.
        directory: str or path. Where the corpus goes.
        kind: what `next_sentence_labels` tell: `"next_sentence"` or `"sentence_order"`.
        overwrite: bool. Whether what is in `directory` may be replaced.
    Returns:
        `Corpus`.
    Raises:
        DataError: if a file is damaged, or was made with another vocabulary.
    """
    check_choice("convert_tfrecords", "kind", kind, PAIR_KINDS[:2])
    check_free(directory, overwrite)
    files = [files] if isinstance(files, (str, os.PathLike)) else files
    with replaced_directory(directory, overwrite) as temporary:
        tokenizer.save_pretrained(temporary)
        records, longest = [], 0
        for number, path in enumerate(files):
            shard = read_tfrecord(path)
            largest = max(int(ids.max(initial=0)) for ids in (shard.token_ids, shard.masked_ids))
            if largest >= tokenizer.vocab_size:
                raise DataError(
                    f"ids must be below {tokenizer.vocab_size}, the size of the vocabulary. Received: {largest}. "
                    "Use the tokenizer that the file was made with.",
                    path,
                )
            longest = max(longest, int(np.diff(shard.offsets).max()))
            records.append(write_shard(temporary / f"{number:06d}.safetensors", shard))
        if not records:
            raise DataError("a corpus needs at least one file of TFRecords. Received: none.")
        write_manifest(
            temporary, {"kind": kind, "max_length": longest, "tokenizer": tokenizer_record(tokenizer)}, records
        )
    return Corpus(directory)
