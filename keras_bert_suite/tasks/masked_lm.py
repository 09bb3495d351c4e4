"""Texts with gaps in; the words that fit, and how likely a text is, out."""

import logging
import math
from pathlib import Path

import numpy as np

from keras_bert_suite.checkpoints import from_model, load_head
from keras_bert_suite.checkpoints.hugging_face import write_hugging_face
from keras_bert_suite.errors import CheckpointError, check_positive_int
from keras_bert_suite.files import replaced_directory, write_json_lines
from keras_bert_suite.models import at_masked_positions, encoder_config, find_encoder
from keras_bert_suite.tasks.exportable import Exportable
from keras_bert_suite.tasks.inference import predict_batches, progress_bar
from keras_bert_suite.tasks.inputs import encode_texts, listed, stream_texts
from keras_bert_suite.tasks.pretrained import allowed_length, check_vocabulary, open_pretrained

__all__ = ["MaskedLM"]

logger = logging.getLogger(__name__)

#: Logits of one batch, in numbers, at most: 64 MB.
MOST_LOGITS = 2**24
#: Tokens of the copies of texts, each with one token masked, that are held at once.
MOST_COPIES = 2**20


class MaskedLM(Exportable):
    """A masked language model: a `keras.Model` with its trained head, and its tokenizer.

    It needs no training: `fill` says what fits a gap, `score` how likely a text
    is. Open one with `from_pretrained`.

    Args:
        model: `keras.Model` made by `models.build_masked_lm`.
        tokenizer: `text.Tokenizer`.
        max_length: optional int. Longer texts are cut, in tokens. Defaults to
            what the encoder and the tokenizer allow.
    Attributes:
        model: `keras.Model` from token arrays to logits `(B, T, V)`.
        encoder: `keras.Model`, the part of it that is an encoder.
        tokenizer: the tokenizer.
        max_length: int, in tokens.
    Raises:
        ValueError: if the tokenizer has no mask token.
    Example:
    >>> import keras_bert_suite as kbs
    >>> from keras_bert_suite.tasks import MaskedLM
    >>> tokenizer = kbs.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"])
    >>> config = kbs.EncoderConfig(
    ...     vocabulary_size=7, num_layers=1, hidden_dim=12, num_heads=3, intermediate_dim=20, max_length=16)
    >>> masked_lm = MaskedLM(kbs.models.build_masked_lm(kbs.models.build_encoder(config)), tokenizer)
    >>> [gaps] = masked_lm.fill(["good [MASK] [MASK]"], top_k=3)
    >>> len(gaps), len(gaps[0]), sorted(gaps[0][0])
    (2, 3, ['score', 'text', 'token', 'token_id'])

    Source: Devlin et al. 2018, section 3.1.
    """

    #: The name of this task in config.json and on the command line.
    task = "fill-mask"
    #: Its head, out of `checkpoints.HEADS`.
    head = "masked_lm"
    #: As other tasks have; this one has none.
    labels = None

    def __init__(self, model, tokenizer, max_length=None):
        config = encoder_config(model)
        if tokenizer.vocab_size > config.vocabulary_size:
            check_vocabulary(tokenizer, config, "MaskedLM")
        if tokenizer.mask_token_id is None:
            raise ValueError(
                "MaskedLM: the tokenizer must have a mask token. Received: a vocabulary of "
                f"{tokenizer.vocab_size} tokens without one. Use the tokenizer that the model was trained with."
            )
        self.model = model
        self.encoder = find_encoder(model)
        self.tokenizer = tokenizer
        self.max_length = allowed_length("MaskedLM", tokenizer, config, max_length)
        self._scorer = at_masked_positions(model)

    # Opening and saving

    @classmethod
    def from_pretrained(cls, source, dtype=None, revision=None, *, max_length=None):
        """Open a checkpoint that has a masked language model's head.

        Args:
            source: str or path. A directory in any format that
                `checkpoints.open_checkpoint` knows, the name of an installed
                model, or of one on the Hugging Face Hub, e.g.
                `"google-bert/bert-base-cased"`.
            dtype: optional str or `keras.DTypePolicy`, e.g. `"mixed_bfloat16"`;
                `"auto"` is the type of the stored weights.
            revision: optional str. Branch, tag or commit on the Hub.
            max_length: optional int. Longer texts are cut, in tokens.
        Raises:
            CheckpointError: if the checkpoint is incomplete or damaged, or has
                no such head.
        """
        checkpoint, tokenizer = open_pretrained(source, revision)
        if cls.head not in checkpoint.heads:
            raise CheckpointError(
                f"{checkpoint.path}: a masked language model needs a trained head. Received: a checkpoint with "
                f"{', '.join(checkpoint.heads) or 'no head'}. Use the checkpoint that was pretrained, e.g. one whose "
                "architectures are named ...ForMaskedLM or ...ForPreTraining."
            )
        ours = checkpoint.values.get("keras_bert_suite")
        if max_length is None and isinstance(ours, dict):
            max_length = ours.get("max_length")
        return cls(load_head(checkpoint, cls.head, dtype=dtype)[0], tokenizer, max_length)

    def save_pretrained(self, directory, overwrite=False):
        """Write model and tokenizer in the Hugging Face layout.

        `transformers`' `AutoModelForMaskedLM` opens the directory.

        Args:
            directory: str or path. Must be absent or empty unless `overwrite`.
            overwrite: bool. Whether a directory already there may be replaced.
        Raises:
            FileExistsError: if the directory holds anything and `overwrite` is false.
        """
        values = {"keras_bert_suite": {"task": self.task, "max_length": self.max_length}}
        with replaced_directory(directory, overwrite) as written:
            write_hugging_face(written, from_model(self.model, path=directory, values=values))
            self.tokenizer.save_pretrained(written)

    # Gaps

    def predict_stream(self, x, *, columns=None, top_k=5, progress=False):
        """Yield what `fill` finds for each text of a list or a file: a dict with `text` and `gaps`."""
        for found in stream_texts(listed(x) if isinstance(x, str) else x, columns=columns):
            gaps = self.fill(found.texts, top_k, progress=progress)
            yield from ({"text": text, "gaps": one} for text, one in zip(found.texts, gaps, strict=True))

    def predict_file(self, path, output, *, columns=None, progress=False):
        """Fill the gaps of the texts of a file into a JSON Lines file, and return how many texts there were."""
        return write_json_lines(output, self.predict_stream(Path(path), columns=columns, progress=progress))

    def fill(self, texts, top_k=5, targets=None, *, progress=False):
        """Find what fits the gaps of texts.

        Args:
            texts: list of str, or one str. Each has one mask token or more,
                spelled as `tokenizer.special_tokens["mask_token"]`.
            top_k: int. Answers a gap, at most. Defaults to 5.
            targets: optional str, or list of str. The only words to score. Of a
                word that is no token of the vocabulary, its first piece.
            progress: bool. Whether to show a bar.
        Returns:
            list with, for each text, a list with, for each gap, a list of dicts
            in descending `score`: `token`, a str; `token_id`; `score`, its
            probability among the whole vocabulary; and `text`, the whole with
            that token in that gap.
        Raises:
            TypeError: if an item is not a str.
            ValueError: if a text has no gap, or one beyond `max_length` tokens.
        Example:
            masked_lm.fill(["The capital of France is [MASK]."])[0][0][0]["token"]  # "paris"
        """
        check_positive_int("fill", top_k=top_k)
        texts = listed(texts)
        encoded = encode_texts(self.tokenizer, texts, None, self.max_length)
        target_ids = None if targets is None else self._target_ids(targets)
        gaps = self._gaps(texts, encoded)
        counts = np.array([len(places) for places in gaps], "int64")
        # Rows of a batch have as many places each, a power of two; those of a text repeat to fill them.
        widths = 2 ** np.ceil(np.log2(np.maximum(counts, 1))).astype("int64")
        answers = [None] * len(encoded)
        with progress_bar(len(encoded), "filling", progress) as bar:
            for width in np.unique(widths):
                rows = np.flatnonzero(widths == width)
                positions = np.stack([np.resize(gaps[row], width) for row in rows]).astype("int32")
                part = encoded.take(rows)

                def best(numbers, logits, rows=rows):
                    return [
                        _best(logits[index, : counts[rows[number]]], top_k, target_ids)
                        for index, number in enumerate(numbers)
                    ]

                for numbers, found in self._batches(part, positions, best):
                    for number, (token_ids, scores) in zip(numbers, found, strict=True):
                        row = rows[number]
                        answers[row] = self._answers(encoded[row], gaps[row], token_ids, scores)
                    bar.update(len(numbers))
        return answers

    def _gaps(self, texts, encoded):
        """Where the mask tokens of each row are."""
        mask_id = self.tokenizer.mask_token_id
        gaps = [np.flatnonzero(encoded[row] == mask_id) for row in range(len(encoded))]
        full = np.flatnonzero(encoded.lengths >= self.max_length)
        if len(full):
            whole = self.tokenizer.encode([texts[row] for row in full])
            for number, row in enumerate(full):
                lost = int((whole[number] == mask_id).sum()) - len(gaps[row])
                if lost:
                    raise ValueError(
                        f"fill: every mask token must be within the first max_length tokens. Received: row {row} of "
                        f"{whole.lengths[number]} tokens, max_length={self.max_length}, {lost} cut off. Shorten the "
                        "text around it."
                    )
        empty = next((row for row, places in enumerate(gaps) if not len(places)), None)
        if empty is not None:
            raise ValueError(
                f"fill: a text must have a mask token, spelled {self.tokenizer.special_tokens['mask_token']}. "
                f"Received: {texts[empty]!r:.60} in row {empty}. Put it where a word is to be found."
            )
        return gaps

    def _target_ids(self, targets):
        """The distinct ids of the words to score."""
        token_ids = []
        for target in [targets] if isinstance(targets, str) else targets:
            token_id = self.tokenizer.token_to_id(target)
            if token_id is None:
                pieces = self.tokenizer.tokenize(target)
                if not pieces:
                    logger.warning("fill: the target %r has no token in the vocabulary; it is left out.", target)
                    continue
                logger.warning(
                    "fill: the target %r is no token of the vocabulary; %r stands for it.", target, pieces[0]
                )
                token_id = self.tokenizer.token_to_id(pieces[0])
            token_ids.append(token_id)
        if not token_ids:
            raise ValueError(f"fill: targets must have one word at least. Received: targets={targets!r:.60}.")
        return np.unique(token_ids)

    def _answers(self, row, places, token_ids, scores):
        """The answers for one text: `token_ids` and `scores` are `(P, K)`."""
        single = len(places) == 1
        filled = np.repeat(row[None], token_ids.size, axis=0)  # (P * K, T)
        filled[np.arange(token_ids.size), np.repeat(places, token_ids.shape[1])] = token_ids.reshape(-1)
        if not single:  # The other gaps stay; what frames the text goes.
            before, after = map(len, self.tokenizer.frame.single)
            filled = filled[:, before : len(row) - after]
        texts = self.tokenizer.batch_decode(filled, skip_special_tokens=single)
        tokens = self.tokenizer.batch_decode(token_ids.reshape(-1, 1), skip_special_tokens=False)
        flat = zip(tokens, token_ids.reshape(-1).tolist(), scores.reshape(-1).tolist(), texts, strict=True)
        answers = [dict(zip(("token", "token_id", "score", "text"), one, strict=True)) for one in flat]
        return [answers[start : start + token_ids.shape[1]] for start in range(0, len(answers), token_ids.shape[1])]

    # Likelihood

    def pseudo_perplexity(self, texts, *, progress=False):
        """Return the pseudo-perplexity of texts taken together: float, 1 at best; `nan` of no token at all.

        Args:
            texts, progress: as in `score`.
        Source: Salazar et al. 2020, section 2.2.
        """
        scores = self.score(texts, progress=progress)
        return _perplexity(sum(one["log_likelihood"] for one in scores), sum(one["num_tokens"] for one in scores))

    def score(self, texts, *, progress=False):
        """Measure how likely texts are: each token in turn is masked, and guessed from all others.

        A text of n tokens takes n times the work of embedding it. Tokens beyond
        `max_length` are left out.

        Args:
            texts: list of str, or one str.
            progress: bool. Whether to show a bar.
        Returns:
            list of dicts: `log_likelihood`, the sum over the tokens of the
            natural logarithm of each one's probability; `num_tokens`, special
            ones left out; and `pseudo_perplexity`, 1 at best, `nan` of a text
            without a token.
        Raises:
            TypeError: if an item is not a str.
        Source: Salazar et al. 2020, section 2.
        """
        texts = listed(texts)
        encoded = encode_texts(self.tokenizer, texts, None, self.max_length)
        before, after = map(len, self.tokenizer.frame.single)
        counts = encoded.lengths - before - after
        totals = np.zeros(len(encoded), "float64")
        # Texts of like length one after the other, so that copies held at once share their batches.
        order = np.argsort(encoded.lengths, kind="stable")
        rows = np.repeat(order, counts[order])  # the text of each copy
        ends = np.cumsum(counts[order])
        positions = before + np.arange(len(rows)) - np.repeat(ends - counts[order], counts[order])
        sizes = np.cumsum(encoded.lengths[rows])
        with progress_bar(len(rows), "scoring tokens", progress) as bar:
            for start, stop in _parts(sizes, MOST_COPIES):
                found = self._log_probabilities(encoded.take(rows[start:stop]), positions[start:stop])
                np.add.at(totals, rows[start:stop], found)
                bar.update(stop - start)
        return [
            {"pseudo_perplexity": _perplexity(total, count), "log_likelihood": total, "num_tokens": count}
            for total, count in zip(totals.tolist(), counts.tolist(), strict=True)
        ]

    def _log_probabilities(self, encoded, positions):
        """float64 `(N,)`: how likely the token at one position of each row is, once it is masked."""
        token_ids = encoded.token_ids.copy()
        places = encoded.offsets[:-1] + positions
        targets = token_ids[places]
        token_ids[places] = self.tokenizer.mask_token_id
        masked = type(encoded)(token_ids, encoded.offsets, encoded.second_starts, encoded.pad_token_id)
        answers = np.zeros(len(encoded), "float64")

        def chosen(numbers, logits):
            logits = logits[:, 0]
            largest = logits.max(axis=-1)
            sums = np.exp(logits - largest[:, None]).sum(axis=-1, dtype="float64")
            return logits[np.arange(len(numbers)), targets[numbers]] - largest - np.log(sums)

        for numbers, found in self._batches(masked, positions[:, None].astype("int32"), chosen):
            answers[numbers] = found
        return answers

    def _batches(self, encoded, positions, finish):
        """Yield `(rows, finish(rows, logits))`, the logits at `positions` alone and few enough to hold."""
        rows = MOST_LOGITS // (encoder_config(self.model).vocabulary_size * positions.shape[1])
        inputs = {"masked_positions": positions}
        return predict_batches(
            self._scorer, encoded, self.max_length, inputs=inputs, max_rows=max(1, rows), finish=finish
        )


