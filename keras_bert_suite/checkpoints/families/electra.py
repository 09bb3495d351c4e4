"""ELECTRA: a BERT without pooler, trained as a discriminator; its generator is one too."""

from keras_bert_suite.checkpoints.families.bert import (
    BLOCKS,
    CLASSIFIER,
    EMBEDDINGS,
    FIELDS,
    QUESTIONS,
    REQUIRED_VALUES,
)
from keras_bert_suite.checkpoints.families.family import Family

__all__ = ["ELECTRA"]


def _read(values, json_values):
    """A projection exists only where the embeddings have another width."""
    if values["embedding_dim"] == values["hidden_dim"]:
        values["embedding_dim"] = None
    return values


def _write(json_values, config):
    return {**json_values, "embedding_size": config.embedding_dim or config.hidden_dim}


ELECTRA = Family(
    name="electra",
    class_name="Electra",
    prefix="electra.",
    fields=(*FIELDS, ("embedding_dim", "embedding_size")),
    defaults={"embedding_size": 128},
    required_values={
        **REQUIRED_VALUES,
        "summary_type": "first",
        "summary_use_proj": True,
        "summary_activation": "gelu",
    },
    encoder=EMBEDDINGS + "embeddings/projection embeddings_project" + BLOCKS,
    heads={
        "masked_lm": """
            masked_lm_transform/dense   generator_predictions.dense
            masked_lm_transform/norm    generator_predictions.LayerNorm
            masked_lm/kernel            generator_lm_head.weight
            masked_lm/bias              generator_lm_head.bias
        """,
        "replaced_token": """
            replaced_token_transform/dense discriminator_predictions.dense
            replaced_token              discriminator_predictions.dense_prediction
        """,
        "text_classifier": """
            head/dense                  classifier.dense
            classifier                  classifier.out_proj
        """,
        "token_classifier": CLASSIFIER,
        "multiple_choice": """
            head/dense                  sequence_summary.summary
            classifier                  classifier
        """,
        "question_answering": QUESTIONS,
    },
    pretraining=("replaced_token",),
    read=_read,
    write=_write,
)
