"""Every kind of task leaves in every runtime, and an exported file is used as the task that it came from."""

import json
import re
import shutil

import numpy as np
import pytest
import yaml

pytest.importorskip("tensorflow")

from keras_bert_suite.errors import ArtifactError
from tests.export.conftest import KINDS, make_kind
from tests.support.selection import rarely_all

pytestmark = [pytest.mark.tensorflow, pytest.mark.per_backend]

FILES = (("saved_model", ""), ("litert", "model.tflite"), ("onnx", "model.onnx"))
#: Labelled examples of each kind that is scored, as `evaluate` takes them.
LABELLED = {
    "single label": (["where is my order", "cancel it", "refund"], ["cancel", "größe", "cancel"]),
    "several labels": (["where is my order", "cancel it"], [["cancel"], []]),
    "regression": (["where is my order", "cancel it", "bad"], [0.5, 1.5, 2.0]),
    "pairs": ([("the order", "is late"), ("a", "b")], ["cancel", "größe"]),
    "relations": (["<e1>order</e1> is <e2>late</e2>"], ["cancel"]),
    "few-shot": (["where is my order", "cancel it"], ["cancel", "größe"]),
    "prompt": (["where is my order", "cancel it"], ["yes", "no"]),
    "tags": ([["where", "is", "my", "order"]], [["O", "O", "B-PER", "I-PER"]]),
    "tags with a field": ([["where", "is", "my", "order"]], [["O", "O", "B-PER", "I-PER"]]),
    "questions": (
        [
            {
                "question": "what is late",
                "context": "my order is late. " * 20,
                "answers": [{"text": "order", "answer_start": 3}],
            }
        ],
        None,
    ),
    "choices": ([{"text": "my order", "choices": ["is late", "not good", "refund"], "label": 1}], None),
}


#: Those that share the least; the rest differ from one of them in a signature.
ALWAYS = (
    "several labels",
    "tags with a field",
    "questions",
    "choices",
    "embeddings",
    "fill-mask",
)


@pytest.fixture(scope="module", params=rarely_all(KINDS, *ALWAYS))
def kind(request):
    import keras

    if keras.backend.backend() != "tensorflow":
        pytest.skip("the worker that writes artifacts runs TensorFlow")
    return request.param


@pytest.fixture(scope="module")
def written(kind, tmp_path_factory):
    """The task, and its artifacts, written as the worker does."""
    from keras_bert_suite.export.worker import _Writer

    directory = tmp_path_factory.mktemp("every")
    task = make_kind(kind)
    task.save_pretrained(directory / "task")
    np.savez(directory / "arrays.npz")
    job = {
        "task": {"module": type(task).__module__, "name": type(task).__qualname__, "directory": directory / "task"},
        "max_length": 48,
        "litert_lengths": [16, 48],
        "arrays": directory / "arrays.npz",
    }
    writer = _Writer(job)
    notes = []
    for name, file in FILES:
        path = directory / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        notes += writer.write(name, path, directory)
    return task, directory, notes


