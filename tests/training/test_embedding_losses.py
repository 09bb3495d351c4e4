"""Losses over embeddings are those of sentence-transformers; rows that only fill a batch change nothing."""

import json

import keras
import numpy as np
import pytest

from keras_bert_suite.training import (
    CoSENTLoss,
    CosinePearson,
    CosineSimilarityLoss,
    InBatchAccuracy,
    MultipleNegativesRankingLoss,
    TripletLoss,
)
from tests.support.layer_checks import numpy_of

TOLERANCE = 1e-5


def vectors(groups=5, size=2, width=7, seed=0):
    return np.random.default_rng(seed).normal(0, 1, (groups, size, width)).astype("float32")


def different(groups, size):
    """Numbers of texts that all differ."""
    return np.arange(groups * size).reshape(groups, size)


def value_of(loss, *arguments):
    return float(numpy_of(loss(*arguments)))


def theirs(name, embeddings, labels=None, **options):
    """The value that a loss of sentence-transformers gives."""
    torch = pytest.importorskip("torch")
    losses = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    columns = [torch.tensor(column) for column in embeddings.transpose(1, 0, 2)]
    labels = None if labels is None else torch.tensor(labels)
    return float(getattr(losses, name)(None, **options).compute_loss_from_embeddings(columns, labels))


@pytest.mark.parametrize("size", [2, 3, 4])
@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_in_batch_negatives_are_those_of_sentence_transformers(size, scale):
    embeddings = vectors(size=size)
    expected = theirs("MultipleNegativesRankingLoss", embeddings, scale=scale)
    found = value_of(MultipleNegativesRankingLoss(scale), different(5, size), embeddings)
    assert found == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize("scores", [[0.0, 1.0, 0.5, 0.25, 0.75], [1.0, 0.0, 1.0, 0.0, 1.0], [3.0] * 5])
@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_cosent_is_that_of_sentence_transformers(scores, scale):
    embeddings = vectors()
    expected = theirs("CoSENTLoss", embeddings, scores, scale=scale)
    found = value_of(CoSENTLoss(scale), np.array(scores), embeddings)
    assert found == pytest.approx(expected, abs=TOLERANCE)


def test_cosine_similarity_is_that_of_sentence_transformers():
    embeddings, scores = vectors(), np.linspace(-1, 1, 5)
    expected = theirs("CosineSimilarityLoss", embeddings, scores)
    assert value_of(CosineSimilarityLoss(), scores, embeddings) == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize(("distance", "margin"), [("cosine", 0.5), ("euclidean", 5), ("manhattan", 1.0)])
def test_triplets_are_those_of_sentence_transformers(distance, margin):
    losses = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    metric = getattr(losses.TripletDistanceMetric, distance.upper())
    embeddings = vectors(size=3)
    expected = theirs("TripletLoss", embeddings, distance_metric=metric, triplet_margin=margin)
    found = value_of(TripletLoss(margin, distance), np.zeros(5), embeddings)
    assert found == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize(
    ("loss", "targets"),
    [
        (MultipleNegativesRankingLoss(), different(5, 2)),
        (CoSENTLoss(), np.linspace(0, 5, 5)),
        (CosineSimilarityLoss(), np.linspace(0, 1, 5)),
    ],
)
def test_rows_that_fill_a_batch_change_nothing(loss, targets):
    embeddings = vectors()
    filled = np.concatenate([embeddings, embeddings[:1], embeddings[:1]])
    weights = np.array([1] * 5 + [0, 0], "float32")
    more = np.concatenate([targets, targets[:1], targets[:1]])
    expected = value_of(loss, targets, embeddings)
    assert value_of(loss, more, filled, weights) == pytest.approx(expected, abs=TOLERANCE)


def test_a_text_that_is_right_is_no_negative():
    """The second row has the first one's positive, and the third the first one's anchor."""
    embeddings = vectors(3)
    embeddings[1, 1], embeddings[2, 1] = embeddings[0, 1], embeddings[0, 0]
    ids = np.array([[0, 1], [2, 1], [3, 0]])
    units = embeddings / np.linalg.norm(embeddings, axis=-1, keepdims=True)
    cosines = units[:, 0] @ units[:, 1].T
    allowed = [[0], [1, 2], [0, 2]]
    expected = [np.log(np.exp(cosines[row, allowed[row]]).sum()) - cosines[row, row] for row in range(3)]
    found = MultipleNegativesRankingLoss(1.0, reduction="none")(ids, embeddings)
    np.testing.assert_allclose(numpy_of(found), expected, atol=TOLERANCE)


