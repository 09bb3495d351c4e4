"""What a tokenizer is, brought to one form: the content of a `tokenizer.json` and a few names. Encodes nothing."""

import dataclasses
import json

from keras_bert_suite.errors import DataError
from keras_bert_suite.text import pipeline
from keras_bert_suite.text.sentence_piece import CONTROL
from keras_bert_suite.text.settings import added_token

__all__ = [
    "BERT_TOKENS",
    "FAIRSEQ_TOKENS",
    "SPECIAL_NAMES",
    "Definition",
    "add_tokens",
    "check_special_tokens",
    "from_merges",
    "from_pieces",
    "from_sentence_piece",
    "from_vocabulary",
    "special_entries",
]

#: The special tokens that every tokenizer here has a name for; the last may be absent from a vocabulary.
SPECIAL_NAMES = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
REQUIRED_NAMES = SPECIAL_NAMES[:4]

BERT_TOKENS = {name: f"[{name[:-6].upper()}]" for name in SPECIAL_NAMES}
#: RoBERTa's, XLM-R's and CamemBERT's.
FAIRSEQ_TOKENS = {
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "mask_token": "<mask>",
    "bos_token": "<s>",
    "eos_token": "</s>",
}
ALBERT_TOKENS = {
    **BERT_TOKENS,
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "bos_token": "[CLS]",
    "eos_token": "[SEP]",
}

#: ALBERT was trained on digits and commas cut apart; its published files so punish the pieces that hold both.
COMMA_PENALTY = 100


@dataclasses.dataclass(frozen=True)
class Definition:
    """A tokenizer as data.

    Args:
        content: dict. A whole `tokenizer.json`, without truncation and padding.
        special_tokens: dict from each of `SPECIAL_NAMES`, and from further
            names such as `bos_token`, to its spelling; None where there is none.
        max_length: optional int. The longest row, in tokens, the model was made for.
        extra_special_tokens: strs. Special tokens without a name of their own.
        sentence_piece: optional `(file name, bytes)`: the `.model` file it came from.
    """

    content: dict
    special_tokens: dict
    max_length: int | None = None
    extra_special_tokens: tuple = ()
    sentence_piece: tuple | None = None

    @property
    def vocabulary(self):
        """dict from token to id, added tokens included."""
        added = {token["content"]: token["id"] for token in self.content.get("added_tokens") or ()}
        return {**_model_vocabulary(self.content), **added}

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
    extra_special_tokens=(),
):
    """Define the WordPiece tokenizer that `transformers` builds around a vocabulary.

    Args:
        vocab: list of str (its order gives the ids) or dict from str to int.
        lowercase: bool. Lower-case the text.
        strip_accents: optional bool. Drop accents; None follows `lowercase`.
        split_chinese: bool. Make each CJK character a word.
        special_tokens: optional dict from names to spellings, or to entries as in `added_tokens`.
        extra_tokens: strs, or dicts as in `added_tokens`; matched whole in the text.
        max_length: optional int, in tokens.
        path: optional. The file that errors name.
        extra_special_tokens: strs, remembered as such; see `Definition`.
    Raises:
        DataError: if the vocabulary is empty, repeats itself or lacks a special token.
    """
    vocab = _checked_vocabulary(vocab, path)
    entries = special_entries(special_tokens, BERT_TOKENS)
    content = _content(
        model={
            "type": "WordPiece",
            "unk_token": entries["unk_token"]["content"],
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocab,
        },
        normalizer=pipeline.bert_normalizer(lowercase, strip_accents, split_chinese),
        pre_tokenizer={"type": "BertPreTokenizer"},
        decoder={"type": "WordPiece", "prefix": "##", "cleanup": True},
    )
    return _completed(content, entries, extra_tokens, extra_special_tokens, max_length, path, pipeline.template)


def from_merges(
    vocab,
    merges,
    add_prefix_space=False,
    trim_offsets=True,
    special_tokens=None,
    extra_tokens=(),
    max_length=None,
    path=None,
    extra_special_tokens=(),
    framed=True,
):
    """Define RoBERTa's byte-level BPE tokenizer around a vocabulary and its merges.

    Args:
        vocab: dict from str to int.
        merges: list of pairs of str, or of str `"first second"`; the first come first.
        add_prefix_space: bool. Put a space before each text, so that its first word is like the others.
        trim_offsets: bool. Whether the span of a token leaves out the space that begins it.
        special_tokens, extra_tokens, max_length, path, extra_special_tokens: as in `from_vocabulary`.
        framed: bool. Put RoBERTa's special tokens around texts; GPT-2 has none.
    Raises:
        DataError: if the vocabulary is empty, no mapping to ids, or lacks a special token.
    """
    if not isinstance(vocab, dict):
        raise DataError(
            f"a vocabulary of BPE must map tokens to ids; received {type(vocab).__name__}. Copy it anew.", path
        )
    vocab = _checked_vocabulary(vocab, path)
    content = _content(
        model={
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": [merge.split(" ") if isinstance(merge, str) else list(merge) for merge in merges],
        },
        pre_tokenizer=pipeline.byte_level(add_prefix_space),
        decoder=pipeline.byte_level(True),
    )

    def frame(*tokens):
        return pipeline.roberta_processing(*tokens, add_prefix_space, trim_offsets) if framed else None

    entries = special_entries(special_tokens, FAIRSEQ_TOKENS, lstrip_mask=True)
    return _completed(content, entries, extra_tokens, extra_special_tokens, max_length, path, frame)


