"""Texts in, vectors out: the closer two vectors, the closer the texts in meaning."""

import logging
from pathlib import Path

import keras
import numpy as np

from keras_bert_suite.checkpoints import from_model, load_weights
from keras_bert_suite.checkpoints.hugging_face import write_hugging_face
from keras_bert_suite.checkpoints.sentence_transformers import SentenceModules, has_modules, read_modules, write_modules
from keras_bert_suite.errors import CheckpointError, check_choice, check_positive_int
from keras_bert_suite.files import replaced_directory, write_json_lines
from keras_bert_suite.models import build_encoder, build_text_groups, encoder_config, find_encoder
from keras_bert_suite.source import resolve_source
from keras_bert_suite.tasks.comparisons import read_comparison_input, score_comparisons
from keras_bert_suite.tasks.embedder_modules import build_modules, lowercased, modules_of, normalizes
from keras_bert_suite.tasks.embedding_objectives import KINDS, LOSSES, check_objective, report_comparisons, targets_of
from keras_bert_suite.tasks.inference import predict_encoded, progress_bar
from keras_bert_suite.tasks.inputs import encode_texts, is_batched, listed, stream_texts
from keras_bert_suite.tasks.pretrained import allowed_length, check_vocabulary, open_pretrained
from keras_bert_suite.tasks.similarity import SIMILARITIES, compare_all, compare_pairs
from keras_bert_suite.tasks.trainable import TrainableTask
from keras_bert_suite.training import GroupedDataset

__all__ = ["TextEmbedder"]

logger = logging.getLogger(__name__)


