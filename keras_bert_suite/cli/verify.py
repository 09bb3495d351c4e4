"""Run exported artifacts and hold them against the model they came from.

Without a file, a built-in set of hard texts is used: long, empty, emoji, CJK.
The exit code is 1 when an artifact is further off than it may be.
"""

import json

from keras_bert_suite.cli.shared import add_columns, columns_from, positive_float, print_result, start

EXAMPLE = """\
  kbs verify saved_models/intents-export --model saved_models/intents --data examples/data/test.tsv
"""


def add_arguments(parser):
    parser.add_argument("artifacts", metavar="ARTIFACTS", help="the directory that kbs export wrote, or one artifact")
    parser.add_argument("--model", required=True, metavar="MODEL", help="the directory of the model they came from")
    parser.add_argument("--data", metavar="FILE", help="examples to compare on, and perhaps their labels")
    parser.add_argument(
        "--tolerance",
        type=positive_float,
        metavar="X",
        help="the largest difference of probabilities (default: 1e-4 for float32, none for others)",
    )
    parser.add_argument("--plot", metavar="FILE", help="an .svg of size, difference or score, and latency")
    add_columns(parser)


def run(options):
    from keras_bert_suite.export import verify_artifacts

    start(options.data)
    from keras_bert_suite.tasks import open_task

    report = verify_artifacts(
        options.artifacts,
        open_task(options.model),
        options.data,
        columns=columns_from(options.columns),
        tolerance=options.tolerance,
        progress=not options.json,
    )
    if options.plot:
        report.write_plot(options.plot)
    print_result(options, json.loads(report.to_json()), report.table())
    return 0 if report.passed else 1
