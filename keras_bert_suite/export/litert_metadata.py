"""TFLite metadata: what MediaPipe reads to know tensors, vocabulary and labels.

The metadata is a flatbuffer of its own (schema `metadata_schema.fbs`, published
with MediaPipe and TFLite Support), held by a buffer of the model that is named
`TFLITE_METADATA`. Files that it refers to lie in a zip after the end of the
model. Only the parts that a BERT classifier needs are written.
"""

import io
import zipfile

import flatbuffers
from flatbuffers import number_types
from flatbuffers.table import Table

__all__ = ["add_metadata", "classifier_metadata"]

NAME = "TFLITE_METADATA"
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
TENSOR_AXIS_LABELS = 2
VOCABULARY = 5

# Places in TFLite's own schema: fields of Model, Buffer and Metadata, and the identifier of the file.
MODEL_FIELDS = 8
SCALAR_FIELDS = {0: number_types.Uint32Flags}  # version; all others are offsets
BUFFERS, METADATA = 4, 6
BUFFER_DATA = 0
METADATA_NAME, METADATA_BUFFER = 0, 1
IDENTIFIER = b"TFL3"
ALIGNMENT = 16

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
    vocabulary = _table("AssociatedFile", name="vocab.txt", description="Token of each id.", type=VOCABULARY)
    labels = _table("AssociatedFile", name="labels.txt", description="Label of each score.", type=TENSOR_AXIS_LABELS)
    score = _tensor("score", "Probability of each label.", associated_files=[labels])
    subgraph = _table(
        "SubGraphMetadata",
        input_tensor_metadata=[_tensor(name, INPUTS[name]) for name in input_order],
        output_tensor_metadata=[score],
        input_process_units=[
            _table(
                "ProcessUnit",
                options_type=BERT_TOKENIZER_OPTIONS,
                options=_table("BertTokenizerOptions", vocab_file=[vocabulary]),
            )
        ],
        input_tensor_groups=[_table("TensorGroup", name="text", tensor_names=list(input_order))],
    )
    builder = flatbuffers.Builder()
    root = _write(
        builder,
        _table(
            "ModelMetadata",
            name="TextClassifier",
            description=description,
            subgraph_metadata=[subgraph],
            min_parser_version=MIN_PARSER_VERSION,
        ),
    )
    builder.Finish(root, file_identifier=b"M001")
    return bytes(builder.Output())


def add_metadata(model, metadata, files):
    """Return a model with metadata and the files it refers to.

    The weights are not touched: new tables go in front of the old bytes, and
    offsets between old tables stay right because they are relative.

    Args:
        model: bytes of a `.tflite` file.
        metadata: bytes, from `classifier_metadata`.
        files: dict from name to str.
    Returns:
        bytes.
    """
    old = bytes(model) + bytes(-len(model) % ALIGNMENT)
    root = Table(old, int.from_bytes(old[:4], "little"))
    builder = _builder_before(old, room=len(metadata) + 2**16)

    def reference(position):
        return len(old) - position  # flatbuffers counts from the end

    buffers = [reference(position) for position in _elements(root, BUFFERS)]
    entries = [reference(position) for position in _elements(root, METADATA)]
    data = builder.CreateByteVector(metadata)
    buffers.append(_object(builder, 1, lambda: builder.PrependUOffsetTRelativeSlot(BUFFER_DATA, data, 0)))
    name = builder.CreateString(NAME)

    def entry():
        builder.PrependUOffsetTRelativeSlot(METADATA_NAME, name, 0)
        builder.PrependUint32Slot(METADATA_BUFFER, len(buffers) - 1, 0)

    entries.append(_object(builder, 2, entry))
    replaced = {BUFFERS: _vector(builder, buffers), METADATA: _vector(builder, entries)}

    def fields():
        for slot in range(MODEL_FIELDS):
            offset = root.Offset(4 + 2 * slot)
            if slot in replaced:
                builder.PrependUOffsetTRelativeSlot(slot, replaced[slot], 0)
            elif offset and slot in SCALAR_FIELDS:
                builder.PrependUint32Slot(slot, root.Get(SCALAR_FIELDS[slot], root.Pos + offset), 0)
            elif offset:
                builder.PrependUOffsetTRelativeSlot(slot, reference(root.Indirect(root.Pos + offset)), 0)

    builder.Finish(_object(builder, MODEL_FIELDS, fields), file_identifier=IDENTIFIER)
    archive = io.BytesIO()
    archive.write(builder.Output())
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_STORED) as packed:  # readers map the files, so none is compressed
        for file_name, text in files.items():
            packed.writestr(file_name, text)
    return archive.getvalue()


def _builder_before(old, room):
    """A builder that writes in front of bytes that are there already."""
    builder = flatbuffers.Builder(0)
    builder.Bytes = bytearray(room) + old
    builder.head = room
    builder.minalign = ALIGNMENT  # Finish then pads so that the old bytes stay aligned
    return builder


def _elements(table, slot):
    """Positions of the tables in a vector of tables; none where the field is absent."""
    offset = table.Offset(4 + 2 * slot)
    if not offset:
        return []
    first = table.Vector(offset)
    return [table.Indirect(first + 4 * index) for index in range(table.VectorLen(offset))]


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
