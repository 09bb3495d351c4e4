"""What holds for every layer of this package, asserted by one helper."""

import inspect
import json

import keras
import numpy as np

__all__ = ["check_layer", "check_saving", "numpy_of"]

TOLERANCE = 1e-5


def check_layer(layer_class, arguments, inputs, weights, expected, tmp_path, unlearnable=()):
    """Assert everything that STYLE.md asks of a layer.

    Args:
        layer_class: the class.
        arguments: dict of every argument of its `__init__`.
        inputs: dict of arrays by call argument, in order. With a `padding_mask`,
            the first must be float hidden states.
        weights: dict from the end of a variable's path to its golden value.
        expected: the golden output for `inputs` and `weights`, from outside this package.
        tmp_path: an empty folder.
        unlearnable: ends of paths of variables that no loss can move.
    """
    check_config(layer_class, arguments)
    check_shapes(layer_class, arguments, inputs)
    check_mixed_precision(layer_class, arguments, inputs)
    check_training_step(layer_class, arguments, inputs, unlearnable)
    layer = golden_layer(layer_class, arguments, inputs, weights)
    check_golden(layer, inputs, expected)
    check_saving(model_of(layer, inputs), inputs, tmp_path)
    if "padding_mask" in inputs:
        check_padding(layer, inputs)


def numpy_of(tensor):
    """A tensor or variable as an array."""
    return np.asarray(keras.ops.convert_to_numpy(getattr(tensor, "value", tensor)))


def call(layer, inputs, **options):
    """Call a layer as users do: its first argument by position, the others by name."""
    first, *others = inputs.items()
    return layer(first[1], **dict(others), **options)


def symbolic(inputs, fixed_shape=False):
    """Symbolic tensors like `inputs`, of open batch and length unless `fixed_shape`."""
    return {
        name: keras.Input(
            batch_shape=array.shape if fixed_shape else (None, None, *array.shape[2:]),
            dtype=array.dtype.name,
            name=name,
        )
        for name, array in inputs.items()
    }


def model_of(layer, inputs):
    tensors = symbolic(inputs)
    return keras.Model(tensors, call(layer, tensors))


def golden_layer(layer_class, arguments, inputs, weights):
    """A layer with the golden weights, all of which must find their place."""
    layer = layer_class(**arguments)
    call(layer, inputs)
    for variable in layer.weights:
        (name,) = [name for name in weights if f"/{variable.path}".endswith(f"/{name}")]
        variable.assign(weights[name])
    assert len(layer.weights) == len(weights)
    return layer


def check_config(layer_class, arguments):
    parameters = inspect.signature(layer_class.__init__).parameters.values()
    names = {parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD} - {"self"}
    assert names == set(arguments), "give this check every argument of __init__"
    layer = layer_class(**arguments, name="its_name", dtype="mixed_bfloat16")
    config = layer.get_config()
    assert {name: config[name] for name in names} == arguments
    rebuilt = layer_class.from_config(json.loads(json.dumps(config)))
    assert rebuilt.get_config() == config
    assert rebuilt.name == "its_name"
    assert rebuilt.compute_dtype == "bfloat16"


def check_shapes(layer_class, arguments, inputs):
    layer = layer_class(**arguments)
    computed = layer.compute_output_shape(**{f"{name}_shape": array.shape for name, array in inputs.items()})
    eager = tuple(call(layer, inputs).shape)
    assert tuple(computed) == eager
    assert tuple(call(layer, symbolic(inputs, fixed_shape=True)).shape) == eager
    open_shape = tuple(call(layer, symbolic(inputs)).shape)
    assert open_shape == (*(None,) * (len(eager) - 1), eager[-1])
    rebuilt = layer_class(**arguments)
    rebuilt.build(*(array.shape for array in inputs.values()))
    assert [tuple(weight.shape) for weight in rebuilt.weights] == [tuple(weight.shape) for weight in layer.weights]


def check_mixed_precision(layer_class, arguments, inputs):
    layer = layer_class(**arguments, dtype="mixed_bfloat16")
    assert keras.backend.standardize_dtype(call(layer, inputs).dtype) == "bfloat16"
    assert keras.backend.standardize_dtype(call(layer, symbolic(inputs)).dtype) == "bfloat16"
    assert {weight.dtype for weight in layer.weights} == {"float32"}


def check_training_step(layer_class, arguments, inputs, unlearnable):
    keras.utils.set_random_seed(0)
    layer = layer_class(**{**arguments, **({"initializer_range": 0.5} if "initializer_range" in arguments else {})})
    model = model_of(layer, inputs)
    target = np.random.default_rng(0).normal(size=tuple(call(layer, inputs).shape)).astype("float32")
    before = [numpy_of(weight) for weight in layer.trainable_weights]
    assert len(before) == len(layer.weights) - len(layer.non_trainable_weights)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(inputs, target, batch_size=len(target), epochs=1, verbose=0)
    for weight, old in zip(layer.trainable_weights, before, strict=True):
        changed = np.abs(numpy_of(weight) - old).max()
        if weight.path.endswith(tuple(unlearnable)):
            assert changed < 1e-6, f"{weight.path} was said to be unlearnable"
        else:
            assert changed > 1e-6, f"{weight.path} was not trained"


def check_golden(layer, inputs, expected):
    output = numpy_of(call(layer, inputs))
    np.testing.assert_allclose(output, expected, rtol=0, atol=TOLERANCE)
    assert np.array_equal(output, numpy_of(call(layer, inputs))), "two inference calls differ"
    assert np.array_equal(output, numpy_of(call(layer, inputs, **_inference(layer)))), "dropout at inference"


def _inference(layer):
    return {"training": False} if "training" in inspect.signature(layer.call).parameters else {}


def check_saving(model, inputs, tmp_path):
    """Assert that a `.keras` file gives the same outputs under the same names, and return what it loads."""
    expected = model(inputs, training=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    found = loaded(inputs, training=False)
    keras.tree.assert_same_structure(found, expected)
    for one, other in zip(keras.tree.flatten(found), keras.tree.flatten(expected), strict=True):
        assert np.array_equal(numpy_of(one), numpy_of(other))
    assert [weight.path for weight in loaded.weights] == [weight.path for weight in model.weights]
    return loaded


def check_padding(layer, inputs):
    """Real positions do not see what stands at padded ones, nor how many of these there are."""
    name, hidden_states = next(iter(inputs.items()))
    real = inputs["padding_mask"].astype(bool)
    assert not real.all()
    output = numpy_of(call(layer, inputs))
    noise = np.random.default_rng(1).normal(0, 50, hidden_states.shape).astype("float32")
    changed = np.where(real[..., None], hidden_states, noise)
    assert np.array_equal(numpy_of(call(layer, {**inputs, name: changed}))[real], output[real])
    for row in range(len(real)):
        alone = {name: hidden_states[row : row + 1, real[row]]}
        without_mask = numpy_of(call(layer, alone))[0]
        np.testing.assert_allclose(without_mask, output[row, real[row]], rtol=0, atol=TOLERANCE)
    for mask in (real, real.astype("int64"), real.astype("float32")):
        assert np.array_equal(numpy_of(call(layer, {**inputs, "padding_mask": mask})), output)
