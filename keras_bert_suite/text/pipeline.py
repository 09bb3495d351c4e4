"""The sections of a `tokenizer.json` around its model, as each family of checkpoints has them."""

import base64

__all__ = [
    "albert_normalizer",
    "bert_normalizer",
    "byte_level",
    "changed",
    "charsmap_of",
    "metaspace",
    "parts",
    "precompiled",
    "roberta_processing",
    "template",
    "whitespace_metaspace",
]

#: Under which key each kind of `Sequence` lists its parts.
LISTS = ("normalizers", "pretokenizers", "processors", "decoders")


def parts(section):
    """The sections that a section applies one after the other, `Sequence`s unrolled."""
    if not isinstance(section, dict):
        return []
    if section.get("type") != "Sequence":
        return [section]
    listed = next((section[name] for name in LISTS if isinstance(section.get(name), list)), [])
    return [part for child in listed for part in parts(child)]


def changed(section, kind, **values):
    """A section in which every part of type `kind` has the given values."""
    if not isinstance(section, dict):
        return section
    if section.get("type") == kind:
        return {**section, **values}
    return {
        name: [changed(part, kind, **values) for part in value] if name in LISTS and isinstance(value, list) else value
        for name, value in section.items()
    }


def bert_normalizer(lowercase, strip_accents, split_chinese):
    """BERT's normalizer."""
    return {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": bool(split_chinese),
        "strip_accents": strip_accents,
        "lowercase": bool(lowercase),
    }


def precompiled(charsmap):
    """SentencePiece's compiled rules as a list of normalizers: one, or none where there are no rules."""
    encoded = base64.b64encode(charsmap).decode("ascii")
    return [{"type": "Precompiled", "precompiled_charsmap": encoded}] if charsmap else []


def charsmap_of(normalizer):
    """bytes: SentencePiece's compiled rules inside a normalizer; empty where it has none."""
    for part in parts(normalizer):
        if part["type"] == "Precompiled":
            return base64.b64decode(part["precompiled_charsmap"] or "")
    return b""


def albert_normalizer(lowercase, keep_accents, charsmap):
    """ALBERT's: quotes, accents and case, then SentencePiece's own rules."""
    accents = [] if keep_accents else [{"type": "NFKD"}, {"type": "StripAccents"}]
    return {
        "type": "Sequence",
        "normalizers": [
            {"type": "Replace", "pattern": {"String": "``"}, "content": '"'},
            {"type": "Replace", "pattern": {"String": "''"}, "content": '"'},
            *accents,
            *([{"type": "Lowercase"}] if lowercase else []),
            *precompiled(charsmap),
        ],
    }


def byte_level(add_prefix_space, trim_offsets=True):
    """Words of GPT-2's pattern, their UTF-8 bytes spelled as characters."""
    return {
        "type": "ByteLevel",
        "add_prefix_space": bool(add_prefix_space),
        "trim_offsets": bool(trim_offsets),
        "use_regex": True,
    }


def metaspace(add_prefix_space):
    """SentencePiece's way with spaces: each becomes the first character of the word after it."""
    scheme = "always" if add_prefix_space else "never"
    return {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": True}


def whitespace_metaspace(add_prefix_space):
    """Words between white space, each with SentencePiece's mark of a space before it."""
    return {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace(add_prefix_space)]}


def roberta_processing(cls_token, cls_id, sep_token, sep_id, add_prefix_space, trim_offsets):
    """RoBERTa's `<s> A </s>` and `<s> A </s></s> B </s>`, all of segment 0."""
    return {
        "type": "RobertaProcessing",
        "sep": [sep_token, sep_id],
        "cls": [cls_token, cls_id],
        "trim_offsets": bool(trim_offsets),
        "add_prefix_space": bool(add_prefix_space),
    }


def template(cls_token, cls_id, sep_token, sep_id, roberta=False):
    """The post-processor that writes `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]`; or RoBERTa's frame."""
    second = 0 if roberta else 1

    def special(token, segment):
        return {"SpecialToken": {"id": token, "type_id": segment}}

    def text(name, segment):
        return {"Sequence": {"id": name, "type_id": segment}}

    single = [special(cls_token, 0), text("A", 0), special(sep_token, 0)]
    between = [special(sep_token, 0)] if roberta else []
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, *between, text("B", second), special(sep_token, second)],
        "special_tokens": {
            token: {"id": token, "ids": [token_id], "tokens": [token]}
            for token, token_id in ((cls_token, cls_id), (sep_token, sep_id))
        },
    }
