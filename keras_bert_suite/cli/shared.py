"""What several commands share: options, reading examples, printing results."""

import argparse
import importlib
import json
import logging
import os
import re
import sys
import tempfile

from keras_bert_suite.data.lines import check_file

__all__ = [
    "add_columns",
    "add_dtype",
    "add_seed",
    "columns_from",
    "log_to_stderr",
    "open_trained",
    "positive_float",
    "positive_int",
    "print_result",
    "quiet_import",
    "start",
    "whole_number",
]


def positive_int(text):
    """Parse an option's value as an int above 0."""
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"must be above 0, not {value}")
    return value


def whole_number(text):
    """Parse an option's value as an int of 0 or above."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be 0 or above, not {value}")
    return value


def positive_float(text):
    """Parse an option's value as a float above 0."""
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"must be above 0, not {value}")
    return value


def add_seed(parser):
    """Add `--seed`."""
    parser.add_argument(
        "--seed", type=whole_number, default=0, metavar="N", help="governs everything random (default: 0)"
    )


def add_columns(parser):
    """Add `--columns`."""
    parser.add_argument(
        "--columns",
        metavar="KEY=NAME,...",
        help="which columns of the file hold text, text_b and label, by name or, without a header, by position "
        "(in CoNLL columns -1 is the last): text=0,label=1",
    )


def add_dtype(parser):
    """Add `--dtype`."""
    parser.add_argument("--dtype", metavar="POLICY", help="of the model, e.g. mixed_bfloat16 (default: float32)")


def columns_from(text):
    """Return `--columns` as the dict that the readers take, or `None`."""
    if text is None:
        return None
    columns = {}
    for part in text.split(","):
        key, separator, name = part.partition("=")
        if not separator or not name:
            raise ValueError(f"--columns must be KEY=NAME,... with the keys text, text_b and label. Received: {text}")
        columns[key.strip()] = int(name) if re.fullmatch(r"\s*-?\d+\s*", name) else name.strip()
    return columns


def start(*files):
    """Get ready for work: check that `files` are there, show the package's notices, import Keras quietly.

    The imports take seconds, so whatever can be refused without them is refused first.
    """
    for path in files:
        if path is not None:
            check_file(path)
    log_to_stderr()
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of every new shape that is traced
    quiet_import("keras")


def quiet_import(name):
    """Import a module and hold back what it and its C libraries print on standard error, unless it fails."""
    with tempfile.TemporaryFile() as held_back:
        sys.stderr.flush()
        before = os.dup(2)
        os.dup2(held_back.fileno(), 2)
        try:
            return importlib.import_module(name)
        except BaseException:
            held_back.seek(0)
            os.write(before, held_back.read())
            raise
        finally:
            os.dup2(before, 2)
            os.close(before)


def log_to_stderr():
    """Show the package's own notices, one line each, on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("keras_bert_suite")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def print_result(options, values, text=None):
    """Print a command's result: `values` as JSON, or `text` for people."""
    if options.json:
        print(json.dumps(values, ensure_ascii=False))
    else:
        print(text if text is not None else "\n".join(f"{name}: {_readable(value)}" for name, value in values.items()))


def _readable(value):
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def open_trained(path, dtype=None):
    """Open a trained model, or an exported file, as the task that it was trained for."""
    from keras_bert_suite.export.artifact import is_artifact, open_artifact
    from keras_bert_suite.tasks import open_task

    if not is_artifact(path):
        return open_task(path, **({"dtype": dtype} if dtype else {}))
    if dtype:
        raise ValueError(f"--dtype goes with the directory of a trained model. {path} is an export: leave it out.")
    return open_artifact(path)
