"""Training: what it takes, what it refuses before the first step, and that seeds govern it."""

import json

import keras
import numpy as np
import pytest

import keras_bert_suite as kbs
from keras_bert_suite.errors import CheckpointError, DataError
from tests.support.layer_checks import numpy_of
from tests.support.selection import slow_to_compile
from tests.tasks.small import LABELS, VOCABULARY, examples, pair_examples, small_classifier, write_tsv

TEXTS, NAMES = examples(24)
PAIRS, PAIR_NAMES = pair_examples(12)


def weights_of(classifier):
    return [numpy_of(weight) for weight in classifier.model.weights]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def quick_fit(classifier, *data, **options):
    """One epoch of two steps, not compiled."""
    classifier.compile(learning_rate=1e-2, jit_compile=False)
    return classifier.fit(*data, **{"epochs": 1, "batch_size": 12, "seed": 3, "verbose": 0, **options})


def short_classifier(**options):
    return small_classifier(max_length=16, num_layers=1, **options)


class Count(keras.callbacks.Callback):
    """Counts steps."""

    steps = 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1


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


# What it takes


@pytest.fixture(scope="module")
def from_lists(untraced):
    classifier = short_classifier()
    history = quick_fit(classifier, TEXTS, NAMES)
    return history.history["loss"], weights_of(classifier)


def text_form(form, folder):
    """`TEXTS` and `NAMES` as arguments of fit."""
    if form == "array":
        return np.array(TEXTS), np.array(NAMES, dtype=object)
    if form == "dict":
        return ({"text": TEXTS, "label": NAMES},)
    path = folder / f"train.{form}"
    if form == "tsv":
        write_tsv(path, TEXTS, NAMES)
    elif form == "csv":
        rows = [("label", "sentence"), *zip(NAMES, TEXTS, strict=True)]
        path.write_text("".join(",".join(row) + "\r\n" for row in rows), encoding="utf-8")
    elif form == "jsonl":
        rows = [json.dumps({"text": text, "label": name}) for text, name in zip(TEXTS, NAMES, strict=True)]
        path.write_text("\n".join(rows), encoding="utf-8")
    return (str(path) if form == "csv" else path,)


@pytest.mark.parametrize("form", ["array", "dict", "tsv", "csv", "jsonl"])
def test_texts_in_any_form_train_alike(form, from_lists, tmp_path):
    classifier = short_classifier()
    history = quick_fit(classifier, *text_form(form, tmp_path))
    assert classifier.labels == LABELS
    assert history.history["loss"] == from_lists[0]
    assert same(weights_of(classifier), from_lists[1])


class Batches(keras.utils.PyDataset):
    def __init__(self, inputs, targets, size):
        super().__init__()
        self.inputs, self.targets, self.size = inputs, targets, size

    def __len__(self):
        return len(self.targets) // self.size

    def __getitem__(self, index):
        part = slice(index * self.size, (index + 1) * self.size)
        return {name: array[part] for name, array in self.inputs.items()}, self.targets[part]


@pytest.mark.parametrize("form", ["arrays", "py_dataset", pytest.param("tf_data", marks=pytest.mark.tensorflow)])
def test_batches_of_token_arrays(form):
    if form == "tf_data" and keras.backend.backend() != "tensorflow":
        pytest.skip("one backend is enough for tf.data, and importing TensorFlow beside another is slow")
    classifier = short_classifier(labels=LABELS)
    inputs = classifier.tokenizer(TEXTS, max_length=16)
    targets = np.array([LABELS.index(name) for name in NAMES])
    data = (inputs, targets)
    if form == "py_dataset":
        data = (Batches(inputs, targets, 12),)
    elif form == "tf_data":
        import tensorflow as tf

        data = (tf.data.Dataset.from_tensor_slices((inputs, targets)).batch(12),)
    before = weights_of(classifier)
    history = quick_fit(classifier, *data, validation_data=data if len(data) == 2 else data[0])
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(history.history)
    assert not same(weights_of(classifier), before)
    scores = classifier.evaluate(*data)
    expected = classifier.evaluate(TEXTS, NAMES)
    assert scores["accuracy"] == pytest.approx(expected["accuracy"])
    assert scores["loss"] == pytest.approx(expected["loss"], abs=1e-5)


