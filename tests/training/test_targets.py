"""Targets by text, by token, by output and by group, and how much each counts."""

import numpy as np
import pytest

from keras_bert_suite.text import WordPieceTokenizer
from keras_bert_suite.training import IGNORED, BucketedDataset, GroupedDataset, PackedDataset, TokenTargets

pytestmark = pytest.mark.per_backend

TOKENIZER = WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"])
TEXTS = ["a", "a b c", "c c", "b b b b", "a a", "c"]


def encoded_with_targets():
    """Texts, and as target of each token its id plus 100; of the special ones none."""
    encoded = TOKENIZER.encode(TEXTS)
    values = np.where(encoded.token_ids >= 5, encoded.token_ids + 100, IGNORED)
    return encoded, TokenTargets(values)


@pytest.mark.parametrize("kind", [BucketedDataset, PackedDataset])
def test_targets_of_tokens_stand_where_the_tokens_do(kind):
    encoded, targets = encoded_with_targets()
    dataset = kind(encoded, targets, 3, max_length=16, seed=1)
    seen = 0
    for inputs, placed, weights in (dataset[index] for index in range(len(dataset))):
        assert placed.shape == weights.shape == inputs["token_ids"].shape
        assert "first_positions" not in inputs
        counted = weights > 0
        assert (placed[counted] == inputs["token_ids"][counted] + 100).all()
        assert (placed >= 0).all()
        assert (inputs["token_ids"][~counted] < 5).all() or len(inputs["token_ids"]) > len(TEXTS)
        seen += counted.sum()
    assert seen == (encoded.token_ids >= 5).sum()


@pytest.mark.parametrize("kind", [BucketedDataset, PackedDataset])
def test_weights_of_examples(kind):
    encoded, _ = encoded_with_targets()
    weights = np.arange(1, 7, dtype="float32")
    dataset = kind(encoded, np.arange(6), 4, max_length=16, shuffle=False, weights=weights)
    found = {}
    for _, targets, counts in (dataset[index] for index in range(len(dataset))):
        for target, count in zip(targets.reshape(-1), counts.reshape(-1), strict=True):
            if count:
                found[int(target)] = float(count)
    assert found == {index: index + 1.0 for index in range(6)}
    assert dataset.fingerprint() != kind(encoded, np.arange(6), 4, max_length=16, shuffle=False).fingerprint()


def test_a_target_that_is_ignored_weighs_nothing():
    encoded, _ = encoded_with_targets()
    targets = np.array([0, IGNORED, 2, 3, IGNORED, 5])
    _, placed, weights = BucketedDataset(encoded, targets, 6, max_length=16)[0]
    assert weights.sum() == 4
    assert placed.min() == 0


def test_targets_of_several_outputs():
    encoded, tokens = encoded_with_targets()
    dataset = BucketedDataset(encoded, {"topic": np.arange(6), "tags": tokens}, 6, max_length=16)
    inputs, targets, weights = dataset[0]
    assert targets["topic"].shape == weights["topic"].shape == (6,)
    assert targets["tags"].shape == weights["tags"].shape == inputs["token_ids"].shape


def test_groups_stay_together():
    encoded, _ = encoded_with_targets()
    dataset = GroupedDataset(encoded, np.arange(2), 3, max_length=16, group_size=3)
    inputs, targets, weights = dataset[0]
    assert dataset.num_examples == 2
    assert inputs["token_ids"].shape[:2] == (3, 3)  # the last group only fills the batch up
    assert weights.tolist() == [1, 1, 0]
    for row, target in zip(inputs["token_ids"], targets, strict=True):
        for text, ids in zip(range(3 * target, 3 * target + 3), row, strict=True):
            assert ids[ids > 0].tolist() == encoded[text].tolist()
