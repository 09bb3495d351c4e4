"""Batches in the form in which `fit` on TensorFlow reads them best."""

import collections
import concurrent.futures
import itertools

import keras
import numpy as np

__all__ = ["EpochsOf", "as_fit_reads", "as_tf_dataset", "first_batches", "readable"]

AHEAD = 2  # batches that are made while another is trained


def as_tf_dataset(batches, examples=None, class_weight=None):
    """Return batches as a `tf.data.Dataset` whose shapes and options are not left to `fit`.

    `fit` makes such a data set of any `PyDataset`, but lets tf.data tune its
    buffers in a thread that wakes after 10 ms, 20 ms and so on: at the end of
    the data set, or when training is given up, everything waits until it wakes
    next, up to as long again as the training ran. And `fit` takes what the
    first two batches have in common for the shape of all, so that the program
    it compiles would depend on where a training goes on.

    Args:
        batches: `keras.utils.PyDataset` of arrays, in tuples and dicts. For
            several epochs, pass `EpochsOf` to `fit` too. With an attribute
            `shapes_vary` that is true, batches may be of any length.
        examples: optional list of batches. What their shapes have in common,
            the first axis aside, all other batches must have. Defaults to the
            first two.
        class_weight: optional dict, as for `fit`, which on TensorFlow reads
            beyond its end where a label has none.
    Raises:
        ValueError: if there is `class_weight` for batches that have weights of their own.
        ImportError: if TensorFlow is not installed.
    """
    import tensorflow as tf

    vary = getattr(batches, "shapes_vary", False)

    def signature_of(*arrays):
        arrays = list(map(np.asarray, arrays))
        sizes = map(set, zip(*(array.shape[1:] for array in arrays), strict=True))
        shape = (size.pop() if len(size) == 1 and not vary else None for size in sizes)
        return tf.TensorSpec((None, *shape), arrays[0].dtype)

    def as_read(batch):
        return as_fit_reads(batch) if class_weight is None else _with_class_weight(batch, class_weight)

    def generate():
        yield from map(as_read, _in_order(batches))

    if examples is None:
        examples = first_batches(batches)
    signature = keras.tree.map_structure(signature_of, *map(as_read, examples))
    dataset = tf.data.Dataset.from_generator(generate, output_signature=signature)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(batches.num_batches)).prefetch(AHEAD)
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def _in_order(batches):
    """Yield the batches of a `PyDataset`, made by as many threads as it has workers."""
    indices = iter(range(batches.num_batches))
    if batches.workers <= 1:
        yield from (batches[index] for index in indices)
        return
    with concurrent.futures.ThreadPoolExecutor(batches.workers) as pool:
        made = collections.deque(
            pool.submit(batches.__getitem__, index) for index in itertools.islice(indices, batches.workers + AHEAD)
        )
        while made:
            batch = made.popleft().result()
            made.extend(pool.submit(batches.__getitem__, index) for index in itertools.islice(indices, 1))
            yield batch


def _with_class_weight(batch, class_weight):
    """Return a batch with a weight for each example, by its label; 1 where a label has none."""
    inputs, targets, weights = keras.utils.unpack_x_y_sample_weight(as_fit_reads(batch))
    if weights is not None:
        raise ValueError("class_weight is for batches without weights of their own. Leave it out.")
    labels = np.asarray(targets)
    labels = labels.argmax(-1) if labels.ndim > 1 and labels.shape[-1] > 1 else labels.ravel()
    return inputs, targets, np.array([class_weight.get(int(label), 1.0) for label in labels], "float32")


def readable(data):
    """Return `data` in the form in which `fit` and `evaluate` read it best.

    On TensorFlow that is `as_tf_dataset` of a `PyDataset`, unless this has an
    end nobody knows; everything else stays as it is.
    """
    if keras.backend.backend() != "tensorflow" or not isinstance(data, keras.utils.PyDataset):
        return data
    return data if data.num_batches is None else as_tf_dataset(data)


class EpochsOf(keras.callbacks.Callback):
    """Tells a data set where epochs begin and end, as `fit` does that reads it itself: one ends before the first.

    Args:
        dataset: `keras.utils.PyDataset`, of which `fit` reads `as_tf_dataset`.
    """

    def __init__(self, dataset):
        super().__init__()
        self._dataset = dataset

    def on_train_begin(self, logs=None):
        self._dataset.on_epoch_end()

    def on_epoch_begin(self, epoch, logs=None):
        self._dataset.on_epoch_begin()

    def on_epoch_end(self, epoch, logs=None):
        self._dataset.on_epoch_end()


def first_batches(batches):
    """Return the first two batches of a `PyDataset`, or the only one."""
    return [batches[index] for index in range(min(2, batches.num_batches))]


def as_fit_reads(batch):
    """Return a batch as the tuple, or the dict, that `fit` makes of it."""
    if isinstance(batch, (tuple, dict)):
        return batch
    return tuple(batch) if isinstance(batch, list) else (batch,)