class TextEmbedder(TrainableTask):
    """A model of sentence embeddings: a `keras.Model` that ends in the vector, and its tokenizer.

    `fit` trains it so that texts which belong together are near each other. What
    it learns from says how: of pairs `(anchor, positive)`, each anchor is to
    find its own positive among those of the batch (`MultipleNegativesRankingLoss`);
    of triplets or more `(anchor, positive, negative, ...)`, also among the
    negatives; of pairs with scores, the cosines are to be in the order of the
    scores (`CoSENTLoss`).

    Args:
        model: `keras.Model` made by `models.build_text_embedder`.
        tokenizer: `text.Tokenizer`.
        max_length: optional int. Longer texts are cut, in tokens. Defaults to
            what the encoder and the tokenizer allow.
        prompts: optional dict of str: what to put before a text, by the name of its use.
        default_prompt_name: optional str. The prompt where none is asked for.
        similarity_fn_name: str: `"cosine"`, `"dot"`, `"euclidean"` or `"manhattan"`.
        include_prompt: bool. Whether the tokens of a prompt have a part in the
            pooling. Models for which they must not are refused with a prompt.
    Attributes:
        model: `keras.Model` from token arrays to float32 `(B, D)`.
        encoder: `keras.Model`, the part of it that is an encoder.
        tokenizer: the tokenizer.
        max_length: int, in tokens.
        prompts, default_prompt_name, similarity_fn_name: as above.
    Example:
    >>> import keras_bert_suite as kbs
    >>> from keras_bert_suite.tasks import TextEmbedder
    >>> tokenizer = kbs.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"])
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=7, num_layers=1, hidden_dim=12, num_heads=3, intermediate_dim=20, max_length=16)
    >>> model = kbs.models.build_text_embedder(kbs.models.build_encoder(config))
    >>> embedder = TextEmbedder(model, tokenizer)
    >>> embedder.encode(["good", "bad"]).shape, embedder.encode("good").shape
    ((2, 12), (12,))
    >>> embedder.compile(learning_rate=1e-3)
    >>> history = embedder.fit([("good good", "good"), ("bad bad", "bad")], epochs=1, verbose=0)
    >>> sorted(embedder.evaluate([("good", "good good"), ("bad", "bad bad")]))
    ['accuracy', 'mrr']

    Source: Reimers and Gurevych 2019.
    """

    #: The name of this task in config.json and on the command line.
    task = "sentence-embedding"
    #: As other tasks have; this one has none.
    labels = None

    def __init__(
        self,
        model,
        tokenizer,
        max_length=None,
        *,
        prompts=None,
        default_prompt_name=None,
        similarity_fn_name="cosine",
        include_prompt=True,
    ):
        config = encoder_config(model)
        if tokenizer.vocab_size > config.vocabulary_size:
            check_vocabulary(tokenizer, config, "TextEmbedder")
        check_choice("TextEmbedder", "similarity_fn_name", similarity_fn_name, SIMILARITIES)
        self.model = model
        self.encoder = find_encoder(model)
        self.tokenizer = tokenizer
        self.max_length = allowed_length("TextEmbedder", tokenizer, config, max_length)
        self.prompts = dict(prompts or {})
        self.default_prompt_name = default_prompt_name
        self.similarity_fn_name = similarity_fn_name
        self.include_prompt = include_prompt
        self._models = {}
        self._new_parts = set()
        self._kind, self._loss = "pairs", None

    # Opening and saving

    @classmethod
    def from_pretrained(
        cls, source, pooling=None, normalize=None, max_length=None, dtype=None, revision=None, *, replace_head=False
    ):
        """Open a sentence-transformers model, or make one of any encoder.

        Args:
            source: str or path. A directory, the name of an installed model,
                e.g. `"all-MiniLM-L6-v2"`, or of one on the Hugging Face Hub.
            pooling: optional str, as in `layers.Pooling`, or a sequence of such.
                Defaults to what `modules.json` says; without one, to `"mean"`.
            normalize: optional bool. Whether vectors have length 1. Defaults to
                what `modules.json` says; without one, to False.
            max_length: optional int. Longer texts are cut, in tokens.
            dtype: optional str or `keras.DTypePolicy`, e.g. `"mixed_bfloat16"`;
                `"auto"` is the type of the stored weights.
            revision: optional str. Branch, tag or commit on the Hub.
            replace_head: bool. Of no account, as there is no head; other tasks have it.
        Raises:
            CheckpointError: if the model is incomplete or damaged, or has
                modules that this package does not compute.
        """
        directory = Path(resolve_source(source, revision))
        modules = read_modules(directory) if has_modules(directory) else None
        folder = directory / modules.folder if modules else directory
        checkpoint, tokenizer = open_pretrained(folder)
        if modules is None:
            modules = SentenceModules(hidden_dim=checkpoint.config.hidden_dim)
            if pooling is None:
                logger.warning("%s has no modules.json: its embeddings are the mean over the tokens.", directory)
        if modules.hidden_dim != checkpoint.config.hidden_dim:
            raise CheckpointError(
                f"{directory}: the pooling is over vectors of {modules.hidden_dim}, the encoder's are of "
                f"{checkpoint.config.hidden_dim}. Use the files saved with the model."
            )
        has_pooler = any(path.startswith("pooler/") for path in checkpoint.weights)
        config = checkpoint.config.replace(pooler=has_pooler)
        encoder, _ = load_weights(checkpoint, lambda: build_encoder(config, checkpoint.policy(dtype)))
        model = build_modules(encoder, modules, pooling, normalize)
        if max_length is None and modules.max_length is not None:
            max_length = min(modules.max_length, config.max_length)
        embedder = cls(
            model,
            lowercased(tokenizer) if modules.lowercase else tokenizer,
            max_length,
            prompts=modules.prompts,
            default_prompt_name=modules.default_prompt,
            similarity_fn_name=modules.similarity,
            include_prompt=modules.include_prompt,
        )
        embedder._opened = True
        embedder.encoder = encoder  # with its pooler: nothing here reads it, but what is saved is to be whole
        return embedder

    def save_pretrained(self, directory, overwrite=False):
        """Write the model in the sentence-transformers layout.

        `SentenceTransformer(directory)` opens it, and so does `from_pretrained`.

        Args:
            directory: str or path. Must be absent or empty unless `overwrite`.
            overwrite: bool. Whether a directory already there may be replaced.
        Raises:
            FileExistsError: if the directory holds anything and `overwrite` is false.
        """
        with replaced_directory(directory, overwrite) as written:
            self.write(written, {"task": self.task})

    def write(self, directory, values):
        """Write all files of the model into a directory that is there.

        Args:
            directory: path.
            values: dict of JSON values, for `keras_bert_suite` in config.json.
        """
        values = {"keras_bert_suite": {**values, "max_length": self.max_length}}
        write_hugging_face(directory, from_model(self.encoder, path=directory, values=values))
        self.tokenizer.save_pretrained(directory)
        modules = modules_of(
            self.model,
            max_length=self.max_length,
            include_prompt=self.include_prompt,
            prompts=self.prompts,
            default_prompt=self.default_prompt_name,
            similarity=self.similarity_fn_name,
        )
        write_modules(directory, modules)

    # Training

    def compile(self, learning_rate=None, *, loss=None, metrics=None, jit_compile=None, **recipe):
        """Choose how to train, as for every task.

        Args:
            learning_rate, metrics, jit_compile: as in `TextClassifier.compile`.
            loss: optional str or Keras loss over `(B, C, D)`:
                `"multiple_negatives_ranking"` for pairs and triplets, `"cosent"`
                or `"cosine"` for pairs with scores, `"triplet"` for triplets.
                Defaults to the first that suits the data.
            **recipe: fields of `training.Recipe`, without `r_drop` and `label_smoothing`.
        """
        name = loss if isinstance(loss, str) else None
        if name is not None:
            check_choice("TextEmbedder", "loss", name, tuple(LOSSES))
        super().compile(learning_rate, loss=None if name else loss, metrics=metrics, jit_compile=jit_compile, **recipe)
        if self.recipe.r_drop or self.recipe.label_smoothing:
            raise ValueError("TextEmbedder: r_drop and label_smoothing are for classifiers. Leave them out.")
        self._loss = name

    @property
    def monitor(self):
        """What `patience` watches on the validation data, and whether more of it is better."""
        return KINDS[self._kind].monitor

    @property
    def score_names(self):
        """tuple of str. The scores of `evaluate` on data of the kind seen last, the main one first."""
        return KINDS[self._kind].score_names

    def _default_loss(self):
        return LOSSES[self._loss or KINDS[self._kind].loss][0]()

    def _default_metrics(self):
        return [KINDS[self._kind].metric()]

    def _read(self, x, y=None, pairs=None, columns=None, require_label=False):
        return read_comparison_input(x, y, pairs, columns)

    def _learn_from(self, examples):
        check_objective(self._loss, examples)
        self._kind = examples.kind

    def _packs(self, packing):
        if packing is True:
            raise ValueError("fit: packing must be False or 'auto': here a row is a group of texts. Received: True.")
        return False

    def _dataset(self, examples, batch_size, packed, shuffle, seed=0):
        if examples.kind != self._kind:
            raise ValueError(
                f"fit: validation data must be of the kind that the model is trained on. Received: {examples.kind} "
                f"for {self._kind}. Call evaluate for others."
            )
        texts = [text for row in zip(*examples.columns, strict=True) for text in row]
        return GroupedDataset(
            encode_texts(self.tokenizer, self.prompted(texts), None, self.max_length, examples.path),
            targets_of(examples),
            batch_size,
            self.max_length,
            group_size=len(examples.columns),
            shuffle=shuffle,
            seed=seed,
        )

    def _trained_model(self, x):
        return build_text_groups(self.model)  # the same layers, over several texts an example

    def evaluate(self, x, y=None, *, pairs=None, columns=None, progress=False):
        """Score how the embeddings compare texts, by `similarity_fn_name`.

        Args:
            x: path of a file, pairs or triplets, or batches, as in `fit`.
            y: scores of pairs, when `x` is not a file or data set.
            pairs: optional list of str, the second texts.
            columns: optional dict, as in `data.read_comparisons`.
            progress: bool. Whether to show a bar.
        Returns:
            dict. Of pairs with scores: `spearman` and `pearson`, the correlations
            of similarities and scores. Of pairs: `accuracy`, the share of
            anchors to which their positive is nearer than those of all other
            rows, and `mrr`, the mean of 1 / its rank. Of triplets: `accuracy`,
            the share in which the positive is nearer than every negative.
        """
        if is_batched(x):
            model = build_text_groups(self.model)
            self._compile_model(model)
            return model.evaluate(x, y, verbose=int(progress), return_dict=True)
        return self._score(self._read(x, y, pairs, columns), progress)[0]

    def _score(self, examples, progress=False):
        self._kind = examples.kind

        def encode(texts):
            return self.encode(texts, show_progress=progress)

        return score_comparisons(examples, encode, self.similarity_fn_name)

    def report(self, x, y=None, *, pairs=None, columns=None, title="Sentence embeddings", summary=None, history=None):
        """Score the embeddings in full, for `reports.write_report`.

        Args:
            x, y, pairs, columns: as in `evaluate`; no batches.
            title: str.
            summary: optional dict of facts to show beside the scores.
            history: optional dict of lists, what `fit` returned as `history.history`.
        Returns:
            `reports.Report`: the scores of `evaluate`; of pairs with scores, the
            similarities against them; of others, where they went wrong.
        """
        examples = self._read(x, y, pairs, columns)
        return report_comparisons(title, examples, *self._score(examples), summary, history)

    # Use

    @property
    def embedding_dim(self):
        """int. Width of the vectors."""
        return self.model.output.shape[-1]

    def encode(self, texts, *, batch_size=None, normalize=None, show_progress=False, prompt=None, prompt_name=None):
        """Embed texts.

        Args:
            texts: list of str, or one str.
            batch_size: optional int. Texts computed together, at most. Defaults
                to what keeps the device busy; the vectors do not depend on it.
            normalize: optional bool. Whether vectors have length 1. Defaults to
                what the model does.
            show_progress: bool. Whether to show a bar.
            prompt: optional str, put before each text; `""` is none, though the
                model has a default.
            prompt_name: optional str. One of `prompts`, instead.
        Returns:
            float32 NumPy array `(N, D)`; `(D,)` of a single str.
        Raises:
            TypeError: if an item is not a str.
            ValueError: if a text is not valid Unicode, or there is no such prompt.
        Example:
            embedder.encode(["I loved it", "I hated it"])
        """
        if batch_size is not None:
            check_positive_int("encode", batch_size=batch_size)
        single = isinstance(texts, str)
        texts = self.prompted(listed(texts), prompt, prompt_name)
        encoded = encode_texts(self.tokenizer, texts, None, self.max_length)
        if not len(encoded):
            return np.zeros((0, self.embedding_dim), "float32")
        with progress_bar(len(encoded), "embedding", show_progress) as bar:
            vectors = predict_encoded(self._model(normalize), encoded, self.max_length, bar, max_rows=batch_size)
        return vectors[0] if single else vectors

    def encode_query(self, texts, **options):
        """As `encode`, with the prompt named `"query"` where the model has one."""
        return self._encode_as(("query",), texts, options)

    def encode_document(self, texts, **options):
        """As `encode`, with the prompt named `"document"`, `"passage"` or `"corpus"` where the model has one."""
        return self._encode_as(("document", "passage", "corpus"), texts, options)

    def _encode_as(self, names, texts, options):
        name = next((name for name in names if name in self.prompts), None)
        if options.get("prompt") is None and options.get("prompt_name") is None:
            options["prompt_name"] = name
        return self.encode(texts, **options)

    def predict(self, x, *, columns=None, progress=False):
        """Embed texts into a list of dicts with `embedding`, a list of D floats; `encode` returns one array.

        Args:
            x: list of str, one str, or the path of a file as `pathlib.Path`, of
                which the column `text` is read.
            columns: optional dict, as in `data.read_examples`.
            progress: bool. Whether to show a bar.
        """
        return list(self.predict_stream(x, columns=columns, progress=progress))

    def predict_stream(self, x, *, pairs=None, columns=None, progress=False):
        """Like `predict`, but yield each answer as soon as its part of the input is done."""
        if pairs is not None:
            raise ValueError("predict: each text has an embedding of its own. Received: pairs. Pass all texts as x.")
        for _, vectors in self._vector_chunks(x, columns, progress):
            for vector in vectors:
                yield {"embedding": vector.tolist()}

    def predict_file(self, path, output, *, columns=None, progress=False):
        """Embed the texts of a file into a JSON Lines file, whatever their size.

        Args:
            path: str or path of a TSV, CSV, JSON Lines, Parquet or text file.
            output: str or path. Each line has `text` and `embedding`. It appears when it is complete.
            columns: optional dict, as in `data.read_examples`.
            progress: bool. Whether to show a bar.
        Returns:
            int. Texts embedded.
        """
        return write_json_lines(
            output,
            (
                {"text": text, "embedding": vector.tolist()}
                for texts, vectors in self._vector_chunks(Path(path), columns, progress)
                for text, vector in zip(texts, vectors, strict=True)
            ),
        )

    def _vector_chunks(self, x, columns, progress):
        x = x if isinstance(x, Path) else listed(x)
        if isinstance(x, list) and not x:
            return
        for found in stream_texts(x, columns=columns):
            yield found.texts, self.encode(found.texts, show_progress=progress)

    def prompted(self, texts, prompt=None, prompt_name=None):
        """Put a prompt before each text: the one given, the one named, or the model's default."""
        prompt = self._prompt(prompt, prompt_name)
        return [prompt + text if isinstance(text, str) else text for text in texts] if prompt else texts

    def _prompt(self, prompt, prompt_name):
        """Return the text to put before each text: the one given, the one named, or the model's default."""
        if prompt is None:
            prompt_name = self.default_prompt_name if prompt_name is None else prompt_name
            if prompt_name is not None and prompt_name not in self.prompts:
                raise ValueError(
                    f"encode: prompt_name must be one of {', '.join(map(repr, self.prompts)) or 'none'}. "
                    f"Received: prompt_name={prompt_name!r}."
                )
            prompt = self.prompts.get(prompt_name, "")
        if prompt and not self.include_prompt:
            raise ValueError(
                f"encode: this model leaves the prompt out of its pooling (include_prompt), which is not supported. "
                f'Received: prompt={prompt!r:.60}. Pass prompt="" to go without.'
            )
        return prompt

    def _model(self, normalize):
        """The model, or one over the same layers that ends with another length of its vectors."""
        if normalize is None or bool(normalize) == normalizes(self.model):
            return self.model
        if normalize not in self._models:
            model = self.model
            if normalize:
                output = keras.layers.UnitNormalization(dtype="float32", name="normalize")(model.output)
            else:
                output = model.get_layer("normalize").input
            self._models[normalize] = keras.Model(model.input, output, name="text_embedder")
        return self._models[normalize]

    def similarity(self, first, second):
        """Compare each of some texts, or of their embeddings, with each of others.

        Args:
            first, second: list of str, or one, or float arrays `(N, D)` and `(M, D)` of `encode`.
        Returns:
            float32 `(N, M)`, larger where more alike, by `similarity_fn_name`.
        """
        return compare_all(self.similarity_fn_name, self._vectors(first), self._vectors(second))

    def similarity_pairwise(self, first, second):
        """As `similarity`, row by row: float32 `(N,)`."""
        return compare_pairs(self.similarity_fn_name, self._vectors(first), self._vectors(second))

    def _vectors(self, given):
        if isinstance(given, str):
            return self.encode([given])
        texts = isinstance(given, np.ndarray) and given.dtype.kind in "UOT"
        texts = texts or (isinstance(given, list | tuple) and (not given or any(isinstance(one, str) for one in given)))
        return self.encode(given) if texts else given
