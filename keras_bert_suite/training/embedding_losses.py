"""What models of sentence embeddings are trained to make small: losses over `(B, C, D)`, C vectors an example."""

import keras
from keras import ops

from keras_bert_suite.errors import check_choice

__all__ = [
    "CoSENTLoss",
    "CosineSimilarityLoss",
    "MultipleNegativesRankingLoss",
    "TripletLoss",
    "cosine_pairs",
    "ranking_scores",
]

register = keras.saving.register_keras_serializable(package="keras_bert_suite")

#: A score that leaves a candidate out of a softmax.
LEFT_OUT = -1e9

DISTANCES = ("cosine", "euclidean", "manhattan")


@register
class MultipleNegativesRankingLoss(keras.losses.Loss):
    """Cross-entropy of finding an anchor's own text among the texts of the batch.

    The first vector of an example is the anchor, the second its positive, and
    any others are hard negatives. All positives and negatives of the batch are
    candidates, so larger batches make a harder and better task. A text that
    occurs twice is one candidate, and no negative of an anchor that it is, or
    is the positive, of: rows that only fill up a batch change nothing.

    Args:
        scale: float. What the cosines are multiplied with: the inverse
            temperature. Defaults to 20.
        reduction: as in `keras.losses.Loss`. Defaults to the mean by sample weight.
        Others: as in `keras.losses.Loss`.
    Call arguments:
        y_true: int `(B, C)`, below 2**24. What text each is: equal texts have equal numbers.
        y_pred: float `(B, C, D)`, with C from 2.
        sample_weight: optional float `(B,)`.
    Example:
    >>> loss = MultipleNegativesRankingLoss(scale=1.0)
    >>> vectors = np.array([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]], "float32")
    >>> round(float(loss(np.array([[0, 1], [2, 3]]), vectors)), 4)  # log(e + 1) - 1
    0.3133

    Source: Henderson et al. 2017, section 4.
    """

    def __init__(
        self, scale=20.0, reduction="mean_with_sample_weight", name="multiple_negatives_ranking_loss", **kwargs
    ):
        super().__init__(name=name, reduction=reduction, **kwargs)
        self.scale = scale

    def call(self, y_true, y_pred):
        scores, own = ranking_scores(y_true, y_pred)
        scores = ops.maximum(scores * self.scale, LEFT_OUT)
        return ops.logsumexp(scores, axis=-1) - ops.sum(ops.where(own, scores, 0.0), axis=-1)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


@register
class CoSENTLoss(keras.losses.Loss):
    """How far pairs are from being in the order of their scores: the logarithm of 1 plus a term for each two pairs.

    The term is `exp(scale * (lower - higher))`, of the cosines of the pair with
    the lower and of the one with the higher score. Only the order of scores
    counts, so they may have any range.

    Args:
        scale: float. What the cosines are multiplied with. Defaults to 20.
        reduction: as in `keras.losses.Loss`; the value is one for the batch.
        Others: as in `keras.losses.Loss`.
    Call arguments:
        y_true: float `(B,)`: scores.
        y_pred: float `(B, 2, D)`.
        sample_weight: optional float `(B,)`. Two pairs count as much as the product of theirs.
    Example:
    >>> vectors = np.array([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]], "float32")
    >>> [round(float(CoSENTLoss(scale=1.0)(np.array(scores), vectors)), 4) for scores in ([0.2, 4.0], [4.0, 0.2])]
    [0.3133, 1.3133]

    Source: Huang et al. 2024, equation 8.
    """

    def __init__(self, scale=20.0, reduction="mean_with_sample_weight", name="cosent_loss", **kwargs):
        super().__init__(name=name, reduction=reduction, **kwargs)
        self.scale = scale

    def __call__(self, y_true, y_pred, sample_weight=None):
        # Keras weighs what `call` returned; here weights decide what is compared. They go beside the scores.
        y_true = ops.reshape(ops.convert_to_tensor(y_true, self.dtype), (-1,))
        weights = ops.ones_like(y_true)
        if sample_weight is not None:
            weights = ops.reshape(ops.convert_to_tensor(sample_weight, self.dtype), (-1,))
        return super().__call__(ops.stack([y_true, weights], axis=-1), y_pred, sample_weight)

    def call(self, y_true, y_pred):
        scores, weights = y_true[:, 0], y_true[:, 1]
        cosines = cosine_pairs(y_pred) * self.scale
        counts = ops.expand_dims(weights, 1) * weights  # (B, B)
        counted = ops.logical_and(ops.expand_dims(scores, 1) < scores, counts > 0)
        terms = ops.expand_dims(cosines, 1) - cosines + ops.log(ops.where(counted, counts, 1.0))
        terms = ops.reshape(ops.where(counted, terms, LEFT_OUT), (-1,))
        loss = ops.logsumexp(ops.concatenate([ops.zeros_like(terms[:1]), terms]), axis=0)
        return loss * ops.ones_like(scores)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


