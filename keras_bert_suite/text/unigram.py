"""SentencePiece unigram: the tokenizer of ALBERT, XLM-R and CamemBERT."""

from keras_bert_suite.files import replaced_file
from keras_bert_suite.text.definition import from_pieces
from keras_bert_suite.text.tokenizer import Tokenizer

__all__ = ["UnigramTokenizer"]


class UnigramTokenizer(Tokenizer):
    """Cut text into the most probable row of pieces, each with a probability of its own.

    Unlike WordPiece it needs no words: a space is a character, spelled
    `\u2581`, at the beginning of the piece after it. `from_pretrained` reads
    SentencePiece's own `.model` files as well.

    Args:
        vocab: list of `(piece, log probability)`, in id order, special tokens among them.
        add_prefix_space: bool. Put a space before each text. Defaults to True.
        charsmap: bytes. SentencePiece's compiled normalizer rules. Defaults to none.
        unk_token, cls_token, sep_token, pad_token, mask_token: str. Spellings
            of the special tokens; all but the mask must be in `vocab`.
        max_length: optional int, in tokens; kept as a fact.
    Raises:
        DataError: if the vocabulary is empty or lacks a special token.
    Source: Kudo 2018; Kudo and Richardson 2018; Conneau et al. 2019.

    Example:
    >>> pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0), ("a", -2.0)]
    >>> tokenizer = UnigramTokenizer([*pieces, ("\u2581a", -1.0)])
    >>> tokenizer("a aa")["token_ids"].tolist()
    [[0, 6, 6, 5, 2]]
    """

    kind = "Unigram"
    remedy = "Use an XLM-R- or ALBERT-style tokenizer.json, or its SentencePiece .model."

    def __init__(
        self,
        vocab,
        add_prefix_space=True,
        charsmap=b"",
        *,
        unk_token="<unk>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        mask_token="<mask>",
        max_length=None,
    ):
        special_tokens = {
            "unk_token": unk_token,
            "cls_token": cls_token,
            "sep_token": sep_token,
            "pad_token": pad_token,
            "mask_token": mask_token,
            "bos_token": cls_token,
            "eos_token": sep_token,
        }
        unk_id = next((index for index, (piece, _) in enumerate(vocab) if piece == unk_token), 0)
        self._set(
            from_pieces(vocab, unk_id, add_prefix_space, charsmap, special_tokens=special_tokens, max_length=max_length)
        )

    @property
    def pieces(self):
        """list of `(piece, log probability)`, in id order, without tokens added later."""
        return [tuple(item) for item in self.definition.content["model"]["vocab"]]

    def _write_vocabulary(self, directory):
        """Write the SentencePiece model that the tokenizer came from, where there is one."""
        if self.definition.sentence_piece:
            name, content = self.definition.sentence_piece
            with replaced_file(directory / name, "wb") as file:
                file.write(content)
