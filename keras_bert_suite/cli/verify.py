"""Run exported artifacts and hold them against the model they came from.

Without a file, a built-in set of hard texts is used: long, empty, emoji, CJK.
The exit code is 1 when an artifact is further off than it may be.
"""

import json

from keras_bert_suite.cli.shared import add_columns, columns_from, print_result, start

EXAMPLE = """\
  kbs verify saved_models/intents-export --model saved_models/intents --data examples/data/test.tsv
"""


def add_arguments(parser):
    parser.add_argument("artifacts", metavar="ARTIFACTS", help="the directory that kbs export wrote")
    parser.add_argument("--model", required=True, metavar="MODEL", help="the directory of the model they came from")
    parser.add_argument("--data", metavar="FILE", help="texts to run, and perhaps their labels")
    add_columns(parser)


def run(options):
    from keras_bert_suite.export import verify_artifacts

    start(options.data)
    from keras_bert_suite import TextClassifier
    from keras_bert_suite.tasks.inputs import read_input

    classifier = TextClassifier.from_pretrained(options.model)
    examples = {}
    if options.data:
        found = read_input(options.data, columns=columns_from(options.columns))
        examples = {"texts": found.texts, "pairs": found.pairs, "labels": found.labels}
    report = verify_artifacts(options.artifacts, classifier, progress=not options.json, **examples)
    print_result(options, json.loads(report.to_json()), report.table())
    return 0 if report.passed else 1