def from_pieces(
    pieces,
    unk_id,
    add_prefix_space=True,
    charsmap=b"",
    normalizer=None,
    byte_fallback=False,
    special_tokens=None,
    extra_tokens=(),
    max_length=None,
    path=None,
    extra_special_tokens=(),
    sentence_piece=None,
    roberta=True,
):
    """Define a unigram tokenizer around pieces in id order.

    Args:
        pieces: list of `(str, float)`: piece and log probability.
        unk_id: int. The id of what no piece spells.
        add_prefix_space: bool. Put a space before each text.
        charsmap: bytes. SentencePiece's compiled normalizer rules.
        normalizer: optional dict, in the place of `charsmap`.
        byte_fallback: bool. Spell unknown characters in byte pieces.
        special_tokens, extra_tokens, max_length, path, extra_special_tokens: as in `from_vocabulary`.
        sentence_piece: optional; see `Definition`.
        roberta: bool. The frame: XLM-R's, and its names of special tokens; else ALBERT's.
    Raises:
        DataError: if there are no pieces or a special token is missing.
    """
    if not pieces:
        raise DataError("the vocabulary must not be empty. Copy the file anew.", path)
    decoder = pipeline.metaspace(add_prefix_space)
    if byte_fallback:
        decoder = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, decoder]}
    content = _content(
        model={
            "type": "Unigram",
            "unk_id": unk_id,
            "vocab": [[piece, score] for piece, score in pieces],
            "byte_fallback": byte_fallback,
        },
        normalizer=normalizer or next(iter(pipeline.precompiled(charsmap)), None),
        pre_tokenizer=pipeline.whitespace_metaspace(add_prefix_space),
        decoder=decoder,
    )

    def frame(*tokens):
        return pipeline.template(*tokens, roberta=roberta)

    entries = special_entries(special_tokens, FAIRSEQ_TOKENS if roberta else ALBERT_TOKENS, lstrip_mask=True)
    return _completed(
        content, entries, extra_tokens, extra_special_tokens, max_length, path, frame, sentence_piece
    )  # fmt: skip


def from_sentence_piece(
    model, family, lowercase=True, keep_accents=False, add_prefix_space=None, special_tokens=None, extra_tokens=(),
    **facts,
):  # fmt: skip
    """Define the tokenizer that ALBERT, CamemBERT or XLM-R makes of a SentencePiece model.

    Control pieces become special tokens. Symbols that the user of
    SentencePiece defined stay pieces of the model, which cuts text as
    SentencePiece does; as added tokens they would put a space after themselves.

    Args:
        model: `SentencePieceModel`.
        family: `"albert"`, `"camembert"` or `"xlm-roberta"`: where the special tokens lie.
        lowercase, keep_accents: bools, for ALBERT alone.
        add_prefix_space: optional bool. None follows the model.
        special_tokens, extra_tokens: as in `from_vocabulary`.
        **facts: `max_length`, `path`, `extra_special_tokens`, `sentence_piece`, as in `from_pieces`.
    """
    pieces = [(piece, score) for piece, score, _ in model.pieces]
    controls = [{"content": piece, "special": True} for piece, _, kind in model.pieces if kind == CONTROL]
    tokens = special_entries(special_tokens, ALBERT_TOKENS if family == "albert" else FAIRSEQ_TOKENS)
    bos, pad, eos, unk, mask = (
        (tokens[name]["content"], 0.0) for name in ("bos_token", "pad_token", "eos_token", "unk_token", "mask_token")
    )
    normalizer, unk_id = None, 3
    if family == "xlm-roberta":
        pieces = [bos, pad, eos, unk, *pieces[3:], mask]
    elif family == "camembert":
        pieces = [("<s>NOTUSED", 0.0), pad, ("</s>NOTUSED", 0.0), unk, ("<unk>NOTUSED", -100.0), *pieces[1:], mask]
    else:
        unk_id = model.unk_id
        pieces = [(piece, score - COMMA_PENALTY * _digit_and_comma(piece)) for piece, score in pieces]
        normalizer = pipeline.albert_normalizer(lowercase, keep_accents, model.charsmap)
    return from_pieces(
        pieces,
        unk_id,
        add_prefix_space=model.add_dummy_prefix if add_prefix_space is None else add_prefix_space,
        charsmap=model.charsmap,
        normalizer=normalizer,
        byte_fallback=model.byte_fallback,
        special_tokens=special_tokens,
        extra_tokens=[*extra_tokens, *(entry for entry in controls if entry["content"] in dict(pieces))],
        roberta=family != "albert",
        **facts,
    )


