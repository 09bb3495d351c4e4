"""Every family of encoders: training, compilation, precision, padding, files, and the way back to its config."""

import keras
import numpy as np
import pytest

from keras_bert_suite.models import (
    build_encoder,
    build_masked_lm,
    build_multiple_choice,
    build_next_sentence,
    build_text_classifier,
    encoder_config,
    find_encoder,
)
from tests.models.tiny_families import FAMILIES, HEADS, UNSEEN, call, tiny_config, tiny_family, tiny_inputs
from tests.support.layer_checks import check_saving, global_policy, numpy_of
from tests.support.selection import rarely_all, slow_to_compile

each_family = pytest.mark.parametrize("family", FAMILIES)
#: XLM-R and CamemBERT are RoBERTa's graph: what takes long is done once for the three.
GRAPHS = [name for name in FAMILIES if name not in ("xlm-roberta", "camembert")]


@pytest.mark.parametrize("family", rarely_all(GRAPHS, "bert", "modernbert"))
def test_fit_lowers_the_loss(family):
    """In mixed precision, and compiled wherever Keras compiles by itself."""
    keras.utils.set_random_seed(0)
    config = tiny_config(family)
    # One layer, or a global and a local one: compilers take their time for each.
    encoder = build_encoder(config.replace(num_layers=config.global_every), dtype="mixed_bfloat16")
    model = build_text_classifier(encoder, 5, dropout_rate=0.0)
    before = [numpy_of(weight) for weight in model.trainable_weights]
    model.compile(
        keras.optimizers.SGD(0.1),  # tracing Adam takes TensorFlow longer than the model
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=keras.backend.backend() != "torch",  # torch.compile needs a C++ compiler at run time
    )
    losses = model.fit(tiny_inputs(), np.array([0, 1, 2, 3]), epochs=12, verbose=0).history["loss"]
    assert losses[-1] < losses[0] - 0.1
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}
    for weight, old in zip(model.trainable_weights, before, strict=True):
        assert np.isfinite(numpy_of(weight)).all()
        assert np.abs(numpy_of(weight) - old).max() > 0, weight.path
    assert keras.backend.standardize_dtype(model(tiny_inputs(), training=False).dtype) == "float32"


@each_family
def test_padding_never_reaches_real_positions(family):
    encoder, inputs = tiny_family(family), tiny_inputs()
    real = inputs["padding_mask"].astype(bool)
    expected = call(encoder, inputs)
    changed = {**inputs, "token_ids": np.where(real, inputs["token_ids"], UNSEEN).astype("int32")}
    found = call(encoder, changed)
    np.testing.assert_allclose(found["sequence_output"][real], expected["sequence_output"][real], rtol=0, atol=1e-6)
    assert not np.allclose(found["sequence_output"][~real], expected["sequence_output"][~real])
    if "pooled_output" in expected:
        np.testing.assert_allclose(found["pooled_output"], expected["pooled_output"], rtol=0, atol=1e-6)
    length = real[1].sum()  # nor does its amount
    alone = call(encoder, {name: array[1:2, :length] for name, array in inputs.items()})
    np.testing.assert_allclose(alone["sequence_output"], expected["sequence_output"][1:2, :length], rtol=0, atol=1e-5)


@pytest.mark.parametrize("policy", ["float16", "bfloat16"])
@each_family
def test_rows_of_padding_alone_are_finite(family, policy):
    encoder, inputs = tiny_family(family, dtype=policy), tiny_inputs()
    mask = inputs["padding_mask"] * np.array([[1], [0], [1], [0]], "int32")
    for some in (mask, 0 * mask):
        outputs = call(encoder, {**inputs, "padding_mask": some})
        assert all(np.isfinite(array).all() for array in outputs.values())
        logits = call(build_text_classifier(encoder, 5), {**inputs, "padding_mask": some})
        assert np.isfinite(logits).all()


@each_family
def test_mixed_precision_stays_close(family):
    exact, mixed = (tiny_family(family, dtype=policy) for policy in ("float32", "mixed_bfloat16"))
    mixed.set_weights(exact.get_weights())
    inputs = tiny_inputs()
    real = inputs["padding_mask"].astype(bool)
    found, expected = (call(encoder, inputs)["sequence_output"][real] for encoder in (mixed, exact))
    assert 0 < np.abs(found - expected).max() < 0.3
    assert np.abs(found - expected).mean() < 0.03


@each_family
def test_keras_files(family, tmp_path):
    model = build_masked_lm(tiny_family(family))
    loaded = check_saving(model, tiny_inputs(), tmp_path)
    assert encoder_config(loaded) == tiny_config(family)
    assert encoder_config(find_encoder(loaded)) == tiny_config(family)
    check_saving(find_encoder(loaded), tiny_inputs(), tmp_path)


@each_family
def test_parameters_are_counted_without_building(family):
    assert tiny_family(family).count_params() == tiny_config(family).num_parameters


