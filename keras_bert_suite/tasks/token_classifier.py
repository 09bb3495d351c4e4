"""Texts in; spans of them, with what they are, out: named entities, slots, parts of speech."""

import logging
from pathlib import Path

import keras
import numpy as np

from keras_bert_suite.data import LabelMap
from keras_bert_suite.data.chunks import chunked
from keras_bert_suite.data.tag_schemes import (
    OUTSIDE,
    canonical_tags,
    check_scheme,
    scheme_tags,
    spans_to_tags,
    split_tag,
    tags_to_spans,
)
from keras_bert_suite.errors import CheckpointError, DataError
from keras_bert_suite.files import write_json_lines
from keras_bert_suite.layers import CRF
from keras_bert_suite.models import build_token_classifier
from keras_bert_suite.reports import MOST_MISTAKES, Report, span_scores
from keras_bert_suite.tasks.fields import decode_field, forbid_transitions
from keras_bert_suite.tasks.inference import predict_batches, progress_bar
from keras_bert_suite.tasks.inputs import is_batched, is_data_path
from keras_bert_suite.tasks.pretrained import head_labels, own_values
from keras_bert_suite.tasks.tagging_inputs import (
    TaggedTexts,
    check_tags,
    place_words,
    read_tagged_input,
    read_untagged_file,
)
from keras_bert_suite.tasks.task import Task
from keras_bert_suite.text.ragged import row_positions
from keras_bert_suite.training import IGNORED, CRFLoss, TokenTargets, crf_targets

__all__ = ["TokenClassifier"]

logger = logging.getLogger(__name__)

#: How the name of a file ends that `predict` takes a str for.
DATA_SUFFIXES = (".conll", ".jsonl", ".ndjson", ".json", ".tsv", ".txt", ".gz")
#: Texts, and characters of texts, that are predicted at once.
CHUNK_TEXTS, CHUNK_CHARACTERS = 8192, 2**22


