"""Texts in, vectors out: the closer two vectors, the closer the texts in meaning."""

import dataclasses
import logging
from pathlib import Path

import keras
import numpy as np

from keras_bert_suite.checkpoints import from_model, load_weights
from keras_bert_suite.checkpoints.arrays.stored import StoredArray
from keras_bert_suite.checkpoints.hugging_face import write_hugging_face
from keras_bert_suite.checkpoints.sentence_transformers import (
    Projection,
    SentenceModules,
    has_modules,
    read_modules,
    read_projection,
    write_modules,
)
from keras_bert_suite.errors import CheckpointError, check_choice, check_positive_int
from keras_bert_suite.files import replaced_directory
from keras_bert_suite.layers import Pooling
from keras_bert_suite.models import build_encoder, build_text_embedder, encoder_config, find_encoder
from keras_bert_suite.source import resolve_source
from keras_bert_suite.tasks.inference import predict_encoded, progress_bar
from keras_bert_suite.tasks.inputs import encode_texts, listed
from keras_bert_suite.tasks.pretrained import allowed_length, check_vocabulary, open_pretrained
from keras_bert_suite.tasks.similarity import SIMILARITIES, compare_all, compare_pairs
from keras_bert_suite.text import pipeline

__all__ = ["TextEmbedder"]

logger = logging.getLogger(__name__)


class TextEmbedder:
    """A model of sentence embeddings: a `keras.Model` that ends in the vector, and its tokenizer.

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

    Source: Reimers and Gurevych 2019.
    """

    #: The name of this task in config.json and on the command line.
    task = "sentence-embedding"

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

    # Opening and saving

    @classmethod
    def from_pretrained(cls, source, pooling=None, normalize=None, max_length=None, dtype=None, revision=None):
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
        model = _build(encoder, modules, pooling, normalize)
        if max_length is None and modules.max_length is not None:
            max_length = min(modules.max_length, config.max_length)
        embedder = cls(
            model,
            _lowercased(tokenizer) if modules.lowercase else tokenizer,
            max_length,
            prompts=modules.prompts,
            default_prompt_name=modules.default_prompt,
            similarity_fn_name=modules.similarity,
            include_prompt=modules.include_prompt,
        )
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
        values = {"keras_bert_suite": {"task": self.task, "max_length": self.max_length}}
        with replaced_directory(directory, overwrite) as written:
            write_hugging_face(written, from_model(self.encoder, path=directory, values=values))
            self.tokenizer.save_pretrained(written)
            write_modules(written, self._modules())

    def _modules(self):
        """What the model has after its encoder, read off its layers."""
        return SentenceModules(
            hidden_dim=encoder_config(self.model).hidden_dim,
            pooling=tuple(layer.mode for layer in self._layers("pooling_") if isinstance(layer, Pooling)),
            projections=tuple(map(_stored_projection, self._layers("projection_"))),
            normalize=self._normalizes,
            max_length=self.max_length,
            include_prompt=self.include_prompt,
            prompts=self.prompts,
            default_prompt=self.default_prompt_name,
            similarity=self.similarity_fn_name,
        )

    def _layers(self, prefix):
        layers = [layer for layer in self.model.layers if layer.name.startswith(prefix)]
        return sorted(layers, key=lambda layer: int(layer.name.removeprefix(prefix)))

    @property
    def _normalizes(self):
        return any(layer.name == "normalize" for layer in self.model.layers)

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
        prompt = self._prompt(prompt, prompt_name)
        single, texts = isinstance(texts, str), listed(texts)
        if prompt:
            texts = [prompt + text if isinstance(text, str) else text for text in texts]
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
        if normalize is None or bool(normalize) == self._normalizes:
            return self.model
        if normalize not in self._models:
            if normalize:
                output = keras.layers.UnitNormalization(dtype="float32", name="normalize")(self.model.output)
            else:
                output = self.model.get_layer("normalize").input
            self._models[normalize] = keras.Model(self.model.input, output, name="text_embedder")
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


def _build(encoder, modules, pooling, normalize):
    """Build the model that `modules` describe, or the caller otherwise, with its dense layers filled."""
    pooling = modules.pooling if pooling is None else pooling
    weights = [read_projection(projection) for projection in modules.projections]
    projections = [
        {"units": arrays[0].shape[1], "activation": projection.activation, "use_bias": len(arrays) > 1}
        for projection, arrays in zip(modules.projections, weights, strict=True)
    ]
    count = 1 if isinstance(pooling, str) else len(pooling)
    if projections and count != len(modules.pooling):
        raise ValueError(
            f"TextEmbedder: the model's dense layers read {len(modules.pooling)} poolings side by side. "
            f"Received: pooling={pooling!r}. Give as many, or leave pooling out."
        )
    model = build_text_embedder(
        encoder, pooling, projections, modules.normalize if normalize is None else bool(normalize)
    )
    for index, arrays in enumerate(weights):
        _dense(model.get_layer(f"projection_{index}")).set_weights(arrays)
    return model


def _dense(layer):
    """The dense layer that a projection is, or has."""
    return layer if isinstance(layer, keras.layers.Dense) else layer.dense


def _stored_projection(layer):
    arrays = [keras.ops.convert_to_numpy(weight) for weight in _dense(layer).weights]
    stored = [StoredArray(array.shape, array.dtype, array.copy) for array in arrays]
    return Projection(*stored, activation=None if layer is _dense(layer) else layer.activation)


def _lowercased(tokenizer):
    """Return a tokenizer that lower-cases the text, and changes nothing else of it."""
    if tokenizer.lowercase:
        return tokenizer
    content = tokenizer.definition.content
    normalizers = [{"type": "Lowercase"}, *pipeline.parts(content.get("normalizer"))]
    content = {**content, "normalizer": {"type": "Sequence", "normalizers": normalizers}}
    return type(tokenizer).from_definition(dataclasses.replace(tokenizer.definition, content=content))
