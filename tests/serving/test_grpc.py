"""TF Serving's gRPC services, asked through the stubs of tensorflow-serving-api."""

import grpc
import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from tensorflow_serving.apis import (  # noqa: E402
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        yield channel


@pytest.fixture(scope="module")
def stub(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def spec(signature="", name="toy", **choice):
    found = model_pb2.ModelSpec(name=name, signature_name=signature)
    if "version" in choice:
        found.version.value = choice["version"]
    if "label" in choice:
        found.version_label = choice["label"]
    return found


def predict_request(model_spec, outputs=(), **inputs):
    request = predict_pb2.PredictRequest(model_spec=model_spec, output_filter=outputs)
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def refusal(method, request):
    with pytest.raises(grpc.RpcError) as caught:
        method(request, timeout=30)
    return caught.value.code().name, caught.value.details()


def test_predict_answers_every_output(stub):
    response = stub.Predict(predict_request(spec(), text=["abc", "größer"]))
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == "serving_default"
    outputs = {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}
    assert outputs["label"].tolist() == [b"short", b"long"]
    np.testing.assert_array_equal(outputs["score"], np.float32([3, 8]))
    assert outputs["probabilities"].shape == (2, 2)
    assert list(response.outputs["score"].float_val) == [3, 8]  # as the stock server sends them, not as bytes


def test_an_output_filter_is_followed(stub):
    response = stub.Predict(predict_request(spec(), outputs=["score"], text=["abc"]))
    assert list(response.outputs) == ["score"]
    code, message = refusal(stub.Predict, predict_request(spec(), outputs=["nothing"], text=["abc"]))
    assert code == "INVALID_ARGUMENT"
    assert "nothing" in message
    assert refusal(stub.Predict, predict_request(spec(), outputs=["score"] * 2, text=["abc"]))[0] == "INVALID_ARGUMENT"


def test_classify(stub):
    request = classification_pb2.ClassificationRequest(model_spec=spec("classify"))
    request.input.example_list.examples.add().features.feature["x"].float_list.value.append(0.25)
    found = stub.Classify(request).result.classifications[0].classes
    assert [(one.label, one.score) for one in found] == [("low", 0.75), ("high", 0.25)]
    request = classification_pb2.ClassificationRequest(model_spec=spec("classify"))
    request.input.example_list_with_context.context.features.feature["x"].float_list.value.append(1.0)
    request.input.example_list_with_context.examples.add()
    assert stub.Classify(request).result.classifications[0].classes[1].score == 1.0


def test_regress(stub):
    request = regression_pb2.RegressionRequest(model_spec=spec("regress"))
    request.input.example_list.examples.add().features.feature["x"].float_list.value.append(0.25)
    assert [one.value for one in stub.Regress(request).result.regressions] == [0.5]
    request.model_spec.signature_name = "classify"
    assert refusal(stub.Regress, request) == ("INVALID_ARGUMENT", "Expected one output Tensor.")


def test_status_and_metadata(stub, channel):
    models = model_service_pb2_grpc.ModelServiceStub(channel)
    (found,) = models.GetModelStatus(get_model_status_pb2.GetModelStatusRequest(model_spec=spec())).model_version_status
    assert (found.version, found.state, found.status.error_code) == (1, found.AVAILABLE, 0)
    request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec(), metadata_field=["signature_def"])
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert stub.GetModelMetadata(request).metadata["signature_def"].Unpack(signatures)
    assert signatures.signature_def["ids"].inputs["token_ids"].dtype == tf.int32.as_datatype_enum
    assert refusal(models.GetModelStatus, get_model_status_pb2.GetModelStatusRequest(model_spec=spec(name="no")))[
        0
    ] == ("NOT_FOUND")


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (lambda: predict_pb2.PredictRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
        (lambda: predict_request(spec(name="no"), text=["a"]), "NOT_FOUND", "Latest(no)"),
        (lambda: predict_request(spec(version=7), text=["a"]), "NOT_FOUND", "Specific(toy, 7)"),
        (lambda: predict_request(spec(label="new"), text=["a"]), "INVALID_ARGUMENT", "label: new"),
        (lambda: predict_request(spec("no"), text=["a"]), "FAILED_PRECONDITION", 'key "no" not found'),
        (
            lambda: predict_request(spec(), txt=["a"]),
            "INVALID_ARGUMENT",
            "Sent extra: {txt}. Missing but required: {text}",
        ),
        (lambda: predict_request(spec(), text=[1]), "INVALID_ARGUMENT", "must be string. Received: int32"),
        (lambda: predict_request(spec(), text="a"), "INVALID_ARGUMENT", "must have the shape (?). Received: ()"),
        (lambda: predict_request(spec("ids"), token_ids=[1, 2]), "INVALID_ARGUMENT", "(?, ?). Received: (2)"),
        (
            lambda: predict_request(spec("two"), text=["a"], numbers=[[1.0, 2.0]] * 2),
            "INVALID_ARGUMENT",
            "numbers=2, text=1",
        ),
        (lambda: predict_request(spec(), text=["fail"]), "INVALID_ARGUMENT", "must not be fail"),
        (lambda: predict_request(spec(), text=["a"] * 65), "INVALID_ARGUMENT", "65 rows"),
        (lambda: predict_request(spec(), text=["a" * 10_001]), "INVALID_ARGUMENT", "10001 bytes"),
        (lambda: predict_request(spec(), text=["a" * 300_000]), "RESOURCE_EXHAUSTED", "larger than max"),
    ],
)
def test_bad_requests_get_the_stock_servers_codes(stub, request_, code, message):
    found = refusal(stub.Predict, request_())
    assert found[0] == code
    assert message in found[1]


def test_a_tensor_that_claims_to_be_huge_takes_no_memory(stub):
    request = predict_request(spec("ids"), token_ids=[[1]])
    request.inputs["token_ids"].tensor_shape.dim[0].size = 1 << 40
    assert refusal(stub.Predict, request) == (
        "INVALID_ARGUMENT",
        f"input 'token_ids' is not a valid tensor: the shape [{1 << 40}, 1] is too large",
    )
    for size in (-1, 3):  # 3: there are not as many values
        request.inputs["token_ids"].tensor_shape.dim[0].size = size
        request.inputs["token_ids"].tensor_content = b"\1\0\0\0\2"
        assert refusal(stub.Predict, request)[0] == "INVALID_ARGUMENT"


def test_what_is_not_implemented_says_so(stub, channel):
    models = model_service_pb2_grpc.ModelServiceStub(channel)
    for method, request in (
        (stub.MultiInference, inference_pb2.MultiInferenceRequest()),
        (models.HandleReloadConfigRequest, model_management_pb2.ReloadConfigRequest()),
    ):
        code, message = refusal(method, request)
        assert code == "UNIMPLEMENTED"
        assert "is not implemented by this server" in message


def test_a_deadline_passes_and_the_server_goes_on(stub):
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(predict_request(spec("spin"), count=[150_000]), timeout=0.05)
    assert caught.value.code().name == "DEADLINE_EXCEEDED"
    assert stub.Predict(predict_request(spec(), text=["abc"]), timeout=30).outputs["score"].float_val[0] == 3
