"""What every task does to open a checkpoint, and checks when an encoder and a tokenizer are put together."""

from keras_bert_suite.checkpoints import open_checkpoint
from keras_bert_suite.errors import CheckpointError
from keras_bert_suite.source import resolve_source
from keras_bert_suite.text import load_tokenizer

__all__ = ["allowed_length", "check_vocabulary", "head_labels", "open_pretrained", "own_values"]


def open_pretrained(source, revision=None):
    """Open a checkpoint and the tokenizer beside it.

    Args:
        source: str or path, as `checkpoints.open_checkpoint` takes it.
        revision: optional str. Branch, tag or commit on the Hub.
    Returns:
        `(checkpoint, tokenizer)`: `Checkpoint` and `text.Tokenizer`.
    Raises:
        CheckpointError: if the checkpoint is incomplete or damaged, or the
            tokenizer is not the one that it was trained with.
        DataError: if the tokenizer is missing or damaged.
    """
    directory = resolve_source(source, revision)
    checkpoint = open_checkpoint(directory)
    tokenizer = load_tokenizer(directory)
    check_vocabulary(tokenizer, checkpoint.config, directory)
    return checkpoint, tokenizer


def head_labels(checkpoint, head, labels=None):
    """Return the names of the outputs of a checkpoint's head, held against the names asked for.

    Args:
        checkpoint: `Checkpoint` that has the head.
        head: str out of `checkpoints.HEADS`.
        labels: optional sequence of str. Where the checkpoint names none, they are its names.
    Raises:
        CheckpointError: if the head has other labels, or config.json another number of them.
    """
    count = checkpoint.num_outputs(head)
    unnamed = [f"LABEL_{index}" for index in range(count)]
    stored = checkpoint.labels or unnamed
    if len(stored) != count:
        raise CheckpointError(
            f"{checkpoint.path}: config.json names {len(stored)} labels, but the head has {count} outputs. "
            "Correct id2label."
        )
    labels = None if labels is None else list(labels)
    if labels in (None, stored):
        return stored
    if stored == unnamed and len(labels) == count:
        return labels
    raise CheckpointError(
        f"{checkpoint.path}: its head was trained for the labels {stored}. Received: labels={labels}. "
        "Leave labels out to use its own, or pass replace_head=True to train a new head."
    )


def own_values(checkpoint):
    """Return what this package wrote about a task into a checkpoint's config: a dict, empty where it did not."""
    values = checkpoint.values.get("keras_bert_suite")
    return values if isinstance(values, dict) else {}


def check_vocabulary(tokenizer, config, source):
    """Raise unless a tokenizer's vocabulary can be the one that an encoder was trained with.

    Encoders often have a few rows more than there are tokens, never fewer.

    Args:
        tokenizer: `text.Tokenizer`.
        config: `EncoderConfig`.
        source: str or path that the error names.
    Raises:
        CheckpointError: if there are more tokens than embeddings, or far fewer.
    """
    if not 0.9 * config.vocabulary_size <= tokenizer.vocab_size <= config.vocabulary_size:
        raise CheckpointError(
            f"{source}: the tokenizer has {tokenizer.vocab_size} tokens, the encoder {config.vocabulary_size} "
            "embeddings. Use the vocabulary that the encoder was trained with."
        )


def allowed_length(subject, tokenizer, config, max_length=None):
    """Return the most tokens that a task may take: `max_length`, or what encoder and tokenizer allow.

    Raises:
        ValueError: if `max_length` is out of the encoder's range.
    """
    if max_length is None:
        return min(config.max_length, tokenizer.max_length or config.max_length)
    if not 3 <= max_length <= config.max_length:
        raise ValueError(
            f"{subject}: max_length must be from 3 to {config.max_length}, the encoder's longest sequence. "
            f"Received: max_length={max_length}."
        )
    return max_length
