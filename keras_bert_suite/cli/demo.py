"""Fine-tune a real BERT on real requests, score it, export it, and print one table.

The data is a customer-service intent set, or your own folder with train.tsv,
dev.tsv and test.tsv (columns text and label).
"""

import json
import sys
import time
from pathlib import Path

from keras_bert_suite.cli.shared import add_seed, positive_int, print_result, start

EXAMPLE = """\
  kbs demo
  kbs demo --data my_data --output saved_models/mine
"""

SENTENCES = ("where on earth is my parcel", "I want my money back, it has been 2 weeks!!", "pls delete my acount")


def add_arguments(parser):
    parser.add_argument("--data", metavar="DIR", help="folder with train.tsv, dev.tsv and test.tsv")
    parser.add_argument("--model", default="all-MiniLM-L6-v2", metavar="DIR|NAME", help="default: all-MiniLM-L6-v2")
    parser.add_argument("--output", default="saved_models/demo", metavar="DIR", help="default: saved_models/demo")
    parser.add_argument("--epochs", type=positive_int, default=6, metavar="N", help="default: 6")
    add_seed(parser)


def run(options):
    data = Path(options.data or Path(__file__).parents[2] / "examples" / "data")
    files = {part: data / f"{part}.tsv" for part in ("train", "dev", "test")}
    start(*files.values())
    import keras

    from keras_bert_suite import TextClassifier

    def say(line):
        print(line, file=sys.stderr if options.json else sys.stdout, flush=True)

    began = time.perf_counter()
    say(f"Fine-tuning {options.model} on {files['train']} with Keras on {keras.backend.backend()}.")
    classifier = TextClassifier.from_pretrained(options.model)
    classifier.compile(learning_rate=3e-4)
    classifier.fit(
        files["train"],
        validation_data=files["dev"],
        epochs=options.epochs,
        batch_size=32,
        seed=options.seed,
        verbose=0 if options.json else 2,
    )
    output = Path(options.output)
    classifier.save_pretrained(output / "model", overwrite=True)
    scores = classifier.evaluate(files["test"])
    say(f"Test accuracy {scores['accuracy']:.4f} on {files['test']}.")
    for text in SENTENCES:
        answer = classifier.predict([text])[0]
        say(f"  {answer['label']:<22} {answer['score']:.3f}  {text}")

    say("Exporting, and scoring every artifact on the test set in its own runtime.")
    report = classifier.export(
        output / "export",
        formats=("saved_model", "litert", "litert-int8", "onnx"),
        examples=files["test"],
        overwrite=True,
        progress=not options.json,
    )
    seconds = time.perf_counter() - began
    values = {**json.loads(report.to_json()), "test": scores, "output": str(output), "seconds": round(seconds, 1)}
    size = _megabytes(output / "model" / "model.safetensors")
    print_result(
        options,
        values,
        f"\n{report.table()}\n\nThe Keras model itself: {size:.1f} MB, accuracy {scores['accuracy']:.2%}.\n"
        f"Everything is in {output}, after {seconds:.0f} s. Try:\n"
        f'  kbs predict {output / "model"} --text "my card was charged twice"\n',
    )
    return 0 if report.passed else 1


def _megabytes(path):
    return path.stat().st_size / 1e6
