"""The name table: which of our weights is which foreign weight, in both directions."""

import dataclasses

import numpy as np

from keras_bert_suite.errors import CheckpointError

__all__ = ["WeightName", "assign_weights", "collect_weights", "weight_table"]


@dataclasses.dataclass(frozen=True)
class WeightName:
    """One weight under its names here and there.

    Args:
        ours: str. The path of the Keras variable.
        hugging_face: str. The key in a Hugging Face file, without the `bert.` prefix
            that task models put before the encoder's keys.
        transposed: bool. Whether the foreign matrix is `(out, in)`.
        part: `"encoder"`, `"pooler"` or the name of a head.
    """

    ours: str
    hugging_face: str
    transposed: bool = False
    part: str = "encoder"


def _dense(ours, hugging_face, part="encoder"):
    return [
        WeightName(f"{ours}/kernel", f"{hugging_face}.weight", transposed=True, part=part),
        WeightName(f"{ours}/bias", f"{hugging_face}.bias", part=part),
    ]


def _norm(ours, hugging_face):
    return [
        WeightName(f"{ours}/gamma", f"{hugging_face}.weight"),
        WeightName(f"{ours}/beta", f"{hugging_face}.bias"),
    ]


def weight_table(config, head=None):
    """List every weight of a BERT encoder, in order, with its head's when asked.

    Args:
        config: `EncoderConfig`.
        head: optional str, `"classifier"`.
    Returns:
        list of `WeightName`.
    """
    table = [
        WeightName("embeddings/token/embeddings", "embeddings.word_embeddings.weight"),
        WeightName("embeddings/segment/embeddings", "embeddings.token_type_embeddings.weight"),
        WeightName("embeddings/position/embeddings", "embeddings.position_embeddings.weight"),
        *_norm("embeddings/norm", "embeddings.LayerNorm"),
    ]
    for index in range(config.num_layers):
        ours, theirs = f"block_{index}", f"encoder.layer.{index}"
        for name in ("query", "key", "value"):
            table += _dense(f"{ours}/self_attention/{name}", f"{theirs}.attention.self.{name}")
        table += _dense(f"{ours}/self_attention/output", f"{theirs}.attention.output.dense")
        table += _norm(f"{ours}/attention_norm", f"{theirs}.attention.output.LayerNorm")
        table += _dense(f"{ours}/feed_forward/intermediate", f"{theirs}.intermediate.dense")
        table += _dense(f"{ours}/feed_forward/output", f"{theirs}.output.dense")
        table += _norm(f"{ours}/output_norm", f"{theirs}.output.LayerNorm")
    table += _dense("pooler/dense", "pooler.dense", part="pooler")
    if head:
        table += _dense(head, head, part=head)
    return table


def collect_weights(model, table):
    """Return the model's weights by foreign name, each a NumPy array in the foreign layout."""
    variables = {variable.path: variable for variable in model.weights}
    arrays = {}
    for name in table:
        array = np.asarray(_to_numpy(variables[name.ours]), dtype="float32")
        arrays[name.hugging_face] = np.ascontiguousarray(array.T if name.transposed else array)
    return arrays


def assign_weights(model, table, arrays, source):
    """Give the model the arrays, all of them or none.

    Args:
        model: `keras.Model`.
        table: list of `WeightName`: the weights to assign.
        arrays: dict of foreign name to NumPy array; names the table lacks are ignored.
        source: path named in the error.
    Raises:
        CheckpointError: if any array is missing, has another shape than its
            variable or is not finite; all such are reported together.
    """
    variables = {variable.path: variable for variable in model.weights}
    complaints, pairs = [], []
    for name in table:
        variable, array = variables[name.ours], arrays.get(name.hugging_face)
        if array is None:
            complaints.append(f"missing {name.hugging_face}")
            continue
        array = array.T if name.transposed else array
        if tuple(array.shape) != tuple(variable.shape):
            expected = tuple(reversed(variable.shape)) if name.transposed else tuple(variable.shape)
            complaints.append(
                f"{name.hugging_face} has shape {arrays[name.hugging_face].shape}, config.json says {expected}"
            )
            continue
        if not np.isfinite(array.sum(dtype="float64")):
            complaints.append(f"{name.hugging_face} is not finite")
            continue
        pairs.append((variable, array))
    if complaints:
        raise CheckpointError(
            f"{source}: {len(complaints)} of {len(table)} weights do not fit config.json: {shortened(complaints)}. "
            "Use the config.json that was saved with these weights, or download the checkpoint again."
        )
    for variable, array in pairs:
        variable.assign(np.asarray(array, dtype=np.float32))


def shortened(items, most=8):
    """Join `items` for a message, naming at most `most` of them."""
    items = list(items)
    return "; ".join(items[:most]) + (f"; and {len(items) - most} more" if len(items) > most else "")


def _to_numpy(variable):
    import keras

    return keras.ops.convert_to_numpy(variable.value)
