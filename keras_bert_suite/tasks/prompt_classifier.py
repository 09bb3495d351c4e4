"""Classification by a prompt: a text, a gap, and the word that a masked language model puts there."""

import string
from collections import Counter

from keras_bert_suite.errors import CheckpointError
from keras_bert_suite.models import build_masked_lm, build_prompt_classifier
from keras_bert_suite.tasks.inputs import encode_texts
from keras_bert_suite.tasks.pretrained import own_values
from keras_bert_suite.tasks.problems import SingleLabel
from keras_bert_suite.tasks.text_classifier import TextClassifier

__all__ = ["PromptClassifier"]


class PromptClassifier(TextClassifier):
    """A classifier of texts without a head of its own: it needs few examples, or none.

    A text is put into `pattern`, and each label is as likely as the words that
    stand for it are in the gap. It answers at once; `fit` makes it better with
    as few as eight examples a label.

    Args:
        encoder, tokenizer, max_length: as in `TextClassifier`.
        words: dict from each label to a str or a list of str: tokens of the
            vocabulary that stand for it in the gap.
        pattern: str with `{text}` and `{mask}`, and `{text_b}` for pairs.
            Defaults to `"{text} It was {mask}."`.
    Attributes:
        As in `TextClassifier`.
    Example:
    >>> import keras_bert_suite as kbs
    >>> tokenizer = kbs.WordPieceTokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "it", "was", ".", "good", "bad", "film"])
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=11, num_layers=1, hidden_dim=12, num_heads=3, intermediate_dim=20, max_length=16)
    >>> classifier = PromptClassifier(
    ...     kbs.models.build_encoder(config), tokenizer, words={"pos": "good", "neg": ["bad"]})
    >>> sorted(classifier.predict(["film"])[0])
    ['label', 'score']

    Source: Schick and Schütze 2021; Gao et al. 2021.
    """

    task = "prompt-classification"
    head = "masked_lm"

    def __init__(self, encoder, tokenizer, max_length=None, *, words, pattern="{text} It was {mask}.", pair=False):
        if tokenizer.mask_token_id is None:
            raise ValueError("PromptClassifier: the tokenizer must have a mask token. Received: one without.")
        fields = sorted(field for _, field, _, _ in string.Formatter().parse(pattern) if field is not None)
        if fields not in (["mask", "text"], ["mask", "text", "text_b"]):
            raise ValueError(
                "PromptClassifier: pattern must have {text} and {mask} once, and may have {text_b}. "
                f"Received: pattern={pattern!r}."
            )
        self.words = {label: [found] if isinstance(found, str) else list(found) for label, found in words.items()}
        super().__init__(
            encoder, tokenizer, list(self.words), max_length, "text_b" in fields, problem_type=SingleLabel.name
        )
        self.pattern = pattern
        self._word_ids = [[self._word_id(word) for word in words] for words in self.words.values()]
        counts = Counter(word for words in self.words.values() for word in set(words))
        if shared := [word for word, count in counts.items() if count > 1]:
            raise ValueError(
                f"PromptClassifier: a word must stand for one label. Received: {shared[0]!r} for several. Choose "
                "another."
            )
        self._masked_lm = None

    def _word_id(self, word):
        """The id of a word; where words begin with a space of their own, as in the middle of a text."""
        pieces = self.tokenizer.tokenize(f"{self.tokenizer.special_tokens['mask_token']} {word}")[1:]
        if len(pieces) != 1 or self.tokenizer.token_to_id(pieces[0]) == self.tokenizer.unk_token_id:
            raise ValueError(
                f"PromptClassifier: each word must be one token of the vocabulary. Received: {word!r}, which is "
                f"{pieces}. Choose another."
            )
        return self.tokenizer.token_to_id(pieces[0])

    @classmethod
    def _settings_from(cls, checkpoint, trained, labels):
        if not trained:
            raise CheckpointError(
                f"{checkpoint.path}: a prompt needs a trained masked language model. Received: a checkpoint with "
                f"{', '.join(checkpoint.heads) or 'no head'}. Use the checkpoint that was pretrained."
            )
        if labels is not None:
            raise TypeError("PromptClassifier: labels are the keys of words. Received: labels. Pass words={...}.")
        own = own_values(checkpoint)
        return {name: own[name] for name in ("words", "pattern") if name in own}

    def _values(self):
        return {"keras_bert_suite": {"words": self.words, "pattern": self.pattern}}

    def _adopt(self, model):
        self._masked_lm = model

    def _build(self):
        masked_lm = self._masked_lm or build_masked_lm(self.encoder)
        return build_prompt_classifier(masked_lm, self.tokenizer.mask_token_id, self._word_ids)

    def _encode(self, found):
        gap = self.tokenizer.special_tokens["mask_token"]
        pairs = found.pairs if found.pairs is not None else [""] * len(found)
        texts = found.texts
        prompts = [self._filled(*both, gap) for both in zip(texts, pairs, strict=True)]
        encoded = encode_texts(self.tokenizer, prompts, None, self.max_length, found.path)
        # A prompt that was cut may have lost its gap: there, the texts are cut instead.
        for row in (encoded.lengths >= self.max_length).nonzero()[0].tolist():
            prompts[row] = self._shortened(texts[row], pairs[row], gap)
        return encode_texts(self.tokenizer, prompts, None, self.max_length)

    def _filled(self, text, text_b, gap):
        # A text may itself spell the gap's token; only ours is one.
        text, text_b = (part.replace(gap, gap.strip("[]<>")) for part in (text, text_b))
        return self.pattern.format(text=text, text_b=text_b, mask=gap)

    def _shortened(self, text, text_b, gap):
        """Fill the pattern with as many leading tokens of the texts as there is room for."""
        around = len(self.tokenizer.encode([self._filled("", "", gap)])[0])
        room = max(self.max_length - around, 0) // (2 if text_b else 1)
        _, offsets, spans = self.tokenizer.encode_with_offsets([text, text_b])
        cut = []
        for index, part in enumerate((text, text_b)):
            ends = spans[offsets[index] : offsets[index + 1], 1]
            cut.append(part if len(ends) <= room else part[: ends[room - 1]] if room else "")
        return self._filled(*cut, gap)
