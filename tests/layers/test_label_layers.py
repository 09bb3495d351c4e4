"""The layers of prompts and of mixed layers keep the rules of every layer."""

import numpy as np
import pytest

from keras_bert_suite.layers import LayerMix, TokenPositions, Verbalizer
from tests.support.layer_checks import check_layer

pytestmark = pytest.mark.per_backend

RNG = np.random.default_rng(0)


def test_layer_mix(tmp_path):
    hidden_states = RNG.normal(size=(2, 5, 3, 4)).astype("float32")
    scores, scale = np.array([0.5, -1.0, 2.0], "float32"), np.array(1.5, "float32")
    shares = np.exp(scores) / np.exp(scores).sum() * scale
    expected = (hidden_states * shares[:, None]).sum(axis=2)
    weights = {"scores": scores, "scale": scale}
    check_layer(LayerMix, {}, {"hidden_states": hidden_states}, weights, expected, tmp_path)


def test_token_positions(tmp_path):
    ids = np.array([[2, 4, 3, 4], [2, 5, 5, 4], [2, 5, 5, 3]], "int32")
    expected = np.array([[1], [3], [0]], "int32")
    check_layer(TokenPositions, {"token_id": 4}, {"token_ids": ids}, {}, expected, tmp_path, mixed_dtype="int32")


def test_verbalizer(tmp_path):
    logits = RNG.normal(size=(3, 1, 9)).astype("float32")
    expected = np.stack([logits[:, 0, 7], logits[:, 0, [1, 2, 8]].mean(axis=-1)], axis=-1)
    arguments = {"word_ids": [[7], [1, 2, 8]]}
    check_layer(Verbalizer, arguments, {"logits": logits}, {}, expected, tmp_path, mixed_dtype="float32")
