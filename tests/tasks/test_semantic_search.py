"""Search finds what a comparison with every text finds, and a saved corpus is the same corpus."""

import numpy as np
import pytest

from keras_bert_suite.errors import DataError
from keras_bert_suite.tasks.semantic_search import SemanticSearch
from tests.tasks.small import examples
from tests.tasks.test_embedder_training import small_embedder

TEXTS = list(dict.fromkeys(examples(60, seed=5)[0]))
QUERIES = examples(7, seed=6)[0]


@pytest.fixture(scope="module")
def embedder():
    return small_embedder()


@pytest.fixture(scope="module")
def search(embedder):
    return SemanticSearch(embedder, TEXTS)


@pytest.mark.parametrize("measure", ["cosine", "dot", "euclidean", "manhattan"])
def test_the_nearest_are_those_of_a_full_comparison(measure):
    embedder = small_embedder(normalize=False, similarity_fn_name=measure)
    search = SemanticSearch(embedder, TEXTS)
    similarities = embedder.similarity(QUERIES, TEXTS)
    for found, expected in zip(search.search(QUERIES, top_k=4), similarities, strict=True):
        assert [hit["index"] for hit in found] == np.argsort(-expected, kind="stable")[:4].tolist()
        assert [hit["text"] for hit in found] == [TEXTS[hit["index"]] for hit in found]
        assert [hit["score"] for hit in found] == pytest.approx(np.sort(expected)[::-1][:4].tolist(), abs=1e-5)


def test_search_over_many_vectors_is_exact_even_where_they_are_equal(embedder):
    search = SemanticSearch(embedder)
    vectors = np.random.default_rng(0).integers(-1, 2, (3000, embedder.embedding_dim)).astype("float32")
    vectors[2000:2010] = vectors[:10]
    search.add([str(row) for row in range(3000)], embeddings=vectors)
    indices, scores = search.nearest(vectors[:50], top_k=20)
    lengths = np.linalg.norm(vectors.astype("float64"), axis=1)
    every = (vectors[:50].astype("float64") @ vectors.T) / lengths[:50, None] / lengths
    np.testing.assert_allclose(scores, -np.sort(-every, axis=1)[:, :20], atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(every, indices, 1), scores, atol=1e-6)
    assert [sorted(row.tolist()[:2]) for row in indices[:10]] == [[row, row + 2000] for row in range(10)]
    assert indices[0].tolist()[:2] == [0, 2000]


def test_questions_bring_their_answers(embedder):
    answers = [{"answer": f"number {row}", "tags": ["a", "b"]} for row in range(len(TEXTS))]
    search = SemanticSearch(embedder, TEXTS, answers)
    best = search.search(TEXTS[3], top_k=1)[0]
    assert (best["answer"], best["tags"], best["index"]) == ("number 3", ["a", "b"], 3)
    assert best["score"] == pytest.approx(1, abs=1e-5)
    assert search.search(TEXTS[3], top_k=3, min_score=best["score"] - 1e-6)[0] == best
    assert search.search(TEXTS[3], min_score=2.0) == []


def test_texts_are_added(embedder, search):
    grown = SemanticSearch(embedder)
    assert (len(grown), grown.search("good"), grown.search([]), grown.search(["a", "b"])) == (0, [], [], [[], []])
    grown.add(TEXTS[:10])
    grown.add(TEXTS[10:])
    np.testing.assert_allclose(grown.embeddings, search.embeddings, atol=1e-6)
    assert grown.texts == search.texts
    assert len(grown.search("good", top_k=1000)) == len(TEXTS)


def test_queries_and_documents_have_their_prompts():
    embedder = small_embedder(prompts={"query": "please ", "document": "order "})
    search = SemanticSearch(embedder, TEXTS)
    plain = small_embedder()
    expected = plain.similarity([f"please {TEXTS[0]}"], [f"order {text}" for text in TEXTS])[0]
    assert search.search(TEXTS[0], top_k=1)[0]["score"] == pytest.approx(expected.max(), abs=1e-5)


def test_a_saved_corpus_is_the_same(embedder, tmp_path):
    texts = ["one\u2028line", "two\r\nlines", *TEXTS]
    search = SemanticSearch(embedder, texts, [{"answer": text[::-1]} for text in texts])
    search.save(tmp_path / "corpus")
    again = SemanticSearch.load(tmp_path / "corpus", embedder)
    assert (again.texts, again.values) == (search.texts, search.values)
    np.testing.assert_array_equal(again.embeddings, search.embeddings)
    assert again.search(QUERIES) == search.search(QUERIES)
    again.add(["one more"], [{"answer": "yes"}])
    assert again.search("one more", top_k=1)[0]["answer"] == "yes"
    with pytest.raises(FileExistsError, match="not empty"):
        search.save(tmp_path / "corpus")
    search.save(tmp_path / "corpus", overwrite=True)


def test_a_corpus_of_another_model_is_refused(search, tmp_path):
    search.save(tmp_path / "corpus")
    with pytest.raises(DataError, match="embeddings are of another model"):
        SemanticSearch.load(tmp_path / "corpus", small_embedder(seed=8))


@pytest.mark.parametrize("damage", ["missing", "pickle", "short", "text"])
def test_a_damaged_corpus_is_refused(damage, embedder, search, tmp_path):
    search.save(tmp_path / "corpus")
    vectors, texts = tmp_path / "corpus" / "embeddings.npy", tmp_path / "corpus" / "corpus.jsonl"
    if damage == "missing":
        vectors.unlink()
    elif damage == "pickle":
        np.save(vectors, np.array([{}], dtype=object), allow_pickle=True)
    elif damage == "short":
        np.save(vectors, search.embeddings[:-1])
    else:
        texts.write_text('{"no text": 1}\n', encoding="utf-8")
    with pytest.raises(DataError, match="must hold"):
        SemanticSearch.load(tmp_path / "corpus", embedder)


@pytest.mark.parametrize(
    ("texts", "values", "message"),
    [
        (["a", "b"], [{}], "2 texts, 1 values"),
        (["a"], [{"score": 1}], "must not have the key 'score'"),
    ],
)
def test_values_that_do_not_fit(texts, values, message, embedder):
    with pytest.raises(ValueError, match=message):
        SemanticSearch(embedder, texts, values)


def test_top_k_must_be_positive(search):
    with pytest.raises(ValueError, match="top_k must be above 0"):
        search.search("a", top_k=0)
