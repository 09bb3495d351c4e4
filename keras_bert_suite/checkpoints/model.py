"""Loading and saving whole models: an encoder alone, or with a head."""

import logging

from keras_bert_suite.checkpoints.checkpoint import HEADS
from keras_bert_suite.checkpoints.hugging_face import write_hugging_face
from keras_bert_suite.checkpoints.open import open_checkpoint
from keras_bert_suite.checkpoints.transfer import from_model, load_weights
from keras_bert_suite.errors import CheckpointError, check_choice
from keras_bert_suite.files import replaced_directory
from keras_bert_suite.models import (
    build_encoder,
    build_masked_lm,
    build_multiple_choice,
    build_next_sentence,
    build_question_answering,
    build_replaced_token,
    build_sentence_order,
    build_text_classifier,
    build_token_classifier,
    find_encoder,
)

__all__ = ["build_with_head", "load_encoder", "load_head", "load_model", "save_encoder", "save_model"]

logger = logging.getLogger(__name__)

#: Head -> the builder of a model that has it.
BUILDERS = {
    "masked_lm": build_masked_lm,
    "next_sentence": build_next_sentence,
    "sentence_order": build_sentence_order,
    "replaced_token": build_replaced_token,
    "text_classifier": build_text_classifier,
    "token_classifier": build_token_classifier,
    "multiple_choice": build_multiple_choice,
    "question_answering": build_question_answering,
}


def load_encoder(source, dtype=None, revision=None):
    """Build the encoder of a checkpoint and load its weights.

    Heads are left aside. Where the family has a pooler and the checkpoint has
    none, the pooler has new weights, and a warning says so.

    Args:
        source: str or path. A directory in any format that `open_checkpoint`
            knows, the name of an installed model, e.g. `"all-MiniLM-L6-v2"`, or
            of one on the Hugging Face Hub, e.g. `"google-bert/bert-base-cased"`.
        dtype: optional str or `keras.DTypePolicy`; `"auto"` is the type of the
            stored weights. Defaults to Keras' global policy.
        revision: optional str. Branch, tag or commit on the Hub.
    Returns:
        A `keras.Model` as `keras_bert_suite.models.build_encoder` returns it.
    Raises:
        CheckpointError: if the checkpoint is incomplete, damaged or of a family
            that is not supported.
    """
    checkpoint = open_checkpoint(source, revision=revision)
    return load_weights(checkpoint, lambda: build_encoder(checkpoint.config, checkpoint.policy(dtype)))[0]


def load_model(source, head, *, num_labels=None, replace_head=False, dtype=None, revision=None):
    """Build a model with a head and load the weights of both.

    Where the checkpoint has no such head, it has new weights, and a warning says so.

    Args:
        source, dtype, revision: as in `load_encoder`.
        head: str: `"masked_lm"`, `"next_sentence"`, `"sentence_order"`,
            `"replaced_token"`, `"text_classifier"`, `"token_classifier"`,
            `"multiple_choice"` or `"question_answering"`.
        num_labels: optional int. Outputs of a classifier of texts or tokens.
            Needed only where the checkpoint has none.
        replace_head: bool. Whether to start from a new head although the
            checkpoint has one.
    Returns:
        A `keras.Model` as the builder of that head returns it.
    Raises:
        CheckpointError: if the checkpoint is incomplete or damaged, or its head
            has another size than `num_labels`.
    """
    return load_head(open_checkpoint(source, revision=revision), head, num_labels, replace_head, dtype)[0]


def load_head(checkpoint, head, num_labels=None, replace_head=False, dtype=None):
    """As `load_model`, of an open `Checkpoint`; returns `(model, new_parts)` as `load_weights` does."""
    check_choice("load_model", "head", head, tuple(HEADS))
    stored = head in checkpoint.heads and not replace_head
    if head in ("text_classifier", "token_classifier"):
        if stored and num_labels not in (None, checkpoint.num_outputs(head)):
            raise CheckpointError(
                f"{checkpoint.path}: its head has {checkpoint.num_outputs(head)} outputs. Received: num_labels="
                f"{num_labels}. Leave num_labels out, or pass replace_head=True to start from a new head."
            )
        num_labels = checkpoint.num_outputs(head) if stored else num_labels
        if num_labels is None:
            raise ValueError(f"{checkpoint.path} has no {head}: num_labels is needed for a new one.")
    crf = stored and "crf/transitions" in checkpoint.weights
    model, new_parts = load_weights(
        checkpoint,
        lambda: build_with_head(checkpoint.config, head, num_labels, checkpoint.tied, checkpoint.policy(dtype), crf),
        new=() if not replace_head else HEADS[head],
    )
    return model, new_parts


def build_with_head(config, head, num_labels=None, tied=True, dtype=None, crf=False):
    """Build a new model of `config` with a head out of `HEADS`."""
    options = {"text_classifier": {"num_labels": num_labels}}
    options["token_classifier"] = {"num_labels": num_labels, "crf": crf}
    options["masked_lm"] = {"tied": tied}
    return BUILDERS[head](build_encoder(config, dtype), **options.get(head, {}))


def save_encoder(encoder, directory, tokenizer=None, overwrite=False):
    """Write an encoder, without any head, in the Hugging Face layout.

    Args:
        encoder: `keras.Model` made by `build_encoder`, or any model built on one.
        directory, tokenizer, overwrite: as in `save_model`.
    """
    save_model(find_encoder(encoder), directory, tokenizer=tokenizer, overwrite=overwrite)


def save_model(model, directory, *, labels=None, tokenizer=None, overwrite=False):
    """Write a model in the Hugging Face layout: `transformers` opens it, and `load_model` does.

    Args:
        model: `keras.Model`: an encoder, or what a builder of this package made of one.
        directory: str or path. Must be absent or empty unless `overwrite`.
        labels: optional list of str: what a classifier's outputs mean.
        tokenizer: optional tokenizer, written beside it.
        overwrite: bool. Whether a directory already there may be replaced.
    """
    with replaced_directory(directory, overwrite) as written:
        write_hugging_face(written, from_model(model, path=directory, labels=labels))
        if tokenizer is not None:
            tokenizer.save_pretrained(written)
