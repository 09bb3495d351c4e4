"""Relations between two marked spans of a text."""

import json

import keras
import numpy as np
import pytest

import keras_bert_suite as kbs
from keras_bert_suite.data import Entity, Relation, read_relations
from keras_bert_suite.errors import CheckpointError, DataError
from keras_bert_suite.reports import write_report
from keras_bert_suite.tasks.added_tokens import with_added_tokens
from keras_bert_suite.tasks.relation_classifier import RelationClassifier
from tests.support.families import torch, transformers

WORDS = ["ann", "bob", "acme", "founded", "left", "was", "by", "in", "the", "and", "."]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
LABELS = ["founder", "other"]


def small_classifier(seed=1, labels=None, max_length=16, pooler=True):
    keras.utils.set_random_seed(seed)
    config = kbs.EncoderConfig(
        vocabulary_size=len(VOCABULARY),
        num_layers=1,
        hidden_dim=24,
        num_heads=3,
        intermediate_dim=40,
        max_length=32,
        initializer_range=0.1,
        pooler=pooler,
    )
    encoder = kbs.models.build_encoder(config)
    return RelationClassifier(encoder, kbs.WordPieceTokenizer(VOCABULARY), labels=labels, max_length=max_length)


def examples(count, seed=0, types=True):
    """The same words each time: only which span is the head tells the relation."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        person = str(rng.choice(["Ann", "Bob"]))
        before = " ".join(rng.choice(["in the", "and", ". the"], rng.integers(1, 3)))
        text = f"{before} {person} founded Acme ."
        spans = [
            {"start": text.index(name), "end": text.index(name) + len(name), **({"type": kind} if types else {})}
            for name, kind in ((person, "PER"), ("Acme", "ORG"))
        ]
        head, tail = spans if number % 2 else spans[::-1]
        rows.append({"text": text, "head": head, "tail": tail, "label": LABELS[1 - number % 2]})
    return rows


@pytest.fixture(scope="module")
def trained():
    classifier = small_classifier()
    classifier.compile(learning_rate=1e-2)
    classifier.fit(examples(96), validation_data=examples(20, seed=1), epochs=8, batch_size=16, seed=1, verbose=0)
    return classifier


# Reading and marking


def test_spans_and_tags_say_the_same(tmp_path):
    expected = Relation("Ann 😀 founded Acme", Entity(0, 3), Entity(14, 18), "founder")
    spans = {"text": expected.text, "head": {"start": 0, "end": 3}, "tail": {"start": 14, "end": 18}}
    tagged = "<e1>Ann</e1> 😀 founded <E2>Acme</E2>"
    assert read_relations([{**spans, "label": "founder"}]) == [expected]
    assert read_relations([{"text": tagged, "relation": "founder"}]) == [expected]
    assert read_relations([tagged], ["founder"]) == [expected]
    (tmp_path / "train.tsv").write_text(f"text\tlabel\n{tagged}\tfounder\n", encoding="utf-8")
    (tmp_path / "train.jsonl").write_text(json.dumps({**spans, "label": "founder"}), encoding="utf-8")
    for name, line in (("train.tsv", 2), ("train.jsonl", 1)):
        found = read_relations(tmp_path / name, require_labels=True)[0]
        assert (found.text, found.head, found.tail, found.label, found.line) == (
            expected.text, expected.head, expected.tail, "founder", line,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("head", "tail", "expected"),
    [
        ((0, 3), (12, 16), "[E1] Ann [/E1] founded [E2] Acme [/E2]"),
        ((12, 16), (0, 3), "[E2] Ann [/E2] founded [E1] Acme [/E1]"),
        ((0, 11), (0, 3), "[E1] [E2] Ann [/E2] founded [/E1] Acme"),
        ((4, 11), (0, 11), "[E2] Ann [E1] founded [/E1] [/E2] Acme"),
        ((0, 3), (3, 4), "[E1] Ann [/E1][E2]   [/E2]founded Acme"),
        ((0, 3, "PER"), (12, 16, "ORG"), "[E1:PER] Ann [/E1:PER] founded [E2] Acme [/E2]"),
    ],
)
def test_markers_around_spans(head, tail, expected):
    relation = Relation("Ann founded Acme", Entity(*head), Entity(*tail))
    assert relation.marked({"[E1]", "[E1:PER]"}) == expected


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": 3}, "each row must be an object with a text"),
        ({"text": "Ann left"}, "a text must have head and tail, or tags <e1>"),
        ({"text": "Ann", "head": {"start": 0, "end": 3}}, "tail must be an object with start and end.*Received: None"),
        ({"text": "Ann", "head": {"start": 0, "end": 9}, "tail": {}}, "which has 3. Received: start=0, end=9"),
        ({"text": "Ann", "head": {"start": 2, "end": 2}, "tail": {}}, "head must be some characters"),
        ({"text": "Ann", "head": {"start": 0, "end": 3, "type": "a b"}, "tail": {}}, "must be a word without brackets"),
        ({"text": "<e1>a</e1> <e1>b</e1>"}, "each tag must stand once. Received: <e1> twice"),
        ({"text": "<e1></e1> <e2>b</e2>"}, "<e1> must stand before </e1> with text between"),
        ({"text": "<e1>a</e1> <e2>b</e2>"}, "each row must have a label"),
        ({"text": "<e1>a</e1> <e2>b</e2>", "label": 1.5}, "a label must be a string or a whole number"),
    ],
)
def test_bad_rows_are_refused_with_their_line(tmp_path, row, message):
    path = tmp_path / "train.jsonl"
    path.write_text("\n" + json.dumps(row) + "\n")
    with pytest.raises(DataError, match=message) as error:
        read_relations(path, require_labels=True)
    assert str(error.value).startswith(f"{path}:2: ")


# The vocabulary


def test_added_tokens_leave_all_else_as_it_was():
    tokenizer = kbs.WordPieceTokenizer(VOCABULARY)
    encoder = small_classifier().encoder
    same, tokenizer = with_added_tokens(encoder, tokenizer, ["[E1]", "[/E1]", "[E2]", "[/E2]", "ann"])
    assert same is encoder  # it has the rows already
    larger, more = with_added_tokens(encoder, tokenizer, ["[X]", "[Y]", "[X]"])
    assert more.vocabulary == [*tokenizer.vocabulary, "[X]", "[Y]"]
    assert [token.strip() for token in more.tokenize("Ann [X]left")] == ["ann", "[X]", "left"]
    inputs = tokenizer(["ann left [E1] acme"])
    before, after = (model.predict_on_batch(inputs)["sequence_output"] for model in (encoder, larger))
    np.testing.assert_allclose(after, before, atol=1e-6)
    assert larger.get_layer("embeddings").vocabulary_size == len(VOCABULARY) + 6
    again = with_added_tokens(encoder, tokenizer, ["[X]", "[Y]"])[0]
    for one, other in zip(larger.weights, again.weights, strict=True):
        assert np.array_equal(*map(keras.ops.convert_to_numpy, (one, other)))


# The task


def test_it_learns_which_side_is_which(trained):
    assert trained.evaluate(examples(30, seed=2))["accuracy"] == 1.0
    assert trained.labels == LABELS
    kinds = ["[E1:ORG]", "[/E1:ORG]", "[E1:PER]", "[/E1:PER]", "[E2:ORG]", "[/E2:ORG]", "[E2:PER]", "[/E2:PER]"]
    assert sorted(trained.markers) == sorted(["[E1]", "[/E1]", "[E2]", "[/E2]", *kinds])


def test_saved_opened_and_seen_by_transformers(trained, tmp_path):
    trained.save_pretrained(tmp_path / "model")
    opened = RelationClassifier.from_pretrained(tmp_path / "model")
    rows = examples(8, seed=3)
    assert opened.markers == trained.markers
    assert opened.predict(rows)[0]["score"] == pytest.approx(trained.predict(rows)[0]["score"], abs=1e-5)
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    marked = [relation.marked(trained.markers) for relation in read_relations(rows)]
    with torch.no_grad():
        logits = theirs(**tokenizer(marked, padding=True, return_tensors="pt")).logits.numpy()
    np.testing.assert_allclose(trained.predict_logits(rows), logits, atol=1e-4)
    with pytest.raises(CheckpointError, match="labels"):
        RelationClassifier.from_pretrained(tmp_path / "model", labels=["a", "b", "c"])


def test_fine_tuned_from_an_encoder_on_disk(tmp_path):
    classifier = small_classifier()
    kbs.save_encoder(classifier.encoder, tmp_path / "encoder", classifier.tokenizer)
    rows = examples(16, types=False)
    opened = RelationClassifier.from_pretrained(tmp_path / "encoder")
    assert opened.markers == classifier.markers
    opened.fit(rows, epochs=1, batch_size=16, seed=3, verbose=0)
    assert opened.labels == LABELS


def test_a_plain_classifier_is_not_taken_for_one_of_relations(tmp_path):
    classifier = kbs.TextClassifier(
        kbs.models.build_encoder(
            kbs.EncoderConfig(vocabulary_size=16, num_layers=1, hidden_dim=12, num_heads=3, intermediate_dim=20)
        ),
        kbs.WordPieceTokenizer(VOCABULARY),
        labels=LABELS,
    )
    classifier.save_pretrained(tmp_path / "model")
    with pytest.raises(CheckpointError, match="its vocabulary has no markers of entities"):
        RelationClassifier.from_pretrained(tmp_path / "model")
    replaced = RelationClassifier.from_pretrained(tmp_path / "model", labels=LABELS, replace_head=True)
    assert len(replaced.predict(examples(2))) == 2


def test_long_texts_keep_their_entities(trained):
    text = "the " * 40 + "Ann founded Acme" + " and" * 40
    near = {"text": text, "head": {"start": 160, "end": 163}, "tail": {"start": 172, "end": 176}}
    far = {**near, "head": {"start": 0, "end": 3}, "tail": {"start": len(text) - 3, "end": len(text)}}
    edge = {**near, "head": {"start": 0, "end": 3}, "tail": {"start": 4, "end": 7}}
    encoded = trained._encode(trained._read([near, far, edge]))
    assert encoded.lengths.tolist() == [16, 16, 16]
    for row in range(3):
        tokens = [trained.tokenizer.id_to_token(int(token)) for token in encoded[row]]
        assert (tokens[0], tokens[-1]) == ("[CLS]", "[SEP]")
        assert {"[E1]", "[/E1]", "[E2]", "[/E2]"} <= set(tokens)
    assert len(trained.predict([near, far, edge])) == 3


def test_a_type_that_was_never_seen_has_the_plain_marker(trained):
    row = examples(1)[0]
    row["head"]["type"] = "PLANET"
    tokens = trained.tokenizer.tokenize(read_relations([row])[0].marked(trained.markers))
    assert "[E1]" in [token.strip() for token in tokens]
    assert trained.predict([row])[0]["label"] in LABELS


def test_files_in_and_out(trained, tmp_path):
    rows = examples(10, seed=4)
    path = tmp_path / "dev.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert trained.predict_file(path, tmp_path / "answers.jsonl") == 10
    found = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [one["label"] for one in found] == [one["label"] for one in trained.predict(path)]
    assert trained.evaluate(path) == trained.evaluate(rows)
    assert trained.predict("<e1>Ann</e1> founded <e2>Acme</e2> .")[0]["label"] in LABELS
    assert trained.predict([]) == []
    report = trained.report([{**row, "label": LABELS[0]} for row in rows])
    assert report.mistakes[0]["text"].count("[E1") == 1
    write_report(tmp_path / "report.html", report)
    path.write_text(path.read_text() + json.dumps({**rows[0], "label": "spouse"}) + "\n")
    with pytest.raises(DataError, match=r"dev.jsonl.*labels must be among those seen.*'spouse' \(line 11\)"):
        trained.evaluate(path)
