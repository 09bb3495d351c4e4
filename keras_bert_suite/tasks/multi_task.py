"""Several tasks over one encoder, trained together."""

import contextlib
import inspect
import json
import random
from pathlib import Path

import keras
import numpy as np

from keras_bert_suite.checkpoints import HEADS, open_checkpoint
from keras_bert_suite.checkpoints.checkpoint import layer_of
from keras_bert_suite.errors import CheckpointError
from keras_bert_suite.files import replaced_directory
from keras_bert_suite.models import build_joint
from keras_bert_suite.source import resolve_source
from keras_bert_suite.tasks.registry import INDEX, open_task, task_class
from keras_bert_suite.tasks.trainable import TrainableTask
from keras_bert_suite.training import BucketedDataset, MixedDataset

__all__ = ["MultiTask"]


class MultiTask(TrainableTask):
    """Tasks that share an encoder: what one learns helps the others, and a text goes through it once.

    Each stays what it is: `multi.tasks["intent"]` predicts, evaluates, exports
    and is saved as ever.

    Args:
        tasks: dict from a name, a Python identifier, to a `Task` over one and
            the same encoder and tokenizer.
    Attributes:
        tasks: the dict.
        model: `keras.Model` from token arrays to a dict of each task's output.
    Example:
    >>> import keras_bert_suite as kbs
    >>> from keras_bert_suite.tasks import MultiTask, TokenClassifier
    >>> words = ["play", "some", "jazz", "stop"]
    >>> tokenizer = kbs.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=9, num_layers=1, hidden_dim=12, num_heads=3, intermediate_dim=20, max_length=16)
    >>> encoder = kbs.models.build_encoder(config)
    >>> multi = MultiTask(
    ...     {"intent": kbs.TextClassifier(encoder, tokenizer), "slots": TokenClassifier(encoder, tokenizer)})
    >>> multi.compile(learning_rate=1e-3)
    >>> data = {
    ...     "intent": (["play some jazz", "stop"], ["play", "stop"]),
    ...     "slots": ([["play", "some", "jazz"], ["stop"]], [["O", "O", "B-genre"], ["O"]]),
    ... }
    >>> history = multi.fit(data, epochs=1, verbose=0)
    >>> sorted(multi.predict(["play jazz"])[0])
    ['intent', 'slots']

    Source: Chen et al. 2019 (intents and slots); Liu et al. 2019 (MT-DNN).
    """

    task = "multi-task"
    monitor = ("val_loss", "min")

    def __init__(self, tasks):
        if not tasks:
            raise ValueError("MultiTask: tasks must name one task at least. Received: none.")
        self.tasks = dict(tasks)
        first = next(iter(self.tasks.values()))
        others = [name for name, task in self.tasks.items() if task.encoder is not first.encoder]
        if others:
            raise ValueError(
                f"MultiTask: all tasks must be over one encoder. Received another one of: {', '.join(others)}. "
                "Relations add their markers to it: build them first, and the others over their encoder and tokenizer."
            )
        self.encoder, self.tokenizer = first.encoder, first.tokenizer
        self.max_length = max(task.max_length for task in self.tasks.values())
        self._joint = None

    @classmethod
    def from_pretrained(cls, source, tasks=None, **options):
        """Open an encoder for new tasks, or tasks that were saved together.

        Args:
            source: str or path, as in `TextClassifier.from_pretrained`, or a
                directory that `save_pretrained` wrote.
            tasks: optional dict from a name to the name of a task, e.g.
                `{"intent": "text-classification", "slots": "token-classification"}`,
                or to a tuple of it and a dict of settings of its class. Without,
                those of the directory.
            **options: as in `TextClassifier.from_pretrained`.
        """
        directory = Path(resolve_source(source, options.pop("revision", None)))
        if tasks is None:
            return cls._open_saved(directory, options)
        chosen = {name: (one, {}) if isinstance(one, str) else one for name, one in tasks.items()}
        with_tokens = [name for name, (kind, _) in chosen.items() if kind == "relation-classification"]
        with_pooler = [name for name, (kind, _) in chosen.items() if _reads_pooler(kind, directory)]
        # All share the encoder of the first: that of relations has rows for their markers, others may have a pooler.
        first = (with_tokens or with_pooler or list(chosen))[0]
        kind, settings = chosen[first]
        opened = {first: task_class(kind).from_pretrained(directory, replace_head=True, **options, **settings)}
        shared = opened[first]
        for name, (kind, settings) in chosen.items():
            if name not in opened:
                opened[name] = task_class(kind)(
                    shared.encoder, shared.tokenizer, **{"max_length": shared.max_length, **settings}
                )
                opened[name]._new_parts |= shared._new_parts - set(HEADS[shared.head])
        return cls({name: opened[name] for name in chosen})

    @classmethod
    def _open_saved(cls, directory, options):
        try:
            kinds = json.loads((directory / INDEX).read_text(encoding="utf-8"))["tasks"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{directory}: it has no {INDEX} that names its tasks ({error}). Pass tasks={{...}} to start new ones."
            ) from error
        opened = {name: open_task(directory / name, **options) for name in kinds}
        encoders = [name for name in opened if "pooled_output" in opened[name].encoder.output]
        first = opened[(encoders or list(opened))[0]]
        return cls({name: task if task is first else _moved(task, first.encoder) for name, task in opened.items()})

    def save_pretrained(self, directory, overwrite=False):
        """Write each task in a folder of its own, complete, in the Hugging Face layout.

        Args:
            directory: str or path. Must be absent or empty unless `overwrite`.
            overwrite: bool. Whether a directory already there may be replaced.
        """
        with replaced_directory(directory, overwrite) as written:
            for name, task in self.tasks.items():
                task.save_pretrained(written / name)
            kinds = {name: task.task for name, task in self.tasks.items()}
            (written / INDEX).write_text(json.dumps({"tasks": kinds}, indent=2) + "\n", encoding="utf-8")

    @property
    def model(self):
        """The `keras.Model` from token arrays to a dict of each task's output."""
        if self._joint is None:
            self._joint = build_joint({name: task.model for name, task in self.tasks.items()})
        return self._joint

    @property
    def _new_parts(self):
        return set().union(*(task._new_parts for task in self.tasks.values()))

    @_new_parts.setter
    def _new_parts(self, parts):
        for task in self.tasks.values():
            task._new_parts = task._new_parts & parts

    @property
    def _opened(self):
        return any(task._opened for task in self.tasks.values())

    # Training

    @property
    def scores_texts(self):
        """bool. Whether a task has a score of texts, which `fit` tells after each epoch."""
        return any(task.scores_texts for task in self.tasks.values())

    @property
    def score_names(self):
        """tuple of str. Those scores, each with the name of its task in front."""
        return tuple(
            f"{name}_{score}" for name, task in self.tasks.items() if task.scores_texts for score in task.score_names
        )

    def _epoch_scores(self, examples):
        return {
            f"{name}_{score}": value
            for name, task in self.tasks.items()
            if task.scores_texts
            for score, value in task._epoch_scores(examples[name]).items()
        }

    def _default_loss(self):
        return self._of_each("_default_loss")

    def _default_metrics(self):
        return self._of_each("_default_metrics")

    def _of_each(self, method):
        found = {}
        for name, task in self.tasks.items():
            task.recipe = self.recipe
            found[name] = getattr(task, method)()
        return found

    def fit(
        self,
        x,
        *,
        validation_data=None,
        sampling=1.0,
        epochs=3,
        batch_size=32,
        seed=None,
        columns=None,
        callbacks=None,
        **options,
    ):
        """Train all tasks, each batch of one of them; tasks whose data are the same texts share their batches.

        Args:
            x: dict from a task's name to what its own `fit` takes: a path, or a tuple of examples and answers.
            validation_data: optional dict likewise.
            sampling: float in [0, 1], or dict from a task's name to its chance, as
                in `training.MixedDataset`. Defaults to 1: by the number of batches.
            epochs, batch_size, seed: as in `TextClassifier.fit`.
            columns: optional dict from a task's name to which columns of its file to read.
            callbacks: optional list of `keras.callbacks.Callback`.
            **options: as in `TextClassifier.fit`: `directory`, `save_every`, `verbose`, ...
        Returns:
            `keras.callbacks.History`.
        """
        for name in ("pairs", "class_weight", "packing"):
            if name in options:
                raise ValueError(f"MultiTask: fit has no {name}, which is for one task alone. Leave it out.")
        if self.recipe.r_drop:
            raise ValueError("MultiTask: r_drop is for one task of one label. Received: r_drop above 0.")
        if options.get("directory") is not None and seed is None:
            raise ValueError("fit: a training that can be resumed needs a seed. Received: directory without seed.")
        examples = self._examples(x, columns, "x")
        validation = self._examples(validation_data, columns, "validation_data") if validation_data else None
        with contextlib.ExitStack() as stack:
            for task in self.tasks.values():
                stack.enter_context(task._as_before_if_refused())
            for name, found in examples.items():
                self.tasks[name]._learn_from(found)
                if self.tasks[name].encoder is not self.encoder:
                    raise ValueError(
                        f"MultiTask: {name} adds markers of its types of entities to a vocabulary that others share. "
                        "Leave the types out."
                    )
            if validation:
                callbacks = self._with_epoch_scores(callbacks, validation)
            order_seed = random.getrandbits(31) if seed is None else seed
            dataset = self._mixed(examples, batch_size, sampling, True, order_seed)
            dataset.epoch = -1  # `fit` ends an epoch before the first
            validation_data = validation and self._mixed(validation, batch_size, 1.0, False, 0)
        history = self._train(
            dataset,
            validation_data=validation_data,
            epochs=epochs,
            seed=seed,
            callbacks=callbacks,
            shuffle=False,
            **options,
        )
        for name, found in (validation or {}).items():
            self.tasks[name]._settle(found)
        return history

    def _examples(self, data, columns, argument):
        if not isinstance(data, dict) or set(data) != set(self.tasks):
            raise ValueError(
                f"MultiTask: {argument} must be a dict with data for each of {', '.join(self.tasks)}. Received: "
                f"{', '.join(data) if isinstance(data, dict) else type(data).__name__}."
            )
        found = {}
        for name, given in data.items():
            given = given if isinstance(given, tuple) else (given, None)
            found[name] = self.tasks[name]._read(*given, None, (columns or {}).get(name), require_label=True)
        return found

    def _mixed(self, examples, batch_size, sampling, shuffle, seed):
        datasets = {
            name: self.tasks[name]._dataset(found, batch_size, False, shuffle=shuffle, seed=seed)
            for name, found in examples.items()
        }
        return _together(datasets) or MixedDataset(datasets, sampling, seed)

    # Use

    def evaluate(self, x, *, columns=None, progress=False):
        """Score every task.

        Args:
            x, columns: dicts as in `fit`.
            progress: bool. Whether to show a bar.
        Returns:
            dict of the scores of each task's own `evaluate`, named `task_score`.
        """
        scores = {}
        for name, given in x.items():
            given = given if isinstance(given, tuple) else (given, None)
            found = self.tasks[name].evaluate(*given, columns=(columns or {}).get(name), progress=progress)
            scores.update({f"{name}_{score}": value for score, value in found.items()})
        return scores

    def predict(self, x, *, progress=False):
        """Answer for texts with every task: list of dicts from a task's name to what its own `predict` gives."""
        answers = {name: task.predict(x, progress=progress) for name, task in self.tasks.items()}
        return [dict(zip(answers, row, strict=True)) for row in zip(*answers.values(), strict=True)]


