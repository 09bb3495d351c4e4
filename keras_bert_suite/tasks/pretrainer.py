"""An encoder trained on plain text: from new weights, or on from those of any checkpoint."""

import contextlib
import dataclasses
import logging
import math
import random
from functools import partial

import keras
import numpy as np

from keras_bert_suite.checkpoints import HEADS, from_model, load_head, load_weights, open_checkpoint
from keras_bert_suite.checkpoints.families import FAMILIES
from keras_bert_suite.checkpoints.hugging_face import write_hugging_face
from keras_bert_suite.data.corpus import cooccurrence_vectors
from keras_bert_suite.data.masking import Masking, MaskingVocabulary
from keras_bert_suite.errors import CheckpointError, check_choice, check_positive_int, shortened
from keras_bert_suite.files import replaced_directory
from keras_bert_suite.models import build_encoder, build_replaced_token, encoder_config, find_encoder
from keras_bert_suite.models.electra import GENERATOR, build_electra, build_generator, generator_config
from keras_bert_suite.models.pretraining import build_packed_pretraining, build_pretraining, pretraining_flops
from keras_bert_suite.tasks.config_source import read_encoder_config
from keras_bert_suite.tasks.pretrained import allowed_length, check_vocabulary, open_pretrained
from keras_bert_suite.tasks.text_corpus import open_corpus
from keras_bert_suite.tasks.trainable import TrainableTask
from keras_bert_suite.training.backend import compiles_per_shape, packs_by_default
from keras_bert_suite.training.losses import ClassificationLoss
from keras_bert_suite.training.pretraining_dataset import PretrainingDataset, check_corpus
from keras_bert_suite.training.pretraining_losses import MaskedLMLoss, ReplacedTokenAccuracy, ReplacedTokenLoss
from keras_bert_suite.training.pretraining_speed import PretrainingSpeed, measured_peak_flops
from keras_bert_suite.training.staged_dataset import StagedDataset
from keras_bert_suite.training.tf_batches import readable

__all__ = ["Pretrainer"]

logger = logging.getLogger(__name__)

OBJECTIVES = ("masked_lm", "replaced_token")
#: How much the discriminator's loss counts beside the generator's. Source: Clark et al. 2020, section 3.1.
REPLACED_TOKEN_WEIGHT = 50.0
#: The peak learning rate of new weights at a width of 768; others in inverse proportion.
NEW_LEARNING_RATE = 2e-4
#: How long the vectors are that embeddings start with, as multiple of random ones. No other was tried.
START_LENGTH = 1.5
#: Steps between two reports where nothing else is asked for.
REPORT_STEPS = 1000


