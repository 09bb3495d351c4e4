"""A classifier from a handful of examples a label: an embedder tuned on pairs of them, and a linear head."""

import dataclasses
import random
from pathlib import Path

import keras
import numpy as np
from safetensors.numpy import load_file, save_file

from keras_bert_suite.checkpoints import open_checkpoint
from keras_bert_suite.errors import CheckpointError, check_positive_int
from keras_bert_suite.files import replaced_directory
from keras_bert_suite.models import encoder_config
from keras_bert_suite.source import resolve_source
from keras_bert_suite.tasks.inputs import encode_texts
from keras_bert_suite.tasks.logistic_regression import fit_logistic_regression
from keras_bert_suite.tasks.pretrained import own_values
from keras_bert_suite.tasks.text_classifier import TextClassifier
from keras_bert_suite.tasks.text_embedder import TextEmbedder

__all__ = ["FewShotClassifier", "contrastive_pairs"]

HEAD_FILE = "head.safetensors"


class FewShotClassifier(TextClassifier):
    """A classifier for when there are few labelled texts: eight a label, say.

    `fit` first tunes a model of sentence embeddings so that texts of one label
    are near each other, on pairs of the examples, of which even few make many;
    then it fits a logistic regression to the embeddings. The result is one
    `keras.Model`, used and exported as that of a `TextClassifier`.

    Args:
        embedder: `TextEmbedder`. `fit` changes its weights.
        labels: optional sequence of str. Without them, `fit` takes those of its data.
    Attributes:
        embedder: the embedder.
        model: `keras.Model` from token arrays to logits `(B, L)`, after `fit`.
        labels, tokenizer, max_length: as in `TextClassifier`.
    Example:
    >>> import keras_bert_suite as kbs
    >>> from keras_bert_suite.tasks import TextEmbedder
    >>> tokenizer = kbs.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "fine"])
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=8, num_layers=1, hidden_dim=12, num_heads=3, intermediate_dim=20, max_length=16)
    >>> model = kbs.models.build_text_embedder(kbs.models.build_encoder(config))
    >>> classifier = FewShotClassifier(TextEmbedder(model, tokenizer))
    >>> history = classifier.fit(["good", "fine", "bad", "bad bad"], ["pos", "pos", "neg", "neg"], seed=0, verbose=0)
    >>> classifier.labels, sorted(classifier.predict(["good"])[0])
    (['neg', 'pos'], ['label', 'score'])

    Source: Tunstall et al. 2022, section 3.
    """

    task = "few-shot-classification"

    def __init__(self, embedder, labels=None):
        super().__init__(
            embedder.encoder,
            embedder.tokenizer,
            labels,
            embedder.max_length,
            problem_type="single_label_classification",
        )
        self.embedder = embedder

    # Opening and saving

    @classmethod
    def from_pretrained(
        cls, source, labels=None, *, max_length=None, replace_head=False, dtype=None, revision=None, **options
    ):
        """Open a model of sentence embeddings to train, or a trained classifier to use.

        Args:
            source: str or path, as in `TextEmbedder.from_pretrained`.
            labels: optional sequence of str. Defaults to those of a trained
                classifier, else to those of the training data.
            max_length: optional int. Longer texts are cut, in tokens.
            replace_head: bool. Whether to leave the head of a trained classifier aside.
            dtype, revision: as in `TextEmbedder.from_pretrained`.
            **options: `pooling` and `normalize`, likewise.
        Raises:
            CheckpointError: if the model is incomplete or damaged, or its head
                has other labels than `labels`.
        """
        directory = Path(resolve_source(source, revision))
        embedder = TextEmbedder.from_pretrained(directory, max_length=max_length, dtype=dtype, **options)
        if replace_head or not (directory / HEAD_FILE).is_file():
            return cls(embedder, labels)
        stored, arrays = _read_head(directory, embedder.embedding_dim)
        if labels is not None and list(labels) != stored:
            raise CheckpointError(
                f"{directory}: its head was trained for the labels {stored}. Received: labels={list(labels)}. "
                "Leave labels out to use its own, or pass replace_head=True to train a new head."
            )
        classifier = cls(embedder, stored)
        classifier._set_head(*arrays)
        return classifier

    def save_pretrained(self, directory, overwrite=False):
        """Write the embedder in the sentence-transformers layout, and the head beside it in `head.safetensors`.

        `SentenceTransformer(directory)` opens the former, `from_pretrained` both.

        Args:
            directory: str or path. Must be absent or empty unless `overwrite`.
            overwrite: bool. Whether a directory already there may be replaced.
        Raises:
            FileExistsError: if the directory holds anything and `overwrite` is false.
        """
        kernel, bias = (keras.ops.convert_to_numpy(weight) for weight in self.model.get_layer("classifier").weights)
        with replaced_directory(directory, overwrite) as written:
            self.embedder.write(written, {"task": self.task, "labels": self.labels})
            save_file({"kernel": np.ascontiguousarray(kernel), "bias": bias}, written / HEAD_FILE)

    # The model

    def _build(self):
        raise ValueError("FewShotClassifier: its head is not trained yet. Call fit first.")

    def _set_head(self, kernel, bias):
        """Put a head with these weights on the embedder."""
        embeddings = self.embedder.model
        head = keras.layers.Dense(len(bias), dtype="float32", name="classifier")
        self._built = keras.Model(embeddings.input, head(embeddings.output), name="few_shot_classifier")
        head.set_weights([kernel, bias])

    # Training

    def compile(self, learning_rate=None, *, patience=None, **options):
        """Choose how to train, as in `TextClassifier.compile`; there is no `patience`.

        Raises:
            ValueError: if `patience` is given: the head, and with it the score,
                comes after the last epoch.
        """
        if patience is not None:
            raise ValueError(
                "FewShotClassifier: patience watches a score after each epoch, and the head comes after the last. "
                f"Received: patience={patience}. Leave it out, and choose the epochs."
            )
        super().compile(learning_rate, **options)

    def fit(
        self,
        x,
        y=None,
        *,
        pairs=None,
        validation_data=None,
        epochs=1,
        batch_size=16,
        num_pairs=20,
        strength=1.0,
        seed=None,
        columns=None,
        class_weight=None,
        **options,
    ):
        """Tune the embedder on pairs of the examples, and fit the head to them.

        The learning rate defaults to 2e-5 for a `hidden_dim` of 768, and in
        inverse proportion for others; `compile` takes others and the rest of the recipe.

        Args:
            x: path of a file, or list of str.
            y: labels, when `x` is not a file.
            pairs, class_weight: not for this task.
            validation_data: optional path or `(x, y)` tuple, scored at the end.
            epochs: int. Passes over the pairs; 0 fits the head alone. Defaults to 1.
            batch_size: int. Pairs a step. Defaults to 16.
            num_pairs: int. Pairs drawn for each example with others of its
                label, and as many with those of other labels. Defaults to 20.
            strength: float. How much the head trusts the data: the inverse of its penalty. Defaults to 1.
            seed: optional int. Governs pairs, order and dropout.
            columns: optional dict: which columns of the file to read.
            **options: as in `TextClassifier.fit`, e.g. `directory`, `callbacks` and `verbose`.
        Returns:
            `keras.callbacks.History` of the tuning, with the `val_accuracy` of the last epoch.
        Raises:
            DataError: if a file breaks a rule or has an unknown label.
        """
        found = self._read(x, y, pairs, columns, require_label=True)
        if found.pairs is not None or class_weight is not None:
            raise ValueError("FewShotClassifier: it learns from single texts that count alike. Leave out the rest.")
        with self._as_before_if_refused():
            self._learn_from(found)
            targets = self._targets(found)
            if validation_data is not None:
                given = validation_data if isinstance(validation_data, tuple) else (validation_data, None)
                self._targets(self._read(*given, None, columns, require_label=True))
        history = keras.callbacks.History()
        history.history = {"loss": []}
        if epochs:
            self._compile_embedder()
            rows, scores = contrastive_pairs(targets, num_pairs, random.getrandbits(31) if seed is None else seed)
            texts = [(found.texts[one], found.texts[other]) for one, other in rows.tolist()]
            history = self.embedder.fit(texts, scores, epochs=epochs, batch_size=batch_size, seed=seed, **options)
        vectors = self.embedder.encode(found.texts)
        kernel, bias = fit_logistic_regression(vectors, targets, len(self.label_map), strength=strength)
        self._set_head(kernel.astype("float32"), bias.astype("float32"))
        if validation_data is not None:
            none = [None] * (len(history.history["loss"]) - 1)
            history.history["val_accuracy"] = [*none, self.evaluate(*given, columns=columns)["accuracy"]]
        return history

    def _compile_embedder(self):
        recipe = {field.name: getattr(self.recipe, field.name) for field in dataclasses.fields(self.recipe)}
        recipe["learning_rate"] = self.recipe.learning_rate or 2e-5 * 768 / encoder_config(self.encoder).hidden_dim
        self.embedder.compile(loss="cosine", jit_compile=self._compile_options["jit_compile"], **recipe)

    def _encode(self, found):
        texts = self.embedder.prompted(found.texts)
        return encode_texts(self.tokenizer, texts, None, self.max_length, found.path)


