"""Pairs have the properties of those of google-research/bert; KBS_GOOGLE_BERT names a checkout of it."""

import os
import random
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from keras_bert_suite.data.corpus.rows import plan_rows
from tests.data.corpus.test_rows import documents

SCRIPT = Path(os.environ.get("KBS_GOOGLE_BERT", "nowhere"), "create_pretraining_data.py")
pytestmark = pytest.mark.skipif(
    not SCRIPT.is_file(), reason="KBS_GOOGLE_BERT names no checkout of google-research/bert"
)
SEEDS = range(12)


@pytest.fixture
def original(monkeypatch):
    """The functions of the script, without TensorFlow and without masking."""
    flags = types.SimpleNamespace(FLAGS=types.SimpleNamespace())
    for kind in ("string", "bool", "integer", "float"):
        setattr(flags, f"DEFINE_{kind}", lambda *arguments: None)
    monkeypatch.setitem(sys.modules, "tensorflow", types.SimpleNamespace(flags=flags))
    monkeypatch.setitem(sys.modules, "tokenization", types.SimpleNamespace())
    functions = {"__name__": "original"}
    exec(compile(SCRIPT.read_text(encoding="utf-8"), str(SCRIPT), "exec"), functions)
    functions["create_masked_lm_predictions"] = lambda tokens, *arguments: (tokens, [], [])
    return functions


def portrait(first, second, at_random):
    lengths = first + second
    return [
        len(lengths), at_random.mean(), lengths.mean(), (lengths == 125).mean(), first.mean(), first.std(),
        (lengths < 40).mean(), lengths[at_random == 0].mean(),
    ]  # fmt: skip


def test_rows_are_like_those_of_the_original_on_the_same_documents(original):
    tokens = documents(np.random.default_rng(0), 400, sentences=60, words=50)
    bounds, ends = tokens.sentences, tokens.documents
    texts = [
        [list(range(bounds[sentence], bounds[sentence + 1])) for sentence in range(ends[number], ends[number + 1])]
        for number in range(400)
    ]
    theirs, ours = [], []
    for seed in SEEDS:
        rng, made = random.Random(seed), []
        for number in range(400):
            made += original["create_instances_from_document"](texts, number, 128, 0.1, 0.15, 20, [""], rng)
        first = np.array([row.segment_ids.index(1) - 2 for row in made])
        second = np.array([len(row.tokens) for row in made]) - 3 - first
        theirs.append(portrait(first, second, np.array([row.is_random_next for row in made])))
        rows = plan_rows("next_sentence", tokens, 125, 0.1, np.random.default_rng(seed))
        ours.append(portrait(*rows.lengths, rows.labels))
    theirs, ours = np.array(theirs), np.array(ours)
    error = np.sqrt((theirs.var(axis=0) + ours.var(axis=0)) / len(SEEDS))
    assert (np.abs(theirs.mean(axis=0) - ours.mean(axis=0)) < 4 * error).all()
    assert np.allclose(theirs.mean(axis=0), ours.mean(axis=0), rtol=0.15)
