"""A text with two marked spans in; the relation between them out."""

import dataclasses
import logging
import re

import numpy as np

from keras_bert_suite.data import Relation, read_relations
from keras_bert_suite.errors import CheckpointError
from keras_bert_suite.tasks.added_tokens import with_added_tokens
from keras_bert_suite.tasks.inference import progress_bar
from keras_bert_suite.tasks.inputs import Texts
from keras_bert_suite.tasks.text_classifier import TextClassifier
from keras_bert_suite.text import Ragged
from keras_bert_suite.text.ragged import row_offsets
from keras_bert_suite.text.truncation import cut_around

__all__ = ["RelationClassifier"]

logger = logging.getLogger(__name__)

#: The markers around head and tail.
MARKERS = ("[E1]", "[/E1]", "[E2]", "[/E2]")
_MARKER = re.compile(r"\[/?E[12](:[^\s\[\]]+)?\]")


@dataclasses.dataclass
class RelationTexts(Texts):
    """`Texts` with markers in them, and what they were made of.

    Args:
        relations: list of `data.Relation`.
    """

    relations: list = dataclasses.field(default_factory=list)


class RelationClassifier(TextClassifier):
    """A classifier of the relation between two spans of a text.

    The spans are marked in the text: `[E1] Ann [/E1] founded [E2] Acme [/E2]`.
    Where the training data gives types, each has markers of its own, such as
    `[E1:PER]`. The markers are tokens of the vocabulary, and the model is a
    classifier of the marked text. Texts that are too long are cut around the spans.

    Args:
        encoder: `keras.Model` made by `build_encoder` or `load_encoder`. Where it has no
            rows for the markers, a copy of it that has them is used.
        tokenizer: `text.Tokenizer`.
        labels: optional sequence of str, in the order of the model's outputs.
            Without them, `fit` takes the labels that its data has.
        max_length: optional int, in tokens. Defaults to what the encoder and the tokenizer allow.
    Attributes:
        model, encoder, tokenizer, labels, max_length: as in `TextClassifier`.
    Example:
    >>> import keras_bert_suite as kbs
    >>> from keras_bert_suite.tasks.relation_classifier import RelationClassifier
    >>> tokenizer = kbs.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ann", "acme", "at"])
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=8, num_layers=1, hidden_dim=12, num_heads=3, intermediate_dim=20, max_length=16)
    >>> classifier = RelationClassifier(kbs.models.build_encoder(config), tokenizer)
    >>> texts = ["<e1>Ann</e1> at <e2>Acme</e2>", "at <e2>Ann</e2> <e1>Acme</e1>"]
    >>> history = classifier.fit(texts, ["works_at", "none"], epochs=1, verbose=0)
    >>> sorted(classifier.predict(texts[:1])[0]), classifier.tokenizer.vocabulary[8:]
    (['label', 'score'], ['[E1]', '[/E1]', '[E2]', '[/E2]'])

    Source: Baldini Soares et al. 2019, section 3.2; Zhong and Chen 2021, section 3.2, for typed markers.
    """

    task = "relation-classification"

    def __init__(self, encoder, tokenizer, labels=None, max_length=None):
        super().__init__(
            encoder, tokenizer, labels=labels, max_length=max_length, problem_type="single_label_classification"
        )
        self._had_markers = all(tokenizer.token_to_id(marker) is not None for marker in MARKERS)
        self._add_markers(MARKERS)

    @classmethod
    def _settings_from(cls, checkpoint, trained, labels):
        return {"labels": super()._settings_from(checkpoint, trained, labels)["labels"]}

    def _adopt(self, model):
        if not self._had_markers:
            raise CheckpointError(
                "its classifier was not trained for relations: its vocabulary has no markers of entities. Pass "
                "replace_head=True to train a new head."
            )
        super()._adopt(model)

    @property
    def markers(self):
        """tuple of str: the markers of entities that the vocabulary has, those with types included."""
        return tuple(token for token in self.tokenizer.vocabulary if _MARKER.fullmatch(token))

    @property
    def marker_ids(self):
        """list of int: the token ids of `markers`."""
        return [self.tokenizer.token_to_id(marker) for marker in self.markers]

    def _add_markers(self, markers):
        self.encoder, self.tokenizer = with_added_tokens(self.encoder, self.tokenizer, markers)

    def _read(self, x, y=None, pairs=None, columns=None, require_label=False):
        if pairs is not None:
            raise ValueError("relation classification: entities are spans of one text. Leave pairs out.")
        x = [x] if isinstance(x, (dict, Relation)) or (isinstance(x, str) and "<e1>" in x.lower()) else x
        relations = read_relations(x, y, require_labels=require_label, columns=columns)
        path = x if isinstance(x, str) or not hasattr(x, "__iter__") else None
        labels = [relation.label for relation in relations]
        return RelationTexts(
            [relation.marked() for relation in relations],
            labels=labels if any(label is not None for label in labels) else None,
            path=path,
            lines=[relation.line for relation in relations] if path is not None else None,
            relations=relations,
        )

    def _learn_from(self, examples):
        super()._learn_from(examples)
        if self._built is None:  # a model that is trained keeps the vocabulary that it was trained with
            self._add_markers(sorted({token[0] for text in examples.texts for token in _MARKER.finditer(text)}))

    def _encode(self, found):
        known = frozenset(self.markers)
        encoded = self.tokenizer.encode([relation.marked(known) for relation in found.relations])
        long = np.flatnonzero(encoded.lengths > self.max_length)
        if not len(long):
            return encoded
        where = f"{found.path}: " if found.path else ""
        logger.info(
            "%s%d of %d texts are longer than %d tokens and were cut around their entities.",
            where,
            len(long),
            len(encoded),
            self.max_length,
        )
        marker_ids = self.marker_ids
        before, after = map(len, self.tokenizer.frame.single)
        rows = [encoded[row] for row in range(len(encoded))]
        for row in long.tolist():
            start, body, end = np.split(rows[row], [before, len(rows[row]) - after])
            rows[row] = np.concatenate([start, cut_around(body, marker_ids, self.max_length - before - after), end])
        lengths = np.array([len(row) for row in rows])
        return Ragged(np.concatenate(rows), row_offsets(lengths), lengths.astype("int32"), encoded.pad_token_id)

    def _logit_chunks(self, x, pairs, columns, progress):
        self._check_ready()
        if isinstance(x, (list, tuple)) and not x:
            return
        found = self._read(x, None, pairs, columns)
        with progress_bar(len(found), "predicting", progress) as bar:
            yield found, self._logits(found, bar)
