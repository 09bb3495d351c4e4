"""Texts, or pairs of texts, in; one label of several out."""

import json
import random
from numbers import Integral
from pathlib import Path

import keras
import numpy as np

from keras_bert_suite.checkpoints import HEADS, from_model, load_head, load_weights
from keras_bert_suite.checkpoints.hugging_face import write_hugging_face
from keras_bert_suite.data import LabelMap
from keras_bert_suite.errors import CheckpointError
from keras_bert_suite.files import replaced_directory, replaced_file
from keras_bert_suite.models import build_encoder, build_text_classifier, encoder_config, find_encoder
from keras_bert_suite.tasks.inference import predict_encoded, progress_bar
from keras_bert_suite.tasks.inputs import encode_texts, is_batched, read_input, stream_texts
from keras_bert_suite.tasks.pretrained import allowed_length, check_vocabulary, open_pretrained
from keras_bert_suite.tasks.reporting import report_classification
from keras_bert_suite.tasks.trainable import TrainableTask

__all__ = ["TextClassifier"]

HEAD = "text_classifier"
#: The layers of the head, as variables' paths name them.
NEW_LAYERS = HEADS[HEAD]


class TextClassifier(TrainableTask):
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

    #: The name of this task in config.json and on the command line.
    task = "text-classification"

    def __init__(self, encoder, tokenizer, labels=None, max_length=None, pair=False):
        config = encoder_config(encoder)
        if tokenizer.vocab_size > config.vocabulary_size:
            check_vocabulary(tokenizer, config, "TextClassifier")
        self.encoder = encoder
        self.tokenizer = tokenizer
        self.max_length = allowed_length("TextClassifier", tokenizer, config, max_length)
        self.pair = pair
        self.label_map = None
        self._model = None
        self._new_parts = set(NEW_LAYERS)
        if labels is not None:
            self._set_labels(LabelMap(labels))

    # Opening and saving

    @classmethod
    def from_pretrained(cls, source, labels=None, *, max_length=None, replace_head=False, dtype=None, revision=None):
        """Open a checkpoint: an encoder to fine-tune, or a classifier to use.

        Args:
            source: str or path. A directory in any format that
                `checkpoints.open_checkpoint` knows, the name of an installed
                model, e.g. `"all-MiniLM-L6-v2"`, or of one on the Hugging Face
                Hub, e.g. `"google-bert/bert-base-cased"`.
            labels: optional sequence of str. Needed only where neither the
                checkpoint nor the training data is to decide.
            max_length: optional int. Longer texts are cut, in tokens.
            replace_head: bool. Whether to start from a new head although the
                checkpoint has one.
            dtype: optional str or `keras.DTypePolicy`, e.g. `"mixed_bfloat16"`;
                `"auto"` is the type of the stored weights.
            revision: optional str. Branch, tag or commit on the Hub.
        Raises:
            CheckpointError: if the checkpoint is incomplete or damaged, or its
                head has other labels than `labels`.
        """
        checkpoint, tokenizer = open_pretrained(source, revision)
        config = checkpoint.config
        ours = checkpoint.values.get("keras_bert_suite")
        ours = ours if isinstance(ours, dict) else {}
        options = {"max_length": max_length or ours.get("max_length"), "pair": bool(ours.get("pair", False))}
        if HEAD in checkpoint.heads and not replace_head:
            labels = _head_labels(checkpoint, labels)
            model, new_parts = load_head(checkpoint, HEAD, dtype=dtype)
            classifier = cls(find_encoder(model), tokenizer, **options)
            classifier.label_map, classifier._model = LabelMap(labels), model
            classifier._new_parts = new_parts
            return classifier
        config = config.replace(pooler=config.heads.pooling == "pooler")  # what the head reads, and nothing more
        encoder, new_parts = load_weights(checkpoint, lambda: build_encoder(config, checkpoint.policy(dtype)))
        classifier = cls(encoder, tokenizer, labels, **options)
        classifier._new_parts = {*NEW_LAYERS, *new_parts}
        return classifier

    def save_pretrained(self, directory, overwrite=False):
        """Write model, tokenizer and labels in the Hugging Face layout.

        `transformers`' `BertForSequenceClassification` opens the directory.

        Args:
            directory: str or path. Must be absent or empty unless `overwrite`.
            overwrite: bool. Whether a directory already there may be replaced.
        Raises:
            FileExistsError: if the directory holds anything and `overwrite` is false.
        """
        self._check_labels_known()
        values = {
            "problem_type": "single_label_classification",
            "keras_bert_suite": {"task": self.task, "max_length": self.max_length, "pair": self.pair},
        }
        with replaced_directory(directory, overwrite) as written:
            write_hugging_face(written, from_model(self.model, path=directory, labels=self.labels, values=values))
            self.tokenizer.save_pretrained(written)

    def export(self, directory, formats=("saved_model", "litert", "onnx"), **options):
        """Write artifacts for TF Serving, phones and ONNX Runtime, each checked against this model.

        Args:
            directory: str or path. Must be absent or empty unless `overwrite=True`.
            formats: sequence of str out of `export.FORMATS`.
            **options: as in `export.export_task`.
        Returns:
            The parity report.
        """
        from keras_bert_suite.export import export_task

        return export_task(self, directory, formats=formats, **options)

    # The model and its labels

    @property
    def model(self):
        """The `keras.Model` from token arrays to logits."""
        self._check_labels_known()
        return self._model

    @property
    def labels(self):
        """The label names, in the order of the model's outputs; `None` until they are known."""
        return None if self.label_map is None else list(self.label_map)

    def _check_labels_known(self):
        if self.label_map is None:
            raise ValueError(
                "TextClassifier: the labels are not known yet, as the checkpoint has no classification head. "
                "Pass labels=[...] when opening it, or train it first."
            )

    def _set_labels(self, label_map):
        self.label_map = label_map
        self._model = build_text_classifier(self.encoder, len(label_map))

    # Training

    def _default_loss(self):
        return self.recipe.build_classification_loss()

    def _default_metrics(self):
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]

    def fit(
        self,
        x,
        y=None,
        *,
        pairs=None,
        validation_data=None,
        epochs=3,
        batch_size=32,
        seed=None,
        columns=None,
        packing="auto",
        directory=None,
        save_every=60.0,
        callbacks=None,
        verbose="auto",
        **options,
    ):
        """Train on a file, on texts, or on anything that `keras.Model.fit` takes.

        Texts are encoded once and batched so that hardly any padding is
        computed. With a seed, the same call on the same machine gives the same weights.

        Args:
            x: path of a TSV, CSV, JSON Lines or Parquet file; or a list of str,
                or of `(text, text_b)` tuples; or token arrays by name, or a data
                set that yields batches of them.
            y: labels by name or index, when `x` is not a file or data set.
            pairs: optional list of str, the second texts.
            validation_data: optional path, `(x, y)` tuple or data set, scored
                after each epoch.
            epochs: int. Defaults to 3.
            batch_size: int. Texts a step. Defaults to 32.
            seed: optional int. Governs new weights, order and dropout.
            columns: optional dict, as in `data.read_examples`.
            packing: bool, or `"auto"`. Whether several texts share a row, kept
                apart by the attention mask, or batches are of texts of like
                length. Defaults to what is faster on the running backend and device.
            directory: optional path. Where the state of the training is kept:
                when the process is killed, the same call goes on from there, to
                the very weights that it would have come to. Needs a seed.
            save_every: float. Seconds between two states.
            callbacks: optional list of `keras.callbacks.Callback`.
            verbose: as in `keras.Model.fit`.
            **options: passed on to `keras.Model.fit`.
        Returns:
            `keras.callbacks.History`.
        Raises:
            DataError: if a file breaks a rule or has an unknown label.
            TrainingInterrupted: on SIGTERM, when the state has been saved.
        """
        common = {
            "epochs": epochs,
            "seed": seed,
            "directory": directory,
            "save_every": save_every,
            "callbacks": callbacks,
            "verbose": verbose,
            **options,
        }
        if directory is not None and seed is None:
            raise ValueError("fit: a training that can be resumed needs a seed. Received: directory without seed.")
        if is_batched(x):
            if seed is not None:
                keras.utils.set_random_seed(seed)  # Keras orders arrays itself.
            return self._train(x, y, validation_data=validation_data, batch_size=batch_size, **common)
        training = read_input(x, y, pairs, columns, require_label=True)
        if self.label_map is None:
            labels = LabelMap.from_examples(map(_label_name, training.labels), path=training.path)
            self._set_labels(labels)
        self.label_map.check_trainable(training.path)
        self.pair = training.pairs is not None
        packed = self._packs(packing)
        validation = self._validation(validation_data, columns, batch_size, packed)
        # Keras seeds Python's generator along with its own, so keras.utils.set_random_seed governs this too.
        order_seed = random.getrandbits(31) if seed is None else seed
        dataset = self._dataset(training, batch_size, packed, shuffle=True, seed=order_seed)
        common["shuffle"] = False  # The data set has an order of its own each epoch.
        return self._train(dataset, validation_data=validation, **common)

    def _validation(self, data, columns, batch_size, packed):
        if data is None or is_batched(data) or (isinstance(data, tuple) and is_batched(data[0])):
            return data
        x, y = data if isinstance(data, tuple) else (data, None)
        return self._dataset(read_input(x, y, None, columns, require_label=True), batch_size, packed, shuffle=False)

    def _dataset(self, found, batch_size, packed, shuffle, seed=0):
        targets = self._targets(found)
        return self._batches(self._encode(found), targets, batch_size, packed=packed, shuffle=shuffle, seed=seed)

    def _targets(self, found):
        self._check_labels_known()
        labels = found.labels
        if found.path is None:
            # An integer is an index, unless the labels are themselves named by numbers.
            labels = [
                self.labels[label]
                if isinstance(label, Integral) and str(label) not in self.label_map and 0 <= label < len(self.label_map)
                else _label_name(label)
                for label in labels
            ]
        return self.label_map.encode(labels, path=found.path, lines=found.lines)

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
            dict with `accuracy`, in [0, 1], and `loss`, the mean cross-entropy in nats.
        """
        if is_batched(x):
            self._compile_model(self.model)
            scores = self.model.evaluate(x, y, verbose=int(progress), return_dict=True)
            return {"accuracy": scores.pop("accuracy", None), **scores}
        found = read_input(x, y, pairs, columns, require_label=True)
        targets = self._targets(found)
        with progress_bar(len(found), "evaluating", progress) as bar:
            logits = self._logits(found, bar).astype("float64")
        logits -= logits.max(axis=-1, keepdims=True)
        log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        return {
            "accuracy": float((logits.argmax(axis=-1) == targets).mean()),
            "loss": float(-log_probabilities[np.arange(len(targets)), targets].mean()),
        }

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
            `reports.Report`: accuracy, precision, recall and F1 by label, what
            is taken for what, and the mistakes that the classifier is surest of.
        """
        found = read_input(x, y, pairs, columns, require_label=True)
        probabilities = _softmax(self._logits(found))
        return report_classification(
            title, found, self._targets(found), probabilities, self.labels, summary=summary, history=history
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
            list of dicts with `label` and `score`, its probability, in the order of `x`.
        Example:
            classifier.predict(["I loved it"])  # [{"label": "pos", "score": 0.998}]
        """
        return list(self.predict_stream(x, pairs=pairs, columns=columns, progress=progress))

    def predict_stream(self, x, *, pairs=None, columns=None, progress=False):
        """Like `predict`, but yield each answer as soon as its part of the input is done.

        Files larger than memory pass through.
        """
        for _, probabilities in self._probability_chunks(x, pairs, columns, progress):
            best = probabilities.argmax(axis=-1)
            for index, row in zip(best.tolist(), probabilities, strict=True):
                yield {"label": self.labels[index], "score": float(row[index])}

    def predict_file(self, path, output, *, columns=None, progress=False):
        """Label the texts of a file into a JSON Lines file, whatever their size.

        Args:
            path: str or path of a TSV, CSV, JSON Lines, Parquet or text file.
            output: str or path. Each line has `text`, `text_b` for pairs, `label`
                and `score`. It appears when it is complete.
            columns: optional dict, as in `data.read_examples`.
            progress: bool. Whether to show a bar.
        Returns:
            int. Texts labelled.
        """
        count = 0
        with replaced_file(output) as file:
            for found, probabilities in self._probability_chunks(Path(path), None, columns, progress):
                best = probabilities.argmax(axis=-1)
                for row, index in enumerate(best.tolist()):
                    answer = {"text": found.texts[row]}
                    if found.pairs is not None:
                        answer["text_b"] = found.pairs[row]
                    answer |= {"label": self.labels[index], "score": float(probabilities[row, index])}
                    file.write(json.dumps(answer, ensure_ascii=False) + "\n")
                count += len(found)
        return count

    def predict_probabilities(self, x, *, pairs=None, columns=None, progress=False):
        """Return the probability of every label: float32 `(N, L)`, in the order of `x`."""
        chunks = [chunk for _, chunk in self._probability_chunks(x, pairs, columns, progress)]
        return np.concatenate(chunks) if chunks else np.zeros((0, len(self.labels)), "float32")

    def _probability_chunks(self, x, pairs, columns, progress):
        total = None
        if isinstance(x, str) and not _is_data_path(x):
            x = [x]
        if isinstance(x, (list, tuple, np.ndarray)):
            total = len(x)
            if total == 0:
                return
        with progress_bar(total, "predicting", progress) as bar:
            for found in stream_texts(x, pairs=pairs, columns=columns):
                yield found, _softmax(self._logits(found, bar))

    def _logits(self, found, bar=None):
        return predict_encoded(self.model, self._encode(found), self.max_length, bar)


def _softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def _label_name(label):
    """Return a whole number as the str it is written as, and leave the rest to `LabelMap`'s checks."""
    return str(label) if isinstance(label, Integral) else label


def _head_labels(checkpoint, labels):
    """Return the names of the outputs of a checkpoint's head, held against the names asked for."""
    problem = checkpoint.values.get("problem_type")
    if problem not in (None, "single_label_classification") or checkpoint.num_outputs(HEAD) == 1:
        raise CheckpointError(
            f"{checkpoint.path}: its head must choose one label of several. Received: problem_type={problem!r:.100}, "
            f"{checkpoint.num_outputs(HEAD)} outputs. load_model(..., head={HEAD!r}) gives its logits; "
            "replace_head=True starts from a new head."
        )
    stored = checkpoint.labels or [f"LABEL_{index}" for index in range(checkpoint.num_outputs(HEAD))]
    if len(stored) != checkpoint.num_outputs(HEAD):
        raise CheckpointError(
            f"{checkpoint.path}: config.json names {len(stored)} labels, but the head has "
            f"{checkpoint.num_outputs(HEAD)} outputs. Correct id2label."
        )
    if labels is None or list(labels) == stored:
        return stored
    labels = list(labels)
    unnamed = stored == [f"LABEL_{index}" for index in range(len(stored))]
    if unnamed and len(labels) == len(stored):
        return labels
    raise CheckpointError(
        f"{checkpoint.path}: its head was trained for the labels {stored}. Received: labels={labels}. "
        "Leave labels out to use its own, or pass replace_head=True to train a new head."
    )


def _is_data_path(text):
    """Return whether a str is meant as a file: it ends like one and has no line break."""
    suffixes = (".tsv", ".csv", ".jsonl", ".ndjson", ".json", ".parquet", ".txt", ".gz")
    return text.lower().endswith(suffixes) and "\n" not in text
