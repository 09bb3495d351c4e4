"""TF Serving's gRPC services, over a `Service`."""

from keras_bert_suite.errors import require
from keras_bert_suite.serving.examples import examples_from_proto
from keras_bert_suite.serving.proto_tensors import read_tensor, write_tensor
from keras_bert_suite.serving.protos import SIGNATURE_DEF, metadata_message, status_message
from keras_bert_suite.serving.signature import DEFAULT_SIGNATURE
from keras_bert_suite.serving.status import StatusError

__all__ = ["build_grpc_server"]


def build_grpc_server(service):
    """Return a `grpc.aio.Server` with `PredictionService` and `ModelService`, without a port."""
    aio = require("grpc.aio", "kbs serve")
    prediction = require("tensorflow_serving.apis.prediction_service_pb2_grpc", "kbs serve")
    model = require("tensorflow_serving.apis.model_service_pb2_grpc", "kbs serve")
    limits = service.limits
    server = aio.server(
        options=[
            ("grpc.max_receive_message_length", limits.max_body_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),  # a port in use is an error, not shared
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ],
        # Beyond what the service admits, there is no more than refusing.
        maximum_concurrent_rpcs=2 * limits.max_waiting,
    )
    answers = _Answers(service)
    prediction.add_PredictionServiceServicer_to_server(_servicer(prediction.PredictionServiceServicer, answers), server)
    model.add_ModelServiceServicer_to_server(_servicer(model.ModelServiceServicer, answers), server)
    return server


#: The methods that are answered; the generated servicer answers UNIMPLEMENTED to the others.
METHODS = ("Predict", "Classify", "Regress", "GetModelMetadata", "GetModelStatus")
UNANSWERED = {
    "MultiInference": "send a request for each signature",
    "HandleReloadConfigRequest": "restart the server with another models.config",
}


def _servicer(base, answers):
    """Return a servicer: `base` with the methods of `answers`, their errors as gRPC's."""
    grpc = require("grpc", "kbs serve")

    def answered(answer):
        async def method(self, request, context):
            try:
                return await answer(request)
            except StatusError as error:
                await context.abort(grpc.StatusCode[error.code], error.message)

        return method

    def unanswered(name):
        async def method(self, request, context):
            message = f"{name} is not implemented by this server; {UNANSWERED[name]}"
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, message)

        return method

    methods = {name: answered(getattr(answers, name)) for name in METHODS if hasattr(base, name)}
    methods.update({name: unanswered(name) for name in UNANSWERED if hasattr(base, name)})
    return type("Servicer", (base,), methods)()


class _Answers:
    """One method for each of gRPC's, from request to response; they raise `StatusError`."""

    def __init__(self, service):
        apis = "tensorflow_serving.apis"
        self.service = service
        self.predict_pb2 = require(f"{apis}.predict_pb2", "kbs serve")
        self.classification_pb2 = require(f"{apis}.classification_pb2", "kbs serve")
        self.regression_pb2 = require(f"{apis}.regression_pb2", "kbs serve")

    async def Predict(self, request):
        with (
            self.service.call("predict", "grpc") as call,
            self.service.model(call, *_asked(request)) as servable,
        ):
            call.add_bytes(request.ByteSize())
            name = request.model_spec.signature_name or DEFAULT_SIGNATURE
            signature = servable.signature(name, code="FAILED_PRECONDITION")
            most = 4 * self.service.limits.max_body_bytes  # an int32 takes a byte of a message at least
            inputs = {name: read_tensor(name, proto, most) for name, proto in request.inputs.items()}
            outputs = await self.service.predict(call, servable, signature, inputs, tuple(request.output_filter))
            response = self.predict_pb2.PredictResponse()
            _describe(response, servable, signature.name)
            for name, array in outputs.items():
                write_tensor(array, response.outputs[name])
            return response

    async def Classify(self, request):
        with (
            self.service.call("classify", "grpc") as call,
            self.service.model(call, *_asked(request)) as servable,
        ):
            call.add_bytes(request.ByteSize())
            name = request.model_spec.signature_name or DEFAULT_SIGNATURE
            rows = await self.service.classify(call, servable, name, examples_from_proto(request.input))
            response = self.classification_pb2.ClassificationResponse()
            _describe(response, servable, name)
            for row in rows:
                classes = response.result.classifications.add()
                for label, score in row:
                    classes.classes.add(label=label.decode("utf-8", errors="replace"), score=score)
            return response

    async def Regress(self, request):
        with (
            self.service.call("regress", "grpc") as call,
            self.service.model(call, *_asked(request)) as servable,
        ):
            call.add_bytes(request.ByteSize())
            name = request.model_spec.signature_name or DEFAULT_SIGNATURE
            values = await self.service.regress(call, servable, name, examples_from_proto(request.input))
            response = self.regression_pb2.RegressionResponse()
            _describe(response, servable, name)
            for value in values:
                response.result.regressions.add(value=value)
            return response

    async def GetModelMetadata(self, request):
        with self.service.call("metadata", "grpc") as call:
            if not request.metadata_field:
                raise StatusError(
                    "INVALID_ARGUMENT", "GetModelMetadataRequest must specify at least one metadata_field"
                )
            for field in request.metadata_field:
                if field != SIGNATURE_DEF:
                    raise StatusError("INVALID_ARGUMENT", f"Metadata field {field} is not supported")
            with self.service.model(call, *_asked(request)) as servable:
                return metadata_message(servable)

    async def GetModelStatus(self, request):
        with self.service.call("status", "grpc") as call:
            name, version, _ = _asked(request)
            states = self.service.repository.states(name, version)
            call.model = name
            return status_message(states)


def _asked(request):
    """Return model name, version and label of a request."""
    if not request.HasField("model_spec"):
        raise StatusError("INVALID_ARGUMENT", "Missing ModelSpec")
    spec = request.model_spec
    choice = spec.WhichOneof("version_choice")
    version = spec.version.value if choice == "version" else None
    return spec.name, version, spec.version_label if choice == "version_label" else None


def _describe(response, servable, signature_name):
    response.model_spec.name = servable.name
    response.model_spec.version.value = servable.version
    response.model_spec.signature_name = signature_name
