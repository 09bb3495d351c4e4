"""SentencePiece's `.model` files, read and written without SentencePiece: pieces, scores, kinds, normalizer.

Such a file is one Protocol Buffers message. Of its fields those that decide
how text is cut are read; the rest is stepped over. Cuts no text.
"""

import dataclasses
import struct
from pathlib import Path

from keras_bert_suite.errors import DataError

__all__ = ["CONTROL", "NORMAL", "UNKNOWN", "USER_DEFINED", "SentencePieceModel", "read_sentence_piece"]

#: Kinds of piece.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
KINDS = range(NORMAL, BYTE + 1)
#: `trainer_spec.model_type`.
MODEL_TYPES = {1: "unigram", 2: "BPE", 3: "word", 4: "char"}
UNIGRAM = 1

# Wire types: how a field's value is laid out.
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
#: Field numbers of the messages.
PIECES, TRAINER, NORMALIZER = 1, 2, 3
PIECE, SCORE, KIND = 1, 2, 3
MODEL_TYPE, VOCAB_SIZE, SUFFIX, BYTE_FALLBACK, UNK_ID, BOS_ID, EOS_ID, PAD_ID = 3, 4, 24, 35, 40, 41, 42, 43
NAME, CHARSMAP, DUMMY_PREFIX, EXTRA_SPACES, ESCAPE_SPACES = 1, 2, 3, 4, 5


@dataclasses.dataclass(frozen=True)
class SentencePieceModel:
    """A unigram model as data.

    Args:
        pieces: tuple of `(str, float, int)`: piece, score, and kind (`NORMAL`, `UNKNOWN`, ...), in id order.
        unk_id: int. The piece of text that no other piece spells.
        charsmap: bytes. The normalizer's compiled rules; empty for none.
        add_dummy_prefix: bool. Put a space before the text.
        remove_extra_whitespaces: bool. Drop spaces at the ends and repeated ones.
        byte_fallback: bool. Spell what is unknown in bytes.
    """

    pieces: tuple
    unk_id: int = 0
    charsmap: bytes = b""
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = True
    byte_fallback: bool = False

    def to_bytes(self):
        """The `.model` file that SentencePiece itself opens."""
        ids = {name: self._control_id(name) for name in ("<s>", "</s>", "<pad>")}
        trainer = [
            _varint_field(MODEL_TYPE, UNIGRAM),
            _varint_field(VOCAB_SIZE, len(self.pieces)),
            _varint_field(BYTE_FALLBACK, self.byte_fallback),
            _varint_field(UNK_ID, self.unk_id),
            _varint_field(BOS_ID, ids["<s>"]),
            _varint_field(EOS_ID, ids["</s>"]),
            _varint_field(PAD_ID, ids["<pad>"]),
        ]
        normalizer = [
            _bytes_field(NAME, b"user_defined" if self.charsmap else b"identity"),
            _bytes_field(CHARSMAP, self.charsmap),
            _varint_field(DUMMY_PREFIX, self.add_dummy_prefix),
            _varint_field(EXTRA_SPACES, self.remove_extra_whitespaces),
            _varint_field(ESCAPE_SPACES, True),
        ]
        pieces = [
            _bytes_field(PIECE, piece.encode("utf-8"))
            + _key(SCORE, FIXED32)
            + struct.pack("<f", score)
            + (b"" if kind == NORMAL else _varint_field(KIND, kind))
            for piece, score, kind in self.pieces
        ]
        return b"".join(
            [
                *(_bytes_field(PIECES, piece) for piece in pieces),
                _bytes_field(TRAINER, b"".join(trainer)),
                _bytes_field(NORMALIZER, b"".join(normalizer)),
            ]
        )

    def _control_id(self, name):
        """The id of a control piece; -1, SentencePiece's word for absent, where there is none."""
        for index, (piece, _, kind) in enumerate(self.pieces):
            if piece == name and kind == CONTROL:
                return index
        return -1


