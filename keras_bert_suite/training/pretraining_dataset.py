"""A corpus on disk as batches with masked tokens, in an order of its own each epoch, for `model.fit` on any backend."""

import collections
import hashlib
import json
import threading

import keras
import numpy as np

from keras_bert_suite.data import bucket_lengths, plan_packed_batches
from keras_bert_suite.data.corpus.manifest import tokenizer_record
from keras_bert_suite.data.masking import Masked, Masking, MaskingVocabulary, mask_tokens, place_predictions
from keras_bert_suite.errors import DataError, check_positive_int
from keras_bert_suite.text.ragged import Ragged, row_offsets, row_positions
from keras_bert_suite.training.backend import compiles_per_shape
from keras_bert_suite.training.row_groups import read_group

__all__ = ["Batches", "PretrainingDataset", "check_corpus"]

#: Tokens of the shards that are held in memory and mixed at a time.
GROUP_TOKENS = 2**24
#: Batches whose rows are sorted by length together.
WINDOW = 50


class PretrainingDataset(keras.utils.PyDataset):
    """Batches of the rows of a corpus, with tokens masked anew in each epoch.

    Shards are read in an order of their own each epoch, several at a time,
    whose rows are mixed. Rows of like length share a batch, padded to one of a
    few lengths; or they are packed, several to a row. Any batch can be had
    without those before it, and depends on the seed, the epoch and its number alone.

    Args:
        corpus: `data.corpus.Corpus`.
        tokenizer: `text.Tokenizer`, with which the corpus was made.
        batch_size: int. Rows of the corpus a batch.
        masking: optional `data.masking.Masking`. Defaults to BERT's; `"static"`
            is the masks that the corpus was built with.
        pair_head: optional str: the output that learns the labels of pairs.
        replaced_token: bool. Whether there is an output `"replaced_token"`,
            which is given the whole text as its target.
        packed: bool. Whether several rows of the corpus share a row, for models
            made by `build_packed_pretraining`.
        row_length: optional int. Tokens of a packed row. Defaults to the corpus' longest row.
        shuffle: bool. Whether each epoch has an order and masks of its own, or
            all have those of the first. Defaults to true.
        seed: int, 0 or above.
    Attributes:
        epoch: int. How often `on_epoch_end` was called, as `fit` also does before its first epoch.
        num_examples: int. Rows of an epoch.
        tokens_per_batch, predictions_per_batch: float. On average, padding left out.
        shapes: set of (int, int). Tokens and masked tokens of a row, of the batches that there may be.
        shapes_vary: bool. Whether there are several: for `as_tf_dataset`.
    Raises:
        DataError: if the corpus is empty, was made with another tokenizer, or
            has no such labels or masks.
    Example:
    >>> import keras_bert_suite as kbs
    >>> from keras_bert_suite.tasks.text_corpus import TextCorpus
    >>> tokenizer = kbs.WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"])
    >>> dataset = PretrainingDataset(TextCorpus(["good bad good"] * 4, tokenizer, 8), tokenizer, batch_size=2)
    >>> inputs, targets, weights = dataset[0]
    >>> inputs["token_ids"].shape, inputs["masked_positions"].shape, weights["masked_lm"].tolist()
    ((2, 8), (2, 2), [[1.0, 0.0], [1.0, 0.0]])
    """

    def __init__(
        self,
        corpus,
        tokenizer,
        batch_size,
        *,
        masking=None,
        pair_head=None,
        replaced_token=False,
        packed=False,
        row_length=None,
        shuffle=True,
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_positive_int("PretrainingDataset", batch_size=batch_size)
        check_corpus(corpus, tokenizer, pair_head)
        self.corpus = corpus
        self.static = masking == "static"
        self.masking = Masking() if self.static else masking or Masking()
        self.vocabulary = MaskingVocabulary.from_tokenizer(tokenizer)
        self.pad_token_id = tokenizer.pad_token_id or 0
        self.batch_size = batch_size
        self.pair_head = pair_head
        self.replaced_token = replaced_token
        self.packed = packed
        self.row_length = row_length or corpus.max_length
        self.shuffle = shuffle
        self.seed = seed
        self.epoch = 0
        self._order = (None,)  # of the shards in one epoch: it, their groups, the rows before each
        self._groups = collections.OrderedDict()
        self._lock = threading.Lock()
        self._built = _built_masks(corpus) if self.static else None
        self.buckets = (self.row_length,) if packed else bucket_lengths(corpus.max_length)
        if self.length_of(0, 0) == self.buckets[-1]:  # the shortest of many is as long as any
            self.buckets = self.buckets[-1:]

    # Sizes

    @property
    def num_examples(self):
        return self.corpus.num_rows

    @property
    def num_batches(self):
        return -(-self.corpus.num_rows // self.batch_size)

    def __len__(self):
        return self.num_batches

    @property
    def longest(self):
        """int. Tokens to which rows are padded at most."""
        return int(self.buckets[-1])

    @property
    def shapes(self):
        return {(int(length), self._num_predictions(length)) for length in self.buckets}

    @property
    def shapes_vary(self):
        return len(self.shapes) > 1

    @property
    def tokens_per_batch(self):
        return self.corpus.num_tokens / self.num_batches

    @property
    def predictions_per_batch(self):
        if self.static:
            return self._built["masked"] / self.num_batches
        return self.masking.rate * self.tokens_per_batch

    # Batches

    def __getitem__(self, index):
        # Keras on TensorFlow takes what the first two batches have in common for the shape of all.
        differs = index == 1 and self.shapes_vary and keras.backend.backend() == "tensorflow"
        return self.batch(max(self.epoch, 0), index, self.longest if differs else None)

    def on_epoch_end(self):
        if self.shuffle:
            self.epoch += 1

    def starting_at(self, epoch, step=0):
        """Return the batches of one epoch from one on, as a `keras.utils.PyDataset`: for `training.fit_resumable`."""
        return Batches(self, [(epoch, index) for index in range(step, self.num_batches)])

    def batch(self, epoch, index, at_least=None):
        """Return `(inputs, targets, weights)` of one batch of one epoch, each a dict.

        Args:
            epoch, index: int, from 0.
            at_least: optional int. Pads to so many tokens where the rows need
                fewer, with room for one masked token more than they need.
        """
        if not 0 <= index < self.num_batches:
            raise IndexError(f"there are {self.num_batches} batches. Received: index={index}.")
        pieces = self._pieces(epoch, index)
        count = sum(len(rows) for _, rows in pieces)
        if count < self.batch_size and not self.packed:  # rows that only fill up the last batch
            group, rows = pieces[0]
            pieces.append((group, np.repeat(rows[:1], self.batch_size - count)))
        parts = [group.take(rows) for group, rows in pieces]
        rows = parts[0] if len(parts) == 1 else parts[0].joined(parts[1:])
        seed = (self.seed, epoch, index)
        return (self._packed_batch if self.packed else self._padded_batch)(rows, count, seed, at_least)

    def length_of(self, epoch, index):
        """Return to how many tokens the rows of a batch are padded."""
        longest = max(int(group.lengths[rows].max()) for group, rows in self._pieces(epoch, index))
        return self._bucket(longest)

    def _bucket(self, length):
        return int(self.buckets[np.searchsorted(self.buckets, length)])

    def _padded_batch(self, rows, count, seed, at_least):
        length = max(self._bucket(rows.lengths.max()), at_least or 0)
        masked = self._masked(rows, rows.offsets, seed)
        inputs = Ragged(masked.token_ids, rows.offsets, rows.second_starts, self.pad_token_id).pad(length=length)
        inputs["masked_positions"], targets, weights = self._predictions(masked, rows.offsets, length, at_least)
        weights[count:] = 0
        targets, weights = {"masked_lm": targets}, {"masked_lm": weights}
        if self.pair_head:
            targets[self.pair_head] = rows.pair_labels.astype("int32")
            weights[self.pair_head] = (np.arange(self.batch_size) < count).astype("float32")
        if self.replaced_token:
            original = masked.token_ids.copy()
            original[masked.places] = masked.original_ids
            whole = Ragged(original, rows.offsets, rows.second_starts, self.pad_token_id)
            targets["replaced_token"] = whole.pad(length=length)["token_ids"]
            weights["replaced_token"] = inputs["padding_mask"].astype("float32")
            weights["replaced_token"][count:] = 0
        return inputs, targets, weights

    def _packed_batch(self, rows, count, seed, at_least):
        granularity = "coarse" if compiles_per_shape() else "exact"
        [plan] = plan_packed_batches(
            rows.lengths, self.batch_size, self.row_length, None, shuffle=False, granularity=granularity
        )
        length = max(self.row_length, at_least or 0)
        in_order = np.lexsort((plan.starts, plan.rows))
        packed_lengths = np.bincount(plan.rows, rows.lengths[plan.examples], plan.size).astype("int64")
        offsets = row_offsets(packed_lengths)  # of rows of several texts, which follow one another without a gap
        rows, texts = rows.take(plan.examples[in_order]), plan.places[in_order]
        masked = self._masked(rows, offsets, seed)
        position_ids = row_positions(np.zeros_like(rows.lengths), rows.lengths)
        values = {
            "token_ids": (masked.token_ids, self.pad_token_id),
            "segment_ids": (position_ids >= np.repeat(rows.second_starts, rows.lengths), 0),
            "sequence_ids": (np.repeat(texts + 1, rows.lengths), 0),
            "position_ids": (position_ids, 0),
        }
        there = np.arange(length) < packed_lengths[:, None]
        inputs = {}
        for name, (array, filler) in values.items():
            inputs[name] = np.full((plan.size, length), filler, "int32")
            inputs[name][there] = array
        inputs["masked_positions"], targets, weights = self._predictions(masked, offsets, length, at_least)
        return inputs, {"masked_lm": targets}, {"masked_lm": weights}

    def _masked(self, rows, offsets, seed):
        if self.static:
            return Masked(rows.token_ids, rows.masked_places, rows.masked_ids)
        return mask_tokens(rows.token_ids, offsets, self.vocabulary, seed, self.masking, rows.word_starts)

    def _predictions(self, masked, offsets, length, at_least):
        places = self._num_predictions(length) + (at_least is not None)
        return place_predictions(masked, offsets, places, self.pad_token_id)

    def _num_predictions(self, length):
        """Return how many tokens of a row may be masked at most."""
        if not self.static:
            return self.masking.num_predictions(length)
        if self.packed:  # several rows of the corpus
            return max(1, int(self._built["masked_share"] * length + 1e-9))
        return max(1, min(self._built["most_masked"], length))

    # Order

    def _pieces(self, epoch, index):
        """Return the rows of a batch as list of `(group, rows)`: it may begin in one group and end in the next."""
        order = self._order
        if order[0] != epoch:
            order = self._order = epoch, *self._order_of(epoch)
        _, groups, bounds = order
        start = index * self.batch_size
        stop = min(start + self.batch_size, self.corpus.num_rows)
        pieces = []
        while start < stop:
            number = int(np.searchsorted(bounds, start, side="right")) - 1
            end = min(stop, int(bounds[number + 1]))
            group = self._group(epoch, number, groups, bounds)
            pieces.append((group, group.order[start - bounds[number] : end - bounds[number]]))
            start = end
        return pieces

    def _order_of(self, epoch):
        """Return lists of shards that are read together, and int64 `(G + 1,)`: the rows before each of them."""
        shards = np.random.default_rng((self.seed, epoch)).permutation(len(self.corpus))
        records = self.corpus.manifest["shards"]
        rows, tokens = (np.array([record[name] for record in records]) for name in ("rows", "tokens"))
        numbers = np.maximum(np.cumsum(tokens[shards]) - 1, 0) // GROUP_TOKENS
        groups = np.split(shards, np.flatnonzero(np.diff(numbers)) + 1)
        return groups, row_offsets([rows[group].sum() for group in groups])

    def _group(self, epoch, number, groups, bounds):
        key = (epoch, number)
        with self._lock:
            if key not in self._groups:
                while len(self._groups) > 1:  # a batch may need two
                    self._groups.popitem(last=False)
                group = read_group(self.corpus, groups[number], static=self.static)
                group.order = self._row_order(group.lengths, key, -int(bounds[number]) % self.batch_size)
                self._groups[key] = group
            self._groups.move_to_end(key)
            return self._groups[key]

    def _row_order(self, lengths, key, head):
        """Return the order in which the rows of a group are read.

        Args:
            head: int. Rows that complete the last batch of the group before.
        """
        rng = np.random.default_rng((self.seed, *key))
        order = rng.permutation(len(lengths))
        count = max(0, len(order) - head) // self.batch_size
        whole = slice(head, head + count * self.batch_size)
        if self.packed or count < 2:
            return order
        window = max(1, min(WINDOW, count // 4)) * self.batch_size
        by_length = np.lexsort((lengths[order[whole]], np.arange(count * self.batch_size) // window))
        batches = rng.permutation(order[whole][by_length].reshape(count, -1))
        if key[1] == 0:  # a short one first: see `__getitem__`
            shortest = int(lengths[batches].max(axis=1).argmin())
            batches[[0, shortest]] = batches[[shortest, 0]]
        order[whole] = batches.reshape(-1)
        return order

    def fingerprint(self):
        """Return the SHA-256 of all that decides what the batches are, as 64 hexadecimal digits."""
        names = ("static", "batch_size", "pair_head", "replaced_token", "packed", "row_length", "shuffle", "seed")
        settings = {name: getattr(self, name) for name in names}
        settings |= {"masking": vars(self.masking), "buckets": list(map(int, self.buckets))}
        settings |= {
            "kind": self.corpus.kind,
            "shards": [record["sha256"] for record in self.corpus.manifest["shards"]],
        }
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _built_masks(corpus):
    """Return what the shards' records tell of the masks that a corpus was built with."""
    records = corpus.manifest["shards"]
    if not all("masked" in record for record in records):
        raise DataError(
            "static masks must be built into the corpus. Received: a shard without them. Make the corpus with masks, "
            "or mask at training time.",
            corpus.directory,
        )
    found = {name: max(record[name] for record in records) for name in ("most_masked", "masked_share")}
    return found | {"masked": sum(record["masked"] for record in records)}


class Batches(keras.utils.PyDataset):
    """Some batches of a data set, each by its epoch and its number."""

    def __init__(self, dataset, places):
        super().__init__(dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size)
        self._dataset = dataset
        self._places = places

    @property
    def shapes_vary(self):
        return self._dataset.shapes_vary

    def __len__(self):
        return len(self._places)

    def __getitem__(self, index):
        return self._dataset.batch(*self._places[index])


def check_corpus(corpus, tokenizer, pair_head):
    """Raise `DataError` unless a corpus can be trained on with this tokenizer and this head."""
    if not corpus.num_rows:
        raise DataError("a corpus must have rows to train on. Received: an empty one. Give it text.", corpus.directory)
    own, made_with = tokenizer_record(tokenizer)["sha256"], (corpus.manifest.get("tokenizer") or {}).get("sha256")
    if made_with not in (None, own):
        raise DataError(
            "a corpus must be trained on with the tokenizer that it was made with. Received: another vocabulary or "
            f"other settings: its tokenizer.json has the SHA-256 {own[:12]}..., that of the corpus {made_with[:12]}... "
            "Make the corpus again with this tokenizer, or use the one in its directory.",
            corpus.directory,
        )
    if pair_head is not None and corpus.kind != pair_head:
        raise DataError(
            f"the head {pair_head} needs a corpus of that kind. Received: a corpus of kind {corpus.kind!r}. Make one "
            f"with labels of that kind, or train without a pair head.",
            corpus.directory,
        )
