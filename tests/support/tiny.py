"""A classifier that trains in seconds: a vocabulary of two dozen words, and texts whose label is plain to see."""

import numpy as np

__all__ = ["WORDS", "tiny_classifier", "tiny_encoder", "tiny_texts", "tiny_tokenizer"]

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
GOOD = ["good", "great", "fine", "lovely"]
BAD = ["bad", "awful", "poor", "dreadful"]
FILLERS = ["the", "a", "food", "place", "was", "one", "not", "at", "all", "it", ",", "."]
WORDS = GOOD + BAD + FILLERS
LABELS = ["neg", "pos"]


def tiny_tokenizer():
    import keras_bert_suite as kbs

    return kbs.WordPieceTokenizer(SPECIALS + WORDS)


def tiny_encoder(dtype=None, **changes):
    """An encoder with new weights, large enough ones that outputs differ between texts."""
    import keras_bert_suite as kbs

    values = {
        "vocabulary_size": len(SPECIALS + WORDS),
        "hidden_dim": 12,
        "num_layers": 2,
        "num_heads": 3,
        "intermediate_dim": 20,
        "max_length": 32,
        "initializer_range": 0.2,
    }
    return kbs.models.build_encoder(kbs.EncoderConfig(**{**values, **changes}), dtype=dtype)


def tiny_classifier(labels=None, max_length=None, pair=False, dtype=None, **changes):
    import keras_bert_suite as kbs

    return kbs.TextClassifier(
        tiny_encoder(dtype, **changes), tiny_tokenizer(), labels=labels, max_length=max_length, pair=pair
    )


def tiny_texts(count, seed=0, longest=12):
    """Return texts of 1 to `longest` words and their labels, `"pos"` where one of the words is a good one."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for number in range(count):
        label = LABELS[number % 2]
        words = rng.choice(FILLERS, rng.integers(0, longest)).tolist()
        words.insert(rng.integers(0, len(words) + 1), str(rng.choice(GOOD if label == "pos" else BAD)))
        texts.append(" ".join(words))
        labels.append(label)
    return texts, labels
