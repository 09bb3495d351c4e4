"""Every layer keeps the rules of STYLE.md and gives the numbers of `transformers`."""

import keras
import numpy as np
import pytest

from keras_bert_suite.layers import Embeddings, EncoderBlock, FeedForward, Pooler, SelfAttention
from tests.support.golden import GOLDEN_ACTIVATIONS, load_golden
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
            "layer_norm_epsilon": 1e-5,
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
        {"hidden_dim": 12, "num_heads": 3, "dropout_rate": 0.2, "initializer_range": 0.03},
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
        {"hidden_dim": 12, "intermediate_dim": 20, "activation": activation, "initializer_range": 0.03},
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


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16", "float16"])
def test_a_row_of_nothing_but_padding_is_finite(policy, training):
    layer = SelfAttention(12, 3, initializer_range=1.0, dtype=policy)
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
