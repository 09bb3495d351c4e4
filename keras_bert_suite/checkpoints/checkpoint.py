"""`Checkpoint`: a model in some file format, opened but not read, in this package's own terms.

Every format has one function that makes a `Checkpoint` of its files and one
that writes files of a `Checkpoint`. Between two formats nothing else is needed,
not even Keras; `transfer` carries one into a Keras model and back.
"""

import collections
import dataclasses
import math
from pathlib import Path

from keras_bert_suite.config import EncoderConfig

__all__ = ["HEADS", "HEAD_LAYERS", "MOST_LAYERS", "Checkpoint", "head_layers", "layer_of"]

#: An encoder with more layers than this is a mistake in its config, not a model.
MOST_LAYERS = 1000

#: Head -> its layers, the one that gives the logits last. Not every model with a head has all of them.
HEADS = {
    "masked_lm": ("masked_lm_transform", "masked_lm"),
    "next_sentence": ("next_sentence",),
    "sentence_order": ("sentence_order",),
    "replaced_token": ("replaced_token_transform", "replaced_token"),
    "text_classifier": ("head", "classifier"),
    "token_classifier": ("head", "crf", "classifier"),
    "multiple_choice": ("head", "classifier"),
    "question_answering": ("head", "answers"),
}


def head_layers(heads):
    """Return the set of the layers that these heads have."""
    return {layer for head in heads for layer in HEADS[head]}


def layer_of(path):
    """Return the layer that a variable of ours belongs to: the first part of its path."""
    return path.partition("/")[0]


#: The layers of all heads.
HEAD_LAYERS = head_layers(HEADS)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A model in some file format, opened but not read.

    Args:
        path: path of the directory that errors name.
        format: str, e.g. `"huggingface"`.
        config: `EncoderConfig`.
        weights: dict from the path of our variable to its `StoredArray`, in our
            layout: the encoder's and those of all heads.
        heads: tuple of str. The heads that the weights include.
        tied: bool. Whether a masked language model shares the token embeddings.
        labels: optional list of str: what the classifier's outputs mean.
        values: dict. What the source's own config said besides, for the way back.
        left_aside: tuple of str. Foreign names of weights that no part of this
            package has a place for: a head of someone's own.
    """

    path: Path
    format: str
    config: EncoderConfig
    weights: dict
    heads: tuple = ()
    tied: bool = True
    labels: list | None = None
    values: dict = dataclasses.field(default_factory=dict)
    left_aside: tuple = ()

    @property
    def dtype(self):
        """str. The type of most of the weights, counted in numbers."""
        counts = collections.Counter()
        for array in self.weights.values():
            counts[array.dtype.name] += math.prod(array.shape)
        return counts.most_common(1)[0][0] if counts else "float32"

    def policy(self, dtype):
        """Return the dtype to build with: `dtype`, or that of the weights where it is `"auto"`."""
        return self.dtype if dtype == "auto" else dtype

    def num_outputs(self, head):
        """Return how many outputs a head has that the weights include."""
        return self.weights[f"{HEADS[head][-1]}/bias"].shape[0]
