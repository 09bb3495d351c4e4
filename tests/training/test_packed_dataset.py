"""Several texts a row: every text once an epoch, with its own target and weight, trained as without packing."""

import keras
import numpy as np
import pytest

from keras_bert_suite import EncoderConfig, WordPieceTokenizer
from keras_bert_suite.models import build_encoder, build_packed, build_text_classifier
from keras_bert_suite.training import BucketedDataset
from keras_bert_suite.training.backend import has_accelerator, packs_by_default
from keras_bert_suite.training.packed_dataset import PackedDataset

WORDS = [f"w{number}" for number in range(60)]
TOKENIZER = WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])
MAX_LENGTH = 24
RANDOM_LENGTHS = np.random.default_rng(0).integers(3, MAX_LENGTH + 1, 53).tolist()
KINDS = pytest.mark.parametrize("kind", [BucketedDataset, PackedDataset])


def encoded_of(lengths):
    """Row n begins with word n."""
    texts = [" ".join([WORDS[row], *["w0"] * (length - 3)]) for row, length in enumerate(lengths)]
    return TOKENIZER.encode(texts, max_length=MAX_LENGTH)


def dataset_of(kind=PackedDataset, lengths=RANDOM_LENGTHS, batch_size=8, **options):
    """Row n has target n."""
    return kind(encoded_of(lengths), np.arange(len(lengths)), batch_size, MAX_LENGTH, **options)


def rows_of(batch):
    """The texts of a batch and their targets, read off the arrays: `[(ids, target)]`."""
    inputs, targets, weights = batch
    rows = []
    for row, place in zip(*np.nonzero(weights), strict=True):
        start = inputs["first_positions"][row, place]
        here = inputs["sequence_ids"][row] == place + 1
        assert start == np.flatnonzero(here)[0]
        assert inputs["position_ids"][row, here].tolist() == list(range(here.sum()))
        rows.append((inputs["token_ids"][row, here].tolist(), int(targets[row, place])))
    assert len(rows) == np.count_nonzero(weights) == len({(row, number) for row, number in _numbers(inputs)})
    return rows


def _numbers(inputs):
    for row, ids in enumerate(inputs["sequence_ids"]):
        yield from ((row, number) for number in set(ids.tolist()) - {0})


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("lengths", [RANDOM_LENGTHS, [MAX_LENGTH] * 20, [7]], ids=["random", "full", "one"])
def test_every_text_is_met_once_an_epoch_with_its_target(lengths, shuffle):
    dataset = dataset_of(lengths=lengths, shuffle=shuffle)
    encoded = encoded_of(lengths)
    for _ in range(2):
        found = [row for batch in dataset for row in rows_of(batch)]
        assert sorted(target for _, target in found) == list(range(len(lengths)))
        for ids, target in found:
            assert ids == encoded[target].tolist()
        dataset.on_epoch_end()
    assert [len(rows_of(batch)) for batch in list(dataset)[:-1]] == [8] * (len(dataset) - 1)
    assert {array.dtype.name for array in dataset[0][0].values()} == {"int32"}


def test_segments_and_padding():
    encoded = TOKENIZER.encode(["w1 w2", "w3"], ["w4", "w5 w6"])
    inputs, _, _ = PackedDataset(encoded, np.zeros(2, int), 2, 24, shuffle=False, row_length=16)[0]
    expected = encoded.pad()
    assert inputs["segment_ids"].tolist() == [[0, 0, 0, 0, 1, 1, *[0, 0, 0, 1, 1, 1], 0, 0, 0, 0]]
    assert inputs["token_ids"][0, :6].tolist() == expected["token_ids"][0].tolist()
    assert (inputs["token_ids"][inputs["sequence_ids"] == 0] == TOKENIZER.token_to_id("[PAD]")).all()


def test_targets_may_have_any_shape():
    targets = np.random.default_rng(0).random((53, 3)).astype("float32")
    for kind, inputs_at in ((PackedDataset, "first_positions"), (BucketedDataset, "token_ids")):
        dataset = kind(encoded_of(RANDOM_LENGTHS), targets, 8, MAX_LENGTH)
        inputs, found, weights = dataset[0]
        assert found.shape == (*weights.shape, 3)
        assert len(inputs[inputs_at]) == len(found)
        assert {tuple(row) for row in found[weights > 0].tolist()} <= {tuple(row) for row in targets.tolist()}


