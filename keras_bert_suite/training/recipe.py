"""`Recipe`: every choice of a training that is not the data, in one value."""

import contextlib
import dataclasses

from keras_bert_suite.errors import check_choice, check_positive_int, check_rate
from keras_bert_suite.models import encoder_config
from keras_bert_suite.training.freezing import GradualUnfreezing, encoder_layers, freeze
from keras_bert_suite.training.lora import add_lora, merge_lora
from keras_bert_suite.training.losses import ClassificationLoss, RDropLoss
from keras_bert_suite.training.optimizers import build_optimizer

__all__ = ["Recipe"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train. The defaults are those that BERT is usually fine-tuned with.

    Args:
        learning_rate: optional float. The peak. Defaults to 5e-5 for a
            `hidden_dim` of 768, and in inverse proportion for others: narrow
            models need larger steps.
        optimizer: str, `"adamw"` or `"lamb"`; or a `keras.optimizers.Optimizer`
            in the place of everything about steps that is said here.
        schedule: str: `"linear"`, `"cosine"` or `"constant"`, after the warm-up.
        warmup_ratio: float in [0, 1]. Share of the updates spent rising.
        weight_decay: float. Decoupled; biases and norms are exempt.
        clip_norm: optional float. Bound on the norm of all gradients together.
        layer_decay: float. What the learning rate of a block is multiplied
            with for the block below it.
        accumulation_steps: int. Batches an update: large batches in little memory.
        ema_momentum: optional float, e.g. 0.999: the weights at the end are
            the exponential moving average over the updates. Scores during
            the training are those of the weights themselves.
        label_smoothing: float in [0, 1).
        r_drop: float. Weight of the divergence between two passes of each
            example under different dropout; 0 makes one pass.
        frozen_blocks: int. The embeddings and so many of the lowest blocks keep their weights.
        gradual_unfreezing: bool. Whether to train the head alone in the first
            epoch and one block more, from the top, in each that follows.
        lora_rank: int. Rank of the updates that queries and values learn in
            the place of all weights; they are merged when training ends.
        patience: optional int. Epochs without a better score on the
            validation data before training stops. The best weights are restored.

    Source: Devlin et al. 2018, appendix A.3, for the defaults.
    """

    learning_rate: float | None = None
    optimizer: object = "adamw"
    schedule: str = "linear"
    warmup_ratio: float = 0.1
    weight_decay: float = 0.01
    clip_norm: float | None = 1.0
    layer_decay: float = 1.0
    accumulation_steps: int = 1
    ema_momentum: float | None = None
    label_smoothing: float = 0.0
    r_drop: float = 0.0
    frozen_blocks: int = 0
    gradual_unfreezing: bool = False
    lora_rank: int = 0
    patience: int | None = None

    def __post_init__(self):
        if isinstance(self.optimizer, str):
            check_choice("Recipe", "optimizer", self.optimizer, ("adamw", "lamb"))
        check_choice("Recipe", "schedule", self.schedule, ("linear", "cosine", "constant"))
        check_positive_int("Recipe", accumulation_steps=self.accumulation_steps)
        check_rate("Recipe", label_smoothing=self.label_smoothing)
        for name in ("warmup_ratio", "layer_decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"Recipe: {name} must be from 0 to 1. Received: {name}={getattr(self, name)}.")
        for name in ("learning_rate", "weight_decay", "clip_norm", "r_drop", "frozen_blocks", "lora_rank", "patience"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise ValueError(f"Recipe: {name} must be 0 or above. Received: {name}={value}.")
        if self.learning_rate == 0:
            raise ValueError("Recipe: learning_rate must be above 0. Received: learning_rate=0.")
        if self.ema_momentum is not None and self.patience is not None:
            raise ValueError(
                "Recipe: ema_momentum ends with the average over the training, patience with the weights of its best "
                "epoch. Leave out one of them."
            )
        if self.lora_rank and (self.gradual_unfreezing or self.frozen_blocks):
            raise ValueError("Recipe: lora_rank already freezes the encoder. Leave out what else freezes a part of it.")

    def peak(self, model):
        """Return the highest learning rate for `model`."""
        return self.learning_rate or 5e-5 * 768 / encoder_config(model).hidden_dim

    def build_optimizer(self, model, num_batches=None):
        """Build the optimizer for a training of `num_batches` batches in all; `None`: not known."""
        if not isinstance(self.optimizer, str):
            return self.optimizer
        if num_batches is not None and num_batches < self.accumulation_steps:
            raise ValueError(
                f"Recipe: accumulation_steps must be at most the {num_batches} batches of the training, or there is no "
                f"update. Received: accumulation_steps={self.accumulation_steps}."
            )
        return build_optimizer(
            self.peak(model),
            total_steps=None if num_batches is None else -(-num_batches // self.accumulation_steps),
            warmup_ratio=self.warmup_ratio,
            weight_decay=self.weight_decay,
            clip_norm=self.clip_norm,
            name=self.optimizer,
            schedule=self.schedule,
            layer_decay=self.layer_decay,
            accumulation_steps=self.accumulation_steps,
            ema_momentum=self.ema_momentum,
        )

    def build_classification_loss(self):
        """Build the cross-entropy over logits `(B, L)` and int labels `(B,)`."""
        if self.r_drop:
            return RDropLoss(self.r_drop, label_smoothing=self.label_smoothing)
        return ClassificationLoss(label_smoothing=self.label_smoothing)

    @contextlib.contextmanager
    def applied(self, model, seed=None):
        """Freeze parts of `model`, or add low-rank updates to it, inside the block; put it right at its end.

        Args:
            model: `keras.Model`. Compile it inside the block.
            seed: optional int. Governs new low-rank updates.
        """
        trainable = [(layer, layer.trainable) for layer in encoder_layers(model)]
        if self.lora_rank:
            add_lora(model, rank=self.lora_rank, seed=seed)
        elif self.frozen_blocks:
            freeze(model, self.frozen_blocks)
        try:
            yield
        finally:
            if self.lora_rank:
                merge_lora(model)
            for layer, value in trainable if self.frozen_blocks else ():
                layer.trainable = value

    def callbacks(self):
        """Return the callbacks that this recipe needs, as a list."""
        return [GradualUnfreezing()] if self.gradual_unfreezing else []

    def to_dict(self):
        """Return the values as JSON has them; of an optimizer object the name of its class."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if not isinstance(self.optimizer, str):
            values["optimizer"] = type(self.optimizer).__name__
        return values