@pytest.mark.parametrize("packing", [True, False])
def test_the_loss_of_an_epoch_is_the_mean_over_its_texts(packing):
    classifier = short_classifier()
    texts, names = [*TEXTS[:17], " ".join(TEXTS[17:19])], NAMES[:18]  # batches of unlike rows and texts
    history = quick_fit(classifier, texts, names, validation_data=(texts, names), batch_size=7, packing=packing)
    expected = classifier.evaluate(texts, names)
    assert history.history["val_loss"] == pytest.approx([expected["loss"]], rel=1e-5)


@pytest.mark.parametrize("form", ["tuples", "arrays", "pairs", "file"])
def test_pairs_in_any_form_are_noticed(form, tmp_path):
    forms = {
        "tuples": {"x": PAIRS, "y": PAIR_NAMES},
        "arrays": {"x": np.array(PAIRS), "y": PAIR_NAMES},
        "pairs": {"x": [one for one, _ in PAIRS], "y": PAIR_NAMES, "pairs": [other for _, other in PAIRS]},
        "file": {"x": write_tsv(tmp_path / "train.tsv", PAIRS, PAIR_NAMES)},
    }
    classifier = short_classifier()
    quick_fit(classifier, **forms[form], batch_size=6)
    assert classifier.pair
    assert classifier.labels == ["other", "same"]
    assert classifier.evaluate(**forms[form]) == classifier.evaluate(PAIRS, PAIR_NAMES)
    classifier.save_pretrained(tmp_path / "model")
    assert kbs.TextClassifier.from_pretrained(tmp_path / "model").pair


# Labels


@pytest.mark.parametrize("kind", [list, np.array, lambda values: list(np.array(values))])
def test_integers_are_indices_where_labels_have_names(kind, from_lists):
    classifier = short_classifier(labels=LABELS)
    history = quick_fit(classifier, TEXTS, kind([LABELS.index(name) for name in NAMES]))
    assert history.history["loss"] == from_lists[0]
    assert classifier.labels == LABELS


def test_integers_become_names_in_the_order_of_numbers():
    classifier = short_classifier()
    quick_fit(classifier, TEXTS, [(2, 10, 1)[row % 3] for row in range(len(TEXTS))])
    assert classifier.labels == ["1", "2", "10"]
    assert classifier.predict(TEXTS[:1])[0]["label"] in classifier.labels


@pytest.mark.parametrize("label", [None, ["a", "b"], 0.5])
def test_what_cannot_be_a_label_is_refused_with_its_row(label):
    with pytest.raises(DataError, match="row 2"):
        quick_fit(short_classifier(), ["a", "b"], ["x", label])


def test_without_labels_the_remedy_is_named():
    classifier = short_classifier()
    assert classifier.labels is None
    for use in (lambda: classifier.model, lambda: classifier.predict(["a"]), lambda: classifier.evaluate(["a"], ["x"])):
        with pytest.raises(ValueError, match=r"labels are not known yet.*Pass labels=\[\.\.\.\]"):
            use()


def test_a_single_label_cannot_be_learnt(tmp_path):
    path = write_tsv(tmp_path / "train.tsv", ["a", "b"], ["x", "x"])
    with pytest.raises(DataError, match=r"train\.tsv: training needs at least two different labels.*only 'x'"):
        quick_fit(short_classifier(), path)


def test_a_refused_training_is_forgotten():
    classifier = short_classifier()
    for labels, options, message in (
        (["x", "x"], {}, "two different labels"),
        (["x", "y"], {"validation_data": (["a"], ["z"])}, "among those seen"),
        ([["x"], ["y"]], {"class_weight": "balanced"}, "class_weight is for"),
    ):
        with pytest.raises(ValueError, match=message):
            quick_fit(classifier, ["a", "b"], labels, **options)
        assert (classifier.labels, classifier.problem_type) == (None, None)
    quick_fit(classifier, ["a", "b"], ["y", "z"])
    assert classifier.labels == ["y", "z"]


