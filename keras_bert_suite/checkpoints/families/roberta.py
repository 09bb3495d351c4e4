"""RoBERTa and the families of its making that differ from it in name only."""

from keras_bert_suite.checkpoints.families.bert import (
    BLOCKS,
    CLASSIFIER,
    EMBEDDINGS,
    FIELDS,
    POOLER,
    QUESTIONS,
    REQUIRED_VALUES,
)
from keras_bert_suite.checkpoints.families.family import Family

__all__ = ["CAMEMBERT", "ROBERTA", "XLM_ROBERTA"]

ROBERTA = Family(
    name="roberta",
    class_name="Roberta",
    prefix="roberta.",
    fields=FIELDS,
    defaults={"type_vocab_size": 2, "layer_norm_eps": 1e-12, "max_position_embeddings": 512},
    required_values=REQUIRED_VALUES,
    encoder=EMBEDDINGS + BLOCKS + POOLER,
    heads={
        "masked_lm": """
            masked_lm_transform/dense   lm_head.dense
            masked_lm_transform/norm    lm_head.layer_norm
            masked_lm/kernel            lm_head.decoder.weight
            masked_lm/bias              lm_head.bias
        """,
        "text_classifier": """
            head/dense                  classifier.dense
            classifier                  classifier.out_proj
        """,
        "token_classifier": CLASSIFIER,
        "multiple_choice": CLASSIFIER,
        "question_answering": QUESTIONS,
    },
    aliases={"lm_head.decoder.bias": "lm_head.bias"},
)

XLM_ROBERTA = ROBERTA.replace(name="xlm-roberta", class_name="XLMRoberta")

CAMEMBERT = ROBERTA.replace(name="camembert", class_name="Camembert")
