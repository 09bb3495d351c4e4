"""What the shards of a corpus depend on, so that shards of two makings never mix."""

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import platform

from keras_bert_suite.data.corpus.manifest import tokenizer_record
from keras_bert_suite.errors import DataError

__all__ = ["check_identity", "corpus_identity"]


def corpus_identity(settings, tokenizer, segmenter, part_bytes, inputs):
    """Return all that the shards depend on, but for the bytes of the files.

    Args:
        settings: `CorpusSettings`.
        tokenizer: `text.Tokenizer`.
        segmenter: optional function. Its name stands for it.
        part_bytes: int.
        inputs: list of `Input`. Their names and sizes count, not their folders.
    Returns:
        dict, as JSON can hold it.
    """
    listing = hashlib.sha256()
    for source in inputs:
        listing.update(json.dumps([os.path.basename(source.path), source.size]).encode() + b"\n")
    values = dataclasses.asdict(settings)
    del values["errors"]  # Where nothing is faulty nothing depends on it.
    if segmenter is not None:
        named = segmenter if hasattr(segmenter, "__qualname__") else type(segmenter)
        values["segmenter"] = f"{getattr(named, '__module__', None)}.{named.__qualname__}"
    modules = ["numpy", "tokenizers"]
    if segmenter is None and settings.lines != "sentences":
        modules.append("sentencex")
    return {
        "kind": values.pop("kind"),
        "max_length": values.pop("max_length"),
        "tokenizer": tokenizer_record(tokenizer),
        "settings": {**values, "part_bytes": part_bytes},
        "versions": {
            "python": ".".join(platform.python_version_tuple()[:2]),
            **{module: importlib.metadata.version(module) for module in modules},
        },
        "inputs": {
            "files": len(inputs),
            "bytes": sum(source.size for source in inputs),
            "sha256": listing.hexdigest(),
        },
    }


def check_identity(there, here, directory):
    """Raise `DataError` unless a corpus was begun with what it is to be made of now."""
    there = there if isinstance(there, dict) else {}
    names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    if names:
        different = "; ".join(f"{name}: {_shown(there.get(name), here.get(name))}" for name in names)
        raise DataError(
            f"a corpus goes on with the settings and files that it was begun with. Received others: {different}. "
            "Choose another output, or overwrite this one.",
            directory,
        )


def _shown(there, here):
    """What differs between two values, `before -> now`."""
    if isinstance(there, dict) and isinstance(here, dict):
        names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
        return ", ".join(f"{name} {there.get(name)!r:.20} -> {here.get(name)!r:.20}" for name in names)
    return f"{there!r:.40} -> {here!r:.40}"
