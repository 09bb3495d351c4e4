"""Search for the learning rate, batch size and the rest that suit your data.

The best model so far is in OUTPUT/best, every trial in OUTPUT/report.html.
Killed at any moment, the same command goes on; with a larger --trials, to more of them.
"""

import hashlib
import inspect
import json
import math
from pathlib import Path

from keras_bert_suite.cli.shared import add_columns, add_seed, columns_from, positive_int, print_result, start
from keras_bert_suite.cli.tasks import add_settings, add_task, settings_from

EXAMPLE = """\
  kbs tune text-classification --model all-MiniLM-L6-v2 \\
      --train examples/data/train.tsv --dev examples/data/dev.tsv --output saved_models/search \\
      --search learning_rate=1e-4:1e-3 batch_size=16,32 epochs=2,4 frozen_blocks=0,2
"""

#: What `fit` takes; everything else that is searched is a field of the recipe.
OF_FIT = ("batch_size", "epochs")


def add_arguments(parser):
    add_task(parser)
    parser.add_argument("--model", required=True, metavar="DIR|NAME", help="the checkpoint to start from")
    parser.add_argument("--train", required=True, metavar="FILE", help="labelled examples to learn from")
    parser.add_argument("--dev", required=True, metavar="FILE", help="labelled examples that decide")
    parser.add_argument("--output", required=True, metavar="DIR", help="where trials and the best model go")
    parser.add_argument("--trials", type=positive_int, default=20, metavar="N", help="in all (default: 20)")
    parser.add_argument("--epochs", type=positive_int, metavar="N", help="of a trial (default: 3, of few-shot pairs 1)")
    parser.add_argument("--max-length", type=positive_int, metavar="N", help="longer texts are cut, in tokens")
    parser.add_argument(
        "--search",
        nargs="+",
        metavar="NAME=VALUES",
        help="LOW:HIGH or VALUE,VALUE,... of batch_size, epochs or a field of the recipe (default: learning_rate, "
        "batch_size, weight_decay)",
    )
    add_settings(parser)
    add_columns(parser)
    add_seed(parser)


def run(options):
    from keras_bert_suite.tuning import SPACE, parse_space

    space = parse_space(options.search) if options.search else SPACE
    start(options.train, options.dev)
    import keras

    from keras_bert_suite.tasks import task_class
    from keras_bert_suite.tuning import tune

    output = Path(options.output)
    columns = columns_from(options.columns)
    given = {"replace_head": True, "max_length": options.max_length, **settings_from(options)}

    kind = task_class(options.task)
    epochs = options.epochs or inspect.signature(kind.fit).parameters["epochs"].default
    _check_fields(kind.from_pretrained(options.model, **given), space)

    def sign(task):
        return 1 if task.monitor[1] == "max" else -1

    def train(values, report):
        of_fit = {"epochs": epochs, **{name: values[name] for name in OF_FIT if name in values}}
        task = kind.from_pretrained(options.model, **given)
        task.compile(**{name: value for name, value in values.items() if name not in OF_FIT})

        def report_epoch(epoch, logs):
            if task.monitor[0] in logs:  # few-shot classification has a score only at the end
                report(epoch, sign(task) * logs[task.monitor[0]])

        task.fit(
            options.train,
            validation_data=options.dev,
            seed=options.seed,
            columns=columns,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=report_epoch)],
            verbose=0,
            **of_fit,
        )
        score = task.evaluate(options.dev, columns=columns)[task.score_names[0]]
        if score > _saved_score(output / "best.json"):
            task.save_pretrained(output / "best", overwrite=True)
            _save_score(output / "best.json", score, values)
        return score

    values, score = tune(
        train,
        output,
        space=space,
        num_trials=options.trials,
        seed=options.seed,
        title=f"{output.name}: search for {options.task}",
        settings={
            **given,
            "task": options.task,
            "model": _digest_of_weights(options.model),
            "train": _digest_of_file(options.train),
            "dev": _digest_of_file(options.dev),
            "columns": columns,
            "epochs": epochs,
            "seed": options.seed,
        },
    )
    print_result(
        options,
        {"output": options.output, "best": values, "score": score},
        f"Best of {options.trials} trials: dev score {score:.4f} with "
        + ", ".join(f"{name}={value}" for name, value in values.items())
        + f". The model is in {output / 'best'}; {output / 'report.html'} shows all trials.",
    )


def _check_fields(task, space):
    """Refuse a name or a value that cannot be, before anything is trained."""
    for name, choices in space.items():
        for value in choices if name not in OF_FIT else ():
            task.compile(**{name: value})


def _digest_of_file(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _digest_of_weights(source):
    """Tell a checkpoint from others by what it holds: another one may come to lie in its place."""
    from keras_bert_suite.checkpoints import open_checkpoint

    digest = hashlib.sha256()
    for path, array in sorted(open_checkpoint(source).weights.items()):
        digest.update(f"{path} {array.shape} {array.dtype}".encode() + array.read().tobytes())
    return digest.hexdigest()[:16]


def _saved_score(path):
    return json.loads(path.read_text(encoding="utf-8"))["score"] if path.is_file() else -math.inf


def _save_score(path, score, values):
    from keras_bert_suite.files import replaced_file

    with replaced_file(path) as file:
        json.dump({"score": score, **values}, file, indent=2)
