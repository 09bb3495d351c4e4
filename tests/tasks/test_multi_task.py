"""Several heads over one encoder: intents and slots of the same texts, and tasks with texts of their own."""

import keras
import numpy as np
import pytest

import keras_bert_suite as kbs
from keras_bert_suite.errors import CheckpointError
from keras_bert_suite.models import build_joint
from keras_bert_suite.tasks import MultiTask, RelationClassifier, TokenClassifier, open_task
from keras_bert_suite.training import BucketedDataset, MixedDataset
from tests.support.layer_checks import numpy_of
from tests.support.selection import slow_to_compile
from tests.tasks.small import CONFIG, KEYWORDS, VOCABULARY, examples

pytestmark = pytest.mark.per_backend

SLOTS = {"where": "ask", "parcel": "thing", "money": "thing", "stop": "act", "cancel": "act", "refund": "act"}


def data(count, seed=0):
    """Texts with an intent, and the same texts with a slot on the word that decides."""
    texts, labels = examples(count, seed)
    words = [text.split() for text in texts]
    tags = [[f"B-{SLOTS[word]}" if word in SLOTS else "O" for word in row] for row in words]
    return {"intent": (texts, labels), "slots": (words, tags)}


def new_tasks():
    keras.utils.set_random_seed(1)
    encoder = kbs.models.build_encoder(CONFIG)
    tokenizer = kbs.WordPieceTokenizer(VOCABULARY)
    return MultiTask(
        {
            "intent": kbs.TextClassifier(encoder, tokenizer, max_length=32),
            "slots": TokenClassifier(encoder, tokenizer, max_length=32),
        }
    )


@pytest.fixture(scope="module")
def trained():
    multi = new_tasks()
    multi.compile(learning_rate=5e-3)
    multi.history = multi.fit(data(240), validation_data=data(40, 5), epochs=8, batch_size=16, seed=1, verbose=0)
    return multi


def test_both_are_learnt_in_one_pass(trained):
    scores = trained.evaluate(data(60, seed=7))
    assert scores["intent_accuracy"] > 0.95
    assert scores["slots_f1"] > 0.9
    assert {"val_intent_accuracy", "val_slots_accuracy", "val_slots_f1"} <= set(trained.history.history)
    assert KEYWORDS["track"][0] == "where"
    [answer] = trained.predict(["where is my order"])
    assert answer["intent"]["label"] == "track"
    assert [span["label"] for span in answer["slots"]["spans"]] == ["ask"]


def test_the_joint_model_gives_what_each_gives(trained):
    encoded = trained.tokenizer(["where is my order", "stop"])
    joint = trained.model(encoded)
    for name, task in trained.tasks.items():
        np.testing.assert_allclose(numpy_of(joint[name]), numpy_of(task.model(encoded)), atol=1e-6)


def test_saved_together_and_each_opens_alone(trained, tmp_path):
    trained.save_pretrained(tmp_path / "saved")
    again = MultiTask.from_pretrained(tmp_path / "saved")
    alone = open_task(tmp_path / "saved" / "slots")
    texts = ["where is my order", "i want my money"]
    expected = trained.predict(texts)
    for row, found in enumerate(again.predict(texts)):
        assert found["intent"]["label"] == expected[row]["intent"]["label"]
        assert found["intent"]["score"] == pytest.approx(expected[row]["intent"]["score"], abs=1e-5)
        assert [span["label"] for span in found["slots"]["spans"]] == [
            span["label"] for span in expected[row]["slots"]["spans"]
        ]
    assert again.tasks["intent"].encoder is again.tasks["slots"].encoder
    assert len(alone.predict(texts)) == 2
    with pytest.raises(CheckpointError, match=r"it holds several tasks. Open one of its folders"):
        open_task(tmp_path / "saved")


