"""Dropout drops what it says, keeps the mean, passes gradients through what is kept, and repeats under a seed."""

import keras
import numpy as np
import pytest

from keras_bert_suite.layers import Dropout
from tests.support.layer_checks import check_layer, numpy_of

pytestmark = pytest.mark.per_backend


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("rate", "shape"), [(0.1, (301, 333)), (0.5, (7, 11, 1001)), (0.999, (100_001,))])
def test_as_many_are_dropped_as_it_says_and_the_rest_scaled(rate, shape, dtype):
    if dtype == "bfloat16" and keras.backend.backend() != "torch":
        pytest.skip("Keras' own layer draws numbers of 8 bits there")
    keras.utils.set_random_seed(3)
    found = numpy_of(keras.ops.cast(Dropout(rate, dtype=dtype)(np.ones(shape, "float32"), training=True), "float32"))
    kept = found[found != 0]
    count = found.size
    assert abs(kept.size / count - (1 - rate)) < 5 * np.sqrt(rate * (1 - rate) / count)
    np.testing.assert_allclose(kept, 1 / (1 - rate), rtol=8e-3)  # 0.999 is rounded to 65470 of 65536
    # No pattern along any axis: neighbours are dropped together as often as by chance.
    flat = (found == 0).ravel()
    assert abs((flat[1:] & flat[:-1]).mean() - rate**2) < 5 * np.sqrt(rate**2 * (1 - rate**2) / count) + 1e-4


def test_another_mask_each_time_and_the_same_one_under_a_seed():
    layer, ones = Dropout(0.5), np.ones((4, 1001), "float32")
    draws = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        layer = Dropout(0.5)
        draws.append([numpy_of(layer(ones, training=True)) for _ in range(2)])
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0][0], draws[0][1])
    assert not np.array_equal(draws[0], draws[2])


def test_nothing_is_dropped_where_nothing_is_trained(tmp_path):
    values = np.arange(12, dtype="float32").reshape(3, 4)
    np.testing.assert_array_equal(numpy_of(Dropout(0.9)(values)), values)
    np.testing.assert_array_equal(numpy_of(Dropout(0.9)(values, training=False)), values)
    np.testing.assert_array_equal(numpy_of(Dropout(0.0)(values, training=True)), values)
    check_layer(Dropout, {"rate": 0.25, "noise_shape": None, "seed": 3}, {"inputs": values}, {}, values, tmp_path)


def test_gradients_pass_where_values_did():
    torch = pytest.importorskip("torch")
    if keras.backend.backend() != "torch":
        pytest.skip("on the other backends the layer is Keras' own")
    values = torch.full((5, 1003), 2.0, requires_grad=True)
    found = Dropout(0.3)(values, training=True)
    found.sum().backward()
    np.testing.assert_allclose(numpy_of(values.grad), numpy_of(found) / 2)
