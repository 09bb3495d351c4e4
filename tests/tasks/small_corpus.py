"""Corpora of a few hundred short rows, and models small enough to pretrain in a second."""

import hashlib

import numpy as np

import keras_bert_suite as kbs
from keras_bert_suite.data.corpus.manifest import write_manifest
from keras_bert_suite.data.corpus.shard import Shard, write_shard
from keras_bert_suite.text.ragged import row_offsets

__all__ = ["CONFIG", "ELECTRA", "TOKENIZER", "write_corpus"]

WORDS = [f"w{number}" for number in range(30)] + [f"##p{number}" for number in range(8)]
TOKENIZER = kbs.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", *WORDS])
CLS, SEP = TOKENIZER.cls_token_id, TOKENIZER.sep_token_id
#: Without dropout, so that backends and runs can be compared.
CONFIG = kbs.EncoderConfig(
    vocabulary_size=TOKENIZER.vocab_size,
    hidden_dim=12,
    num_layers=2,
    num_heads=3,
    intermediate_dim=20,
    max_length=32,
    dropout_rate=0.0,
    attention_dropout_rate=0.0,
    initializer_range=0.2,
)
ELECTRA = kbs.config.FAMILIES["electra"].replace(
    vocabulary_size=TOKENIZER.vocab_size,
    hidden_dim=12,
    num_layers=2,
    num_heads=3,
    intermediate_dim=20,
    max_length=32,
    embedding_dim=8,
    dropout_rate=0.0,
    attention_dropout_rate=0.0,
    initializer_range=0.2,
)


def write_corpus(directory, kind="next_sentence", rows=90, shards=3, max_length=16, seed=0, static=False, **manifest):
    """Write a corpus in which words follow one another in order, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    TOKENIZER.save_pretrained(directory)
    records = []
    for number, part in enumerate(np.array_split(np.arange(rows), shards) if rows else ()):
        texts, seconds, labels = [], [], []
        for _ in part:
            length = int(rng.integers(6, max_length - 2))
            words = 6 + (rng.integers(38) + np.arange(length)) % 38
            label = int(rng.integers(2))
            half = length // 2
            second = words[half:] if label == 0 else 6 + rng.integers(0, 38, length - half)
            if kind == "documents":
                texts.append([CLS, *words, SEP])
                seconds.append(len(texts[-1]))
            else:
                texts.append([CLS, *words[:half], SEP, *second, SEP])
                seconds.append(half + 2)
                labels.append(label)
        flat, offsets = np.concatenate(texts).astype("uint16"), row_offsets([len(text) for text in texts])
        masks = {}
        if static:
            places = offsets[:-1] + 2
            masks = {"masked_positions": places.astype("int32"), "masked_ids": flat[places]}
            flat[places] = TOKENIZER.mask_token_id
        shard = Shard(
            flat,
            offsets,
            np.array(seconds, "int32"),
            np.array(labels, "uint8") if labels else None,
            **masks,
        )
        records.append(write_shard(directory / f"shard-{number:05}.safetensors", shard))
    digest = hashlib.sha256((directory / "tokenizer.json").read_bytes()).hexdigest()
    values = {"kind": kind, "max_length": max_length, "tokenizer": {"sha256": digest}, **manifest}
    write_manifest(directory, values, records)
    return directory