@slow_to_compile
def test_same_texts_share_their_rows_and_others_take_turns():
    multi = new_tasks()
    given = data(24)
    found = multi._examples(given, None, "x")
    for name, read in found.items():
        multi.tasks[name]._learn_from(read)
    assert type(multi._mixed(found, 8, 1.0, True, 0)) is BucketedDataset
    given["slots"] = tuple(part[:12] for part in given["slots"])
    found = multi._examples(given, None, "x")
    mixed = multi._mixed(found, 8, 1.0, True, 0)
    assert type(mixed) is MixedDataset
    weights = [mixed[index][2] for index in range(len(mixed))]
    assert len(mixed) == 5
    assert sum(one["intent"].sum() for one in weights) == 24
    assert all((one["intent"].sum() > 0) != (one["slots"].sum() > 0) for one in weights)
    multi.compile(learning_rate=1e-3)
    history = multi.fit(given, sampling=0.0, epochs=2, batch_size=8, seed=1, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.slow
def test_a_training_of_several_tasks_is_resumed(tmp_path):
    given = data(24)
    given["slots"] = tuple(part[:12] for part in given["slots"])
    found = []
    for directory in (None, tmp_path / "states"):
        multi = new_tasks()
        multi.compile(learning_rate=1e-3)
        multi.fit(given, epochs=2, batch_size=8, seed=1, verbose=0, directory=directory)
        found.append(len(multi.predict(["where"])))
    assert found == [1, 1]


@pytest.mark.slow
def test_new_tasks_over_a_checkpoint(encoder_directory):
    tasks = {"intent": "text-classification", "slots": ("token-classification", {"crf": True})}
    multi = MultiTask.from_pretrained(encoder_directory, tasks)
    multi.compile(learning_rate=1e-3)
    multi.fit(data(12), epochs=1, batch_size=8, seed=1, verbose=0)
    assert set(multi.predict(["where is it"])[0]) == {"intent", "slots"}


def relations(types=()):
    spans = [{"start": 0, "end": 3}, {"start": 7, "end": 11}]
    for span, kind in zip(spans, types, strict=False):
        span["type"] = kind
    return [{"text": "Ann at Acme", "head": spans[0], "tail": spans[1], "label": label} for label in ("works_at", "no")]


@slow_to_compile
def test_relations_share_the_encoder_that_has_their_markers(encoder_directory, tmp_path):
    tasks = {"intent": "text-classification", "relation": "relation-classification"}
    multi = MultiTask.from_pretrained(encoder_directory, tasks)
    multi.compile(learning_rate=1e-3)
    with pytest.raises(ValueError, match="relation adds markers of its types of entities"):
        multi.fit({"intent": data(4)["intent"], "relation": relations(("PER", "ORG"))}, verbose=0)
    multi.fit({"intent": data(4)["intent"], "relation": relations()}, epochs=1, verbose=0)
    multi.save_pretrained(tmp_path / "saved")
    again = MultiTask.from_pretrained(tmp_path / "saved")
    assert again.tasks["intent"].encoder is again.tasks["relation"].encoder
    row = relations()[:1]
    [expected], [found] = (one.tasks["relation"].predict(row) for one in (multi, again))
    assert found["label"] == expected["label"]
    assert found["score"] == pytest.approx(expected["score"], abs=1e-5)


def test_refused(encoder_directory):
    multi = new_tasks()
    with pytest.raises(ValueError, match="fit has no packing, which is for one task alone"):
        multi.fit(data(4), packing="auto")
    intent = multi.tasks["intent"]
    with pytest.raises(ValueError, match="over one encoder. Received another one of: relation"):
        MultiTask({"intent": intent, "relation": RelationClassifier(intent.encoder, intent.tokenizer)})
    with pytest.raises(ValueError, match="data for each of intent, slots"):
        multi.fit({"intent": (["a"], ["b"])}, verbose=0)
    with pytest.raises(kbs.CheckpointError, match="no tasks.json"):
        MultiTask.from_pretrained(encoder_directory)
    with pytest.raises(ValueError, match="over one encoder"):
        build_joint({"one": new_tasks().tasks["intent"].encoder, "two": multi.tasks["intent"].encoder})
