"""Padded rows as rows that hold several sequences, laid out by hand."""

import numpy as np

__all__ = ["pack", "unpack"]


def pack(inputs, layout, length=17, places=4):
    """Lay out rows of a padded batch.

    Args:
        inputs: dict of int32 `(B, T)`, padding last.
        layout: list of lists of rows of `inputs`: those that share a row.
    Returns:
        dict as `build_packed` takes it.
    """
    padding = inputs["token_ids"][inputs["padding_mask"] == 0].max(initial=0)
    shape = (len(layout), length)
    packed = {name: np.zeros(shape, "int32") for name in ("segment_ids", "sequence_ids", "position_ids")}
    packed["token_ids"] = np.full(shape, padding, "int32")
    packed["first_positions"] = np.zeros((len(layout), places), "int32")
    for row, sequences in enumerate(layout):
        start = 0
        for place, sequence in enumerate(sequences):
            tokens = inputs["padding_mask"][sequence].sum()
            here = slice(start, start + tokens)
            for name in ("token_ids", "segment_ids"):
                packed[name][row, here] = inputs[name][sequence, :tokens]
            packed["sequence_ids"][row, here] = place + 1
            packed["position_ids"][row, here] = np.arange(tokens)
            packed["first_positions"][row, place] = start
            start += tokens
    return packed


def unpack(outputs, layout):
    """The outputs `(B, P, ...)` of packed sequences in the order that they had, `(N, ...)`."""
    found = {
        sequence: outputs[row, place]
        for row, sequences in enumerate(layout)
        for place, sequence in enumerate(sequences)
    }
    return np.stack([found[sequence] for sequence in sorted(found)])
