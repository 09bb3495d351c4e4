"""ALBERT: narrow embeddings, and blocks that are used for many layers."""

from keras_bert_suite.checkpoints.families.bert import CLASSIFIER, EMBEDDINGS, FIELDS, QUESTIONS, REQUIRED_VALUES
from keras_bert_suite.checkpoints.families.family import Family

__all__ = ["ALBERT"]

GROUP = "encoder.albert_layer_groups.{i}.albert_layers.0"

ALBERT = Family(
    name="albert",
    class_name="Albert",
    prefix="albert.",
    fields=(
        *(field for field in FIELDS if field[1] != "classifier_dropout"),
        ("heads.dropout_rate", "classifier_dropout_prob"),
        ("embedding_dim", "embedding_size"),
        ("num_groups", "num_hidden_groups"),
    ),
    defaults={"embedding_size": 128, "hidden_act": "gelu_new"},
    required_values={**REQUIRED_VALUES, "inner_group_num": 1},
    encoder=f"""
    {EMBEDDINGS}
    embeddings/projection               encoder.embedding_hidden_mapping_in
    block_{{i}}/self_attention/query      {GROUP}.attention.query
    block_{{i}}/self_attention/key        {GROUP}.attention.key
    block_{{i}}/self_attention/value      {GROUP}.attention.value
    block_{{i}}/self_attention/output     {GROUP}.attention.dense
    block_{{i}}/attention_norm            {GROUP}.attention.LayerNorm
    block_{{i}}/feed_forward/intermediate {GROUP}.ffn
    block_{{i}}/feed_forward/output       {GROUP}.ffn_output
    block_{{i}}/output_norm               {GROUP}.full_layer_layer_norm
    pooler/dense                        pooler
    """,
    heads={
        "masked_lm": """
            masked_lm_transform/dense   predictions.dense
            masked_lm_transform/norm    predictions.LayerNorm
            masked_lm/kernel            predictions.decoder.weight
            masked_lm/bias              predictions.bias
        """,
        "sentence_order": "sentence_order sop_classifier.classifier",
        "text_classifier": CLASSIFIER,
        "token_classifier": CLASSIFIER,
        "multiple_choice": CLASSIFIER,
        "question_answering": QUESTIONS,
    },
    pretraining=("masked_lm", "sentence_order"),
    aliases={"predictions.decoder.bias": "predictions.bias"},
)