class Pretrainer(TrainableTask):
    """Train an encoder on plain text.

    Args:
        encoder: `keras.Model` made by `build_encoder` or `load_encoder`.
        tokenizer: `text.Tokenizer`.
        pair_head: optional str: `"next_sentence"` or `"sentence_order"`, learnt
            beside the masked tokens. Defaults to masked tokens alone.
        objective: str. `"masked_lm"`, or `"replaced_token"`: a small generator
            replaces tokens, and the encoder tells which (ELECTRA).
        generator: optional `EncoderConfig` of the generator. Defaults to a
            quarter of the encoder's width.
        tied: bool. Whether a masked language model's output matrix is the token
            embeddings' own. Defaults to True.
        max_length: optional int. Tokens of the rows that texts are cut into.
            Defaults to what the encoder and the tokenizer allow.
    Attributes:
        model: `keras.Model` that is trained, as `build_pretraining` or `build_electra` returns it.
        encoder, tokenizer, max_length: as given.
        generator, discriminator: `keras.Model`, of the objective `"replaced_token"`.
    Raises:
        ValueError: if the family has no such head.
    Example:
    >>> import keras_bert_suite as kbs
    >>> tokenizer = kbs.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"])
    >>> config = kbs.EncoderConfig(
    ...     num_layers=1, hidden_dim=12, num_heads=3, intermediate_dim=20, max_length=16)
    >>> pretrainer = Pretrainer.from_config(config, tokenizer, seed=0)
    >>> history = pretrainer.fit(["good bad good bad good"] * 4, epochs=1, batch_size=2, verbose=0)
    >>> sorted(pretrainer.evaluate(["bad good bad"]))
    ['masked_lm_accuracy', 'masked_lm_loss', 'perplexity']

    Source: Devlin et al. 2018; Lan et al. 2019; Liu et al. 2019; Clark et al. 2020; Gururangan et al. 2020 for
        training on from a checkpoint.
    """

    #: The name of this task in config.json.
    task = "pretraining"
    monitor = ("val_loss", "min")

    def __init__(
        self,
        encoder,
        tokenizer,
        *,
        pair_head=None,
        objective="masked_lm",
        generator=None,
        tied=True,
        max_length=None,
    ):
        config = encoder_config(encoder)
        _check_heads(config, objective, pair_head)
        if tokenizer.vocab_size > config.vocabulary_size:
            check_vocabulary(tokenizer, config, "Pretrainer")
        self.encoder = encoder
        self.tokenizer = tokenizer
        self.pair_head = pair_head
        self.objective = objective
        self.max_length = allowed_length("Pretrainer", tokenizer, config, max_length)
        self._tied = tied
        self._generator_config = generator
        self._model = None
        self._continues = False
        self._new_parts = {layer for head in ("masked_lm", pair_head, objective) if head for layer in HEADS[head]}
        self.compile()

    # Opening and saving

    @classmethod
    def from_config(cls, config, tokenizer, *, dtype=None, seed=None, pair_head=None, **options):
        """Start from new weights.

        Args:
            config: `EncoderConfig`, the name of one in `config.PRESETS`, e.g.
                `"bert-mini"`, or the path of a config.json. Its vocabulary
                becomes the tokenizer's; it has a pooler where there is a pair head.
            tokenizer: `text.Tokenizer`.
            dtype: optional str or `keras.DTypePolicy`, e.g. `"mixed_bfloat16"`.
            seed: optional int. Governs the weights.
            pair_head, **options: as the class takes them.
        """
        config = read_encoder_config(config)
        _check_heads(config, options.get("objective", "masked_lm"), pair_head)
        config = config.replace(
            vocabulary_size=tokenizer.vocab_size,
            pad_token_id=tokenizer.pad_token_id or 0,
            pooler=pair_head is not None,
        )
        with _seeded(seed):
            pretrainer = cls(build_encoder(config, dtype), tokenizer, pair_head=pair_head, **options)
            pretrainer._build()
        pretrainer._new_parts = set()
        return pretrainer

    @classmethod
    def from_pretrained(
        cls,
        source,
        *,
        pair_head=None,
        objective=None,
        generator=None,
        dtype=None,
        revision=None,
        max_length=None,
        seed=None,
    ):
        """Go on from a checkpoint, heads included where it has them.

        Args:
            source: str or path. A directory in any format that
                `checkpoints.open_checkpoint` knows, the name of an installed
                model, or of one on the Hugging Face Hub.
            pair_head, generator, max_length: as the class takes them.
            objective: optional str. Defaults to what the checkpoint's head is of.
            dtype: optional str or `keras.DTypePolicy`, e.g. `"mixed_bfloat16"`;
                `"auto"` is the type of the stored weights.
            revision: optional str. Branch, tag or commit on the Hub.
            seed: optional int. Governs the weights that the checkpoint lacks.
        Raises:
            CheckpointError: if the checkpoint is incomplete or damaged.
        """
        with _seeded(seed):
            return cls._opened_from(source, revision, dtype, objective, pair_head, generator, max_length)

    @classmethod
    def _opened_from(cls, source, revision, dtype, objective, pair_head, generator, max_length):
        checkpoint, tokenizer = open_pretrained(source, revision)
        if objective is None:
            objective = "replaced_token" if "replaced_token" in checkpoint.heads else "masked_lm"
        config = checkpoint.config
        _check_heads(config, objective, pair_head)
        if pair_head is not None:
            config = config.replace(pooler=True)
        options = {"pair_head": pair_head, "objective": objective, "max_length": max_length, "tied": checkpoint.tied}
        if objective == "replaced_token":
            model, new_parts = load_head(checkpoint, "replaced_token", dtype=dtype)
            task = cls(find_encoder(model), tokenizer, generator=generator, **options)
            stored = checkpoint.path / GENERATOR
            if generator is None and stored.is_dir():
                generator_checkpoint = open_checkpoint(stored)
                task._generator_config = generator_checkpoint.config
                task._build(discriminator=model)
                _fill(task.generator, generator_checkpoint)
            else:
                if generator is None:
                    logger.warning("%s has no generator: starting from new weights there.", checkpoint.path)
                task._build(discriminator=model)
                new_parts |= {GENERATOR}
        else:
            model, new_parts = load_weights(
                checkpoint,
                lambda: build_pretraining(build_encoder(config, checkpoint.policy(dtype)), pair_head, checkpoint.tied),
            )
            task = cls(find_encoder(model), tokenizer, **options)
            task._model = model
        task._new_parts, task._opened = new_parts, True
        task._continues = True
        task.compile()
        return task

    def save_pretrained(self, directory, overwrite=False):
        """Write model and tokenizer in the Hugging Face layout, every head included.

        `transformers` opens the directory as its class `...ForPreTraining`, or
        `...ForMaskedLM` where no pairs were learnt, and any task of this package
        starts from it. A generator goes to the subdirectory `generator`.

        Args:
            directory: str or path. Must be absent or empty unless `overwrite`.
            overwrite: bool. Whether a directory already there may be replaced.
        Raises:
            FileExistsError: if the directory holds anything and `overwrite` is false.
        """
        values = {"keras_bert_suite": {"max_length": self.max_length}}
        if self.objective == "replaced_token":
            parts = {
                "": (self.discriminator, ("replaced_token",)),
                GENERATOR: (self.generator, ("masked_lm",)),
            }
        else:
            parts = {"": (self.model, ("masked_lm", self.pair_head) if self.pair_head else ("masked_lm",))}
        with replaced_directory(directory, overwrite) as written:
            for name, (model, heads) in parts.items():
                (written / name).mkdir(exist_ok=True)
                write_hugging_face(written / name, _with_heads(model, heads, directory, values))
                self.tokenizer.save_pretrained(written / name)

    @property
    def model(self):
        """The `keras.Model` that is trained."""
        if self._model is None:
            self._build()
        return self._model

    @property
    def generator(self):
        """The `keras.Model` that replaces tokens; `None` for another objective."""
        self.model  # noqa: B018  builds it
        return self._generator

    @property
    def discriminator(self):
        """The `keras.Model` that tells which tokens were replaced; `None` for another objective."""
        self.model  # noqa: B018
        return self._discriminator

    _generator = _discriminator = None

    def _build(self, discriminator=None):
        if self.objective == "masked_lm":
            self._model = build_pretraining(self.encoder, self.pair_head, self._tied)
            return
        config = self._generator_config or generator_config(encoder_config(self.encoder))
        self._generator = build_generator(self.encoder, config, _policy(self.encoder))
        self._discriminator = discriminator or build_replaced_token(self.encoder)
        self._model = build_electra(self._generator, self._discriminator)

    # Training

    def start_embeddings(self, corpus, seed=0):
        """Start from which tokens stand together in a corpus, in the place of random numbers.

        Token embeddings become `data.corpus.cooccurrence_vectors`, half again
        as long as random ones, and the scores' bias how common each token is.
        Counting takes a minute; a small model then comes as far in half of the batches.

        Args:
            corpus: as in `fit`; one alone.
            seed: int.
        Raises:
            DataError: as in `fit`.
        """
        config, tokenizer = encoder_config(self.encoder), self.tokenizer
        corpus = self._corpus(corpus)
        check_corpus(corpus, tokenizer, None)
        special_ids = np.flatnonzero(~MaskingVocabulary.from_tokenizer(tokenizer).maskable)
        head = (self.generator or self.model).get_layer("masked_lm")
        table = self.encoder.get_layer("embeddings").token.embeddings
        vectors, counts = cooccurrence_vectors(corpus, table.shape[1], config.vocabulary_size, special_ids, seed)
        length = START_LENGTH * config.initializer_range * math.sqrt(table.shape[1])
        drawn = keras.ops.convert_to_numpy(table)
        table.assign(np.where(vectors.any(axis=1, keepdims=True), length * vectors, drawn))
        counts[special_ids] = 0
        head.bias.assign(np.log((counts + 1) / (counts.sum() + len(counts))))

    def compile(self, learning_rate=None, **options):
        """Choose how to train.

        Args:
            learning_rate: optional float. The peak. Defaults for a `hidden_dim`
                of 768 to 2e-4 with new weights and to 5e-5 with those of a
                checkpoint, and in inverse proportion for others.
            **options: as in `TrainableTask.compile`.
        """
        if options.get("r_drop"):
            raise ValueError(f"Pretrainer: r_drop must be 0. Received: r_drop={options['r_drop']}.")
        if learning_rate is None and not self._continues:
            learning_rate = NEW_LEARNING_RATE * 768 / encoder_config(self.encoder).hidden_dim
        super().compile(learning_rate, **options)

    @property
    def _loss_weights(self):
        return {name: REPLACED_TOKEN_WEIGHT if name == "replaced_token" else 1.0 for name in self.model.output}

    def _default_loss(self):
        return self._losses(self.model)

    def _default_metrics(self):
        return self._metrics(self.model)

    def _losses(self, model):
        kinds = {
            "masked_lm": lambda: MaskedLMLoss(label_smoothing=self.recipe.label_smoothing),
            "replaced_token": ReplacedTokenLoss,
        }
        return {name: kinds.get(name, ClassificationLoss)() for name in model.output}

    def _metrics(self, model, more=False):
        """Return the metrics of each output; with `more`, the mean cross-entropy by token too."""
        metrics = {}
        for name in model.output:
            # Keras puts an output's name in front where there are several.
            prefix = "" if len(model.output) > 1 else f"{name}_"
            kind = ReplacedTokenAccuracy if name == "replaced_token" else keras.metrics.SparseCategoricalAccuracy
            metrics[name] = [kind(name=f"{prefix}accuracy")]
            if more and name == "masked_lm":
                kind = keras.metrics.SparseCategoricalCrossentropy
                metrics[name].append(kind(name=f"{prefix}cross_entropy", from_logits=True))
        return metrics

    def fit(
        self,
        corpus,
        *,
        validation_data=None,
        steps=None,
        epochs=None,
        batch_size=128,
        masking=None,
        packing="auto",
        seed=0,
        directory=None,
        save_every=60.0,
        keep=2,
        report_steps=None,
        peak_flops=None,
        callbacks=None,
        verbose="auto",
        **options,
    ):
        """Train on a corpus.

        After every `report_steps` batches comes what Keras calls an epoch: the
        validation data are scored, and the logs get losses and accuracies,
        `tokens_per_second` and `flops_utilization`.

        Args:
            corpus: path of a directory that `kbs pretrain-data` made, or a
                `data.corpus.Corpus`; a list of str, or path of a file of texts;
                or, to raise the length of rows in stages, a list of `(corpus,
                share)` in turn, where shares of the steps add up to 1.
            validation_data: optional corpus, scored with the same masks each
                time, in batches of the first stage that has rows as long.
            steps: optional int. Batches to train. Rounded up to whole reports.
            epochs: optional int. Instead of `steps`: how often to go over the
                corpus. Defaults to 1.
            batch_size: int, or a list with one for each stage. Rows of a corpus
                a step. Defaults to 128.
            masking: optional `data.masking.Masking`, or `"static"` for masks
                built into the corpus. Defaults to BERT's, for ELECTRA to its own.
            packing: bool, or `"auto"`. Whether several rows of a corpus share a
                row. Defaults to where many are short and it is faster.
            seed: int. Governs order, masks and dropout.
            directory: optional path. Where the state of the training is kept:
                when the process is killed, the same call goes on from there, to
                the very weights that it would have come to.
            save_every: float. Seconds between two states.
            keep: int. How many states stay.
            report_steps: optional int. Defaults to 1000, or all if there are fewer.
            peak_flops: optional float. What the device can do, floating point
                operations a second. Measured where it is not given; 0 leaves
                the utilization out.
            callbacks, verbose, **options: as in `keras.Model.fit`.
        Returns:
            `keras.callbacks.History`.
        Raises:
            DataError: if a corpus is damaged, empty, was made with another
                tokenizer, or has longer rows than the encoder has positions.
            TrainingInterrupted: on SIGTERM, when the state has been saved.
        """
        training = self.dataset(
            corpus,
            steps=steps,
            epochs=epochs,
            batch_size=batch_size,
            masking=masking,
            packing=packing,
            seed=seed,
            report_steps=report_steps,
        )
        training.epoch = -1  # `fit` ends an epoch before the first: with a directory and without, orders are the same.
        if validation_data is not None:
            scored = self._corpus(validation_data)
            # Batches of the stage that has rows as long: those of a stage of shorter rows have more of them.
            like = next((one for one in training.datasets if one.longest >= scored.max_length), training.datasets[-1])
            validation_data = self._dataset(
                scored, like.batch_size, masking, like.packed, 0, self.pair_head, shuffle=False
            )
        return self._train(
            training,
            validation_data=validation_data,
            epochs=training.num_epochs,
            seed=seed,
            directory=directory,
            save_every=save_every,
            callbacks=[self._speed(training, peak_flops), *(callbacks or [])],
            verbose=verbose,
            shuffle=False,  # The data set has an order of its own.
            **({} if directory is None else {"keep": keep}),
            **options,
        )

    def dataset(
        self,
        corpus,
        *,
        steps=None,
        epochs=None,
        batch_size=128,
        masking=None,
        packing="auto",
        seed=0,
        report_steps=None,
    ):
        """Return what `fit` trains on, a `training.StagedDataset`, for scripts with a `fit` of their own.

        Args:
            As in `fit`.
        """
        stages = corpus if _is_staged(corpus) else [(corpus, 1.0)]
        stages = [(self._corpus(one), share) for one, share in stages]
        sizes = batch_size if isinstance(batch_size, (list, tuple)) else [batch_size] * len(stages)
        if len(sizes) != len(stages) or abs(sum(share for _, share in stages) - 1) > 1e-6:
            raise ValueError(
                "Pretrainer: stages need shares that add up to 1, and one batch size each. Received: shares "
                f"{[share for _, share in stages]}, batch sizes {list(sizes)}."
            )
        if steps is not None and epochs is not None:
            raise ValueError(f"Pretrainer: give steps or epochs, not both. Received: steps={steps}, epochs={epochs}.")
        packed = self._packs_corpora([one for one, _ in stages], packing)
        datasets = [
            self._dataset(one, size, masking, packed, seed, self.pair_head)
            for (one, _), size in zip(stages, sizes, strict=True)
        ]
        if steps is None:
            epochs = 1 if epochs is None else epochs
            check_positive_int("Pretrainer", epochs=epochs)
            steps = epochs * sum(map(len, datasets))
        check_positive_int("Pretrainer", steps=steps)
        report_steps = min(report_steps or REPORT_STEPS, steps)
        ends = np.rint(steps * np.cumsum([0.0, *(share for _, share in stages)])).astype("int64")
        parts = list(zip(datasets, np.diff(ends).tolist(), strict=True))
        return StagedDataset(parts, num_epochs=-(-steps // report_steps))

    def _dataset(self, corpus, batch_size, masking, packed, seed, pair_head, shuffle=True):
        if masking is None and self.objective == "replaced_token":
            masking = Masking(mask_rate=0.85, random_rate=0.0)
        return PretrainingDataset(
            corpus,
            self.tokenizer,
            batch_size,
            masking=masking,
            pair_head=pair_head,
            replaced_token=self.objective == "replaced_token",
            packed=packed,
            seed=seed,
            shuffle=shuffle,
        )

    def _packs_corpora(self, corpora, packing):
        can = self.pair_head is None and self.objective == "masked_lm"
        if packing == "auto":
            short = all(corpus.num_tokens < 0.75 * corpus.num_rows * corpus.max_length for corpus in corpora)
            return can and short and packs_by_default()
        if packing and not can:
            raise ValueError(
                "Pretrainer: packing needs the objective masked_lm without a pair head. Received: "
                f"objective={self.objective!r}, pair_head={self.pair_head!r}. Leave packing out."
            )
        return bool(packing)

    def _corpus(self, data):
        return open_corpus(data, self.tokenizer, self.max_length, encoder_config(self.encoder).max_length)

    def _trained_model(self, x):
        dataset = getattr(x, "datasets", [x])[0]
        return build_packed_pretraining(self.model) if getattr(dataset, "packed", False) else self.model

    def _speed(self, training, peak_flops):
        """Return the callback that reports how fast a training goes."""
        config = encoder_config(self.encoder)
        tokens, flops = [], []  # of a batch, for each stage
        for dataset in training.datasets:
            rows = dataset.num_examples / dataset.num_batches
            length, predictions = dataset.tokens_per_batch / rows, dataset.predictions_per_batch / rows
            if self.objective == "replaced_token":
                own = pretraining_flops(encoder_config(self.generator), length, predictions)
                of_row = own + pretraining_flops(config, length)
            else:
                of_row = pretraining_flops(config, length, predictions)
            tokens.append(dataset.tokens_per_batch)
            flops.append(rows * of_row)
        if peak_flops is None:
            peak_flops = measured_peak_flops(_policy(self.encoder).compute_dtype)
        return PretrainingSpeed(partial(training.mean, tokens), partial(training.mean, flops), peak_flops)

    # Scoring

    def evaluate(self, data, *, batch_size=32, masking=None, seed=0, progress=False):
        """Score held-out text: how well masked tokens are guessed, and what else the model learns.

        The same data have the same masks each time, so that figures before and
        after a training can be compared.

        Args:
            data: corpus, as `fit` takes it, or a list of str.
            batch_size: int. Rows a step. Defaults to 32.
            masking, seed: as in `fit`.
            progress: bool. Whether to show a bar.
        Returns:
            dict: `masked_lm_loss`, the mean cross-entropy in nats of a masked
            token; `perplexity`, its exponential; `masked_lm_accuracy`, in [0, 1];
            and for pairs or replaced tokens, where the data have them, loss and
            accuracy under their names.
        """
        corpus = self._corpus(data)
        model = self.model
        pair_head = self.pair_head if corpus.kind == self.pair_head else None
        dataset = self._dataset(
            corpus, batch_size, masking, packed=False, seed=seed, pair_head=pair_head, shuffle=False
        )
        names = [name for name in model.output if name in dataset[0][1]]
        scorer = keras.Model(model.input, {name: model.output[name] for name in names})
        scorer.compile(
            loss=self._losses(scorer),
            weighted_metrics=self._metrics(scorer, more=True),
            jit_compile="auto" if compiles_per_shape() else False,
        )
        with self._same_draws(seed):
            found = scorer.evaluate(readable(dataset), verbose=int(progress), return_dict=True)
        loss = found["masked_lm_cross_entropy"]
        scores = {
            "masked_lm_loss": loss,
            "masked_lm_accuracy": found["masked_lm_accuracy"],
            "perplexity": math.exp(min(loss, 700.0)),
        }
        for name in names[1:]:
            scores |= {f"{name}_{what}": found[f"{name}_{what}"] for what in ("loss", "accuracy")}
        return scores

    @contextlib.contextmanager
    def _same_draws(self, seed):
        """Draw the tokens that replace others from `seed` inside the block, and go on as if it had not been."""
        if self.objective != "replaced_token":
            yield
            return
        state = self.model.get_layer("replace_tokens").seed_generator.state
        before = keras.ops.convert_to_numpy(state)
        state.assign(np.array([seed, 0], "uint32"))
        try:
            yield
        finally:
            state.assign(before)


def _check_heads(config, objective, pair_head):
    """Raise `ValueError` unless a family has these heads, so that what is trained can be saved."""
    check_choice("Pretrainer", "objective", objective, OBJECTIVES)
    check_choice("Pretrainer", "pair_head", pair_head, (None, "next_sentence", "sentence_order"))
    if objective == "replaced_token" and pair_head is not None:
        raise ValueError(f"Pretrainer: replaced tokens are learnt without pairs. Received: pair_head={pair_head!r}.")
    known = FAMILIES[config.family].heads
    lacking = [head for head in (objective, pair_head) if head is not None and head not in known]
    if lacking:
        families = [name for name, family in FAMILIES.items() if lacking[0] in family.heads]
        raise ValueError(
            f"Pretrainer: the head {lacking[0]} needs an encoder of the family {' or '.join(families)}. Received: one "
            f"of the family {config.family}."
        )


def _is_staged(corpus):
    return isinstance(corpus, (list, tuple)) and bool(corpus) and isinstance(corpus[0], (list, tuple))


def _with_heads(model, heads, path, values):
    """Return the `Checkpoint` of a model with several heads."""
    found = [from_model(model, path=path, head=head, values=values) for head in heads]
    weights = {name.removeprefix(f"{GENERATOR}/"): array for one in found for name, array in one.weights.items()}
    return dataclasses.replace(found[0], weights=weights, heads=heads)


def _fill(generator, checkpoint):
    """Give a generator the weights of a checkpoint."""
    variables = {variable.path.removeprefix(f"{GENERATOR}/"): variable for variable in generator.weights}
    missing = sorted(set(variables) - set(checkpoint.weights))
    if missing:
        raise CheckpointError(f"{checkpoint.path}: missing {shortened(missing)}. Save the generator again.")
    for path, variable in variables.items():
        variable.assign(checkpoint.weights[path].read())


def _policy(encoder):
    return encoder.get_layer("encoder_record").dtype_policy


@contextlib.contextmanager
def _seeded(seed):
    """Draw new weights from a seed inside the block: Keras draws their seeds from `random`."""
    if seed is None:
        yield
        return
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