def test_weights_of_pairs_of_pairs():
    embeddings, scores = vectors(3), np.array([0.0, 0.0, 1.0])
    weights = np.array([0.5, 2.0, 1.0], "float32")
    units = embeddings / np.linalg.norm(embeddings, axis=-1, keepdims=True)
    cosines = (units[:, 0] * units[:, 1]).sum(-1)
    expected = np.log(1 + 0.5 * np.exp(cosines[0] - cosines[2]) + 2.0 * np.exp(cosines[1] - cosines[2]))
    assert value_of(CoSENTLoss(1.0), scores, embeddings, weights) == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize(
    "loss", [MultipleNegativesRankingLoss(), CoSENTLoss(), CosineSimilarityLoss(), TripletLoss(5, "euclidean")]
)
def test_losses_train_and_survive_saving(loss, tmp_path):
    size = 3 if isinstance(loss, TripletLoss) else 2
    targets = different(6, size) if isinstance(loss, MultipleNegativesRankingLoss) else np.linspace(0, 1, 6)
    inputs = keras.Input((size, 7))
    model = keras.Model(inputs, keras.layers.Dense(4)(inputs))
    model.compile("sgd", loss)
    before = numpy_of(model.layers[-1].kernel)
    history = model.fit(vectors(6, size), targets, sample_weight=np.ones(6), verbose=0, epochs=2)
    assert np.isfinite(history.history["loss"]).all()
    assert np.abs(numpy_of(model.layers[-1].kernel) - before).max() > 0
    again = type(loss).from_config(json.loads(json.dumps(loss.get_config())))
    embeddings = vectors(6, size, 4)
    assert value_of(again, targets, embeddings) == value_of(loss, targets, embeddings)
    model.save(tmp_path / "model.keras")
    assert type(keras.saving.load_model(tmp_path / "model.keras").loss) is type(loss)


def test_equal_and_empty_vectors_have_finite_gradients():
    """Two equal texts, or a vector of zeros, must not end a training."""
    inputs = keras.Input((3, 4))
    model = keras.Model(inputs, keras.layers.Dense(4, use_bias=False)(inputs))
    for loss in (TripletLoss(1.0, "euclidean"), TripletLoss(), MultipleNegativesRankingLoss()):
        model.compile("sgd", loss)
        model.fit(np.zeros((4, 3, 4), "float32"), np.zeros((4, 3)), verbose=0)
        assert np.isfinite(numpy_of(model.layers[-1].kernel)).all()


def test_an_unknown_distance():
    with pytest.raises(ValueError, match="distance must be one of 'cosine', 'euclidean', 'manhattan'"):
        TripletLoss(distance="dot")


def test_pearson_over_batches_is_that_of_numpy():
    embeddings, scores = vectors(12), np.random.default_rng(1).uniform(0, 5, 12)
    units = embeddings / np.linalg.norm(embeddings, axis=-1, keepdims=True)
    expected = np.corrcoef((units[:, 0] * units[:, 1]).sum(-1), scores)[0, 1]
    metric = CosinePearson()
    for part in (slice(0, 5), slice(5, 12)):
        metric.update_state(scores[part], embeddings[part], np.ones(12)[part])
    metric.update_state(scores[:3], embeddings[:3], np.zeros(3))
    assert float(numpy_of(metric.result())) == pytest.approx(expected, abs=1e-4)


def test_accuracy_in_the_batch():
    embeddings = vectors(4)
    embeddings[:2, 1] = embeddings[:2, 0]  # the first two find their own
    embeddings[2:, 1] = -embeddings[2:, 0]
    metric = InBatchAccuracy()
    metric.update_state(different(4, 2), embeddings)
    assert float(numpy_of(metric.result())) == pytest.approx(0.5)