class TokenClassifier(Task):
    """A tagger of the words of texts: a `keras.Model`, its tokenizer and its tags.

    The first token of each word has the word's tag; no other token counts. A
    text that is longer than the model goes through it in rows that overlap, and
    each word is learnt and predicted where it has the most context. Open one
    with `from_pretrained`.

    Args:
        encoder: `keras.Model` made by `build_encoder` or `load_encoder`.
        tokenizer: `text.Tokenizer`.
        labels: optional sequence of str: the tags, in the order of the model's
            outputs. Without them, `fit` takes those that its data has.
        max_length: optional int. Tokens of a row. Defaults to what the encoder
            and the tokenizer allow.
        scheme: optional str: `"IO"`, `"IOB1"`, `"BIO"` or `"BIOES"`, what the tags
            are to be. Defaults to the scheme of the data; of spans, to `"BIO"`.
        crf: bool. Whether a conditional random field chooses the tags of a text
            together. Defaults to False.
        stride: optional int. Tokens that neighbouring rows of a long text
            share. Defaults to a quarter of `max_length`, at most 64.
    Attributes:
        model: `keras.Model` from token arrays to logits `(B, T, L)`, or with a
            field to what `layers.CRF` returns.
        encoder: `keras.Model`, the part of it that was pretrained.
        tokenizer: the tokenizer.
        labels: list of str.
        scheme: str; `None` until it is known.
        max_length, stride: int, in tokens.
    Example:
    >>> import keras_bert_suite as kbs
    >>> from keras_bert_suite.tasks.token_classifier import TokenClassifier
    >>> words = ["ada", "sings", "in", "paris"]
    >>> tokenizer = kbs.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=9, num_layers=1, hidden_dim=12, num_heads=3, intermediate_dim=20, max_length=16)
    >>> tagger = TokenClassifier(kbs.models.build_encoder(config), tokenizer)
    >>> tagger.compile(learning_rate=1e-3)
    >>> spans = [{"start": 0, "end": 3, "label": "PER"}, {"start": 13, "end": 18, "label": "LOC"}]
    >>> history = tagger.fit(["Ada sings in Paris"], [spans], epochs=1, verbose=0)
    >>> tagger.labels, sorted(tagger.predict(["Paris"])[0])
    (['O', 'B-LOC', 'I-LOC', 'B-PER', 'I-PER'], ['spans', 'text'])

    Source: Devlin et al. 2018, section 5.3.
    """

    task = "token-classification"
    head = "token_classifier"
    #: The scores of `evaluate`, the main one first.
    score_names = ("f1", "precision", "recall", "accuracy")
    monitor = ("val_f1", "max")
    scores_texts = True

    def __init__(self, encoder, tokenizer, labels=None, max_length=None, scheme=None, crf=False, stride=None):
        super().__init__(encoder, tokenizer, max_length)
        self.crf = crf
        self.scheme = None if scheme is None else check_scheme(scheme)
        self.stride = min(self.max_length // 4, 64) if stride is None else stride
        self.label_map = None
        if labels is not None:
            self._set_labels(labels)

    def _set_labels(self, labels):
        self.label_map = LabelMap(labels)
        #: The tags as the schemes spell them.
        self._canonical = canonical_tags(labels)
        prefixes, kinds = (set(part) for part in zip(*map(split_tag, self._canonical.values()), strict=True))
        self.scheme = self.scheme or ("BIOES" if prefixes & set("ES") else "BIO" if "B" in prefixes else "IO")
        known = scheme_tags(kinds, self.scheme)
        unfit = [label for label in labels if self._canonical[label] not in known]
        if unfit:
            raise ValueError(
                f"TokenClassifier: labels must be tags of the scheme {self.scheme}. Received: {unfit[0]!r}. Leave "
                "scheme out, or name the tags of that scheme."
            )
        #: The output of each tag, spelled so.
        self._outputs = {self._canonical[label]: index for index, label in enumerate(labels)}
        self._kinds = kinds - {""}

    # Opening and saving

    @classmethod
    def _settings_from(cls, checkpoint, trained, labels):
        own = own_values(checkpoint)
        settings = {"labels": labels, **{name: own[name] for name in ("scheme", "stride") if own.get(name)}}
        if trained:
            settings["labels"] = head_labels(checkpoint, cls.head, labels)
            settings["crf"] = "crf/transitions" in checkpoint.weights
        return settings

    def _values(self):
        return {"keras_bert_suite": {"scheme": self.scheme, "crf": self.crf, "stride": self.stride}}

    # The model and its tags

    def _build(self):
        model = build_token_classifier(self.encoder, len(self.label_map), crf=self.crf)
        if self.crf:
            forbid_transitions(model.get_layer("crf"), [self._canonical[label] for label in self.labels], self.scheme)
        return model

    def _adopt(self, model):
        super()._adopt(model)
        found = any(isinstance(layer, CRF) for layer in model.layers)
        if found != self.crf:
            raise CheckpointError(
                f"TokenClassifier: the trained head has {'a' if found else 'no'} conditional random field. "
                f"Received: crf={self.crf}. Leave crf out, or pass replace_head=True to train a new head."
            )

    @property
    def labels(self):
        """The tags, in the order of the model's outputs; `None` until they are known."""
        return None if self.label_map is None else list(self.label_map)

    def _check_ready(self):
        if self.label_map is None:
            raise ValueError(
                "TokenClassifier: the tags are not known yet, as the checkpoint has no head for them. "
                "Pass labels=[...] when opening it, or train it first."
            )

    # Training

    def _default_loss(self):
        if self.recipe.r_drop:
            raise ValueError("TokenClassifier: r_drop is for tasks with one answer a text. Received: r_drop above 0.")
        if not self.crf:
            return self.recipe.build_classification_loss()
        if self.recipe.label_smoothing:
            raise ValueError("TokenClassifier: a conditional random field has no label_smoothing. Leave it out.")
        return CRFLoss()

    def _default_metrics(self):
        if self.crf:
            return []
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]

    def _read(self, x, y=None, pairs=None, columns=None, require_label=False):
        if pairs is not None:
            raise ValueError("TokenClassifier: a text has no pair. Received: pairs. Leave them out.")
        found = read_tagged_input(x, y, columns, labels=require_label)
        check_tags(found, self.labels)
        return found

    def _learn_from(self, examples):
        if self.label_map is None:
            kinds = {label for _, _, label in _named_spans(examples)}
            if not kinds or len(examples.plain_tags) == 1:
                only = f"only {kinds.pop() if kinds else OUTSIDE!r}" if any(examples.given_tags) else "no span"
                raise DataError(
                    f"training needs words of two kinds at least, e.g. some in a span. Received: {only}. "
                    "Check which column holds the tags.",
                    examples.path,
                )
            plain = () if self.scheme else examples.plain_tags
            self.scheme = self.scheme or examples.scheme or "BIO"
            self._set_labels(plain or scheme_tags(kinds, self.scheme))
        unknown = self._unknown(examples)
        if unknown:
            raise DataError(_unknown_message(unknown, self._kinds), *unknown[0][1:])

    def _unknown(self, found):
        """Return `(label, path, line)` of each kind of span that there is no tag for, where it is first met."""
        unknown = {}
        for row, word, label in _named_spans(found):
            if label not in self._kinds and label not in unknown:
                unknown[label] = found.where(row, word)
        return [(label, *where) for label, where in unknown.items()]

    def _warn_unknown(self, found):
        for label, path, line in self._unknown(found):
            where = f"{path}:{line}: " if path else ""
            logger.warning("%s%r is not among the labels of training; such spans count as missed.", where, label)

    def _dataset(self, examples, batch_size, packed, shuffle, seed=0):
        self._warn_unknown(examples)
        words = self._words(examples)
        if not len(words.spans):
            raise DataError(
                "there must be words to learn from. Received: none of which the tokenizer leaves anything.",
                examples.path,
            )
        true = words.true_spans(examples)
        _warn_cut(examples, true)
        targets = self._targets(words, true.in_words)
        encoded = words.encoded
        return self._batches(encoded, targets, batch_size, packed=packed, shuffle=shuffle, seed=seed)

    def _words(self, found):
        return place_words(self.tokenizer, found, self.max_length, self.stride)

    def _targets(self, words, spans):
        """The target of every token: of the first one of a word its tag, of all others none."""
        counts = np.diff(words.offsets).tolist()
        tags = (tag for row, count in zip(spans, counts, strict=True) for tag in spans_to_tags(row, count, self.scheme))
        outputs = np.fromiter((self._outputs.get(tag, IGNORED) for tag in tags), "int32", len(words.spans))
        values = np.full(len(words.encoded.token_ids), IGNORED, "int32")
        values[words.places[::-1]] = outputs[::-1]  # of words that share a token, the first one counts
        if self.crf:
            scored = np.flatnonzero(values != IGNORED)
            rows = np.searchsorted(words.encoded.offsets, scored, side="right")
            firsts = np.diff(rows, prepend=-1) > 0  # a row of a long text is a sequence of its own
            values[scored] = crf_targets(values[scored], firsts, len(self.label_map))
        return TokenTargets(values)

    # Use

    def evaluate(self, x, y=None, *, columns=None, progress=False):
        """Score the tagger on tagged texts.

        Args:
            x: path of a file, texts, or batches, as in `fit`.
            y: spans or tags, when `x` is not a file or data set.
            columns: optional dict, as in `data.read_tagged`.
            progress: bool. Whether to show a bar.
        Returns:
            dict with `f1`, `precision` and `recall` of spans, those of `seqeval`
            (micro), and `accuracy`, of the tags of words; all in [0, 1]. Spans
            that begin or end inside a word count as missed.
        """
        if is_batched(x):
            self._compile_model(self.model)
            return self.model.evaluate(x, y, verbose=int(progress), return_dict=True)
        found = self._labelled(x, y, columns)
        with progress_bar(len(found), "evaluating", progress) as bar:
            return self._compared(found, bar)[0]

    def _labelled(self, x, y, columns):
        self._check_ready()
        found = self._read(x, y, None, columns, require_label=True)
        self._warn_unknown(found)
        return found

    def _epoch_scores(self, found):
        return self._compared(found, warned=True)[0]

    def _compared(self, found, bar=None, warned=False):
        """Return the scores, the scores by label, the words, and in characters the true spans and those found."""
        words = self._words(found)
        true = words.true_spans(found)
        if not warned:
            _warn_cut(found, true)
        tags, certainty = self._tags(words, bar)
        tags = [[self._canonical[tag] for tag in row] for row in tags]
        predicted = [words.in_characters(tags_to_spans(one), row) for row, one in enumerate(tags)]
        scores = span_scores(true.in_characters, predicted)
        hits = total = 0
        for spans, row in zip(true.in_words, tags, strict=True):
            right = spans_to_tags(spans, len(row), self.scheme)
            hits += sum(one == other for one, other in zip(right, row, strict=True))
            total += len(row)
        main = {
            **{name: scores["micro"][name] for name in ("f1", "precision", "recall")},
            "accuracy": hits / max(total, 1),
        }
        return main, scores, words, true.in_characters, predicted, certainty

    def report(self, x, y=None, *, columns=None, title="Token classification", summary=None, history=None):
        """Score the tagger on tagged texts in full, for `reports.write_report`.

        Args:
            x: path of a file, or texts, as in `fit`.
            y: spans or tags, when `x` is not a file.
            columns: as in `fit`.
            title: str.
            summary: optional dict of facts to show beside the scores.
            history: optional dict of lists, what `fit` returned as `history.history`.
        Returns:
            `reports.Report`: the scores of `evaluate`, precision, recall and F1 by
            label, and the texts with the mistakes that the tagger is surest of,
            their spans in colour.
        """
        found = self._labelled(x, y, columns)
        main, scores, words, true, predicted, certainty = self._compared(found)
        texts, mistakes = found.texts, []
        for row, (right, given) in enumerate(zip(true, predicted, strict=True)):
            wrong = {*right} ^ {*given}
            if not wrong:
                continue
            sure, places = certainty[words.of(row)], (words.over(row, start, end) for start, end, _ in wrong)
            worst = max((float(sure[first:end].mean()) for first, end in places if first < end), default=0.0)
            mistakes.append((-worst, row, right, given))
        mistakes.sort()
        report = Report(
            title,
            {**main, "texts": len(found), "spans": sum(map(len, true)), **(summary or {})},
            history or {},
            labels=scores.pop("labels"),
            scores=scores,
            tagged=[
                {"text": texts[row], "true": right, "predicted": given}
                for _, row, right, given in mistakes[:MOST_MISTAKES]
            ],
        )
        return report

    def predict(self, x, *, columns=None, progress=False):
        """Find the spans of texts.

        Args:
            x: a list of str; a list of lists of str, each the words of a text; or
                the path of a file, as `pathlib.Path` or as str with the suffix of
                a data format. Any other str is one text.
            columns: optional dict, as in `data.read_tagged`.
            progress: bool. Whether to show a bar.
        Returns:
            list of dicts in the order of `x`: `text`, and `spans`, a list of dicts
            with `start` and `end`, the first and last-plus-one character, `label`,
            `text` and `score`, the mean probability of the tags of its words. Of
            a text that comes in words, `text` has them joined by spaces,
            `tokens` has them as they came, and `tags` one for each.
        Example:
            tagger.predict(["Ada sings"])
            # [{"text": "Ada sings", "spans": [{"start": 0, "end": 3, "label": "PER", "text": "Ada", "score": 0.99}]}]
        """
        return list(self.predict_stream(x, columns=columns, progress=progress))

    def predict_stream(self, x, *, columns=None, progress=False):
        """Like `predict`, but yield each answer as soon as its part of the input is done.

        Files larger than memory pass through.
        """
        self._check_ready()
        if isinstance(x, Path) or (isinstance(x, str) and is_data_path(x, DATA_SUFFIXES)):
            rows, total = read_untagged_file(x, columns), None
        else:
            rows = read_tagged_input([x] if isinstance(x, str) else x, columns=columns, labels=False).rows
            total = len(rows)
        with progress_bar(total, "predicting", progress) as bar:
            for chunk in chunked(rows, _num_characters, CHUNK_CHARACTERS, CHUNK_TEXTS):
                yield from self._answers(TaggedTexts(chunk), bar)

    def predict_file(self, path, output, *, columns=None, progress=False):
        """Find the spans of the texts of a file, and write them as JSON Lines, whatever their size.

        Args:
            path: str or path of a JSON Lines file with `text` or `tokens`, of CoNLL
                columns, or of a .txt file with a text a line.
            output: str or path. Each line has what `predict` returns for a text. It
                appears when it is complete.
            columns: optional dict, as in `data.read_tagged`.
            progress: bool. Whether to show a bar.
        Returns:
            int. Texts tagged.
        """
        return write_json_lines(output, self.predict_stream(Path(path), columns=columns, progress=progress))

    def _answers(self, found, bar=None):
        words = self._words(found)
        tags, certainty = self._tags(words, bar)
        for row, (given, text) in enumerate(zip(found.rows, found.texts, strict=True)):
            places, sure = words.spans[words.of(row)], certainty[words.of(row)]
            spans, in_words = [], tags_to_spans([self._canonical[tag] for tag in tags[row]])
            for first, end, label in in_words:
                start, stop = int(places[first, 0]), int(places[end - 1, 1])
                score = float(sure[first:end].mean())
                spans.append({"start": start, "end": stop, "label": label, "text": text[start:stop], "score": score})
            answer = {"text": text, "spans": spans}
            if given.tokens is not None:
                numbers = words.numbers[words.of(row)].tolist()
                answer["tokens"] = list(given.tokens)
                answer["tags"] = self._all_tags(tags[row], in_words, numbers, len(given.tokens))
            yield answer

    def _all_tags(self, tags, spans, numbers, count):
        """Return the tags of `count` words, given those of some: all others are inside where a span goes on, or `O`."""
        found = [OUTSIDE] * count
        for first, end, label in spans:
            inside = f"I-{label}"
            if inside in self._outputs:
                inside = self.labels[self._outputs[inside]]  # as the labels spell it
            start, stop = numbers[first], numbers[end - 1] + 1
            found[start:stop] = [inside] * (stop - start)
        for number, tag in zip(numbers, tags, strict=True):
            found[number] = tag
        return found

    def _tags(self, words, bar=None):
        """Return the tags of the words of each text, list of lists, and how certain each is, float `(W,)`."""
        emissions = self._emissions(words, bar)
        if self.crf:
            best, certainty = decode_field(emissions, words.offsets, self.model.get_layer("crf"))
        else:
            best = emissions.argmax(axis=-1)
            certainty = 1 / np.exp(emissions - emissions.max(axis=-1, keepdims=True)).sum(axis=-1)
        names = self.labels
        tags = [names[index] for index in best.tolist()]
        return [tags[words.of(row)] for row in range(len(words.offsets) - 1)], certainty

    def _emissions(self, words, bar=None):
        """Return the logits of words, float32 `(W, L)`."""
        encoded = words.encoded
        rank = np.full(len(encoded.token_ids), -1)  # which of the words a token stands for
        places, shared = np.unique(words.places, return_inverse=True)
        rank[places] = np.arange(len(places))
        answers = np.zeros((len(places), len(self.label_map)), "float32")

        def finish(rows, outputs):
            lengths, length = encoded.lengths[rows], outputs.shape[1] - (2 + outputs.shape[2]) * self.crf
            ranks = rank[row_positions(encoded.offsets[rows], lengths)]
            outputs = outputs[:, -length:]  # what a field puts in front has no token
            tokens = outputs[np.arange(length) < lengths[:, None]]
            return ranks[ranks >= 0], tokens[ranks >= 0]

        for _, (ranks, logits) in predict_batches(self.model, encoded, self.max_length, finish=finish):
            answers[ranks] = logits
        if bar is not None:
            bar.update(len(words.offsets) - 1)
        return answers[shared]


def _named_spans(found):
    """Yield `(row, word, label)` of every span, the word where the text came in words, else 0."""
    for row, text in enumerate(found.rows):
        if text.tags is not None:
            yield from ((row, first, label) for first, _, label in tags_to_spans(text.tags))
        else:
            yield from ((row, 0, label) for _, _, label in text.spans or ())


def _warn_cut(found, true):
    """Say how many true spans are not made of whole words."""
    if true.widened or true.lost:
        logger.warning(
            "%s%d spans begin or end inside a word, and %d hold no word of their own. Training widens those to whole "
            "words and leaves these out; scores count both as missed.",
            f"{found.path}: " if found.path else "",
            true.widened,
            true.lost,
        )


def _unknown_message(unknown, known):
    names = ", ".join(repr(label) for label, *_ in unknown[:5])
    return (
        f"spans must be of the kinds that the tagger has tags for: {', '.join(map(repr, sorted(known)[:20]))}. "
        f"Received: {names}{' and more' if len(unknown) > 5 else ''}. Correct these, or open the model with "
        "replace_head=True."
    )


def _num_characters(row):
    return len(row.text) if row.text is not None else sum(map(len, row.tokens))
