"""Every layer keeps the rules of STYLE.md and gives the numbers of `transformers`."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_bert_suite import layers
from keras_bert_suite.layers import (
    Embeddings,
    EncoderBlock,
    EncoderRecord,
    FeedForward,
    Fold,
    Pooler,
    Pooling,
    PreNormBlock,
    SelfAttention,
    TakePositions,
    Transform,
    Unfold,
    VocabularyLogits,
)
from keras_bert_suite.layers.base import truncated_normal
from tests.support.golden import GOLDEN_ACTIVATIONS, layers_golden, load_golden
from tests.support.layer_checks import check_layer, numpy_of

each_activation = pytest.mark.parametrize("activation", GOLDEN_ACTIVATIONS)
FIRST_BLOCK = "bert.encoder.layer.0"
BLOCK = {
    "self_attention/query": "attention.self.query",
    "self_attention/key": "attention.self.key",
    "self_attention/value": "attention.self.value",
    "self_attention/output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "feed_forward/intermediate": "intermediate.dense",
    "feed_forward/output": "output.dense",
    "output_norm": "output.LayerNorm",
}


def weights_of(golden, names):
    """Golden weights by the ends of our paths; written apart from the package's own name table on purpose."""
    found = {}
    for ours, theirs in names.items():
        weight, bias = golden.weights[f"{theirs}.weight"], golden.weights[f"{theirs}.bias"]
        if weight.ndim == 2:
            found |= {f"{ours}/kernel": weight.T, f"{ours}/bias": bias}
        else:
            found |= {f"{ours}/gamma": weight, f"{ours}/beta": bias}
    return found


@each_activation
def test_embeddings(activation, tmp_path):
    golden = load_golden(activation)
    tables = {"token": "word", "segment": "token_type", "position": "position"}
    weights = {
        f"{ours}/embeddings": golden.weights[f"bert.embeddings.{theirs}_embeddings.weight"]
        for ours, theirs in tables.items()
    }
    check_layer(
        Embeddings,
        {
            "vocabulary_size": 31,
            "hidden_dim": 12,
            "max_length": 17,
            "num_segments": 2,
            "embedding_dim": None,
            "positions": "learned",
            "pad_token_id": 0,
            "layer_norm_epsilon": 1e-5,
            "norm_bias": True,
            "dropout_rate": 0.2,
            "initializer_range": 0.03,
        },
        {name: golden.inputs[name] for name in ("token_ids", "segment_ids")},
        weights | weights_of(golden, {"norm": "bert.embeddings.LayerNorm"}),
        golden.outputs["embeddings"],
        tmp_path,
    )


@each_activation
def test_self_attention(activation, tmp_path):
    golden = load_golden(activation)
    names = {name.split("/")[1]: f"{FIRST_BLOCK}.{theirs}" for name, theirs in list(BLOCK.items())[:4]}
    check_layer(
        SelfAttention,
        {
            "hidden_dim": 12,
            "num_heads": 3,
            "dropout_rate": 0.2,
            "use_bias": True,
            "rotary_base": None,
            "local_window": None,
            "initializer_range": 0.03,
        },
        {"hidden_states": golden.outputs["embeddings"], "padding_mask": golden.inputs["padding_mask"]},
        weights_of(golden, names),
        golden.outputs["self_attention"],
        tmp_path,
        unlearnable=["key/bias"],
    )


@each_activation
def test_feed_forward(activation, tmp_path):
    golden = load_golden(activation)
    names = {"intermediate": f"{FIRST_BLOCK}.intermediate.dense", "output": f"{FIRST_BLOCK}.output.dense"}
    check_layer(
        FeedForward,
        {
            "hidden_dim": 12,
            "intermediate_dim": 20,
            "activation": activation,
            "gated": False,
            "use_bias": True,
            "dropout_rate": 0.2,
            "initializer_range": 0.03,
        },
        {"hidden_states": golden.outputs["attention_norm"]},
        weights_of(golden, names),
        golden.outputs["feed_forward"],
        tmp_path,
    )


@each_activation
def test_encoder_block(activation, tmp_path):
    golden = load_golden(activation)
    check_layer(
        EncoderBlock,
        {
            "hidden_dim": 12,
            "num_heads": 3,
            "intermediate_dim": 20,
            "activation": activation,
            "layer_norm_epsilon": 1e-5,
            "dropout_rate": 0.2,
            "attention_dropout_rate": 0.3,
            "initializer_range": 0.03,
        },
        {"hidden_states": golden.outputs["embeddings"], "padding_mask": golden.inputs["padding_mask"]},
        weights_of(golden, {ours: f"{FIRST_BLOCK}.{theirs}" for ours, theirs in BLOCK.items()}),
        golden.outputs["block_0"],
        tmp_path,
        unlearnable=["key/bias"],
    )


