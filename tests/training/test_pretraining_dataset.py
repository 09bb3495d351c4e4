"""Every row of a corpus once an epoch, in an order and with masks that depend on seed and epoch alone."""

import keras
import numpy as np
import pytest

from keras_bert_suite.data.corpus import Corpus
from keras_bert_suite.data.masking import Masking
from keras_bert_suite.training import pretraining_dataset
from keras_bert_suite.training.pretraining_dataset import PretrainingDataset
from keras_bert_suite.training.staged_dataset import StagedDataset
from tests.tasks.small_corpus import TOKENIZER, write_corpus

ROWS = 90


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return Corpus(write_corpus(tmp_path_factory.mktemp("corpus") / "pairs", rows=ROWS, max_length=40, shards=5))


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    return Corpus(write_corpus(tmp_path_factory.mktemp("corpus") / "documents", "documents", rows=ROWS, max_length=40))


def rows_of(batch):
    """The rows of a batch with the masked tokens put back, as tuples of ids; rows that weigh nothing left out."""
    inputs, targets, weights = batch
    ids = inputs["token_ids"].copy()
    rows, places = np.nonzero(weights["masked_lm"])
    ids[rows, inputs["masked_positions"][rows, places]] = targets["masked_lm"][rows, places]
    lengths = inputs["padding_mask"].sum(axis=1)
    real = weights["masked_lm"].any(axis=1)
    return [tuple(row[:length].tolist()) for row, length in zip(ids[real], lengths[real], strict=True)]


def all_rows(corpus):
    return sorted(tuple(row.tolist()) for n in range(len(corpus)) for row in iterated(corpus.shard(n).rows()))


def iterated(ragged):
    return [ragged[row] for row in range(len(ragged))]


