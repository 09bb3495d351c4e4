"""What holds for every layer of this package, asserted by one helper."""

import contextlib
import inspect
import json

import keras
import numpy as np

__all__ = ["check_layer", "check_saving", "global_policy", "numpy_of"]

TOLERANCE = 1e-5


def check_layer(
    layer_class,
    arguments,
    inputs,
    weights,
    expected,
    tmp_path,
    unlearnable=(),
    positional=False,
    mixed_dtype="bfloat16",
    open_shape=None,
):
    """Assert everything that STYLE.md asks of a layer.

    Args:
        layer_class: the class.
        arguments: dict of every argument of its `__init__`.
        inputs: dict of arrays by call argument, in order. With a `padding_mask`,
            the first must be float hidden states.
        weights: dict from the end of a variable's path to its golden value. Empty
            for a layer without any, which is not trained then.
        expected: the golden output for `inputs` and `weights`, from outside this package.
        tmp_path: an empty folder.
        unlearnable: ends of paths of variables that no loss can move.
        positional: whether the distance between tokens counts, so that those
            around a hole may not be moved together.
        mixed_dtype: dtype of the output under `mixed_bfloat16`.
        open_shape: the symbolic shape for inputs of open batch and length.
            Defaults to the output's, open but for its last dimension.
    """
    check_config(layer_class, arguments)
    check_shapes(layer_class, arguments, inputs, open_shape)
    check_mixed_precision(layer_class, arguments, inputs, mixed_dtype)
    if weights:
        check_training_step(layer_class, arguments, inputs, unlearnable)
    layer = golden_layer(layer_class, arguments, inputs, weights)
    check_golden(layer, inputs, expected)
    check_saving(model_of(layer, inputs), inputs, tmp_path)
    if "padding_mask" in inputs:
        check_padding(layer, inputs, positional)


def numpy_of(tensor):
    """A tensor or variable as an array."""
    return np.asarray(keras.ops.convert_to_numpy(getattr(tensor, "value", tensor)))


def call(layer, inputs, **options):
    """Call a layer as users do: its first argument by position, the others by name."""
    first, *others = inputs.items()
    return layer(first[1], **dict(others), **options)


def symbolic(inputs, fixed_shape=False):
    """Symbolic tensors like `inputs`, of open batch and length unless `fixed_shape`; vectors keep their width."""
    tensors = {}
    for name, array in inputs.items():
        open_dims = 0 if fixed_shape else min(2, array.ndim - (array.dtype.kind == "f"))
        shape = (*(None,) * open_dims, *array.shape[open_dims:])
        tensors[name] = keras.Input(batch_shape=shape, dtype=array.dtype.name, name=name)
    return tensors


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
    names = {one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD} - {"self"}
    assert names == set(arguments), "give this check every argument of __init__"
    layer = layer_class(**arguments, name="its_name", dtype="mixed_bfloat16")
    config = layer.get_config()
    assert {name: config[name] for name in names} == arguments
    rebuilt = layer_class.from_config(json.loads(json.dumps(config)))
    assert rebuilt.get_config() == config
    assert rebuilt.name == "its_name"
    assert rebuilt.compute_dtype == "bfloat16"


def check_shapes(layer_class, arguments, inputs, open_shape):
    layer = layer_class(**arguments)
    computed = layer.compute_output_shape(**{f"{name}_shape": array.shape for name, array in inputs.items()})
    eager = tuple(call(layer, inputs).shape)
    assert tuple(computed) == eager
    assert tuple(call(layer, symbolic(inputs, fixed_shape=True)).shape) == eager
    assert tuple(call(layer, symbolic(inputs)).shape) == (open_shape or (*(None,) * (len(eager) - 1), eager[-1]))
    rebuilt = layer_class(**arguments)
    rebuilt.build(*(array.shape for array in inputs.values()))
    assert [tuple(weight.shape) for weight in rebuilt.weights] == [tuple(weight.shape) for weight in layer.weights]


def check_mixed_precision(layer_class, arguments, inputs, mixed_dtype):
    layer = layer_class(**arguments, dtype="mixed_bfloat16")
    assert keras.backend.standardize_dtype(call(layer, inputs).dtype) == mixed_dtype
    assert keras.backend.standardize_dtype(call(layer, symbolic(inputs)).dtype) == mixed_dtype
    assert {weight.dtype for weight in layer.weights} <= {"float32"}
    # The layer's own dtype counts, not the one that others have by default.
    with global_policy("mixed_bfloat16"):
        alone = layer_class(**arguments, dtype="float32")
        found = call(alone, inputs)
        assert {part.compute_dtype for part in alone._flatten_layers()} == {"float32"}
    assert keras.backend.standardize_dtype(found.dtype) == mixed_dtype.replace("bfloat16", "float32")


@contextlib.contextmanager
def global_policy(name):
    """Give the layers made inside another dtype policy by default."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def check_training_step(layer_class, arguments, inputs, unlearnable):
    keras.utils.set_random_seed(0)
    layer = layer_class(**{**arguments, **({"initializer_range": 0.5} if "initializer_range" in arguments else {})})
    model = model_of(layer, inputs)
    target = np.random.default_rng(0).normal(size=tuple(call(layer, inputs).shape)).astype("float32")
    before = [numpy_of(weight) for weight in layer.trainable_weights]
    assert len(before) == len(layer.weights) - len(layer.non_trainable_weights)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    # A generator: what it yields is one batch, also where an input has no batch dimension, as a table has none.
    model.fit((batch for batch in [(inputs, target)]), steps_per_epoch=1, shuffle=False, verbose=0)
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


def check_padding(layer, inputs, positional):
    """Real positions do not see what stands at padded ones, nor how many of these there are."""
    name, hidden_states = next(iter(inputs.items()))
    real = inputs["padding_mask"].astype(bool)
    assert not real.all()
    output = numpy_of(call(layer, inputs))
    pooled = output.ndim == 2
    noise = np.random.default_rng(1).normal(0, 50, hidden_states.shape).astype("float32")
    changed = numpy_of(call(layer, {**inputs, name: np.where(real[..., None], hidden_states, noise)}))
    assert np.array_equal(*((some if pooled else some[real]) for some in (changed, output)))
    for row in range(len(real)):
        kept = real[row]
        if positional:  # padding goes only where it is the rest of the row
            kept = np.arange(len(kept)) <= np.flatnonzero(kept)[-1]
        alone = {name: hidden_states[row : row + 1, kept], "padding_mask": real[row : row + 1, kept]}
        found = numpy_of(call(layer, alone))[0]
        expected = output[row] if pooled else output[row, real[row]]
        np.testing.assert_allclose(found if pooled else found[real[row, kept]], expected, rtol=0, atol=TOLERANCE)
        if kept.sum() == real[row].sum() and not _needs_mask(layer):
            assert np.array_equal(numpy_of(call(layer, {name: alone[name]}))[0], found), "a mask of ones counts"
    for mask in (real, real.astype("int64"), real.astype("float32")):
        assert np.array_equal(numpy_of(call(layer, {**inputs, "padding_mask": mask})), output)


def _needs_mask(layer):
    parameter = inspect.signature(layer.call).parameters["padding_mask"]
    return parameter.default is parameter.empty
