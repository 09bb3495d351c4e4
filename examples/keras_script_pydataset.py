"""An ordinary Keras script on `keras.utils.PyDataset`: ours, which hardly pads, and one of your own.

python examples/keras_script_pydataset.py
python examples/keras_script_pydataset.py --own
"""

import argparse
from pathlib import Path

import keras
import numpy as np

import keras_bert_suite as kbs


class OwnDataset(keras.utils.PyDataset):
    """Batches in the order of the file, each padded to a multiple of 16 tokens."""

    def __init__(self, encoded, targets, batch_size, **kwargs):
        super().__init__(**kwargs)
        self.encoded, self.targets, self.batch_size = encoded, targets, batch_size

    def __len__(self):
        return -(-len(self.targets) // self.batch_size)

    def __getitem__(self, index):
        rows = slice(index * self.batch_size, (index + 1) * self.batch_size)
        return self.encoded.pad(rows, pad_to_multiple_of=16), self.targets[rows]


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--model", default="all-MiniLM-L6-v2", help="directory or installed model")
parser.add_argument("--data", type=Path, default=Path(__file__).parent / "data", help="train.tsv, dev.tsv, test.tsv")
parser.add_argument("--epochs", type=int, default=6)
parser.add_argument("--max-length", type=int, default=128, help="longer texts are cut, in tokens")
parser.add_argument("--own", action="store_true", help="use OwnDataset instead of BucketedDataset")
arguments = parser.parse_args()

train, test = (list(kbs.data.read_examples(arguments.data / name)) for name in ("train.tsv", "test.tsv"))
labels = kbs.data.LabelMap.from_examples([row.label for row in train])

# Texts are encoded once, unpadded; the data set pads each batch when it is asked for.
tokenizer = kbs.load_tokenizer(arguments.model)


def dataset(rows, shuffle):
    encoded = tokenizer.encode([row.text for row in rows], max_length=arguments.max_length)
    targets = np.array(labels.encode([row.label for row in rows]))
    if arguments.own:
        return OwnDataset(encoded, targets, batch_size=32)
    return kbs.training.BucketedDataset(encoded, targets, 32, arguments.max_length, shuffle=shuffle)


training = dataset(train, shuffle=True)
encoder = kbs.load_encoder(arguments.model)
model = kbs.models.build_text_classifier(encoder, num_labels=len(labels))
model.compile(
    optimizer=kbs.training.build_optimizer(1e-4, total_steps=arguments.epochs * len(training)),
    # BucketedDataset fills its last batch with rows of weight 0.
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight"),
    weighted_metrics=["accuracy"],
    # On TensorFlow, XLA would compile anew for each length, which on a CPU does not pay.
    jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
)
model.fit(training, epochs=arguments.epochs, shuffle=False)
print("test:", model.evaluate(dataset(test, shuffle=False), return_dict=True, verbose=0))

questions = ["where is my parcel", "I was charged twice for one order!"]
best = model.predict(tokenizer(questions), verbose=0).argmax(axis=-1)
for question, index in zip(questions, best, strict=True):
    print(f"{question!r}: {labels.names[index]}")
