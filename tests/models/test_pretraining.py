"""Models for pretraining: heads that share an encoder, rows of several texts, a generator beside its discriminator."""

import keras
import numpy as np
import pytest

import keras_bert_suite as kbs
from keras_bert_suite.layers.replace_tokens import ReplaceTokens
from keras_bert_suite.models.electra import build_electra, build_generator, generator_config
from keras_bert_suite.models.pretraining import build_packed_pretraining, build_pretraining, pretraining_flops
from tests.support.tiny import tiny_encoder

INPUTS = {
    "token_ids": np.random.default_rng(0).integers(5, 25, (2, 7)).astype("int32"),
    "segment_ids": np.repeat([[0, 0, 0, 0, 1, 1, 1]], 2, 0).astype("int32"),
    "padding_mask": np.array([[1] * 7, [1] * 5 + [0] * 2], "int32"),
    "masked_positions": np.array([[1, 3, 6], [2, 4, 0]], "int32"),
}


def numpy_of(outputs):
    return keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)


def take(array, positions):
    return np.take_along_axis(array, positions[..., None], 1)


@pytest.mark.parametrize("tied", [True, False])
def test_each_head_gives_what_it_gives_alone(tied):
    encoder = tiny_encoder()
    model = build_pretraining(encoder, "next_sentence", tied)
    layers = {layer.name: layer for layer in model.layers}
    found = numpy_of(model(INPUTS))
    outputs = numpy_of(encoder({name: INPUTS[name] for name in encoder.input}))
    table = next(weight for weight in encoder.weights if weight.path == "embeddings/token/embeddings")
    features = numpy_of(layers["masked_lm_transform"](take(outputs["sequence_output"], INPUTS["masked_positions"])))
    kernel = numpy_of(table).T if tied else numpy_of(layers["masked_lm"].kernel)
    expected = features @ kernel + numpy_of(layers["masked_lm"].bias)
    np.testing.assert_allclose(found["masked_lm"], expected, atol=2e-5)
    pooled = numpy_of(layers["next_sentence"](outputs["pooled_output"]))
    np.testing.assert_allclose(found["next_sentence"], pooled, atol=2e-5)


def test_packed_rows_give_what_rows_of_their_own_give():
    model = build_pretraining(tiny_encoder())
    apart = numpy_of(model(INPUTS))["masked_lm"]
    lengths = (7, 5)
    packed = {name: np.concatenate([INPUTS[name][row, :length] for row, length in enumerate(lengths)])[None]
              for name in ("token_ids", "segment_ids")}  # fmt: skip
    packed["sequence_ids"] = np.repeat([1, 2], lengths)[None].astype("int32")
    packed["position_ids"] = np.concatenate([np.arange(length) for length in lengths])[None].astype("int32")
    packed["masked_positions"] = np.array([[1, 3, 6, 9, 11]], "int32")
    found = numpy_of(build_packed_pretraining(model)(packed))["masked_lm"][0]
    np.testing.assert_allclose(found, np.concatenate([apart[0], apart[1, :2]]), atol=2e-5)
    with pytest.raises(ValueError, match="output masked_lm alone"):
        build_packed_pretraining(build_pretraining(tiny_encoder(), "next_sentence"))


def test_drawn_tokens_come_from_the_logits_and_go_where_they_belong():
    logits = np.full((2, 3, 25), -30.0, "float32")
    logits[..., [11, 13]] = np.log([0.7, 0.3])
    layer = ReplaceTokens(seed=1)
    counts = np.zeros(25)
    for _ in range(300):
        found = numpy_of(layer(INPUTS["token_ids"], positions=INPUTS["masked_positions"], logits=logits))
        chosen = np.zeros((2, 7), bool)
        chosen[[0, 0, 0, 1, 1], [1, 3, 6, 2, 4]] = True
        assert (found[~chosen] == INPUTS["token_ids"][~chosen]).all()  # 0 is no place
        counts += np.bincount(found[chosen], minlength=25)
    assert counts[[11, 13]].sum() == counts.sum() == 1500
    assert abs(counts[11] / 1500 - 0.7) < 0.06


def electra(**changes):
    config = kbs.config.FAMILIES["electra"].replace(
        vocabulary_size=25, hidden_dim=12, num_layers=2, num_heads=3, intermediate_dim=20, max_length=32,
        embedding_dim=8, initializer_range=0.2, dropout_rate=0.0, attention_dropout_rate=0.0, **changes,
    )  # fmt: skip
    encoder = kbs.models.build_encoder(config)
    generator = build_generator(encoder, generator_config(config, 1 / 3))
    return build_electra(generator, kbs.models.build_replaced_token(encoder)), generator, encoder


def test_the_discriminator_sees_what_the_generator_put_in():
    model, generator, _ = electra()
    found = numpy_of(model(INPUTS))
    np.testing.assert_allclose(found["masked_lm"], numpy_of(generator(INPUTS)), atol=1e-5)
    shown = found["replaced_token"][..., 1].astype("int32")
    discriminator = model.get_layer("replaced_token")
    expected = numpy_of(discriminator({**{name: INPUTS[name] for name in discriminator.input}, "token_ids": shown}))
    np.testing.assert_allclose(found["replaced_token"][..., :1], expected, atol=1e-5)


def test_generator_and_discriminator_share_their_tables_and_nothing_else():
    model, generator, encoder = electra()
    shared = {weight.path for weight in generator.weights if any(weight is other for other in encoder.weights)}
    assert shared == {f"embeddings/{name}/embeddings" for name in ("token", "segment", "position")}
    paths = [weight.path for weight in model.weights]
    assert len(paths) == len(set(paths))


def test_a_generator_of_another_shape_is_refused():
    _, _, encoder = electra()
    config = generator_config(kbs.models.encoder_config(encoder))
    with pytest.raises(ValueError, match="vocabulary_size must be the discriminator's"):
        build_generator(encoder, config.replace(vocabulary_size=26))
    with pytest.raises(ValueError, match="width of the embeddings"):
        build_generator(encoder, config.replace(embedding_dim=9))


def test_operations_are_counted_as_weights_times_tokens():
    config = kbs.PRESETS["bert-base-uncased"]
    blocks = 12 * (4 * 768**2 + 2 * 768 * 3072)
    attention = 12 * 2 * 128 * 768
    head = 768 * 768 + 768 * 30522
    assert pretraining_flops(config, 128, 20) == 6 * (128 * (blocks + attention) + 20 * head)
