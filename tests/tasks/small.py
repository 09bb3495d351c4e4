"""A classifier small enough to train in a second, and data that it can learn.

`tests/cli` uses it too, so it names no backend.
"""

import numpy as np

import keras_bert_suite as kbs

__all__ = ["LABELS", "examples", "pair_examples", "small_classifier", "write_tsv"]

LABELS = ["cancel", "refund", "track"]
#: The one word that decides, of each label.
KEYWORDS = {"cancel": ("cancel", "stop"), "refund": ("refund", "money"), "track": ("where", "parcel")}
FILLER = ["the", "a", "please", "my", "order", "it", "is", "now", "and", "thanks", "i", "want", "to", "today", "soon"]
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
VOCABULARY = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *dict.fromkeys([*(word for words in KEYWORDS.values() for word in words), *FILLER, *".,!?", *LETTERS]),
    *(f"##{letter}" for letter in LETTERS),
]
CONFIG = kbs.EncoderConfig(
    vocabulary_size=len(VOCABULARY),
    num_layers=2,
    hidden_dim=24,
    num_heads=3,
    intermediate_dim=40,
    max_length=40,
    initializer_range=0.1,
)


def small_classifier(seed=1, labels=None, max_length=32, pair=False, vocabulary=VOCABULARY, **changes):
    """A `TextClassifier` with random weights."""
    import keras

    keras.utils.set_random_seed(seed)
    encoder = kbs.models.build_encoder(CONFIG.replace(**changes))
    return kbs.TextClassifier(
        encoder, kbs.WordPieceTokenizer(vocabulary), labels=labels, max_length=max_length, pair=pair
    )


def examples(count, seed=0):
    """`(texts, labels)` of 2 to 16 words, one of which decides."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for row in range(count):
        label = LABELS[row % len(LABELS)]
        words = rng.choice(FILLER, size=rng.integers(1, 16)).tolist()
        words.insert(int(rng.integers(len(words) + 1)), str(rng.choice(KEYWORDS[label])))
        texts.append(" ".join(words))
        labels.append(label)
    return texts, labels


def pair_examples(count, seed=0):
    """`(pairs, labels)`: are both texts of one label?"""
    (firsts, labels), (seconds, others) = examples(count, seed), examples(count, seed + 1)
    turned = [row // len(LABELS) % 2 for row in range(count)]
    pairs = [(first, seconds[row - turned[row]]) for row, first in enumerate(firsts)]
    return pairs, ["same" if label == others[row - turned[row]] else "other" for row, label in enumerate(labels)]


def write_tsv(path, texts, labels):
    """Write examples, or pairs of texts, and return the path."""
    paired = isinstance(texts[0], tuple)
    rows = [("text", "text_b", "label") if paired else ("text", "label")]
    rows += [(*(text if paired else (text,)), label) for text, label in zip(texts, labels, strict=True)]
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    return path