def _together(datasets):
    """Return one data set with the targets of all outputs, where all are of the same rows; else `None`."""
    first, *others = datasets.values()
    plain = all(type(dataset) is BucketedDataset and dataset.weights is None for dataset in datasets.values())
    same = plain and all(
        np.array_equal(getattr(first.encoded, part), getattr(other.encoded, part))
        for other in others
        for part in ("token_ids", "offsets", "second_starts")
    )
    if not same or len(datasets) == 1:
        return None
    targets = {name: dataset.targets for name, dataset in datasets.items()}
    longest = max(int(dataset.buckets[-1]) for dataset in datasets.values())
    return BucketedDataset(first.encoded, targets, first.batch_size, longest, shuffle=first.shuffle, seed=first.seed)


def _reads_pooler(kind, directory):
    found = task_class(kind)
    return hasattr(found, "_reads_pooler") and found._reads_pooler(open_checkpoint(directory).config)


def _moved(task, encoder):
    """Return a task over another encoder, with the weights of its own head."""
    settings = {
        **task._values().get("keras_bert_suite", {}),
        "max_length": task.max_length,
        "labels": task.labels,
        "problem_type": getattr(task, "problem_type", None),
    }
    taken = inspect.signature(type(task)).parameters
    settings = {name: value for name, value in settings.items() if name in taken and value is not None}
    moved = type(task)(encoder, task.tokenizer, **settings)
    head = {weight.path: weight for weight in task.model.weights if layer_of(weight.path) in HEADS[task.head]}
    for weight in moved.model.weights:
        if weight.path in head:
            weight.assign(keras.ops.convert_to_numpy(head[weight.path]))
    moved._new_parts = set()
    return moved
