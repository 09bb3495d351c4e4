"""Embeddings are trained as sentence-transformers trains them, and scored by what they are for."""

import json

import keras
import numpy as np
import pytest

import keras_bert_suite as kbs
from keras_bert_suite.errors import DataError
from keras_bert_suite.models import build_text_embedder, build_text_groups
from keras_bert_suite.tasks import TextEmbedder
from keras_bert_suite.tasks.registry import open_task
from tests.support.layer_checks import numpy_of
from tests.tasks.small import CONFIG, VOCABULARY, examples

TEXTS, LABELS = examples(72, seed=5)
#: Two texts of one label each, and one of another; each text occurs once.
PAIRS = [(TEXTS[row], TEXTS[row + 24]) for row in range(24)]
TRIPLETS = [(*pair, TEXTS[48 + (row + 1) % 24]) for row, pair in enumerate(PAIRS)]
SCORED = [(TEXTS[row], TEXTS[row + 1 + row % 3]) for row in range(24)]
SCORES = [float(LABELS[row] == LABELS[row + 1 + row % 3]) for row in range(24)]


def small_embedder(normalize=True, seed=2, dropout_rate=0.0, max_length=16, num_layers=1, **options):
    keras.utils.set_random_seed(seed)
    config = CONFIG.replace(num_layers=num_layers, dropout_rate=dropout_rate, attention_dropout_rate=dropout_rate)
    model = build_text_embedder(kbs.models.build_encoder(config), normalize=normalize)
    return TextEmbedder(model, kbs.WordPieceTokenizer(VOCABULARY), max_length, **options)


def quick_fit(embedder, *data, loss=None, recipe=None, **options):
    """A few steps, not compiled."""
    embedder.compile(**{"learning_rate": 1e-2, "loss": loss, "jit_compile": False, **(recipe or {})})
    return embedder.fit(*data, **{"epochs": 1, "batch_size": 12, "seed": 1, "verbose": 0, **options}).history


def groups_of(embedder, rows):
    """Token arrays `(B, C, T)` of a list of tuples of texts."""
    tokens = embedder.tokenizer([text for row in rows for text in row], max_length=16)
    return {name: array.reshape(len(rows), len(rows[0]), -1) for name, array in tokens.items()}


@pytest.fixture(scope="module", autouse=True)
def untraced():
    """Run a few steps without tracing them first, which takes TensorFlow seconds a fit."""
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


# Against sentence-transformers


def opened_there(embedder, directory):
    torch = pytest.importorskip("torch")
    sentence_transformers = pytest.importorskip("sentence_transformers")
    embedder.save_pretrained(directory)
    model = sentence_transformers.SentenceTransformer(str(directory), device="cpu")
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def loss_there(model, name, rows, scores=None, **options):
    import torch
    from sentence_transformers.sentence_transformer import losses

    features = [model.tokenize(list(column)) for column in zip(*rows, strict=True)]
    loss = getattr(losses, name)(model, **options)
    return loss(features, None if scores is None else torch.tensor(scores))


@pytest.mark.parametrize(
    ("ours", "theirs", "rows", "scores"),
    [
        (None, "MultipleNegativesRankingLoss", PAIRS[:9], None),
        (None, "MultipleNegativesRankingLoss", TRIPLETS[:9], None),
        ("triplet", "TripletLoss", TRIPLETS[:9], None),
        (None, "CoSENTLoss", SCORED[:9], SCORES[:9]),
        ("cosine", "CosineSimilarityLoss", SCORED[:9], SCORES[:9]),
    ],
)
def test_steps_are_those_of_sentence_transformers(ours, theirs, rows, scores, tmp_path):
    """The same loss before each of three steps of gradient descent, and the same vectors after them."""
    import torch
    from sentence_transformers.sentence_transformer.losses import TripletDistanceMetric

    embedder = small_embedder()
    there = opened_there(embedder, tmp_path / "model")
    options = {} if ours != "triplet" else {"distance_metric": TripletDistanceMetric.COSINE, "triplet_margin": 0.5}
    expected = []
    there.train()
    optimizer = torch.optim.SGD(there.parameters(), lr=0.05)
    for _ in range(3):
        loss = loss_there(there, theirs, rows, scores, **options)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        expected.append(float(loss.detach()))
    there.eval()
    recipe = {"optimizer": keras.optimizers.SGD(0.05)}
    history = quick_fit(embedder, rows, scores, loss=ours, recipe=recipe, epochs=3, batch_size=9)
    assert history["loss"] == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(embedder.encode(TEXTS), there.encode(TEXTS), rtol=0, atol=2e-5)


