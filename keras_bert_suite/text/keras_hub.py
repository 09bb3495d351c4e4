"""KerasHub's form of a tokenizer: a Keras config in `tokenizer.json`, the vocabulary in `assets/tokenizer/`."""

import json
from pathlib import Path
from typing import NamedTuple

from keras_bert_suite.errors import DataError, check_choice
from keras_bert_suite.files import replaced_file
from keras_bert_suite.text import pipeline
from keras_bert_suite.text.charsmap import compile_rules, rules_of_normalizer
from keras_bert_suite.text.definition import from_merges, from_pieces, from_sentence_piece, from_vocabulary
from keras_bert_suite.text.sentence_piece import CONTROL, NORMAL, UNKNOWN, SentencePieceModel, read_sentence_piece
from keras_bert_suite.text.settings import read_json
from keras_bert_suite.text.vocabulary import read_merges, read_vocabulary

__all__ = ["is_preset", "read_preset", "write_keras_hub_tokenizer"]

ASSETS = Path("assets", "tokenizer")
#: The normalizers with which Hugging Face's XLM-R drops spaces.
STRIP = {"type": "Strip", "strip_left": False, "strip_right": True}
SPACES = {"Regex": " {2,}"}


class Family(NamedTuple):
    """How KerasHub calls the tokenizer of a family, and what it must find in the vocabulary."""

    class_name: str
    module: str
    kind: str
    tokens: tuple


FAMILIES = {
    "bert": Family("BertTokenizer", "bert.bert_tokenizer", "WordPiece", ("[CLS]", "[SEP]", "[PAD]", "[MASK]")),
    "distilbert": Family(
        "DistilBertTokenizer", "distil_bert.distil_bert_tokenizer", "WordPiece", ("[CLS]", "[SEP]", "[PAD]", "[MASK]")
    ),
    "electra": Family(
        "ElectraTokenizer", "electra.electra_tokenizer", "WordPiece", ("[CLS]", "[SEP]", "[PAD]", "[MASK]")
    ),
    "roberta": Family("RobertaTokenizer", "roberta.roberta_tokenizer", "BPE", ("<s>", "</s>", "<pad>", "<mask>")),
    "xlm-roberta": Family(
        "XLMRobertaTokenizer", "xlm_roberta.xlm_roberta_tokenizer", "Unigram", ("<s>", "<pad>", "</s>", "<unk>")
    ),
    "albert": Family("AlbertTokenizer", "albert.albert_tokenizer", "Unigram", ("[CLS]", "[SEP]", "<pad>", "[MASK]")),
}


def is_preset(content):
    """Whether a parsed `tokenizer.json` is a Keras config."""
    return isinstance(content, dict) and "registered_name" in content and "model" not in content


def read_preset(path, content, lowercase=None):
    """Read the tokenizer of a KerasHub preset.

    Args:
        path: path of its `tokenizer.json`; the vocabulary lies in `assets/tokenizer/` beside it.
        content: dict. The parsed file.
        lowercase: optional bool, in the place of the preset's own; for WordPiece alone.
    Returns:
        `Definition`.
    Raises:
        DataError: if the class is not known, or an asset is missing or damaged.
    """
    name = str(content["registered_name"]).split(">")[-1]
    family = next((family for family, known in FAMILIES.items() if known.class_name == name), None)
    if family is None:
        known = ", ".join(family.class_name for family in FAMILIES.values())
        raise DataError(
            f"a KerasHub tokenizer must be one of {known}; received {name!r:.60}. Use the checkpoint's own files.", path
        )
    config = content.get("config")
    if not isinstance(config, dict) or config.get("split") is False:
        raise DataError("a KerasHub tokenizer must have a config that splits words. Save the preset anew.", path)
    kind = FAMILIES[family].kind
    if lowercase is not None and kind != "WordPiece":
        raise DataError(f"lowercase belongs to WordPiece; received lowercase={lowercase}. Leave it out.", path)
    if kind == "WordPiece":
        file = _asset(path, "vocabulary.txt")
        return from_vocabulary(
            [token.rstrip() for token in read_vocabulary(file)],  # as KerasHub reads it
            lowercase=config.get("lowercase", False) if lowercase is None else lowercase,
            strip_accents=config.get("strip_accents", False),
            split_chinese=config.get("split_on_cjk", True),
            special_tokens={"unk_token": config.get("oov_token", "[UNK]")},
            extra_tokens=config.get("special_tokens") or (),
            path=file,
        )
    if kind == "BPE":
        file = _asset(path, "vocabulary.json")
        merges = read_merges(_asset(path, "merges.txt"))
        return from_merges(read_json(file), merges, config.get("add_prefix_space", False), path=file)
    file = _asset(path, "vocabulary.spm")
    model, source = read_sentence_piece(file), ("spiece.model", file.read_bytes())
    if family == "xlm-roberta":
        return from_sentence_piece(model, family, path=file, sentence_piece=("sentencepiece.bpe.model", source[1]))
    return from_pieces(  # KerasHub's ALBERT has no rules about case, accents and commas but the model's own.
        [(piece, score) for piece, score, _ in model.pieces],
        model.unk_id,
        model.add_dummy_prefix,
        model.charsmap,
        byte_fallback=model.byte_fallback,
        path=file,
        sentence_piece=source,
        roberta=False,
    )


