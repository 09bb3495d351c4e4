"""The optimizers that pretraining and fine-tuning BERT are known to work with."""

import re

import keras
from keras import ops

from keras_bert_suite.errors import check_choice, check_positive_int
from keras_bert_suite.training.schedules import PerUpdate, build_schedule

__all__ = ["Lamb", "AdamW", "build_optimizer"]

#: Biases and norms: pulling them towards 0 only hurts. Keras matches this with `gamma` on JAX and PyTorch, with
#: `embeddings/norm/gamma:0` on TensorFlow and `embeddings/norm/gamma/replica_1:0` under its strategies.
UNDECAYED = (r"(^|/)(bias|gamma|beta)(/replica_\d+)?(:\d+)?$",)

#: The parts of an encoder that a variable's path names.
PART = re.compile(r"(?:^|/)(?:embeddings|block_(\d+))/")


def build_optimizer(
    learning_rate,
    total_steps=None,
    warmup_ratio=0.1,
    weight_decay=0.01,
    clip_norm=1.0,
    *,
    name="adamw",
    schedule="linear",
    layer_decay=1.0,
    accumulation_steps=1,
    ema_momentum=None,
):
    """Build AdamW or LAMB with warm-up and decay, clipped, and no weight decay on biases and norms.

    Args:
        learning_rate: float. The peak.
        total_steps: optional int. Optimizer updates of the whole training;
            without it the learning rate is constant.
        warmup_ratio: float in [0, 1]. Share of the updates spent rising. Defaults to 0.1.
        weight_decay: float. Decoupled, per update times the learning rate. Defaults to 0.01.
        clip_norm: optional float. Bound on the norm of all gradients together,
            averaged over the batches of an update. Defaults to 1.0.
        name: str, `"adamw"` or `"lamb"`, the latter for batches of thousands.
        schedule: str: `"linear"`, `"cosine"` or `"constant"`, after the warm-up.
        layer_decay: float in (0, 1]. What the learning rate of a block is
            multiplied with for the block below it: 1 at the head, `layer_decay`
            at the highest block. Defaults to 1.0.
        accumulation_steps: int. Batches whose gradients are averaged for one
            update. Those left over when training ends are not used. Above 1,
            Keras cannot train under a `tf.distribute` strategy. Defaults to 1.
        ema_momentum: optional float in [0, 1), e.g. 0.999. At the end of
            `fit` the weights become their exponential moving average over the
            updates: with a momentum of `t / (t + 9)` after `t` of them, while that is less.
    Returns:
        `AdamW` or `Lamb`.
    Example:
    >>> optimizer = build_optimizer(2e-5, total_steps=100, schedule="cosine", layer_decay=0.9)
    >>> type(optimizer).__name__, float(optimizer.learning_rate)
    ('AdamW', 0.0)

    Source: Devlin et al. 2018, appendix A.3; Loshchilov and Hutter 2019.
    """
    check_choice("build_optimizer", "name", name, ("adamw", "lamb"))
    check_positive_int("build_optimizer", accumulation_steps=accumulation_steps)
    rate = learning_rate
    if total_steps is not None:
        rate = build_schedule(schedule, learning_rate, total_steps, warmup_steps=int(total_steps * warmup_ratio))
        if accumulation_steps > 1 and not isinstance(rate, float):
            rate = PerUpdate(rate, accumulation_steps)
    options = {"learning_rate": rate, "weight_decay": weight_decay, "global_clipnorm": clip_norm}
    if accumulation_steps > 1:
        options["gradient_accumulation_steps"] = accumulation_steps
    if ema_momentum is not None:
        # Keras moves the average with every batch: this much each time is `ema_momentum` an update.
        options |= {"use_ema": True, "ema_momentum": ema_momentum ** (1 / accumulation_steps)}
    if name == "lamb":
        return Lamb(layer_decay=layer_decay, **options)
    return AdamW(layer_decay=layer_decay, **options)


