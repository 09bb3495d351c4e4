"""BERT, in all sizes and languages; Chinese whole-word-masking models and MacBERT are BERTs too."""

from keras_bert_suite.checkpoints.families.family import Family

__all__ = ["BERT", "BLOCKS", "FIELDS"]

#: What BERT's config.json shares with most of its descendants'.
FIELDS = (
    ("vocabulary_size", "vocab_size"),
    ("hidden_dim", "hidden_size"),
    ("num_layers", "num_hidden_layers"),
    ("num_heads", "num_attention_heads"),
    ("intermediate_dim", "intermediate_size"),
    ("max_length", "max_position_embeddings"),
    ("num_segments", "type_vocab_size"),
    ("activation", "hidden_act"),
    ("layer_norm_epsilon", "layer_norm_eps"),
    ("dropout_rate", "hidden_dropout_prob"),
    ("attention_dropout_rate", "attention_probs_dropout_prob"),
    ("initializer_range", "initializer_range"),
    ("pad_token_id", "pad_token_id"),
    ("heads.dropout_rate", "classifier_dropout"),
)

REQUIRED_VALUES = {"position_embedding_type": "absolute", "is_decoder": False, "add_cross_attention": False}

EMBEDDINGS = """
    embeddings/token                    embeddings.word_embeddings
    embeddings/segment                  embeddings.token_type_embeddings
    embeddings/position                 embeddings.position_embeddings
    embeddings/norm                     embeddings.LayerNorm
"""

BLOCKS = """
    block_{i}/self_attention/query      encoder.layer.{i}.attention.self.query
    block_{i}/self_attention/key        encoder.layer.{i}.attention.self.key
    block_{i}/self_attention/value      encoder.layer.{i}.attention.self.value
    block_{i}/self_attention/output     encoder.layer.{i}.attention.output.dense
    block_{i}/attention_norm            encoder.layer.{i}.attention.output.LayerNorm
    block_{i}/feed_forward/intermediate encoder.layer.{i}.intermediate.dense
    block_{i}/feed_forward/output       encoder.layer.{i}.output.dense
    block_{i}/output_norm               encoder.layer.{i}.output.LayerNorm
"""

POOLER = "pooler/dense                  pooler.dense"

CLASSIFIER = "classifier                classifier"

QUESTIONS = "answers                    qa_outputs"

BERT = Family(
    name="bert",
    class_name="Bert",
    prefix="bert.",
    fields=FIELDS,
    required_values=REQUIRED_VALUES,
    encoder=EMBEDDINGS + BLOCKS + POOLER,
    heads={
        "masked_lm": """
            masked_lm_transform/dense   cls.predictions.transform.dense
            masked_lm_transform/norm    cls.predictions.transform.LayerNorm
            masked_lm/kernel            cls.predictions.decoder.weight
            masked_lm/bias              cls.predictions.bias
        """,
        "next_sentence": "next_sentence cls.seq_relationship",
        "text_classifier": CLASSIFIER,
        "token_classifier": CLASSIFIER,
        "multiple_choice": CLASSIFIER,
        "question_answering": QUESTIONS,
    },
    pretraining=("masked_lm", "next_sentence"),
    aliases={"cls.predictions.decoder.bias": "cls.predictions.bias"},
)