def read_sentence_piece(source):
    """Read a unigram `.model` file.

    Args:
        source: str or path of the file.
    Returns:
        `SentencePieceModel`.
    Raises:
        DataError: if the file is damaged, truncated or empty, repeats a piece, or holds another kind of model.
    """
    content = Path(source).read_bytes()
    try:
        return _model(memoryview(content))
    except (ValueError, struct.error) as error:
        raise DataError(
            f"must be a whole SentencePiece unigram model; {error}. Copy the file anew, or use the checkpoint's "
            "tokenizer.json.",
            source,
        ) from error


def _model(content):
    pieces, trainer, normalizer = [], {}, {}
    for number, value in _fields(content):
        if number == PIECES:
            pieces.append(_piece(value, len(pieces)))
        elif number == TRAINER:
            trainer.update(_fields(_message(value)))
        elif number == NORMALIZER:
            normalizer.update(_fields(_message(value)))
    if not pieces:
        raise ValueError("it holds no pieces")
    kind = trainer.get(MODEL_TYPE, UNIGRAM)
    if kind != UNIGRAM:
        raise ValueError(f"it holds a {MODEL_TYPES.get(kind, 'unknown')} model")
    if trainer.get(SUFFIX):
        raise ValueError("it treats white space as a suffix, which no BERT-style model does")
    ids = {}
    for index, (piece, _, _) in enumerate(pieces):
        if piece in ids:
            raise ValueError(f"piece {index}, {piece!r}, is also piece {ids[piece]}")
        ids[piece] = index
    unknown = [index for index, (_, _, kind) in enumerate(pieces) if kind == UNKNOWN]
    if len(unknown) != 1:
        raise ValueError(f"it has {len(unknown)} unknown pieces instead of 1")
    return SentencePieceModel(
        pieces=tuple(pieces),
        unk_id=unknown[0],
        charsmap=bytes(_message(normalizer.get(CHARSMAP, memoryview(b"")))),
        add_dummy_prefix=bool(normalizer.get(DUMMY_PREFIX, True)),
        remove_extra_whitespaces=bool(normalizer.get(EXTRA_SPACES, True)),
        byte_fallback=bool(trainer.get(BYTE_FALLBACK, False)),
    )


def _piece(value, index):
    fields = dict(_fields(_message(value)))
    try:
        piece = str(_message(fields.get(PIECE, memoryview(b""))), "utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"piece {index} is not UTF-8 text") from error
    score, kind = fields.get(SCORE, 0.0), fields.get(KIND, NORMAL)
    if not piece:
        raise ValueError(f"piece {index} is empty")
    if not isinstance(score, float) or score != score or abs(score) == float("inf"):
        raise ValueError(f"the score of piece {index} is not a number")
    if kind not in KINDS:
        raise ValueError(f"piece {index} is of the unknown kind {kind}")
    return piece, score, kind


def _message(value):
    if not isinstance(value, memoryview):
        raise ValueError("a field has the wrong type")
    return value


def _fields(content):
    """Yield `(number, value)` of a message: int, float, or a view of the bytes; nothing is copied."""
    at, end = 0, len(content)
    while at < end:
        key, at = _varint(content, at)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise ValueError(f"a field at byte {at} of {end} has the number 0")
        if kind == VARINT:
            value, at = _varint(content, at)
        elif kind == BYTES:
            size, at = _varint(content, at)
            if size > end - at:
                raise ValueError(f"a field of {size} bytes begins where {end - at} are left")
            value = content[at : at + size]
            at += size
        elif kind in (FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
            value = struct.unpack_from("<f" if kind == FIXED32 else "<d", content, at)[0]
            at += size
        else:
            raise ValueError(f"the field {number} is of the unknown wire type {kind}")
        yield number, value


def _varint(content, at):
    """An integer of 7 bits a byte, and where it ends."""
    value = shift = 0
    while True:
        if at >= len(content):
            raise ValueError("it ends in the middle of a number")
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError(f"the number before byte {at} does not end")


def _key(number, kind):
    return _encoded(number << 3 | kind)


def _varint_field(number, value):
    return _key(number, VARINT) + _encoded(int(value) % 2**64)  # -1 is written as two's complement


def _bytes_field(number, value):
    return _key(number, BYTES) + _encoded(len(value)) + bytes(value)


def _encoded(value):
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
