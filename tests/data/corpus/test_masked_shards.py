"""What shards carry beside tokens: masks, starts of words, and the same as TFRecords."""

import json
import subprocess
import sys

import numpy as np
import pytest

from keras_bert_suite.data.corpus import Corpus, build_corpus, convert_tfrecords
from keras_bert_suite.data.corpus.examples import serialize_examples
from keras_bert_suite.data.corpus.tokens import without_frame
from keras_bert_suite.data.corpus.word_starts import find_continuations
from keras_bert_suite.data.masking import Masking
from keras_bert_suite.errors import DataError
from keras_bert_suite.text import BytePairTokenizer, WordPieceTokenizer
from tests.data.corpus.test_build import build, contents, write_text
from tests.support.tiny import SPECIALS, tiny_tokenizer

FEATURES = ["input_ids", "input_mask", "masked_lm_ids", "masked_lm_positions", "masked_lm_weights"]
FEATURES += ["next_sentence_labels", "segment_ids"]


@pytest.fixture
def text(tmp_path):
    return write_text(tmp_path / "a.txt", 120)


def unmasked(shard):
    ids = shard.token_ids.copy()
    ids[shard.masked_positions] = shard.masked_ids
    return ids


def test_masked_shards_give_back_the_rows_that_they_mask(text, tmp_path):
    plain = build(text, tmp_path / "plain")
    masked = build(text, tmp_path / "masked", masking=Masking(max_predictions=2))
    tokenizer = tiny_tokenizer()
    for index in range(len(plain)):
        before, after = plain.shard(index), masked.shard(index)
        assert np.array_equal(unmasked(after), before.token_ids)
        assert np.array_equal(after.offsets, before.offsets)
        assert (np.diff(after.masked_positions) > 0).all()
        assert not np.isin(after.masked_ids, [tokenizer.cls_token_id, tokenizer.sep_token_id]).any()
        counts = np.diff(np.searchsorted(after.masked_positions, after.offsets))
        assert counts.min() >= 1
        assert counts.max() == 2
        assert (after.token_ids[after.masked_positions] == tokenizer.mask_token_id).mean() > 0.5


def chinese_tokenizer():
    characters = "我来到北京清华大学他了网易杭研厦今天气很好。，喜欢a"
    return WordPieceTokenizer([*SPECIALS, *characters, "app", "##le", "caf", "##e", "3", "14", "."])


def words_by_continuation(tokenizer, sentences, language):
    tokenizer = without_frame(tokenizer)
    rows = tokenizer.encode(sentences)
    starts = np.flatnonzero(~find_continuations(tokenizer, language, sentences, rows))
    return ["".join(map(tokenizer.id_to_token, part)) for part in np.split(rows.token_ids, starts) if len(part)]


def test_chinese_words_are_those_of_jieba():
    pytest.importorskip("rjieba")
    found = words_by_continuation(chinese_tokenizer(), ["我来到北京清华大学。", "他来到了网易杭研大厦"], "zh")
    assert found[:3] == ["我", "来到", "北京"]
    assert "大厦" in found
    assert "".join(found) == "我来到北京清华大学。他来到了网易杭研大厦"


def test_words_that_are_cut_otherwise_alone_are_found_in_their_sentence():
    pytest.importorskip("rjieba")
    sentences = ["café好", "我来到北京 apple", "", "3.14好"]
    found = words_by_continuation(chinese_tokenizer(), sentences, "zh")
    assert found == ["caf##e", "好", "我", "来到", "北京", "app##le", "3.14", "好"]


def test_words_of_a_byte_level_vocabulary_are_runs_of_letters():
    pieces = ["<s>", "</s>", "<pad>", "<unk>", "<mask>", *"abcdefghijklmnopqrstuvwxyz.", "Ġ", "Ġc", "at", "Ġcat"]
    merges = ["Ġ c", "a t", "Ġc at"]
    tokenizer = BytePairTokenizer({piece: index for index, piece in enumerate(pieces)}, merges)
    found = words_by_continuation(tokenizer, ["a cat sat.", " cats"], "en")
    assert found == ["a", "Ġcat", "Ġsat", ".", "Ġcats"]


def test_starts_of_words_come_with_the_rows(tmp_path):
    pytest.importorskip("rjieba")
    path = tmp_path / "a.txt"
    path.write_text("我来到北京清华大学。他来到了网易杭研大厦。\n\n今天天气很好。我喜欢北京。" * 30, encoding="utf-8")
    corpus = build_corpus(
        path, chinese_tokenizer(), tmp_path / "out", language="zh", whole_words=True, masking=Masking(strategy="word"),
        max_length=40,
    )  # fmt: skip
    shard = corpus.shard(0)
    begins = np.unpackbits(shard.word_starts, count=len(shard.token_ids)).astype(bool)
    assert begins[shard.offsets[:-1]].all()
    ids = unmasked(shard)
    tokenizer = chinese_tokenizer()
    second = np.flatnonzero(ids == tokenizer.token_to_id("京"))
    assert len(second) > 10
    assert not begins[second].any()
    masked = np.zeros(len(ids), bool)
    masked[shard.masked_positions] = True
    assert np.array_equal(masked[second], masked[second - 1])


