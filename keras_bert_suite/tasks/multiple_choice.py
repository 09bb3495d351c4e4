"""A text and several ways to go on in; the likeliest one out."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keras_bert_suite.data import ChoiceExample, read_choices
from keras_bert_suite.files import write_json_lines
from keras_bert_suite.models import build_multiple_choice
from keras_bert_suite.reports import MOST_MISTAKES, Report
from keras_bert_suite.tasks.inference import predict_encoded, progress_bar
from keras_bert_suite.tasks.inputs import encode_texts, is_batched
from keras_bert_suite.tasks.pretrained import own_values
from keras_bert_suite.tasks.task import Task
from keras_bert_suite.training import ChoiceAccuracy, ChoiceLoss, GroupedDataset

__all__ = ["MultipleChoice"]

#: Questions that are encoded at a time.
CHUNK = 4096


class MultipleChoice(Task):
    """A chooser: a `keras.Model` and its tokenizer.

    Questions of one data set may have different numbers of choices.

    Args:
        encoder: `keras.Model` made by `build_encoder` or `load_encoder`.
        tokenizer: `text.Tokenizer`.
        max_length: optional int. Longer pairs of text and choice are cut, the
            longer of the two first, in tokens. Defaults to what the encoder and
            the tokenizer allow.
        first_label: int, 0 or 1. What labels count from, where data to be scored
            does not tell. Training sets it.
    Attributes:
        model: `keras.Model` from token arrays `(B, C, T)` to logits `(B, C)`.
        encoder, tokenizer, max_length, first_label: as above.
    Example:
    >>> import keras_bert_suite as kbs
    >>> from keras_bert_suite.tasks.multiple_choice import MultipleChoice
    >>> tokenizer = kbs.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "she", "sat", "flew"])
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=8, num_layers=1, hidden_dim=12, num_heads=3, intermediate_dim=20, max_length=16)
    >>> chooser = MultipleChoice(kbs.models.build_encoder(config), tokenizer)
    >>> rows = [{"text": "she", "choices": ["sat", "flew"], "label": 0}]
    >>> history = chooser.fit(rows, epochs=1, verbose=0)
    >>> sorted(chooser.predict(rows)[0])
    ['choice', 'index', 'score']

    Source: Devlin et al. 2018, section 4.4.
    """

    task = "multiple-choice"
    head = "multiple_choice"
    score_names = ("accuracy", "loss")

    def __init__(self, encoder, tokenizer, max_length=None, first_label=0):
        super().__init__(encoder, tokenizer, max_length)
        self.first_label = first_label

    @classmethod
    def _settings_from(cls, checkpoint, trained, labels):
        found = super()._settings_from(checkpoint, trained, labels)
        return found | {"first_label": int(own_values(checkpoint).get("first_label") == 1)}

    def _values(self):
        return {"keras_bert_suite": {"first_label": self.first_label}}

    @staticmethod
    def _reads_pooler(config):
        return config.pooler  # RoBERTa's classifier has no use for its pooler; its chooser has

    def _build(self):
        return build_multiple_choice(self.encoder)

    # Training

    def _default_loss(self):
        if self.recipe.r_drop:
            raise ValueError(
                f"compile: r_drop is for labels, not for choices. Received: r_drop={self.recipe.r_drop}. Use 0."
            )
        return ChoiceLoss(self.recipe.label_smoothing)

    def _default_metrics(self):
        return [ChoiceAccuracy()]

    def _packs(self, packing):
        if packing not in ("auto", False):
            raise ValueError(
                f"fit: packing must be False for {self.task}, whose choices are rows. Received: packing={packing!r}."
            )
        return False

    def _read(self, x, y=None, pairs=None, columns=None, require_label=False):
        rows = _rows(x, y, pairs, columns)
        return read_choices(rows, require_labels=require_label, first_label=self.first_label)

    def _learn_from(self, examples):
        self.first_label = examples[0].first_label

    def _dataset(self, examples, batch_size, packed, shuffle, seed=0):
        most = max(len(example.choices) for example in examples)
        targets = np.array([(example.label, len(example.choices)) for example in examples], "int32")
        return GroupedDataset(
            self._encode(examples, most),
            targets,
            batch_size,
            self.max_length,
            group_size=most,
            shuffle=shuffle,
            seed=seed,
        )

    def _encode(self, examples, most=0):
        """Encode each choice with its text; examples with fewer than `most` are filled up with empty ones."""
        texts, choices = [], []
        for example in examples:
            lacking = max(0, most - len(example.choices))
            texts += [example.text] * len(example.choices) + [""] * lacking
            choices += example.continuations + [""] * lacking
        return encode_texts(self.tokenizer, texts, choices, self.max_length)

    # Use

    def evaluate(self, x, y=None, *, pairs=None, columns=None, progress=False):
        """Score the choices.

        Args:
            x: path of a file, examples, or batches, as in `fit`.
            y, pairs, columns: as in `fit`.
            progress: bool. Whether to show a bar.
        Returns:
            dict with `accuracy`, in [0, 1], and `loss`, the mean cross-entropy in nats.
        """
        if is_batched(x):
            self._compile_model(self.model)
            scores = self.model.evaluate(x, y, verbose=int(progress), return_dict=True)
            return {"accuracy": scores.pop("accuracy", None), **scores}
        return _scores(self._labelled(x, y, pairs, columns, progress))

    def report(self, x, y=None, *, pairs=None, columns=None, title="Multiple choice", summary=None, history=None):
        """Score the choices in full, for `reports.write_report`.

        Args:
            x: path of a file, or examples, as in `fit`.
            y, pairs, columns: as in `fit`.
            title: str.
            summary: optional dict of facts to show beside the scores.
            history: optional dict of lists, what `fit` returned as `history.history`.
        Returns:
            `reports.Report`: the scores of `evaluate`, and the wrong choices that
            the model is surest of.
        """
        found = self._labelled(x, y, pairs, columns)
        mistakes = []
        for example, chances in found:
            best = int(chances.argmax())
            if best != example.label:
                mistakes.append(
                    {
                        "text": _whole(example),
                        "true": example.choices[example.label],
                        "predicted": example.choices[best],
                        "score": float(chances[best]),
                    }
                )
        mistakes.sort(key=lambda mistake: -mistake["score"])
        return Report(
            title,
            {**_scores(found), "questions": len(found), **(summary or {})},
            history or {},
            mistakes=mistakes[:MOST_MISTAKES],
        )

    def _labelled(self, x, y, pairs, columns, progress=False):
        examples = self._read(x, y, pairs, columns, require_label=True)
        with progress_bar(None, "evaluating", progress) as bar:
            return list(self._chosen(examples, bar))

    def predict(self, x, *, pairs=None, columns=None, progress=False):
        """Choose.

        Args:
            x: dicts with a text and `choices`, as `data.read_choices` says; or one
                of them; or a list of texts, with `pairs`; or the path of a file.
                Labels are not looked at.
            pairs: optional list of lists of str, the choices of each text.
            columns: not used by this task.
            progress: bool. Whether to show a bar.
        Returns:
            list of dicts in the order of `x`: `choice`; `index`, its place among
            the choices, from 0; `score`, its probability among them.
        """
        return list(self.predict_stream(x, pairs=pairs, columns=columns, progress=progress))

    def predict_stream(self, x, *, pairs=None, columns=None, progress=False):
        """Like `predict`, but yield each answer as soon as its part of the input is done."""
        rows = _rows(x, None, pairs, columns)
        if isinstance(rows, list) and not rows:
            return
        with progress_bar(None, "choosing", progress) as bar:
            for example, chances in self._chosen(read_choices(rows, labels=False), bar):
                yield _answer(example, chances)

    def predict_file(self, path, output, *, columns=None, progress=False):
        """Choose for the rows of a file, into a JSON Lines file.

        Args:
            path: str or path of a JSON Lines, CSV or TSV file.
            output: str or path. Each line has `text`, and what `predict` returns.
                It appears when it is complete.
            columns, progress: as in `predict`.
        Returns:
            int. Questions answered.
        """
        examples = read_choices(_rows(Path(path), None, None, columns), labels=False)
        with progress_bar(None, "choosing", progress) as bar:
            found = self._chosen(examples, bar)
            return write_json_lines(
                output, ({"text": _whole(example), **_answer(example, chances)} for example, chances in found)
            )

    def _chosen(self, examples, bar=None):
        """Yield `(example, probabilities)` for each example, float64 `(C,)`."""
        scorer = self.model.get_layer("scorer")  # of rows, so that long and short choices need no padding
        for start in range(0, len(examples), CHUNK):
            chunk = examples[start : start + CHUNK]
            logits = predict_encoded(scorer, self._encode(chunk), self.max_length, bar)[:, 0].astype("float64")
            ends = np.cumsum([len(example.choices) for example in chunk])
            for example, scores in zip(chunk, np.split(logits, ends[:-1]), strict=True):
                exponentials = np.exp(scores - scores.max())
                yield example, exponentials / exponentials.sum()


def _whole(example):
    return " ".join(filter(None, (example.text, example.prefix)))


def _answer(example, chances):
    best = int(chances.argmax())
    return {"choice": example.choices[best], "index": best, "score": float(chances[best])}


def _scores(found):
    right = np.array([chances.argmax() == example.label for example, chances in found])
    chances = np.array([chances[example.label] for example, chances in found])
    return {
        "accuracy": float(right.mean()),
        "loss": float(-np.log(np.maximum(chances, np.finfo("float64").tiny)).mean()),
    }


def _rows(x, y, pairs, columns):
    """Return what `read_choices` takes: a path, or a list of dicts."""
    if columns is not None:
        raise ValueError(f"multiple choice: columns go by their names. Received: columns={columns}. Rename them.")
    if isinstance(x, (str, Path)) and pairs is None:
        if y is not None:
            raise ValueError(f"fit and evaluate: a file brings its own labels. Received: {x} and more.")
        return x
    rows = [x] if isinstance(x, (str, Mapping, ChoiceExample)) else list(x)
    for name, values in (("pairs", pairs), ("y", y)):
        if values is not None and len(values) != len(rows):
            raise ValueError(f"There must be one of {name} per text. Received: {len(rows)} and {len(values)}.")
    if pairs is not None:
        rows = [{"text": text, "choices": choices} for text, choices in zip(rows, pairs, strict=True)]
    return rows if y is None else [{**row, "label": label} for row, label in zip(rows, y, strict=True)]
