"""Score a trained model on a labelled file."""

from keras_bert_suite.cli.shared import add_columns, add_dtype, columns_from, open_trained, print_result, start

EXAMPLE = """\
  kbs evaluate saved_models/intents --data examples/data/test.tsv
  kbs evaluate saved_models/intents-export/litert/model.tflite --data examples/data/test.tsv
"""


def add_arguments(parser):
    parser.add_argument("model", metavar="MODEL", help="the directory of a trained model, or an exported file")
    parser.add_argument("--data", required=True, metavar="FILE", help="labelled examples")
    parser.add_argument(
        "--scoring",
        metavar="NAME",
        help="question-answering: squad, squad_v2 or cmrc2018 (default: cmrc2018 for questions in Chinese)",
    )
    add_columns(parser)
    add_dtype(parser)


def run(options):
    start(options.data)
    task = open_trained(options.model, options.dtype)
    given = {} if options.scoring is None else {"scoring": options.scoring}
    if given and task.task != "question-answering":
        raise ValueError(f"--scoring goes with question-answering. Received: {task.task}. Leave it out.")
    print_result(
        options,
        task.evaluate(options.data, columns=columns_from(options.columns), progress=not options.json, **given),
    )
