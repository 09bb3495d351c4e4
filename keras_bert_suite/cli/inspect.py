"""Say what a checkpoint is: family, sizes, heads, parameters, dtype, tokenizer, and what is missing."""

from keras_bert_suite.cli.shared import print_result

EXAMPLE = """\
  kbs inspect all-MiniLM-L6-v2
  kbs inspect saved_models/intents --json
"""

#: Labels and the like that are shown to people; JSON has all.
MOST = 8


def add_arguments(parser):
    parser.add_argument("model", metavar="MODEL", help="a directory in any format, or a model's name")
    parser.add_argument("--revision", metavar="REV", help="branch, tag or commit of a model on the Hub")


def run(options):
    from keras_bert_suite.inspection import inspect_checkpoint

    found = inspect_checkpoint(options.model, options.revision)
    width = max(map(len, found))
    lines = [f"{name.replace('_', ' '):{width}}  {_readable(value)}" for name, value in found.items()]
    print_result(options, found, "\n".join(lines))


def _readable(value):
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_readable(part)}" for name, part in value.items())
    if isinstance(value, list) and value:
        return ", ".join(map(str, value[:MOST])) + (f" and {len(value) - MOST} more" if len(value) > MOST else "")
    if value is None or value == []:
        return "none"
    return f"{value:,}" if isinstance(value, int) else str(value)
