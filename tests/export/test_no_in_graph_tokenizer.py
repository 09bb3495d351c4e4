"""A model whose tokenizer has no form in a graph leaves with ids as its only input, and says so."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from keras_bert_suite.config import EncoderConfig  # noqa: E402
from keras_bert_suite.text import BytePairTokenizer  # noqa: E402
from tests.text.small_models import byte_pair  # noqa: E402

pytestmark = [pytest.mark.tensorflow, pytest.mark.per_backend]


def test_byte_pair_saved_model_takes_ids(tmp_path):
    import keras

    if keras.backend.backend() != "tensorflow":
        pytest.skip("the worker that writes SavedModels runs TensorFlow")
    import keras_bert_suite as kbs
    from keras_bert_suite.export.run_saved_model import load_saved_model
    from keras_bert_suite.export.saved_model import export_saved_model
    from keras_bert_suite.export.served_model import build_served_model

    tokenizer = BytePairTokenizer(*byte_pair())
    config = EncoderConfig(
        vocabulary_size=tokenizer.vocab_size,
        num_layers=1,
        hidden_dim=12,
        num_heads=3,
        intermediate_dim=20,
        max_length=16,
    )
    task = kbs.TextClassifier(kbs.models.build_encoder(config), tokenizer, labels=["neg", "pos"])
    notes = export_saved_model(task, build_served_model(task), tmp_path / "saved", max_length=16)
    (note,) = notes
    assert note.startswith("saved_model takes ids only, no strings: ")
    assert "Received: a BPE tokenizer (WordPiece is supported)" in note
    assert "\n" not in note
    run_ids, run_text = load_saved_model(tmp_path / "saved")
    assert run_text is None
    batch = tokenizer(["hello world", "the"])
    expected = tf.nn.softmax(task.model(batch, training=False)).numpy()
    np.testing.assert_allclose(run_ids(batch)["probabilities"], expected, atol=1e-5)
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    assert sorted(loaded.signatures) == ["ids", "serving_default"]
