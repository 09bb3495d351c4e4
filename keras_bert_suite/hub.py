"""The Hugging Face Hub: from a repository's name to its files in the local cache.

Cache, offline mode, tokens, endpoints and retries are the client's own, with
its own settings (`HF_HOME`, `HF_HUB_OFFLINE`, `HF_TOKEN`, `HF_ENDPOINT`). This
file says which files are wanted, and what went wrong.
"""

import errno
import logging
import re
from pathlib import Path, PurePosixPath

from keras_bert_suite.errors import CheckpointError

__all__ = ["fetch_repository", "wanted_files"]

logger = logging.getLogger(__name__)

#: The folders of a repository that are looked into: its root, the tokenizer of a KerasHub preset, and the
#: modules of a sentence-transformers model (`1_Pooling`, `2_Dense`).
FOLDERS = re.compile(r"\.|assets/tokenizer|\d+_\w+")

#: Files beside the weights, wherever they come from: Hugging Face, sentence-transformers, TF1, KerasHub.
SMALL_FILES = {
    *("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model"),
    *("modules.json", "config_sentence_transformers.json"),
    *(
        f"sentence_{kind}_config.json"
        for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta")
    ),
    *("bert_config.json", "albert_config.json"),
    *("metadata.json", "task.json", "preprocessor.json", "vocabulary.txt", "vocabulary.json", "vocabulary.spm"),
}

#: The formats of weights that are read. A folder with several holds the same weights in each: the first is taken.
WEIGHTS = [
    re.compile(r"model(-\d+-of-\d+)?\.safetensors(\.index\.json)?"),
    re.compile(r"(model|task)(_\d+)?\.weights\.(h5|json)"),
    re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin(\.index\.json)?"),
    re.compile(r"(bert_)?model\.ckpt[\w.-]*\.(index|data-\d+-of-\d+)"),
]


def wanted_files(names, weights=True):
    """Return those files of a repository that this package reads.

    Args:
        names: list of str. Every file of the repository.
        weights: bool. Whether weights are among them.
    Example:
    >>> from keras_bert_suite.hub import wanted_files
    >>> wanted_files(["config.json", "flax_model.msgpack", "model.safetensors", "modeling.py", "pytorch_model.bin"])
    ['config.json', 'model.safetensors']
    """
    folders = {}
    for path in map(PurePosixPath, names):
        if FOLDERS.fullmatch(str(path.parent)):
            folders.setdefault(path.parent, []).append(path)
    wanted = []
    for paths in folders.values():
        wanted += [path for path in paths if path.name in SMALL_FILES]
        formats = ([path for path in paths if pattern.fullmatch(path.name)] for pattern in WEIGHTS if weights)
        wanted += next(filter(None, formats), [])
    return sorted(map(str, wanted))


def fetch_repository(repository, revision=None, weights=True):
    """Return the local directory with the wanted files of a repository on the Hub.

    Files in the cache are not fetched again. Where the Hub does not answer, or
    not with the repository, the copy in the cache is used and a warning says so.

    Args:
        repository: str. `org/name`, or an old `name` without one.
        revision: optional str. Branch, tag or commit. Defaults to the main branch.
        weights: bool. Whether weights are wanted.
    Raises:
        CheckpointError: if the repository cannot be had, with what to do about it.
    """
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.errors import HFValidationError, OfflineModeIsEnabled, RevisionNotFoundError

    subject = repository if revision is None else f"{repository}@{revision}"
    try:
        # The listing tells which formats of weights there are, and whether the Hub is there: the download by itself
        # falls back to the cache without a word.
        listing = HfApi().model_info(repository, revision=revision, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except HFValidationError as error:
        raise CheckpointError(
            f"{subject}: no such directory, and not the name of a repository on the Hugging Face Hub. "
            "Give the folder that holds config.json, or org/name."
        ) from error
    except RevisionNotFoundError as error:
        raise CheckpointError(
            f"{repository}: no revision {revision!r} on {constants.ENDPOINT}. Give a branch, a tag or a commit of it."
        ) from error
    except Exception as error:  # What the transport raises depends on the client's version: requests, httpx, ...
        problem, remedy = _explain(error, repository, "the Hub cannot be reached", "Check the connection")
        cached = _find_cached(repository, revision)
        if cached is None:
            raise CheckpointError(
                f"{subject}: no such directory, {problem}, and the cache has no copy. "
                f"{remedy}, or give the folder that holds config.json."
            ) from error
        names = [path.relative_to(cached).as_posix() for path in cached.rglob("*") if path.is_file()]
        if not wanted_files(names) or (weights and wanted_files(names) == wanted_files(names, weights=False)):
            raise CheckpointError(f"{subject}: {problem}, and the cache has only part of it. {remedy}.") from error
        if not isinstance(error, OfflineModeIsEnabled):
            logger.warning("%s: %s. Using the copy in the cache, commit %s.", subject, problem, cached.name)
        return cached

    names = [file.rfilename for file in listing.siblings or ()]
    wanted = wanted_files(names, weights)
    if not wanted:
        raise CheckpointError(
            f"{subject}: holds no checkpoint that this package reads, only {', '.join(names[:5]) or 'no file'}. "
            "Give a repository with config.json and weights."
        )
    cached = _find_cached(repository, revision)
    if cached is not None and cached.name == listing.sha and all((cached / name).is_file() for name in wanted):
        return cached
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=wanted))
    except Exception as error:  # As above; and the disk may fill, or the connection break.
        problem, remedy = _explain(
            error, repository, "the download did not finish", "Run it again: the files that have arrived are kept"
        )
        raise CheckpointError(f"{subject}: {problem}. {remedy}.") from error


def _find_cached(repository, revision):
    """Return the cached directory, whole or not, or `None`."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, revision=revision, local_files_only=True, allow_patterns=[]))
    except LocalEntryNotFoundError:
        return None


def _explain(error, repository, otherwise, advice):
    """Return what is wrong and what to do, for an error of the client; `otherwise` and `advice` for any other."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    if isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    url = f"{constants.ENDPOINT}/{repository}"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set", "Unset it to download"
    if isinstance(error, GatedRepoError):
        return f"{url} is gated", "Ask for access on that page and log in (hf auth login, or set HF_TOKEN)"
    if "Invalid credentials" in str(error):
        return f"{constants.ENDPOINT} refuses your token", "Log in again (hf auth login), or renew or unset HF_TOKEN"
    if isinstance(error, RepositoryNotFoundError) or status in (401, 404):
        return f"{url} does not exist or is private", "Check the name, log in for a private one (hf auth login)"
    if status == 403:
        return f"{url} refuses access ({status})", "Log in (hf auth login, or set HF_TOKEN to a token that may read it)"
    if status is not None:
        return f"{url} answered {status}", "Try again later"
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error):
        return f"the disk is full ({constants.HF_HUB_CACHE})", "Free some space, or set HF_HOME to a folder elsewhere"
    if isinstance(error, OSError) and error.filename:
        return (
            f"cannot write {error.filename} ({error.strerror})",
            "Set HF_HOME to a folder where you may",
        )
    return f"{otherwise} ({type(error).__name__}: {' '.join(str(error).split())[:200]})", advice