def test_what_was_trained_opens_there(tmp_path):
    embedder = small_embedder(dropout_rate=0.1)
    before = embedder.encode(TEXTS)
    quick_fit(embedder, PAIRS)
    after = embedder.encode(TEXTS)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(opened_there(embedder, tmp_path / "model").encode(TEXTS), after, rtol=0, atol=1e-5)
    again = open_task(tmp_path / "model")
    assert isinstance(again, TextEmbedder)
    np.testing.assert_allclose(again.encode(TEXTS), after, rtol=0, atol=1e-6)


# Learning


@pytest.mark.parametrize(
    ("rows", "scores", "loss"),
    [
        (PAIRS, None, None),
        pytest.param(TRIPLETS, None, None, marks=pytest.mark.slow),
        pytest.param(TRIPLETS, None, "triplet", marks=pytest.mark.slow),
        (SCORED, SCORES, None),
    ],
)
def test_texts_of_one_label_come_nearer(rows, scores, loss):
    embedder = small_embedder(dropout_rate=0.1)
    alike = np.array(LABELS)[:, None] == np.array(LABELS)

    def parted():
        similarities = embedder.similarity(TEXTS, TEXTS)
        return similarities[alike].mean() - similarities[~alike].mean()

    before = parted()
    recipe = {"learning_rate": 2e-2, "jit_compile": None}
    history = quick_fit(embedder, rows, scores, loss=loss, recipe=recipe, epochs=8)
    assert history["loss"][-1] < history["loss"][0]
    assert parted() > before + 0.03


def write_rows(path, names, rows):
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in (names, *rows)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def from_tuples(untraced):
    return quick_fit(small_embedder(), PAIRS)["loss"]


@pytest.mark.parametrize("form", ["file", "dict", "columns", "arrays"])
def test_pairs_in_any_form_train_alike(form, from_tuples, tmp_path):
    firsts, seconds = map(list, zip(*PAIRS, strict=True))
    given, options = {
        "file": lambda: (write_rows(tmp_path / "train.tsv", ("anchor", "positive"), PAIRS), {}),
        "dict": lambda: ({"anchor": firsts, "positive": seconds}, {}),
        "columns": lambda: (firsts, {"pairs": seconds}),
        "arrays": lambda: (np.array(PAIRS, dtype=object), {}),
    }[form]()
    assert quick_fit(small_embedder(), given, **options)["loss"] == from_tuples


def test_validation_patience_and_resuming(tmp_path):
    path = write_rows(
        tmp_path / "train.tsv",
        ("sentence1", "sentence2", "score"),
        [(*row, score) for row, score in zip(SCORED, SCORES, strict=True)],
    )
    embedder = small_embedder(dropout_rate=0.1)
    embedder.compile(learning_rate=1e-2, patience=1, jit_compile=False)
    assert embedder.score_names == ("accuracy", "mrr")
    history = embedder.fit(
        path, validation_data=path, epochs=2, batch_size=12, seed=1, directory=tmp_path / "state", verbose=0
    )
    assert {"loss", "pearson", "val_loss", "val_pearson"} <= set(history.history)
    assert embedder.score_names == ("spearman", "pearson")
    vectors = embedder.encode(TEXTS)
    again = small_embedder(dropout_rate=0.1)
    again.compile(learning_rate=1e-2, patience=1, jit_compile=False)
    again.fit(path, validation_data=path, epochs=2, batch_size=12, seed=1, directory=tmp_path / "state", verbose=0)
    np.testing.assert_array_equal(again.encode(TEXTS), vectors)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [{"lora_rank": 2}, {"frozen_blocks": 1}, {"gradual_unfreezing": True}])
