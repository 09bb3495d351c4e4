"""Answer for texts given here, or for the texts of a file, with any trained model, here or on a server."""

import json
from pathlib import Path

from keras_bert_suite.cli.shared import add_columns, add_dtype, columns_from, open_trained, print_result, start

EXAMPLE = """\
  kbs predict saved_models/intents --text "where is my parcel" "cancel that order"
  kbs predict saved_models/intents --input examples/data/test.tsv --output labelled.jsonl
  kbs predict --server http://localhost:8501/v1/models/intents --text "where is my parcel"
"""


def add_arguments(parser):
    parser.add_argument(
        "model", nargs="?", metavar="MODEL", help="the directory of a trained model, or an exported file"
    )
    parser.add_argument("--server", metavar="URL", help="in place of MODEL: http://HOST:PORT/v1/models/NAME")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--text", nargs="+", metavar="TEXT", help="texts to label")
    source.add_argument("--input", metavar="FILE", help="a file of texts, of any size")
    parser.add_argument(
        "--text-b", nargs="+", metavar="TEXT", help="the second text of each pair, or of each question its context"
    )
    parser.add_argument("--output", metavar="FILE", help="where the answers go, as JSON Lines (with --input)")
    add_columns(parser)
    add_dtype(parser)


def run(options):
    if options.text_b and not options.text:
        raise ValueError("--text-b goes with --text. A file has pairs in its column text_b.")
    if options.output and not options.input:
        raise ValueError("--output goes with --input.")
    task = _open(options)
    columns = columns_from(options.columns)
    if options.output:
        count = task.predict_file(options.input, options.output, columns=columns, progress=not options.json)
        print_result(options, {"output": options.output, "texts": count}, f"Saved {options.output}: {count} texts.")
        return
    if options.text:
        pairs = {"pairs": options.text_b} if options.text_b else {}
        answers = task.predict_stream(options.text, **pairs)
    else:
        answers = task.predict_stream(Path(options.input), columns=columns)
    for answer in answers:
        print(json.dumps(answer, ensure_ascii=False) if options.json else _shown(answer))


def _open(options):
    """Return the task, or the client of a server, which needs no Keras."""
    if (options.model is None) == (options.server is None):
        raise ValueError("give either MODEL or --server URL.")
    if options.dtype and options.server:
        raise ValueError("--dtype goes with MODEL. A server computes as it was exported.")
    if options.model is not None:
        start(options.input)
        return open_trained(options.model, options.dtype)
    from keras_bert_suite.serving import Client

    return Client(options.server)


def _shown(answer):
    """An answer for people: its parts side by side, a list of parts line by line."""
    if isinstance(answer, dict):
        return "\t".join(_shown(value) for value in answer.values())
    if isinstance(answer, list):
        return "\n".join(map(_shown, answer))
    return f"{answer:.4f}" if isinstance(answer, float) else str(answer)
