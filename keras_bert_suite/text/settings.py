"""The small files beside a vocabulary: `tokenizer_config.json`, `special_tokens_map.json`, `added_tokens.json`."""

import json
from pathlib import Path

from keras_bert_suite.errors import DataError

__all__ = ["added_token", "class_name", "declared_tokens", "named_tokens", "read_json", "read_settings"]

#: The tokenizer class that transformers takes for a `model_type` of config.json, where the tokenizer's files name none.
CLASSES = {
    "albert": "AlbertTokenizer",
    "bert": "BertTokenizer",
    "camembert": "CamembertTokenizer",
    "distilbert": "BertTokenizer",
    "electra": "BertTokenizer",
    "roberta": "RobertaTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
}

FLAGS = ("single_word", "lstrip", "rstrip")


def read_json(path):
    """Parse a JSON file, or say where it breaks."""
    try:
        return json.loads(Path(path).read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise DataError(
            f"JSON must be UTF-8 text; byte {error.start} is not. Convert or copy it anew.", path
        ) from error
    except json.JSONDecodeError as error:
        raise DataError(
            f"must be complete JSON; {error.msg} at column {error.colno}. The file may be truncated: copy it anew.",
            path,
            error.lineno,
        ) from error
    except RecursionError as error:
        raise DataError("JSON must not be nested thousands deep. Copy the file anew.", path) from error


def read_settings(directory):
    """`tokenizer_config.json` over `special_tokens_map.json`; `tokenizer_class` as transformers would choose it."""
    settings = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        settings.update(_read_object(directory / name))
    if not settings.get("tokenizer_class"):
        config = _read_object(directory / "config.json")
        settings["tokenizer_class"] = config.get("tokenizer_class") or CLASSES.get(config.get("model_type"))
    return settings


def class_name(settings):
    """str or None: the tokenizer class that settings name, without the ending of its old fast twin."""
    name = settings.get("tokenizer_class")
    return name.removesuffix("Fast") if isinstance(name, str) and name != "PreTrainedTokenizerFast" else name


def named_tokens(settings):
    """dict from each `..._token` of settings to its entry, spelled as in `added_tokens`, without ids."""
    found = {}
    for name, value in settings.items():
        if name.endswith("_token") and not isinstance(value, bool):
            if isinstance(value, str):
                found[name] = {"content": value, "special": True}
            elif isinstance(value, dict) and isinstance(value.get("content"), str):
                found[name] = {**value, "special": True}
    return found


def declared_tokens(settings, directory):
    """Tokens that a directory adds to its vocabulary, in id order where they have one, and the extra special ones.

    Returns:
        `(entries, extra)`: dicts as in `added_tokens`, some without id, and a tuple of str.
    """
    declared = [
        {**token, "id": int(token_id)} for token_id, token in (settings.get("added_tokens_decoder") or {}).items()
    ]
    added = _read_object(directory / "added_tokens.json")
    declared += [{"content": token, "id": token_id, "special": False} for token, token_id in added.items()]
    declared.sort(key=lambda token: token["id"])
    names, extra = {token["content"] for token in declared}, []
    for key in ("additional_special_tokens", "extra_special_tokens"):
        tokens = settings.get(key) or ()
        for token in tokens.values() if isinstance(tokens, dict) else tokens:
            token = {**token, "special": True} if isinstance(token, dict) else {"content": token, "special": True}
            extra.append(token["content"])
            if token["content"] not in names:
                names.add(token["content"])
                declared.append(token)
    return declared, tuple(dict.fromkeys(extra))


def added_token(entry, token_id):
    """One item of `added_tokens`, whole, of an entry that may lack flags."""
    special = bool(entry.get("special", False))
    flags = {name: bool(entry.get(name, False)) for name in FLAGS}
    normalized = bool(entry.get("normalized", not special))
    return {"id": token_id, "content": entry["content"], **flags, "normalized": normalized, "special": special}


def _read_object(path):
    """A JSON object; empty where there is no such file."""
    if not path.is_file():
        return {}
    found = read_json(path)
    if not isinstance(found, dict):
        raise DataError(f"must hold a JSON object; received {type(found).__name__}. Copy the file anew.", path)
    return found
