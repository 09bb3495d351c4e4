"""Write a trained model as SavedModel, LiteRT and ONNX, each checked against it.

The report is printed, and written beside the artifacts.
"""

import json

from keras_bert_suite.cli.shared import positive_int, print_result, start

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
        help="saved_model, litert, litert-int8, onnx (default: all but litert-int8)",
    )
    parser.add_argument("--litert-length", type=positive_int, metavar="N", help="tokens a LiteRT file takes")


def run(options):
    from keras_bert_suite.export import export_task
    from keras_bert_suite.export.formats import check_available, check_formats
    from keras_bert_suite.files import check_free

    check_available(check_formats(options.format))
    check_free(options.output, options.overwrite)
    start()
    from keras_bert_suite import TextClassifier

    report = export_task(
        TextClassifier.from_pretrained(options.model),
        options.output,
        formats=options.format,
        litert_length=options.litert_length,
        overwrite=options.overwrite,
        progress=not options.json,
    )
    print_result(options, json.loads(report.to_json()), f"{report.table()}\nSaved {options.output}.")
