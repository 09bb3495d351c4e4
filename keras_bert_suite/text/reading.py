"""Finds the tokenizer in a directory and reads it by the rules and defaults of `transformers`.

What `tokenizer.json` says stands, but for the settings of a
`tokenizer_config.json` that override it. Without one, the vocabulary files of
WordPiece, byte-level BPE and SentencePiece are built up as the family of the
checkpoint has them.
"""

from pathlib import Path

from keras_bert_suite.errors import DataError
from keras_bert_suite.text import pipeline
from keras_bert_suite.text.definition import (
    ALBERT_TOKENS,
    BERT_TOKENS,
    FAIRSEQ_TOKENS,
    SPECIAL_NAMES,
    Definition,
    add_tokens,
    check_special_tokens,
    from_merges,
    from_sentence_piece,
    from_vocabulary,
)
from keras_bert_suite.text.keras_hub import is_preset, read_preset
from keras_bert_suite.text.sentence_piece import read_sentence_piece
from keras_bert_suite.text.settings import class_name, declared_tokens, named_tokens, read_json, read_settings
from keras_bert_suite.text.vocabulary import has_capitals, read_merges, read_vocabulary

__all__ = ["has_tokenizer", "model_type", "read_definition", "tokenizer_file"]

#: The names under which checkpoints keep a SentencePiece model.
MODEL_FILES = ("spiece.model", "sentencepiece.bpe.model", "spm.model", "tokenizer.model", "vocabulary.spm")
VOCABULARY_FILES = ("tokenizer.json", "vocab.json", *MODEL_FILES, "vocab.txt")

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

#: Tokenizer class -> the family whose SentencePiece layout it has.
FAMILIES = {"AlbertTokenizer": "albert", "CamembertTokenizer": "camembert", "XLMRobertaTokenizer": "xlm-roberta"}
#: Special tokens that a tokenizer class has where its files name none.
CLASS_TOKENS = {
    "AlbertTokenizer": ALBERT_TOKENS,
    "CamembertTokenizer": FAIRSEQ_TOKENS,
    "RobertaTokenizer": FAIRSEQ_TOKENS,
    "XLMRobertaTokenizer": FAIRSEQ_TOKENS,
}
#: The one special token of GPT-2, which its files do not name, and what it serves as. Nothing frames a text there.
GPT2_TOKEN = "<|endoftext|>"
GPT2_NAMES = ("bos_token", "eos_token", "unk_token", "pad_token", "cls_token", "sep_token")
#: The token that may stand in for one that is neither named nor in the vocabulary under a usual name.
SUBSTITUTES = {"cls_token": "bos_token", "sep_token": "eos_token", "pad_token": "eos_token"}


def read_definition(path, lowercase=None):
    """Read a tokenizer from a directory or a file.

    Args:
        path: str or path. A directory, or a `tokenizer.json`, `vocab.txt`,
            `vocab.json` (with `merges.txt` beside it) or SentencePiece `.model`.
            In a directory they are looked for in the order `tokenizer.json`,
            `vocab.json`, `.model`, `vocab.txt`.
        lowercase: optional bool, for WordPiece and ALBERT. None does as the
            files say; a `vocab.txt` about which no `tokenizer_config.json` says
            anything lower-cases, unless its words have capitals.
    Raises:
        DataError: if a file is missing, damaged, or of no kind that is known.
    """
    path = tokenizer_file(path)
    directory = path.parent
    settings = read_settings(directory)
    if lowercase is not None:
        settings["do_lower_case"] = lowercase
    max_length = settings.get("model_max_length")
    try:
        extra, extra_special = declared_tokens(settings, directory)
        max_length = int(max_length) if max_length and max_length < UNLIMITED else None
    except DataError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"tokenizer_config.json must hold settings of the usual types ({error}). Copy it anew.", directory
        ) from error
    facts = {
        "max_length": max_length,
        "path": path,
        "extra_special_tokens": extra_special,
    }
    if path.suffix == ".json":
        content = read_json(path)
        if is_preset(content):
            return read_preset(path, content, lowercase)
        if path.name == "vocab.json" or (isinstance(content, dict) and content and "model" not in content):
            _check_caseless(lowercase, "BPE", path)
            merges = read_merges(directory / "merges.txt")
            return _from_merges(content, merges, settings, extra, facts)
        return _from_content(content, settings, extra, lowercase, **facts)
    if path.suffix in (".model", ".spm"):
        return _from_sentence_piece(path, settings, extra, lowercase, facts)
    tokens = read_vocabulary(path)
    cased = not (directory / "tokenizer_config.json").is_file() and has_capitals(tokens)
    return from_vocabulary(
        tokens,
        lowercase=settings.get("do_lower_case", not cased),
        strip_accents=settings.get("strip_accents"),
        split_chinese=settings.get("tokenize_chinese_chars", True),
        special_tokens=named_tokens(settings),
        extra_tokens=extra,
        **facts,
    )


