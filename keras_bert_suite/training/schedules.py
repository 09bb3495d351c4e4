"""Learning rates as functions of the step."""

import keras
from keras import ops

__all__ = ["LinearWarmupDecay"]


@keras.saving.register_keras_serializable(package="keras_bert_suite")
class LinearWarmupDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Rise linearly from 0 to the peak, then fall linearly to 0.

    Args:
        peak: float. The highest learning rate.
        total_steps: int. Steps until it is back at 0.
        warmup_steps: int. Steps until it is at the peak. Defaults to 0.
    Example:
    >>> schedule = LinearWarmupDecay(1.0, total_steps=10, warmup_steps=2)
    >>> [float(schedule(step)) for step in (0, 1, 2, 6, 10)]
    [0.0, 0.5, 1.0, 0.5, 0.0]

    Source: Devlin et al. 2018, appendix A.2.
    """

    def __init__(self, peak, total_steps, warmup_steps=0):
        if not 0 <= warmup_steps <= total_steps:
            raise ValueError(
                f"LinearWarmupDecay: warmup_steps must be from 0 to total_steps. "
                f"Received: warmup_steps={warmup_steps}, total_steps={total_steps}."
            )
        self.peak = peak
        self.total_steps = total_steps
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        step = ops.cast(step, "float32")
        rising = step / max(self.warmup_steps, 1)
        falling = (self.total_steps - step) / max(self.total_steps - self.warmup_steps, 1)
        return self.peak * ops.where(step < self.warmup_steps, rising, ops.maximum(falling, 0.0))

    def get_config(self):
        return {"peak": self.peak, "total_steps": self.total_steps, "warmup_steps": self.warmup_steps}