def alike(found, expected):
    """Whether two answers are equal but for the last digits of their numbers."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(alike(found[name], expected[name]) for name in expected)
    if isinstance(expected, (list, tuple)):
        return len(found) == len(expected) and all(map(alike, found, expected))
    return found == pytest.approx(expected, abs=1e-4) if isinstance(expected, float) else found == expected


@pytest.mark.parametrize("name", ["saved_model", "litert", "onnx"])
def test_an_artifact_answers_and_scores_as_its_task(kind, written, name):
    from keras_bert_suite.export import open_artifact
    from keras_bert_suite.export.examples import hard_rows

    task, directory, _ = written
    opened = open_artifact(directory / name)
    assert type(opened) is type(task)
    rows = hard_rows(task)
    found, expected = list(opened.predict_stream(rows)), list(task.predict_stream(rows))
    assert [row for row in range(len(rows)) if not alike(found[row], expected[row])] == []
    if kind in LABELLED:
        x, y = LABELLED[kind]
        assert opened.evaluate(x, y) == pytest.approx(task.evaluate(x, y), abs=1e-4, nan_ok=True)


def test_a_saved_model_answers_strings_as_its_task(kind, written):
    from keras_bert_suite.export.examples import hard_rows
    from keras_bert_suite.export.measure import measure_text
    from keras_bert_suite.export.runner import _decoded
    from keras_bert_suite.export.runtimes import open_runtime

    task, directory, notes = written
    runtime = open_runtime(directory / "saved_model")
    if kind == "prompt":
        assert runtime.run_text is None
        assert any("takes ids only" in note for note in notes)
        return

    class Artifact:
        """A runtime of this process, for `measure_text`."""

        @staticmethod
        def run_text(columns):
            found = runtime.run_text(columns)
            return {name: _decoded(value.tolist()) if value.dtype == object else value for name, value in found.items()}

        @staticmethod
        def time(kind, columns):
            return 0.0

    measured = measure_text(task, Artifact, hard_rows(task))
    assert measured["max_difference"] <= 1e-5
    assert measured["label_agreement"] in (None, 1.0)
    if kind == "relations":
        texts = ["<e1>order</e1> is <E2>late</E2>", "[E1] order [/E1] is [E2] late [/E2]"]
        one, other = runtime.run_text({"text": texts})["probabilities"]
        np.testing.assert_allclose(one, other, rtol=1e-5)
        assert one[task.labels.index(task.predict(texts[:1])[0]["label"])] == one.max()
        filling = "please " * 60
        texts = [f"{filling}<e1>order</e1> is{end}<e2>late</e2> {filling}" for end in (" ", f" {filling}")]
        for text, found in zip(texts, runtime.run_text({"text": texts})["probabilities"], strict=True):
            assert task.predict_probabilities([text])[0] == pytest.approx(found, abs=1e-5)


def test_a_bundle_warms_every_signature_up_and_examples_answer_as_strings_do(kind, written):
    import tensorflow as tf

    from keras_bert_suite.export.bundle import write_bundle

    task, directory, _ = written
    saved_model = directory / "bundle/models/Größe 1/7"
    saved_model.parent.mkdir(parents=True)
    shutil.copytree(directory / "saved_model", saved_model)
    write_bundle(task, saved_model, directory / "bundle", "Größe 1", 7, 48)
    signatures = tf.saved_model.load(str(saved_model)).signatures
    requests = _warmup_requests(saved_model)
    strings_in = kind != "prompt"
    assert requests.keys() == signatures.keys() == {"serving_default", "ids", *["examples"] * strings_in}
    names = {"classes": "labels", "scores": "probabilities", "outputs": "score"}
    for request, of_strings in zip(requests.get("examples", ()), requests["serving_default"], strict=strings_in):
        expected = signatures["serving_default"](**of_strings)
        for name, output in signatures["examples"](**request).items():
            np.testing.assert_array_equal(output, expected[name if name in expected else names[name]])
    for manifest in yaml.safe_load_all((directory / "bundle/kubernetes.yaml").read_text(encoding="utf-8")):
        assert re.fullmatch("[a-z]([-a-z0-9]{0,61}[a-z0-9])?", manifest["metadata"]["name"])
    compose = yaml.safe_load((directory / "bundle/compose.yaml").read_text(encoding="utf-8"))
    for option in compose["services"]["serving"]["command"]:
        file = option.partition("=/models/")[2]
        assert not file or (directory / "bundle/models" / file).is_file()


def _warmup_requests(saved_model):
    """Read the warm-up requests of a SavedModel: dict from each signature to the inputs of its requests."""
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    requests = {}
    for record in tf.data.TFRecordDataset(str(saved_model / "assets.extra/tf_serving_warmup_requests")):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        assert request.model_spec.name == saved_model.parent.name
        columns = {name: tf.constant(tf.make_ndarray(column)) for name, column in request.inputs.items()}
        requests.setdefault(request.model_spec.signature_name, []).append(columns)
    return requests


def test_the_tokenizer_beside_an_onnx_file_feeds_it(written):
    import onnxruntime

    from keras_bert_suite.export.onnx import PARTED

    task, directory, _ = written
    path = directory / "onnx/tokenizer.onnx"
    assert path.is_file() == (task.task not in PARTED)
    if not path.is_file():
        return
    columns = [["Where is my [MASK]? <e1>Größe</e1>", "", "refund " * 60], ["", "a", "b " * 60]]
    columns = columns[: 1 + bool(getattr(task, "pair", False))]
    tokenizer, model = (
        onnxruntime.InferenceSession(str(directory / "onnx" / name)) for name in (path.name, "model.onnx")
    )
    given = dict(zip(("text", "text_b"), (np.array(texts, object) for texts in columns), strict=False))
    ids = dict(zip([value.name for value in tokenizer.get_outputs()], tokenizer.run(None, given), strict=True))
    for name, expected in task.tokenizer(*columns, max_length=48).items():
        np.testing.assert_array_equal(ids[name], expected)
    assert len(model.run(None, ids)[0]) == 3


def test_what_an_artifact_carries_names_its_task(written):
    from keras_bert_suite.export.runtimes import find_artifact, packed_files

    task, directory, _ = written
    for name in ("saved_model", "litert", "onnx"):
        files = packed_files(find_artifact(directory / name))
        config = json.loads(files["task/config.json"])
        assert config["keras_bert_suite"]["task"] == task.task
        assert "task/tokenizer.json" in files
        assert not [file for file in files if file.endswith("model.safetensors")]


def test_an_artifact_without_a_description_is_refused(written, tmp_path):
    from keras_bert_suite.export import open_artifact

    path = written[1] / "onnx/model.onnx"
    (tmp_path / "model.onnx").write_bytes(path.read_bytes())
    with pytest.raises(ArtifactError, match="does not say which task"):
        open_artifact(tmp_path / "model.onnx")
    with pytest.raises(ArtifactError, match="holds no artifact"):
        open_artifact(tmp_path / "nothing")
