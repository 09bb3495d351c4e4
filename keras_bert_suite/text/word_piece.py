"""WordPiece: BERT's tokenizer, and those of DistilBERT, ELECTRA, MacBERT and their like."""

from keras_bert_suite.files import replaced_file
from keras_bert_suite.text import in_graph
from keras_bert_suite.text.definition import from_vocabulary
from keras_bert_suite.text.engines import fast_engine
from keras_bert_suite.text.frame import Frame
from keras_bert_suite.text.tokenizer import Tokenizer

__all__ = ["WordPieceTokenizer"]


class WordPieceTokenizer(Tokenizer):
    """Cut text into the word pieces of a vocabulary and number them.

    Ids and offsets are those of Hugging Face `tokenizers` on the checkpoint's
    own file, which is also what runs; where nanotoken is installed and agrees,
    it makes the ids instead, dozens of times as fast. Nothing is truncated
    unless `max_length` is given.

    Args:
        vocab: list of str (position = id) or dict from token to id.
        lowercase: bool. Lower-case the text. Defaults to True.
        strip_accents: optional bool. Drop accents; None follows `lowercase`.
        split_chinese: bool. Make each CJK character a word. Defaults to True.
        unk_token, cls_token, sep_token, pad_token, mask_token: str. Spellings
            of the special tokens; all but the mask must be in `vocab`.
        max_length: optional int, in tokens. The longest row the model takes;
            kept as a fact, never applied by itself.
    Raises:
        DataError: if the vocabulary is empty, repeats itself or lacks a special token.
    Source: Wu et al. 2016; Devlin et al. 2018, section 3.

    Example:
    >>> tokenizer = WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able"])
    >>> tokenizer.tokenize("Unaffable!")
    ['un', '##aff', '##able', '[UNK]']
    >>> tokenizer(["unaffable", "un"])["token_ids"].tolist()
    [[2, 4, 5, 6, 3], [2, 4, 3, 0, 0]]
    """

    kind = "WordPiece"
    remedy = "Use a BERT-style checkpoint, or its vocab.txt."

    def __init__(
        self,
        vocab,
        lowercase=True,
        strip_accents=None,
        split_chinese=True,
        *,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        max_length=None,
    ):
        special_tokens = {
            "unk_token": unk_token,
            "cls_token": cls_token,
            "sep_token": sep_token,
            "pad_token": pad_token,
            "mask_token": mask_token,
        }
        self._set(
            from_vocabulary(
                vocab, lowercase, strip_accents, split_chinese, special_tokens=special_tokens, max_length=max_length
            )
        )

    @property
    def in_graph_obstacle(self):
        """str, or None: what keeps this tokenizer from having a form inside a TensorFlow graph."""
        return ", ".join(in_graph.obstacles(self)) or None

    def _fast_engine(self, reference):
        probes = [f"a{token['content']}B {token['content']}." for token in self.added_tokens]
        return fast_engine(self.to_json(), reference, probes) or reference

    def _write_vocabulary(self, directory):
        """Write `vocab.txt`, where the ids leave no gap and no token would break a line."""
        vocab = self.definition.content["model"]["vocab"]
        tokens = sorted(vocab, key=vocab.get)
        if [vocab[token] for token in tokens] == list(range(len(tokens))) and not any("\n" in t for t in tokens):
            with replaced_file(directory / "vocab.txt") as file:
                file.write("".join(f"{token}\n" for token in tokens))

    def _settings(self):
        settings = super()._settings()
        settings.pop("model_input_names")
        settings.pop("clean_up_tokenization_spaces")
        bert = self.normalizer.get("type") == "BertNormalizer" and self.normalizer.get("clean_text", True)
        if bert:
            settings["do_lower_case"] = self.normalizer["lowercase"]
            settings["strip_accents"] = self.normalizer["strip_accents"]
            settings["tokenize_chinese_chars"] = self.normalizer["handle_chinese_chars"]
        if bert and self.frame == Frame.bert(self.cls_token_id, self.sep_token_id):
            settings["tokenizer_class"] = "BertTokenizer"
        return settings