@each_activation
def test_pooler(activation, tmp_path):
    golden = load_golden(activation)
    check_layer(
        Pooler,
        {"hidden_dim": 12, "initializer_range": 0.03},
        {"hidden_states": golden.outputs["sequence_output"]},
        weights_of(golden, {"dense": "bert.pooler.dense"}),
        golden.outputs["pooled_output"],
        tmp_path,
    )


#: Case of the golden file -> what tells ModernBERT's layers apart.
BLOCKS = {
    "first": {"normalize_input": False, "rotary_base": 160_000.0, "local_window": None},
    "local": {"normalize_input": True, "rotary_base": 10_000.0, "local_window": 4},
    "global": {"normalize_input": True, "rotary_base": 160_000.0, "local_window": None},
    "biased": {"normalize_input": True, "rotary_base": 10_000.0, "local_window": 4},
}
SILU_WITH_BIASES = ("biased",)


def weights_in(group, names, bias=True):
    """Weights of a group of layers.npz by the ends of our paths: gammas where one-dimensional, kernels where not."""
    _, weights, _ = layers_golden()
    found = {}
    for ours, theirs in names.items():
        weight = weights[f"{group}/{theirs}weight"]
        found[f"{ours}/{'gamma' if weight.ndim == 1 else 'kernel'}"] = weight.T
        if bias:
            found[f"{ours}/{'beta' if weight.ndim == 1 else 'bias'}"] = weights[f"{group}/{theirs}bias"]
    return found


def inputs_of(*names):
    inputs, _, _ = layers_golden()
    return {name: inputs[name] for name in names}


def golden_output(case):
    return layers_golden()[2][case]


def modernbert_attention(bias):
    """Its one matrix for queries, keys and values, in three."""
    fused = weights_in("block", {"qkv": "attn.Wqkv.", "output": "attn.Wo."}, bias)
    parts = {part: np.split(fused.pop(f"qkv/{part}"), 3, axis=-1) for part in ("kernel", "bias")[: 1 + bias]}
    named = {
        f"{name}/{part}": arrays[index]
        for part, arrays in parts.items()
        for index, name in enumerate(("query", "key", "value"))
    }
    return fused | named


def modernbert_feed_forward(bias):
    return weights_in("block", {"intermediate": "mlp.Wi.", "output": "mlp.Wo."}, bias)


@pytest.mark.parametrize("case", BLOCKS)
def test_rotary_and_local_attention(case, tmp_path):
    bias = case in SILU_WITH_BIASES
    check_layer(
        SelfAttention,
        {
            "hidden_dim": 12,
            "num_heads": 3,
            "dropout_rate": 0.2,
            "use_bias": bias,
            "rotary_base": BLOCKS[case]["rotary_base"],
            "local_window": BLOCKS[case]["local_window"],
            "initializer_range": 0.03,
        },
        inputs_of("hidden_states", "padding_mask"),
        modernbert_attention(bias),
        golden_output(f"attention_{case}"),
        tmp_path,
        positional=True,
    )


@pytest.mark.parametrize("case", ["global", "biased"])
def test_gated_feed_forward(case, tmp_path):
    bias = case in SILU_WITH_BIASES
    check_layer(
        FeedForward,
        {
            "hidden_dim": 12,
            "intermediate_dim": 20,
            "activation": "silu" if bias else "gelu",
            "gated": True,
            "use_bias": bias,
            "dropout_rate": 0.2,
            "initializer_range": 0.03,
        },
        inputs_of("hidden_states"),
        modernbert_feed_forward(bias),
        golden_output(f"feed_forward_{case}"),
        tmp_path,
    )


