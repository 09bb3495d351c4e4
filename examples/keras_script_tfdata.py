"""An ordinary Keras script on `tf.data`, bucketed by length. It feeds any backend, not TensorFlow alone.

python examples/keras_script_tfdata.py
KERAS_BACKEND=torch python examples/keras_script_tfdata.py
"""

import argparse
from pathlib import Path

import keras
import tensorflow as tf

import keras_bert_suite as kbs

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--model", default="all-MiniLM-L6-v2", help="directory or installed model")
parser.add_argument("--data", type=Path, default=Path(__file__).parent / "data", help="train.tsv, dev.tsv, test.tsv")
parser.add_argument("--epochs", type=int, default=6)
parser.add_argument("--max-length", type=int, default=64, help="longer texts are cut, in tokens")
parser.add_argument("--batch-size", type=int, default=32)
arguments = parser.parse_args()

train, test = (list(kbs.data.read_examples(arguments.data / name)) for name in ("train.tsv", "test.tsv"))
labels = kbs.data.LabelMap.from_examples([row.label for row in train])

tokenizer = kbs.load_tokenizer(arguments.model)


def dataset(rows, shuffle):
    """Batches `(inputs, targets)`; each length from a short list, so that few programs are compiled."""
    encoded = tokenizer.encode([row.text for row in rows], max_length=arguments.max_length)
    token_ids = tf.RaggedTensor.from_row_splits(encoded.token_ids, encoded.offsets)
    examples = tf.data.Dataset.from_tensor_slices((token_ids, labels.encode([row.label for row in rows])))
    if shuffle:
        examples = examples.shuffle(len(rows), seed=0)
    ends = [length + 1 for length in (16, 32) if length < arguments.max_length] + [arguments.max_length + 1]
    batches = examples.map(with_masks).bucket_by_sequence_length(
        lambda inputs, target: tf.shape(inputs["token_ids"])[0],
        bucket_boundaries=ends,
        bucket_batch_sizes=[arguments.batch_size] * (len(ends) + 1),
        pad_to_bucket_boundary=True,
        padding_values=({"token_ids": tokenizer.pad_token_id, "segment_ids": 0, "padding_mask": 0}, None),
    )
    return batches.prefetch(tf.data.AUTOTUNE)


def with_masks(token_ids, target):
    ones = tf.ones_like(token_ids)
    return {"token_ids": token_ids, "segment_ids": ones - 1, "padding_mask": ones}, target


encoder = kbs.load_encoder(arguments.model)
model = kbs.models.build_text_classifier(encoder, num_labels=len(labels))
model.compile(
    optimizer=keras.optimizers.AdamW(1e-4, weight_decay=0.01, global_clipnorm=1.0),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
    # On TensorFlow, XLA would compile anew for each shape, which on a CPU does not pay.
    jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
)
model.fit(dataset(train, shuffle=True), epochs=arguments.epochs)
print("test:", model.evaluate(dataset(test, shuffle=False), return_dict=True, verbose=0))

questions = ["where is my parcel", "I was charged twice for one order!"]
best = model.predict(tokenizer(questions), verbose=0).argmax(axis=-1)
for question, index in zip(questions, best, strict=True):
    print(f"{question!r}: {labels.names[index]}")
