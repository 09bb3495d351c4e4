"""DistilBERT: half of BERT's blocks, no segments, no pooler."""

from keras_bert_suite.checkpoints.families.bert import CLASSIFIER, QUESTIONS
from keras_bert_suite.checkpoints.families.family import Family

__all__ = ["DISTILBERT"]

CHOICE = """
    head/dense                          pre_classifier
    classifier                          classifier
"""

DISTILBERT = Family(
    name="distilbert",
    class_name="DistilBert",
    prefix="distilbert.",
    fields=(
        ("vocabulary_size", "vocab_size"),
        ("hidden_dim", "dim"),
        ("num_layers", "n_layers"),
        ("num_heads", "n_heads"),
        ("intermediate_dim", "hidden_dim"),
        ("max_length", "max_position_embeddings"),
        ("activation", "activation"),
        ("heads.token_dropout_rate", "dropout"),
        ("dropout_rate", "dropout"),  # after the head's: written, it counts
        ("attention_dropout_rate", "attention_dropout"),
        ("initializer_range", "initializer_range"),
        ("pad_token_id", "pad_token_id"),
        ("heads.dropout_rate", "seq_classif_dropout"),
        ("heads.question_dropout_rate", "qa_dropout"),
    ),
    encoder="""
    embeddings/token                    embeddings.word_embeddings
    embeddings/position                 embeddings.position_embeddings
    embeddings/norm                     embeddings.LayerNorm
    block_{i}/self_attention/query      transformer.layer.{i}.attention.q_lin
    block_{i}/self_attention/key        transformer.layer.{i}.attention.k_lin
    block_{i}/self_attention/value      transformer.layer.{i}.attention.v_lin
    block_{i}/self_attention/output     transformer.layer.{i}.attention.out_lin
    block_{i}/attention_norm            transformer.layer.{i}.sa_layer_norm
    block_{i}/feed_forward/intermediate transformer.layer.{i}.ffn.lin1
    block_{i}/feed_forward/output       transformer.layer.{i}.ffn.lin2
    block_{i}/output_norm               transformer.layer.{i}.output_layer_norm
    """,
    heads={
        "masked_lm": """
            masked_lm_transform/dense   vocab_transform
            masked_lm_transform/norm    vocab_layer_norm
            masked_lm/kernel            vocab_projector.weight
            masked_lm/bias              vocab_projector.bias
        """,
        "text_classifier": CHOICE,
        "token_classifier": CLASSIFIER,
        "multiple_choice": CHOICE,
        "question_answering": QUESTIONS,
    },
)
