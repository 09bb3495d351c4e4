"""Fine-tune a text classifier the short way: files and strings in, labels out.

python examples/finetune_classifier.py --output my_model
KERAS_BACKEND=jax python examples/finetune_classifier.py --data folder/with/tsv/files
"""

import argparse
from pathlib import Path

import keras_bert_suite as kbs

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--model", default="all-MiniLM-L6-v2", help="directory or installed model")
parser.add_argument("--data", type=Path, default=Path(__file__).parent / "data", help="train.tsv, dev.tsv, test.tsv")
parser.add_argument("--epochs", type=int, default=6)
parser.add_argument("--output", help="directory for the trained model")
arguments = parser.parse_args()

# The labels are those that the training file has.
classifier = kbs.TextClassifier.from_pretrained(arguments.model, replace_head=True)
classifier.compile()  # AdamW, linear warm-up and decay, gradient clipping
classifier.fit(
    arguments.data / "train.tsv", validation_data=arguments.data / "dev.tsv", epochs=arguments.epochs, seed=0
)
print("test:", classifier.evaluate(arguments.data / "test.tsv"))

questions = ["where is my parcel", "I was charged twice for one order!"]
for question, answer in zip(questions, classifier.predict(questions), strict=True):
    print(f"{question!r}: {answer['label']} ({answer['score']:.2f})")

if arguments.output:
    classifier.save_pretrained(arguments.output)  # transformers opens it too
    print("saved in", arguments.output)
