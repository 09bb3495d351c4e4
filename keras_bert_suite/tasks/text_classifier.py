"""Texts, or pairs of texts, in; one label of several, any number of labels, or a number out."""

from pathlib import Path

import numpy as np

from keras_bert_suite.data import LabelMap
from keras_bert_suite.errors import CheckpointError, DataError, check_choice
from keras_bert_suite.files import write_json_lines
from keras_bert_suite.models import build_text_classifier
from keras_bert_suite.reports import MOST_MISTAKES, Report
from keras_bert_suite.tasks.inference import predict_encoded, progress_bar
from keras_bert_suite.tasks.inputs import encode_texts, is_batched, is_data_path, read_input, stream_texts
from keras_bert_suite.tasks.pretrained import head_labels, own_values
from keras_bert_suite.tasks.problems import (
    PROBLEMS,
    SEPARATORS,
    MultiLabel,
    Regression,
    SingleLabel,
    label_name,
    problem_of,
    split_labels,
)
from keras_bert_suite.tasks.task import Task

__all__ = ["TextClassifier"]

#: How the name of a file ends that `predict` takes a str for.
DATA_SUFFIXES = (".tsv", ".csv", ".jsonl", ".ndjson", ".json", ".parquet", ".txt", ".gz")


class TextClassifier(Task):
    """A classifier of texts: a `keras.Model`, its tokenizer and its labels.

    It adds text in and answers out to an ordinary `keras.Model`, which stays
    usable on its own as `classifier.model`. Open one with `from_pretrained`.

    Args:
        encoder: `keras.Model` made by `build_encoder` or `load_encoder`.
        tokenizer: `text.WordPieceTokenizer`.
        labels: optional sequence of str, in the order of the model's outputs.
            Without them, `fit` takes the labels that its data has.
        max_length: optional int. Longer texts are cut, in tokens. Defaults to
            what the encoder and the tokenizer allow.
        pair: bool. Whether the classifier is for pairs of texts; `fit` finds out.
        problem_type: optional str, as in config.json: `"single_label_classification"`,
            `"multi_label_classification"` or `"regression"`. Defaults to what the
            labels are: lists are several.
        thresholds: optional floats `(L,)`, for several labels: above which
            probability a text has one. `fit` chooses them on its validation data.
        separator: str. What stands between several labels in a cell that holds no
            list, such as those of TSV and CSV. Defaults to `"|"`.
    Attributes:
        model: `keras.Model` from token arrays to logits `(B, L)`.
        encoder: `keras.Model`, the part of it that was pretrained.
        tokenizer: the tokenizer.
        labels: list of str.
        max_length: int, in tokens.
        pair: bool.
    Example:
    >>> import keras_bert_suite as kbs
    >>> tokenizer = kbs.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"])
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=7, num_layers=1, hidden_dim=12, num_heads=3, intermediate_dim=20, max_length=16)
    >>> classifier = kbs.TextClassifier(kbs.models.build_encoder(config), tokenizer)
    >>> classifier.compile(learning_rate=1e-3)
    >>> history = classifier.fit(["good", "bad"], ["pos", "neg"], epochs=1, verbose=0)
    >>> classifier.labels, sorted(classifier.predict(["good"])[0])
    (['neg', 'pos'], ['label', 'score'])
    """

    task = "text-classification"
    head = "text_classifier"

    def __init__(
        self,
        encoder,
        tokenizer,
        labels=None,
        max_length=None,
        pair=False,
        problem_type=None,
        thresholds=None,
        separator=SEPARATORS[0],
    ):
        super().__init__(encoder, tokenizer, max_length)
        if problem_type is not None:
            check_choice("TextClassifier", "problem_type", problem_type, tuple(PROBLEMS))
        if not isinstance(separator, str) or not separator:
            raise ValueError(f"TextClassifier: separator must be a str. Received: separator={separator!r}. Use '|'.")
        self.pair = pair
        self.problem = PROBLEMS.get(problem_type)
        if labels is not None and self.problem is None:
            self.problem = SingleLabel
        self.label_map = None if labels is None else LabelMap(labels)
        self._thresholds = None if thresholds is None else np.array(thresholds, "float32")
        self.separator = separator

    # Opening and saving

    @classmethod
    def _settings_from(cls, checkpoint, trained, labels):
        own = own_values(checkpoint)
        settings = {"labels": labels, "pair": bool(own.get("pair", False))}
        if trained:
            problem = _stored_problem(checkpoint)
            settings["labels"] = head_labels(checkpoint, cls.head, labels)
            settings |= {"problem_type": problem.name, "thresholds": own.get("thresholds")}
            settings["separator"] = own.get("separator", SEPARATORS[0])
        return settings

    def _values(self):
        own = {"pair": self.pair}
        if self.separator != SEPARATORS[0]:
            own["separator"] = self.separator
        if self._thresholds is not None:
            own["thresholds"] = [round(value, 6) for value in self._thresholds.tolist()]
        return {"problem_type": self.problem_type, "keras_bert_suite": own}

    # The model and its labels

    def _build(self):
        return build_text_classifier(self.encoder, len(self.label_map))

    @property
    def labels(self):
        """The label names, in the order of the model's outputs; `None` until they are known."""
        return None if self.label_map is None else list(self.label_map)

    @property
    def problem_type(self):
        """str: what the outputs mean, as in config.json; `None` until it is known."""
        return None if self.problem is None else self.problem.name

    @property
    def monitor(self):
        return self._known_problem.monitor

    @property
    def score_names(self):
        """tuple of str: the scores of `evaluate`, the main one first."""
        return self._known_problem.score_names

    @property
    def thresholds(self):
        """float32 `(L,)`: above which probability a text has a label, where it may have several."""
        return np.full(len(self.label_map), 0.5, "float32") if self._thresholds is None else self._thresholds

    @property
    def _known_problem(self):
        self._check_ready()
        return self.problem

    def _check_ready(self):
        if self.label_map is None:
            raise ValueError(
                "TextClassifier: the labels are not known yet, as the checkpoint has no classification head. "
                "Pass labels=[...] when opening it, or train it first."
            )

    # Training

    def _default_loss(self):
        return self._known_problem.loss(self.recipe)

    def _default_metrics(self):
        return self._known_problem.metrics()

    def _read(self, x, y=None, pairs=None, columns=None, require_label=False):
        # Of several labels, a text may have none.
        found = read_input(x, y, pairs, columns, require_label and self.problem is not MultiLabel)
        if require_label and found.labels is None:
            raise DataError("labels are needed, and no row has one. Fill the column in.", found.path)
        if self.problem is MultiLabel and found.labels is not None:
            found.labels = [split_labels(label, self.separator) for label in found.labels]
        return found

    def _learn_from(self, examples):
        if self.problem is None:
            self.problem = problem_of(examples)
        if self.label_map is None:
            self.label_map = self.problem.learn(examples)
        if self.problem is SingleLabel:
            self.label_map.check_trainable(examples.path)
        self.pair = examples.pairs is not None
        if self.problem is MultiLabel and "classifier" in self._new_parts:
            self.model.get_layer("classifier").bias.assign(MultiLabel.log_odds(self._targets(examples)))

    def _dataset(self, examples, batch_size, packed, shuffle, seed=0):
        targets = self._targets(examples)
        return self._batches(self._encode(examples), targets, batch_size, packed=packed, shuffle=shuffle, seed=seed)

    def _targets(self, found):
        return self._known_problem.targets(self.label_map, found)

    def _example_weights(self, examples, class_weight):
        if self.problem is not SingleLabel:
            return super()._example_weights(examples, class_weight)
        targets = self._targets(examples)
        counts = np.bincount(targets, minlength=len(self.label_map))
        if class_weight == "balanced":
            return (len(targets) / (np.count_nonzero(counts) * np.maximum(counts, 1)))[targets].astype("float32")
        weights = np.ones(len(self.label_map))
        names = list(class_weight)
        weights[self.label_map.encode(map(label_name, names))] = [class_weight[name] for name in names]
        if not (np.isfinite(weights).all() and (weights >= 0).all()):
            raise ValueError(f"fit: each class_weight must be 0 or above. Received: {class_weight}.")
        return weights[targets].astype("float32")

    def _settle(self, examples):
        if self.problem is MultiLabel:
            probabilities = self.problem.probabilities(self._logits(examples))
            self._thresholds = MultiLabel.choose_thresholds(probabilities, self._targets(examples))

    def _encode(self, found):
        return encode_texts(self.tokenizer, found.texts, found.pairs, self.max_length, found.path)

    # Use

    def evaluate(self, x, y=None, *, pairs=None, columns=None, progress=False):
        """Score the classifier on labelled texts.

        Args:
            x: path of a file, texts, or batches, as in `fit`.
            y: labels, when `x` is not a file or data set.
            pairs: optional list of str, the second texts.
            columns: optional dict, as in `data.read_examples`.
            progress: bool. Whether to show a bar.
        Returns:
            dict. Of one label: `accuracy`, in [0, 1], and `loss`, the mean
            cross-entropy in nats. Of several: `f1` (micro), `macro_f1`, `accuracy`
            (of whole examples) and `loss`. Of a number: `pearson`, `spearman`,
            `mean_absolute_error` and `loss`, the mean squared error.
        """
        if is_batched(x):
            self._compile_model(self.model)
            scores = self.model.evaluate(x, y, verbose=int(progress), return_dict=True)
            return {self.score_names[0]: scores.pop(self.score_names[0], None), **scores}
        found = self._read(x, y, pairs, columns, require_label=True)
        targets = self._targets(found)
        with progress_bar(len(found), "evaluating", progress) as bar:
            return self.problem.scores(self._logits(found, bar), targets, self.thresholds)

    def report(self, x, y=None, *, pairs=None, columns=None, title="Text classification", summary=None, history=None):
        """Score the classifier on labelled texts in full, for `reports.write_report`.

        Args:
            x: path of a file, or texts, as in `fit`.
            y: labels, when `x` is not a file.
            pairs, columns: as in `fit`.
            title: str.
            summary: optional dict of facts to show beside the scores.
            history: optional dict of lists, what `fit` returned as `history.history`.
        Returns:
            `reports.Report`: the scores of `evaluate`, precision, recall and F1 by
            label, what is taken for what, and the mistakes that the classifier is
            surest of.
        """
        found = self._read(x, y, pairs, columns, require_label=True)
        logits, targets = self._logits(found), self._targets(found)
        facts, more, mistakes = self.problem.details(
            self.labels, self.problem.probabilities(logits), targets, self.thresholds
        )
        return Report(
            title,
            {
                **self.problem.scores(logits, targets, self.thresholds),
                **more,
                "examples": len(found),
                **(summary or {}),
            },
            history or {},
            mistakes=[{**_texts_of(found, row), **mistake} for row, mistake in mistakes[:MOST_MISTAKES]],
            **facts,
        )

    def predict(self, x, *, pairs=None, columns=None, progress=False):
        """Label texts.

        Args:
            x: a list of str or of `(text, text_b)` tuples, or the path of a file,
                as `pathlib.Path` or as str with the suffix of a data format.
                Any other str is one text.
            pairs: optional list of str, the second texts.
            columns: optional dict, as in `data.read_examples`.
            progress: bool. Whether to show a bar.
        Returns:
            list of dicts in the order of `x`. Of one label: `label` and `score`,
            its probability. Of several: `labels`, a list of such, the likeliest
            first. Of a number: `score`.
        Example:
            classifier.predict(["I loved it"])  # [{"label": "pos", "score": 0.998}]
        """
        return list(self.predict_stream(x, pairs=pairs, columns=columns, progress=progress))

    def predict_stream(self, x, *, pairs=None, columns=None, progress=False):
        """Like `predict`, but yield each answer as soon as its part of the input is done.

        Files larger than memory pass through.
        """
        for _, probabilities in self._probability_chunks(x, pairs, columns, progress):
            for row in probabilities:
                yield self.problem.answer(self.labels, row, self.thresholds)

    def predict_file(self, path, output, *, columns=None, progress=False):
        """Label the texts of a file into a JSON Lines file, whatever their size.

        Args:
            path: str or path of a TSV, CSV, JSON Lines, Parquet or text file.
            output: str or path. Each line has `text`, `text_b` for pairs, and what
                `predict` returns. It appears when it is complete.
            columns: optional dict, as in `data.read_examples`.
            progress: bool. Whether to show a bar.
        Returns:
            int. Texts labelled.
        """
        return write_json_lines(
            output,
            (
                _texts_of(found, row) | self.problem.answer(self.labels, chances, self.thresholds)
                for found, probabilities in self._probability_chunks(Path(path), None, columns, progress)
                for row, chances in enumerate(probabilities)
            ),
        )

    def predict_probabilities(self, x, *, pairs=None, columns=None, progress=False):
        """Return the probability of every label, or the numbers of a regression: float32 `(N, L)`, in order of `x`."""
        chunks = [chunk for _, chunk in self._probability_chunks(x, pairs, columns, progress)]
        return np.concatenate(chunks) if chunks else np.zeros((0, len(self.labels)), "float32")

    def predict_logits(self, x, *, pairs=None, columns=None, progress=False):
        """Return the model's outputs as they are: float32 `(N, L)`, in the order of `x`."""
        chunks = [logits for _, logits in self._logit_chunks(x, pairs, columns, progress)]
        return np.concatenate(chunks) if chunks else np.zeros((0, len(self.labels)), "float32")

    def _probability_chunks(self, x, pairs, columns, progress):
        for found, logits in self._logit_chunks(x, pairs, columns, progress):
            yield found, self.problem.probabilities(logits)

    def _logit_chunks(self, x, pairs, columns, progress):
        self._check_ready()
        total = None
        if isinstance(x, str) and not is_data_path(x, DATA_SUFFIXES):
            x = [x]
        if isinstance(x, (list, tuple, np.ndarray)):
            total = len(x)
            if total == 0:
                return
        with progress_bar(total, "predicting", progress) as bar:
            for found in stream_texts(x, pairs=pairs, columns=columns):
                yield found, self._logits(found, bar)

    def _logits(self, found, bar=None):
        return predict_encoded(self.model, self._encode(found), self.max_length, bar)


def _texts_of(found, row):
    return {"text": found.texts[row], **({} if found.pairs is None else {"text_b": found.pairs[row]})}


def _stored_problem(checkpoint):
    """Return what the outputs of a checkpoint's head mean."""
    name = checkpoint.values.get("problem_type")
    if name is None:
        return Regression if checkpoint.num_outputs(TextClassifier.head) == 1 else SingleLabel
    problem = PROBLEMS.get(name)
    outputs = checkpoint.num_outputs(TextClassifier.head)
    if problem is None or (problem is SingleLabel and outputs == 1) or (problem is Regression and outputs > 1):
        raise CheckpointError(
            f"{checkpoint.path}: problem_type must be one of {', '.join(PROBLEMS)} and fit the head. Received: "
            f"problem_type={name!r:.100}, {outputs} outputs. load_model(..., head='text_classifier') gives its "
            "logits; replace_head=True starts from a new head."
        )
    return problem
