"""The optimizer that fine-tuning BERT is known to work with."""

import keras

from keras_bert_suite.training.schedules import LinearWarmupDecay

__all__ = ["build_optimizer"]

#: Biases and norms: pulling them towards 0 only hurts. Keras matches this with `gamma` on JAX and PyTorch, with
#: `embeddings/norm/gamma:0` on TensorFlow and `embeddings/norm/gamma/replica_1:0` under its strategies.
UNDECAYED = (r"(^|/)(bias|gamma|beta)(/replica_\d+)?(:\d+)?$",)


def build_optimizer(learning_rate, total_steps=None, warmup_ratio=0.1, weight_decay=0.01, clip_norm=1.0):
    """Build AdamW with warm-up and linear decay, clipped, and no decay on biases and norms.

    Args:
        learning_rate: float. The peak.
        total_steps: optional int. Optimizer updates of the whole training;
            without it the learning rate is constant.
        warmup_ratio: float in [0, 1]. Share of the steps spent rising. Defaults to 0.1.
        weight_decay: float. Decoupled, per step times the learning rate. Defaults to 0.01.
        clip_norm: optional float. Bound on the norm of all gradients together. Defaults to 1.0.
    Returns:
        `keras.optimizers.AdamW`.

    Source: Devlin et al. 2018, appendix A.3; Loshchilov and Hutter 2019.
    """
    rate = learning_rate
    if total_steps is not None:
        rate = LinearWarmupDecay(learning_rate, total_steps, warmup_steps=int(total_steps * warmup_ratio))
    optimizer = keras.optimizers.AdamW(
        learning_rate=rate, weight_decay=weight_decay, epsilon=1e-8, global_clipnorm=clip_norm
    )
    optimizer.exclude_from_weight_decay(var_names=list(UNDECAYED))
    return optimizer
