"""The `kbs` command: finds the command asked for, and turns its errors into one line and an exit code."""

import argparse
import importlib
import importlib.util
import json
import os
import signal
import sys
import threading

__all__ = ["main"]

#: Command -> what `kbs --help` says of it. The module of a command is imported only when it runs.
COMMANDS = {
    "demo": "fine-tune, score and export a real BERT, and print one table",
    "finetune": "train a pretrained encoder on your data",
    "tune": "search for the learning rate, batch size and the rest that suit your data",
    "train-vocab": "learn a WordPiece vocabulary from your text",
    "pretrain-data": "turn text into a corpus for pretraining",
    "pretrain": "train an encoder on a corpus, from new weights or on from a checkpoint",
    "evaluate": "score a trained model on a labelled file",
    "predict": "label texts or a file of texts",
    "export": "write a model as SavedModel, LiteRT, ONNX, and for TF Serving",
    "convert": "write a checkpoint in another format, its numbers compared",
    "inspect": "say what a checkpoint is, and what it lacks",
    "verify": "run exported artifacts and hold them against their model",
    "bench": "time exported artifacts, and measure size and memory",
    "serve": "serve exported models over REST and gRPC, as TF Serving does",
    "doctor": "say what is installed, what works here, and what to install for the rest",
}

#: Commands that start no backend.
WITHOUT_KERAS = ("doctor", "inspect", "train-vocab", "pretrain-data", "bench", "serve")

BACKENDS = ("tensorflow", "jax", "torch")

#: The exit code of a training that was ended by SIGTERM and can go on: EX_TEMPFAIL of sysexits.h.
SAVED = 75

EXIT_CODES = """\
exit codes:
  0    done
  1    the work failed: an artifact disagrees with its model, a training's loss is not a number, memory ran out,
       or another process of the training ended
  2    wrong usage or bad input: a file, a checkpoint, an option
  3    something that is needed is not installed
  75   training ended by SIGTERM; its state is saved, the same command goes on
  130  interrupted by Ctrl-C
  143  ended by SIGTERM
"""


def main(arguments=None):
    """Run `kbs` and return its exit code.

    Args:
        arguments: optional list of str. Defaults to the command line's.
    Returns:
        int, as `kbs --help` lists them.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    command = next((word for word in arguments if not word.startswith("-")), None)
    parser = _parser(command)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _end)
    try:
        if command not in WITHOUT_KERAS and not getattr(options, "server", None):
            _choose_backend(options.backend)
        result = _module(command).run(options)
    except BaseException as error:
        return _fail(error, options)
    finally:
        _reminders.clear()
    return result or 0


def _parser(command):
    parser = argparse.ArgumentParser(
        prog="kbs",
        description="BERT for Keras 3: fine-tune, score, use and export.",
        epilog=f"'kbs COMMAND --help' shows the options of a command and an example.\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, help_line in COMMANDS.items():
        if name != command:
            commands.add_parser(name, help=help_line)
            continue
        module = _module(name)
        child = commands.add_parser(
            name,
            help=help_line,
            description=module.__doc__,
            epilog=f"example:\n{module.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        child.add_argument(
            "--backend", choices=BACKENDS, help="what Keras runs on (default: KERAS_BACKEND, or what is installed)"
        )
        child.add_argument("--json", action="store_true", help="print the result as JSON")
        module.add_arguments(child)
    return parser


def _module(command):
    return importlib.import_module(f"keras_bert_suite.cli.{command.replace('-', '_')}")


class _Version(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        import keras_bert_suite

        print(keras_bert_suite.__version__)
        parser.exit()


def _choose_backend(asked):
    """Set KERAS_BACKEND before Keras is imported: the one asked for, or the first that is installed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    chosen = asked or os.environ.get("KERAS_BACKEND")
    if chosen is None:
        chosen = next((name for name in BACKENDS if importlib.util.find_spec(name)), None)
        if chosen is None:
            raise ImportError('no backend is installed. Run: pip install "keras_bert_suite[tensorflow]"')
    elif chosen in BACKENDS and importlib.util.find_spec(chosen) is None:
        raise ImportError(f'the backend {chosen} is not installed. Run: pip install "keras_bert_suite[{chosen}]"')
    os.environ["KERAS_BACKEND"] = chosen


#: Signals that are to be said again, while they were not obeyed.
_reminders = []


def _end(signal_number, frame):
    """Leave, and be told again in some seconds: Keras tries some calls a second time, whatever ended the first."""
    reminder = threading.Timer(5, _remind, [signal_number])
    reminder.daemon = True
    reminder.start()
    _reminders.append(reminder)
    raise SystemExit(128 + signal_number)


def _remind(signal_number):
    if threading.current_thread() in _reminders:
        os.kill(os.getpid(), signal_number)


def _fail(error, options):
    """Print one line for an error and return its exit code; what is a bug keeps its traceback."""
    from keras_bert_suite.errors import ArtifactError, TrainingInterrupted

    if isinstance(error, SystemExit):
        return error.code
    if isinstance(error, TrainingInterrupted):
        print(f"\nkbs: {error}", file=sys.stderr)
        return 130 if error.signal_number == signal.SIGINT else SAVED
    if isinstance(error, KeyboardInterrupt):
        print("\nkbs: interrupted; nothing half-written was left", file=sys.stderr)
        return 130
    if isinstance(error, BrokenPipeError):
        sys.stderr.close()
        return 1
    codes = (
        (ImportError, 3),
        ((ArtifactError, ConnectionError, FloatingPointError, MemoryError), 1),
        ((ValueError, TypeError, OSError), 2),
    )
    code = next((code for kinds, code in codes if isinstance(error, kinds)), None)
    if code is None or os.environ.get("KBS_TRACEBACK"):
        raise error
    message = str(error)
    if isinstance(error, OSError) and error.strerror:
        message = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    print(f"kbs: error: {message}", file=sys.stderr)
    if options.json:
        print(json.dumps({"error": message, "exit_code": code}, ensure_ascii=False))
    return code
