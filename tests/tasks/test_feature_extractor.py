"""Frozen vectors: those of transformers, computed once, kept, and trained on with plain Keras."""

import keras
import numpy as np
import pytest

import keras_bert_suite as kbs
from keras_bert_suite.tasks import FeatureExtractor
from tests.support.selection import rarely_all
from tests.tasks.small import CONFIG, LABELS, VOCABULARY, examples

pytestmark = pytest.mark.per_backend

TEXTS = ["where is my parcel", "money", "", "i want to cancel the order please"]


def extractor(layers=(-1,), **changes):
    encoder = kbs.models.build_encoder(CONFIG.replace(**changes))
    return FeatureExtractor(encoder, kbs.WordPieceTokenizer(VOCABULARY), layers, max_length=24)


def test_the_states_are_those_of_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    import torch

    encoder = kbs.models.build_encoder(CONFIG)
    kbs.save_encoder(encoder, tmp_path / "encoder", kbs.WordPieceTokenizer(VOCABULARY))
    theirs = transformers.AutoModel.from_pretrained(tmp_path / "encoder").eval()
    tokens = transformers.AutoTokenizer.from_pretrained(tmp_path / "encoder")
    ours = FeatureExtractor.from_pretrained(tmp_path / "encoder", layers=(0, 1, -1))
    features = ours.extract(TEXTS, dtype="float32")
    for row, text in enumerate(TEXTS):
        with torch.no_grad():
            states = theirs(**tokens(text, return_tensors="pt"), output_hidden_states=True).hidden_states
        expected = np.stack([states[layer][0].numpy() for layer in (0, 1, -1)], axis=1)
        np.testing.assert_allclose(features[row], expected, atol=1e-5)


def test_what_was_computed_is_kept_until_something_changes(tmp_path, monkeypatch):
    ours = extractor((-2, -1))
    first = ours.extract(TEXTS, cache=tmp_path / "cache")
    again = []
    monkeypatch.setattr(FeatureExtractor, "_fill", lambda self, vectors, encoded, progress: again.append(len(encoded)))
    second = ours.extract(TEXTS, cache=tmp_path / "cache")
    assert not again
    assert isinstance(second.vectors, np.memmap)
    np.testing.assert_array_equal(first.vectors, second.vectors)
    ours.extract(TEXTS[:2], cache=tmp_path / "cache")
    assert again == [2]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError):
        ours.extract(TEXTS, cache=tmp_path / "other")


@pytest.mark.parametrize("kind", rarely_all(["lstm", "convolution"], "convolution"))
def test_a_model_over_features_learns_and_is_attached(kind):
    keras.utils.set_random_seed(1)
    ours = extractor((0, -1) if kind == "lstm" else (-1,))
    texts, labels = examples(90)
    targets = np.array([LABELS.index(label) for label in labels])
    features = ours.extract(texts)
    inputs = ours.inputs()
    x = kbs.layers.LayerMix()(inputs["features"])
    if kind == "lstm":
        x = keras.layers.Bidirectional(keras.layers.LSTM(16))(x, mask=inputs["padding_mask"])
    else:
        x = keras.layers.GlobalMaxPooling1D()(keras.layers.Conv1D(16, 3, padding="same", activation="relu")(x))
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    model.compile(keras.optimizers.Adam(0.02), loss, weighted_metrics=["accuracy"])
    history = model.fit(features.dataset(targets, batch_size=16), epochs=20, shuffle=False, verbose=0)
    assert history.history["accuracy"][-1] > 0.9

    whole = ours.attach(model)
    if kind == "lstm":
        scores = np.asarray(keras.ops.convert_to_numpy(whole(ours.tokenizer(texts[:8], max_length=24))))
        for row in range(8):
            vectors = np.asarray(features[row], "float32")[None]
            kept = model({"features": vectors, "padding_mask": np.ones(vectors.shape[:2], bool)})
            np.testing.assert_allclose(scores[row], keras.ops.convert_to_numpy(kept)[0], atol=2e-2)  # kept as float16


def test_the_same_batches_tell_the_same_fingerprint():
    ours, other = extractor(), extractor(initializer_range=0.3)
    same = [one.extract(TEXTS).dataset([0, 1, 2, 0], 2).fingerprint() for one in (ours, ours, other)]
    assert same[0] == same[1] != same[2]


def test_layers_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="layers must be from 0, the embeddings, to 2"):
        extractor((3,))