def test_truth_values_are_named_as_in_files(tmp_path):
    classifier = short_classifier()
    quick_fit(classifier, ["a", "b"], [True, False])
    (tmp_path / "dev.jsonl").write_text('{"text": "a", "label": true}\n{"text": "b", "label": false}\n')
    assert classifier.labels == ["false", "true"]
    assert classifier.evaluate(tmp_path / "dev.jsonl") == classifier.evaluate(["a", "b"], [True, False])


def test_faults_of_labels_are_told_by_line(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text('{"text": "a", "label": "x"}\n\n{"text": "b", "label": ["y"]}\n')
    with pytest.raises(DataError, match=r"train\.jsonl:3: one label a row"):
        quick_fit(short_classifier(), path)
    path.write_text('{"text": "a", "label": 1}\n{"text": "b", "label": 0.5}\n')
    with pytest.raises(DataError, match=r"train\.jsonl:2: the labels look like numbers"):
        quick_fit(short_classifier(), path)
    plain = short_classifier()
    regressor = kbs.TextClassifier(plain.encoder, plain.tokenizer, problem_type="regression")
    with pytest.raises(DataError, match=r"finite number. Received: nan \(row 2\)"):
        quick_fit(regressor, ["a", "b"], [1.0, float("nan")])


def test_an_unknown_label_in_dev_stops_it_before_the_first_step(tmp_path):
    train = write_tsv(tmp_path / "train.tsv", TEXTS, NAMES)
    dev = write_tsv(tmp_path / "dev.tsv", TEXTS[:3], ["track", "refunds", "track"])
    classifier, count = short_classifier(labels=LABELS), Count()
    before = weights_of(classifier)
    with pytest.raises(DataError, match=r"dev\.tsv:3: .*'refunds' \(line 3; did you mean 'refund'\?\)"):
        quick_fit(classifier, train, validation_data=dev, callbacks=[count])
    assert count.steps == 0
    assert same(weights_of(classifier), before)


@pytest.mark.parametrize(("content", "rule"), [("", "file is empty"), ("text\tlabel\n", "no examples")])
def test_an_empty_file_is_named(content, rule, tmp_path):
    (tmp_path / "train.tsv").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=rf"train\.tsv: the .*{rule}"):
        quick_fit(short_classifier(), tmp_path / "train.tsv")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((["a", "b"], ["x"]), "2 texts, 1 labels"),
        ((["a", "b"],), "Labels are needed"),
        (([], []), "At least one text"),
        (({"texts": ["a"], "label": ["x"]},), "keys text, text_b and label"),
    ],
)
def test_data_that_does_not_fit_together_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        quick_fit(short_classifier(), *data)


# What does not fit


def test_a_vocabulary_beyond_the_embeddings_is_refused():
    with pytest.raises(CheckpointError, match=f"{len(VOCABULARY) + 1} tokens, .* {len(VOCABULARY)} embeddings"):
        small_classifier(vocabulary=[*VOCABULARY, "more"])


@pytest.mark.parametrize("max_length", [2, 41])
def test_an_impossible_length_is_refused(max_length):
    with pytest.raises(ValueError, match=f"from 3 to 40.*max_length={max_length}"):
        small_classifier(max_length=max_length)


@slow_to_compile
def test_a_directory_changes_nothing_but_that_states_are_kept(tmp_path):
    found = []
    for options in ({}, {"directory": tmp_path / "states"}):
        classifier = small_classifier(labels=LABELS, dropout_rate=0.0, attention_dropout_rate=0.0)
        classifier.compile(learning_rate=1e-3)
        classifier.fit(*examples(40), epochs=2, batch_size=8, seed=3, verbose=0, **options)
        found.append(classifier.predict_probabilities(examples(6)[0]))
    np.testing.assert_allclose(*found, atol=1e-5)