def test_recipes_reach_the_encoder(recipe):
    embedder = small_embedder(num_layers=2)
    frozen = numpy_of(embedder.model.get_layer("embeddings").weights[0])
    before = embedder.encode(TEXTS)
    quick_fit(embedder, PAIRS, recipe=recipe, epochs=2)
    assert np.abs(embedder.encode(TEXTS) - before).max() > 1e-4
    if "gradual_unfreezing" not in recipe:
        np.testing.assert_array_equal(numpy_of(embedder.model.get_layer("embeddings").weights[0]), frozen)


def test_the_default_prompt_is_trained_with():
    embedder = small_embedder(prompts={"query": "please "}, default_prompt_name="query")
    plain = small_embedder()
    prompted = [tuple(f"please {text}" for text in row) for row in PAIRS]
    for model, rows in ((embedder, PAIRS), (plain, prompted)):
        quick_fit(model, rows)
    np.testing.assert_allclose(embedder.encode(TEXTS, prompt=""), plain.encode(TEXTS), rtol=0, atol=1e-6)


def test_the_group_model_trains_in_a_plain_script(tmp_path):
    embedder = small_embedder()
    groups = build_text_groups(embedder.model)
    inputs = groups_of(embedder, PAIRS[:6])
    found = numpy_of(groups(inputs))
    assert found.shape == (6, 2, 24)
    np.testing.assert_allclose(found[:, 1], embedder.encode([row[1] for row in PAIRS[:6]]), rtol=0, atol=1e-5)
    groups.compile("adam", kbs.training.MultipleNegativesRankingLoss(), jit_compile=False)
    groups.fit(inputs, np.arange(12).reshape(6, 2), verbose=0)
    np.testing.assert_allclose(
        numpy_of(groups(inputs))[:, 0], embedder.encode([row[0] for row in PAIRS[:6]]), rtol=0, atol=1e-5
    )
    groups.save(tmp_path / "groups.keras")
    again = keras.saving.load_model(tmp_path / "groups.keras")
    np.testing.assert_allclose(numpy_of(again(inputs)), numpy_of(groups(inputs)), rtol=0, atol=1e-6)


def test_batches_of_token_arrays():
    embedder = small_embedder()
    inputs, ids = groups_of(embedder, PAIRS[:6]), np.arange(12).reshape(6, 2)
    assert np.isfinite(quick_fit(embedder, inputs, ids, batch_size=6)["loss"]).all()
    assert {"loss", "accuracy"} <= set(embedder.evaluate(inputs, ids))


# Scores


def test_correlations_are_those_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    embedder, scores = small_embedder(), np.random.default_rng(0).integers(0, 6, 24) / 2
    cosines = embedder.similarity_pairwise([one for one, _ in SCORED], [other for _, other in SCORED])
    found = embedder.evaluate(SCORED, scores)
    assert found["spearman"] == pytest.approx(stats.spearmanr(cosines, scores)[0], abs=1e-5)
    assert found["pearson"] == pytest.approx(stats.pearsonr(cosines, scores)[0], abs=1e-5)
    assert embedder.evaluate(SCORED, [1] * 24) == {"spearman": 0.0, "pearson": 0.0}


def test_ranks_are_those_of_a_search_through_all():
    embedder = small_embedder()
    rows = [*PAIRS, (PAIRS[0][0], TEXTS[40]), (TEXTS[41], PAIRS[3][0])]
    ranks = []
    for anchor, positive in rows:
        right = {other for one, other in rows if one == anchor} - {positive}
        others = [text for text in {other for _, other in rows} if text not in right | {anchor, positive}]
        similarities = embedder.similarity([anchor], [positive, *others])[0]
        ranks.append(1 + (similarities[1:] > similarities[0]).sum())
    expected = {"accuracy": np.mean(np.array(ranks) == 1), "mrr": np.mean(1 / np.array(ranks))}
    assert embedder.evaluate(rows) == pytest.approx(expected)
    assert embedder.evaluate([(text, text) for text in TEXTS[:5]]) == {"accuracy": 1.0, "mrr": 1.0}