def tokenizer_file(path):
    """The file to read a tokenizer from, of a directory or of itself."""
    path = Path(path)
    if path.is_dir():
        found = _vocabulary_file(path)
        if found is None:
            raise DataError(
                "a tokenizer directory must hold tokenizer.json or vocab.txt; it has neither, nor vocab.json "
                "with merges.txt, nor spiece.model. Copy the vocabulary file of the checkpoint there.",
                path,
            )
        return found
    if not path.is_file():
        raise DataError("no such vocabulary file or directory. Check the path.", path)
    return path


def has_tokenizer(directory):
    """Return whether a directory holds a file of a tokenizer, whatever its state."""
    return _vocabulary_file(Path(directory)) is not None


def _vocabulary_file(directory):
    return next((directory / name for name in VOCABULARY_FILES if (directory / name).is_file()), None)


def model_type(content):
    """The kind of model in a `tokenizer.json`, read from its parts where an old file does not name it."""
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), dict | list):
        return "damaged or unknown"
    if isinstance(model.get("type"), str):
        return model["type"]
    if "merges" in model:
        return "BPE"
    if "max_input_chars_per_word" in model:
        return "WordPiece"
    return "Unigram" if isinstance(model["vocab"], list) else "WordLevel"


def _from_merges(vocab, merges, settings, extra, facts):
    named = named_tokens(settings)
    gpt2 = class_name(settings) == "GPT2Tokenizer" or (GPT2_TOKEN in vocab and "<s>" not in vocab)
    if gpt2:
        named = {**{name: {"content": GPT2_TOKEN, "special": True} for name in GPT2_NAMES}, **named}
    return from_merges(
        vocab,
        merges,
        add_prefix_space=settings.get("add_prefix_space", False),
        trim_offsets=settings.get("trim_offsets", True),
        special_tokens=named,
        extra_tokens=extra,
        framed=not gpt2,
        **facts,
    )


def _from_sentence_piece(path, settings, extra, lowercase, facts):
    model = read_sentence_piece(path)
    family = FAMILIES.get(class_name(settings))
    if family is None:
        pieces = [piece for piece, _, _ in model.pieces]
        if {"[CLS]", "[SEP]"} <= set(pieces):
            family = "albert"
        elif pieces[:3] == ["<unk>", "<s>", "</s>"]:
            family = "xlm-roberta"
        else:
            raise DataError(
                f"a SentencePiece model must be laid out as ALBERT's or XLM-R's; it begins with {pieces[:3]}. "
                f"Name its tokenizer_class in tokenizer_config.json ({', '.join(FAMILIES)}).",
                path,
            )
    if family != "albert":
        _check_caseless(lowercase, "SentencePiece", path)
    return from_sentence_piece(
        model,
        family,
        lowercase=settings.get("do_lower_case", True),
        keep_accents=settings.get("keep_accents", False),
        add_prefix_space=settings.get("add_prefix_space"),
        special_tokens=named_tokens(settings),
        extra_tokens=extra,
        sentence_piece=(path.name, path.read_bytes()),
        **facts,
    )


def _from_content(content, settings, extra, lowercase, max_length, path, extra_special_tokens):
    """A definition from a parsed `tokenizer.json`, with the settings that `transformers` lets override it."""
    kind = model_type(content)
    if kind not in ("WordPiece", "BPE", "Unigram"):
        raise DataError(
            f"a tokenizer.json must hold a WordPiece, BPE or Unigram model; this file holds a {kind} model. "
            "Use the checkpoint's own file, or its vocabulary.",
            path,
        )
    content = {**content, "truncation": None, "padding": None}
    content["added_tokens"] = content.get("added_tokens") or []
    content["model"] = {"type": kind, **content["model"]}
    if not content["model"]["vocab"]:
        raise DataError("the vocabulary must not be empty. Copy the file anew.", path)
    try:
        vocab = Definition(content, {}).vocabulary
        special_tokens = _special_tokens(content, settings, vocab)
        mask = special_tokens["mask_token"]
        named = [entry for entry in named_tokens(settings).values() if entry["content"] != mask or mask in vocab]
        add_tokens(content, [*extra, *named])
        _override(content, settings, lowercase, path)
    except DataError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise DataError("the vocabulary or the added tokens are damaged. Copy the file anew.", path) from error
    # Only WordPiece needs the names for a frame; elsewhere the post-processor brings its own.
    check_special_tokens(special_tokens, vocab, path, SPECIAL_NAMES[:4] if kind == "WordPiece" else ("pad_token",))
    if not content.get("post_processor") and (kind == "WordPiece" or class_name(settings) in CLASS_TOKENS):
        frame = [
            token
            for name in ("cls_token", "sep_token")
            for token in (special_tokens[name], vocab[special_tokens[name]])
        ]
        content["post_processor"] = pipeline.template(*frame, roberta=special_tokens["cls_token"] == "<s>")
    return Definition(
        content, special_tokens, max_length, extra_special_tokens, _model_beside(path) if kind == "Unigram" else None
    )


