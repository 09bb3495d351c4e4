"""Every row once an epoch, in batches of one size, whose filler weighs nothing."""

import keras
import numpy as np
import pytest

from keras_bert_suite import EncoderConfig, WordPieceTokenizer
from keras_bert_suite.models import build_encoder, build_text_classifier
from keras_bert_suite.training import BucketedDataset
from tests.support.layer_checks import numpy_of

WORDS = [f"w{number}" for number in range(200)]
TOKENIZER = WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])
MAX_LENGTH = 24


def dataset_of(lengths, batch_size, **options):
    """Row n begins with word n and has target n."""
    texts = [" ".join([WORDS[row], *["w0"] * (length - 3)]) for row, length in enumerate(lengths)]
    encoded = TOKENIZER.encode(texts, max_length=MAX_LENGTH)
    assert encoded.lengths.tolist() == list(lengths)
    return BucketedDataset(encoded, np.arange(len(texts)), batch_size, MAX_LENGTH, **options)


def epoch_of(dataset):
    """The targets of each batch without its filler, in order."""
    rows = []
    for index in range(len(dataset)):
        inputs, targets, weights = dataset[index]
        first_words = inputs["token_ids"][:, 1] - TOKENIZER.token_to_id("w0")
        real = weights > 0
        assert first_words[real].tolist() == targets[real].tolist(), "rows and targets have parted"
        rows.append(targets[real].tolist())
    return rows


def flat(batches):
    return [row for batch in batches for row in batch]


RANDOM_LENGTHS = np.random.default_rng(0).integers(3, MAX_LENGTH + 1, 53).tolist()


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(
    "lengths",
    [RANDOM_LENGTHS, [5] * 53, [MAX_LENGTH] * 53, [5] * 3, [7]],
    ids=["random", "equal", "full", "few", "one"],
)
def test_every_row_is_met_once_an_epoch(lengths, shuffle):
    dataset = dataset_of(lengths, 8, shuffle=shuffle)
    for _ in range(3):
        assert sorted(flat(epoch_of(dataset))) == list(range(len(lengths)))
        dataset.on_epoch_end()


@pytest.mark.parametrize("lengths", [RANDOM_LENGTHS, [5] * 53], ids=["random", "equal"])
def test_all_training_batches_have_as_many_rows_as_asked(lengths):
    dataset = dataset_of(lengths, 8)
    assert len(dataset) == dataset.num_batches == 7
    for index in range(len(dataset)):
        inputs, targets, weights = dataset[index]
        assert {array.shape[0] for array in inputs.values()} == {8}
        assert targets.shape == weights.shape == (8,)
        assert {array.dtype.name for array in inputs.values()} == {"int32"}
    assert sum(float(dataset[index][2].sum()) for index in range(len(dataset))) == len(lengths)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Keras fixes no shape elsewhere")
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("lengths", [[20] * 3 + [5] * 50, [5] * 53], ids=["mixed", "equal"])
def test_the_first_two_batches_differ_in_length(lengths, shuffle):
    dataset = dataset_of(lengths, 8, shuffle=shuffle)
    for _ in range(4):
        assert dataset[0][0]["token_ids"].shape[1] != dataset[1][0]["token_ids"].shape[1]
        dataset.on_epoch_end()


def test_a_data_set_of_full_rows_keeps_to_one_length():
    dataset = dataset_of([MAX_LENGTH] * 53, 8)
    for _ in range(3):
        assert {dataset[index][0]["token_ids"].shape for index in range(len(dataset))} == {(8, MAX_LENGTH)}
        dataset.on_epoch_end()


def test_without_shuffling_every_epoch_is_the_same():
    dataset = dataset_of(RANDOM_LENGTHS, 8, shuffle=False)
    first = epoch_of(dataset)
    dataset.on_epoch_end()
    assert epoch_of(dataset) == first


def test_the_order_depends_on_seed_and_epoch_alone():
    orders = {}
    for seed in (0, 1, 0):
        np.random.seed(len(orders))  # the global generator must not matter
        dataset = dataset_of(RANDOM_LENGTHS, 8, seed=seed)
        for epoch in range(3):
            order = epoch_of(dataset)
            assert orders.setdefault((seed, epoch), order) == order
            dataset.on_epoch_end()
    assert len({str(order) for order in orders.values()}) == 6


def test_filler_changes_neither_loss_nor_gradients():
    keras.utils.set_random_seed(1)
    config = EncoderConfig(
        vocabulary_size=TOKENIZER.vocab_size,
        num_layers=1,
        hidden_dim=12,
        num_heads=3,
        intermediate_dim=20,
        max_length=MAX_LENGTH,
        dropout_rate=0.0,
        attention_dropout_rate=0.0,
        initializer_range=0.3,
    )
    model = build_text_classifier(build_encoder(config), num_labels=5)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    start = [numpy_of(weight) for weight in model.weights]
    filled = dataset_of([9, 4, 6, 5, 8], 8)[0]
    real = filled[2] > 0
    assert real.sum() == 5
    bare = ({name: array[real] for name, array in filled[0].items()}, filled[1][real], filled[2][real])
    found = []
    for inputs, targets, weights in (filled, bare):
        for weight, value in zip(model.weights, start, strict=True):
            weight.assign(value)
        model.compile(keras.optimizers.SGD(1.0), loss, weighted_metrics=["accuracy"])
        scores = model.train_on_batch(inputs, targets, sample_weight=weights, return_dict=True)
        found.append([*(float(score) for score in scores.values()), *map(numpy_of, model.weights)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)
