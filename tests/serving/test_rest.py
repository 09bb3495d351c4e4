"""The REST API as tensorflow.org/tfx/serving/api_rest has it."""

import base64
import json
import math

import pytest


def test_rows_are_answered_by_rows(server):
    status, answer = server.predict({"instances": ["abc", "abcdef"]})
    assert status == 200
    assert answer == {
        "predictions": [
            {"label": "short", "score": 3.0, "probabilities": [0.3, 0.0], "raw_bytes": {"b64": "YWJj"}},
            {"label": "long", "score": 6.0, "probabilities": [0.6, 0.0], "raw_bytes": {"b64": "YWJjZGVm"}},
        ]
    }


def test_columns_are_answered_by_columns(server):
    for inputs in (["abc", "abcdef"], {"text": ["abc", "abcdef"]}):
        status, answer = server.predict({"inputs": inputs})
        assert status == 200
        assert answer["outputs"]["label"] == ["short", "long"]
        assert answer["outputs"]["score"] == [3.0, 6.0]


def test_an_only_output_comes_without_its_name(server):
    rows = {"signature_name": "ids", "instances": [[1, 2, 3], [4, 5, 6]]}
    assert server.predict(rows) == (200, {"predictions": [6, 15]})
    columns = {"signature_name": "ids", "inputs": {"token_ids": [[1, 2, 3], [4, 5, 6]]}}
    assert server.predict(columns) == (200, {"outputs": [6, 15]})


def test_several_inputs_are_objects(server):
    rows = [{"text": "ab", "numbers": [1, 2.5]}, {"text": "", "numbers": [0, -1]}]
    assert server.predict({"signature_name": "two", "instances": rows}) == (200, {"predictions": [5.5, -1.0]})
    status, answer = server.predict({"signature_name": "two", "instances": ["ab"]})
    assert status == 400
    assert "multiple input tensors" in answer["error"]


def test_binary_strings_travel_in_base64(server):
    raw = bytes(range(256))
    status, answer = server.predict({"instances": [{"b64": base64.b64encode(raw).decode()}]})
    assert status == 200
    assert base64.b64decode(answer["predictions"][0]["raw_bytes"]["b64"]) == raw
    assert server.predict({"instances": [{"text": {"b64": "YQ=="}}]})[1]["predictions"][0]["score"] == 1.0
    assert server.predict({"instances": [{"b64": "*"}]}) == (400, {"error": "Unable to base64 decode"})


def test_numbers_that_are_not_finite_pass_both_ways(server):
    body = (
        b'{"signature_name": "two", "inputs": {"text": ["", "", ""], "numbers": [[NaN, 1], [Infinity, 1], [0.1, 0]]}}'
    )
    status, answer = server.predict(body)
    assert status == 200
    assert math.isnan(answer["outputs"][0])
    assert answer["outputs"][1] == math.inf
    assert answer["outputs"][2] == 0.1  # the shortest number that reads back, not 0.10000000149


def test_status_and_metadata(server):
    fine = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    for path in ("/v1/models/toy", "/v1/models/toy/versions/1", "/V1/Models/toy"):
        assert server.ask(path) == (200, {"model_version_status": [fine]})
    status, answer = server.ask("/v1/models/toy/metadata")
    assert status == 200
    assert answer["model_spec"] == {"name": "toy", "signature_name": "", "version": "1"}
    text = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]["text"]
    assert text["dtype"] == "DT_STRING"
    assert text["tensor_shape"] == {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}


def test_classify_takes_examples(server):
    body = {"signature_name": "classify", "examples": [{"x": 0.25}, {"x": [1.0]}]}
    expected = {"results": [[["low", 0.75], ["high", 0.25]], [["low", 0.0], ["high", 1.0]]]}
    assert server.ask("/v1/models/toy:classify", body) == (200, expected)
    shared = {"signature_name": "classify", "context": {"x": 0.25}, "examples": [{}]}
    assert server.ask("/v1/models/toy:classify", shared) == (200, {"results": [[["low", 0.75], ["high", 0.25]]]})


def test_regress_takes_examples(server):
    body = {"signature_name": "regress", "examples": [{"x": 0.25}, {"x": [1.1]}]}
    assert server.ask("/v1/models/toy:regress", body) == (200, {"results": [0.5, 2.2]})


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/v1/models/none:predict", {"instances": ["a"]}, 404, "Servable not found for request: Latest(none)"),
        ("/v1/models/toy/versions/9:predict", {"instances": ["a"]}, 404, "request: Specific(toy, 9)"),
        ("/v1/models/toy/versions/" + "9" * 30 + ":predict", {"instances": ["a"]}, 400, "Failed to convert version"),
        ("/v1/models/toy/labels/new:predict", {"instances": ["a"]}, 400, "Unrecognized servable version label: new"),
        ("/v1/models/none", None, 404, "Could not find any versions of model none"),
        ("/v1/models/toy/versions/9", None, 404, "Could not find version 9 of model toy"),
        ("/v1/models/none/metadata", None, 404, "Servable not found for request: Latest(none)"),
        ("/v1/models", None, 400, "Missing model name"),
        ("/v1/models/", None, 400, "Missing model name"),
        ("/v1/models/toy:predict", None, 400, "Malformed request: GET /v1/models/toy:predict"),
        ("/v1/models/toy:explain", {}, 400, "Malformed request: POST /v1/models/toy:explain"),
        ("/v1/models/toy:predict", {"signature_name": "no", "instances": ["a"]}, 400, 'signature name: "no" not found'),
        ("/v1/models/toy:classify", {"examples": [{"x": 1.0}]}, 400, "found 4"),
        ("/v1/models/toy:classify", {"signature_name": "classify", "examples": []}, 400, "empty array"),
        ("/v1/models/toy:classify", {"signature_name": "classify", "examples": [{"x": "a"}]}, 400, "x"),
        ("/v1/models/toy:regress", {"examples": [{"x": 1.0}]}, 400, "Expected one output Tensor."),
    ],
)
def test_what_is_not_there_is_said(server, path, body, status, message):
    found, answer = server.ask(path, body)
    assert found == status, answer
    assert message is None or message in answer["error"]


def test_a_request_of_many_rows_is_answered_whole(server):
    texts = ["x" * (index % 60) for index in range(64)]
    answer = server.predict({"instances": texts})[1]
    assert [row["score"] for row in answer["predictions"]] == [float(len(text)) for text in texts]


def test_health_and_metrics(server):
    assert server.ask("/healthz") == (200, {"status": "ok", "models": ["moving", "toy"]})
    server.predict({"instances": ["abc"]})
    server.predict({"instances": [1]}, "x" * 50)
    for path in ("/metrics", "/monitoring/prometheus/metrics"):
        status, page = server.ask(path)
        assert status == 200
        lines = page.decode().splitlines()
        counted = (
            'kbs_serving_requests_total{code="OK",method="predict",model="toy",protocol="rest",'
            'signature="serving_default"}'
        )
        assert any(line.startswith(counted) for line in lines)
        assert any(line.startswith("kbs_serving_request_seconds_bucket{") for line in lines)
        assert any(line.startswith("kbs_serving_batch_rows_count") for line in lines)
        assert "kbs_serving_queue_requests 0.0" in lines
    assert "xxxxx" not in page.decode()  # what a client makes up is no label
    assert server.ask("/metrics", b"{}")[0] == 405


def test_answers_are_whole_json_documents(server):
    status, answer = server.ask("/v1/models/toy:predict", json.dumps({"instances": ["größe 😀"]}).encode())
    assert status == 200
    assert answer["predictions"][0]["score"] == len("größe 😀".encode())