@register
class CosineSimilarityLoss(keras.losses.Loss):
    """Squared difference between the cosine of a pair and its score.

    Args:
        reduction: as in `keras.losses.Loss`. Defaults to the mean by sample weight.
        Others: as in `keras.losses.Loss`.
    Call arguments:
        y_true: float `(B,)` in [-1, 1]: the cosines that are wanted.
        y_pred: float `(B, 2, D)`.
        sample_weight: optional float `(B,)`.
    Example:
    >>> float(CosineSimilarityLoss()(np.array([0.5]), np.array([[[2.0, 0.0], [1.0, 0.0]]], "float32")))
    0.25

    Source: Reimers and Gurevych 2019, section 3.
    """

    def __init__(self, reduction="mean_with_sample_weight", name="cosine_similarity_loss", **kwargs):
        super().__init__(name=name, reduction=reduction, **kwargs)

    def call(self, y_true, y_pred):
        return ops.square(cosine_pairs(y_pred) - ops.reshape(y_true, (-1,)))


@register
class TripletLoss(keras.losses.Loss):
    """How much a negative is nearer to the anchor than the positive and a margin are; 0 where it is not.

    Args:
        margin: float. Defaults to 0.5, which suits cosines.
        distance: str: `"cosine"` (1 minus it), `"euclidean"` or `"manhattan"`. Defaults to `"cosine"`.
        reduction: as in `keras.losses.Loss`. Defaults to the mean by sample weight.
        Others: as in `keras.losses.Loss`.
    Call arguments:
        y_true: anything `(B, ...)`; it is not looked at.
        y_pred: float `(B, 3, D)`: anchor, positive, negative.
        sample_weight: optional float `(B,)`.
    Example:
    >>> vectors = np.array([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]], "float32")
    >>> float(TripletLoss()(np.zeros(2), vectors))
    0.75

    Source: Schroff et al. 2015, section 3.1.
    """

    def __init__(
        self, margin=0.5, distance="cosine", reduction="mean_with_sample_weight", name="triplet_loss", **kwargs
    ):
        check_choice("TripletLoss", "distance", distance, DISTANCES)
        super().__init__(name=name, reduction=reduction, **kwargs)
        self.margin = margin
        self.distance = distance

    def call(self, y_true, y_pred):
        anchors, positives, negatives = y_pred[:, 0], y_pred[:, 1], y_pred[:, 2]
        return ops.relu(self._between(anchors, positives) - self._between(anchors, negatives) + self.margin)

    def _between(self, first, second):
        if self.distance == "cosine":
            return 1.0 - ops.sum(_unit(first) * _unit(second), axis=-1)
        if self.distance == "manhattan":
            return ops.sum(ops.abs(first - second), axis=-1)
        return ops.sqrt(ops.maximum(ops.sum(ops.square(first - second), axis=-1), 1e-12))

    def get_config(self):
        return {**super().get_config(), "margin": self.margin, "distance": self.distance}


def cosine_pairs(vectors):
    """Return the cosine of the first two vectors of each example: `(B, C, D)` to `(B,)`."""
    return ops.sum(_unit(vectors[:, 0]) * _unit(vectors[:, 1]), axis=-1)


def ranking_scores(text_ids, vectors):
    """Compare each anchor with the candidates of its batch.

    Args:
        text_ids: `(B, C)`. What text each vector is of.
        vectors: float `(B, C, D)`.
    Returns:
        `(scores, own)`: float `(B, (C - 1) * B)`, the cosines, `LEFT_OUT`
        where a candidate is none for this anchor; and bool of the same shape,
        true for the anchor's own positive.
    """
    units = _unit(vectors)
    candidates = ops.reshape(ops.transpose(units[:, 1:], (1, 0, 2)), (-1, vectors.shape[-1]))  # positives come first
    ids = ops.reshape(ops.transpose(text_ids[:, 1:]), (-1,))
    scores = ops.matmul(units[:, 0], ops.transpose(candidates))

    places = ops.arange(ops.shape(ids)[0], dtype="int32")
    own = ops.equal(ops.expand_dims(places[: ops.shape(units)[0]], 1), places)
    equal_before = ops.logical_and(ops.equal(ops.expand_dims(ids, 1), ids), ops.expand_dims(places, 1) > places)
    repeated = ops.any(equal_before, axis=1)
    is_known = ops.logical_or(ops.equal(text_ids[:, :1], ids), ops.equal(text_ids[:, 1:2], ids))
    left_out = ops.logical_and(ops.logical_or(repeated, is_known), ops.logical_not(own))
    return ops.where(left_out, LEFT_OUT, scores), own


def _unit(vectors):
    return vectors * ops.rsqrt(ops.maximum(ops.sum(ops.square(vectors), axis=-1, keepdims=True), 1e-24))
