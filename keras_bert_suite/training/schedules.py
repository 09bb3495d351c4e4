"""Learning rates as functions of the step."""

import keras
from keras import ops

from keras_bert_suite.errors import check_choice, check_positive_int

__all__ = ["LinearWarmupDecay", "PerUpdate", "build_schedule"]

SCHEDULES = ("linear", "cosine", "constant")


def build_schedule(name, peak, total_steps, warmup_steps=0):
    """Build a schedule that rises linearly from 0 to the peak and then goes on as its name says.

    Args:
        name: str. `"linear"` falls to 0, `"cosine"` falls to 0 along half a
            cosine, `"constant"` stays at the peak.
        peak: float. The highest learning rate.
        total_steps: int. Steps until it is back at 0.
        warmup_steps: int. Steps until it is at the peak. Defaults to 0.
    Returns:
        `keras.optimizers.schedules.LearningRateSchedule`; float, where the rate never changes.
    Example:
    >>> schedule = build_schedule("cosine", 1.0, total_steps=10, warmup_steps=2)
    >>> [round(float(schedule(step)), 6) for step in (0, 1, 2, 6, 10)]
    [0.0, 0.5, 1.0, 0.5, 0.0]

    Source: Devlin et al. 2018, appendix A.2; Loshchilov and Hutter 2017 for the cosine.
    """
    check_choice("build_schedule", "name", name, SCHEDULES)
    linear = LinearWarmupDecay(peak, total_steps, warmup_steps)  # which checks the steps
    if name == "linear":
        return linear
    if name == "constant" and not warmup_steps:
        return float(peak)
    falling_steps = max(total_steps - warmup_steps, 1)
    end = 1.0 if name == "constant" else 0.0  # as a share of the peak
    if not warmup_steps:
        return keras.optimizers.schedules.CosineDecay(float(peak), falling_steps, alpha=end)
    return keras.optimizers.schedules.CosineDecay(
        0.0, falling_steps, alpha=end, warmup_target=float(peak), warmup_steps=warmup_steps
    )


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


@keras.saving.register_keras_serializable(package="keras_bert_suite")
class PerUpdate(keras.optimizers.schedules.LearningRateSchedule):
    """Follow a schedule by optimizer updates where each takes several batches.

    An optimizer with `gradient_accumulation_steps` gives its schedule the
    number of batches, not of updates.

    Args:
        schedule: `keras.optimizers.schedules.LearningRateSchedule` over updates.
        accumulation_steps: int. Batches an update.
    Example:
    >>> schedule = PerUpdate(LinearWarmupDecay(1.0, total_steps=2), accumulation_steps=3)
    >>> [float(schedule(batch)) for batch in range(7)]
    [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.0]
    """

    def __init__(self, schedule, accumulation_steps):
        check_positive_int("PerUpdate", accumulation_steps=accumulation_steps)
        self.schedule = schedule
        self.accumulation_steps = accumulation_steps

    def __call__(self, step):
        return self.schedule(ops.floor_divide(step, self.accumulation_steps))

    def get_config(self):
        schedule = keras.optimizers.schedules.serialize(self.schedule)
        return {"schedule": schedule, "accumulation_steps": self.accumulation_steps}

    @classmethod
    def from_config(cls, config):
        return cls(keras.optimizers.schedules.deserialize(config["schedule"]), config["accumulation_steps"])
