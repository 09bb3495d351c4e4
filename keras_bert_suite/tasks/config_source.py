"""The shape of a new encoder, however it is given."""

import json
from pathlib import Path

from keras_bert_suite.checkpoints.families import FAMILIES
from keras_bert_suite.checkpoints.hugging_face import config_from_json
from keras_bert_suite.config import PRESETS, EncoderConfig
from keras_bert_suite.errors import DataError

__all__ = ["read_encoder_config"]


def read_encoder_config(source):
    """Return the `EncoderConfig` that is meant.

    Args:
        source: `EncoderConfig`; the name of one in `config.PRESETS`, e.g.
            `"bert-mini"`; or the path of a config.json, or of a directory that has
            one, in the Hugging Face form or with the values of `EncoderConfig`.
    Raises:
        DataError: if there is no such preset or file, or it describes no encoder.
    Example:
    >>> read_encoder_config("bert-mini").hidden_dim
    256
    """
    if isinstance(source, EncoderConfig):
        return source
    if source in PRESETS:
        return PRESETS[source]
    path = Path(source)
    path = path / "config.json" if path.is_dir() else path
    if not path.exists():
        raise DataError(f"config must be a config.json or one of {', '.join(PRESETS)}. Received: neither.", source)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if "model_type" in values:
            return config_from_json(values, FAMILIES[values["model_type"]], path)
        return EncoderConfig(**values)
    except KeyError as error:
        raise DataError(f"model_type must be one of {', '.join(FAMILIES)}. Received: {error}.", path) from error
    except (TypeError, ValueError) as error:
        raise DataError(f"it must describe an encoder. Received: {error}.", path) from error
