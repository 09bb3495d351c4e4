"""Train a pretrained encoder on your data and save the result.

Data files are TSV, CSV, JSON Lines or Parquet with the columns text (and
text_b for pairs) and label; CoNLL columns or JSON Lines with spans for tagging,
SQuAD JSON for questions: docs/tasks/ has a page for each task. While it trains,
its state is in OUTPUT.training: killed at any moment, the same command goes on
from there. The output has the model, report.html to look at, and log.csv.
"""

import inspect
import shutil
import sys
import tempfile
import time
from pathlib import Path

from keras_bert_suite.cli.output import hand_over, training_paths
from keras_bert_suite.cli.recipe import add_recipe, recipe_from
from keras_bert_suite.cli.shared import (
    add_columns,
    add_dtype,
    add_seed,
    columns_from,
    positive_float,
    positive_int,
    print_result,
    start,
)
from keras_bert_suite.cli.tasks import add_settings, add_task, settings_from

EXAMPLE = """\
  kbs finetune text-classification --model all-MiniLM-L6-v2 \\
      --train examples/data/train.tsv --dev examples/data/dev.tsv --output saved_models/intents
"""


def add_arguments(parser):
    add_task(parser)
    parser.add_argument("--model", required=True, metavar="DIR|NAME", help="the checkpoint to start from")
    parser.add_argument("--train", required=True, metavar="FILE", help="labelled examples to learn from")
    parser.add_argument("--dev", metavar="FILE", help="labelled examples to score after each epoch")
    parser.add_argument("--output", required=True, metavar="DIR", help="where the trained model goes")
    parser.add_argument("--overwrite", action="store_true", help="replace the output directory if it is there")
    parser.add_argument("--epochs", type=positive_int, metavar="N", help="default: 3, of few-shot pairs 1")
    parser.add_argument("--batch-size", type=positive_int, metavar="N", help="default: 32, of few-shot pairs 16")
    parser.add_argument("--max-length", type=positive_int, metavar="N", help="longer texts are cut, in tokens")
    parser.add_argument("--replace-head", action="store_true", help="train a new head although the model has one")
    add_dtype(parser)
    parser.add_argument(
        "--packing", choices=("auto", "on", "off"), default="auto", help="several texts a row (default: where faster)"
    )
    parser.add_argument("--restart", action="store_true", help="begin anew although OUTPUT.training has a state")
    parser.add_argument(
        "--save-every", type=positive_float, default=60.0, metavar="SECONDS", help="between two states (default: 60)"
    )
    parser.add_argument("--strategy", metavar="NAME", help="how to use several devices; docs/distributed.md")
    parser.add_argument("--tensorboard", action="store_true", help="write OUTPUT/tensorboard too")
    parser.add_argument("--balance", action="store_true", help="examples of rare labels count for more")
    add_settings(parser)
    add_recipe(parser)
    add_columns(parser)
    add_seed(parser)


def run(options):
    output, state, overwrite = training_paths(options)
    start(options.train, options.dev)
    from keras_bert_suite.reports import write_report
    from keras_bert_suite.training import distribute

    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        with distribute(options.strategy) as distribution:
            model = (state if distribution.is_chief else Path(folder)) / "model"
            history = _train(options, distribution, state, model)
            distribution.gather([0])  # when all are here, none needs its state any more
        # All processes score, each its own copy: none waits for another, and what ends together breaks no connection.
        report, result, text = _score(options, model, history, began)
    if distribution.is_chief:
        write_report(state / "report.html", report, json_path=state / "report.json")
        hand_over(state, output, overwrite)
        print_result(options, result, text)


def _train(options, distribution, state, model):
    """Train, save the task in the directory `model`, and return the history."""
    from keras_bert_suite.files import check_free
    from keras_bert_suite.tasks import task_class
    from keras_bert_suite.training import CSVLog, ProgressBar, TensorBoardLog

    is_chief = distribution.is_chief
    if options.restart and is_chief:
        shutil.rmtree(state, ignore_errors=True)
    given = {"max_length": options.max_length, "replace_head": options.replace_head, "dtype": options.dtype}
    given = {name: value for name, value in given.items() if value}
    task = task_class(options.task).from_pretrained(options.model, **given, **settings_from(options))
    check_free(state, overwrite=True, room=16 * task.encoder.count_params())
    task.compile(**recipe_from(options))
    defaults = inspect.signature(task.fit).parameters
    batch_size = options.batch_size or defaults["batch_size"].default
    callbacks = []
    if is_chief:
        callbacks += [] if options.json else [ProgressBar(batch_size=batch_size)]
        callbacks += [CSVLog(state / "log.csv")]
        callbacks += [TensorBoardLog(state / "tensorboard")] if options.tensorboard else []
    history = task.fit(
        options.train,
        validation_data=options.dev,
        epochs=options.epochs or defaults["epochs"].default,
        batch_size=batch_size,
        seed=options.seed,
        columns=columns_from(options.columns),
        class_weight="balanced" if options.balance else None,
        packing={"auto": "auto", "on": True, "off": False}[options.packing],
        directory=state / "states",
        save_every=options.save_every,
        callbacks=callbacks,
        verbose=0,
    ).history
    task.save_pretrained(model, overwrite=True)
    return history


def _score(options, model, history, began):
    """Return the report on the task in the directory `model`, and what the command prints: values and a text."""
    from keras_bert_suite.tasks import task_class

    task = task_class(options.task).from_pretrained(model, **({"dtype": options.dtype} if options.dtype else {}))
    output = Path(options.output)
    labels = getattr(task, "labels", None)
    result = {
        "task": options.task,
        "output": options.output,
        **({"labels": labels} if labels else {}),
        "epochs": len(history["loss"]),
        "loss": history["loss"][-1],
        "seconds": round(time.perf_counter() - began, 1),
    }
    report = task.report(
        options.dev or options.train,
        columns=columns_from(options.columns),
        title=f"{output.name}: {options.task}",
        history=history,
        summary=_facts(options, task, result),
    )
    scores = ""
    if options.dev:
        result["dev"] = {name: report.summary[name] for name in task.score_names}
        main = task.score_names[0]
        scores = f", dev {main.replace('_', ' ')} {result['dev'][main]:.4f}"
    else:
        report.warnings.append("The scores are on the examples trained on: --dev names others.")
    named = f"{len(labels)} labels, " if labels else ""
    return (
        report,
        result,
        f"Saved {options.output}: {named}loss {result['loss']:.4f}{scores}, "
        f"{result['seconds']:.0f} s. {output / 'report.html'} shows more.",
    )


def _facts(options, task, result):
    import keras

    return {
        "model": str(options.model),
        "trained on": str(options.train),
        "scored on": str(options.dev or options.train),
        "parameters": task.model.count_params(),
        "epochs": result["epochs"],
        "seconds": result["seconds"],
        "seed": str(options.seed),
        "backend": keras.backend.backend(),
        "command": " ".join(["kbs", *sys.argv[1:]]),
    }