def _special_tokens(content, settings, vocab):
    """dict from each name to its spelling: the settings', the class's, or the usual one that is there; else None."""
    model = content["model"]
    named = {name: entry["content"] for name, entry in named_tokens(settings).items()}
    if model["type"] == "WordPiece":
        return {**BERT_TOKENS, "unk_token": model.get("unk_token", "[UNK]"), **named}
    found = dict.fromkeys(SPECIAL_NAMES)
    defaults = CLASS_TOKENS.get(class_name(settings))
    for usual in [defaults] if defaults else [FAIRSEQ_TOKENS, BERT_TOKENS]:
        found.update((name, token) for name, token in usual.items() if token in vocab)
    unk_id = model.get("unk_id")
    unknown = model.get("unk_token") if unk_id is None else model["vocab"][unk_id][0]
    found.update(({"unk_token": unknown} if unknown else {}) | named)
    for name, substitute in SUBSTITUTES.items():
        found[name] = found[name] or found.get(substitute)
    return found


def _override(content, settings, lowercase, path):
    """Put into a content the settings that override it; `lowercase` is the caller's own."""
    kind, generic = content["model"]["type"], settings.get("tokenizer_class") in GENERIC_CLASSES
    normalizers = pipeline.parts(content.get("normalizer"))
    albert = any(part.get("pattern") == {"String": "``"} for part in normalizers)
    if not albert and kind != "WordPiece":
        _check_caseless(lowercase, kind, path)
    said = settings if not generic else {} if lowercase is None else {"do_lower_case": lowercase}
    if kind == "WordPiece":
        values = {ours: said[name] for name, ours in NORMALIZER_OPTIONS.items() if name in said}
        content["normalizer"] = pipeline.changed(content.get("normalizer"), "BertNormalizer", **values)
    if albert and ("do_lower_case" in said or "keep_accents" in said):
        kinds = {part["type"] for part in normalizers}
        content["normalizer"] = pipeline.albert_normalizer(
            said.get("do_lower_case", "Lowercase" in kinds),
            said.get("keep_accents", "StripAccents" not in kinds),
            pipeline.charsmap_of(content["normalizer"]),
        )
    for section in ("pre_tokenizer", "decoder", "post_processor"):
        content[section] = _spaced(content.get(section), section, said)


def _spaced(section, name, said):
    """A section with the settings about the space before a text and about spans."""
    if "trim_offsets" in said and name == "post_processor":
        for kind in ("ByteLevel", "RobertaProcessing"):
            section = pipeline.changed(section, kind, trim_offsets=bool(said["trim_offsets"]))
    if "add_prefix_space" in said:
        space = bool(said["add_prefix_space"])
        scheme = "always" if space else "never"
        section = pipeline.changed(section, "Metaspace", add_prefix_space=space, prepend_scheme=scheme)
        section = pipeline.changed(section, "RobertaProcessing", add_prefix_space=space)
        if name == "pre_tokenizer":
            section = pipeline.changed(section, "ByteLevel", add_prefix_space=space)
    return section


def _check_caseless(lowercase, kind, path):
    if lowercase is not None:
        raise DataError(
            f"lowercase belongs to WordPiece and ALBERT; this is a {kind} tokenizer. Received: lowercase={lowercase}. "
            "Leave it out.",
            path,
        )


def _model_beside(path):
    """`(name, bytes)` of the SentencePiece model beside a `tokenizer.json`, or None."""
    found = next((path.parent / name for name in MODEL_FILES if (path.parent / name).is_file()), None)
    return found and (found.name, found.read_bytes())