def test_triplets_are_right_where_the_positive_is_nearer():
    embedder = small_embedder()
    columns = [embedder.encode(list(column)) for column in zip(*TRIPLETS, strict=True)]
    right = (columns[0] * columns[1]).sum(-1) > (columns[0] * columns[2]).sum(-1)
    assert embedder.evaluate(TRIPLETS) == {"accuracy": pytest.approx(right.mean())}


def test_reports(tmp_path):
    embedder = small_embedder()
    for data in ((SCORED, SCORES), (PAIRS,), (TRIPLETS,)):
        report = embedder.report(*data, title="Small", summary={"model": "small"})
        scores = embedder.evaluate(*data)
        assert list(report.summary)[: len(scores)] == list(embedder.score_names)
        assert all(report.summary[name] == value for name, value in scores.items())
        kbs.reports.write_report(tmp_path / "report", report)
    assert report.mistakes


def test_predictions(tmp_path):
    embedder = small_embedder()
    vectors = embedder.encode(TEXTS[:3])
    path = write_rows(tmp_path / "texts.tsv", ("text",), [(text,) for text in TEXTS[:3]])
    found = [answer["embedding"] for answer in embedder.predict(path)]
    np.testing.assert_allclose(found, vectors, rtol=0, atol=1e-6)
    assert embedder.predict_file(path, tmp_path / "vectors.jsonl") == 3
    rows = [json.loads(line) for line in (tmp_path / "vectors.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["text"] for row in rows] == TEXTS[:3]
    np.testing.assert_allclose([row["embedding"] for row in rows], vectors, rtol=0, atol=1e-6)
    assert embedder.predict([]) == []
    assert len(embedder.predict("one text")) == 1


# Refused


@pytest.mark.parametrize(
    ("data", "options", "error", "message"),
    [
        ((TEXTS,), {}, ValueError, "pairs or triplets"),
        (([("a", "b"), ("a", "b", "c")],), {}, ValueError, "pairs or triplets"),
        (([],), {}, ValueError, "at least one pair"),
        ((PAIRS, ["yes"] * 24), {}, ValueError, "finite numbers"),
        ((PAIRS, [1.0]), {}, ValueError, "a score where there are any"),
        ((TRIPLETS, [1.0] * 24), {}, ValueError, "scores are for pairs"),
        (({"text": ["a"], "other": ["b"]},), {}, ValueError, "keys text, text_b"),
        ((PAIRS,), {"loss": "cosent"}, DataError, "'cosent' is for scores. Received: pairs"),
        ((PAIRS,), {"loss": "triplet"}, DataError, "'triplet' is for triplets"),
        ((SCORED, [5.0, *SCORES[1:]]), {"loss": "cosine"}, DataError, r"scores in \[-1, 1\].*from 0 to 5"),
        ((SCORED, SCORES), {"loss": "multiple_negatives_ranking"}, DataError, "is for pairs and triplets"),
    ],
)
def test_what_cannot_be_learnt_from(data, options, error, message):
    embedder = small_embedder()
    embedder.compile(**options)
    with pytest.raises(error, match=message):
        embedder.fit(*data, epochs=1, verbose=0)


def test_what_cannot_be_chosen():
    embedder = small_embedder()
    with pytest.raises(ValueError, match="loss must be one of 'multiple_negatives_ranking', 'cosent'"):
        embedder.compile(loss="mse")
    with pytest.raises(ValueError, match="r_drop and label_smoothing are for classifiers"):
        embedder.compile(r_drop=1.0)
    embedder.compile()
    with pytest.raises(ValueError, match="packing must be False or 'auto'"):
        embedder.fit(PAIRS, packing=True)
    with pytest.raises(ValueError, match="of the kind that the model is trained on"):
        embedder.fit(PAIRS, validation_data=(SCORED, SCORES), verbose=0)
    with pytest.raises(ValueError, match="Received: pairs"):
        list(embedder.predict_stream(["a"], pairs=["b"]))
