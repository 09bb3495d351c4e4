"""What training shows of a model of sentence embeddings, batch by batch."""

import keras
from keras import ops

from keras_bert_suite.training.embedding_losses import cosine_pairs, ranking_scores

__all__ = ["CosinePearson", "InBatchAccuracy"]

register = keras.saving.register_keras_serializable(package="keras_bert_suite")

#: Sums that a correlation is computed from.
SUMS = ("count", "scores", "cosines", "scores_squared", "cosines_squared", "products")


@register
class InBatchAccuracy(keras.metrics.Mean):
    """Share of anchors to which their own positive is nearer than any other candidate of the batch.

    Args:
        as in `keras.metrics.Mean`.
    Call arguments:
        y_true, y_pred, sample_weight: as in `MultipleNegativesRankingLoss`.
    """

    def __init__(self, name="accuracy", **kwargs):
        super().__init__(name=name, **kwargs)

    def update_state(self, y_true, y_pred, sample_weight=None):
        scores, own = ranking_scores(ops.cast(y_true, "float32"), ops.cast(y_pred, "float32"))
        right = ops.max(ops.where(own, scores, -2.0), axis=-1) >= ops.max(scores, axis=-1)
        return super().update_state(ops.cast(right, "float32"), sample_weight=sample_weight)


@register
class CosinePearson(keras.metrics.Metric):
    """Pearson correlation, over all batches of an epoch, of the cosines of pairs with their scores.

    Args:
        as in `keras.metrics.Metric`.
    Call arguments:
        y_true, y_pred, sample_weight: as in `CoSENTLoss`.
    Example:
    >>> metric = CosinePearson()
    >>> vectors = np.array([[[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [3.0, 4.0]]], "float32")
    >>> metric.update_state(np.array([5.0, 0.0, 3.0]), vectors)
    >>> round(float(metric.result()), 4)
    1.0
    """

    def __init__(self, name="pearson", **kwargs):
        super().__init__(name=name, **kwargs)
        self.sums = {part: self.add_variable((), "zeros", name=part) for part in SUMS}

    def update_state(self, y_true, y_pred, sample_weight=None):
        cosines = cosine_pairs(ops.cast(y_pred, "float32"))
        scores = ops.reshape(ops.cast(y_true, "float32"), (-1,))
        weights = ops.ones_like(scores)
        if sample_weight is not None:
            weights = ops.reshape(ops.cast(sample_weight, "float32"), (-1,))
        ones = ops.ones_like(scores)
        parts = (ones, scores, cosines, scores * scores, cosines * cosines, scores * cosines)
        for name, part in zip(SUMS, parts, strict=True):
            self.sums[name].assign_add(ops.sum(weights * part))

    def result(self):
        count = ops.maximum(self.sums["count"], 1e-7)
        scores, cosines, scores_squared, cosines_squared, products = (self.sums[name] / count for name in SUMS[1:])
        spread = (scores_squared - scores * scores) * (cosines_squared - cosines * cosines)
        return (products - scores * cosines) * ops.rsqrt(ops.maximum(spread, 1e-12))