@pytest.mark.parametrize("group_tokens", [10**9, 300])
@pytest.mark.parametrize("batch_size", [8, 64, 200])
def test_every_row_is_met_once_an_epoch(corpus, monkeypatch, group_tokens, batch_size):
    monkeypatch.setattr(pretraining_dataset, "GROUP_TOKENS", group_tokens)
    dataset = PretrainingDataset(corpus, TOKENIZER, batch_size, pair_head="next_sentence")
    orders = []
    for epoch in range(2):
        batches = list(dataset.starting_at(epoch))
        assert len(batches) == len(dataset) == -(-ROWS // batch_size)
        assert {len(inputs["token_ids"]) for inputs, _, _ in batches} == {batch_size}
        assert sum(weights["next_sentence"].sum() for _, _, weights in batches) == ROWS
        found = [row for batch in batches for row in rows_of(batch)]
        assert sorted(found) == all_rows(corpus)
        orders.append(found)
    assert orders[0] != orders[1]


def test_labels_and_segments_go_with_their_rows(corpus):
    known = {}
    for number in range(len(corpus)):
        shard = corpus.shard(number)
        for row, (ids, start, label) in enumerate(
            zip(iterated(shard.rows()), shard.second_starts, shard.pair_labels, strict=True)
        ):
            known.setdefault(tuple(ids.tolist()), set()).add((int(start), int(label)))
            assert row < ROWS
    for inputs, targets, weights in PretrainingDataset(corpus, TOKENIZER, 8, pair_head="next_sentence").starting_at(0):
        real = weights["next_sentence"] > 0
        starts = inputs["segment_ids"][real].argmax(axis=1)
        for ids, start, label in zip(
            rows_of((inputs, targets, weights)), starts, targets["next_sentence"][real], strict=True
        ):
            assert (int(start), int(label)) in known[ids]


def test_any_batch_can_be_had_without_those_before(corpus, monkeypatch):
    monkeypatch.setattr(pretraining_dataset, "GROUP_TOKENS", 300)
    options = {"pair_head": "next_sentence", "masking": Masking(strategy="word"), "seed": 4}
    dataset = PretrainingDataset(corpus, TOKENIZER, 8, **options)
    whole = list(dataset.starting_at(2))
    for step in (0, 5, len(whole) - 1):
        [first, *_] = PretrainingDataset(corpus, TOKENIZER, 8, **options).starting_at(2, step)
        for part, other in zip(first, whole[step], strict=True):
            for name in part:
                np.testing.assert_array_equal(part[name], other[name])


def test_masks_are_fresh_each_epoch_unless_they_are_to_stay(corpus):
    def masks(dataset):
        batch = dataset[0]
        return batch[0]["token_ids"].tolist(), batch[0]["masked_positions"].tolist()

    for shuffle in (True, False):
        dataset = PretrainingDataset(corpus, TOKENIZER, 8, shuffle=shuffle)
        before = masks(dataset)
        dataset.on_epoch_end()
        assert (masks(dataset) == before) != shuffle


def test_rows_of_like_length_share_a_batch(corpus):
    dataset = PretrainingDataset(corpus, TOKENIZER, 8)
    assert dataset.buckets == (16, 24, 32, 40)
    batches = list(dataset.starting_at(0))
    padding = 1 - np.concatenate([inputs["padding_mask"].ravel() for inputs, _, _ in batches]).mean()
    assert padding < 0.35
    for inputs, _, _ in batches[2:]:
        length = inputs["token_ids"].shape[1]
        assert length in dataset.buckets
        assert inputs["masked_positions"].shape[1] == Masking().num_predictions(length)
    if keras.backend.backend() == "tensorflow":  # where the first two decide the shape of all
        shapes = [inputs["masked_positions"].shape + inputs["token_ids"].shape for inputs, _, _ in batches[:2]]
        assert shapes[0][1] != shapes[1][1]
        assert shapes[0][3] < shapes[1][3] == 40


def test_several_rows_of_a_corpus_in_one(documents):
    dataset = PretrainingDataset(documents, TOKENIZER, 16, packed=True, row_length=64)
    found = []
    for inputs, targets, weights in dataset.starting_at(0):
        ids = inputs["token_ids"].copy()
        rows, places = np.nonzero(weights["masked_lm"])
        ids[rows, inputs["masked_positions"][rows, places]] = targets["masked_lm"][rows, places]
        for row, sequences in enumerate(inputs["sequence_ids"]):
            for sequence in sorted(set(sequences.tolist()) - {0}):
                here = sequences == sequence
                found.append(tuple(ids[row, here].tolist()))
                assert inputs["position_ids"][row, here].tolist() == list(range(here.sum()))
        assert (inputs["token_ids"][inputs["sequence_ids"] == 0] == TOKENIZER.pad_token_id).all()
    assert sorted(found) == all_rows(documents)


def test_the_whole_text_is_the_target_of_a_discriminator(documents):
    dataset = PretrainingDataset(documents, TOKENIZER, 8, replaced_token=True, masking=Masking(random_rate=0.0))
    inputs, targets, weights = dataset[0]
    changed = inputs["token_ids"] != targets["replaced_token"]
    assert changed.any()
    assert (inputs["token_ids"][changed] == TOKENIZER.mask_token_id).all()
    np.testing.assert_array_equal(weights["replaced_token"], inputs["padding_mask"])


def test_stages_follow_one_another_and_a_stage_may_go_round(corpus, documents):
    stages = [PretrainingDataset(documents, TOKENIZER, size) for size in (16, 8)]
    dataset = StagedDataset([(stages[0], 9), (stages[1], 2)], num_epochs=4)
    assert dataset.num_batches == 3
    batches = [batch for epoch in range(4) for batch in dataset.starting_at(epoch)]
    assert [len(inputs["token_ids"]) for inputs, _, _ in batches] == [16] * 9 + [8] * 3
    for place, (stage, epoch, index) in {0: (0, 0, 0), 7: (0, 1, 1), 9: (1, 0, 0), 11: (1, 0, 2)}.items():
        expected = stages[stage].batch(epoch, index)[0]["token_ids"]
        width = expected.shape[1]
        np.testing.assert_array_equal(batches[place][0]["token_ids"][:, :width], expected)
    uneven = StagedDataset([(stages[0], 7), (stages[1], 5)], num_epochs=4)
    rows = [[len(inputs["token_ids"]) for inputs, _, _ in uneven.starting_at(epoch)] for epoch in range(4)]
    assert [uneven.num_examples_of(epoch) for epoch in range(4)] == [sum(epoch) for epoch in rows] == [48, 48, 32, 24]
    assert uneven.num_examples == sum(map(sum, rows)) / 4
    assert uneven.mean([100, 10], epoch=2) == (100 + 10 + 10) / 3
    longer = PretrainingDataset(corpus, TOKENIZER, 8, packed=True, row_length=400)
    with pytest.raises(ValueError, match="in order of length"):
        StagedDataset([(longer, 1), (stages[0], 1)])


def test_batches_tell_whether_their_shapes_vary(corpus):
    short = PretrainingDataset(corpus, TOKENIZER, 2)
    whole, packed = (PretrainingDataset(corpus, TOKENIZER, ROWS, packed=packed) for packed in (False, True))
    assert short.shapes_vary
    assert not whole.shapes_vary
    assert not packed.shapes_vary
    assert not StagedDataset([(whole, 1), (whole, 1)]).shapes_vary
    staged = StagedDataset([(whole, 1), (short, 1)])
    assert staged.shapes_vary
    assert staged.starting_at(0).shapes_vary
    assert staged.shapes == short.shapes
    lengths = [short.starting_at(0)[index][0]["token_ids"].shape[1] for index in range(2)]
    assert lengths == [short.length_of(0, index) for index in range(2)]  # no second batch longer than it need be
    if keras.backend.backend() == "tensorflow":  # but where `fit` looks at it
        assert short[1][0]["token_ids"].shape[1] == short.longest


def test_data_sets_are_told_apart(corpus, documents):
    made = [
        PretrainingDataset(corpus, TOKENIZER, 8),
        PretrainingDataset(corpus, TOKENIZER, 9),
        PretrainingDataset(corpus, TOKENIZER, 8, seed=1),
        PretrainingDataset(corpus, TOKENIZER, 8, masking=Masking(strategy="word")),
        PretrainingDataset(documents, TOKENIZER, 8),
        StagedDataset([(PretrainingDataset(corpus, TOKENIZER, 8), 4)]),
    ]
    fingerprints = [dataset.fingerprint() for dataset in made]
    assert len(set(fingerprints)) == len(made)
    assert PretrainingDataset(corpus, TOKENIZER, 8).fingerprint() == fingerprints[0]