@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", ["next_sentence", "documents"])
def test_tfrecords_have_the_features_of_the_original_and_are_read_back(text, tmp_path, kind):
    import tensorflow as tf

    masking = Masking(max_predictions=3)
    shards = build(text, tmp_path / "shards", masking=masking, kind=kind)
    records = build(text, tmp_path / "records", masking=masking, kind=kind, file_format="tfrecord")
    paths = sorted((tmp_path / "records").glob("*.tfrecord"))
    assert len(paths) == len(shards) == len(records)
    example = tf.train.Example()
    example.ParseFromString(next(iter(tf.data.TFRecordDataset(str(paths[0])))).numpy())
    features = example.features.feature
    assert sorted(features) == FEATURES
    sizes = {name: len(features[name].int64_list.value or features[name].float_list.value) for name in FEATURES}
    assert sizes == dict(zip(FEATURES, [24, 24, 3, 3, 3, 1, 24], strict=True))
    row, shard = shards.shard(0).rows()[0], shards.shard(0)
    assert features["input_ids"].int64_list.value == [*row.tolist(), *[0] * (24 - len(row))]
    assert sum(features["input_mask"].int64_list.value) == len(row)
    assert features["segment_ids"].int64_list.value == [
        int(shard.second_starts[0] <= place < len(row)) for place in range(24)
    ]
    for index in range(len(shards)):
        first, second = shards.shard(index), records.shard(index)
        for name in ("token_ids", "offsets", "second_starts", "pair_labels", "masked_positions", "masked_ids"):
            assert np.array_equal(getattr(first, name), getattr(second, name)), name
    if kind == "next_sentence":
        converted = convert_tfrecords(paths, tiny_tokenizer(), tmp_path / "converted")
        assert converted.num_rows == shards.num_rows
        assert converted.max_length == 24
        assert np.array_equal(converted.shard(1).token_ids, shards.shard(1).token_ids)


@pytest.mark.tensorflow
def test_examples_are_the_bytes_that_tensorflow_writes():
    import tensorflow as tf

    rng = np.random.default_rng(0)
    features = {
        "small": rng.integers(0, 128, (50, 3)),
        "large": rng.integers(0, 1 << rng.integers(1, 29, (50, 200))),
        "edges": np.tile([0, 1, 127, 128, 16383, 16384, (1 << 21) - 1, 1 << 21, (1 << 28) - 1], (50, 1)),
        "a weight é": rng.random((50, 40), np.float32),
    }
    for row, found in enumerate(serialize_examples(features)):
        lists = {
            name: tf.train.Feature(float_list=tf.train.FloatList(value=values[row]))
            if values.dtype == np.float32
            else tf.train.Feature(int64_list=tf.train.Int64List(value=values[row]))
            for name, values in features.items()
        }
        example = tf.train.Example(features=tf.train.Features(feature=lists))
        assert found == example.SerializeToString(deterministic=True)


@pytest.mark.tensorflow
def test_damaged_tfrecords_are_named(text, tmp_path):
    import tensorflow as tf

    records = build(text, tmp_path / "records", file_format="tfrecord")
    path = min((tmp_path / "records").glob("*.tfrecord"))
    with pytest.raises(DataError, match="ids must be below 5"):
        convert_tfrecords([path], WordPieceTokenizer(SPECIALS), tmp_path / "out")
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(DataError, match="cut short"):
        records.shard(0)
    with pytest.raises(DataError, match=f"{path.name}: cannot be read as TFRecords"):
        convert_tfrecords([path], tiny_tokenizer(), tmp_path / "out")
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(tf.train.Example().SerializeToString())
    with pytest.raises(DataError, match="must have the feature input_ids"):
        convert_tfrecords([path], tiny_tokenizer(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_chinese_files_may_hold_nothing(tmp_path):
    pytest.importorskip("rjieba")
    (tmp_path / "a.jsonl").write_text("\n\n", encoding="utf-8")
    settings = {"language": "zh", "whole_words": True}
    with pytest.raises(DataError, match="a corpus needs text"):
        build_corpus(tmp_path / "a.jsonl", chinese_tokenizer(), tmp_path / "out", kind="documents", **settings)


def test_tensorflow_is_not_imported_for_shards(text, tmp_path):
    code = (
        "import sys\nfrom tests.data.corpus.test_build import build\n"
        f"build({str(text)!r}, {str(tmp_path / 'out')!r}).shard(0)\n"
        "print([name for name in ('tensorflow', 'jax', 'torch', 'keras') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["settings"]["masking"] is None


def test_masked_shards_are_the_same_again(text, tmp_path):
    for name in ("one", "two"):
        build(text, tmp_path / name, masking=Masking(strategy="span"), workers=1 + (name == "two"))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert Corpus(tmp_path / "one").manifest["settings"]["masking"]["strategy"] == "span"