@pytest.mark.parametrize("case", BLOCKS)
def test_pre_norm_block(case, tmp_path):
    bias = case in SILU_WITH_BIASES
    norms = {"feed_forward_norm": "mlp_norm."}
    if BLOCKS[case]["normalize_input"]:
        norms["attention_norm"] = "attn_norm."
    check_layer(
        PreNormBlock,
        {
            "hidden_dim": 12,
            "num_heads": 3,
            "intermediate_dim": 20,
            "activation": "silu" if bias else "gelu",
            "layer_norm_epsilon": 1e-3,
            "norm_bias": bias,
            "attention_bias": bias,
            "feed_forward_bias": bias,
            "dropout_rate": 0.2,
            "attention_dropout_rate": 0.3,
            "initializer_range": 0.03,
            **BLOCKS[case],
        },
        inputs_of("hidden_states", "padding_mask"),
        {
            **{f"self_attention/{name}": array for name, array in modernbert_attention(bias).items()},
            **{f"feed_forward/{name}": array for name, array in modernbert_feed_forward(bias).items()},
            **weights_in("block", norms, bias),
        },
        golden_output(f"block_{case}"),
        tmp_path,
        positional=True,
    )


#: Case of the golden file -> (group of weights, arguments of ours, their names for the tables and the norm).
BERT_NAMES = {
    "token": "word_embeddings.",
    "segment": "token_type_embeddings.",
    "position": "position_embeddings.",
    "norm": "LayerNorm.",
}
EMBEDDINGS = {
    "after_padding": ("roberta", {"positions": "after_padding", "pad_token_id": 4}, BERT_NAMES),
    "narrow": ("albert", {"embedding_dim": 8}, BERT_NAMES),
    "rotary": (
        "modernbert",
        {"positions": "rotary", "num_segments": 0, "norm_bias": False},
        {"token": "tok_embeddings.", "norm": "norm."},
    ),
    "no_segments": (
        "distilbert",
        {"num_segments": 0, "layer_norm_epsilon": 1e-12},
        {name: BERT_NAMES[name] for name in ("token", "position", "norm")},
    ),
}


def embeddings_case(case):
    """Every argument of the layer, and its golden weights."""
    group, changes, names = EMBEDDINGS[case]
    arguments = {
        "vocabulary_size": 31,
        "hidden_dim": 12,
        "max_length": 17,
        "num_segments": 2,
        "embedding_dim": None,
        "positions": "learned",
        "pad_token_id": 0,
        "layer_norm_epsilon": 1e-3,
        "norm_bias": True,
        "dropout_rate": 0.2,
        "initializer_range": 0.03,
        **changes,
    }
    _, stored, _ = layers_golden()
    tables = {ours: stored[f"{group}/{theirs}weight"] for ours, theirs in names.items() if ours != "norm"}
    weights = {f"{ours}/embeddings": table for ours, table in tables.items()}
    weights |= weights_in(group, {"norm": names["norm"]}, arguments["norm_bias"])
    if arguments["embedding_dim"]:
        weights |= weights_in("albert_mapping", {"projection": ""})
    return arguments, weights


@pytest.mark.parametrize("case", EMBEDDINGS)
def test_embeddings_of_other_families(case, tmp_path):
    arguments, weights = embeddings_case(case)
    check_layer(
        Embeddings,
        arguments,
        inputs_of("token_ids", "segment_ids"),
        weights,
        golden_output(f"embeddings_{case}"),
        tmp_path,
    )


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("case", EMBEDDINGS)
def test_the_table_of_embeddings(case, policy):
    arguments, weights = embeddings_case(case)
    layer = Embeddings(**arguments, dtype=policy)
    ids = inputs_of("token_ids")["token_ids"]
    layer.build(ids.shape)
    layer.token.embeddings.assign(weights["token/embeddings"])
    table = layer(ids, return_table=True)
    symbolic = layer(keras.Input((None,), dtype="int32"), return_table=True)
    assert tuple(symbolic.shape) == tuple(table.shape) == (31, 8 if case == "narrow" else 12)
    assert tuple(table.shape) == layer.compute_output_shape(ids.shape, return_table=True)
    assert keras.backend.standardize_dtype(table.dtype) == symbolic.dtype == layer.compute_dtype
    found = numpy_of(keras.ops.cast(table, "float32"))
    np.testing.assert_allclose(found, weights["token/embeddings"], rtol=0 if policy == "float32" else 1e-2, atol=0)


@pytest.mark.parametrize(
    ("case", "changes", "group", "names"),
    [
        (
            "transform",
            {"activation": "gelu_tanh"},
            "masked_lm",
            {"dense": "transform.dense.", "norm": "transform.LayerNorm."},
        ),
        (
            "transform_no_bias",
            {"activation": "gelu", "use_bias": False, "norm_bias": False},
            "head",
            {"dense": "dense.", "norm": "norm."},
        ),
    ],
)
def test_transform(case, changes, group, names, tmp_path):
    arguments = {"units": 12, "layer_norm_epsilon": 1e-3, "use_bias": True, "norm_bias": True, **changes}
    check_layer(
        Transform,
        {**arguments, "initializer_range": 0.03},
        {"features": inputs_of("hidden_states")["hidden_states"]},
        weights_in(group, names, bias=arguments["use_bias"]),
        golden_output(case),
        tmp_path,
    )


