"""BERT for Keras 3: layers, task models and exports, on TensorFlow, JAX and PyTorch.

The public names below are imported when they are first used, so that importing
the package costs nothing and starts no backend.
"""

import importlib

__version__ = "0.1.0"

#: Public name -> the module that defines it.
_HOMES = {
    "ArtifactError": "errors",
    "CheckpointError": "errors",
    "DataError": "errors",
    "EncoderConfig": "config",
    "PRESETS": "config",
    "BytePairTokenizer": "text",
    "FeatureExtractor": "tasks",
    "FewShotClassifier": "tasks",
    "MaskedLM": "tasks",
    "MultiTask": "tasks",
    "MultipleChoice": "tasks",
    "Pretrainer": "tasks",
    "PromptClassifier": "tasks",
    "QuestionAnswerer": "tasks",
    "RelationClassifier": "tasks",
    "SemanticSearch": "tasks",
    "TextClassifier": "tasks",
    "TextEmbedder": "tasks",
    "TokenClassifier": "tasks",
    "UnigramTokenizer": "text",
    "WordPieceTokenizer": "text",
    "ZeroShotClassifier": "tasks",
    "convert_checkpoint": "conversion",
    "find_topics": "tasks",
    "inspect_checkpoint": "inspection",
    "load_encoder": "checkpoints",
    "load_model": "checkpoints",
    "load_tokenizer": "text",
    "open_task": "tasks",
    "save_encoder": "checkpoints",
    "save_model": "checkpoints",
}

_MODULES = (
    "checkpoints",
    "config",
    "conversion",
    "data",
    "errors",
    "export",
    "inspection",
    "layers",
    "models",
    "reports",
    "tasks",
    "text",
    "training",
)

__all__ = sorted([*_HOMES, *_MODULES, "__version__"])


def __getattr__(name):
    if name in _HOMES:
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return __all__