def _best(logits, top_k, target_ids):
    """Return the ids and probabilities of the best tokens: logits `(P, V)` give two arrays `(P, K)`, the best first."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    scores = exponentials / exponentials.sum(axis=-1, keepdims=True)
    if target_ids is not None:
        scores = scores[:, target_ids]
    top_k = min(top_k, scores.shape[1])
    found = np.sort(np.argpartition(-scores, top_k - 1, axis=-1)[:, :top_k], axis=-1)
    order = np.argsort(-np.take_along_axis(scores, found, axis=-1), axis=-1, kind="stable")
    found = np.take_along_axis(found, order, axis=-1)
    return found if target_ids is None else target_ids[found], np.take_along_axis(scores, found, axis=-1)


def _perplexity(log_likelihood, num_tokens):
    """float. The inverse of the geometric mean of the probabilities; `inf` where it is beyond every float."""
    if not num_tokens:
        return math.nan
    with np.errstate(over="ignore"):
        return float(np.exp(-log_likelihood / num_tokens))


def _parts(sizes, most):
    """Yield the bounds of consecutive parts of rows, each of about `most` tokens: `sizes` counts up to each row."""
    start = 0
    while start < len(sizes):
        done = sizes[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(sizes, done + most, side="right")))
        yield start, stop
        start = stop
