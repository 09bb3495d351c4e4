"""What a tokenizer directory says, brought to one form: the content of a `tokenizer.json` and a few names.

Reads `tokenizer.json`, else `vocab.txt`, with `tokenizer_config.json`,
`special_tokens_map.json` and `added_tokens.json` beside them, by the rules and
defaults of `transformers`. Encodes nothing.
"""

import dataclasses
import json
from pathlib import Path

from keras_bert_suite.errors import DataError

__all__ = ["SPECIAL_NAMES", "Definition", "from_vocabulary", "model_type", "read_definition"]

SPECIAL_NAMES = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
REQUIRED_NAMES = SPECIAL_NAMES[:4]
DEFAULT_TOKENS = {name: f"[{name[:-6].upper()}]" for name in SPECIAL_NAMES}

#: A `model_max_length` above this means "no limit" (transformers writes 1e30).
UNLIMITED = 10**9

#: tokenizer_config.json's spelling of the BertNormalizer's options.
NORMALIZER_OPTIONS = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}

#: Tokenizer classes for which transformers takes tokenizer.json as it stands.
GENERIC_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")


@dataclasses.dataclass(frozen=True)
class Definition:
    """A tokenizer as data.

    Args:
        content: dict. A whole `tokenizer.json`, without truncation and padding.
        special_tokens: dict from each of `SPECIAL_NAMES` to its spelling.
        max_length: optional int. The longest row, in tokens, the model was made for.
    """

    content: dict
    special_tokens: dict
    max_length: int | None = None

    @property
    def vocabulary(self):
        """dict from token to id, added tokens included."""
        added = {token["content"]: token["id"] for token in self.content.get("added_tokens") or ()}
        return {**self.content["model"]["vocab"], **added}

    def to_json(self):
        """The text of the `tokenizer.json`."""
        return json.dumps(self.content, ensure_ascii=False)


def from_vocabulary(
    vocab,
    lowercase=True,
    strip_accents=None,
    split_chinese=True,
    special_tokens=None,
    extra_tokens=(),
    max_length=None,
    path=None,
):
    """Define the WordPiece tokenizer that `transformers` builds around a vocabulary.

    Args:
        vocab: list of str (its order gives the ids) or dict from str to int.
        lowercase: bool. Lower-case the text.
        strip_accents: optional bool. Drop accents; None follows `lowercase`.
        split_chinese: bool. Make each CJK character a word.
        special_tokens: optional dict from names in `SPECIAL_NAMES` to spellings.
        extra_tokens: strs, or dicts as in `added_tokens`; matched whole in the text.
        max_length: optional int, in tokens.
        path: optional. The file that errors name.
    Raises:
        DataError: if the vocabulary is empty, repeats itself or lacks a special token.
    """
    vocab = _checked_vocabulary(vocab, path)
    special_tokens = {**DEFAULT_TOKENS, **(special_tokens or {})}
    _check_special_tokens(special_tokens, vocab, path)
    added = {}
    for token in [*special_tokens.values(), *extra_tokens]:
        entry = token if isinstance(token, dict) else {"content": token, "special": True}
        content = entry["content"]
        if content == special_tokens["mask_token"] and content not in vocab:
            continue  # a model without a mask token is complete without it
        token_id = vocab.get(content, entry.get("id"))
        if token_id is None:
            token_id = max([*vocab.values(), *(other["id"] for other in added.values())]) + 1
        added[content] = _added_token(content, token_id, entry)
    cls_token, sep_token = special_tokens["cls_token"], special_tokens["sep_token"]
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": sorted(added.values(), key=lambda token: token["id"]),
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": bool(split_chinese),
            "strip_accents": strip_accents,
            "lowercase": bool(lowercase),
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": _bert_template(cls_token, vocab[cls_token], sep_token, vocab[sep_token]),
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": special_tokens["unk_token"],
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocab,
        },
    }
    return Definition(content, special_tokens, max_length)


