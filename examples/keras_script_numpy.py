"""An ordinary Keras script on NumPy arrays: the model is a plain `keras.Model`.

All texts are padded to one length. That is the simplest way, and the slowest:
see keras_script_pydataset.py for batches of like length.

    python examples/keras_script_numpy.py
"""

import argparse
from pathlib import Path

import keras

import keras_bert_suite as kbs

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--model", default="all-MiniLM-L6-v2", help="directory or installed model")
parser.add_argument("--data", type=Path, default=Path(__file__).parent / "data", help="train.tsv, dev.tsv, test.tsv")
parser.add_argument("--epochs", type=int, default=6)
parser.add_argument("--max-length", type=int, default=48, help="tokens of each text")
arguments = parser.parse_args()

# Files to strings.
train, test = (list(kbs.data.read_examples(arguments.data / name)) for name in ("train.tsv", "test.tsv"))
labels = kbs.data.LabelMap.from_examples([row.label for row in train])

# Strings to arrays: {"token_ids", "segment_ids", "padding_mask"}, each int32 (N, T).
tokenizer = kbs.load_tokenizer(arguments.model)


def arrays(rows):
    inputs = tokenizer([row.text for row in rows], max_length=arguments.max_length, padding="max_length")
    return inputs, labels.encode([row.label for row in rows])


train_inputs, train_targets = arrays(train)
test_inputs, test_targets = arrays(test)

# Arrays to a trained model, as with any other.
encoder = kbs.load_encoder(arguments.model)
model = kbs.models.build_text_classifier(encoder, num_labels=len(labels))
model.compile(
    optimizer=keras.optimizers.AdamW(1e-4, weight_decay=0.01, global_clipnorm=1.0),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(train_inputs, train_targets, batch_size=32, epochs=arguments.epochs, validation_split=0.1)
print("test:", model.evaluate(test_inputs, test_targets, return_dict=True, verbose=0))

# The model gives logits.
questions = ["where is my parcel", "I was charged twice for one order!"]
probabilities = keras.ops.softmax(model.predict(tokenizer(questions), verbose=0))
for question, row in zip(questions, keras.ops.convert_to_numpy(probabilities), strict=True):
    print(f"{question!r}: {labels.names[row.argmax()]} ({row.max():.2f})")
