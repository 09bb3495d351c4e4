"""Random models of `transformers` for every family and head, and what they compute."""

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

#: Unequal sizes, which show swapped axes; values that differ from every default.
SIZES = {
    "vocab_size": 31,
    "hidden_size": 12,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 19,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-3,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.2,
    "attention_probs_dropout_prob": 0.3,
    "initializer_range": 0.3,
}
DISTILBERT = {
    "vocab_size": 31, "dim": 12, "n_layers": 3, "n_heads": 3, "hidden_dim": 20, "max_position_embeddings": 19,
    "dropout": 0.2, "attention_dropout": 0.3, "qa_dropout": 0.15, "seq_classif_dropout": 0.25, "initializer_range": 0.3,
}  # fmt: skip
MODERNBERT = {
    "vocab_size": 31, "hidden_size": 12, "num_hidden_layers": 5, "num_attention_heads": 3, "intermediate_size": 20,
    "max_position_embeddings": 19, "local_attention": 6, "norm_eps": 1e-3, "mlp_dropout": 0.2, "attention_dropout": 0.1,
    "embedding_dropout": 0.15, "classifier_dropout": 0.25, "pad_token_id": 3, "bos_token_id": 1, "eos_token_id": 2,
    "cls_token_id": 1, "sep_token_id": 2, "initializer_range": 0.3,
}  # fmt: skip

#: A name for each variant -> (beginning of the classes' names, values of the config).
VARIANTS = {
    "bert": ("Bert", SIZES),
    "bert-tanh": ("Bert", {**SIZES, "hidden_act": "gelu_new", "type_vocab_size": 4, "pad_token_id": 5}),
    "roberta": ("Roberta", {**SIZES, "pad_token_id": 1, "type_vocab_size": 1}),
    "roberta-pad": ("Roberta", {**SIZES, "pad_token_id": 4, "hidden_act": "relu", "type_vocab_size": 2}),
    "xlm-roberta": ("XLMRoberta", {**SIZES, "pad_token_id": 1, "type_vocab_size": 1}),
    "camembert": ("Camembert", {**SIZES, "pad_token_id": 1, "type_vocab_size": 1}),
    "distilbert": ("DistilBert", DISTILBERT),
    "distilbert-relu": ("DistilBert", {**DISTILBERT, "activation": "relu"}),
    "albert": ("Albert", {**SIZES, "embedding_size": 8, "num_hidden_groups": 1, "classifier_dropout_prob": 0.25}),
    "albert-groups": (
        "Albert",
        {**SIZES, "embedding_size": 12, "num_hidden_groups": 2, "num_hidden_layers": 5, "hidden_act": "gelu_new"},
    ),
    "electra": ("Electra", {**SIZES, "embedding_size": 8}),
    "electra-wide": ("Electra", {**SIZES, "embedding_size": 12, "hidden_act": "relu"}),
    "modernbert": ("ModernBert", MODERNBERT),
    "modernbert-mean": (
        "ModernBert",
        {
            **MODERNBERT, "classifier_pooling": "mean", "norm_bias": True, "attention_bias": True, "mlp_bias": True,
            "classifier_bias": True, "classifier_activation": "relu", "hidden_activation": "silu",
            "global_attn_every_n_layers": 2, "local_attention": 4,
        },
    ),
}  # fmt: skip

#: Head -> end of the class's name.
HEADS = {
    "masked_lm": "ForMaskedLM",
    "text_classifier": "ForSequenceClassification",
    "token_classifier": "ForTokenClassification",
    "question_answering": "ForQuestionAnswering",
    "multiple_choice": "ForMultipleChoice",
}
CASES = [(variant, head) for variant in VARIANTS for head in HEADS]
CASES += [("bert", "next_sentence"), ("electra", "replaced_token"), ("electra-wide", "replaced_token")]
SPECIAL_CLASSES = {"next_sentence": "ForNextSentencePrediction", "replaced_token": "ForPreTraining"}


def class_ending(head):
    """How the name of the class with a head ends."""
    return HEADS.get(head) or SPECIAL_CLASSES[head]


def make_model(variant, ending, seed=7, **changes):
    """A random `transformers` model of a variant, every weight drawn, norms and biases too."""
    class_name, values = VARIANTS[variant]
    values = {**values, **changes}
    if ending in ("ForSequenceClassification", "ForTokenClassification"):
        values["num_labels"] = 5
    torch.manual_seed(seed)
    config = getattr(transformers, f"{class_name}Config")(**values, attn_implementation="eager")
    model = getattr(transformers, f"{class_name}{ending}")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def make_inputs(model, choices=None, seed=11):
    """Token arrays by our names: unequal lengths, a hole in a mask, ids of padding among the tokens."""
    config = model.config
    pad = config.pad_token_id
    rng = np.random.default_rng(seed)
    shape = (4, 11) if choices is None else (4, choices, 11)
    token_ids = rng.integers(6, 31, shape).astype("int32")
    mask = np.ones(shape, "int32")
    for row, length in enumerate((11, 8, 5, 1)):
        mask[row, ..., length:] = 0
    token_ids[mask == 0] = pad
    mask[0, ..., 4] = 0  # a hole: only the mask says so
    token_ids[1, ..., 3] = pad  # a padding id among tokens: only the ids say so
    segments = getattr(config, "type_vocab_size", 1) or 1
    segment_ids = rng.integers(0, segments, shape).astype("int32") * mask
    return {"token_ids": token_ids, "segment_ids": segment_ids, "padding_mask": mask}


def outside(model, inputs):
    """What `transformers` computes: hidden states or logits, as one array, or a dict of arrays."""
    given = {
        "input_ids": torch.tensor(inputs["token_ids"], dtype=torch.long),
        "attention_mask": torch.tensor(inputs["padding_mask"], dtype=torch.long),
    }
    if getattr(model.config, "type_vocab_size", 0):
        given["token_type_ids"] = torch.tensor(inputs["segment_ids"], dtype=torch.long)
    with torch.no_grad():
        outputs = model(**given)
    if "start_logits" in outputs:
        return torch.stack([outputs.start_logits, outputs.end_logits], dim=-1).numpy()
    return outputs.logits.numpy() if "logits" in outputs else outputs


def difference(ours, theirs, mask):
    """The largest difference; of outputs for single tokens, at real tokens only."""
    ours, theirs = np.asarray(ours, "float32"), np.asarray(theirs, "float32")
    if ours.ndim == theirs.ndim + 1:
        ours = ours[..., 0]
    assert ours.shape == theirs.shape
    gap = np.abs(ours - theirs)
    if gap.ndim >= 2 and gap.shape[:2] == mask.shape:
        gap = gap[mask.astype(bool)]
    return float(gap.max())


def predict(model, inputs):
    return keras.tree.map_structure(keras.ops.convert_to_numpy, model.predict_on_batch(inputs))


def outside_both(model, inputs):
    with torch.no_grad():
        outputs = model(
            input_ids=torch.tensor(inputs["token_ids"], dtype=torch.long),
            attention_mask=torch.tensor(inputs["padding_mask"], dtype=torch.long),
            token_type_ids=torch.tensor(inputs["segment_ids"], dtype=torch.long),
        )
    return outputs[0].numpy(), outputs[1].numpy()
