"""Train a pretrained encoder on your data and save the result.

Data files are TSV, CSV, JSON Lines or Parquet with the columns text (and
text_b for pairs) and label.
"""

import sys
import time

from keras_bert_suite.cli.shared import (
    add_columns,
    add_seed,
    columns_from,
    positive_float,
    positive_int,
    print_result,
    start,
)

EXAMPLE = """\
  kbs finetune text-classification --model all-MiniLM-L6-v2 \\
      --train examples/data/train.tsv --dev examples/data/dev.tsv --output saved_models/intents
"""

TASKS = ("text-classification",)


def add_arguments(parser):
    parser.add_argument("task", choices=TASKS, metavar="TASK", help=f"one of: {', '.join(TASKS)}")
    parser.add_argument("--model", required=True, metavar="DIR|NAME", help="the checkpoint to start from")
    parser.add_argument("--train", required=True, metavar="FILE", help="labelled examples to learn from")
    parser.add_argument("--dev", metavar="FILE", help="labelled examples to score after each epoch")
    parser.add_argument("--output", required=True, metavar="DIR", help="where the trained model goes")
    parser.add_argument("--overwrite", action="store_true", help="replace the output directory if it is there")
    parser.add_argument("--epochs", type=positive_int, default=3, metavar="N", help="default: 3")
    parser.add_argument("--batch-size", type=positive_int, default=32, metavar="N", help="default: 32")
    parser.add_argument(
        "--learning-rate", type=positive_float, metavar="X", help="the peak (default: 5e-5 at width 768, by width)"
    )
    parser.add_argument("--max-length", type=positive_int, metavar="N", help="longer texts are cut, in tokens")
    parser.add_argument("--replace-head", action="store_true", help="train a new head although the model has one")
    add_columns(parser)
    add_seed(parser)


def run(options):
    from keras_bert_suite.files import check_free

    check_free(options.output, options.overwrite)
    start(options.train, options.dev)
    from keras_bert_suite import TextClassifier

    began = time.perf_counter()
    columns = columns_from(options.columns)
    classifier = TextClassifier.from_pretrained(
        options.model, max_length=options.max_length, replace_head=options.replace_head
    )
    check_free(options.output, options.overwrite, room=4 * classifier.encoder.count_params())
    classifier.compile(learning_rate=options.learning_rate)
    history = classifier.fit(
        options.train,
        validation_data=options.dev,
        epochs=options.epochs,
        batch_size=options.batch_size,
        seed=options.seed,
        columns=columns,
        verbose=0 if options.json else 1 if sys.stdout.isatty() else 2,
    )
    classifier.save_pretrained(options.output, overwrite=options.overwrite)
    result = {
        "task": options.task,
        "output": options.output,
        "labels": classifier.labels,
        "epochs": options.epochs,
        "loss": history.history["loss"][-1],
        "seconds": round(time.perf_counter() - began, 1),
    }
    if options.dev:
        result["dev"] = {"accuracy": history.history["val_accuracy"][-1], "loss": history.history["val_loss"][-1]}
    scores = f", dev accuracy {result['dev']['accuracy']:.4f}" if options.dev else ""
    print_result(
        options,
        result,
        f"Saved {options.output}: {len(classifier.labels)} labels, loss {result['loss']:.4f}{scores}, "
        f"{result['seconds']:.0f} s.",
    )