class _Layerwise:
    """What the two optimizers below share: a learning rate for each part of the encoder.

    A part's depth is how far it is below the head: 0 for all that is not in a
    block or the embeddings, 1 for the highest block, and so on down to the
    embeddings. Blocks that several layers share count once.

    Attributes:
        unfrozen: variable. Parts deeper than this have a learning rate of 0.
    """

    def __init__(self, *args, layer_decay=1.0, **kwargs):
        if not 0 < layer_decay <= 1:
            raise ValueError(
                f"{type(self).__name__}: layer_decay must be above 0 and at most 1. "
                f"Received: layer_decay={layer_decay}."
            )
        super().__init__(*args, **kwargs)
        self.layer_decay = layer_decay
        self.exclude_from_weight_decay(var_names=list(UNDECAYED))

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        parts = [PART.search(variable.path) for variable in variables]
        num_blocks = max((int(part[1]) + 1 for part in parts if part and part[1]), default=0)
        # By index of the variable.
        self._depths = [num_blocks - int(part[1] or -1) if part else 0 for part in parts]
        self.num_parts = num_blocks + 1
        self.unfrozen = self.add_variable((), keras.initializers.Constant(self.num_parts), name="unfrozen")

    def _rate(self, depth, learning_rate):
        return learning_rate * self.layer_decay**depth * ops.cast(self.unfrozen >= depth, "float32")

    def _clip_gradients(self, grads):
        """On PyTorch, scale the gradients where they lie: the copies that Keras makes take longer than the update."""
        if keras.backend.backend() != "torch" or not self.global_clipnorm:
            return super()._clip_gradients(grads)
        import torch

        with torch.no_grad():
            grads = [gradient.contiguous() for gradient in grads]  # an expanded one cannot be written
            norm = torch.nn.utils.get_total_norm(grads)
            scale = self.global_clipnorm / torch.clamp(norm, min=self.global_clipnorm)
            torch._foreach_mul_(grads, scale + (norm - norm))  # NaN where the norm is not finite
        return grads

    def _update_model_variables_moving_average(self, trainable_variables):
        """Average over the updates so far while they are few: else a short training ends where it began."""
        momentum, updates = self.ema_momentum, ops.cast(self.iterations, "float32")
        few = ops.power(updates / (updates + 9), 1 / (self.gradient_accumulation_steps or 1))
        self.ema_momentum = ops.minimum(few, momentum)
        super()._update_model_variables_moving_average(trainable_variables)
        self.ema_momentum = momentum

    def _apply_weight_decay(self, variables):
        """Leave it to the update: here Keras has one learning rate for all variables."""

    def get_config(self):
        return {**super().get_config(), "layer_decay": self.layer_decay}


#: On PyTorch, `AdamW(...)` makes an instance of a class that updates all variables at once.
_AdamW = type(keras.optimizers.AdamW.__new__(keras.optimizers.AdamW))


@keras.saving.register_keras_serializable(package="keras_bert_suite")
class AdamW(_Layerwise, _AdamW):
    """AdamW in one pass over the weights, whose learning rate can fall from the head down to the embeddings.

    The rate of the head (and pooler) is `learning_rate`, that of the highest
    block `learning_rate * layer_decay`, that of the embeddings `learning_rate *
    layer_decay ** (num_blocks + 1)`; weight decay scales with it. Biases and
    norms have no weight decay. Epsilon is added as in PyTorch and in the paper,
    where Keras adds it to a root that is not corrected for its bias.

    Args:
        epsilon: float. Defaults to 1e-8.
        layer_decay: float in (0, 1]. Defaults to 1.0.
        Others: as in `keras.optimizers.AdamW`, without `amsgrad`.

    Source: Loshchilov and Hutter 2019, algorithm 2; Clark et al. 2020 (ELECTRA),
    whose code squares the factor of the highest block; here as in Bao et al. 2022 (BEiT).
    """

    def __init__(self, learning_rate=0.001, *, epsilon=1e-8, layer_decay=1.0, **kwargs):
        super().__init__(learning_rate, epsilon=epsilon, layer_decay=layer_decay, **kwargs)
        if self.amsgrad:
            raise ValueError("AdamW: amsgrad must be False. Received: amsgrad=True. Use keras.optimizers.AdamW.")

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        momentum, velocity = self._momentums[index], self._velocities[index]
        rate = ops.cast(self._rate(self._depths[index], learning_rate), variable.dtype)
        decay = rate * self.weight_decay if self._use_weight_decay(variable) else None
        step = ops.cast(self.iterations + 1, variable.dtype)
        first, second = (ops.power(ops.cast(beta, variable.dtype), step) for beta in (self.beta_1, self.beta_2))
        epsilon = self.epsilon * ops.sqrt(1 - second)
        gradient = ops.cast(gradient, variable.dtype)
        if keras.backend.backend() == "tensorflow":
            _update_on_tensorflow(
                variable,
                momentum,
                velocity,
                gradient,
                rate,
                decay,
                (self.beta_1, self.beta_2),
                (first, second),
                epsilon,
            )
            return
        self.assign_add(momentum, ops.multiply(ops.subtract(gradient, momentum), 1 - self.beta_1))
        self.assign_add(velocity, ops.multiply(ops.subtract(ops.square(gradient), velocity), 1 - self.beta_2))
        change = ops.divide(
            ops.multiply(momentum, rate * ops.sqrt(1 - second) / (1 - first)), ops.add(ops.sqrt(velocity), epsilon)
        )
        self.assign_sub(variable, change if decay is None else ops.add(change, ops.multiply(variable, decay)))

    def _parallel_update_step(self, grads, variables, learning_rate):
        """Do the same on PyTorch, for all variables of one rate at once."""
        from torch.optim.adamw import adamw

        groups = {}
        for gradient, variable in zip(grads, variables, strict=True):
            index = self._get_variable_index(variable)
            gradient = ops.cast(gradient, variable.dtype)
            arrays = variable.value, gradient, self._momentums[index].value, self._velocities[index].value
            groups.setdefault((self._depths[index], self._use_weight_decay(variable)), []).append(arrays)
        for (depth, decayed), group in groups.items():
            values, gradients, momentums, velocities = map(list, zip(*group, strict=True))
            adamw(
                values,
                gradients,
                momentums,
                velocities,
                [],
                [ops.cast(self.iterations, "float32").clone() for _ in group],  # each is counted up in place
                fused=True,
                amsgrad=False,
                beta1=self.beta_1,
                beta2=self.beta_2,
                lr=self._rate(depth, learning_rate),
                weight_decay=self.weight_decay if decayed else 0.0,
                eps=self.epsilon,
                maximize=False,
            )


