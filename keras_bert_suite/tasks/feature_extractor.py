"""An encoder used as it is: vectors of texts, computed once and kept, under any Keras model."""

import hashlib
import json
from pathlib import Path

import keras
import numpy as np

from keras_bert_suite.checkpoints import load_encoder
from keras_bert_suite.errors import check_choice
from keras_bert_suite.files import replaced_directory
from keras_bert_suite.models import build_hidden_states, encoder_config
from keras_bert_suite.source import resolve_source
from keras_bert_suite.tasks.inference import predict_batches, progress_bar
from keras_bert_suite.tasks.inputs import encode_texts
from keras_bert_suite.tasks.pretrained import allowed_length, check_vocabulary
from keras_bert_suite.text import load_tokenizer
from keras_bert_suite.text.ragged import row_positions
from keras_bert_suite.training import FeatureDataset

__all__ = ["FeatureExtractor", "Features"]

#: What is kept: half the room of float32, and exact to three digits, as much as frozen features are worth.
STORED = ("float16", "float32")


class FeatureExtractor:
    """A frozen encoder that gives the vectors of one or several of its layers for each token.

    Args:
        encoder: `keras.Model` made by `build_encoder` or `load_encoder`.
        tokenizer: `text.Tokenizer`.
        layers: sequence of int, as in `models.build_hidden_states`: `(-1,)` the
            highest, `(-4, -3, -2, -1)` the last four. Defaults to the highest.
        max_length: optional int. Longer texts are cut, in tokens.
    Attributes:
        model: `keras.Model` from token arrays to `(B, T, K, D)`.
    Example:
    >>> import keras_bert_suite as kbs
    >>> tokenizer = kbs.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"])
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=7, num_layers=2, hidden_dim=12, num_heads=3, intermediate_dim=20, max_length=16)
    >>> extractor = FeatureExtractor(kbs.models.build_encoder(config), tokenizer, layers=(-2, -1))
    >>> features = extractor.extract(["good", "bad bad"])
    >>> inputs = extractor.inputs()
    >>> x = kbs.layers.LayerMix()(inputs["features"])
    >>> x = keras.layers.GRU(4)(x, mask=inputs["padding_mask"])
    >>> model = keras.Model(inputs, keras.layers.Dense(2)(x))
    >>> model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> history = model.fit(features.dataset([0, 1], batch_size=2), verbose=0)
    >>> whole = extractor.attach(model)  # token arrays in, what the model gives out
    >>> whole.output.shape
    (None, 2)

    Source: Devlin et al. 2018, section 5.3.
    """

    def __init__(self, encoder, tokenizer, layers=(-1,), max_length=None):
        config = encoder_config(encoder)
        check_vocabulary(tokenizer, config, "FeatureExtractor")
        self.layers = tuple(layers)
        self.tokenizer = tokenizer
        self.max_length = allowed_length("FeatureExtractor", tokenizer, config, max_length)
        self.model = build_hidden_states(encoder, self.layers)
        self.hidden_dim = config.hidden_dim

    @classmethod
    def from_pretrained(cls, source, layers=(-1,), *, max_length=None, dtype=None, revision=None):
        """Open the encoder and the tokenizer of a checkpoint; arguments as in the class and in `load_encoder`."""
        directory = resolve_source(source, revision)
        return cls(load_encoder(directory, dtype), load_tokenizer(directory), layers, max_length)

    def inputs(self):
        """Return new symbolic inputs for a model over features: `features` `(B, T, K, D)`, `padding_mask` `(B, T)`."""
        shape = (None, len(self.layers), self.hidden_dim)
        return {
            "features": keras.Input(shape, dtype="float32", name="features"),
            "padding_mask": keras.Input((None,), dtype="bool", name="padding_mask"),
        }

    def attach(self, model):
        """Build the whole: token arrays in, what a model over features gives out. The layers are shared.

        Args:
            model: `keras.Model` over `inputs()`.
        """
        inputs = dict(self.model.input)
        mask = keras.ops.cast(inputs["padding_mask"], "bool")
        outputs = model({"features": self.model.output, "padding_mask": mask})
        return keras.Model(inputs, outputs, name="with_encoder")

    def extract(self, texts, pairs=None, *, cache=None, dtype="float16", progress=False):
        """Compute the vectors of texts, or open those kept from before.

        Args:
            texts: list of str.
            pairs: optional list of str, the second texts.
            cache: optional path of a directory. Where the vectors are kept; the
                same texts with the same encoder are read from there, without
                being held in memory. Other contents are replaced.
            dtype: `"float16"` or `"float32"`. What is kept. Defaults to half precision.
            progress: bool. Whether to show a bar.
        Returns:
            `Features`.
        """
        check_choice("extract", "dtype", dtype, STORED)
        encoded = encode_texts(self.tokenizer, texts, pairs, self.max_length)
        shape = (len(encoded.token_ids), len(self.layers), self.hidden_dim)
        if cache is None:
            vectors = np.empty(shape, dtype)
            self._fill(vectors, encoded, progress)
            return Features(vectors, encoded, self.max_length)
        cache = Path(cache)
        identity = {"sha256": self._fingerprint(encoded), "dtype": dtype, "shape": list(shape)}
        if not _holds(cache, identity):
            with replaced_directory(cache, overwrite=_is_ours(cache)) as written:
                vectors = np.lib.format.open_memmap(written / "features.npy", "w+", dtype, shape)
                self._fill(vectors, encoded, progress)
                vectors.flush()
                del vectors
                (written / "features.json").write_text(json.dumps(identity, indent=2) + "\n", encoding="utf-8")
        return Features(np.load(cache / "features.npy", mmap_mode="r"), encoded, self.max_length)

    def _fill(self, vectors, encoded, progress):
        with progress_bar(len(encoded), "computing features", progress) as bar:
            for rows, outputs in predict_batches(self.model, encoded, self.max_length):
                lengths = encoded.lengths[rows]
                real = np.arange(outputs.shape[1]) < lengths[:, None]
                vectors[row_positions(encoded.offsets[rows], lengths)] = outputs[real]
                bar.update(len(rows))

    def _fingerprint(self, encoded):
        digest = hashlib.sha256(json.dumps([self.layers, self.max_length]).encode())
        for array in (encoded.token_ids, encoded.offsets, encoded.second_starts):
            digest.update(np.ascontiguousarray(array).tobytes())
        for weight in self.model.weights:
            digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)).tobytes())
        return digest.hexdigest()


class Features:
    """The vectors of some texts.

    Args:
        vectors: float array `(tokens, K, D)`, of all texts one after the other.
        encoded: `text.Ragged`, the tokens they are of.
        max_length: int. No text is longer, in tokens.
    """

    def __init__(self, vectors, encoded, max_length):
        self.vectors = vectors
        self.encoded = encoded
        self.max_length = max_length

    def __len__(self):
        return len(self.encoded)

    def __getitem__(self, text):
        """Return the vectors of one text, `(T, K, D)`."""
        text = range(len(self))[text]
        return self.vectors[self.encoded.offsets[text] : self.encoded.offsets[text + 1]]

    def dataset(self, targets, batch_size=32, shuffle=True, seed=0):
        """Return a `keras.utils.PyDataset` of features and targets, as `training.FeatureDataset`."""
        return FeatureDataset(
            self.vectors, self.encoded, targets, batch_size, self.max_length, shuffle=shuffle, seed=seed
        )


def _is_ours(cache):
    return (cache / "features.json").is_file()


def _holds(cache, identity):
    """Whether a cache has the very vectors asked for."""
    try:
        return json.loads((cache / "features.json").read_text(encoding="utf-8")) == identity
    except (OSError, ValueError):
        return False
