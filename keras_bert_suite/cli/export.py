"""Write a trained model as SavedModel, LiteRT, ONNX and OpenVINO, each checked against it.

The report is printed, and written beside the artifacts.
"""

import json
import re
from pathlib import Path

from keras_bert_suite.cli.shared import add_columns, columns_from, positive_int, print_result, start

EXAMPLE = """\
  kbs export saved_models/intents --output saved_models/intents-export \\
      --format saved_model litert litert-int8 onnx
"""


def add_arguments(parser):
    parser.add_argument("model", metavar="MODEL", help="the directory of a trained model")
    parser.add_argument("--output", required=True, metavar="DIR", help="where the artifacts go")
    parser.add_argument("--overwrite", action="store_true", help="replace the output directory if it is there")
    parser.add_argument(
        "--format",
        nargs="+",
        metavar="FORMAT",
        default=["saved_model", "litert", "onnx"],
        help="saved_model, tf-serving, litert[-float16|-int8|-full-int8|-int4], onnx[-int8|-static-int8], openvino "
        "(default: saved_model litert onnx)",
    )
    parser.add_argument("--max-length", type=positive_int, metavar="N", help="tokens at which texts are cut or parted")
    parser.add_argument(
        "--litert-length",
        nargs="+",
        type=positive_int,
        metavar="N",
        help="tokens a LiteRT file takes; several make a signature each",
    )
    parser.add_argument("--model-name", metavar="NAME", help="in TF Serving (default: the directory's)")
    parser.add_argument("--version", type=positive_int, default=1, metavar="N", help="in TF Serving (default: 1)")
    parser.add_argument("--data", metavar="FILE", help="examples to compare on, and perhaps their labels")
    parser.add_argument("--calibration", metavar="FILE", help="typical texts, for full-int8 and static-int8")
    add_columns(parser)


def run(options):
    from keras_bert_suite.export.formats import check_available, check_formats
    from keras_bert_suite.files import check_free

    check_available(check_formats(options.format))
    check_free(options.output, options.overwrite)
    start(options.data, options.calibration)
    from keras_bert_suite.tasks import open_task

    report = open_task(options.model).export(
        options.output,
        formats=options.format,
        max_length=options.max_length,
        litert_length=options.litert_length,
        calibration=options.calibration,
        model_name=options.model_name or re.sub(r"[^\w.-]", "-", Path(options.model).resolve().name),
        version=options.version,
        examples=options.data,
        columns=columns_from(options.columns),
        overwrite=options.overwrite,
        progress=not options.json,
    )
    print_result(options, json.loads(report.to_json()), f"{report.table()}\nSaved {options.output}.")