def special_entries(special_tokens, defaults, lstrip_mask=False):
    """dict from each name to its entry, spelled as in `added_tokens`.

    Args:
        special_tokens: optional dict from names to spellings or entries.
        defaults: dict from names to spellings.
        lstrip_mask: bool. Whether a mask token without flags of its own takes
            the space before it, as in the published files of RoBERTa, XLM-R and ALBERT.
    """
    entries = {}
    for name, token in {**defaults, **(special_tokens or {})}.items():
        if isinstance(token, dict):
            entries[name] = token
        elif token is not None:
            lstrip = lstrip_mask and name == "mask_token"
            entries[name] = {"content": token, "special": True, "lstrip": lstrip}
    return entries


def add_tokens(content, entries):
    """Add tokens to a `tokenizer.json` as `tokenizers` adds them: the first of each spelling counts.

    Args:
        content: dict. Its `added_tokens` become a new list.
        entries: dicts as in `added_tokens`; one in the model's vocabulary has its id there, another its own or the
            next free one.
    """
    vocab = _model_vocabulary(content)
    added = {token["content"]: token for token in content.get("added_tokens") or ()}
    free = max([*vocab.values(), *(token["id"] for token in added.values())]) + 1
    for entry in entries:
        if entry["content"] in added:
            continue
        token_id = vocab.get(entry["content"], entry.get("id"))
        if token_id is None:
            token_id = free
        free = max(free, token_id + 1)
        added[entry["content"]] = added_token(entry, token_id)
    content["added_tokens"] = sorted(added.values(), key=lambda token: token["id"])


def check_special_tokens(special_tokens, vocab, path, required=REQUIRED_NAMES):
    """Raise unless the vocabulary holds every special token that a frame or a batch needs."""
    missing = [special_tokens[name] or name for name in required if special_tokens[name] not in vocab]
    if missing:
        raise DataError(
            f"the vocabulary must hold the special tokens; missing: {', '.join(missing)}. "
            "Add them, or name the ones it has in tokenizer_config.json (cls_token, sep_token, pad_token, unk_token).",
            path,
        )


def _content(model, pre_tokenizer, decoder, normalizer=None):
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": None,
        "decoder": decoder,
        "model": model,
    }


def _completed(content, entries, extra, extra_special, max_length, path, frame, sentence_piece=None):
    """The definition of a content that still lacks its added tokens and its frame.

    Args:
        entries: dict from names to entries; see `special_entries`.
        frame: function of `cls_token, cls_id, sep_token, sep_id` to a post-processor.
    """
    vocab = _model_vocabulary(content)
    special_tokens = {name: entry["content"] for name, entry in entries.items()}
    check_special_tokens(special_tokens, vocab, path)
    extra = [token if isinstance(token, dict) else {"content": token, "special": True} for token in extra]
    # A model without a mask token is complete without it; other names are added where the vocabulary lacks them.
    mask = special_tokens["mask_token"]
    named = [entry for name, entry in entries.items() if name != "mask_token" or mask in vocab]
    extra = [token for token in extra if token["content"] != mask or mask in vocab or "id" in token]
    special = {entry["content"] for entry in named}
    extra = [{**token, "special": True} if token["content"] in special else token for token in extra]
    # Those with an id were declared with their flags, which count before a mere name.
    add_tokens(content, [token for token in extra if "id" in token] + named + extra)
    cls_token, sep_token = special_tokens["cls_token"], special_tokens["sep_token"]
    content["post_processor"] = frame(cls_token, vocab[cls_token], sep_token, vocab[sep_token])
    return Definition(content, special_tokens, max_length, tuple(extra_special), sentence_piece)


def _model_vocabulary(content):
    """dict from token to id, without added tokens."""
    vocab = content["model"]["vocab"]
    return vocab if isinstance(vocab, dict) else {piece: index for index, (piece, _) in enumerate(vocab)}


def _checked_vocabulary(vocab, path):
    if isinstance(vocab, dict):
        if not vocab:
            raise DataError("the vocabulary must not be empty. Give at least the special tokens.", path)
        wrong = next((item for item in vocab.items() if type(item[1]) is not int or item[1] < 0), None)
        if wrong:
            raise DataError(
                f"a vocabulary must map tokens to ids of 0 or above; received {wrong[0]!r}: {wrong[1]!r:.60}. "
                "Copy the file anew.",
                path,
            )
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


def _digit_and_comma(piece):
    """bool: whether a piece ends in a digit and a comma."""
    return len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit()
