"""`kbs export`, and what is done with what it wrote: verified, timed, scored, used."""

import json

import pytest

pytest.importorskip("tensorflow")

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def artifacts(model, data, tmp_path_factory):
    """What `kbs export` wrote, and what it said."""
    import contextlib
    import io

    from keras_bert_suite.cli.main import main

    output = tmp_path_factory.mktemp("artifacts") / "out"
    words = ["export", model, "--output", output, "--format", "litert", "onnx", "--data", data / "test.tsv", "--json"]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main([str(word) for word in [*words, "--litert-length", "8", "16"]]) == 0
    return output, json.loads(said.getvalue())


def test_export_scores_what_it_wrote(artifacts):
    output, report = artifacts
    assert report["passed"]
    assert {row["format"]: row["score"] for row in report["rows"]} == {
        "litert": report["reference"]["score"],
        "onnx": report["reference"]["score"],
    }
    assert {path.name for path in output.iterdir()} == {"litert", "onnx", "report.json", "report.svg", "report.txt"}


def test_an_artifact_is_scored_and_used_as_its_model_is(kbs, model, data, artifacts):
    expected = json.loads(kbs("evaluate", model, "--data", data / "test.tsv", "--json")[1])
    texts = ["stop it", "where is it"]
    answers = kbs("predict", model, "--text", *texts)[1]
    for file in ("litert/model.tflite", "onnx/model.onnx", "onnx"):
        path = artifacts[0] / file
        found = json.loads(kbs("evaluate", path, "--data", data / "test.tsv", "--json")[1])
        assert found == pytest.approx(expected, abs=1e-4)
        assert kbs("predict", path, "--text", *texts)[1] == answers


def test_verify_says_no_by_its_exit_code(kbs, model, artifacts, tmp_path):
    plot = tmp_path / "plot.svg"
    code, said, _ = kbs("verify", artifacts[0] / "onnx", "--model", model, "--plot", plot)
    assert code == 0
    assert "pass" in said
    assert plot.read_text(encoding="utf-8").startswith("<svg")
    code, said, _ = kbs("verify", artifacts[0] / "onnx", "--model", model, "--tolerance", "1e-12")
    assert code == 1
    assert "FAIL" in said


def test_bench_needs_no_model(kbs, artifacts):
    words = ("bench", artifacts[0], "--length", 8, 16, 512, "--batch-size", 1, "--threads", 1)
    rows = json.loads(kbs(*words, "--json")[1])["artifacts"]
    assert [row["format"] for row in rows] == ["litert", "onnx"]
    for row in rows:
        assert [one["length"] for one in row["latency_ms"]] == [8, 16]  # the encoder takes no more
    assert all(row["size_mb"] > 0 and row["peak_memory_mb"] > 10 for row in rows)


def test_what_is_no_artifact_is_named(kbs, model, tmp_path):
    code, _, error = kbs("bench", tmp_path)
    assert code == 1
    assert "holds no artifact" in error
    code, _, error = kbs("verify", tmp_path, "--model", model)
    assert code == 1
    assert "holds no artifact" in error