def read_definition(path):
    """Read a tokenizer from a directory, a `tokenizer.json` or a `vocab.txt`.

    Args:
        path: str or path. In a directory `tokenizer.json` is preferred.
    Raises:
        DataError: if a file is missing, damaged, or not a WordPiece tokenizer.
    """
    path = Path(path)
    directory = path if path.is_dir() else path.parent
    if path.is_dir():
        candidates = [directory / name for name in ("tokenizer.json", "vocab.txt")]
        path = next((candidate for candidate in candidates if candidate.is_file()), None)
        if path is None:
            raise DataError(
                "a tokenizer directory must hold tokenizer.json or vocab.txt; it has neither. "
                "Copy the vocabulary file of the checkpoint there.",
                directory,
            )
    elif not path.is_file():
        raise DataError("no such vocabulary file or directory. Check the path.", path)
    settings = _read_settings(directory)
    special_tokens = {name: settings[name] for name in SPECIAL_NAMES if settings.get(name)}
    max_length = settings.get("model_max_length")
    max_length = int(max_length) if max_length and max_length < UNLIMITED else None
    if path.suffix != ".json":
        options = {
            "lowercase": settings.get("do_lower_case", True),
            "strip_accents": settings.get("strip_accents"),
            "split_chinese": settings.get("tokenize_chinese_chars", True),
        }
        extra = _declared_tokens(settings, directory)
        return from_vocabulary(
            read_vocabulary(path), **options, special_tokens=special_tokens, extra_tokens=extra,
            max_length=max_length, path=path,
        )  # fmt: skip
    content = read_json(path)
    kind = model_type(content)
    if kind != "WordPiece":
        raise DataError(
            f"WordPieceTokenizer reads WordPiece models; this file holds a {kind} model. "
            "Use a BERT-style checkpoint, or its vocab.txt.",
            path,
        )
    return _from_content(content, settings, special_tokens, max_length, path)


def model_type(content):
    """The kind of model in a `tokenizer.json`, read from its parts where an old file does not name it."""
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), dict | list):
        return "damaged or unknown"
    if model.get("type"):
        return model["type"]
    if "merges" in model:
        return "BPE"
    return "WordPiece" if "max_input_chars_per_word" in model else "WordLevel or Unigram"


def read_vocabulary(path):
    """The tokens of a `vocab.txt`, one a line, their line numbers less one being their ids.

    Only a line feed ends a line: other separators of Unicode are tokens.
    """
    path = Path(path)
    tokens = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        try:
            tokens.append(line.removesuffix(b"\r").decode("utf-8"))
        except UnicodeDecodeError as error:
            raise DataError(
                f"a vocabulary must be UTF-8 text; byte 0x{line[error.start]:02x} at column {error.start + 1} is not. "
                "Convert the file to UTF-8.",
                path,
                number,
            ) from error
    if tokens:
        tokens[0] = tokens[0].removeprefix("\ufeff")
    while tokens and not tokens[-1]:
        tokens.pop()
    return tokens


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


def _from_content(content, settings, special_tokens, max_length, path):
    """A definition from a parsed `tokenizer.json`, with the settings that `transformers` lets override it."""
    content = {**content, "truncation": None, "padding": None}
    content["added_tokens"] = list(content.get("added_tokens") or ())
    content["model"] = {"type": "WordPiece", **content["model"]}
    vocab = content["model"]["vocab"]
    if not vocab:
        raise DataError("the vocabulary must not be empty. Copy the file anew.", path)
    unk_token = content["model"].get("unk_token", "[UNK]")
    special_tokens = {**DEFAULT_TOKENS, "unk_token": unk_token, **special_tokens}
    known = {**vocab, **{token["content"]: token["id"] for token in content["added_tokens"]}}
    _check_special_tokens(special_tokens, known, path)
    normalizer = content.get("normalizer") or {}
    if normalizer.get("type") == "BertNormalizer" and settings.get("tokenizer_class") not in GENERIC_CLASSES:
        overrides = {ours: settings[name] for name, ours in NORMALIZER_OPTIONS.items() if name in settings}
        content["normalizer"] = {**normalizer, **overrides}
    if not content.get("post_processor"):
        cls_token, sep_token = special_tokens["cls_token"], special_tokens["sep_token"]
        content["post_processor"] = _bert_template(cls_token, known[cls_token], sep_token, known[sep_token])
    return Definition(content, special_tokens, max_length)