@each_family
def test_a_batch_longer_than_max_length(family):
    encoder = tiny_family(family)
    ids = np.full((1, 18), 9, "int32")
    inputs = {"token_ids": ids, "segment_ids": 0 * ids, "padding_mask": 0 * ids + 1}
    with pytest.raises(ValueError, match="at most max_length tokens.*18 tokens, max_length=17"):
        encoder(inputs)
    longest = call(encoder, {name: array[:, :17] for name, array in inputs.items()})
    assert np.isfinite(longest["sequence_output"]).all()


@slow_to_compile
@pytest.mark.parametrize("head", HEADS)
def test_find_encoder_and_config_of_every_model(head, tmp_path):
    """Flat, with inputs of their own, or nested; as built, loaded or cloned."""
    encoder = tiny_family("bert")
    model = HEADS[head](encoder)
    inputs = tiny_inputs(*([2] if head == "multiple_choice" else []), masked_positions=head == "masked_positions")
    loaded = check_saving(model, inputs, tmp_path)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(call(clone, inputs), call(model, inputs))
    expected = call(encoder, tiny_inputs())
    for one in (model, loaded, clone):
        assert encoder_config(one) == tiny_config("bert")
        found = find_encoder(one)
        assert list(found.input) == ["token_ids", "segment_ids", "padding_mask"]
        assert encoder_config(found) == tiny_config("bert")
        outputs = call(found, tiny_inputs())
        assert "sequence_output" in outputs
        for name, array in outputs.items():
            np.testing.assert_allclose(array, expected[name], rtol=0, atol=1e-6)
    ours = {id(weight) for weight in encoder.weights}
    assert {id(weight) for weight in find_encoder(model).weights} <= ours


@pytest.mark.parametrize("family", ["roberta", "electra", "modernbert"])
def test_models_with_a_head_layer_of_their_family(family, tmp_path):
    for head in ("text_classifier", "token_classifier", "multiple_choice"):
        model = HEADS[head](tiny_family(family))
        inputs = tiny_inputs(*([2] if head == "multiple_choice" else []))
        assert encoder_config(check_saving(model, inputs, tmp_path)) == tiny_config(family)
        assert encoder_config(keras.models.clone_model(model)) == tiny_config(family)


def test_models_without_an_encoder():
    dense = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="only")], name="stranger")
    for function in (encoder_config, find_encoder):
        with pytest.raises(ValueError, match=r"must contain an encoder made by build_encoder. Received: 'stranger'"):
            function(dense)
    with pytest.raises(ValueError, match=r"\['only'\]"):
        encoder_config(dense)


@pytest.mark.parametrize("family", ["distilbert", "electra", "modernbert"])
def test_heads_that_need_a_pooler_say_so(family):
    with pytest.raises(
        ValueError, match=rf"Received: a {family} encoder without a pooler.*config.replace\(pooler=True"
    ):
        build_next_sentence(tiny_family(family))
    assert build_next_sentence(tiny_family(family, pooler=True)).output.shape == (None, 2)


@pytest.mark.parametrize("head", [head for head in HEADS if head != "masked_positions"])
def test_heads_keep_to_the_precision_of_their_encoder(head):
    """A model built in float32 is exact under any global policy, and one in half precision ends in float32."""
    encoder = tiny_family("bert", dtype="float32")
    exact = HEADS[head](encoder)
    with global_policy("mixed_bfloat16"):
        model = HEADS[head](encoder)
    inputs = tiny_inputs(*([2] if head == "multiple_choice" else []))
    model.set_weights(exact.get_weights())
    np.testing.assert_array_equal(call(model, inputs), call(exact, inputs))
    half = HEADS[head](tiny_family("bert", dtype="bfloat16"))
    assert half.output.dtype == keras.backend.standardize_dtype(half(inputs).dtype) == "float32"


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
def test_multiple_choice_takes_any_number_of_choices(family):
    model = build_multiple_choice(tiny_family(family))
    inputs = tiny_inputs(4)
    logits = call(model, inputs)
    assert logits.shape == (4, 4)
    for choices in ([2], [3, 0], [1, 1, 2]):  # each choice is scored alone
        some = call(model, {name: array[:, choices] for name, array in inputs.items()})
        np.testing.assert_allclose(some, logits[:, choices], rtol=0, atol=1e-5)


@pytest.mark.slow
def test_multiple_choice_is_trained_on_different_numbers_of_choices():
    keras.utils.set_random_seed(0)
    model = build_multiple_choice(tiny_family("bert"), dropout_rate=0.0)
    model.compile(keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = [
        [model.train_on_batch(tiny_inputs(choices), np.array([0, 1, 1, 0])) for choices in (2, 3)] for _ in range(6)
    ]
    assert np.isfinite(losses).all()
    assert sum(losses[-1]) < sum(losses[0])