def write_keras_hub_tokenizer(tokenizer, directory, family):
    """Write the tokenizer's part of a KerasHub preset: `tokenizer.json` and `assets/tokenizer/`.

    `keras_hub.models.Tokenizer.from_preset(directory)` opens it once the
    preset's `config.json` is there too. KerasHub runs tokenizers of its own,
    which cut ordinary text as the originals do, but not all of Unicode: its
    BERT lower-cases a sharp s to ss, its RoBERTa parts numbers after three
    digits outside of `tf.data`, its SentencePiece takes no special token in
    the text.

    Args:
        tokenizer: `Tokenizer` of the kind that the family has.
        directory: str or path. Made when absent; other files in it stay.
        family: `"bert"`, `"distilbert"`, `"electra"`, `"roberta"`, `"xlm-roberta"` or `"albert"`.
    Raises:
        DataError: if KerasHub cannot express some part of the tokenizer; the part is named.
    """
    check_choice("write_keras_hub_tokenizer", "family", family, tuple(FAMILIES))
    known, directory = FAMILIES[family], Path(directory)
    charsmap = _charsmap(tokenizer.definition.content) if known.kind == "Unigram" else None
    reasons = _obstacles(tokenizer, family, charsmap)
    if reasons:
        raise DataError(
            f"write_keras_hub_tokenizer: KerasHub's {known.class_name} cannot express {'; '.join(reasons)}. "
            "Write another format, or use a tokenizer of the family's usual form."
        )
    if known.kind == "Unigram":
        values, assets = _unigram(tokenizer, family, charsmap)
    else:
        values, assets = {"WordPiece": _word_piece, "BPE": _byte_pair}[known.kind](tokenizer, family)
    config = {
        "module": f"keras_hub.src.models.{known.module}",
        "class_name": known.class_name,
        "config": {
            "name": known.module.split(".")[-1],
            "trainable": True,
            "dtype": {
                "module": "keras",
                "class_name": "DTypePolicy",
                "config": {"name": "int32"},
                "registered_name": None,
            },
            "config_file": "tokenizer.json",
            "sequence_length": None,
            **values,
        },
        "registered_name": f"keras_hub>{known.class_name}",
    }
    for name, content in assets.items():
        with replaced_file(directory / ASSETS / name, "wb") as file:
            file.write(content)
    with replaced_file(directory / "tokenizer.json") as file:
        file.write(json.dumps(config, indent=4))


def _asset(path, name):
    file = path.parent / ASSETS / name
    if not file.is_file():
        raise DataError(f"a KerasHub preset must have this file beside its {path.name}. Copy it from the preset.", file)
    return file


def _charsmap(content):
    """SentencePiece's compiled rules that do what a normalizer does; None where none can."""
    # Dropping spaces at the ends and repeated ones is what SentencePiece does by itself.
    kept = [
        part for part in pipeline.parts(content.get("normalizer")) if part != STRIP and part.get("pattern") != SPACES
    ]
    if [part["type"] for part in kept] in ([], ["Precompiled"]):
        return pipeline.charsmap_of(content.get("normalizer"))
    rules = rules_of_normalizer({"type": "Sequence", "normalizers": kept})
    return None if rules is None else compile_rules(rules)


