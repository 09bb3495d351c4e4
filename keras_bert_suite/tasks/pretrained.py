"""What every task does to open a checkpoint, and checks when an encoder and a tokenizer are put together."""

from keras_bert_suite.checkpoints import open_checkpoint
from keras_bert_suite.errors import CheckpointError
from keras_bert_suite.source import resolve_source
from keras_bert_suite.text import load_tokenizer

__all__ = ["allowed_length", "check_vocabulary", "open_pretrained", "own_values"]


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