def _read_settings(directory):
    """`tokenizer_config.json` over `special_tokens_map.json`, special tokens as plain strings."""
    settings = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (directory / name).is_file():
            found = read_json(directory / name)
            if not isinstance(found, dict):
                raise DataError(f"must hold a JSON object; received {type(found).__name__}.", directory / name)
            settings.update(found)
    for name in SPECIAL_NAMES:
        if isinstance(settings.get(name), dict):
            settings[name] = settings[name]["content"]
    return settings


def _declared_tokens(settings, directory):
    """Tokens that a `vocab.txt` directory adds to its vocabulary, in id order where they have one."""
    declared = [
        {**token, "id": int(token_id)} for token_id, token in (settings.get("added_tokens_decoder") or {}).items()
    ]
    if (directory / "added_tokens.json").is_file():
        added = read_json(directory / "added_tokens.json")
        declared += [{"content": token, "id": token_id, "special": False} for token, token_id in added.items()]
    declared.sort(key=lambda token: token["id"])
    names = {token["content"] for token in declared}
    for key in ("additional_special_tokens", "extra_special_tokens"):
        tokens = settings.get(key) or ()
        for token in tokens.values() if isinstance(tokens, dict) else tokens:
            token = token if isinstance(token, dict) else {"content": token, "special": True}
            if token["content"] not in names:
                names.add(token["content"])
                declared.append(token)
    return declared


def _checked_vocabulary(vocab, path):
    if isinstance(vocab, dict):
        if not vocab:
            raise DataError("the vocabulary must not be empty. Give at least the special tokens.", path)
        if len(set(vocab.values())) != len(vocab):
            raise DataError("each vocabulary id must belong to one token. Number the tokens anew.", path)
        return dict(vocab)
    ids = {}
    for index, token in enumerate(vocab):
        if token in ids:
            raise DataError(
                f"a vocabulary must not repeat a token; {token!r} is also on line {ids[token] + 1}. "
                "Restore the original file, or remove one and retrain.",
                path,
                index + 1,
            )
        ids[token] = index
    if not ids:
        raise DataError("the vocabulary must not be empty. Copy the file anew.", path)
    return ids


def _check_special_tokens(special_tokens, vocab, path):
    missing = [special_tokens[name] for name in REQUIRED_NAMES if special_tokens[name] not in vocab]
    if missing:
        raise DataError(
            f"the vocabulary must hold the special tokens; missing: {', '.join(missing)}. "
            "Add them, or name the ones it has in tokenizer_config.json (cls_token, sep_token, pad_token, unk_token).",
            path,
        )


def _added_token(content, token_id, entry):
    special = bool(entry.get("special", False))
    flags = {name: bool(entry.get(name, False)) for name in ("single_word", "lstrip", "rstrip")}
    normalized = bool(entry.get("normalized", not special))
    return {"id": token_id, "content": content, **flags, "normalized": normalized, "special": special}


def _bert_template(cls_token, cls_id, sep_token, sep_id):
    """The post-processor that writes `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]`."""

    def special(token, segment):
        return {"SpecialToken": {"id": token, "type_id": segment}}

    def text(name, segment):
        return {"Sequence": {"id": name, "type_id": segment}}

    single = [special(cls_token, 0), text("A", 0), special(sep_token, 0)]
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, text("B", 1), special(sep_token, 1)],
        "special_tokens": {
            token: {"id": token, "ids": [token_id], "tokens": [token]}
            for token, token_id in ((cls_token, cls_id), (sep_token, sep_id))
        },
    }
