"""A WordPiece vocabulary learnt from text."""

from collections import Counter

import numpy as np

from keras_bert_suite.errors import DataError, check_positive_int
from keras_bert_suite.text.definition import BERT_TOKENS
from keras_bert_suite.text.word_piece import WordPieceTokenizer

__all__ = ["train_word_piece"]

#: Characters handed to the trainer at a time: a text that is longer is cut at a space.
CHUNK_CHARACTERS = 1 << 16


def train_word_piece(
    texts,
    vocab_size=30000,
    lowercase=True,
    strip_accents=None,
    split_chinese=True,
    *,
    reserved=(),
    num_unused=0,
    min_frequency=2,
    max_alphabet=None,
    max_length=None,
):
    """Learn a WordPiece vocabulary from texts, the same one each time.

    The trainer is that of Hugging Face `tokenizers`, which joins the pair of
    pieces that is met most often, again and again. It numbers single characters
    in an order that differs from run to run, and then breaks ties by number;
    here they are counted first and come in the order of their code points.

    Args:
        texts: iterable of str that can be gone through twice, such as a list;
            not an iterator. It is streamed.
        vocab_size: int. Tokens of the vocabulary at most, all kinds included.
        lowercase, strip_accents, split_chinese: as in `WordPieceTokenizer`.
        reserved: strs. Words that are tokens whether or not the texts have them.
        num_unused: int. Tokens `[unused0]`, `[unused1]`, ... to be given a meaning later.
        min_frequency: int. A character or a pair that is met less often is left out.
        max_alphabet: optional int. Different characters at most; rarer ones
            become `[UNK]`. Defaults to as many as fill three quarters of
            `vocab_size`, those with a `##` form counted twice, and more where
            the texts have no pairs to fill the rest.
        max_length: optional int, in tokens, of the tokenizer.
    Returns:
        `WordPieceTokenizer`. The special tokens come first, `[PAD]` with id 0,
        then those reserved and unused, then characters, then longer pieces.
    Raises:
        DataError: if the texts have no character to learn from.
        ValueError: if `vocab_size` cannot hold what must be in it, or a
            reserved word would never be found in a text.
    Example:
    >>> tokenizer = train_word_piece(["low lower lowest"] * 3, vocab_size=40)
    >>> tokenizer.tokenize("lower")
    ['lower']

    Source: Schuster and Nakajima 2012; Sennrich et al. 2016, section 3.2, whose
    merges stand in for the likelihood of the former, as in `tokenizers`.
    """
    check_positive_int("train_word_piece", vocab_size=vocab_size, min_frequency=min_frequency)
    if iter(texts) is texts:
        raise TypeError(
            "train_word_piece: texts must be something that can be gone through twice. Received: an iterator. "
            "Pass a list, or an object whose __iter__ opens the files again."
        )
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    normalizer = normalizers.BertNormalizer(
        lowercase=lowercase, strip_accents=strip_accents, handle_chinese_chars=split_chinese
    )
    pre_tokenizer = pre_tokenizers.BertPreTokenizer()

    def words_of(text):
        return [word for word, _ in pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(text))]

    unused = [f"[unused{number}]" for number in range(num_unused)]
    kept = list(dict.fromkeys([*BERT_TOKENS.values(), *_checked_words(reserved, words_of), *unused]))

    letters = _letters(texts, normalizer, min_frequency)
    continue_words = np.array([len(words_of("a" + letter)) == 1 for letter in letters], bool)
    if max_alphabet is None:
        room = min(vocab_size * 3 // 4, vocab_size - len(kept))
        num_letters = max(1, int(np.searchsorted(np.cumsum(1 + continue_words), room, side="right")))
    else:
        num_letters = max_alphabet
    alphabet = sorted(letters[:num_letters])
    if not alphabet:
        raise DataError(
            f"training a vocabulary needs text. Received: no character that is met {min_frequency} times or more. "
            "Check the files, or lower min_frequency."
        )
    continuing = sorted(letter for letter, is_one in zip(letters[:num_letters], continue_words, strict=False) if is_one)
    kept = list(dict.fromkeys([*kept, *alphabet, *(f"##{letter}" for letter in continuing)]))
    if len(kept) > vocab_size:
        raise ValueError(
            "train_word_piece: vocab_size must hold the special tokens, the reserved ones and each character. "
            f"Received: vocab_size={vocab_size}, {len(kept)} of these. Raise vocab_size, or lower max_alphabet."
        )
    # What is called special is numbered first, in this order.
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=kept,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    learner = Tokenizer(models.WordPiece(unk_token=BERT_TOKENS["unk_token"]))
    learner.normalizer, learner.pre_tokenizer = normalizer, pre_tokenizer
    learner.train_from_iterator(_chunks(texts), trainer)
    vocabulary = learner.get_vocab()
    tokens = sorted(vocabulary, key=vocabulary.get)
    if max_alphabet is None:  # Where there are no pairs left, rarer characters are better than nothing.
        tokens += [letter for letter in letters if letter not in vocabulary][: vocab_size - len(tokens)]
    return WordPieceTokenizer(tokens, lowercase, strip_accents, split_chinese, max_length=max_length)


def _letters(texts, normalizer, min_frequency):
    """Return the characters that are met often enough, the most frequent first."""
    counts = np.zeros(0x110000, np.int64)
    for text in _chunks(texts):
        found = np.bincount(np.frombuffer(text.encode("utf-32-le", "replace"), np.uint32))
        counts[: len(found)] += found
    normalized = Counter()
    for code in np.flatnonzero(counts).tolist():
        for letter in normalizer.normalize_str(chr(code)):
            normalized[letter] += int(counts[code])
    letters = [letter for letter, count in normalized.items() if count >= min_frequency and not letter.isspace()]
    return sorted(letters, key=lambda letter: (-normalized[letter], letter))


def _chunks(texts):
    """Yield the texts, long ones in parts that end at a space, where there is one."""
    for text in texts:
        if len(text) <= CHUNK_CHARACTERS:
            yield text
            continue
        start = 0
        while start < len(text):
            end = start + CHUNK_CHARACTERS
            space = max(text.rfind(" ", start, end), text.rfind("\n", start, end))
            end = space + 1 if space > start and end < len(text) else end
            yield text[start:end]
            start = end


def _checked_words(words, words_of):
    """Return reserved words as they are looked up: normalized, each one word."""
    found = []
    for word in words:
        parts = words_of(word)
        if len(parts) != 1:
            raise ValueError(
                f"train_word_piece: a reserved word must be one word to the tokenizer. Received: {word!r}, which it "
                f"parts into {parts}. Reserve the parts."
            )
        found.append(parts[0])
    return found
