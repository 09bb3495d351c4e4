"""TFLite metadata: what MediaPipe reads to know tensors, vocabulary and labels.

The metadata is a flatbuffer of its own (schema `metadata_schema.fbs`, published
with MediaPipe and TFLite Support), which a buffer of the model holds. Files that
it refers to lie in a zip after the end of the model. Only the parts that a BERT
classifier or embedder needs are written.
"""

import flatbuffers

from keras_bert_suite.export.litert_file import LABELS, VOCABULARY

__all__ = ["classifier_metadata", "embedder_metadata"]

#: The earliest reader that knows tensor groups, the newest thing used here.
MIN_PARSER_VERSION = "1.2.0"

#: Tables of the metadata schema with their fields, in the order of the schema.
#: A union takes two places, its type first.
FIELDS = {
    "ModelMetadata": (
        "name", "description", "version", "subgraph_metadata", "author", "license", "associated_files",
        "min_parser_version",
    ),
    "SubGraphMetadata": (
        "name", "description", "input_tensor_metadata", "output_tensor_metadata", "associated_files",
        "input_process_units", "output_process_units", "input_tensor_groups", "output_tensor_groups",
    ),
    "TensorMetadata": (
        "name", "description", "dimension_names", "content", "process_units", "stats", "associated_files",
    ),
    "Content": ("content_properties_type", "content_properties", "range"),
    "FeatureProperties": (),
    "ProcessUnit": ("options_type", "options"),
    "BertTokenizerOptions": ("vocab_file",),
    "AssociatedFile": ("name", "description", "type"),
    "TensorGroup": ("name", "tensor_names"),
}  # fmt: skip

# Values of the schema's enumerations and union types.
FEATURE_PROPERTIES = 1
BERT_TOKENIZER_OPTIONS = 4
LABEL_FILE = 2  # TENSOR_AXIS_LABELS
VOCABULARY_FILE = 5

INPUTS = {
    "ids": "Numbers of the tokens of the text.",
    "mask": "1 where there is a token, 0 where there is padding.",
    "segment_ids": "0 for tokens of the first text, 1 for those of the second.",
}


def classifier_metadata(input_order, description):
    """Return the metadata of a BERT classifier as a flatbuffer.

    Args:
        input_order: list of str. `ids`, `mask` and `segment_ids` in the order of the model's inputs.
        description: str, for people.
    Returns:
        bytes.
    """
    labels = _table("AssociatedFile", name=LABELS, description="Label of each score.", type=LABEL_FILE)
    score = _tensor("score", "Probability of each label.", associated_files=[labels])
    return _metadata("TextClassifier", description, input_order, score)


def embedder_metadata(input_order, description):
    """Return the metadata of a BERT sentence embedder as a flatbuffer; arguments as for `classifier_metadata`."""
    return _metadata("TextEmbedder", description, input_order, _tensor("embedding", "Vector of the text."))


def _metadata(name, description, input_order, output):
    vocabulary = _table("AssociatedFile", name=VOCABULARY, description="Token of each id.", type=VOCABULARY_FILE)
    tokenizer = _table("BertTokenizerOptions", vocab_file=[vocabulary])
    subgraph = _table(
        "SubGraphMetadata",
        input_tensor_metadata=[_tensor(tensor, INPUTS[tensor]) for tensor in input_order],
        output_tensor_metadata=[output],
        input_process_units=[_table("ProcessUnit", options_type=BERT_TOKENIZER_OPTIONS, options=tokenizer)],
        input_tensor_groups=[_table("TensorGroup", name="text", tensor_names=list(input_order))],
    )
    model = _table(
        "ModelMetadata",
        name=name,
        description=description,
        subgraph_metadata=[subgraph],
        min_parser_version=MIN_PARSER_VERSION,
    )
    builder = flatbuffers.Builder()
    builder.Finish(_write(builder, model), file_identifier=b"M001")
    return bytes(builder.Output())


def _object(builder, num_fields, write_fields):
    builder.StartObject(num_fields)
    write_fields()
    return builder.EndObject()


def _vector(builder, offsets):
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _tensor(name, description, **fields):
    features = _table("FeatureProperties")
    content = _table("Content", content_properties_type=FEATURE_PROPERTIES, content_properties=features)
    return _table("TensorMetadata", name=name, description=description, content=content, **fields)


def _table(kind, **fields):
    """A table to be written: its number of fields, and its values by place."""
    return len(FIELDS[kind]), {FIELDS[kind].index(name): value for name, value in fields.items()}


def _write(builder, value):
    """Write a str, a list, or a table with everything below it; return its offset."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, list):
        return _vector(builder, [_write(builder, item) for item in value])
    num_fields, values = value
    offsets = {slot: item if isinstance(item, int) else _write(builder, item) for slot, item in values.items()}

    def fields():
        for slot, item in values.items():
            if isinstance(item, int):
                builder.PrependInt8Slot(slot, item, 0)
            else:
                builder.PrependUOffsetTRelativeSlot(slot, offsets[slot], 0)

    return _object(builder, num_fields, fields)
