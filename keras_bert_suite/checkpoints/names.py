"""Tables of names: which of our weights is which foreign weight, in both directions.

A table is a text of two columns: the path of one of our layers, or of one
weight, and its name elsewhere. `{i}` runs over the blocks. `[0/3]` is the first
third of the rows of a foreign matrix that holds three of ours.
"""

import dataclasses
import re

__all__ = ["WeightName", "parse_table"]

#: The weights of each kind of layer: name here, name in a Hugging Face file, and whether that one is transposed.
HUGGING_FACE_LEAVES = {
    "dense": (("kernel", ".weight", True), ("bias", ".bias", False)),
    "norm": (("gamma", ".weight", False), ("beta", ".bias", False)),
    "embedding": (("embeddings", ".weight", False),),
}

TABLES = ("embeddings/token", "embeddings/segment", "embeddings/position")
#: Ends of the paths of single weights, which a table names in full.
WEIGHTS = ("kernel", "bias", "transitions", "start_transitions", "end_transitions")
SLICE = re.compile(r"\[(\d)/(\d)\]$")


@dataclasses.dataclass(frozen=True)
class WeightName:
    """One weight under its names here and there.

    Args:
        ours: str. The path of the Keras variable.
        theirs: str. Its name in the foreign format.
        transposed: bool. Whether the foreign matrix is `(out, in)`.
        part: int. Which of `parts` equal shares of the foreign array's first axis it is.
        parts: int. How many of our weights the foreign array holds.
    """

    ours: str
    theirs: str
    transposed: bool = False
    part: int = 0
    parts: int = 1


def parse_table(text, num_blocks, leaves=HUGGING_FACE_LEAVES):
    """List every weight that a table names.

    Args:
        text: str. The table.
        num_blocks: int. How many blocks the encoder has.
        leaves: dict from `"dense"`, `"norm"` and `"embedding"` to
            `(ours, theirs, transposed)` of each weight of such a layer.
    Returns:
        list of `WeightName`.
    Example:
    >>> from keras_bert_suite.checkpoints.names import parse_table
    >>> [name.theirs for name in parse_table("block_{i}/output_norm  layer.{i}.norm", num_blocks=1)]
    ['layer.0.norm.weight', 'layer.0.norm.bias']
    """
    names = []
    for line in filter(None, map(str.strip, text.splitlines())):
        ours, theirs = line.split()
        for index in range(num_blocks if "{i}" in ours else 1):
            names += _of_line(ours.replace("{i}", str(index)), theirs.replace("{i}", str(index)), leaves)
    return names


def _of_line(ours, theirs, leaves):
    sliced = SLICE.search(theirs)
    part, parts = map(int, sliced.groups()) if sliced else (0, 1)
    theirs = SLICE.sub("", theirs)
    leaf = ours.rpartition("/")[2]
    if leaf in WEIGHTS:
        return [WeightName(ours, theirs, transposed=leaf == "kernel")]
    return [
        WeightName(f"{ours}/{name}", f"{theirs}{suffix}", transposed, part, parts)
        for name, suffix, transposed in leaves[_kind(ours)]
    ]


def _kind(layer):
    """Tell a layer's kind by its path: `"embedding"`, `"norm"` or `"dense"`."""
    if layer in TABLES:
        return "embedding"
    return "norm" if layer.endswith("norm") else "dense"
