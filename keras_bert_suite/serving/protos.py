"""Messages of TF Serving's API that both protocols send."""

from keras_bert_suite.errors import require
from keras_bert_suite.serving.status import CODES

__all__ = ["metadata_message", "status_message", "to_json"]

SIGNATURE_DEF = "signature_def"


def status_message(states):
    """Return a `GetModelStatusResponse` for what `Repository.states` says."""
    pb2 = require("tensorflow_serving.apis.get_model_status_pb2", "kbs serve")
    message = pb2.GetModelStatusResponse()
    for version, state, error in states:
        found = message.model_version_status.add(version=version, state=state)
        found.status.SetInParent()  # OK, unless it says otherwise
        if error is not None:
            found.status.error_code = CODES.index(error.code)
            found.status.error_message = error.message
    return message


def metadata_message(servable):
    """Return a `GetModelMetadataResponse` with the signatures of a `Servable`."""
    pb2 = require("tensorflow_serving.apis.get_model_metadata_pb2", "kbs serve")
    signatures = pb2.SignatureDefMap()
    for name, definition in servable.signature_defs.items():
        signatures.signature_def[name].CopyFrom(definition)
    message = pb2.GetModelMetadataResponse()
    message.model_spec.name = servable.name
    message.model_spec.version.value = servable.version
    message.metadata[SIGNATURE_DEF].Pack(signatures)
    return message


def to_json(message):
    """Return a message as the dict that TF Serving's REST API sends."""
    json_format = require("google.protobuf.json_format", "kbs serve")
    plain = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    for packed in plain.get("metadata", {}).values():
        del packed["@type"]
    return plain
