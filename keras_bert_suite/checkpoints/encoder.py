"""Loading and saving an encoder alone."""

from keras_bert_suite.checkpoints.hugging_face import Checkpoint, write_checkpoint
from keras_bert_suite.files import replaced_directory
from keras_bert_suite.models import build_encoder, encoder_config, find_encoder
from keras_bert_suite.source import resolve_source

__all__ = ["load_encoder", "save_encoder"]


def load_encoder(source, dtype=None):
    """Build the encoder of a checkpoint and load its weights.

    Heads are left aside. Where the checkpoint has no pooler, the pooler keeps
    new weights, and a warning says so.

    Args:
        source: str or path. A directory in the Hugging Face layout, or the name
            of an installed model, e.g. `"all-MiniLM-L6-v2"`.
        dtype: optional str or `keras.DTypePolicy`. Defaults to Keras' global policy.
    Returns:
        A `keras.Model` as `keras_bert_suite.models.build_encoder` returns it.
    Raises:
        CheckpointError: if the checkpoint is incomplete, damaged or not a BERT.
    """
    checkpoint = Checkpoint(resolve_source(source))
    encoder = build_encoder(checkpoint.encoder_config, dtype=dtype)
    checkpoint.load_into(encoder)
    return encoder


def save_encoder(encoder, directory, tokenizer=None, overwrite=False):
    """Write an encoder so that `transformers`' `BertModel` and `load_encoder` open it.

    Args:
        encoder: `keras.Model` made by `build_encoder`, or any model built on one.
        directory: str or path. Must be absent or empty unless `overwrite`.
        tokenizer: optional tokenizer, written beside it.
        overwrite: bool. Whether a directory already there may be replaced.
    """
    with replaced_directory(directory, overwrite) as written:
        write_checkpoint(written, find_encoder(encoder), encoder_config(encoder), "BertModel")
        if tokenizer is not None:
            tokenizer.save_pretrained(written)
