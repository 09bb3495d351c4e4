"""What every layer of this package does the same way."""

import keras

__all__ = ["SuiteLayer", "register"]

register = keras.saving.register_keras_serializable(package="keras_bert_suite")


class SuiteLayer(keras.layers.Layer):
    """A Keras layer whose `get_config` is read off the names in `config_names`.

    Each subclass keeps every `__init__` argument as an attribute of the same
    name, lists the names once, and states its output shape, so that building a
    graph never has to trace `call`.
    """

    config_names = ()

    def get_config(self):
        """Return the constructor's arguments as JSON-ready values."""
        return {**super().get_config(), **{name: getattr(self, name) for name in self.config_names}}


# The standard deviation of a standard normal distribution that is cut at two (scipy.stats.truncnorm.std(-2, 2)).
_CUT_AT_TWO = 0.87962566103423978


def truncated_normal(initializer_range, seed=None):
    """Return an initializer with the standard deviation `initializer_range`, as `transformers` draws new weights.

    Keras, like google-research/bert, names the deviation before the cut, which
    leaves 0.88 of it: a new head then learns visibly later.

    A new one each time, as Keras ties one instance to one seed.
    """
    return keras.initializers.TruncatedNormal(stddev=initializer_range / _CUT_AT_TWO, seed=seed)