def _obstacles(tokenizer, family, charsmap):
    """Every part of a tokenizer that KerasHub's of this family has no word for."""
    known, content = FAMILIES[family], tokenizer.definition.content
    if tokenizer.kind != known.kind:
        return [f"a {tokenizer.kind} tokenizer ({known.kind} is its kind)"]
    size = len(content["model"]["vocab"])
    reasons = [f"a vocabulary without {token}" for token in known.tokens if tokenizer.token_to_id(token) is None]
    reasons += [f"the added token {token['content']!r}" for token in tokenizer.added_tokens if token["id"] >= size]
    if tokenizer.vocab_size > size:
        reasons.append("ids with gaps")
    normalizer = [part["type"] for part in pipeline.parts(content.get("normalizer"))]
    pre_tokenizer = [part["type"] for part in pipeline.parts(content.get("pre_tokenizer"))]
    if known.kind == "WordPiece":
        reasons += [f"the normalizer {name}" for name in normalizer if name != "BertNormalizer"]
        reasons += [] if normalizer else ["the absence of a normalizer"]
        reasons += [f"the pre-tokenizer {name}" for name in pre_tokenizer if name != "BertPreTokenizer"]
        reasons += [
            f"the token {token!r}, which ends in white space"
            for token in tokenizer.vocabulary
            if token != token.rstrip() or "\n" in token
        ]
        return reasons
    if known.kind == "BPE":
        reasons += [f"the normalizer {name}" for name in normalizer]
        reasons += [f"the pre-tokenizer {name}" for name in pre_tokenizer if name != "ByteLevel"]
        return reasons
    if family == "xlm-roberta":
        expected = ["<s>", "<pad>", "</s>", "<unk>"]
        if tokenizer.vocabulary[:4] != expected or tokenizer.vocabulary[-1] != "<mask>":
            reasons.append("special tokens elsewhere than at its 0 to 3 and, for <mask>, its last id")
    if charsmap is None:
        reasons.append(f"the normalizer {' + '.join(normalizer)}")
    reasons += [f"the pre-tokenizer {name}" for name in pre_tokenizer if name not in ("WhitespaceSplit", "Metaspace")]
    return reasons


def _word_piece(tokenizer, family):
    """The config and the assets of WordPiece."""
    normalizer = pipeline.parts(tokenizer.normalizer)[0]
    lowercase, strip_accents = normalizer["lowercase"], normalizer["strip_accents"]
    named = set(FAMILIES[family].tokens)
    values = {
        "vocabulary": None,
        "lowercase": lowercase,
        "strip_accents": lowercase if strip_accents is None else strip_accents,
        "split": True,
        "split_on_cjk": normalizer["handle_chinese_chars"],
        "suffix_indicator": tokenizer.definition.content["model"].get("continuing_subword_prefix", "##"),
        "oov_token": tokenizer.special_tokens["unk_token"],
        # The rest of what is matched whole in a text; KerasHub knows the family's own.
        "special_tokens": [token["content"] for token in tokenizer.added_tokens if token["content"] not in named],
        "special_tokens_in_strings": True,
    }
    return values, {"vocabulary.txt": "".join(f"{token}\n" for token in tokenizer.vocabulary).encode("utf-8")}


def _byte_pair(tokenizer, family):
    """The config and the assets of byte-level BPE."""
    byte_level = next(
        part for part in pipeline.parts(tokenizer.definition.content["pre_tokenizer"]) if part["type"] == "ByteLevel"
    )
    values = {
        "add_prefix_space": byte_level["add_prefix_space"],
        "unsplittable_tokens": [token["content"] for token in tokenizer.added_tokens],
    }
    merges = "".join(f"{first} {second}\n" for first, second in tokenizer.merges)
    vocabulary = json.dumps(tokenizer.definition.content["model"]["vocab"])
    return values, {"vocabulary.json": vocabulary.encode("utf-8"), "merges.txt": merges.encode("utf-8")}


def _unigram(tokenizer, family, charsmap):
    """The config and the assets of SentencePiece."""
    content = tokenizer.definition.content
    unknown = tokenizer.unk_token_id
    special = {token["content"] for token in tokenizer.added_tokens if token["special"]}
    pieces = [
        (piece, score, UNKNOWN if index == unknown else CONTROL if piece in special else NORMAL)
        for index, (piece, score) in enumerate(tokenizer.pieces)
    ]
    if family == "xlm-roberta":  # KerasHub itself moves the ids by one, as fairseq does.
        (start, _, end, unknown_piece), pieces = pieces[:4], pieces[4:-1]
        pieces = [unknown_piece, start, end, *pieces]
    prefix = next(part for part in pipeline.parts(content["pre_tokenizer"]) if part["type"] == "Metaspace")
    model = SentencePieceModel(
        pieces=tuple(pieces),
        unk_id=0 if family == "xlm-roberta" else unknown,
        charsmap=charsmap,
        add_dummy_prefix=prefix.get("prepend_scheme", "always") != "never",
        byte_fallback=bool(content["model"].get("byte_fallback")),
    )
    return {"proto": None, "add_bos": False, "add_eos": False}, {"vocabulary.spm": model.to_bytes()}