def _update_on_tensorflow(variable, momentum, velocity, gradient, rate, decay, betas, powers, epsilon):
    """One update by the kernel that TensorFlow has for it: many times faster than operation by operation."""
    import tensorflow as tf

    variable, momentum, velocity = (
        array.value if isinstance(array, keras.Variable) else array for array in (variable, momentum, velocity)
    )
    if decay is not None:
        variable.assign_sub(variable * decay)
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=momentum.handle,
        v=velocity.handle,
        beta1_power=powers[0],
        beta2_power=powers[1],
        lr=rate,
        beta1=betas[0],
        beta2=betas[1],
        epsilon=epsilon,
        grad=gradient,
    )


@keras.saving.register_keras_serializable(package="keras_bert_suite")
class Lamb(_Layerwise, keras.optimizers.Lamb):
    """LAMB: Adam whose step in each variable is as long as that variable is, times the learning rate.

    Unlike in `keras.optimizers.Lamb`, weight decay is a part of the step whose
    length is scaled, as in the paper. Biases and norms have no weight decay, and
    their steps are not scaled.

    Args:
        weight_decay: float. Defaults to 0.01.
        epsilon: float. Defaults to 1e-6.
        layer_decay: float in (0, 1], as in `AdamW`. Defaults to 1.0.
        Others: as in `keras.optimizers.Lamb`.

    Source: You et al. 2020, algorithm 2.
    """

    def __init__(self, learning_rate=0.001, *, weight_decay=0.01, epsilon=1e-6, layer_decay=1.0, **kwargs):
        super().__init__(learning_rate, weight_decay=weight_decay, epsilon=epsilon, layer_decay=layer_decay, **kwargs)

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        gradient = ops.cast(gradient, variable.dtype)
        step = ops.cast(self.iterations + 1, variable.dtype)
        momentum, velocity = self._momentums[index], self._velocities[index]
        self.assign_add(momentum, ops.multiply(ops.subtract(gradient, momentum), 1 - self.beta_1))
        self.assign_add(velocity, ops.multiply(ops.subtract(ops.square(gradient), velocity), 1 - self.beta_2))
        mean = ops.divide(momentum, 1 - ops.power(ops.cast(self.beta_1, variable.dtype), step))
        square = ops.divide(velocity, 1 - ops.power(ops.cast(self.beta_2, variable.dtype), step))
        update = ops.divide(mean, ops.add(ops.sqrt(square), self.epsilon))
        rate = ops.cast(self._rate(self._depths[index], learning_rate), variable.dtype)
        if self._use_weight_decay(variable):
            update = ops.add(update, ops.multiply(variable, self.weight_decay or 0.0))
            length, step_length = (ops.sqrt(ops.sum(ops.square(value))) for value in (variable, update))
            usable = ops.logical_and(length > 0, step_length > 0)
            rate = rate * ops.where(usable, length / ops.where(usable, step_length, 1.0), 1.0)
        self.assign_sub(variable, ops.multiply(update, rate))
