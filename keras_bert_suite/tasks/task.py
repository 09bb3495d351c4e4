"""`Task`: an encoder with a head, and the tokenizer that goes with it, from opening to saving."""

from keras_bert_suite.checkpoints import HEADS, from_model, load_head, load_weights
from keras_bert_suite.checkpoints.hugging_face import write_hugging_face
from keras_bert_suite.files import replaced_directory
from keras_bert_suite.models import build_encoder, encoder_config, find_encoder
from keras_bert_suite.tasks.pretrained import allowed_length, check_vocabulary, open_pretrained, own_values
from keras_bert_suite.tasks.trainable import TrainableTask

__all__ = ["Task"]


class Task(TrainableTask):
    """What the tasks with a head of their own have in common.

    A subclass names its `task` and its `head`, and has

    - `_build()`, which returns the model over `self.encoder`, and perhaps
      `_check_ready()`;
    - what `TrainableTask` asks for;
    - `_settings_from(checkpoint, trained, labels)` and `_values()`: what its
      constructor takes beside `max_length`, read from a checkpoint and written to one.

    Args:
        encoder: `keras.Model` made by `build_encoder` or `load_encoder`.
        tokenizer: `text.Tokenizer`.
        max_length: optional int. Longer texts are cut or parted, in tokens.
            Defaults to what the encoder and the tokenizer allow.
    """

    #: The name of this task in config.json and on the command line.
    task = None
    #: Its head, out of `checkpoints.HEADS`.
    head = None
    #: Label names, in the order of the outputs, where it has any.
    labels = None

    def __init__(self, encoder, tokenizer, max_length=None):
        config = encoder_config(encoder)
        name = type(self).__name__
        if tokenizer.vocab_size > config.vocabulary_size:
            check_vocabulary(tokenizer, config, name)
        self.encoder = encoder
        self.tokenizer = tokenizer
        self.max_length = allowed_length(name, tokenizer, config, max_length)
        self._built = None
        self._new_parts = set(HEADS[self.head])

    # Opening and saving

    @classmethod
    def from_pretrained(
        cls, source, labels=None, *, max_length=None, replace_head=False, dtype=None, revision=None, **settings
    ):
        """Open a checkpoint: an encoder to fine-tune, or a trained task to use.

        Args:
            source: str or path. A directory in any format that
                `checkpoints.open_checkpoint` knows, the name of an installed
                model, e.g. `"all-MiniLM-L6-v2"`, or of one on the Hugging Face
                Hub, e.g. `"google-bert/bert-base-cased"`.
            labels: optional sequence of str, for tasks with labels. Needed only
                where neither the checkpoint nor the training data is to decide.
            max_length: optional int. Longer texts are cut or parted, in tokens.
            replace_head: bool. Whether to start from a new head although the
                checkpoint has one.
            dtype: optional str or `keras.DTypePolicy`, e.g. `"mixed_bfloat16"`;
                `"auto"` is the type of the stored weights.
            revision: optional str. Branch, tag or commit on the Hub.
            **settings: what the class takes beside these. Defaults to what the
                checkpoint says.
        Raises:
            CheckpointError: if the checkpoint is incomplete or damaged, or its
                head has other labels than `labels`.
        """
        checkpoint, tokenizer = open_pretrained(source, revision)
        trained = cls.head in checkpoint.heads and not replace_head
        settings["max_length"] = max_length or own_values(checkpoint).get("max_length")
        settings = {**cls._settings_from(checkpoint, trained, labels), **settings}
        if trained:
            model, new_parts = load_head(checkpoint, cls.head, dtype=dtype)
            task = cls(find_encoder(model), tokenizer, **settings)
            task._adopt(model)
        else:
            config = checkpoint.config.replace(pooler=cls._reads_pooler(checkpoint.config))
            encoder, new_parts = load_weights(checkpoint, lambda: build_encoder(config, checkpoint.policy(dtype)))
            new_parts = {*HEADS[cls.head], *new_parts}
            task = cls(encoder, tokenizer, **settings)
        task._new_parts, task._opened = new_parts, True
        return task

    @classmethod
    def _settings_from(cls, checkpoint, trained, labels):
        if labels is not None:
            raise TypeError(f"{cls.__name__} has no labels. Received: labels={labels!r:.100}. Leave them out.")
        return {}

    @staticmethod
    def _reads_pooler(config):
        """Whether the head of this task begins at the pooler."""
        return config.heads.pooling == "pooler"

    def save_pretrained(self, directory, overwrite=False):
        """Write model, tokenizer and labels in the Hugging Face layout, which `transformers` opens.

        Args:
            directory: str or path. Must be absent or empty unless `overwrite`.
            overwrite: bool. Whether a directory already there may be replaced.
        Raises:
            FileExistsError: if the directory holds anything and `overwrite` is false.
        """
        values = self._values()
        values["keras_bert_suite"] = {
            "task": self.task,
            "max_length": self.max_length,
            **values.get("keras_bert_suite", {}),
        }
        checkpoint = from_model(self.model, path=directory, head=self.head, labels=self.labels, values=values)
        with replaced_directory(directory, overwrite) as written:
            write_hugging_face(written, checkpoint)
            self.tokenizer.save_pretrained(written)

    def _values(self):
        """What config.json is to say of the task; under `keras_bert_suite`, what only this package knows."""
        return {}

    @property
    def model(self):
        """The `keras.Model` from token arrays to logits."""
        if self._built is None:
            self._check_ready()
            self._built = self._build()
        return self._built

    def _adopt(self, model):
        """Take a model with trained weights, as `checkpoints.load_head` returns it."""
        self._built = model

    def _check_ready(self):
        """Raise `ValueError` where something that decides the model is not known yet."""
