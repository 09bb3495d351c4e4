"""Batches for TensorFlow: the shapes that were asked for, in order, and no tuner that has to be waited for."""

import threading

import keras
import numpy as np
import pytest

from keras_bert_suite.training.tf_batches import EpochsOf, as_tf_dataset, readable

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow alone reads them")


class Batches(keras.utils.PyDataset):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def batch_of(rows, length):
    return {"token_ids": np.full((rows, length), rows, "int32")}, np.ones(rows), np.ones(rows, "float32")


def shapes_of(dataset):
    inputs, targets, _ = dataset.element_spec
    return inputs["token_ids"].shape.as_list(), targets.shape.as_list()


def test_shapes_are_what_the_examples_have_in_common():
    batches = Batches([batch_of(4, 7), batch_of(4, 5), batch_of(1, 3)])
    assert shapes_of(as_tf_dataset(batches, [batch_of(4, 7), batch_of(4, 5)])) == ([None, None], [None])
    assert shapes_of(as_tf_dataset(batches, [batch_of(4, 7)])) == ([None, 7], [None])


def test_a_data_set_may_tell_that_shapes_vary():
    batches = Batches([batch_of(4, 7), batch_of(4, 7), batch_of(1, 3)])
    batches.shapes_vary = True
    assert shapes_of(as_tf_dataset(batches)) == ([None, None], [None])
    assert len(list(as_tf_dataset(batches, [batches[0]]))) == 3


def test_every_batch_comes_once_and_in_order():
    batches = Batches([batch_of(rows, 8) for rows in (4, 4, 1)])
    dataset = as_tf_dataset(batches, [batches[0], batches[1]])
    assert int(dataset.cardinality()) == 3
    for _ in range(2):
        found = list(dataset.as_numpy_iterator())
        for (inputs, *rest), (expected, *others) in zip(found, batches.batches, strict=True):
            np.testing.assert_array_equal(inputs["token_ids"], expected["token_ids"])
            for one, other in zip(rest, others, strict=True):
                np.testing.assert_array_equal(one, other)
                assert one.dtype == other.dtype


@pytest.mark.parametrize("kind", [list, lambda batch: batch[0]["token_ids"], lambda batch: batch[0]])
def test_other_forms_of_a_batch_are_read_as_fit_reads_them(kind):
    batches = Batches([kind(batch_of(2, 3))])
    (found,) = as_tf_dataset(batches, [batches[0]])
    inputs = found[0] if isinstance(found, tuple) else found
    values = inputs["token_ids"] if isinstance(inputs, dict) else inputs
    np.testing.assert_array_equal(values, np.full((2, 3), 2))


def test_no_thread_tunes_buffers():
    """Its end takes as long again as the training that was given up: up to a minute after SIGTERM."""
    batches = Batches([batch_of(1, 1)])
    assert as_tf_dataset(batches, [batches[0]]).options().autotune.enabled is False


def test_what_is_no_pydataset_is_left_as_it_is():
    for data in (None, batch_of(1, 1)):
        assert readable(data) is data
    assert readable(Batches([batch_of(1, 1)])).options().autotune.enabled is False


def test_workers_make_batches_beside_each_other_and_in_order():
    class Slow(Batches):
        def __getitem__(self, index):
            meet.wait(timeout=30)  # passes only where two are made at a time
            return super().__getitem__(index)

    meet = threading.Barrier(2)
    batches = Slow([batch_of(rows, 4) for rows in range(1, 9)])
    batches.workers = 2
    examples = [batch_of(1, 4), batch_of(2, 4)]
    assert [len(targets) for _, targets, _ in as_tf_dataset(batches, examples)] == list(range(1, 9))


@pytest.mark.parametrize("labels", [np.array([0, 3, 1]), np.array([[0], [3], [1]]), np.eye(4)[[0, 3, 1]]])
def test_a_label_without_a_weight_counts_as_ever(labels):
    inputs = batch_of(3, 4)[0]
    [(_, targets, weights)] = as_tf_dataset(Batches([(inputs, labels)]), class_weight={0: 2.0, 1: 0.5})
    np.testing.assert_array_equal(targets, labels)
    assert weights.numpy().tolist() == [2.0, 1.0, 0.5]
    with pytest.raises(ValueError, match="for batches without weights of their own"):
        as_tf_dataset(Batches([(inputs, labels, np.ones(3))]), class_weight={0: 2.0})


def test_epochs_begin_and_end_as_where_fit_reads_the_batches_itself():
    class Counting(Batches):
        began = ended = 0

        def on_epoch_begin(self):
            self.began += 1

        def on_epoch_end(self):
            self.ended += 1

    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    counts = []
    for read in (lambda data: (data, []), lambda data: (readable(data), [EpochsOf(data)])):
        batches = Counting([(np.ones((2, 3)), np.ones((2, 1))) for _ in range(3)])
        data, callbacks = read(batches)
        model.fit(data, epochs=2, verbose=0, shuffle=False, callbacks=callbacks)
        counts.append((batches.began, batches.ended))
    assert counts == [(2, 3), (2, 3)]