@KINDS
def test_an_epoch_can_be_started_anywhere(kind):
    dataset = dataset_of(kind)
    dataset.on_epoch_end()
    dataset.on_epoch_end()
    whole = list(dataset)
    fresh = dataset_of(kind)
    for step in (0, 3, len(whole) - 1, len(whole)):
        rest = fresh.starting_at(2, step)
        assert len(rest) == rest.num_batches == len(whole) - step
        for found, expected in zip(rest, whole[step:], strict=True):
            for one, other in zip(keras.tree.flatten(found), keras.tree.flatten(expected), strict=True):
                np.testing.assert_array_equal(one, other)
        rest.on_epoch_end()  # `fit` calls it before it trains
        np.testing.assert_array_equal(rest[0][1] if step < len(whole) else 0, whole[step][1] if len(rest) else 0)
    assert fresh.epoch == 0


@KINDS
def test_fingerprints_tell_data_and_settings_apart(kind):
    base = {"lengths": RANDOM_LENGTHS, "batch_size": 8, "seed": 0, "shuffle": True}
    fingerprint = dataset_of(kind, **base).fingerprint()
    assert len(fingerprint) == 64
    assert dataset_of(kind, **base).fingerprint() == fingerprint
    dataset = dataset_of(kind, **base)
    dataset.on_epoch_end()
    assert dataset.fingerprint() == fingerprint
    others = [{"lengths": RANDOM_LENGTHS[::-1]}, {"batch_size": 7}, {"seed": 1}, {"shuffle": False}]
    found = {dataset_of(kind, **base | other).fingerprint() for other in others}
    changed = dataset_of(kind, **base)
    changed.targets[0] += 1
    found.add(changed.fingerprint())
    found.add(dataset_of(PackedDataset if kind is BucketedDataset else BucketedDataset, **base).fingerprint())
    assert len(found | {fingerprint}) == 7


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Keras fixes no shape elsewhere")
def test_a_chance_epoch_of_long_batches_does_not_fix_the_length():
    """On TensorFlow, the first two batches of any epoch may decide which shapes `fit` takes."""
    lengths = [MAX_LENGTH] * 5 + [4] * 9
    encoded, targets = encoded_of(lengths), np.arange(14)
    for seed in range(40):
        dataset = BucketedDataset(encoded, targets, 4, MAX_LENGTH, seed=seed)
        first, second = (dataset[index][0]["token_ids"].shape[1] for index in (0, 1))
        assert first != second
        found = [target for _, targets, weights in dataset for target in targets[weights > 0]]
        assert sorted(found) == list(range(14))


def test_fit_reaches_the_weights_that_it_reaches_without_packing():
    """Whole epochs, of the same batches in the same order: packed, and padded by NumPy."""
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
    start = model.get_weights()
    encoded = encoded_of(RANDOM_LENGTHS)
    targets = np.arange(53) % 5
    packed = PackedDataset(encoded, targets, 16, MAX_LENGTH)

    class Padded(keras.utils.PyDataset):
        """The same batches, a text a row; filler and its weight of 0 make them equal in size."""

        def __len__(self):
            return len(packed)

        def __getitem__(self, index):
            rows = packed._planned[index].examples
            weights = np.pad(np.ones(len(rows), "float32"), (0, 16 - len(rows)))
            rows = np.pad(rows, (0, 16 - len(rows)))
            return encoded.pad(rows, length=MAX_LENGTH), targets[rows], weights

        def on_epoch_end(self):
            packed.on_epoch_end()

    found = []
    for one, dataset in ((model, Padded()), (build_packed(model), packed)):
        packed.epoch = 0
        model.set_weights(start)
        one.compile(
            keras.optimizers.SGD(0.1),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight"),
            # Keras weighs the losses of an epoch's batches by their rows, so that `loss` is not by example.
            weighted_metrics=["accuracy", keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="mean")],
            jit_compile=keras.backend.backend() == "jax",
        )
        history = one.fit(dataset, epochs=2, shuffle=False, verbose=0).history
        found.append([*history["mean"], *history["accuracy"], *model.get_weights()])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-5)
    assert max(np.abs(one - other).max() for one, other in zip(start, model.get_weights(), strict=True)) > 1e-2


def test_a_text_longer_than_max_length():
    with pytest.raises(ValueError, match="no text may be longer than max_length.*a text of 24 tokens, max_length=10"):
        PackedDataset(encoded_of([24]), np.zeros(1), 2, 10)


@pytest.mark.skipif(has_accelerator(), reason="an accelerator packs whatever can be")
@pytest.mark.parametrize(
    ("lengths", "packed"),
    [([20, 30, 128], True), ([64, 64], True), ([65, 64], False), ([10, 10, 129], False), ([], False), (None, False)],
)
def test_a_processor_packs_short_texts_by_default(lengths, packed):
    assert packs_by_default(None if lengths is None else np.array(lengths, int)) is packed
