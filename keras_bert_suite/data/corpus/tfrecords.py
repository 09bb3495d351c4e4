"""A shard as a file of TFRecords with the features of google-research/bert."""

import errno
import os
from pathlib import Path

import numpy as np

from keras_bert_suite.data.corpus.examples import serialize_examples
from keras_bert_suite.data.corpus.shard import Shard, file_record
from keras_bert_suite.data.lines import check_file
from keras_bert_suite.data.masking import Masked, place_predictions
from keras_bert_suite.errors import DataError, require
from keras_bert_suite.files import replaced_file
from keras_bert_suite.text.ragged import row_offsets

__all__ = ["read_tfrecord", "write_tfrecord"]

#: The names of the features: the tokens of a row, what is masked in it, and what its pair is.
FEATURES = (
    "input_ids",
    "input_mask",
    "segment_ids",
    "masked_lm_positions",
    "masked_lm_ids",
    "masked_lm_weights",
    "next_sentence_labels",
)
#: Rows that are parsed, or padded, at a time.
ROWS = 1024


def _tensorflow(purpose):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return require("tensorflow", purpose)


def write_tfrecord(path, shard, max_length, num_predictions, pad_token_id=0):
    """Write a masked shard as a file of TFRecords, whole or not at all.

    Args:
        path: str or path.
        shard: `Shard` whose tokens are masked.
        max_length: int. Tokens to which rows are padded.
        num_predictions: int. Masked tokens to which rows are padded.
        pad_token_id: int.
    Returns:
        dict: the file's record in the manifest.
    Raises:
        ImportError: if TensorFlow is not installed.
    """
    tf = _tensorflow("Writing TFRecords")
    masked = Masked(shard.token_ids, shard.masked_positions.astype(np.int64), shard.masked_ids)
    predictions = place_predictions(masked, shard.offsets, num_predictions)
    labels = np.zeros(len(shard), np.int64) if shard.pair_labels is None else shard.pair_labels
    with replaced_file(path, "wb") as file:
        try:
            _write_examples(tf, file.name, shard.rows(pad_token_id), predictions, labels, max_length)
        except tf.errors.OpError as error:
            raise OSError(errno.EIO, error.message) from error
        data = Path(file.name).read_bytes()
    return file_record(path, shard, data)


def _write_examples(tf, path, rows, predictions, labels, max_length):
    with tf.io.TFRecordWriter(path) as writer:
        for first in range(0, len(rows), ROWS):
            chosen = slice(first, min(first + ROWS, len(rows)))
            padded = rows.pad(chosen, length=max_length)
            arrays = [padded["token_ids"], padded["padding_mask"], padded["segment_ids"]]
            arrays += [*(array[chosen] for array in predictions), labels[chosen, None]]
            for example in serialize_examples(dict(zip(FEATURES, arrays, strict=True))):
                writer.write(example)


def read_tfrecord(path):
    """Read a file of TFRecords as a shard.

    Args:
        path: str or path.
    Returns:
        `Shard` whose tokens are masked. Its segments say where second texts begin.
    Raises:
        DataError: if the file is damaged, or its examples lack a feature.
        ImportError: if TensorFlow is not installed.
    """
    tf = _tensorflow("Reading TFRecords")
    if "://" not in str(path):
        check_file(path)
    kinds = {name: tf.float32 if name == "masked_lm_weights" else tf.int64 for name in FEATURES}
    spec = {name: tf.io.RaggedFeature(kind) for name, kind in kinds.items()}
    batches = []
    try:
        for examples in tf.data.TFRecordDataset(str(path)).batch(ROWS):
            parsed = tf.io.parse_example(examples, spec)
            for name in FEATURES:
                if (parsed[name].row_lengths() == 0).numpy().any():
                    raise DataError(f"each example must have the feature {name}. Received: one without it.", path)
            arrays = {name: values.to_tensor().numpy() for name, values in parsed.items()}
            _check(arrays, path, sum(len(batch[0]) for batch in batches))
            batches.append(_flat(arrays))
    except tf.errors.OpError as error:
        raise DataError(f"cannot be read as TFRecords: {error.message}. Make the file anew.", path) from error
    if not batches:
        raise DataError("the file holds no examples.", path)
    lengths, second_starts, labels, token_ids, counts, positions, masked_ids = map(
        np.concatenate, zip(*batches, strict=True)
    )
    offsets = row_offsets(lengths)
    dtype = np.uint16 if max(token_ids.max(), masked_ids.max(initial=0)) < 1 << 16 else np.uint32
    places = positions + np.repeat(offsets[:-1], counts)
    return Shard(
        token_ids.astype(dtype),
        offsets,
        second_starts.astype(np.int32),
        labels.astype(np.uint8),
        masked_positions=places.astype(np.int32),
        masked_ids=masked_ids.astype(dtype),
    )


def _check(arrays, path, before):
    """Raise `DataError` where the features of some rows, `before` of the file, cannot be what they say."""
    mask = arrays["input_mask"] > 0
    lengths, chosen = mask.sum(axis=1), arrays["masked_lm_weights"] > 0
    places, segments = arrays["masked_lm_positions"], arrays["segment_ids"]
    wrong = {
        "input_ids must not be below 0": ((arrays["input_ids"] < 0) & mask).any(axis=1),
        "masked_lm_ids must not be below 0": ((arrays["masked_lm_ids"] < 0) & chosen).any(axis=1),
        "masked_lm_positions must be in the row": (((places < 0) | (places >= lengths[:, None])) & chosen).any(axis=1),
        "next_sentence_labels must be 0 or 1": ~np.isin(arrays["next_sentence_labels"][:, 0], (0, 1)),
        "segment_ids must be 0 and then 1": (
            ((segments != 0) & (segments != 1)) & mask | ((np.diff(segments, axis=1, prepend=0) < 0) & mask)
        ).any(axis=1),
    }
    for rule, rows in wrong.items():
        if rows.any():
            number = before + int(np.argmax(rows)) + 1
            raise DataError(f"{rule}. Received: example {number} with others. Make the file anew.", path)


def _flat(arrays):
    """Padded features of some rows as the parts of a shard."""
    mask = arrays["input_mask"].astype(bool)
    lengths = mask.sum(axis=1)
    second_starts = lengths - (arrays["segment_ids"] * mask).sum(axis=1)
    chosen = arrays["masked_lm_weights"] > 0
    return (
        lengths,
        second_starts,
        arrays["next_sentence_labels"][:, 0],
        arrays["input_ids"][mask],
        chosen.sum(axis=1),
        arrays["masked_lm_positions"][chosen],
        arrays["masked_lm_ids"][chosen],
    )