def test_transform_without_a_norm(tmp_path):
    """Its numbers are those of the pooler, which is such a layer."""
    golden = load_golden("gelu")
    check_layer(
        Transform,
        {
            "units": 12,
            "activation": "tanh",
            "layer_norm_epsilon": None,
            "use_bias": True,
            "norm_bias": True,
            "initializer_range": 0.03,
        },
        {"features": golden.outputs["sequence_output"][:, 0]},
        weights_of(golden, {"dense": "bert.pooler.dense"}),
        golden.outputs["pooled_output"],
        tmp_path,
    )


@pytest.mark.parametrize("tied", [False, True])
def test_vocabulary_logits(tied, tmp_path):
    given, weights, outputs = layers_golden()
    decoder = weights["masked_lm/decoder.weight"]
    inputs = {"features": given["hidden_states"], **({"table": decoder} if tied else {})}
    check_layer(
        VocabularyLogits,
        {"vocabulary_size": 31, "initializer_range": 0.03},
        inputs,
        {"bias": weights["masked_lm/decoder.bias"], **({} if tied else {"kernel": decoder.T})},
        outputs["vocabulary_logits"],
        tmp_path,
        mixed_dtype="float32",
    )


@pytest.mark.parametrize("mode", ["first", "last", "mean", "max", "mean_sqrt_length", "weighted_mean"])
def test_pooling(mode, tmp_path):
    inputs = inputs_of("hidden_states", "padding_mask")
    positional = mode == "weighted_mean"
    check_layer(Pooling, {"mode": mode}, inputs, {}, golden_output(f"pooling_{mode}"), tmp_path, positional=positional)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16", "float16"])
@pytest.mark.parametrize("mode", ["first", "last", "mean", "max", "mean_sqrt_length", "weighted_mean"])
def test_pooling_of_nothing_but_padding_is_finite(mode, policy):
    inputs = inputs_of("hidden_states", "padding_mask")
    mask = inputs["padding_mask"] * np.array([[0], [1], [1]], "int32")
    pooled = numpy_of(keras.ops.cast(Pooling(mode, dtype=policy)(inputs["hidden_states"], mask), "float32"))
    assert np.isfinite(pooled).all()
    assert mode == "first" or not pooled[0].any()


def test_encoder_record(tmp_path):
    values = {"family": "bert", "hidden_dim": 12, "embedding_dim": None, "heads": {"pooling": "first", "norm": True}}
    inputs = inputs_of("hidden_states")
    check_layer(EncoderRecord, {"values": values}, inputs, {}, inputs["hidden_states"], tmp_path)


def test_take_positions(tmp_path):
    hidden_states = inputs_of("hidden_states")["hidden_states"]
    positions = np.array([[0, 8], [5, 5], [7, 1]], "int32")
    expected = np.take_along_axis(hidden_states, positions[..., None], axis=1)
    check_layer(TakePositions, {}, {"hidden_states": hidden_states, "positions": positions}, {}, expected, tmp_path)


def test_fold(tmp_path):
    ids = np.random.default_rng(0).integers(0, 31, (3, 4, 5)).astype("int32")
    check_layer(Fold, {}, {"values": ids}, {}, ids.reshape(12, 5), tmp_path, mixed_dtype="int32")
    features = ids.astype("float32")
    (tmp_path / "features").mkdir()
    check_layer(Fold, {}, {"values": features}, {}, features.reshape(12, 5), tmp_path / "features")


def test_unfold(tmp_path):
    rows = np.random.default_rng(0).normal(size=(12, 2)).astype("float32")
    inputs = {"rows": rows, "folded": np.zeros((3, 4, 5), "int32")}
    check_layer(Unfold, {}, inputs, {}, rows.reshape(3, 4, 2), tmp_path, open_shape=(None, None, 2))


def test_what_is_folded_is_unfolded_in_its_order():
    values = np.arange(3 * 4 * 5).reshape(3, 4, 5).astype("float32")
    np.testing.assert_array_equal(numpy_of(Unfold()(Fold()(values), folded=values)), values)


