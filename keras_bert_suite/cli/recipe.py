"""The options of every command that trains: the fields of `training.Recipe`."""

from keras_bert_suite.cli.shared import positive_float, positive_int

__all__ = ["add_recipe", "recipe_from"]

#: Option -> (field of `training.Recipe`, what argparse is told of it).
OPTIONS = {
    "--learning-rate": ("learning_rate", positive_float, "X", "the peak (default: {peak} at width 768, by width)"),
    "--optimizer": ("optimizer", ("adamw", "lamb"), None, "default: adamw"),
    "--schedule": ("schedule", ("linear", "cosine", "constant"), None, "after the warm-up (default: linear)"),
    "--warmup-ratio": ("warmup_ratio", float, "X", "share of the steps spent rising (default: 0.1)"),
    "--weight-decay": ("weight_decay", float, "X", "default: 0.01, none on biases and norms"),
    "--clip-norm": ("clip_norm", positive_float, "X", "bound on the norm of all gradients (default: 1)"),
    "--layer-decay": ("layer_decay", float, "X", "learning rate of a block, as share of the one above (default: 1)"),
    "--accumulate": ("accumulation_steps", positive_int, "N", "batches an update (default: 1)"),
    "--ema": ("ema_momentum", float, "X", "end with the moving average of the weights, e.g. 0.999"),
    "--label-smoothing": ("label_smoothing", float, "X", "default: 0"),
    "--r-drop": ("r_drop", float, "X", "weight of the divergence of two passes under dropout (default: 0)"),
    "--freeze": ("frozen_blocks", int, "N", "keep the embeddings and the lowest N blocks as they are (default: 0)"),
    "--gradual-unfreezing": ("gradual_unfreezing", bool, None, "the head first, then a block more each epoch"),
    "--lora": ("lora_rank", positive_int, "RANK", "learn low-rank updates only, merged at the end"),
    "--patience": ("patience", int, "N", "stop after N epochs without a better dev score; the best weights stay"),
}


def add_recipe(parser, peak="5e-5"):
    """Add one option for every field of a recipe.

    Args:
        parser: `argparse.ArgumentParser`.
        peak: str. The default learning rate, in words.
    """
    group = parser.add_argument_group("how to train")
    for option, (field, kind, metavar, text) in OPTIONS.items():
        text = text.format(peak=peak)
        if kind is bool:
            group.add_argument(option, dest=field, action="store_const", const=True, help=text)
        elif isinstance(kind, tuple):
            group.add_argument(option, dest=field, choices=kind, help=text)
        else:
            group.add_argument(option, dest=field, type=kind, metavar=metavar, help=text)


def recipe_from(options):
    """Return the fields of a recipe that the command line gives."""
    found = {field: getattr(options, field) for field, *_ in OPTIONS.values()}
    return {field: value for field, value in found.items() if value is not None}