def contrastive_pairs(targets, num_pairs, seed):
    """Draw pairs of examples: of one label, to be brought together, and of two, to be parted.

    Args:
        targets: int `(N,)`. Label of each example.
        num_pairs: int. Pairs of either kind drawn for each example. One that
            is alone with its label has no pairs of the first kind.
        seed: int.
    Returns:
        `(rows, scores)`: int `(P, 2)`, and float64 `(P,)`, 1 where the labels are one, else 0.
    Example:
    >>> rows, scores = contrastive_pairs(np.array([0, 0, 1]), 1, seed=0)
    >>> rows[scores == 1].tolist(), len(rows)
    ([[0, 1], [1, 0]], 5)

    Source: Tunstall et al. 2022, section 3.1.
    """
    check_positive_int("contrastive_pairs", num_pairs=num_pairs)
    rng = np.random.default_rng(seed)
    targets = np.asarray(targets)
    everyone = np.arange(len(targets))
    rows, scores = [], []
    for row in everyone:
        alike = targets == targets[row]
        for score, others in ((1.0, everyone[alike & (everyone != row)]), (0.0, everyone[~alike])):
            if len(others):
                chosen = rng.choice(others, num_pairs)
                rows.extend((row, other) for other in chosen.tolist())
                scores.extend([score] * num_pairs)
    return np.array(rows, "int64").reshape(-1, 2), np.array(scores)


def _read_head(directory, width):
    """Return the labels of a trained classifier, and the kernel and bias of its head."""
    labels = own_values(open_checkpoint(directory)).get("labels")
    try:
        arrays = load_file(directory / HEAD_FILE)
        kernel, bias = arrays["kernel"], arrays["bias"]
    except Exception as error:  # the package raises its own types, which it does not export
        raise CheckpointError(f"{directory / HEAD_FILE}: cannot be read: {error}.") from error
    if not isinstance(labels, list) or kernel.shape != (width, len(labels)) or bias.shape != (len(labels),):
        raise CheckpointError(
            f"{directory}: head.safetensors must hold a kernel ({width}, L) and a bias (L,) for the L labels of "
            f"config.json. Received: shapes {kernel.shape} and {bias.shape}, labels {labels!r:.100}."
        )
    return labels, (kernel, bias)