def test_every_layer_is_tested_here():
    """A layer added to the package is one that a file of this folder must check."""
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    checked = set(re.findall(r"check_layer\(\s*(\w+)", tests))
    assert set(layers.__all__) <= checked


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("local_window", [None, 4])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16", "float16"])
def test_a_row_of_nothing_but_padding_is_finite(policy, local_window, training):
    options = {"rotary_base": 10_000.0, "local_window": local_window} if local_window else {}
    layer = SelfAttention(12, 3, initializer_range=1.0, dtype=policy, **options)
    hidden_states = 5 * np.random.default_rng(0).normal(size=(2, 6, 12)).astype("float32")
    mask = np.array([[0] * 6, [1, 1, 0, 1, 0, 0]], "int32")
    assert np.isfinite(numpy_of(keras.ops.cast(layer(hidden_states, mask, training=training), "float32"))).all()


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "relu", "silu", "tanh"])
def test_activations_by_their_definitions(activation):
    from math import erf, exp, pi, sqrt, tanh

    from keras_bert_suite.layers.activations import get_activation

    definitions = {
        "gelu": lambda x: x * 0.5 * (1 + erf(x / sqrt(2))),
        "gelu_tanh": lambda x: 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))),
        "relu": lambda x: max(x, 0.0),
        "silu": lambda x: x / (1 + exp(-x)),
        "tanh": tanh,
    }
    points = np.linspace(-6, 6, 101)
    found = numpy_of(get_activation(activation)(keras.ops.convert_to_tensor(points.astype("float32"))))
    np.testing.assert_allclose(found, [definitions[activation](x) for x in points], rtol=0, atol=1e-6)


def test_new_weights_of_one_layer_are_not_copies_of_each_other():
    layer = SelfAttention(12, 3)
    layer.build((None, None, 12))
    kernels = [numpy_of(weight) for weight in layer.weights if weight.path.endswith("kernel")]
    assert len(kernels) == 4
    assert len({kernel.tobytes() for kernel in kernels}) == 4
    assert 0.01 < np.concatenate(kernels).std() < 0.03


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SelfAttention(10, 4), ["SelfAttention", "hidden_dim=10", "num_heads=4"]),
        (lambda: EncoderBlock(10, 4, 20), ["hidden_dim=10", "num_heads=4"]),
        (lambda: SelfAttention(12, 0), ["num_heads must be above 0", "num_heads=0"]),
        (lambda: SelfAttention(12, 3, dropout_rate=1.0), ["dropout_rate must be in [0, 1)", "dropout_rate=1.0"]),
        (lambda: FeedForward(12, 20, activation="mish"), ["'gelu', 'gelu_tanh'", "'mish'"]),
        (lambda: Embeddings(31, 12, -1), ["Embeddings", "max_length=-1"]),
        (lambda: Embeddings(31, 12, 17, positions="sinus"), ["'learned', 'after_padding', 'rotary'", "'sinus'"]),
        (lambda: Embeddings(31, 12, 17, embedding_dim=0), ["Embeddings", "embedding_dim=0"]),
        (lambda: PreNormBlock(12, 3, 20, attention_dropout_rate=-0.1), ["PreNormBlock", "attention_dropout_rate=-0.1"]),
        (lambda: PreNormBlock(10, 4, 20), ["hidden_dim=10", "num_heads=4"]),
        (lambda: Pooling("median"), ["Pooling", "'first', 'mean'", "'median'"]),
        (lambda: Transform(0), ["Transform: units must be above 0", "units=0"]),
        (lambda: VocabularyLogits(-1), ["VocabularyLogits", "vocabulary_size=-1"]),
    ],
)
def test_wrong_values_are_named(make, words):
    with pytest.raises(ValueError, match=".") as caught:
        make()
    assert [word for word in words if word not in str(caught.value)] == []


def test_wrong_types_are_named():
    with pytest.raises(TypeError, match="Pooler: hidden_dim must be an int. Received: hidden_dim=12.0"):
        Pooler(12.0)


def test_a_sequence_longer_than_the_position_table():
    layer = Embeddings(31, 12, max_length=17)
    ids = np.zeros((1, 18), "int32")
    with pytest.raises(ValueError, match="at most max_length tokens.*Received: 18 tokens, max_length=17"):
        layer(ids, ids)


def test_new_weights_are_drawn_with_the_deviation_of_transformers():
    """`transformers` draws a normal distribution of deviation `initializer_range`; ours is cut, but as wide."""
    kernel = numpy_of(truncated_normal(0.02, seed=1)((300, 300)))
    np.testing.assert_allclose(kernel.std(), 0.02, rtol=0.01)
